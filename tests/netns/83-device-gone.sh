#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# The interface is deleted under load, with toed running and while it is dead: the connections go back to the kernel,
# and when a device with that address is there again they go on, can be offloaded, and every byte is right.
#
#   cli stream clients -- eth0 ---- veth ---- eth0 [toed] -- srv stream servers (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

link() {
	ip link add eth0 netns "$RUN-cli" type veth peer name eth0 netns "$RUN-srv" || fail "no veth"
	addresses cli "$CLI4" "$CLI6"
	addresses srv "$SRV4" "$SRV6"
	for ns in cli srv; do in_ns "$ns" ethtool -K eth0 gro on >/dev/null || fail "no GRO on veth"; done
	in_ns cli tc qdisc replace dev eth0 root pfifo limit 4000 || fail "no pfifo"
}

namespaces
link
eventually 5 resolved || fail "no traffic between the namespaces"
toed_start srv
load_start
say "device deleted"
in_ns srv ip link del eth0 || fail "ip link del"
eventually 10 in_kernel || fail "$(on_path hardware) connections still in hardware"
load_alive
link
flowing || fail "the streams stand still on the new device"
in_ns srv "$B/toectl" --rundir "$RUNDIR" attach eth0 || fail "attach"
load_offload

say "device deleted while toed is dead"
kill -KILL "$TOED_PID"
wait "$TOED_PID" 2>/dev/null
in_ns srv ip link del eth0 || fail "ip link del"
link
toed_start srv
eventually 10 in_kernel || fail "$(on_path hardware) connections still in hardware"
flowing || fail "the streams stand still after the restart"
load_offload
load_finish
