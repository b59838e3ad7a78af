#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The stream test with the connections in the engines from the first to the last byte, with pauses
# (so that sleepers are woken), with tiny chunks, and with FIN sent early.
#
# Once over a wire that drops nothing: no segment is lost. Once at full speed over veth, whose ring of 256 frames drops
# bursts of the kernel: every byte is right.
#
#   cli stream client (kernel TCP) -- eth0 ---- wire, then veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = veth ]; then topo_veth tx-off; bulk=48M; else topo_wire; bulk=12M; fi
toed_start srv

steady() {	# STYLE BYTES [OPTIONS]
	local style=$1 bytes=$2
	shift 2
	offloadable server srv "$BIN/stream" -n 2 -w 1000 -s "$style" "$@" server ::
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n 2 -w 1000 -b "$bytes" -S "$SEED" -s "$style" "$@" client "$SRV4"
	eventually 5 logged server connected || fail "no connection"
	eventually 3 eval 'ctl offload --all >/dev/null; all_on hardware 2' || fail "not in hardware: $(ctl list)"
	finish client 100 || fail "client, $style $* ($?)"
	finish server 30 || fail "server, $style $* ($?)"
}

for style in threads epoll epollet poll select; do
	steady $style $bulk
	steady $style 2M -P 2000
	steady $style 1M -c 700
	steady $style $((${bulk%M} / 3))M -e
done
[ "$(counter RX_BYTES)" -gt 50000000 ] || fail "RX engine took $(counter RX_BYTES) bytes"
[ "$(counter TX_BYTES)" -gt 50000000 ] || fail "TX engine sent $(counter TX_BYTES) bytes"
[ "${1:-}" != veth ] || exit 0
nothing_lost
"$0" veth
