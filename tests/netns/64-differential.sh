#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same scripted peer against kernel sockets and against offloaded ones: acknowledgements, SACK blocks, data,
# flags, timestamps and windows are the same, but for the differences of tests/diff/intended.txt.
#
#   scripted peer 10.99.0.1, fd99::1 (tests/diff/run) ---- TAP ---- eth0 [nothing, then toed] -- srv tests/diff/puppet
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

DIFF=$ROOT/tests/diff
/usr/bin/python3 -c 'import scapy.all' 2>/dev/null || skip "no python3-scapy"
namespaces
in_ns srv ip tuntap add eth0 mode tap
in_ns srv ip link set eth0 address 02:00:00:00:99:02
addresses srv "$SRV4" "$SRV6"
in_ns srv ip neigh add "$CLI4" lladdr 02:00:00:00:99:01 dev eth0 nud permanent extern_learn
in_ns srv ip neigh add "$CLI6" lladdr 02:00:00:00:99:01 dev eth0 nud permanent
mac=02:00:00:00:99:02

peer() {	# PORT OUTPUT ARGUMENTS OF run
	in_ns srv timeout 60 "$DIFF/run" eth0 "$mac" "$1" "$LOGS/$2.json" "${@:3}"
}

peer 40000 kernel4 --kernel -- "$DIFF/puppet" || fail "kernel run"
DIFF_V6=1 peer 40000 kernel6 --kernel -- "$DIFF/puppet" || fail "kernel run, IPv6"
toed_start srv
offload=(--offload "$B/toectl" --rundir "$RUNDIR" -- "$B/toectl" --rundir "$RUNDIR" run --require -- "$DIFF/puppet")
peer 41000 hardware4 "${offload[@]}" || fail "hardware run"
[ "$(counter RX_SEGS)" -ge 50 ] || fail "the RX engine took $(counter RX_SEGS) segments"
[ "$(counter TX_SEGS)" -ge 20 ] || fail "the TX engine sent $(counter TX_SEGS) segments"
segs4=$(counter RX_SEGS) tx4=$(counter TX_SEGS)
DIFF_V6=1 peer 42000 hardware6 "${offload[@]}" || fail "hardware run, IPv6"
[ "$(counter RX_SEGS)" -ge $((segs4 + 50)) ] || fail "the RX engine took $(counter RX_SEGS) segments, $segs4 of them of IPv4"
[ "$(counter TX_SEGS)" -ge $((tx4 + 20)) ] || fail "the TX engine sent $(counter TX_SEGS) segments, $tx4 of them of IPv4"
# toed asks the kernel to keep next hops fresh, but not those that others keep.
in_ns srv ip neigh show "$CLI4" | grep PERMANENT | grep -q extern_learn || fail "neighbour: $(in_ns srv ip neigh show "$CLI4")"
in_ns srv ip neigh show "$CLI6" | grep -q PERMANENT || fail "neighbour: $(in_ns srv ip neigh show "$CLI6")"
[ -z "${KEEP:-}" ] || cp "$LOGS"/*.json "$KEEP/"
for v in 4 6; do
	"$DIFF/compare" "$LOGS/kernel$v.json" "$LOGS/hardware$v.json" "$DIFF/intended.txt" || fail "differences, IPv$v"
done
