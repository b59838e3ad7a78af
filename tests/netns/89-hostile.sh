#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A hostile application writes a million random values into everything it shares with toed and the engines (SONODE
# table, rings and their control blocks, wake block, eventfd, TAP) while its connections are moved. It can break those
# only: the streams of another application beside it are right to the last byte, toed goes on, nothing is left.
# WRITES says how many.
#
#   cli stream clients, chatter -- eth0 ---- veth ---- eth0 [toed] -- srv stream servers (libtoe), shmfuzz
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

topo_veth
toed_start srv
spawn chatter cli python3 "$HELPERS/echo" chatter 7100
eventually 10 logged chatter listening || fail "no server"
load_start
spawn fuzz srv "$BIN/shmfuzz" "$RUNDIR" "$SEED" "${WRITES:-1000000}" "$CLI4" 7100
spawn flip srv "$HELPERS/flip" "$SEED" 300 --all -- "$B/toectl" --rundir "$RUNDIR"
finish fuzz 120 || fail "shmfuzz ($?): $(tail -1 "$LOGS/fuzz")"
stop flip
say "$(tail -1 "$LOGS/fuzz")"
done=$(sed -n 's/.* \([0-9]*\) offloads done.*/\1/p' "$LOGS/fuzz")
((done > 20)) || fail "only ${done:-0} offloads of the hostile application"
load_alive
[ "$(counter RX_BAD_RING)" -gt 100 ] || fail "the engine refused only $(counter RX_BAD_RING) ring positions"
say "BAD_RING $(counter RX_BAD_RING), MALFORMED $(counter TX_MALFORMED), STALE $(counter TX_STALE), failed moves $(counter failed)"
load_offload
left() { ctl --json list | grep -c ':7100"'; }
eventually 10 eval '[ "$(left)" = 0 ]' || fail "$(left) connections of the hostile application are left"
load_finish
toed_alive || fail "toed is gone"
