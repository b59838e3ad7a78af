#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An answer that the library puts off to send it with others leaves before the thread may wait, whatever it calls.
#
#   cli anylate peer (echo) -- eth0 ---- veth ---- eth0 [toed, stopped] -- srv anylate CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
export TOED_PID
flow_peer anylate
flow_cases anylate
