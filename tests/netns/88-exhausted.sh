#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every kind of room runs out: HW_CONNIDs, ring memory (its limit, then the memory itself), toed's descriptors, the
# table, the hold ring. Connections stay on the kernel path, or get there, a reason or a counter says so, streams
# go on, and when there is room again connections move again, without a restart.
#
#   cli stream clients -- eth0 ---- veth ---- eth0 [toed] -- srv stream servers (libtoe; one over IPv4, one over IPv6)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/load.sh
. "$(dirname "$0")/load.sh"

printf '[toed]\nmax-connections = 16\n' >"$LOGS/toed.conf"
LOAD_CONNS=10
topo_veth
toed_start srv -c "$LOGS/toed.conf"
load_pair epoll 7000 36000000 150000
LOAD_ADDR=$SRV6 load_pair threads 7001 36000000 150000
eventually 10 all_on kernel 20 || fail "only $(on_path kernel) connections seen"

because() { ctl --json list | "$BIN/jsonget" --count why "$1"; }
some_hw() { ctl offload --all >"$LOGS/offload" 2>&1; [ "$(on_path hardware)" -ge "$1" ]; }
reset() { ctl upload --all >/dev/null; eventually 5 in_kernel || fail "upload: $(on_path hardware) still in hardware"; }

say "HW_CONNIDs: 16 for 20 connections"
eventually 10 some_hw 16 || fail "only $(on_path hardware) in hardware"
[ "$(on_path hardware)" = 16 ] || fail "$(on_path hardware) connections in hardware, 16 are allowed"
[ "$(because 'no free HW_CONNID')" = 4 ] || fail "reason: $(ctl list)"
reset
load_alive

say "descriptors"
# the limit below which four numbers are free
low=$(find "/proc/$TOED_PID/fd" -mindepth 1 -printf '%f\n' | sort -n |
	awk '{ used[$1] = 1 } END { for (n = 0; free < 4; n++) free += !(n in used); print n }')
limits=$(prlimit --pid "$TOED_PID" --nofile --noheadings --raw --output SOFT)
prlimit --pid "$TOED_PID" --nofile="$low":
some_hw 16
n=$(on_path hardware)
((n < 16)) || fail "$n offloaded with four descriptors left"
[ "$(because 'toed has no free descriptor')" -gt 0 ] || fail "reason: $(ctl list)"
load_alive
prlimit --pid "$TOED_PID" --nofile="$limits":
eventually 10 some_hw 16 || fail "no recovery: $(ctl list)"
reset

say "memory: no more address space"
# slabs that applications have are kept: new ones are needed when the rings of a new application are
size=$(awk '/VmSize/ { print $2 * 1024 }' "/proc/$TOED_PID/status")
prlimit --pid "$TOED_PID" --as=$((size + 100000)):
offloadable late srv "$BIN/stream" -p 7002 -n 1 -s poll -r 400K server
eventually 10 logged late listening || fail "no server"
spawn late-client cli "$BIN/stream" -p 7002 -n 1 -s poll -r 400K -b 8M -S "$SEED" client "$SRV4"
eventually 5 logged late-client connected || fail "no connection"
sleep 0.5
ctl offload --port 7002 >"$LOGS/offload" 2>&1
[ "$(ctl --json list | python3 -c 'import json, sys
print(sum(c["path"] == "hardware" for c in json.load(sys.stdin)["connections"] if ":7002" in c["local"]))')" = 0 ] ||
	say "(the spare slab was enough)"
load_alive
alive late-client || fail "the late client: $(tail -1 "$LOGS/late-client")"
prlimit --pid "$TOED_PID" --as=unlimited:
eventually 10 some_hw 16 || fail "no recovery: $(ctl list)"
reset

say "table full"
"$BIN/fillmap" "$BPFFS/hw_conn_t" fill >"$LOGS/fillmap" || fail "fillmap"
full=$(counter SO_FULL)
offloadable new srv "$BIN/stream" -p 7003 -n 2 -s poll -r 400K server
eventually 10 logged new listening || fail "no server"
spawn new-client cli "$BIN/stream" -p 7003 -n 2 -s poll -r 400K -b 8M -S "$SEED" client "$SRV4"
eventually 5 logged new-client connected || fail "no connection while the table is full"
[ "$(counter SO_FULL)" -gt "$full" ] || fail "SO_FULL counts $(($(counter SO_FULL) - full))"
"$BIN/fillmap" "$BPFFS/hw_conn_t" empty >>"$LOGS/fillmap" || fail "fillmap"
seen_new() { [ "$(ctl --json list | grep -c '"local": *".*:7003"')" -gt 0 ]; }	# all of it is read: a pipe that breaks counts as not seen
eventually 10 seen_new || fail "connections that found the table full are not seen later: $(ctl list)"
eventually 10 eval 'ctl offload --port 7003 >/dev/null; all_on hardware 2' || fail "no recovery: $(ctl list)"
finish late-client 60 || fail "the late client ($?)"
finish new-client 60 || fail "the new client ($?)"

say "hold ring: toed stands still while the peers send, and every connection is held"
eventually 10 some_hw 16 || fail "only $(on_path hardware) in hardware"
ctl --json show --all >"$LOGS/targets"
for port in 7000 7001; do	# IPv4 and IPv6
	[ "$(ctl list --port $port | grep -c hardware)" -gt 0 ] || fail "none of port $port is in hardware"
done
full=$(counter RX_HOLD_FULL) held=$(counter RX_HELD)
kill -STOP "$TOED_PID"
in_ns cli "$HELPERS/inject" 250 <"$LOGS/targets" || fail "inject"
kill -USR1 "${PID[client-epoll]}" "${PID[client-threads]}"	# as fast as the windows let them
sleep 4
kill -CONT "$TOED_PID"
# a window that was closed, as its reader lagged behind, was not met
inject_again() { in_kernel || { ctl --json show --all | in_ns cli "$HELPERS/inject" 250 >/dev/null; in_kernel; }; }
eventually 10 inject_again || fail "$(on_path hardware) connections still in hardware"
say "$(($(counter RX_HELD) - held)) frames held, $(($(counter RX_HOLD_FULL) - full)) found the ring full"
(($(counter RX_HOLD_FULL) > full)) || fail "the hold ring was never full: $(($(counter RX_HELD) - held)) frames held"
load_alive
eventually 10 some_hw 16 || fail "no recovery: $(ctl list)"
load_finish
no_resets
