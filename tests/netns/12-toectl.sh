#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What toectl tells and how connections are chosen: bytes of both paths to the byte, IPv4 and IPv6; list,
# show, offload and upload by id, cookie, address, port, process and --all; every answer parses with --json.
#
#   cli echo clients, IPv4 and IPv6 -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
offloadable server srv python3 "$HELPERS/echo" server 7100
eventually 10 logged server listening || fail "server did not start"
declare -A total=([v4]=0 [v6]=0)

client() {	# NAME ADDRESS FD
	mkfifo "$LOGS/orders-$1"
	spawn "$1" cli python3 "$HELPERS/echo" client "$2" 7100 "$LOGS/orders-$1"
	eval "exec $3>'$LOGS/orders-$1'"
	eventually 10 logged "$1" connected || fail "client $1 did not connect"
}
client v4 "$SRV4" 4
client v6 "$SRV6" 6
eventually 5 all_on kernel 2 || fail "not listed: $(ctl list)"

# look: conn[v4.path] and so on, as listed now
declare -A conn
look() {
	local name key value
	conn=()
	while IFS=$'\t' read -r name key value; do conn[$name.$key]=$value; done < <(ctl --json list | python3 -c '
import json, sys
for conn in json.load(sys.stdin)["connections"]:
    for key, value in conn.items():
        print("v6" if conn["local"][0] == "[" else "v4", key, value, sep="\t")')
}
ends() { grep -c '^ok ' "$LOGS/$1"; }
more_than() { [ "$(ends "$1")" -gt "$2" ]; }
exchange() {	# NAME BYTES
	local before
	before=$(ends "$1")
	echo "$2" >&"${1#v}"
	eventually 20 more_than "$1" "$before" || fail "no echo of $2 bytes: $(tail -1 "$LOGS/$1")"
	total[$1]=$((total[$1] + $2))
}
counted() {
	local name
	look
	for name in v4 v6; do
		[ "${conn[$name.rx_bytes]} ${conn[$name.tx_bytes]}" = "${total[$name]} ${total[$name]}" ] ||
			fail "$1: ${total[$name]} bytes each way, listed for $name: ${conn[$name.rx_bytes]} ${conn[$name.tx_bytes]}"
	done
}
expect() {	# "PATH4 PATH6" COMMAND...
	local want=$1
	shift
	ctl "$@" >"$LOGS/out" || fail "toectl $*: status $?: $(cat "$LOGS/out")"
	exchange v4 1000
	exchange v6 70001
	counted "after toectl $*"
	[ "${conn[v4.path]} ${conn[v6.path]}" = "$want" ] ||
		fail "toectl $*: ${conn[v4.path]} ${conn[v6.path]}, expected $want: $(cat "$LOGS/out")"
}

exchange v4 100000
exchange v6 7
counted "on the kernel path"
port=${conn[v4.remote]##*:}
expect "hardware kernel" offload --port "$port"
expect "kernel kernel" upload "${conn[v4.id]}"
expect "kernel hardware" offload --addr "$CLI6"
expect "kernel kernel" upload --addr "$SRV6"
expect "hardware kernel" offload "${conn[v4.id]}"
expect "hardware hardware" offload --all --pid "${PID[server]}"
expect "hardware kernel" upload "c${conn[v6.cookie]}"
expect "kernel kernel" upload --pid "${PID[server]}" --port 7100
expect "hardware hardware" offload --port 7100
expect "hardware hardware" upload --pid 1
expect "kernel kernel" upload --all
expect "kernel hardware" offload --port 7100 --addr "$SRV6"
[ "$(counter RX_SEGS)" -gt 20 ] || fail "RX engine took $(counter RX_SEGS) segments"

say "what is said"
look
for name in v4 v6; do
	[ "${conn[$name.rtt_us]}" -gt 0 ] && [ "${conn[$name.cwnd]}" -ge 1448 ] ||
		fail "$name: rtt ${conn[$name.rtt_us]}, cwnd ${conn[$name.cwnd]}"
	[ "${conn[$name.pid]}" = "${PID[server]}" ] || fail "$name: process ${conn[$name.pid]}"
done
[ "${conn[v4.why]}" = "upload asked for" ] || fail "reason on the kernel path: ${conn[v4.why]}"
ctl list >"$LOGS/out"
[ "$(wc -l <"$LOGS/out")" = 3 ] && grep -q "kernel .* ${total[v4]} .*upload asked for" "$LOGS/out" ||
	fail "list: $(cat "$LOGS/out")"
[ "$(ctl list --addr "$CLI6" | wc -l)" = 2 ] || fail "list --addr: $(ctl list --addr "$CLI6")"
ctl show --all | grep -q "^snd_nxt  *[0-9]" || fail "show: $(ctl show --all)"
[ "$(ctl show "${conn[v6.id]}" | grep -c '^rx_ring')" = 1 ] || fail "show ID: $(ctl show "${conn[v6.id]}")"

json() { python3 -c 'import json, sys; print(json.load(sys.stdin)["ok"])'; }
is_json() {	# STATUS OK COMMAND...
	local status=$1 ok=$2 rc
	shift 2
	ctl "$@" >"$LOGS/out" 2>"$LOGS/err"
	rc=$?
	[ $rc = "$status" ] || fail "toectl $*: status $rc, expected $status: $(cat "$LOGS/err")"
	[ "$(json <"$LOGS/out")" = "$ok" ] || fail "toectl $*: not the JSON expected: $(cat "$LOGS/out")"
}
for verb in list stats features "show --all" "offload --all" "upload --all" "list --port 1" version; do
	# shellcheck disable=SC2086
	is_json 0 True --json $verb
	# shellcheck disable=SC2086
	is_json 0 True $verb --json
done
is_json 2 False --json show 4242
is_json 2 False --json offload c4242
is_json 2 False --json attach nosuch0
is_json 2 False --json detach nosuch0
ctl features >"$LOGS/out" || fail "features"
grep -q "native XDP on eth0 .*yes" "$LOGS/out" || fail "features: $(cat "$LOGS/out")"
say "usage"
ctl --help >"$LOGS/help" || fail "--help"
for word in run list show offload upload stats attach detach features version help \
	--addr --port --pid --all --json --rundir 'Exit codes: 0 .* 1 .* 2 .* 3 '; do
	grep -qE "^ *$word" "$LOGS/help" || fail "--help does not name $word: $(cat "$LOGS/help")"
done
for wrong in "" frobnicate "list --frobnicate" "offload --port" "show" "stats x" "attach" "run"; do
	# shellcheck disable=SC2086
	ctl $wrong >"$LOGS/out" 2>&1
	[ $? = 1 ] || fail "toectl $wrong: not status 1: $(cat "$LOGS/out")"
	grep -q 'see toectl help' "$LOGS/out" || fail "toectl $wrong: $(cat "$LOGS/out")"
done
toed_stop
is_json 3 False --json list
