#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of an application with nothing unread, with unread data, with unsent data, with both, and with SO_LINGER
# off: what the peer sees (which bytes, FIN or RST, and what more data is answered with) is the same
# in hardware as on the kernel path, and as without toed's library at all.
#
#   cli peer -- eth0 ---- veth ---- eth0 [toed] -- srv application (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
port=7200

# run MODE HOW: kernel: without libtoe; shadow: with it, not offloaded; hardware. What the peer saw is in $saw.
run() {
	local mode=$1 how=$2 start=offloadable rx
	port=$((port + 1))
	[ "$how" != kernel ] || start=spawn
	rm -f "$LOGS/orders-app" "$LOGS/orders-peer"
	mkfifo "$LOGS/orders-app" "$LOGS/orders-peer"
	$start app srv python3 "$HELPERS/victim" app $port "$mode" "$LOGS/orders-app"
	eventually 10 logged app listening || fail "no application"
	spawn peer cli python3 "$HELPERS/victim" peer "$SRV4" $port "$mode" "$LOGS/orders-peer"
	eventually 10 logged app accepted || fail "not connected"
	exec 3>"$LOGS/orders-app" 4>"$LOGS/orders-peer"
	rx=$(counter RX_SEGS)
	if [ "$how" = hardware ]; then
		eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware"
	fi
	echo go >&4
	echo go >&3
	eventually 20 logged app '^sent' || fail "application: $(tail -1 "$LOGS/app")"
	eventually 20 logged peer '^written' || fail "peer: $(tail -1 "$LOGS/peer")"
	if [ "$how" = hardware ]; then
		all_on hardware 1 || fail "not in hardware any more: $(ctl list)"
		[ "$(counter RX_SEGS)" -gt "$rx" ] || fail "nothing went through the engine"
	fi
	kill -KILL "${PID[app]}"
	wait "${PID[app]}" 2>/dev/null
	unset "PID[app]"
	eventually 5 eval '[ "$(on_path hardware)" = 0 ]' || fail "still in hardware: $(ctl list)"
	sed -n 's/^sent //p' "$LOGS/app" >&4
	finish peer 30 || fail "peer ($?): $(tail -1 "$LOGS/peer")"
	exec 3>&- 4>&-
	saw=$(tail -1 "$LOGS/peer")
	say "$mode, $how: $saw"
}

for mode in idle unread unsent both linger; do
	run $mode kernel
	want=$saw
	run $mode shadow
	[ "$saw" = "$want" ] || fail "$mode: the peer of an application under libtoe $saw, kernel only: $want"
	run $mode hardware
	[ "$saw" = "$want" ] || fail "$mode: the peer $saw, kernel only: $want"
	[ "$(ctl --json list | "$BIN/jsonget" --count pid "${PID[app]:-x}")" = 0 ] || fail "entries left"
done
eventually 10 eval '[ "$(ctl --json list | "$BIN/jsonget" --list cookie | wc -w)" = 0 ]' || fail "entries are left: $(ctl list)"
