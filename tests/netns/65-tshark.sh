#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tshark as judge of a link without faults: in a capture of offloaded streams both ways, taken on the client's side, its
# TCP analysis finds no lost and no reordered segment, and from srv no retransmission and no bad checksum.
#
#   cli stream client (kernel TCP) -- eth0 ---- wire ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

need tshark
topo_wire
toed_start srv
offloadable server srv "$BIN/stream" -n 2 -w 1500 server ::
eventually 10 logged server listening || fail "stream server did not start"
spawn capture cli tshark -q -i eth0 -B 64 -w "$LOGS/wire.pcap" tcp
eventually 10 logged capture Capturing || fail "no capture"
spawn client cli "$BIN/stream" -n 2 -w 1500 -b 4M -r 16M -S "$SEED" client "$SRV4"
eventually 5 logged server connected || fail "no connection"
eventually 3 eval 'ctl offload --all >/dev/null; all_on hardware 2' || fail "not in hardware: $(ctl list)"
finish client 60 || fail "client ($?)"
finish server 30 || fail "server ($?)"
sleep 1
stop capture
[ "$(counter TX_SEGS)" -ge 1000 ] || fail "the TX engine sent $(counter TX_SEGS) segments"

kinds="retransmission fast_retransmission spurious_retransmission out_of_order lost_segment ack_lost_segment
	duplicate_ack zero_window window_full"
# shellcheck disable=SC2046,SC2086 # words
tshark -r "$LOGS/wire.pcap" -o tcp.check_checksum:TRUE -T fields -E separator='|' -E occurrence=f -E aggregator=, \
	-e ip.src -e tcp.checksum.status $(printf -- '-e tcp.analysis.%s ' $kinds) 2>/dev/null |
	awk -F'|' -v kinds="$(tr -s '\n\t' ' ' <<<"$kinds")" -v srv="$SRV4" '
	BEGIN { split(kinds, k, " ") }
	$1 == srv && $2 == 0 { n["srv bad_checksum"]++ }
	{ who = $1 == srv ? "srv" : "cli"; n[who " segments"]++
	  for (i in k) if ($(i + 2) != "") n[who " " k[i]]++ }
	END { for (w in n) print w, n[w] }' | sort >"$LOGS/verdict"
say "tshark: $(tr '\n' ';' <"$LOGS/verdict")"
seen() { awk -v w="$1" -v f="$2" '$1 == w && $2 == f { n = $3 } END { print n + 0 }' "$LOGS/verdict"; }

for ns in cli srv; do
	[ "$(seen $ns segments)" -ge 1000 ] || fail "tshark saw $(seen $ns segments) segments of $ns"
	for what in out_of_order lost_segment ack_lost_segment fast_retransmission; do
		[ "$(seen $ns $what)" = 0 ] || fail "tshark: $(seen $ns $what) of $ns: $what"
	done
done
# Both may send a tail loss probe when the other one is late; nothing else, and the link says that none was needed.
probes=$(($(counter TX_TLP) + $(snmp srv TcpExt TCPLossProbes)))
for what in retransmission spurious_retransmission; do
	[ "$(seen srv $what)" -le $probes ] || fail "tshark: $(seen srv $what) of srv: $what, and $probes tail loss probes"
done
[ "$(seen srv bad_checksum)" = 0 ] || fail "tshark: $(seen srv bad_checksum) of srv: bad_checksum"
wire_clean
