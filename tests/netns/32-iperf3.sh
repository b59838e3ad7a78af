#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# iperf3 in both directions, the server under libtoe, its connections moved to the engines on the way.
#
#   cli iperf3 -c -- eth0 ---- veth ---- eth0 [toed] -- srv iperf3 -s (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need iperf3

topo_veth
toed_start srv
offloadable server srv iperf3 -s -p 5201
eventually 10 listening srv 5201 || fail "iperf3 did not start"

for direction in "" -R --bidir; do
	rx=$(counter RX_BYTES) tx=$(counter TX_BYTES)
	# shellcheck disable=SC2086
	spawn client cli iperf3 -c "$SRV4" -p 5201 -t 4 -J $direction
	eventually 3 eval 'ctl offload --all >/dev/null; all_on hardware '$((${#direction} > 2 ? 3 : 2)) ||
		fail "offload $direction: $(ctl list)"
	finish client 30 || fail "iperf3 $direction: $(tail -3 "$LOGS/client")"
	grep -q '"error"' "$LOGS/client" && fail "iperf3 $direction: $(grep '"error"' "$LOGS/client")"
	rx=$(($(counter RX_BYTES) - rx)) tx=$(($(counter TX_BYTES) - tx))
	say "iperf3 $direction: RX engine $rx bytes, TX engine $tx bytes"
	case $direction in
	-R) ((tx > 50000000)) || fail "TX engine sent $tx bytes only" ;;
	*) ((rx > 50000000)) || fail "RX engine took $rx bytes only" ;;
	esac
	eventually 10 listening srv 5201 || fail "iperf3 server is gone"
done
