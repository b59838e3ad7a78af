#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Other programs get a connection that is in hardware: fork and exec, vfork, posix_spawn, system, popen, exec,
# SCM_RIGHTS, with the library at the other end and without. Each case checks its stream (every byte once, in
# order), that the engines carried it before, and the path afterwards.
#
#   cli anyexec peer (echo) -- eth0 ---- veth ---- eth0 [toed] -- srv anyexec CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
flow_peer anyexec
flow_cases anyexec
