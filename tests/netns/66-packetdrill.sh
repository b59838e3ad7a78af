#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The scripts of tests/packetdrill in packetdrill's remote mode: the system under test is the wire client, under libtoe,
# in srv; the wire server in cli plays the peer. Debian 12 has no package of packetdrill.
#
#   cli packetdrill --wire_server -- eth0 ---- veth, tx off ---- eth0 [toed] -- srv packetdrill --wire_client (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

need packetdrill
topo_veth tx-off
toed_start srv
export TOE_OFFLOAD="$B/toectl --rundir $RUNDIR offload --all"
spawn peer cli packetdrill --wire_server --wire_server_dev=eth0
eventually 5 listening cli 8081 || fail "the wire server did not start"
for script in "$ROOT"/tests/packetdrill/*.pkt; do
	name=$(basename "$script" .pkt)
	segs=$(($(counter RX_SEGS) + $(counter RX_UPLOAD)))
	offloadable "$name" srv packetdrill --wire_client --wire_client_dev=eth0 --wire_server_ip="$CLI4" "$script"
	finish "$name" 30 || fail "$name ($?): $(tail -3 "$LOGS/$name")"
	[ $(($(counter RX_SEGS) + $(counter RX_UPLOAD))) -gt "$segs" ] || fail "$name: no segment met the engines"
	say "$name"
done
