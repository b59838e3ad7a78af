#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# A failover of the gateway's hardware address under load, announced (gratuitous ARP) and found out by the kernel only,
# then a change of the server's own address, then a failover while toed is dead: the engines follow, the
# connections stay in hardware, every byte is right.
#
#   cli stream clients, 10.98.0.1 behind its gateway 10.99.0.1 -- eth0 ---- veth ---- eth0 [toed] -- srv stream servers
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

FAR=10.98.0.1
topo_veth
in_ns cli ip addr add $FAR/32 dev lo
in_ns cli ip route replace 10.99.0.0/24 dev eth0 src $FAR
in_ns srv ip route add $FAR/32 via "$CLI4"
in_ns cli sysctl -qw net.ipv4.conf.eth0.arp_notify=1
in_ns srv sysctl -qw net.ipv4.neigh.eth0.locktime=0 net.ipv4.conf.eth0.arp_accept=1 net.ipv4.conf.eth0.arp_notify=1
in_ns cli sysctl -qw net.ipv4.neigh.eth0.locktime=0 net.ipv4.conf.eth0.arp_accept=1
toed_start srv
load_start
n=$((2 * LOAD_CONNS))
uploads=$(counter uploads)

macs() { ctl --json show --all | "$BIN/jsonget" --count "$1" "$2"; }
with_mac() { [ "$(macs "$1" "$2")" = $n ]; }
followed() {	# FIELD MAC
	eventually 10 with_mac "$1" "$2" || fail "$(macs "$1" "$2") of $n connections use $1 $2"
	load_moving
	[ "$(counter uploads)" = "$uploads" ] || fail "$(($(counter uploads) - uploads)) connections were uploaded"
	load_alive
}

# A frame to an old address must not be taken: else nothing here proves that the new one is used.
say "failover, announced"
in_ns cli ip link set eth0 address 02:00:00:00:00:11 || fail "address"
followed dst_mac 02:00:00:00:00:11
say "failover, told by the kernel's neighbour table"
in_ns cli sysctl -qw net.ipv4.conf.eth0.arp_notify=0
in_ns cli ip link set eth0 address 02:00:00:00:00:12
in_ns srv ip neigh replace "$CLI4" lladdr 02:00:00:00:00:12 nud reachable dev eth0
followed dst_mac 02:00:00:00:00:12
say "the server's own address"
in_ns srv ip link set eth0 address 02:00:00:00:00:21
followed src_mac 02:00:00:00:00:21
say "failover while toed is dead"
kill -KILL "$TOED_PID"
wait "$TOED_PID" 2>/dev/null
in_ns cli ip link set eth0 address 02:00:00:00:00:13
in_ns srv ip neigh replace "$CLI4" lladdr 02:00:00:00:00:13 nud reachable dev eth0
toed_start srv
uploads=0
followed dst_mac 02:00:00:00:00:13
say "failover after the restart"
in_ns cli ip link set eth0 address 02:00:00:00:00:14
in_ns srv ip neigh replace "$CLI4" lladdr 02:00:00:00:00:14 nud reachable dev eth0
followed dst_mac 02:00:00:00:00:14
load_finish
no_resets
