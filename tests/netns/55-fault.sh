#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# toed dies, as of kill -9, at every numbered step of both moves and of the move to larger rings, under load; each time
# another is started. The streams finish, every byte right and in order, and the connections can be moved again.
#
#   cli stream client -- eth0 ---- veth, tx off; a wire of 10 ms ---- eth0 [toed, dying] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

OFFLOAD="3 4 5 6 7 8 10 11 12 13"	# doc/architecture.md section 6; before 3 nothing was done
UPLOAD="1 2 3 6 7 8 9 10"
GROW="1 2 3 4 5 6 7"		# daemon/mig_grow.c
BYTES=16M RATE=1M		# streams outlive a step that begins within 4 s, also on a slow machine

dead() { ! toed_alive; }

reborn() {
	wait "$TOED_PID" 2>/dev/null
	TOED_PID=
	toed_start srv
	eventually 10 unstuck || fail "$1: still in the middle of a move: $(ctl list)"
}
unstuck() { ctl list >/dev/null && ctl upload --all >/dev/null && [ "$(on_path kernel)" = "$CONNS" ]; }

dies_at() {	# MOVE STEP
	local before
	kill -KILL "$TOED_PID"
	wait "$TOED_PID" 2>/dev/null
	TOED_FAULT=$1:$2 toed_start srv
	eventually 5 known || fail "connections are not known to a new toed: $(ctl list)"
	before=$(counter RX_SEGS)
	ctl offload --all >/dev/null 2>&1
	if [ "$1" = upload ]; then
		toed_alive && all_on hardware 1 || fail "not in hardware before $1:$2: $(ctl list)"
		sleep 0.2
		[ "$(counter RX_SEGS)" -gt "$before" ] || fail "no segment went through the engine before $1:$2"
		ctl upload --all >/dev/null 2>&1
	fi
	eventually $([ "$1" = grow ] && echo 20 || echo 5) dead || fail "toed did not reach step $2 of $1"
	sleep "0.$((RANDOM % 3))"
	reborn "$1:$2"
	[ -n "${PID[client]:-}" ] && [ -n "${PID[server]:-}" ] || fail "a stream did not outlive $1:$2"
}
known() { [ "$(on_path kernel)" = "$CONNS" ]; }

CONNS=2

streams() {	# STYLE
	offloadable server srv "$BIN/stream" -n $CONNS -s "$1" -r $RATE server ::
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n $CONNS -b $BYTES -S "$SEED" -s "$1" -r $RATE client "$SRV4"
	eventually 5 logged server connected || fail "no connection"
	since=$SECONDS
}

compared() {
	finish client 100 || fail "stream client ($?)"
	finish server 60 || fail "stream server ($?)"
}

faults() {	# MOVE STEPS
	local move=$1 step since=-9 n=0
	shift
	for step; do
		if ((SECONDS - since > 4)); then
			((n == 0)) || compared
			streams "$([ $((n % 2)) = 0 ] && echo epoll || echo threads)"
			n=$((n + 1))
		fi
		dies_at "$move" "$step"
		say "$move, step $step: survived"
	done
	compared
}

if [ "${1:-}" = grow ]; then
	BYTES=30M RATE=3M	# less than the first rings carry: neither connection ends long before the other
	topo_lossy -t 5000
	# the kernel's queues stay small, and so the rings that a connection starts with
	in_ns srv sysctl -q net.ipv4.tcp_rmem='4096 131072 131072' net.ipv4.tcp_wmem='4096 16384 65536'
else
	topo_veth tx-off
fi
toed_start srv
# shellcheck disable=SC2086
case ${1:-} in
upload) faults upload $UPLOAD ;;
grow) faults grow $GROW ;;
*) faults offload $OFFLOAD ;;
esac
