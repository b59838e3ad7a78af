#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Writers wait for room while their connection moves both ways, and threads wait while another one shuts it down or
# closes it: room is announced when there is some, no byte is lost, nobody hangs.
#
#   cli anyroom peer (echo) -- eth0 ---- veth ---- eth0 [toed] -- srv anyroom CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
flow_peer anyroom
flow_cases anyroom
FLOW_ADDR=$CLI6 CASES="write room-epoll room-epollet" flow_cases anyroom
