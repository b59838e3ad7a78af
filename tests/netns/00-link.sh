#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tests' own tools, without toed. The stream test passes over the impaired link in every style, and the
# link really loses, repeats, reorders, damages and marks frames. Between two kernels on the link without faults
# its judge finds nothing wrong, and has seen every byte.
#
#   cli stream client -- eth0 ---- link ---- eth0 -- srv stream server
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

streams() {	# BYTES STYLE...
	local bytes=$1 style
	shift
	for style; do
		spawn server srv "$BIN/stream" -n 4 -s "$style" server
		in_ns cli "$BIN/stream" -n 4 -b "$bytes" -S "$SEED" -s "$style" client "$SRV4" || fail "client, $style"
		finish server || fail "server, $style"
	done
}

if [ "${1:-}" = clean ]; then
	topo_wire
	streams 8M threads epoll
	wire_clean
	for ns in cli srv; do
		[ "$(judged $ns bytes)" -ge $((2 * 4 * 8388608)) ] || fail "the judge saw $(judged $ns bytes) bytes of $ns"
		[ "$(judged $ns skipped)" = 0 ] || fail "bytes of $ns skipped"
	done
	exit
fi

topo_lossy -l 1 -b 0.1 -B 3 -d 0.5 -r 2 -c 0.2 -t 200 -j 100 -R 500 -q 200 -e 1
for ns in cli srv; do in_ns $ns sysctl -qw net.ipv4.tcp_ecn=1; done
streams 2M threads epoll epollet poll select
[ "$(snmp cli Tcp RetransSegs)" -gt 0 ] || fail "no retransmission on a link that loses 1%"
line=$(link_counts)
say "$line"
for end in 0 1; do
	for f in lost burst duplicated reordered damaged marked again needed; do
		[ "$(counted $end.$f "$line")" -gt 0 ] || fail "end $end: $f stayed 0"
	done
	[ "$(counted $end.bad_csum "$line")" = 0 ] || fail "the judge stands before the faults, not behind them"
done
"$0" clean
