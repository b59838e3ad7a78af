#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One idle connection is moved to the engines and back, several times; after each move bytes of many
# sizes go through and come back right, by the path that the connection is on.
#
#   cli echo client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
echo_pair

exchange() {	# BYTES
	local before
	before=$(grep -c '^ok ' "$LOGS/client")
	echo "$1" >&3
	eventually 20 more_than "$before" || fail "no echo of $1 bytes on the $path path: $(tail -1 "$LOGS/client")"
}
more_than() { [ "$(grep -c '^ok ' "$LOGS/client")" -gt "$1" ]; }

path=kernel
exchange 10
for round in 1 2 3; do
	path=hardware
	ctl offload --all || fail "offload, round $round"
	all_on hardware 1 || fail "connection is not in hardware: $(ctl list)"
	before=$(counter RX_SEGS)
	for size in 1 3 1000 1448 1449 70000 1000000; do exchange $size; done
	[ "$(counter RX_SEGS)" -gt "$before" ] || fail "no segment went through the RX engine"
	[ "$(ctl show --all | awk '$1 == "last_hold_us" { print $2 }')" -gt 0 ] || fail "show tells no hold time"
	path=kernel
	ctl upload --all || fail "upload, round $round"
	all_on hardware 1 && fail "connection is still in hardware: $(ctl list)"
	before=$(counter RX_SEGS)
	for size in 1 1448 300000; do exchange $size; done
	[ "$(counter RX_SEGS)" = "$before" ] || fail "segments went through the RX engine after the upload"
done
[ "$(ctl stats | awk '/holds shorter than/ { n += $1 } END { print n + 0 }')" -ge 6 ] || fail "holds of 6 moves: $(ctl stats)"
for refused in TX_MALFORMED TX_FOREIGN; do	# a message that is sent once more another way arrives, too
	[ "$(counter $refused)" = 0 ] || fail "$refused is $(counter $refused)"
done
ctl offload --all || fail "last offload"
echo quit >&3
eventually 10 logged client closed || fail "client did not close"
eventually 5 eval '[ "$(on_path hardware)" = 0 ]' || fail "closed connection is still listed: $(ctl list)"
no_retransmissions
