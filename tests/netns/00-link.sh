#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tests' own tools, without toed: the stream test passes over the impaired link, in every
# style, and the link really loses, repeats, reorders and damages frames.
#
#   cli stream client -- eth0 ---- lossy 1% ---- eth0 -- srv stream server
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_lossy -l 1 -d 0.5 -r 2 -c 0.2 -t 200 -j 100

for style in threads epoll epollet poll select; do
	spawn server srv "$BIN/stream" -n 4 -s "$style" server
	in_ns cli "$BIN/stream" -n 4 -b 2M -S "$SEED" -s "$style" client "$SRV4" || fail "client, $style"
	finish server || fail "server, $style"
done
[ "$(snmp cli Tcp RetransSegs)" -gt 0 ] || fail "no retransmission on a link that loses 1%"
stop lossy
grep '^lossy: in' "$LOGS/lossy"
grep -q ' lost 0 \| duplicated 0 \| reordered 0 \| damaged 0 ' "$LOGS/lossy" && fail "link too good"
exit 0
