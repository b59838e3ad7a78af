#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Streams both ways in every style of I/O, while the connections move back and forth at least 200 times, on
# a link that neither drops nor reorders: every byte is right and no segment is lost. Then the same at full speed
# over veth, whose batches reorder: every byte is right.
#
#   cli stream client (kernel TCP) -- eth0 ---- wire, then veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = veth ]; then
	topo_veth
	toed_start srv
	stream_flipping epoll "$SRV4" 256M 2
	stream_flipping threads "$SRV4" 256M 2
	[ "$(moves)" -ge 20 ] || fail "only $(moves) moves"
	exit 0
fi
topo_wire
toed_start srv
styles=(threads epoll epollet poll select)
for ((i = 0; i < ${#styles[@]} || (i < 20 && $(moves) < 200); i++)); do	# how many moves fit into one depends on the machine
	style=${styles[i % ${#styles[@]}]}
	stream_flipping "$style" "$SRV4" 24M 2 -r 8M
	say "$style: $(moves) moves"
done
[ "$(moves)" -ge 200 ] || fail "only $(moves) moves"
[ "$(counter RX_SEGS)" -gt 1000 ] || fail "RX engine took $(counter RX_SEGS) segments"
[ "$(counter TX_SEGS)" -gt 1000 ] || fail "TX engine sent $(counter TX_SEGS) segments"
nothing_lost
slow || [ "$(counter TX_TRAIN_LOST)" = 0 ] || fail "moves cut $(counter TX_TRAIN_LOST) segments off their trains"
"$0" veth
