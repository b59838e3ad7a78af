#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Connections over VLAN devices, 802.1Q and 802.1ad with 802.1Q inside, are tracked, offloaded and uploaded as others are;
# frames with other tags are not taken for theirs; where tags are not seen they stay in the kernel, and toectl says why.
#
#   cli -- eth0.5, eth0.6.7 -- eth0 ---- veth ---- eth0 [toed] -- eth0.5, eth0.6.7 -- srv servers (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

BIG=200000 ROUNDS="1 2" BYTES=8M RATE=4M FLIPS=10
! slow || BIG=20000 ROUNDS=1 BYTES=2M RATE=100000 FLIPS=3

ip_srv() { in_ns srv ip "$@" || fail "ip $*"; }
vlan_device() {	# NS LINK NAME PROTOCOL VID MTU
	in_ns "$1" ip link add link "$2" name "$3" mtu "$6" type vlan proto "$4" id "$5"
}
vlan_addresses() {	# NS DEVICE NUMBER HOST
	in_ns "$1" ip addr add "10.99.$3.$4/24" dev "$2"
	in_ns "$1" ip addr add "fd99:$3::$4/64" dev "$2" nodad
	in_ns "$1" ip link set "$2" up
}
# veth keeps a tag beside the frame, where no XDP program sees it, if the sender's device "inserts" it.
tags_in_frames() {
	in_ns cli ethtool -K eth0 txvlan off tx-vlan-stag-hw-insert off >/dev/null || fail "cli: txvlan off"
	in_ns srv ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off >/dev/null || fail "srv: rxvlan off"
}
topo_vlan() {
	local ns host=1
	topo_veth
	vlan_device srv eth0 eth0.5 802.1Q 5 1500 2>"$LOGS/vlan" || skip "no VLAN devices: $(cat "$LOGS/vlan")"
	vlan_device cli eth0 eth0.5 802.1Q 5 1500 || fail "no eth0.5"
	for ns in cli srv; do
		vlan_device $ns eth0 eth0.6 802.1ad 6 1500 && vlan_device $ns eth0.6 eth0.6.7 802.1Q 7 1496 || fail "no eth0.6.7"
		in_ns $ns ip link set eth0.6 up
		vlan_addresses $ns eth0.5 5 $host
		vlan_addresses $ns eth0.6.7 7 $host
		host=2
	done
	tags_in_frames
	for addr in 10.99.5.2 fd99:5::2 10.99.7.2 fd99:7::2; do
		eventually 5 neighbour "$addr" || fail "no traffic over the VLANs: $addr"
	done
}

pair_end() {
	echo quit >&3
	finish client 20 || fail "client ($?): $(tail -1 "$LOGS/client")"
	stop server
}
more_than() { [ "$(grep -c '^ok ' "$LOGS/client")" -gt "$1" ]; }
exchange() {	# WHEN BYTES...
	local before bytes when=$1
	shift
	for bytes in "$@"; do
		before=$(grep -c '^ok ' "$LOGS/client")
		echo "$bytes" >&3
		eventually 20 more_than "$before" || fail "$when: no echo of $bytes bytes: $(tail -1 "$LOGS/client")"
	done
}
offload() { eventually 10 eval 'ctl offload --all >/dev/null 2>&1; all_on hardware 1' || fail "$1: not in hardware: $(ctl list)"; }
refused() {	# WHEN REASON
	ctl offload --all >"$LOGS/refused" 2>&1 && fail "$1: offloaded: $(ctl list)"
	logged refused "$2" || fail "$1: the reason is not '$2': $(cat "$LOGS/refused")"
}
listed() { [ "$(ctl --json list | "$BIN/jsonget" --count "$1" "$2")" = 1 ]; }

both_ways() {	# ADDRESS TAGS: moved there and back, with bytes on either path
	local rx tx other
	say "$1"
	echo_pair "$1"
	exchange "$1, kernel" 10 3000
	for _ in $ROUNDS; do
		offload "$1"
		listed vlan "$2" && listed interface eth0 || fail "$1: not listed as of VLAN $2: $(ctl --json list)"
		rx=$(counter RX_SEGS) tx=$(counter TX_SEGS) other=$(counter RX_OTHER_VLAN)
		exchange "$1, hardware" 1 1448 1449 "$BIG" $((3 * BIG))
		[ "$(counter RX_SEGS)" -ge $((rx + BIG / 400)) ] || fail "$1: only $(($(counter RX_SEGS) - rx)) segments in the RX engine"
		[ "$(counter TX_SEGS)" -ge $((tx + BIG / 400)) ] || fail "$1: only $(($(counter TX_SEGS) - tx)) segments from the TX engine"
		[ "$(counter RX_OTHER_VLAN)" = "$other" ] || fail "$1: frames of the connection with other tags"
		ctl upload --all || fail "$1: upload"
		rx=$(counter RX_SEGS)
		exchange "$1, kernel again" 1 1448 "$BIG"
		[ "$(counter RX_SEGS)" = "$rx" ] || fail "$1: segments went through the RX engine after the upload"
	done
	pair_end
}

forge() {	# NUMBER TAG...: a reset with these tags, seen by the engine as somebody else's or not
	local other=$1 before
	shift
	before=$(counter RX_OTHER_VLAN)
	ctl --json show --all | in_ns cli "$HELPERS/tagged" eth0 "$@" | grep -q 'tagged: 1' || fail "no forged reset"
	eventually 5 eval "[ \"\$(counter RX_OTHER_VLAN)\" = $((before + other)) ]" ||
		fail "forged with tags '$*': $(($(counter RX_OTHER_VLAN) - before)) counted, not $other"
}
others_tags() {	# ADDRESS RIGHT-TAG...
	local addr=$1
	shift
	say "$addr: resets with other tags, then with the right ones"
	echo_pair "$addr"
	exchange "$addr" 10
	offload "$addr"
	forge 1
	forge 1 9
	forge 1 5 7
	forge 1 ad:5
	forge 1 ad:6 8
	forge 1 6 7
	all_on hardware 1 || fail "a reset of another VLAN was taken: $(ctl list)"
	exchange "$addr, after others' resets" 1 "$BIG"
	forge 0 "$@"	# of these the engine makes an upload: so the others were well made
	eventually 10 in_kernel || fail "the reset with the right tags was not taken: $(ctl list)"
	listed why "peer sent RST" || fail "uploaded for another reason: $(ctl list)"
	exchange "$addr, after a reset to another hardware address" 1000
	pair_end
}

topo_vlan
toed_start srv
both_ways 10.99.5.2 5
both_ways fd99:5::2 5
both_ways 10.99.7.2 6.7
both_ways fd99:7::2 6.7
nothing_lost
LL=$(in_ns srv ip -6 -o addr show dev eth0.5 scope link | grep -o 'fe80[^/ ]*')
both_ways "$LL%eth0.5" 5	# eth0 has such a route, too
others_tags 10.99.5.2 5
others_tags fd99:7::2 ad:6 7

say "streams while the connections move"
for addr in 10.99.5.2 fd99:7::2; do
	before=$(moves)
	stream_flipping epoll $addr $BYTES 2 -r $RATE
	say "$addr: $(($(moves) - before)) moves"
	[ $(($(moves) - before)) -ge "$FLIPS" ] || fail "$addr: only $(($(moves) - before)) moves"
done

say "tags taken off the frames"
echo_pair 10.99.5.2
exchange "before" 1000
offload "before"
in_ns srv ethtool -K eth0 rxvlan on >/dev/null || fail "rxvlan on"
eventually 10 in_kernel || fail "still in hardware with rxvlan on"
exchange "rxvlan on" 1000
refused "rxvlan on" "takes VLAN tags off"
tags_in_frames
exchange "rxvlan off" 1000
offload "rxvlan off"
pair_end
in_ns cli ethtool -K eth0 txvlan on >/dev/null || fail "txvlan on"
echo_pair 10.99.5.2
exchange "tags beside the frames" 1000
refused "tags beside the frames" "no frame with its VLAN tags"
[ "$(counter RX_OTHER_VLAN)" -gt 0 ] || fail "the frames showed no other tags"
tags_in_frames
exchange "tags in the frames" 1000
offload "tags in the frames"
pair_end

say "no room for two tags"
for ns in cli srv; do in_ns $ns ip link set eth0.6.7 mtu 1500; done
echo_pair 10.99.7.2
exchange "no room" 1000
refused "no room" "no room for VLAN tags"
pair_end

say "under load: VLAN device down, gone, and another one; MTU; routes; a new toed"
LOAD_ADDR=10.99.5.2 LOAD_CONNS=1
! slow || LOAD_RATE=30000 LOAD_S=400
load_start
again() { flowing || fail "the streams stand still: $(ctl list)"; load_offload; }
ip_srv link set eth0.5 down
load_kernel "link or route changed"
ip_srv link set eth0.5 up
again
ip_srv link set eth0 down
sleep 0.5
ip_srv link set eth0 up
ip_srv link set eth0.5 up
again
in_ns cli ip link set eth0.5 mtu 1400
ip_srv link set eth0.5 mtu 1400
load_kernel "link or route changed"
again
say "route to another VLAN, and back"
ip_srv route add 10.99.5.1/32 dev eth0.6.7 src 10.99.5.2
load_kernel "link or route changed"
ip_srv route del 10.99.5.1/32 dev eth0.6.7
again
kill -KILL "$TOED_PID"
wait "$TOED_PID" 2>/dev/null
toed_start srv
eventually 10 all_on hardware 2 || fail "not adopted: $(ctl list)"
load_moving
say "device deleted"
ip_srv link del eth0.5
load_kernel "link or route changed"
vlan_device srv eth0 eth0.5 802.1Q 5 1400 || fail "no new eth0.5"
vlan_addresses srv eth0.5 5 2
again
say "device deleted while toed is dead"
kill -KILL "$TOED_PID"
wait "$TOED_PID" 2>/dev/null
ip_srv link del eth0.5
toed_start srv
load_kernel
vlan_device srv eth0 eth0.5 802.1Q 5 1400 || fail "no new eth0.5"
vlan_addresses srv eth0.5 5 2
again
load_finish
