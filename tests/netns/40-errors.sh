#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What people and programs get wrong, and what a machine lacks: each gives one clear message and the right
# status, and toed goes on.
#
#   cli eth0 ---- veth ---- eth0 [toed] srv
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

expect() {	# STATUS PATTERN COMMAND...
	local status=$1 pattern=$2 rc
	shift 2
	timeout 20 "$@" >"$LOGS/out" 2>&1 </dev/null
	rc=$?
	[ "$rc" = "$status" ] || fail "$*: status $rc, expected $status: $(cat "$LOGS/out")"
	[ -z "$pattern" ] || grep -qi -- "$pattern" "$LOGS/out" || fail "$*: no word of '$pattern': $(cat "$LOGS/out")"
}
toed=(nsenter --net="/run/netns/$RUN-srv" "$B/toed" --rundir "$RUNDIR" --bpffs "$BPFFS")
toectl=(nsenter --net="/run/netns/$RUN-srv" "$B/toectl" --rundir "$RUNDIR")
nobody=(setpriv --reuid=65534 --clear-groups)
topo_veth
in_ns srv ip link add br0 type bridge || fail "no bridge"

say "toed is not running"
expect 3 'not running' "${toectl[@]}" list
expect 3 'not running' "${toectl[@]}" offload --all
expect 3 'not running' "${toectl[@]}" stats
expect 3 'not running' "${toectl[@]}" attach eth0
expect 0 'hello' "${toectl[@]}" run -- echo hello
expect 0 'not running.*kernel path' "${toectl[@]}" run -- true
expect 5 'not running' "${toectl[@]}" run -- sh -c 'exit 5'
expect 3 'not running' "${toectl[@]}" run --require -- echo hello
grep -q '^hello' "$LOGS/out" && fail "--require ran the program without toed"
expect 0 'usage:.*COMMAND' "${toectl[@]}" --help
expect 0 'usage:.*COMMAND' "${toectl[@]}" list --help

say "toed cannot start"
expect 1 'root' "${nobody[@]}" "$B/toed" --rundir "$RUNDIR" -i eth0
expect 1 'nosuch0: no such interface' "${toed[@]}" -i nosuch0
expect 1 'lo: not an Ethernet interface' "${toed[@]}" -i lo
expect 1 'br0: cannot attach in native mode.*--generic' "${toed[@]}" -i br0
expect 1 'not a number' "${toed[@]}" -p 0
expect 1 'auto.*manual' "${toed[@]}" --policy perhaps
expect 1 'interface' "${toed[@]}" -i ''
expect 1 '/nosuch' "${toed[@]}" -c /nosuch
expect 1 'unexpected argument' "${toed[@]}" eth0
expect 1 'unrecognized' "${toed[@]}" --frobnicate
in_ns srv ip link set eth0 mtu 9000
expect 1 'eth0: MTU 9000 .*3390' "${toed[@]}" -i eth0
in_ns srv ip link set eth0 mtu 1500
expect 1 'kernel lacks: TAP devices.*queue pairs' unshare -m sh -c \
	'mount -t tmpfs none /dev/net && exec "$@"' - "${toed[@]}" -i eth0
expect 1 'kernel lacks: cgroup v2.*seeing connections' unshare -m sh -c \
	'awk "\$3 == \"cgroup2\" { print \$2 }" /proc/mounts | xargs -n 1 umount -l && exec "$@"' - "${toed[@]}" -i eth0

say "another XDP program is there"
mkdir "$LOGS/obj"
echo '__attribute__((section("xdp"))) int somebody(void *ctx) { return 2; }' |
	clang -target bpf -O2 -g -c -x c - -o "$LOGS/obj/somebody.o" || fail "clang"
foreign() { in_ns srv ip link set dev eth0 xdp "$@" || fail "ip link set xdp $*"; }
foreign obj "$LOGS/obj/somebody.o" sec xdp
expect 1 'eth0: XDP program somebody (id [0-9]*) is attached.*ip link set dev eth0 xdp off' "${toed[@]}" -i eth0
in_ns srv ip link show eth0 | grep -q 'prog/xdp' || fail "the other program was taken off"
foreign off
leaks && fail "a toed that did not start left something behind"

say "toed is running"
toed_start srv -c <(printf '[toed]\nmax-connections = 2\n')
expect 1 "already running, process $TOED_PID" "${toed[@]}" -i eth0
expect 2 'not allowed.*root' "${nobody[@]}" "$B/toectl" --rundir "$RUNDIR" list
expect 1 'no command' "${toectl[@]}"
expect 1 'unknown command' "${toectl[@]}" frobnicate
expect 1 'unknown option' "${toectl[@]}" --frobnicate list
expect 1 'unknown option' "${toectl[@]}" offload --frobnicate
expect 1 'which connections' "${toectl[@]}" upload
expect 1 'needs a value' "${toectl[@]}" offload --port
expect 1 'not a number' "${toectl[@]}" offload --port x
expect 1 'given twice' "${toectl[@]}" offload --port 1 --port 2
expect 1 'one ID' "${toectl[@]}" show 1 2
expect 1 'no arguments' "${toectl[@]}" stats x
expect 1 'one interface' "${toectl[@]}" attach eth0 eth1
expect 1 'which program' "${toectl[@]}" run
expect 2 '1 to 65535' "${toectl[@]}" offload --port 65536
expect 2 'not an IPv4 or IPv6 address' "${toectl[@]}" list --addr 1.2.3
for id in eth0 65536 18446744073709551615; do expect 2 'not a connection' "${toectl[@]}" show $id; done
for id in 4242 c4242 c18446744073709551615; do
	for verb in offload upload show; do expect 2 'no such connection' "${toectl[@]}" $verb $id; done
done
expect 2 'nosuch0: no such interface' "${toectl[@]}" attach nosuch0
expect 2 'nosuch0: not attached' "${toectl[@]}" detach nosuch0
expect 2 'eth0: already attached' "${toectl[@]}" attach eth0
expect 2 'br0: cannot attach in native mode.*--generic' "${toectl[@]}" attach br0
expect 0 '' "${toectl[@]}" attach --generic br0
expect 0 'br0 .*generic' "${toectl[@]}" stats
expect 0 'native XDP on br0 *no' "${toectl[@]}" features
expect 0 '' "${toectl[@]}" detach br0
expect 2 'br0: not attached' "${toectl[@]}" detach br0
expect 0 '' "${toectl[@]}" detach eth0
foreign obj "$LOGS/obj/somebody.o" sec xdp
expect 2 'eth0: XDP program somebody (id [0-9]*) is attached' "${toectl[@]}" attach eth0
foreign off
expect 0 '' "${toectl[@]}" attach eth0
expect 127 nosuch "${toectl[@]}" run -- /nosuch/program
expect 126 denied "${toectl[@]}" run -- /etc/passwd
toed_up || fail "toed does not answer any more"

say "table full: the third connection stays in the kernel, and goes when there is room"
offloadable server srv python3 "$HELPERS/echo" server 7100
eventually 10 logged server listening || fail "server did not start"
for n in 1 2 3; do
	mkfifo "$LOGS/orders$n"
	spawn client$n cli python3 "$HELPERS/echo" client "$SRV4" 7100 "$LOGS/orders$n"
	eval "exec 1$n>'$LOGS/orders$n'"
	eventually 10 logged client$n connected || fail "client did not connect"
done
echoed() { [ "$(cat "$LOGS"/client? | grep -c '^ok 10')" = "$1" ]; }
expect 0 '2 offloaded, 1 refused' "${toectl[@]}" offload --all
grep -q 'no free HW_CONNID' "$LOGS/out" || fail "no reason: $(cat "$LOGS/out")"
expect 0 'kernel .*no free HW_CONNID' "${toectl[@]}" list
expect 2 '0 offloaded, 1 refused' "${toectl[@]}" offload --all
for n in 11 12 13; do echo 10 >&$n; done
eventually 10 echoed 3 || fail "no echo with a full table"
expect 0 '1 uploaded' "${toectl[@]}" upload 1
expect 0 '1 offloaded, 1 refused' "${toectl[@]}" offload --all
for n in 11 12 13; do echo 10 >&$n; done
eventually 10 echoed 6 || fail "no echo after the table was full"

say "random bytes on both sockets, seed $SEED"
python3 "$HELPERS/sockfuzz" "$RUNDIR" "$SEED" 400 || fail "sockfuzz"
toed_alive || fail "toed died of malformed messages"
eventually 5 toed_up || fail "toed does not answer any more"
expect 0 . "${toectl[@]}" stats
