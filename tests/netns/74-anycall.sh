#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every call that the library serves, with its flags, options and errors, on a connection in hardware.
#
#   cli anycall peer (echo) -- eth0 ---- veth ---- eth0 [toed] -- srv anycall CASE (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
in_ns srv sysctl -qw net.ipv4.tcp_fastopen=5	# without a cookie, too
toed_start srv
flow_peer anycall
flow_cases anycall
