#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A segment passed the engine on its way up, and the socket has refused it: what it would have brought is missing, and nothing is on its
# way. The connection can be offloaded all the same, though not at the first try.
#
#   cli echo client, inject -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

passed() { [ "$(counter RX_PASS)" -gt "$1" ]; }

topo_veth
toed_start srv
echo_pair
echo 1000 >&3
eventually 5 logged client "ok 1000" || fail "no echo"
eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"
ctl --json show --all >"$LOGS/shown"
ctl upload --all >/dev/null || fail "upload"
before=$(counter RX_PASS)
in_ns cli python3 "$HELPERS/inject" data <"$LOGS/shown" >"$LOGS/inject" || fail "inject: $(tail -1 "$LOGS/inject")"
eventually 5 passed "$before" || fail "the segment did not come"
ctl offload --all >"$LOGS/offload" || fail "$(cat "$LOGS/offload")"
all_on hardware 1 || fail "not in hardware: $(cat "$LOGS/offload")"
segs=$(counter RX_SEGS)
echo 2000 >&3
eventually 5 logged client "ok 2000" || fail "no echo in hardware: $(tail -1 "$LOGS/client")"
[ "$(counter RX_SEGS)" -gt "$segs" ] || fail "the engine took nothing"
exec 3>&-
finish client 10 || fail "client ($?)"
toed_alive || fail "toed is gone"
nothing_lost
