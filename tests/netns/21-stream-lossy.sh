#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The stream test over a link that loses, repeats, reorders and damages frames, while the connections
# move back and forth: every byte is right. (A move starts the retransmission timers anew: with moves faster
# than the timeout, 200 ms, a lost last segment would never be sent again.)
#
#   cli stream client (kernel TCP) -- eth0 ---- link, 1% loss ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_lossy -l 1 -d 0.5 -r 2 -c 0.1 -t 100 -j 50
toed_start srv
round=0
while [ $round -lt 5 ] || [ "$(moves)" -lt 20 ] || [ "$(counter TX_SEGS)" -lt 500 ] || [ "$(counter RX_OOO)" = 0 ]; do
	style=$(cut -d ' ' -f $((round % 5 + 1)) <<<"threads epoll epollet poll select")
	FLIP_MS=${F:-20} stream_flipping "$style" "$SRV4" 4M 3 -r 2M
	round=$((round + 1))
	say "$style: $(moves) moves, $(counter TX_RTX) retransmitted by the engine"
	[ $round -lt 12 ] || fail "only $(moves) moves, $(counter TX_SEGS) segments sent by the engine"
done
for name in RX_SEGS TX_SEGS RX_OOO TX_RTX RX_BAD_CSUM; do
	[ "$(counter $name)" -gt 0 ] || fail "counter $name stayed 0"
done
