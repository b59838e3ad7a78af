# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced after lib.sh: streams under load, in the engines, that a scenario then disturbs.
#
# LOAD_ADDR: the server's address, SRV4. LOAD_CONNS: connections of each of the two styles, 3. LOAD_RATE: bytes a second
# each way on each, 300000. LOAD_S: for so many seconds at most, 120.

LOAD_ADDR=${LOAD_ADDR:-$SRV4} LOAD_CONNS=${LOAD_CONNS:-3} LOAD_RATE=${LOAD_RATE:-300000} LOAD_S=${LOAD_S:-120} LOAD_STYLES="epoll threads"

load_pair() {	# STYLE PORT BYTES RATE
	local opts=(-n "$LOAD_CONNS" -p "$2" -s "$1" -r "$4" -c 60000 -T 60 -D $(((LOAD_S + 50) * ${TOE_PATIENCE:-1})))
	offloadable "server-$1" srv "$BIN/stream" "${opts[@]}" server
	eventually 10 logged "server-$1" listening || fail "stream server did not start"
	spawn "client-$1" cli "$BIN/stream" "${opts[@]}" -b "$3" -S "$SEED" client "$LOAD_ADDR"
}

# load_start: both ways on each connection for LOAD_S seconds, or until load_finish; all in hardware
load_start() {
	local style port=7000
	for style in $LOAD_STYLES; do load_pair "$style" $((port++)) $((LOAD_S * LOAD_RATE)) "$LOAD_RATE"; done
	eventually 10 all_on kernel $((2 * LOAD_CONNS)) || fail "only $(on_path kernel) connections seen"
	load_offload
}

load_offload() {
	eventually "${1:-10}" eval 'ctl offload --all >/dev/null; all_on hardware $((2 * LOAD_CONNS))' ||
		fail "only $(on_path hardware) of $((2 * LOAD_CONNS)) in hardware: $(ctl list)"
	load_moving
}

grown() { [ "$(counter "$1")" -gt "$2" ]; }

# load_moving: data goes through both engines
load_moving() {
	local rx tx
	rx=$(counter RX_SEGS) tx=$(counter TX_SEGS)
	eventually 20 grown RX_SEGS $((rx + 100)) || fail "nothing comes in through the engine"
	eventually 20 grown TX_SEGS $((tx + 100)) || fail "nothing goes out through the engine"
}

in_kernel() { [ "$(on_path hardware)" = 0 ]; }

# load_kernel REASON: all have been uploaded, for that reason
load_kernel() {
	eventually 10 in_kernel || fail "$(on_path hardware) connections are still in hardware"
	[ -z "${1:-}" ] || [ "$(ctl --json list | "$BIN/jsonget" --count why "$1")" -gt 0 ] ||
		fail "the reason is not '$1': $(ctl list)"
	load_alive
}

load_alive() {
	local name
	for name in $LOAD_STYLES; do
		alive "client-$name" || fail "client: $(tail -1 "$LOGS/client-$name")"
		alive "server-$name" || fail "server: $(tail -1 "$LOGS/server-$name")"
	done
	toed_alive || fail "toed is gone"
}

# load_finish: every byte was right
load_finish() {
	local style
	load_alive
	for style in $LOAD_STYLES; do kill -USR1 "${PID[client-$style]}" "${PID[server-$style]}"; done
	for style in $LOAD_STYLES; do
		finish "client-$style" 120 || fail "client, $style ($?): $(tail -1 "$LOGS/client-$style")"
		finish "server-$style" 60 || fail "server, $style ($?): $(tail -1 "$LOGS/server-$style")"
	done
}

# flowing: data arrives in both directions on each connection, through kernel or engine
flowing() { eventually 30 moved_on "$(client_bytes)"; }
moved_on() { client_bytes | python3 "$HELPERS/moved.py" "$1"; }
client_bytes() { in_ns cli ss -Htni state established; }	# their bytes_acked and bytes_received
