#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Unusual calls on a connection that is in hardware: duplicates, closing everything, stdio, splice, sendfile,
# raw system calls, io_uring; signals and cancellation in blocked calls; programs that drop privileges, change
# their root or their limits. Each case checks its stream and the path afterwards.
#
#   cli anyfd peer (echo) -- eth0 ---- veth ---- eth0 [toed] -- srv anyfd, anysig CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
flow_peer anyfd
flow_cases anyfd
flow_cases anysig
