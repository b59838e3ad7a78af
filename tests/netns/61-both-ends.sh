#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both ends of the connections in the engines of one toed, attached to an interface in each of two network
# namespaces: engine talks to engine, flipping independently.
#
#   cli stream client (libtoe) -- [toed] eth0 ---- veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
in_ns cli tc qdisc del dev eth0 root	# frames of its engine would overtake those that wait in it
toed_start srv
in_ns cli "$B/toectl" --rundir "$RUNDIR" attach eth0 || fail "attach eth0 of the other namespace"
for style in threads epollet; do
	offloadable server srv "$BIN/stream" -n 2 -s $style -w 1000 -r 32M server
	eventually 10 logged server listening || fail "stream server did not start"
	offloadable client cli "$BIN/stream" -n 2 -b 32M -S "$SEED" -s $style -w 1000 -r 32M client "$SRV4"
	eventually 5 logged server connected || fail "no connection"
	eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 4' || fail "only $(on_path hardware) of 4 in hardware"
	spawn flip srv "$HELPERS/flip" "$SEED" 20 --all -- "$B/toectl" --rundir "$RUNDIR"
	finish client 120 || fail "client, $style ($?)"
	finish server 30 || fail "server, $style ($?)"
	stop flip
	say "$style: $(moves) moves"
done
[ "$(moves)" -ge 20 ] || fail "only $(moves) moves"
[ "$(counter RX_SEGS)" -gt 1000 ] || fail "the RX engines took $(counter RX_SEGS) segments"
[ "$(counter TX_SEGS)" -gt 1000 ] || fail "the TX engines sent $(counter TX_SEGS) segments"
