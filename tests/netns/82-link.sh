#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# Under load: the link goes down and comes up at either end, the address is removed and put back, the route is
# removed and put back, with toed running and (the route) while it is dead. The streams stand still meanwhile, as the
# kernel's would, go on afterwards, and every byte is right.
#
#   cli stream clients -- eth0 ---- veth ---- eth0 [toed] -- srv stream servers (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

LOAD_S=400
topo_veth
toed_start srv
load_start
ip_srv() { in_ns srv ip "$@" || fail "ip $*"; }
# The rebuilt sockets know what the engines knew, though nothing can have come in from the peer since.
know_rtt() {
	local n
	n=$(in_ns srv ss -Htni state established | grep -c ' rtt:')
	[ "$n" = $((2 * LOAD_CONNS)) ] || fail "only $n know a round-trip time: $(in_ns srv ss -Htni)"
}
again() { flowing || fail "the streams stand still: $(ctl list)"; load_offload; }

say "link down and up, here"
ip_srv link set eth0 down
sleep 0.5
ip_srv link set eth0 up
again
say "carrier lost and back: the other end goes down and up"
in_ns cli ip link set eth0 down
sleep 0.5
in_ns cli ip link set eth0 up
again

say "address removed and put back"
spawn rules srv stdbuf -oL ip monitor rule
sleep 0.2
ip_srv addr del "$SRV4/24" dev eth0
load_kernel "link or route changed"
sleep 0.2
stop rules
n=$(grep -c '^1:.*fwmark 0x746f6564' "$LOGS/rules")
[ "$n" = $((2 * LOAD_CONNS)) ] || fail "$n detours for $((2 * LOAD_CONNS)) connections: $(cat "$LOGS/rules")"
know_rtt
ip_srv addr add "$SRV4/24" dev eth0
again

say "route removed and put back, where the kernel takes nothing in without a route back"
in_ns srv sh -c 'echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter'
ip_srv route del 10.99.0.0/24 dev eth0
load_kernel "link or route changed"
know_rtt
ip_srv route add 10.99.0.0/24 dev eth0 src "$SRV4"
in_ns srv sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter'
again

say "route to another device, away from toed's, and back"
ip_srv link add dummy0 type veth peer name dummy1
ip_srv link set dummy0 up
ip_srv route add "$CLI4/32" dev dummy0 src "$SRV4"
load_kernel "link or route changed"
ip_srv route del "$CLI4/32" dev dummy0
again

# Not even a detour: the loopback device is down. An upload would lose them, so they stay in the engines.
say "route removed, and no loopback device"
ip_srv link set lo down
ip_srv route del 10.99.0.0/24 dev eth0
sleep 0.5	# toed hears of it and finds that it cannot
ctl upload --all >"$LOGS/upload" 2>&1 && fail "an upload without a way to the peer succeeded"
logged upload "no route to the peer" || fail "the reason is not told: $(cat "$LOGS/upload")"
[ "$(on_path hardware)" = $((2 * LOAD_CONNS)) ] || fail "only $(on_path hardware) stayed in hardware"
load_alive
ip_srv route add 10.99.0.0/24 dev eth0 src "$SRV4"
ip_srv link set lo up	# last: with a detour but no route they would be uploaded now
load_moving
ctl upload --all >/dev/null || fail "upload, with a route again: $(ctl list)"
load_kernel
again

# The upload comes at once, before the processes have found the new toed.
for round in first second third; do
	say "route removed while toed is dead, $round time"
	kill -KILL "$TOED_PID"
	wait "$TOED_PID" 2>/dev/null
	ip_srv route del 10.99.0.0/24 dev eth0
	toed_start srv
	load_kernel
	ip_srv route add 10.99.0.0/24 dev eth0 src "$SRV4"
	again
done
load_finish
no_resets
