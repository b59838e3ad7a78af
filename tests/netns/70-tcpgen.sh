#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tcpgen drives an echo server, redis and memcached, on the kernel path, then offloaded: every reply is right, the engines
# count each request, and both ends close in order, from either path.
#
#   cli tcpgen (XDP on eth0) -- eth0 ---- veth ---- eth0 [toed] -- srv echo, redis, memcached (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need redis-server redis-cli memcached

GEN=$B/tcpgen
ECHO=$B/tests/bench/echo
TEXT='0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n'

value() { sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p' "$LOGS/result"; }

# One measurement of the running generator, its line of JSON to $LOGS/result
measure() {
	local lines
	lines=$(wc -l <"$LOGS/gen")
	echo "measure 0.2" >&3
	eventually 20 has_lines "$lines" || fail "no result: $(cat "$LOGS/gen.err")"
	tail -1 "$LOGS/gen" >"$LOGS/result"
}
has_lines() { [ "$(wc -l <"$LOGS/gen")" -gt "$1" ]; }

right() {	# WHAT
	local key
	say "$1: $(value per_second) replies/s, p50 $(value p50) us"
	[ "$(value replies)" -gt 100 ] || fail "$1: $(value replies) replies"
	[ "$(value compared)" -gt 0 ] || fail "$1: no reply was compared"
	[ "$(value bytes)" = $(($(value replies) * $(value reply_bytes))) ] || fail "$1: bytes $(value bytes)"
	for key in wrong_content too_long closed no_room stuck timeouts duplicates out_of_order; do
		[ "$(value $key)" = 0 ] || fail "$1: $key $(value $key)"
	done
}

# drive NAME PORT CONNECTIONS ARGUMENTS...: all three phases
drive() {
	local name=$1 port=$2 conns=$3 seen
	shift 3
	mkfifo "$LOGS/orders"
	: >"$LOGS/gen"		# the word of the one before must not be taken for this one's
	exec_ns cli "$GEN" --control -w 50 -c "$conns" "$@" "$port" <"$LOGS/orders" >"$LOGS/gen" 2>"$LOGS/gen.err" &
	PID[gen]=$!
	ORDER+=(gen)
	exec 3>"$LOGS/orders"
	eventually 20 has_lines 0 || fail "$name: $(cat "$LOGS/gen.err")"
	measure; right "$name, kernel"
	ctl offload --port "$port" >"$LOGS/offload" 2>&1 || fail "$name: $(cat "$LOGS/offload")"
	all_on hardware "$conns" || fail "$name: $(on_path hardware) in hardware"
	seen=$(counter RX_SEGS)
	measure; right "$name, hardware"
	seen=$(($(counter RX_SEGS) - seen))
	((seen >= $(value segments_out))) || fail "$name: $seen segments through the engine, $(value segments_out) sent"
	if [ -n "${BACK:-}" ]; then
		ctl upload --port "$port" >/dev/null || fail "$name: upload"
		seen=$(counter RX_SEGS)
		measure; right "$name, kernel again"
		[ "$(counter RX_SEGS)" = "$seen" ] || fail "$name: segments through the engine after the upload"
	fi
	echo quit >&3
	exec 3>&-
	finish gen 20 || fail "$name: tcpgen ended with $?: $(cat "$LOGS/gen.err")"
	rm "$LOGS/orders"
	eventually 10 closed "$port" || fail "$name: left over: $(in_ns srv ss -Htn "sport = :$port" | head -3)"
}
closed() { [ -z "$(in_ns srv ss -Htn "sport = :$1"; in_ns cli ss -Htn state established dport = ":$1")" ]; }

set_up() {
	topo_veth "$1"
	toed_start srv
	offloadable echo srv "$ECHO" 7000
	offloadable redis srv redis-server --port 6379 --bind "$SRV4" --unixsocket "$LOGS/redis.sock" --save "" \
		--appendonly no --protected-mode no
	offloadable memcached srv memcached -u root -l "$SRV4" -p 11211 -t 2
	eventually 10 logged echo listening || fail "echo did not start"
	eventually 10 listening srv 6379 || fail "redis did not start"
	eventually 10 listening srv 11211 || fail "memcached did not start"
	redis-cli -s "$LOGS/redis.sock" set key "$(printf '%064d' 7)" >/dev/null || fail "redis: set"
	in_ns srv bash -c "exec 4<>/dev/tcp/$SRV4/11211; printf 'set key 0 0 64\r\n%064d\r\n' 7 >&4; read -r -t 5 -u 4" ||
		fail "memcached: set"
}

set_up tx-off
BACK=yes drive "echo, IPv4" 7000 10 -q "$TEXT" "$SRV4"
drive "echo, IPv6, 1000 bytes" 7000 10 -s 1 -q "$(printf '%01000d' 1)" "$SRV6"
drive "echo, depth 8" 7000 20 -s 1 -d 8 -q "$TEXT" "$SRV4"
drive "echo, 600 connections" 7000 600 -q "$TEXT" "$SRV4"
drive "redis GET" 6379 10 -q '*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n' "$SRV4"
SET='*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$64\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n'
drive "redis SET" 6379 10 -q "$SET" "$SRV4"
drive "memcached get" 11211 10 -d 4 -q 'get key\r\n' "$SRV4"
say "$(retransmissions)"
for ns in cli srv; do
	[ "$(snmp $ns Tcp RetransSegs)" = 0 ] || fail "retransmissions in $ns"
	[ "$(snmp $ns Tcp OutRsts)" = 0 ] || fail "resets by $ns"
done
[ "$(counter TX_RTX)" = 0 ] || fail "the engine retransmitted"
segs=$(counter TX_SEGS) batches=$(counter TX_BATCHES) in_batches=$(counter TX_BATCH_SEGS)
say "$segs segments, $in_batches in $batches batches"
((in_batches * 2 > segs && in_batches > 3 * batches)) || fail "answers to several sockets do not leave together"
