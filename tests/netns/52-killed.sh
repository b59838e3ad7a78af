#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An application is killed with connections in the engines: the peer gets what the kernel would send it,
# the entries are freed, toed goes on. Then, the same for a killed peer.
#
#   cli echo clients -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
gone() { [ "$(on_path hardware)" = 0 ]; }

start() {
	echo_pair
	eventually 5 eval 'ctl offload --all; all_on hardware 1' || fail "not in hardware: $(ctl list)"	# once it is accepted
	rx=$(counter RX_BYTES) tx=$(counter TX_BYTES)
	echo 100000 >&3
	eventually 10 logged client '^ok 100000' || fail "no echo"
	(($(counter RX_BYTES) >= rx + 100000 && $(counter TX_BYTES) >= tx + 100000)) || fail "the echo went past the engines"
}

start
kill -KILL "${PID[server]}"
eventually 10 gone || fail "the killed application's connection is still there: $(ctl list)"
echo 10 >&3
eventually 10 eval '! alive client' || fail "the client of a killed server still waits"
grep -qE 'closed after|ConnectionReset|BrokenPipe' "$LOGS/client" || fail "$(tail -1 "$LOGS/client")"
stop server
stop client
exec 3>&-

start
kill -KILL "${PID[client]}"
eventually 10 gone || fail "the killed peer's connection is still there: $(ctl list)"
alive server || fail "the server died"
toed_alive || fail "toed died"
