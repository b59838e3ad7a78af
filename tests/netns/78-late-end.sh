#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# The peer closes, or resets, a connection in the very moment in which it is offloaded: toed is stopped where it has looked at the
# socket and not yet taken it, and where frames are held already; then the end, which has passed the engine before in life, comes by
# another link here. The application hears of it.
#
#   cli echo client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed, stopped in a move] -- srv echo server (libtoe)
#                                \- eth1 ---- veth ---- eth1 -/
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

by_eth1() { in_ns cli ip route replace "$SRV4/32" dev eth1; }
by_eth0() { in_ns cli ip route del "$SRV4/32" dev eth1; }
state() { in_ns srv ss -Htna "sport = :7100" | grep -v LISTEN; }
ended() { ! state | grep -q ESTAB; }
gone() { ! state | grep -q .; }

late() {	# ORDER STEP
	TOED_FAULT=offload:$2:1:stop toed_start srv
	echo_pair
	echo 1000 >&3
	eventually 5 logged client "ok 1000" || fail "no echo"
	eventually 5 all_on kernel 1 || fail "the connection is not known: $(ctl list)"
	ctl offload --all >"$LOGS/offload" 2>&1 &
	eventually 5 toed_stopped || fail "toed did not stop at step $2"
	[ "$2" = 3 ] || by_eth1
	echo "$1" >&3
	exec 3>&-
	eventually 5 ended || fail "$1 did not arrive: $(state)"
	[ "$2" = 3 ] || by_eth0
	kill -CONT "$TOED_PID"
	wait $!
	eventually 5 gone || fail "the server did not hear of $1 at step $2: $(state); $(ctl list)"
	eventually 5 eval '[ "$(on_path hardware)" = 0 ]' || fail "in hardware: $(ctl list)"
	toed_alive || fail "toed is gone"
	say "$1 at step $2: $(cat "$LOGS/offload")"
	stop client
	stop server
	toed_stop || fail "toed did not stop properly"
}

topo_veth
ip link add eth1 netns "$RUN-cli" type veth peer name eth1 netns "$RUN-srv" || fail "no veth"
for ns in cli srv; do in_ns $ns ip link set eth1 up; done
in_ns srv sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0
for step in 3 4 5; do
	for order in quit reset; do late $order $step; done
done
