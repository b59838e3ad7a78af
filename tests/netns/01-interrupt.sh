#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A run of the tests is interrupted, hung up, or killed at random moments, or the scenario with all its process
# group is: no process, namespace, pin, mount or file of it is left, at the latest when the next one has started.
#
#   tests/run 53-restart -- toed, echo server and client
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need pgrep
RANDOM=$((SEED % 32768))

# A child of the runner, or of the second one that it starts.
scenario() {
	inner=$(pgrep -o -P "${PID[run]},$(pgrep -d , -P "${PID[run]}")" -f 'netns/53-restart\.sh') && [ -n "$(traces)" ]
}
traces() {
	local run=toet-$inner path
	for path in /run/netns/$run-* /run/$run /sys/fs/bpf/$run "$CGROUPS/$run.$PIDNS" /tmp/$run.*; do
		[ ! -e "$path" ] || echo "$path"
	done
	grep -o "/run/$run[^ ]*" /proc/mounts
	grep -lsz "rundir./run/$run" /proc/[0-9]*/cmdline
	cat "$CGROUPS/$run.$PIDNS/cgroup.procs" 2>/dev/null
}
clean() { [ -z "$(traces)" ]; }

for round in 1 2 3 4 5 6; do
	env --default-signal=INT "$ROOT/tests/run" --build "$B" 53-restart >"$LOGS/run" 2>&1 </dev/null &
	runner=$!
	PID[run]=$runner ORDER+=(run)
	eventually 10 scenario || fail "the scenario did not start"
	pause=$((RANDOM % 3)).$((RANDOM % 10))
	sleep "$pause"
	[ $round != 6 ] || sleep 1
	had=$(traces)	# once it is dead, a scenario beside this one may sweep them
	case $round in
	1) what="INT to the runner"; kill -INT "${PID[run]}" ;;
	2) what="HUP to the runner"; kill -HUP "${PID[run]}" ;;
	3) what="KILL to the runner"; kill -KILL "${PID[run]}" ;;
	4) what="TERM to the scenario"; kill -TERM "$inner" ;;
	5) what="KILL to the scenario's group"; kill -KILL "-$inner" 2>/dev/null || kill -KILL "$inner" ;;
	*) what="KILL to the scenario"; kill -KILL "$inner" ;;
	esac
	say "$what after $pause s"
	finish run 100 2>/dev/null
	if [ $round -ge 5 ]; then
		[ -n "$had" ] || fail "nothing of the scenario was there when it was killed"
		sweep
	fi
	say "the runner has ended"
	eventually 60 clean || fail "left after $what: $(traces)"
done
! compgen -G "/tmp/toet-run-$runner.*" >/dev/null || fail "the runner's files are left"
