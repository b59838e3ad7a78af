#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bulk leaves in trains, one system call for many segments, and every byte is right; rings that grow meanwhile lose none of
# them.
#
#   cli stream client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

stream() {	# STYLE ADDRESS BYTES
	offloadable server srv "$BIN/stream" -n 2 -w 500 -s "$1" server ::
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n 2 -w 500 -b "$3" -S "$SEED" -s "$1" client "$2"
	eventually 5 logged server connected || fail "no connection"
	eventually 3 eval 'ctl offload --all >/dev/null; all_on hardware 2' || fail "not in hardware: $(ctl list)"
	finish client 100 || fail "client, $1 ($?)"
	finish server 30 || fail "server, $1 ($?)"
}

topo_veth tx-off
toed_start srv
stream threads "$SRV4" 48M
stream epoll "$SRV6" 48M
trains=$(counter TX_TRAINS) in_trains=$(counter TX_TRAIN_SEGS) segs=$(counter TX_SEGS)
say "$segs segments, $in_trains in $trains trains, $(counter TX_TRAIN_LOST) lost"
((segs > 50000)) || fail "TX engine sent $segs segments"
((in_trains * 2 > segs)) || fail "only $in_trains of $segs segments left in a train"
((in_trains >= trains * 4)) || fail "a train has only $((in_trains / trains)) segments"
lost=$(counter TX_TRAIN_LOST)		# rings that grow under a train
((lost * 100 <= in_trains)) || fail "$lost of $in_trains segments of trains could not be made"
[ "$(counter TX_NO_TRAIN)" = 0 ] || fail "TX_NO_TRAIN is $(counter TX_NO_TRAIN)"
