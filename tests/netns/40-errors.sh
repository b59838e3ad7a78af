#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What people and programs get wrong: each gives one clear message and the right status, and toed goes on.
#
#   cli eth0 ---- veth ---- eth0 [toed] srv
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

expect() {	# STATUS PATTERN COMMAND...
	local status=$1 pattern=$2 rc
	shift 2
	timeout 20 "$@" >"$LOGS/out" 2>&1 </dev/null
	rc=$?
	[ "$rc" = "$status" ] || { [ "$status" = fails ] && ((rc > 0 && rc < 124)); } ||
		fail "$*: status $rc, expected $status: $(cat "$LOGS/out")"
	grep -qi -- "$pattern" "$LOGS/out" || fail "$*: no word of '$pattern': $(cat "$LOGS/out")"
}
toed() { in_ns srv "$B/toed" --rundir "$RUNDIR" --bpffs "$BPFFS" "$@"; }
export -f in_ns toed
export B RUN RUNDIR BPFFS
toectl=("$B/toectl" --rundir "$RUNDIR")

topo_veth
say "toed is not running"
expect 3 'not running' "${toectl[@]}" list
expect 3 'not running' "${toectl[@]}" offload --all
expect 0 'hello' "${toectl[@]}" run -- echo hello
expect 0 'not running' "${toectl[@]}" run -- true
expect 3 'not running' "${toectl[@]}" run --require -- echo hello
grep -q '^hello' "$LOGS/out" && fail "--require ran the program without toed"
[ -x "$(type -p setpriv)" ] && expect fails root setpriv --reuid=65534 --clear-groups "$B/toed" --rundir "$RUNDIR" -i lo
expect fails nosuch0 bash -c 'toed -i nosuch0'
leaks && fail "a toed that did not start left something behind"

say "toed is running"
toed_start srv
expect fails "$TOED_PID" bash -c 'toed -i eth0'
expect 1 'unknown command' "${toectl[@]}" frobnicate
expect 2 'no such connection' "${toectl[@]}" offload 4242
expect 2 'no such connection' "${toectl[@]}" upload 4242
expect 2 'no such connection' "${toectl[@]}" show 4242
expect fails nosuch0 "${toectl[@]}" attach nosuch0
expect fails nosuch0 "${toectl[@]}" detach nosuch0
expect 127 nosuch "${toectl[@]}" run -- /nosuch/program
toed_up || fail "toed does not answer any more"

say "random bytes on both sockets, seed $SEED"
python3 "$HELPERS/sockfuzz" "$RUNDIR" "$SEED" 400 || fail "sockfuzz"
toed_alive || fail "toed died of malformed messages"
eventually 5 toed_up || fail "toed does not answer any more"
expect 0 . "${toectl[@]}" stats
