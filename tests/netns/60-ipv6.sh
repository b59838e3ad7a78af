#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# IPv6, and IPv4 on an IPv6 socket: flipping streams over a clean and over an impaired link.
#
#   cli stream client -- eth0 fd99::1 ---- link ---- fd99::2 eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = lossy ]; then
	topo_lossy -l 1 -d 0.5 -r 1 -t 100
	amount=4M flip=600 rate=2M
else
	topo_wire
	amount=24M flip=8 rate=8M
	"$0" lossy || exit
fi
toed_start srv
round=0
while [ $round -lt 2 ] || [ "$(moves)" -lt 20 ] || [ "$(counter TX_SEGS)" -lt 500 ]; do
	FLIP_MS=$flip stream_flipping "$(cut -d ' ' -f $((round % 2 + 1)) <<<"epoll threads")" "$SRV6" $amount 2 -r "$rate"
	round=$((round + 1))
	[ $round -lt 10 ] || fail "only $(moves) moves, $(counter TX_SEGS) segments sent by the engine"
done
[ "$(counter RX_SEGS)" -gt 500 ] || fail "RX engine took $(counter RX_SEGS) segments"
[ "$(counter TX_SEGS)" -gt 500 ] || fail "TX engine sent $(counter TX_SEGS) segments"
[ $amount = 4M ] || nothing_lost
