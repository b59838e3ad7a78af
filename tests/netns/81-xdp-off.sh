#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# The XDP program is taken off the interface under load, then replaced by another program, with toed running
# and while it is dead: the connections go on in the kernel, can be offloaded again after an attach, and every byte is right.
#
#   cli stream clients -- eth0 ---- veth ---- eth0 [toed] -- srv stream servers (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

attach() { in_ns srv "$B/toectl" --rundir "$RUNDIR" attach eth0 || fail "attach"; }
detached() { ! ctl --json stats | grep -q '"eth0"' && ! in_ns srv ip -d link show eth0 | grep -q prog/xdp; }

topo_veth
toed_start srv
load_start
say "xdp off"
in_ns srv ip link set dev eth0 xdp off || fail "xdp off"
eventually 5 in_kernel || fail "$(on_path hardware) connections still in hardware"
load_alive
flowing || fail "the streams stand still after xdp off"
attach
load_offload

say "another program in our place"
"$BIN/xdppass" "$BPFFS-other" || fail "xdppass"
in_ns srv ip -force link set dev eth0 xdp pinned "$BPFFS-other" || fail "cannot replace the program"
eventually 5 in_kernel || fail "$(on_path hardware) connections still in hardware"
load_alive
flowing || fail "the streams stand still under another program"
in_ns srv "$B/toectl" --rundir "$RUNDIR" attach eth0 >"$LOGS/attach" 2>&1 && fail "attached beside a foreign program"
grep -q 'cannot run beside' "$LOGS/attach" || fail "attach: $(cat "$LOGS/attach")"
in_ns srv ip link set dev eth0 xdp off
rm -f "$BPFFS-other"
attach
load_offload

say "xdp off while toed is dead"
kill -KILL "$TOED_PID"
wait "$TOED_PID" 2>/dev/null
in_ns srv ip link set dev eth0 xdp off || fail "xdp off"
toed_start srv
eventually 5 in_kernel || fail "$(on_path hardware) connections still in hardware"
flowing || fail "the streams stand still after the restart"
load_offload
load_finish
no_resets
