#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Redis saves in a forked child again and again while clients work on offloaded connections: the child
# inherits every socket and uses none, so the parent's connections stay in hardware; every reply is checked.
#
#   cli kvcheck, redis-benchmark -- eth0 ---- veth ---- eth0 [toed] -- srv redis-server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark redis-cli

cli() { in_ns cli redis-cli -h "$SRV4" -p 6379 "$@"; }
saved() { cli info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
idle() { [ "$(saved rdb_bgsave_in_progress)" = 0 ]; }

topo_veth
toed_start srv
offloadable redis srv redis-server --port 6379 --bind "$SRV4" --save "" --appendonly no --protected-mode no \
	--dir "$LOGS"
eventually 10 listening srv 6379 || fail "redis did not start"
cli debug populate 10000 key 200 >/dev/null 2>&1 || in_ns cli redis-benchmark -h "$SRV4" -p 6379 -t set -r 10000 \
	-n 10000 -d 200 -P 16 -q >/dev/null
spawn check cli "$HELPERS/kvcheck" redis "$SRV4" 6379 --conns 8 --seconds 60 --seed "$SEED"
spawn bench cli redis-benchmark -h "$SRV4" -p 6379 -t set,get -d 100 -r 10000 -c 20 -n 100000000 -q
eventually 20 all_on kernel 28 || fail "connections not seen: $(ctl list | tail -3)"
ctl offload --all >/dev/null
eventually 20 all_on hardware 28 || fail "only $(on_path hardware) in hardware"
before=$(counter uploads)
for round in 1 2; do
	[ "$(cli bgsave)" = "Background saving started" ] || fail "BGSAVE, round $round"
	through_engine 0.5 90 bench check || fail "frames went past the engine in round $round"
	eventually 20 idle || fail "the child does not end"
	[ "$(saved rdb_last_bgsave_status)" = ok ] || fail "BGSAVE failed, round $round"
	all_on hardware 28 || fail "only $(on_path hardware) in hardware after round $round: $(ctl list | grep kernel | head -3)"
done
say "$(($(counter uploads) - before)) uploads during two saves"
# then with moves all the time
before=$(moves)
spawn flip srv "$HELPERS/flip" "$SEED" 50 --all -- "$B/toectl" --rundir "$RUNDIR"
for round in 3; do
	cli bgsave >/dev/null
	sleep 1
	eventually 20 idle || fail "the child does not end"
	[ "$(saved rdb_last_bgsave_status)" = ok ] || fail "BGSAVE failed, round $round"
done
stop flip
alive bench || fail "the benchmark ended: $(tail -1 "$LOGS/bench")"
stop check
grep -q 'kvcheck: ok' "$LOGS/check" || fail "$(tail -1 "$LOGS/check")"
[ $(($(moves) - before)) -ge 56 ] || fail "only $(($(moves) - before)) moves during the third save"
say "$(moves) moves, $(grep -o '[0-9]* replies' "$LOGS/check") checked"
