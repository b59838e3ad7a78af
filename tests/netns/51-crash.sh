#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# toed is killed while streams run in the engines. One that cannot start leaves them alone, one that can takes over:
# the streams go on, the new toed knows the connections and can move them, and stops properly.
#
#   cli stream client -- eth0 ---- veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
for style in epoll threads; do
	toed_start srv
	offloadable server srv "$BIN/stream" -n 4 -s $style -r 5M -c 100000 -w 1000 server
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n 4 -b 48M -S "$SEED" -s $style -r 5M -c 100000 -w 1000 client "$SRV4"
	eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 4' || fail "only $(on_path hardware) in hardware"
	kill -KILL "$TOED_PID"
	wait "$TOED_PID" 2>/dev/null
	sleep 1
	alive client && alive server || fail "a stream ended when toed was killed"
	in_ns srv "$B/toed" --rundir "$RUNDIR" --bpffs "$BPFFS" -i eth0 -i nosuch0 >>"$LOGS/toed" 2>&1 </dev/null &&
		fail "toed started without nosuch0"
	in_ns srv ip link show eth0 | grep -q xdp || fail "the one that could not start has detached eth0"
	toed_start srv
	eventually 5 all_on hardware 4 || fail "the new toed knows $(on_path hardware) connections in hardware"
	before=$(counter RX_SEGS)
	sleep 0.5
	[ "$(counter RX_SEGS)" -gt "$before" ] || fail "nothing goes through the engine any more"
	ctl upload --all || fail "upload by the new toed"
	ctl offload --all || fail "offload by the new toed"
	finish client 100 || fail "client, $style ($?)"
	finish server 30 || fail "server, $style ($?)"
	toed_stop || fail "the new toed did not stop properly"
done
