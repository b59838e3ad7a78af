#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# policy = auto: connections of programs under toectl run move to the engines by themselves, also after an
# upload; those of other ports are not seen, those of other programs stay. One that sends or
# receives in bulk goes back to the kernel path and stays there.
#
#   cli echo clients, bulk -- eth0 -- veth -- eth0 [toed] -- srv echo servers: 7100, 7200 (libtoe), 7101 (without)
#                                                                bulk server: 7102 (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv -c <(printf '[toed]\npolicy = auto\nport = 7100, 7101, 7102\nbulk-limit = 5\n')
offloadable server7100 srv python3 "$HELPERS/echo" server 7100
offloadable server7200 srv python3 "$HELPERS/echo" server 7200
spawn server7101 srv python3 "$HELPERS/echo" server 7101
client() {	# PORT: its orders are written to descriptor $fd
	eventually 10 logged "server$1" listening || fail "server did not start"
	mkfifo "$LOGS/orders$1"
	spawn "client$1" cli python3 "$HELPERS/echo" client "$SRV4" "$1" "$LOGS/orders$1"
	exec {fd}>"$LOGS/orders$1"
	eventually 10 logged "client$1" connected || fail "client did not connect"
	echo 100 >&$fd
	eventually 10 logged "client$1" '^ok 100$' || fail "no echo, port $1"
}
[ "$(ctl --json stats | "$BIN/jsonget" --list policy)" = auto ] || fail "policy is not auto"
client 7200
client 7101
client 7100
eventually 5 all_on hardware 1 || fail "nothing moved: $(ctl list)"
[ "$(ctl list --port 7100 | grep -c ' hardware ')" = 1 ] || fail "another connection moved: $(ctl list)"
[ "$(ctl list --port 7101 | grep -c ' kernel .*does not run under toectl run')" = 1 ] || fail "port 7101: $(ctl list)"
[ "$(ctl list --port 7200 | wc -l)" = 1 ] || fail "a port that is not in the settings is listed: $(ctl list)"
before=$(counter RX_SEGS)
echo 70000 >&$fd
eventually 10 logged client7100 '^ok 70000$' || fail "no echo on the hardware path"
[ "$(counter RX_SEGS)" -ge $((before + 49)) ] || fail "RX engine took $(($(counter RX_SEGS) - before)) segments"

ctl upload --all || fail "upload"
eventually 5 all_on hardware 1 || fail "did not move again: $(ctl list)"
[ "$(counter offloads)" = 2 ] || fail "$(counter offloads) offloads"
before=$(counter RX_SEGS)
echo 70001 >&$fd
eventually 10 logged client7100 '^ok 70001$' || fail "no echo on the hardware path, second time"
[ "$(counter RX_SEGS)" -ge $((before + 49)) ] || fail "RX engine took $(($(counter RX_SEGS) - before)) segments"

no_retransmissions
# --- bulk ---
offloadable bulk srv "$B/tests/helpers/bulk" server 7102
eventually 10 listening srv 7102 || fail "bulk server did not start"
# in_bulk WAY COUNTER OFFLOADS: it is moved, found to be in bulk, moved back, and not moved again
in_bulk() {
	local way=$1 counter=$2 offloads=$3 before
	spawn "$way" cli "$B/tests/helpers/bulk" client "$SRV4" 7102 "$way" 5
	eventually 10 logged "$way" connected || fail "bulk client did not connect, $way"
	eventually 5 eval '[ "$(counter offloads)" = "$offloads" ]' || fail "the bulk connection did not move, $way: $(ctl list)"
	before=$(counter "$counter")
	kill -USR1 "${PID[$way]}"
	eventually 4 eval 'ctl list --port 7102 | grep -q " kernel .*sends or receives in bulk"' ||
		fail "bulk is not moved back, $way: $(ctl list)"
	[ "$(counter "$counter")" -gt "$before" ] || fail "no bytes went through the engine, $way"
	finish "$way" 20 || fail "bulk, $way: $(tail -3 "$LOGS/$way")"
	logged "$way" 'bits/s [1-9]' || fail "bulk, $way: $(tail -3 "$LOGS/$way")"
	# attempts 1 and 3 s after the upload found it busy
	[ "$(counter offloads)" = "$offloads" ] || fail "$(counter offloads) offloads: bulk was moved again, $way"
}
in_bulk down TX_BYTES 3
in_bulk up RX_BYTES 4
[ "$(ctl list --port 7100 | grep -c ' hardware ')" = 1 ] || fail "another connection was taken for bulk: $(ctl list)"
echo quit >&$fd
eventually 10 logged client7100 closed || fail "client did not close"
eventually 5 eval '[ "$(on_path hardware)" = 0 ]' || fail "closed connection is still listed: $(ctl list)"
