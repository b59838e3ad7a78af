#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 256 MiB each way in every style of I/O together, while the connections move back and forth at least
# 200 times, on a clean link: every byte is right and nobody retransmits anything.
#
#   cli stream client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
round=0
while [ $round -lt 5 ] || [ "$(moves)" -lt 200 ]; do
	paced=()
	[ $round -lt 5 ] || paced=(-r 16M)	# slower, so that more moves find room
	style=$(cut -d ' ' -f $((round % 5 + 1)) <<<"threads epoll epollet poll select")
	stream_flipping "$style" "$SRV4" 64M $((round % 3 + 1)) "${paced[@]}"
	round=$((round + 1))
	say "round $round, $style: $(moves) moves"
	[ $round -lt 20 ] || fail "only $(moves) moves in $round rounds"
done
[ "$(counter RX_SEGS)" -gt 1000 ] || fail "RX engine took $(counter RX_SEGS) segments"
[ "$(counter TX_SEGS)" -gt 1000 ] || fail "TX engine sent $(counter TX_SEGS) segments"
no_retransmissions
