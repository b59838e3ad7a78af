#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Processes that share or inherit a connection that is in hardware: fork, daemon, epoll across fork. Each case checks
# its stream (every byte once, in order), that the engines carried it before, and the path afterwards.
#
#   cli anyproc peer (echo) -- eth0 ---- veth ---- eth0 [toed] -- srv anyproc CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
flow_peer anyproc
flow_cases anyproc
