#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# toed is told to stop while streams run in the engines: every connection goes on in the kernel, nothing
# is lost, nothing is left behind; a new toed can be started beside the same connections.
#
#   cli stream client -- eth0 ---- veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
for style in threads epollet poll; do
	toed_start srv
	offloadable server srv "$BIN/stream" -n 8 -s $style -r 24M -w 1000 server
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n 8 -b 48M -S "$SEED" -s $style -r 24M -w 1000 client "$SRV4"
	eventually 5 logged server connected || fail "no connection"
	eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 8' || fail "only $(on_path hardware) in hardware"
	eventually 5 eval '[ "$(counter RX_SEGS)" -gt 1000 ]' || fail "nothing goes through the engine"
	toed_stop || fail "toed did not stop properly"
	leaks && fail "toed left something behind"
	alive client || alive server || say "the stream was over before toed stopped"
	finish client 100 || fail "client after the stop, $style ($?)"
	finish server 30 || fail "server after the stop, $style ($?)"
done
no_resets
