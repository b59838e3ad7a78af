#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The peer's frames come by an interface on which no engine looks at them, ours leave by the attached one: the connection stays in
# the kernel, with a reason, and moves when they come by the attached one again. It would get none of them in hardware.
#
#   cli echo client -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
#                   `- eth1 ---- veth ---- eth1 -'
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

echoed() { echo "$1" >&3; eventually 5 logged client "ok $1" || fail "no echo of $1 bytes: $(tail -1 "$LOGS/client"); $(ctl list)"; }
way() {	# DEVICE: of what cli sends
	in_ns cli ip route replace "$SRV4/32" dev "$1" src "$CLI4" || fail "no route by $1"
}

topo_veth
ip link add eth1 netns "$RUN-cli" type veth peer name eth1 netns "$RUN-srv" || fail "no veth"
for ns in cli srv; do
	in_ns $ns sysctl -q net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0
	in_ns $ns ip link set eth1 up
done
in_ns cli ip neigh replace "$SRV4" dev eth1 nud permanent lladdr "$(in_ns srv cat /sys/class/net/eth1/address)"
toed_start srv
echo_pair
echoed 1000
eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"
echoed 1001
ctl upload --all >/dev/null || fail "upload"

way eth1
echoed 1002
ctl offload --all >"$LOGS/offload"
all_on kernel 1 || echoed 1003
logged offload "0 offloaded, 1 refused" || fail "$(cat "$LOGS/offload")"
logged offload "another way" || fail "the reason is another: $(cat "$LOGS/offload")"
echoed 1004
way eth0
echoed 1005
ctl offload --all >"$LOGS/offload" || fail "$(cat "$LOGS/offload")"
all_on hardware 1 || fail "not in hardware again: $(cat "$LOGS/offload")"
segs=$(counter RX_SEGS)
echoed 1006
[ "$(counter RX_SEGS)" -gt "$segs" ] || fail "the engine took nothing"
exec 3>&-
finish client 10 || fail "client ($?)"
toed_alive || fail "toed is gone"
