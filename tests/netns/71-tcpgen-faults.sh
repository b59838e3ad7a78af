#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What tcpgen has to survive (a lossy, reordering, repeating link; IPv4, IPv6; a toed that carries on meanwhile)
# and what it has to notice: a reply with a wrong byte, too long, too short, none, a closed connection.
#
#   cli tcpgen -- eth0 -- lossy -- eth0 [toed] -- srv echo (libtoe), badserver
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

GEN=$B/tcpgen
value() { sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p' "$LOGS/result"; }
gen() { in_ns cli timeout 60 "$GEN" --json -t 1 "$@" >"$LOGS/result" 2>"$LOGS/gen.err"; }

survives() {	# NAME ADDRESS ARGUMENTS
	local name=$1 key
	shift
	gen -s 1 -T 20 "$@" 7000 || fail "$name: $(cat "$LOGS/gen.err" "$LOGS/result")"
	say "$name: $(value replies) replies, $(value timeouts) timeouts, $(value duplicates) duplicates, $(value out_of_order) out of order"
	[ "$(value bytes)" = $(($(value replies) * $(value reply_bytes))) ] || fail "$name: bytes"
	for key in wrong_content too_long closed stuck; do [ "$(value $key)" = 0 ] || fail "$name: $key"; done
	(($(value timeouts) > 0 && $(value duplicates) > 0)) || fail "$name: the link lost nothing"
}

# notices FAULT KEY: status 3, and that counter
notices() {
	spawn bad srv python3 "$HELPERS/badserver" 7001 "$1"
	eventually 10 logged bad listening || fail "badserver did not start"
	gen -s 1 -w 0 -c 2 --give-up 400 -q "0123456789abcdef0123" "$SRV4" 7001
	[ $? = 3 ] || fail "$1: the exit status does not say so: $(cat "$LOGS/result" "$LOGS/gen.err")"
	[ "$(value "$2")" -gt 0 ] || fail "$1: $2 is 0: $(cat "$LOGS/result")"
	say "$1 is noticed: $2 $(value "$2")"
	stop bad
}

# A SYN-ACK that comes once more, after the program has taken the connection over, ends nothing.
if [ "${1:-}" = handshakes ]; then
	topo_lossy -d 50 -r 30
	spawn echo srv "$B/tests/bench/echo" 7000
	eventually 10 logged echo listening || fail "echo did not start"
	for round in 1 2 3 4 5 6; do
		gen -t 0.1 -w 0 -s 1 -T 20 -c 20 -q "$(printf '%0300d' 5)" "$SRV4" 7000 ||
			fail "handshakes, round $round: $(cat "$LOGS/gen.err" "$LOGS/result")"
	done
	exit
fi
"$0" handshakes || exit
topo_lossy -l 2 -r 2 -d 2
toed_start srv --policy auto
offloadable echo srv "$B/tests/bench/echo" 7000
eventually 10 logged echo listening || fail "echo did not start"
survives "IPv4, depth 4" -c 8 -d 4 -q "$(printf '%0300d' 5)" "$SRV4"
[ "$(counter RX_SEGS)" -gt 0 ] || fail "no segment through the engine"
survives "IPv6, replies of four segments" -c 4 -d 4 -q "$(printf '%01400d' 5)" "$SRV6"
notices wrong wrong_content
notices long too_long
notices short stuck
notices silent stuck
notices close closed
