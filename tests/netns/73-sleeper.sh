#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# toed is stopped and started again while programs sleep with a connection that stays: they find the new
# toed by themselves, without opening or accepting another connection, and the connection moves as before.
#
#   cli echo client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed, three times] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

echoed() { [ "$(grep -c '^ok ' "$LOGS/client")" -ge "$1" ]; }
offloaded() { ctl offload --all >/dev/null; all_on hardware 1; }

topo_veth
toed_start srv
echo_pair
nr=0
for round in first second third; do
	eventually 5 offloaded || fail "the sleeper's connection is not offered to the $round toed: $(ctl list)"
	before=$(counter TX_SEGS)
	for size in 1 70000; do echo $size >&3; done
	eventually 10 echoed $((nr += 2)) || fail "no echo on the hardware path under the $round toed"
	[ "$(counter TX_SEGS)" -gt "$before" ] || fail "nothing left through the engine under the $round toed"
	if [ $round = second ]; then
		ctl upload --all >/dev/null
		echo 70000 >&3
		eventually 10 echoed $((nr += 1)) || fail "no echo after an upload"
	fi
	toed_stop || fail "the $round toed did not stop properly"
	echo 70000 >&3
	eventually 10 echoed $((nr += 1)) || fail "no echo after the $round toed stopped"
	toed_start srv
	eventually 5 eval '[ "$(counter applications)" = 1 ]' || fail "the sleeper does not find a new toed"
	echo 10 >&3	# the engines see an old connection when its round trip is measured
	eventually 10 echoed $((nr += 1)) || fail "no echo under a new toed"
done
echo quit >&3
finish client 10 || fail "client ($?)"
