#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An application writes to its own TAP what only others may: descriptors that name the connections of
# another application, in every op, and random bytes. All of it is refused and counted, the other
# application's streams run on unharmed, and toed with them.
#
#   cli stream client -- eth0 ---- wire ---- eth0 [toed] -- srv stream server (libtoe)
#                                                       \-- tapfuzz (app.sock, a TAP of its own)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_wire
toed_start srv
offloadable server srv "$BIN/stream" -n 2 -s epoll -r 4M server
eventually 10 logged server listening || fail "stream server did not start"
spawn client cli "$BIN/stream" -n 2 -b 160M -S "$SEED" -s epoll -r 4M client "$SRV4"
eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 2' || fail "not in hardware: $(ctl list)"
targets() {
	ctl --json list | python3 -c '
import json, sys
for conn in json.load(sys.stdin)["connections"]:
    print(conn["hw_connid"], conn["gen"], sep="\n")'
}
refused() { echo $(($(counter TX_FOREIGN) + $(counter TX_LOCK))); }

before=$(counter TX_SEGS)
for try in 1 2 3 4; do	# with other rings it is another generation, which the forger does not know
	mapfile -t old < <(targets)
	known=$(refused)
	spawn fuzz srv "$BIN/tapfuzz" "$RUNDIR" "$SEED" 3 "${old[@]}"
	finish fuzz 30 || fail "tapfuzz: $(tail -1 "$LOGS/fuzz")"
	mapfile -t new < <(targets)
	[ "${old[*]}" != "${new[*]}" ] || break
	say "try $try: the rings have grown meanwhile"
done
tail -1 "$LOGS/fuzz"
[ "${old[*]}" = "${new[*]}" ] || fail "the rings do not stop growing"
say "foreign $(($(refused) - known)), malformed $(counter TX_MALFORMED)"
forged=$(sed -n 's/.* \([0-9]*\) foreign$/\1/p' "$LOGS/fuzz")
((forged > 100)) || fail "only ${forged:-0} forged frames"
(($(refused) - known >= forged)) || fail "$forged forged frames, but $(($(refused) - known)) refused as foreign"
[ "$(counter TX_MALFORMED)" -gt 100 ] || fail "TX_MALFORMED is $(counter TX_MALFORMED)"
alive client && alive server || fail "a stream did not outlive the attack"
[ "$(counter TX_SEGS)" -gt "$before" ] || fail "nothing went through the engine meanwhile"
ctl upload --all || fail "upload"
ctl offload --all || fail "offload"
signal USR1 client server	# the rate kept the streams going: they end at full speed
finish client 60 || fail "stream client ($?)"
finish server 30 || fail "stream server ($?)"
toed_alive || fail "toed is gone"
nothing_lost
