#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Readers wait in every way there is while their connection moves both ways: no event is lost, none is untrue, no
# error or hang-up leaks out.
#
#   cli anywait peer (echo) -- eth0 ---- veth ---- eth0 [toed] -- srv anywait CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
flow_peer anywait
flow_cases anywait
FLOW_ADDR=$CLI6 CASES="read poll select epoll epollet oneshot" flow_cases anywait
