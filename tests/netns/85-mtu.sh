#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# Under load, IPv4 then IPv6: the interface's MTU is lowered, a route's MTU is lowered, and a router on the way
# starts to answer "fragmentation needed" / "packet too big": the connections go back to the kernel, which makes
# smaller segments, can be offloaded again with those, and every byte is right.
#
#   cli stream clients -- eth0 ---- veth ---- srv's router rtr ---- veth ---- eth0 [toed] -- srv stream servers (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

reaches() { grep -q refused < <(in_ns cli timeout 1 bash -c "echo >/dev/tcp/$1/9" 2>&1); }
in_rtr() { nsenter --net="/proc/$RTR/ns/net" -- "$@"; }

# The router's namespace is that of a process, so that it ends with the scenario.
topo_router() {
	local ns
	namespaces
	unshare --net sleep 1000 &
	PID[rtr]=$! RTR=$!
	ORDER+=(rtr)
	eventually 5 eval '[ "$(readlink /proc/$RTR/ns/net)" != "$(readlink /proc/self/ns/net)" ]' || fail "no router"
	ip link add eth0 netns "$RUN-cli" type veth peer name c0 netns "$RTR" || fail "no veth"
	ip link add eth0 netns "$RUN-srv" type veth peer name s0 netns "$RTR" || fail "no veth"
	in_rtr sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	in_rtr ip addr add 10.99.1.254/24 dev c0
	in_rtr ip addr add 10.99.2.254/24 dev s0
	in_rtr ip addr add fd99:1::fe/64 dev c0 nodad
	in_rtr ip addr add fd99:2::fe/64 dev s0 nodad
	in_rtr ip link set c0 up
	in_rtr ip link set s0 up
	addresses cli 10.99.1.1 fd99:1::1
	addresses srv 10.99.2.2 fd99:2::2
	in_ns cli ip route add default via 10.99.1.254
	in_ns srv ip route add default via 10.99.2.254
	in_ns cli ip route add default via fd99:1::fe
	in_ns srv ip route add default via fd99:2::fe
	for ns in cli srv; do in_ns $ns ethtool -K eth0 gro on tso off gso off >/dev/null; done
	in_rtr ethtool -K s0 gro on tso off gso off >/dev/null
	in_rtr ethtool -K c0 gro on tso off gso off >/dev/null
	eventually 5 reaches 10.99.2.2 || fail "no traffic"
	eventually 5 reaches fd99:2::2 || fail "no IPv6 traffic"
}

mss_at_most() { ctl --json show --all | "$BIN/jsonget" --list snd_mss | awk -v m="$1" '$1 > m { bad = 1 } END { exit bad }'; }
smaller() {	# MTU HEADERS: offloaded again, with segments that fit
	flowing || fail "the streams stand still"
	eventually 10 mss_at_most $(($1 - $2)) || fail "segments do not fit MTU $1: $(ctl --json show --all | grep snd_mss)"
	load_offload
	mss_at_most $(($1 - $2)) || fail "segments in hardware do not fit MTU $1"
}
restore() {
	in_ns srv ip link set eth0 mtu 1500
	in_ns cli ip link set eth0 mtu 1500
	in_rtr ip link set c0 mtu 1500
	in_rtr ip link set s0 mtu 1500
	in_ns srv ip route change default via 10.99.2.254
	in_ns srv ip route flush cache
}

disturb() {	# HEADERS ROUTE...
	local hdr=$1
	shift
	say "interface's MTU 1400"
	in_ns srv ip link set eth0 mtu 1400
	in_rtr ip link set s0 mtu 1400
	load_kernel "link or route changed"
	smaller 1400 "$hdr"
	say "route's MTU 1350"
	in_ns srv ip route change "$@" mtu 1350
	load_kernel "link or route changed"
	smaller 1350 "$hdr"
	say "a router's link has MTU 1300"
	in_ns cli ip link set eth0 mtu 1300
	in_rtr ip link set c0 mtu 1300
	load_kernel "path MTU changed"
	smaller 1300 "$hdr"
}

topo_router
toed_start srv
LOAD_ADDR=10.99.2.2
load_start
disturb 52 default via 10.99.2.254
load_finish
restore
say "IPv6"
LOAD_ADDR=fd99:2::2
load_start
disturb 72 default via fd99:2::fe dev eth0
load_finish
