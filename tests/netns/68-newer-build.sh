#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# toed is killed under load, and the one that starts is of a build that lays its maps out otherwise: it has the program
# of the dead one bring the connections back to the kernel, makes its own maps, and moves them again. And back: a
# downgrade. Every byte comes back.
#
#   cli echo load -- eth0 ---- veth ---- eth0 [toed, then another build's] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

NEXT=$B/tests/toed-next
[ -x "$NEXT" ] || fail "not built: $NEXT"
killed() { kill -KILL "$TOED_PID"; wait "$TOED_PID" 2>/dev/null; }
# A new connection makes the library look for a new toed.
knock() { in_ns cli bash -c "exec 3<>/dev/tcp/$SRV4/7100"; }
offloaded() { eventually 10 eval 'knock; ctl offload --all >/dev/null; all_on hardware 4' || fail "$1: only $(on_path hardware) in hardware"; }
alive_all() { alive client && alive server || fail "$1: a stream has ended: $(tail -1 "$LOGS/client")"; }

topo_veth
toed_start srv
OURS=$(cd "$RUNDIR" && echo toed-layout-*)
[ "$OURS" != toed-layout-999 ] && [ -e "$RUNDIR/$OURS" ] || fail "no program is kept: $(ls "$RUNDIR")"
offloadable server srv python3 "$HELPERS/echo" server 7100
eventually 10 logged server listening || fail "server did not start"
spawn client cli python3 "$HELPERS/echo" load "$SRV4" 7100 4 "$SEED"
eventually 10 logged client connected || fail "no connection"
offloaded "first build"
killed
before=$(grep -c "go back to the kernel" "$LOGS/toed")
TOED=$NEXT toed_start srv
[ "$(grep -c "go back to the kernel" "$LOGS/toed")" -gt "$before" ] || fail "the newer build did not look for another layout"
[ ! -e "$RUNDIR/$OURS" ] && [ -e "$RUNDIR/toed-layout-999" ] || fail "programs kept: $(ls "$RUNDIR")"
[ "$(on_path hardware)" = 0 ] || fail "connections are in hardware under the newer build"
alive_all "newer build"
offloaded "newer build"
eventually 5 eval '[ "$(counter RX_SEGS)" -gt 100 ]' || fail "nothing goes through the newer build's engine"
killed
toed_start srv
[ ! -e "$RUNDIR/toed-layout-999" ] || fail "the program of the newer build was not used: $(ls "$RUNDIR")"
alive_all "older build"
offloaded "older build"
kill -TERM "${PID[client]}"
finish client 30 || fail "client ($?): $(tail -1 "$LOGS/client")"
toed_stop || fail "toed does not stop"
[ ! -e "$RUNDIR/$OURS" ] || fail "a program stayed in $RUNDIR"
