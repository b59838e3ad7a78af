#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# redis-benchmark with 50 and 1000 connections, without and with pipelining, against redis under libtoe;
# beside it a client that checks every reply. At least 99 of 100 frames go through the engines.
#
#   cli redis-benchmark, kvcheck -- eth0 ---- wire ---- eth0 [toed] -- srv redis-server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark

topo_wire
toed_start srv
offloadable redis srv redis-server --port 6379 --bind "$SRV4" --save "" --appendonly no --protected-mode no
eventually 10 listening srv 6379 || fail "redis did not start"

fill() { redis-benchmark -h "$SRV4" -p 6379 -t set,get -d 100 -r 10000 --csv "$@"; }

measure() {	# CONNECTIONS PIPELINE
	in_ns cli bash -c "$(declare -f fill); SRV4=$SRV4; fill -n 20000 -c $1 -P $2" >"$LOGS/warm" 2>&1 ||
		fail "redis-benchmark, short run"
	spawn check cli "$HELPERS/kvcheck" redis "$SRV4" 6379 --conns 4 --seconds 60 --seed "$SEED"
	spawn bench cli redis-benchmark -h "$SRV4" -p 6379 -t get -d 100 -r 10000 --csv -c "$1" -P "$2" -n 1000000000
	eventually 20 all_on kernel $(($1 + 4)) || fail "connections not seen: $(ctl list | tail -3)"
	ctl offload --all >"$LOGS/offload" 2>&1
	eventually 20 all_on hardware $(($1 + 4)) || fail "only $(on_path hardware) in hardware: $(cat "$LOGS/offload")"
	through_engine 1 99 bench check || fail "frames went past the engine"
	alive bench || fail "the benchmark ended before it was measured"
	ctl upload --all >/dev/null || fail "upload"
	ctl offload --all >/dev/null || fail "second offload"
	alive bench || fail "redis-benchmark: $(tail -1 "$LOGS/bench")"
	stop bench
	stop check
	grep -q 'kvcheck: ok' "$LOGS/check" || fail "$(tail -1 "$LOGS/check")"
	say "$1 connections, pipeline $2: $(grep -o '[0-9]* replies' "$LOGS/check") checked"
}

for conns in 50 1000; do
	for depth in 1 16; do
		measure $conns $depth
	done
done
nothing_lost
