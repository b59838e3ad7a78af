#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# toed dies in the middle of an offload, or with a connection in hardware, and the next one has no descriptor at first to fetch the
# application's socket with. That does not mean that the application is gone: it is tried again, and the connection goes
# on, with the application's own socket.
#
#   cli echo client -- eth0 ---- veth ---- eth0 [toed, dying] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

dead() { ! toed_alive; }
echoed() { echo "$1" >&3; eventually 10 logged client "ok $1" || fail "$2: no echo: $(ctl list)"; }
offloaded() { eventually 5 eval 'ctl offload --all >"$LOGS/offload"; all_on hardware 1' || fail "$1: not in hardware: $(cat "$LOGS/offload")"; }

next_toed() {	# after so many vain tries
	wait "$TOED_PID" 2>/dev/null
	TOED_FAULT=rebuild:7:$1 toed_start srv 3>&-
}

over() {
	echoed 3000 "$1"
	offloaded "$1"
	echoed 4000 "$1, in hardware again"
	exec 3>&-
	finish client 10 || fail "client ($?)"
	stop server
	toed_stop || fail "toed does not stop"
	say "$1: right"
}

topo_veth
for step in 4 6 10 11; do
	TOED_FAULT=offload:$step toed_start srv
	echo_pair
	echoed 1000 "before"
	ctl offload --all >/dev/null 2>&1
	eventually 5 dead || fail "toed did not reach step $step"
	echo 2000 >&3
	next_toed 3
	eventually 10 logged client "ok 2000" || fail "step $step: stands still: $(ctl list)"
	over "step $step"
done

TOED_FAULT= toed_start srv
echo_pair
offloaded "before"
echoed 1000 "in hardware"
kill -KILL "$TOED_PID"
next_toed 3
eventually 10 eval '[ "$(counter uploads)" -ge 1 ]' || fail "not given back: $(ctl list)"
over "in hardware"
