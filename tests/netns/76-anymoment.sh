#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Moves at any moment, both ways, IPv4 and IPv6: full queues, closed windows, bytes in flight, timers backed off, holes
# and data out of order, and right before and after the ends of a connection. On a link without faults: no window is
# taken back, no timestamp goes backwards, nothing is lost.
#
#   cli (the peer's sockets) -- eth0 ---- wire, then 10 ms and 3 % loss ---- eth0 [toed] -- srv anymoment CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = lossy ]; then
	topo_lossy -t 5000 -l 3
	CASES=${CASES:-hole ooo}
else
	topo_wire
	CASES=${CASES:-$("$BIN/anymoment" list | grep -vx 'hole\|ooo')}
fi
export TOE_PEER_NS=/run/netns/$RUN-cli LINK_PID=${PID[link]}
toed_start srv
for FLOW_ADDR in "$CLI4" "$CLI6"; do
	moved=$(moves)
	flow_cases anymoment
	(($(moves) - moved >= 8)) || fail "only $(($(moves) - moved)) moves"
done
[ "${1:-}" != lossy ] || exit 0
nothing_lost
CASES='' "$0" lossy
