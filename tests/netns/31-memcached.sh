#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# memcached, several threads, under libtoe; a client checks every reply while the connections move.
#
#   cli kvcheck -- eth0 ---- wire ---- eth0 [toed] -- srv memcached (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need memcached

topo_wire
toed_start srv
offloadable memcached srv memcached -u nobody -U 0 -p 11211 -l "$SRV4" -t 4
eventually 10 listening srv 11211 || fail "memcached did not start"
spawn check cli "$HELPERS/kvcheck" memcached "$SRV4" 11211 --conns 40 --seconds 60 --seed "$SEED"
eventually 10 all_on kernel 40 || fail "connections not seen"
eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 40' || fail "only $(on_path hardware) of 40 in hardware"
through_engine 3 99 check || fail "frames went past the engine"
kv_flipping 5 400
nothing_lost
