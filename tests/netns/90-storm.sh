#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The storm: some 200 connections of different programs over a link that loses, repeats and reorders, while
# connections move back and forth at random, one, some or all, and toed is killed with SIGKILL and started
# again at random. Then calm, and every stream ends intact.
# TOE_SEED sets the seed, STORM_SECONDS how long (20; `make storm`: 600), STORM_KILLS: yes (also in the middle of
# moves), no (leaves toed alone) or idle (kills it only while no move is asked for).
#
#   cli stream, kvcheck, echo clients -- eth0 ---- lossy ---- eth0 [toed] -- srv stream, redis, memcached, echo (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need redis-server memcached

seconds=${STORM_SECONDS:-20} rate=60000
kill_when=${STORM_KILLS:-yes}
RANDOM=$((SEED % 32768))
say "seed $SEED, $seconds s"
topo_lossy -l 0.5 -d 0.2 -r 1 -t 200 -j 100
toed_start srv

clients=() streams=()
stream_pair() {	# STYLE PORT CONNECTIONS
	local opts=(-n "$3" -p "$2" -s "$1" -r $rate -c 30000 -T 90 -D $((seconds * 3 + 120)))
	offloadable "server-$1" srv "$BIN/stream" "${opts[@]}" server
	eventually 10 logged "server-$1" listening || fail "stream server did not start"
	spawn "stream-$1" cli "$BIN/stream" "${opts[@]}" -b $((rate * seconds)) -S "$SEED" client "$SRV4"
	streams+=("stream-$1" "server-$1")
}

port=7000
for style in threads epoll epollet poll select; do stream_pair $style $((port++)) 16; done
offloadable redis srv redis-server --port 6379 --bind "$SRV4" --save "" --appendonly no --protected-mode no
offloadable memcached srv memcached -u nobody -U 0 -p 11211 -l "$SRV4" -t 4
offloadable echo srv python3 "$HELPERS/echo" server 7100
eventually 10 listening srv 6379 && eventually 10 listening srv 11211 && eventually 10 listening srv 7100 ||
	fail "a server did not start"
check=("$HELPERS/kvcheck" --conns 40 --seconds 100000 --max 4000 --pause 0.05 --timeout 90)
spawn check-redis cli "${check[@]}" --seed "$SEED" redis "$SRV4" 6379
spawn check-memcached cli "${check[@]}" --seed $((SEED + 1)) memcached "$SRV4" 11211
spawn load-echo cli python3 "$HELPERS/echo" load "$SRV4" 7100 40 "$SEED"
clients=(check-redis check-memcached load-echo)
eventually 20 all_on kernel 200 || fail "only $(on_path kernel) connections seen"

# --- the storm -------------------------------------------------------------------------------------

ports=(7000 7001 7002 7003 7004 6379 11211 7100)
some() { echo "--port ${ports[RANDOM % 8]}"; }
moves=0 moved=0 kills=0 end=$((SECONDS + seconds))

ask() {	# VERB SELECTION: what it says is counted; a refusal is none of this test's business
	local n
	# shellcheck disable=SC2086 # a selection is several words
	n=$(ctl --json "$1" $2 2>/dev/null | "$BIN/jsonget" moved 2>/dev/null)
	moves=$((moves + 1)) moved=$((moved + ${n:-0}))
}

strike() {
	kill -KILL "$TOED_PID"
	wait "$TOED_PID" 2>/dev/null
	sleep "0.$((RANDOM % 10))"
	toed_start srv
	kills=$((kills + 1))
}

# In the middle of moves: the request is on its way when the signal comes.
strike_moving() {
	local asker
	ask "$1" --all &
	asker=$!
	sleep "0.0$((RANDOM % 10))"
	strike
	wait $asker
}

look() {	# has anything ended? Streams may, clients may not
	local name left=()
	for name in "${clients[@]}"; do
		alive "$name" || fail "$name has ended: $(tail -1 "$LOGS/$name")"
	done
	for name in "${streams[@]}"; do
		if alive "$name"; then left+=("$name"); else finish "$name" 1 || fail "$name ($?): $(tail -1 "$LOGS/$name")"; fi
	done
	streams=("${left[@]}")
}

while ((SECONDS < end)); do
	case $((RANDOM % 12)) in
	0 | 1 | 2) ask offload --all ;;
	3) ask upload --all ;;
	4 | 5 | 6) ask offload "$(some)" ;;
	7 | 8 | 9) ask upload "$(some)" ;;
	10) [ "$kill_when" = no ] || strike ;;
	11) [ "$kill_when" != yes ] || strike_moving "$([ $((RANDOM % 2)) = 0 ] && echo offload || echo upload)" ;;
	esac
	toed_alive || fail "toed is gone: $(tail -2 "$LOGS/toed")"
	sleep "0.$(printf %02d $((RANDOM % 30)))"
	look
done
say "$moves requests, $moved connections moved, toed killed $kills times, $(on_path hardware) in hardware"

# --- calm ------------------------------------------------------------------------------------------

for name in "${clients[@]}"; do kill -TERM "${PID[$name]}" || fail "$name is gone: $(tail -1 "$LOGS/$name")"; done
for name in "${clients[@]}"; do finish "$name" 45 || fail "$name ($?): $(tail -1 "$LOGS/$name")"; done
for name in "${streams[@]}"; do finish "$name" $((seconds / 10 + 45)) || fail "$name ($?): $(tail -1 "$LOGS/$name")"; done
say "$(tail -qn 1 "$LOGS"/check-* "$LOGS"/load-echo | tr '\n' ';')"
toed_alive || fail "toed is gone"
((moved > seconds * 10)) || fail "only $moved connections moved"
[ "$kill_when" = no ] || ((kills > 0)) || fail "toed was never killed"
for name in RX_SEGS TX_SEGS RX_OOO; do
	[ "$(counter $name)" -gt 0 ] || fail "counter $name stayed 0"
done
