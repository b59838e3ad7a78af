#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# toed is stopped and started again under a running program: what the library knew of the old toed
# (queue pairs, slabs, table) is void, new connections move as at first, and so does one that lives through all.
#
#   cli echo client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed, three times] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

mkfifo "$LOGS/orders-old"
exec 4<>"$LOGS/orders-old"
old_echoed() { [ "$(grep -c '^ok ' "$LOGS/old")" -ge "$1" ]; }
echoed() { [ "$(grep -c '^ok ' "$LOGS/client")" -ge "$1" ]; }

topo_veth
toed_start srv
offloadable server srv python3 "$HELPERS/echo" server 7100
eventually 10 logged server listening || fail "server did not start"
mkfifo "$LOGS/orders"
spawn old cli python3 "$HELPERS/echo" client "$SRV4" 7100 "$LOGS/orders-old"
eventually 10 logged old connected || fail "the old client did not connect"
# The server says hello with its next request, and tells which connections it has.
known() { [ "$(ctl --json list | "$BIN/jsonget" --list pid | grep -cvx 0)" = 2 ]; }
nr=0
for round in first second third; do
	spawn client cli python3 "$HELPERS/echo" client "$SRV4" 7100 "$LOGS/orders"
	exec 3>"$LOGS/orders"
	echo 10 >&3
	eventually 10 echoed 1 || fail "no echo on the kernel path under the $round toed"
	echo 10 >&4			# a new toed sees an old connection with its next round trip
	nr=$((nr + 1))
	eventually 10 old_echoed $nr || fail "no echo on the old connection under the $round toed"
	eventually 10 all_on kernel 2 || fail "not listed under the $round toed: $(ctl list)"
	eventually 5 known || fail "the server does not know the $round toed: $(ctl list)"
	ctl offload --all || fail "offload under the $round toed"
	all_on hardware 2 || fail "connections are not in hardware under the $round toed: $(ctl list)"
	for size in 1 1448 70000; do echo $size >&3; echo $size >&4; done
	nr=$((nr + 3))
	eventually 10 old_echoed $nr || fail "no echo on the old connection under the $round toed"
	eventually 10 echoed 4 || fail "no echo on the hardware path under the $round toed"
	[ "$(counter TX_SEGS)" -gt 3 ] || fail "nothing left through the engine under the $round toed"
	toed_stop || fail "the $round toed did not stop properly"
	echo 70000 | tee /dev/fd/3 >&4
	nr=$((nr + 1))
	eventually 10 old_echoed $nr || fail "no echo on the old connection after the $round toed stopped"
	eventually 10 echoed 5 || fail "no echo after the $round toed stopped"
	echo quit >&3
	exec 3>&-
	finish client 10 || fail "client ($?)"
	toed_start srv
done
echo quit >&4
finish old 10 || fail "the old client ($?)"
