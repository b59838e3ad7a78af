#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Applications are started, connected, offloaded and killed, again and again, with unread, unsent or no data:
# entries, ids, slabs, queue pairs, TAPs, maps, descriptors, memory of toed and namespaces are free again.
# ROUNDS says how many (300; `make rounds`: 100000).
#
#   cli echo server -- eth0 ---- veth ---- eth0 [toed] -- srv many short lives (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-300} warm=60
topo_veth
# What malloc keeps for each size in reserve fills up for tens of thousands of rounds and would look like a leak.
export GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0
toed_start srv
unset GLIBC_TUNABLES
spawn echo cli python3 "$HELPERS/echo" server 7100
eventually 10 logged echo listening || fail "no echo server"

lives() {	# NUMBER
	local moved
	in_ns srv "$BIN/rounds" drive "$RUNDIR" "$1" 8 \
		"$B/toectl" --rundir "$RUNDIR" run --require -- "$BIN/rounds" app "$CLI4" 7100 >"$LOGS/rounds" 2>&1 ||
		fail "$(tail -2 "$LOGS/rounds")"
	moved=$(sed -n 's/.* \([0-9]*\) in hardware/\1/p' "$LOGS/rounds")
	((moved * 100 >= $1 * 99)) || fail "only $moved of $1 were in hardware: $(grep -m 1 'not moved' "$LOGS/rounds")"
}

taps() { nsenter --net="$RUNDIR/netns" ip -br link | grep -c '^toe'; }
conns_left() { ctl --json list | "$BIN/jsonget" --list cookie | wc -w; }
none_left() { [ "$(conns_left)" = 0 ] && [ "$(taps)" = 1 ]; }

# Name and value of all that could leak, one a line; memory in KiB, without the pages of maps, of which more are
# looked at with every new number.
census() {
	eventually 20 none_left || fail "$(conns_left) connections, $(taps) TAPs are left"
	sleep 0.5	# deferred frees: RCU, the spare slab
	echo "descriptors $(find "/proc/$TOED_PID/fd" -mindepth 1 | wc -l)"
	echo "mappings $(wc -l <"/proc/$TOED_PID/maps")"
	echo "taps $(taps)"
	echo "records $(find "$RUNDIR" -name 'app-*' | wc -l)"
	echo "mounts $(grep -c "$RUNDIR" /proc/mounts)"
	echo "slabs $(find "/proc/$TOED_PID/fd" -lname '*bpf-map' | wc -l)"
	echo "entries $(bpftool -j map dump pinned "$BPFFS/hw_conn_t" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
	echo "owned $(bpftool -j map dump pinned "$BPFFS/qps" | python3 -c '
import json, sys
print(sum(any(int(b, 16) for b in e["value"]) for e in json.load(sys.stdin) if "value" in e))')"
	echo "anonymous $(awk '/^Anonymous/ { print $2 }' "/proc/$TOED_PID/smaps_rollup")"
}

lives $warm
census >"$LOGS/before"
start=$SECONDS
lives "$rounds"
say "$rounds rounds in $((SECONDS - start)) s"
census >"$LOGS/after"
paste -d ' ' "$LOGS/before" "$LOGS/after" | while read -r what was _ is; do
	say "$what: $was before, $is after"
	[ -z "$ASAN" ] || [[ $what != @(anonymous|mappings) ]] || continue	# the sanitizer keeps what was freed
	[ "$what" = anonymous ] && { ((is - was <= 256)) || exit 1; continue; }
	[ "$is" -le "$was" ] || exit 1
done || fail "something has leaked"
toed_alive || fail "toed is gone"
