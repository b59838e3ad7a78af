#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sockperf ping-pong, the server under libtoe: no message is lost, most go through the engines.
#
#   cli sockperf ping-pong -- eth0 ---- veth ---- eth0 [toed] -- srv sockperf server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need sockperf

topo_veth
toed_start srv
offloadable server srv sockperf server --tcp -i "$SRV4" -p 11111
eventually 10 listening srv 11111 || fail "sockperf did not start"
spawn client cli sockperf ping-pong --tcp -i "$SRV4" -p 11111 -t 5 -m 64
eventually 5 eval 'ctl offload --all; all_on hardware 1' || fail "not in hardware: $(ctl list)"
through_engine 2 99 client || fail "frames went past the engine"
finish client 30 || fail "sockperf ($?)"
grep -E 'Summary|dropped' "$LOGS/client" | sed 's/\x1b\[[0-9;]*m//g'
sed 's/\x1b\[[0-9;]*m//g' "$LOGS/client" | grep -q 'dropped messages = 0; .*duplicated messages = 0; .*out-of-order messages = 0' ||
	fail "messages lost"
! slow || exit 0
# The client ends with a reply unread and resets the connection itself, on the kernel path too.
for ns in cli srv; do
	[ "$(snmp $ns Tcp RetransSegs)" = 0 ] || fail "retransmissions in $ns: $(snmp $ns Tcp RetransSegs)"
done
[ "$(counter TX_RTX)" = 0 ] || fail "the engine retransmitted $(counter TX_RTX) segments"
