# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced by every scenario: namespaces, links, toed, processes, counters, and a clean-up that
# runs however the scenario ends and fails it if anything is left behind.
#
# Namespaces cli and srv, device eth0 in each, 10.99.0.1/fd99::1 and 10.99.0.2/fd99::2.
set -u -o pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin	# what the packages brought: a python3 before it may take half a second to start

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${TOE_BUILD:-build}
[[ $B = /* ]] || B=$ROOT/$B
HELPERS=$ROOT/tests/helpers
BIN=$B/tests/helpers
RUN=toet-$$
RUNDIR=/run/$RUN
BPFFS=/sys/fs/bpf/$RUN
LOGS=$(mktemp -d "/tmp/$RUN.XXXXXX")
chmod 711 "$LOGS"
ln -s "$B/libtoe.so" "$LOGS/libtoe.so"
export TOE_LIB=$LOGS/libtoe.so	# LD_PRELOAD takes no path with a space, the checkout may have one
# A build with ASAN=1: its runtime goes into the programs under libtoe too, behind libtoe, whose calls then pass
# through it. (Their own leaks are their own matter.) What any sanitizer reports fails the scenario. Frames stand off the
# stack, where those of a thread that was cancelled would leave marks that accuse its destructors.
ASAN=$(ldd "$B/libtoe.so" 2>/dev/null | awk '/libasan/ { print $3 }')
if [ -n "$ASAN" ]; then
	install -d -m 1777 "$LOGS/sanitizer"
	export ASAN_OPTIONS=verify_asan_link_order=0:detect_stack_use_after_return=1:log_path=$LOGS/sanitizer/report
	export UBSAN_OPTIONS=print_stacktrace=1:log_path=$LOGS/sanitizer/report
fi
SEED=${TOE_SEED:-$RANDOM$RANDOM}
CLI4=10.99.0.1 SRV4=10.99.0.2 CLI6=fd99::1 SRV6=fd99::2
# Everything that a scenario starts stays in this cgroup, whatever it does to its parents, session or namespaces.
CGROUPS=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
PIDNS=$(stat -Lc %i /proc/self/ns/pid)	# a container may share the hierarchy, but not the numbers of processes
CGROUP=$CGROUPS/$RUN.$PIDNS
declare -A PID=()
ORDER=()
TOED_PID=

say() { printf '%(%T)T %s\n' -1 "$*"; }
fail() {
	local ns
	echo "FAIL: $*"
	for ns in cli srv; do in_ns $ns ss -Htnie >"$LOGS/sockets of $ns" 2>/dev/null; done
	[ -z "$TOED_PID" ] || kill -CONT "$TOED_PID" 2>/dev/null	# a test may have stopped it
	ctl --json show --all >"$LOGS/connections" 2>/dev/null
	ctl stats >"$LOGS/counters" 2>/dev/null
	[ -z "${TOE_KEEP_LOGS:-}" ] || cp -r "$LOGS" "$TOE_KEEP_LOGS"
	exit 1
}
skip() { echo "SKIP: $*"; exit 77; }
need() { local p; for p in "$@"; do type -p "$p" >/dev/null || skip "no $p"; done; }

# --- processes -----------------------------------------------------------------------------------

in_ns() { local ns=$1; shift; nsenter --net="/run/netns/$RUN-$ns" -- "$@"; }

exec_ns() { local ns=$1; shift; exec nsenter --net="/run/netns/$RUN-$ns" -- "$@"; }	# $! is the command

# spawn NAME NS COMMAND...: in the background, output to $LOGS/NAME, input from STDIN (a FIFO) or nothing
spawn() {
	local name=$1 ns=$2
	shift 2
	: >"$LOGS/$name"	# before anybody looks for the word of a new process in it
	exec_ns "$ns" "$@" >"$LOGS/$name" 2>&1 <"${STDIN:-/dev/null}" &
	PID[$name]=$!
	ORDER+=("$name")
}

# offloadable NAME NS COMMAND...: the same under libtoe
offloadable() {
	local name=$1 ns=$2
	shift 2
	spawn "$name" "$ns" ${ASAN:+env "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0" "LD_PRELOAD=$ASAN"} \
		"$B/toectl" --rundir "$RUNDIR" run --require -- "$@"
}

alive() { kill -0 "${PID[$1]}" 2>/dev/null; }

# finish NAME [SECONDS]: wait for its end; its exit status, 124 if it did not end
finish() {
	local name=$1 left=$((${2:-60} * 10 * ${TOE_PATIENCE:-1})) rc
	while alive "$name" && ((left-- > 0)); do sleep 0.1; done
	alive "$name" && return 124
	wait "${PID[$name]}"
	rc=$?
	unset "PID[$name]"
	return $rc
}

stop() {
	local name=$1 left=${2:-50} pid=${PID[$1]:-}
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null && ((left-- > 0)); do sleep 0.1; done
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	unset "PID[$name]"
}

# eventually SECONDS COMMAND...
eventually() {
	local left=$(($1 * 20 * ${TOE_PATIENCE:-1})) end=$((SECONDS + 5 + $1 * 2 * ${TOE_PATIENCE:-1}))
	shift
	until "$@"; do ((left-- > 0 && SECONDS < end)) || return 1; sleep 0.05; done
}

listening() { in_ns "$1" ss -Hltn "sport = :$2" | grep -q .; }
logged() { grep -q -- "$2" "$LOGS/$1" 2>/dev/null; }

# --- topology ------------------------------------------------------------------------------------

addresses() {
	local ns=$1 v4=$2 v6=$3
	in_ns "$ns" ip addr add "$v4/24" dev eth0
	in_ns "$ns" ip addr add "$v6/64" dev eth0 nodad
	in_ns "$ns" ip link set eth0 mtu 1500 up
	in_ns "$ns" ip link set lo up
}

namespaces() {
	local ns
	for ns in cli srv; do ip netns add "$RUN-$ns" || fail "cannot make network namespaces"; done
}

# A datagram makes the client's stack look for the server's hardware address.
neighbour() {
	in_ns cli bash -c "echo > /dev/udp/$1/9" 2>/dev/null
	in_ns cli ip neigh show "$1" | grep -q lladdr
}
resolved() { neighbour "$SRV4" && neighbour "$SRV6"; }

# cli eth0 ---- veth ---- eth0 srv. GRO is on at both ends: redirection into a veth needs
# NAPI on its peer. A veth drops what its peer's ring of 256 frames cannot take, unless the sender has a
# queue, to which it gives back-pressure (Linux 6.16): cli has one, so this link drops nothing. srv has none:
# the engines' frames would overtake those of the kernel that wait in it.
# Argument "tx-off": full checksums on the wire.
topo_veth() {
	local ns
	namespaces
	ip link add eth0 netns "$RUN-cli" type veth peer name eth0 netns "$RUN-srv" || fail "no veth"
	addresses cli "$CLI4" "$CLI6"
	addresses srv "$SRV4" "$SRV6"
	for ns in cli srv; do
		in_ns "$ns" ethtool -K eth0 gro on >/dev/null || fail "no GRO on veth"
		[ "${1:-}" != tx-off ] || in_ns "$ns" ethtool -K eth0 tx off >/dev/null
	done
	in_ns cli tc qdisc replace dev eth0 root pfifo limit 4000 || fail "no pfifo"
	eventually 5 resolved || fail "no traffic between the namespaces"
}

# cli eth0 ---- link ---- eth0 srv, impaired as the arguments say (those of tests/helpers/link).
topo_lossy() {
	local ns
	namespaces
	"$BIN/link" -S "$SEED" "$@" "/run/netns/$RUN-cli" "/run/netns/$RUN-srv" >"$LOGS/link" 2>&1 &
	PID[link]=$!
	ORDER+=(link)
	eventually 5 logged link ready || fail "the link did not start"
	# while a device is up, a new length of its queue drops what is sent in that moment, and counts it
	for ns in cli srv; do in_ns $ns ip link set eth0 txqueuelen 65536; done
	addresses cli "$CLI4" "$CLI6"
	addresses srv "$SRV4" "$SRV6"
	eventually 20 resolved || fail "no traffic between the namespaces"
}

# The same without any impairment, and with room for every frame: kernel and engines share one queue, nothing
# is dropped or reordered, and the link judges what both send (judged). Slower than veth, whose batches reorder.
topo_wire() { topo_lossy; }

# link_counts: the link's counters up to now; judged NS FIELD: one of them, of what NS sent (link_judge.h)
link_counts() {
	local lines
	lines=$(wc -l <"$LOGS/link")
	if alive link; then
		kill -USR1 "${PID[link]}"
		eventually 5 eval '[ "$(wc -l <"$LOGS/link")" -gt "$lines" ]' || fail "the link does not answer"
	fi
	grep '^link: 0.in ' "$LOGS/link" | tail -1
}

counted() {	# FIELD LINE
	awk -v f="$1" '{ for (i = 2; i < NF; i += 2) if ($i == f) print $(i + 1) }' <<<"$2"
}

judged() { counted "$([ "$1" = cli ] && echo 0 || echo 1).$2" "$(link_counts)"; }

# --- toed ----------------------------------------------------------------------------------------

# toed_start NS [ARGUMENTS]: attached to eth0 of NS. TOED: another program than the build's
toed_start() {
	local ns=$1 made
	shift
	for made in toed toectl libtoe.so; do [ -e "$B/$made" ] || fail "not built: $B/$made"; done
	exec_ns "$ns" "${TOED:-$B/toed}" --rundir "$RUNDIR" --bpffs "$BPFFS" -i eth0 "$@" >>"$LOGS/toed" 2>&1 </dev/null &
	TOED_PID=$!
	eventually 10 toed_up_or_dead
	toed_up || { tail -5 "$LOGS/toed"; fail "toed did not start"; }
}

toed_up_or_dead() { toed_up || ! toed_alive; }
toed_up() { ctl list >/dev/null 2>&1; }
toed_stopped() { grep -q '^State:.T' "/proc/$TOED_PID/status"; }
toed_alive() { kill -0 "$TOED_PID" 2>/dev/null; }

toed_stop() {
	local left=200
	[ -n "$TOED_PID" ] || return 0
	kill -TERM "$TOED_PID" 2>/dev/null
	kill -CONT "$TOED_PID" 2>/dev/null	# a test may have stopped it
	while toed_alive && ((left-- > 0)); do sleep 0.1; done
	if toed_alive; then
		echo "toed does not stop"
		kill -KILL "$TOED_PID"
		wait "$TOED_PID" 2>/dev/null
		TOED_PID=
		return 1
	fi
	wait "$TOED_PID"
	local rc=$?
	TOED_PID=
	[ $rc = 0 ] || echo "toed ended with status $rc"
	return $rc
}

ctl() { "$B/toectl" --rundir "$RUNDIR" "$@"; }

# counter NAME: of toectl stats; nothing if toed does not answer or has no such counter, so that no comparison holds
counter() { ctl --json stats | "$BIN/jsonget" "$1"; }

# paths: connections by path, as "kernel 3 hardware 50"
on_path() { ctl --json list | "$BIN/jsonget" --count path "$1"; }
all_on() { [ "$(on_path "$1")" -ge "$2" ]; }

# --- counters ------------------------------------------------------------------------------------

# snmp NS Tcp RetransSegs; snmp NS TcpExt TCPDSACKRecv
snmp() {
	in_ns "$1" cat /proc/net/snmp /proc/net/netstat | awk -v p="$2:" -v f="$3" '
		$1 != p { next }
		!(p in names) { names[p] = 1; for (i = 2; i <= NF; i++) col[$i] = i; next }
		{ if (f in col) print $col[f]; exit }'
}

# Frames that met the XDP program of a veth. (Its rx_packets counts those of a stack twice.)
xdp_packets() { in_ns "$1" ethtool -S eth0 | awk '/rx_queue_[0-9]*_xdp_packets:/ { n += $2 } END { print n + 0 }'; }

# --- what several scenarios do -------------------------------------------------------------------

# stream_flipping STYLE ADDRESS BYTES CONNECTIONS [STREAM OPTIONS]: one round of the stream test with
# the server under libtoe, its connections moved back and forth all the time.
stream_flipping() {
	local style=$1 addr=$2 bytes=$3 conns=$4
	shift 4
	offloadable server srv "$BIN/stream" -n "$conns" -s "$style" "$@" server ::
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n "$conns" -b "$bytes" -S "$SEED" -s "$style" "$@" client "$addr"
	spawn flip srv "$HELPERS/flip" "$SEED" "${FLIP_MS:-8}" --all -- "$B/toectl" --rundir "$RUNDIR"
	finish client 150 || fail "stream client, $style ($?)"
	finish server 30 || fail "stream server, $style ($?)"
	stop flip
	toed_alive || fail "toed is gone"
}

moves() { echo $(($(counter offloads) + $(counter uploads))); }

# kv_flipping SECONDS LEAST: kvcheck, spawned as "check", is right until its end, while all connections of the server move, so
# often at least, and both engines carry some of what it sends and gets.
kv_flipping() {
	local before rx tx
	before=$(moves) rx=$(counter RX_SEGS) tx=$(counter TX_SEGS)
	spawn flip srv "$HELPERS/flip" "$SEED" 50 --all -- "$B/toectl" --rundir "$RUNDIR"
	sleep "$1"
	stop flip
	alive check || fail "$(tail -1 "$LOGS/check")"
	stop check
	grep 'kvcheck: ok' "$LOGS/check" || fail "$(tail -1 "$LOGS/check")"
	before=$(($(moves) - before)) rx=$(($(counter RX_SEGS) - rx)) tx=$(($(counter TX_SEGS) - tx))
	say "$before moves, the engines took $rx segments and sent $tx"
	((before >= $2)) || fail "only $before moves"
	((rx > 100 && tx > 100)) || fail "the engines took $rx segments and sent $tx"
}

# through_engine SECONDS PERCENT CLIENT...: so much of what reaches eth0 of srv is taken by the RX engine.
# The clients are stopped for the moments of counting, until the server has answered all, so that both counts mean the
# same frames.
arrived() { if [ -n "${PID[link]:-}" ]; then judged cli out; else xdp_packets srv; fi; }
quiet() { local n; n=$(arrived); sleep 0.1; [ "$(arrived)" = "$n" ]; }
through_engine() {
	local segs0 dev0 segs dev seconds=$1 percent=$2
	shift 2
	signal STOP "$@"
	eventually 5 quiet
	segs0=$(counter RX_SEGS) dev0=$(arrived)
	signal CONT "$@"
	sleep "$seconds"
	signal STOP "$@"
	eventually 5 quiet
	segs=$(($(counter RX_SEGS) - segs0)) dev=$(($(arrived) - dev0))
	signal CONT "$@"
	say "RX engine took $segs of $dev frames"
	((segs > 0 && dev > 0 && segs * 100 >= dev * percent))
}

# echo_pair [ADDRESS]: the echo server under libtoe on port 7100, and one client that takes its orders, numbers of bytes,
# from descriptor 3.
echo_pair() {
	local addr=${1:-$SRV4}
	offloadable server srv python3 "$HELPERS/echo" server 7100
	eventually 10 logged server listening || fail "server did not start"
	rm -f "$LOGS/orders"
	mkfifo "$LOGS/orders"
	spawn client cli python3 "$HELPERS/echo" client "$addr" 7100 "$LOGS/orders"
	exec 3>"$LOGS/orders"
	eventually 10 logged client connected || fail "client did not connect to $addr"
}

# flow_peer HELPER: the other end of flow_cases
flow_peer() {
	spawn peer cli "$BIN/$1" peer 7200
	eventually 10 logged peer listening || fail "the peer did not start"
}

# flow_cases HELPER: each case of tests/helpers/HELPER (or those in CASES) under libtoe, peer on port 7200 of cli, by its
# address FLOW_ADDR
flow_cases() {
	local case failed=
	for case in ${CASES:-$("$BIN/$1" list)}; do
		offloadable "$case" srv "$BIN/$1" "$case" "${FLOW_ADDR:-$CLI4}" 7200 "$RUNDIR"
		if finish "$case" 70 && logged "$case" "^ok"; then
			sed -n "s/^ok (/$case: not tested (/p" "$LOGS/$case"	# what this machine lacks
			rm -f "$LOGS/$case"
			continue
		fi
		failed+=" $case"
		say "$case: $(tail -n 3 "$LOGS/$case" | tr '\n' ' ')"
		toed_alive || fail "toed is gone after $case"
	done
	[ -z "$failed" ] || fail "cases that failed:$failed"
}

signal() {
	local sig=$1 name
	shift
	for name in "$@"; do kill "-$sig" "${PID[$name]}" || fail "$name is gone: $(tail -1 "$LOGS/$name")"; done
	[ "$sig" = CONT ] || sleep 0.1
}

# The only resets are the client's own, of connections that it closes with unread data. (EstabResets of srv
# counts parked sockets.) The server's stack answers with one what comes after a connection has ended: the client's
# early probes of its last segment, and what crossed a reset of its own.
no_resets() {
	local rsts
	rsts=$(snmp cli Tcp OutRsts)
	[ "$(snmp cli Tcp EstabResets)" -le "$rsts" ] || fail "connections of the client were reset"
	[ "$(snmp srv Tcp OutRsts)" -le $((rsts + $(snmp cli Tcp RetransSegs))) ] || fail "the server's stack sent resets"
}

# --- what "nothing was lost" means ---------------------------------------------------------------
#
# On a link that drops nothing, a retransmission is a bug, or it is one of two artefacts, which runs of the
# kernel alone show as well:
#  - a receiver scheduled late (2 cores for both ends): the sender's tail loss probe or timer fires though
#    the frame is on its way;
#  - veth's NAPI takes the kernel's frames of a poll before the engines' (redirected) ones, so that the
#    first frames after an upload overtake the last ones of the engine: reordering, answered with SACK.
# In both the original frame arrived as well, so the receiver gets those bytes twice and says so: the kernel
# by a DSACK, the engine, which sends none, in RX_DUP. A segment that was lost is received once only. So
# retransmitted segments are lost segments as far as they exceed those received twice; lost() is that
# excess. What the link itself dropped (a full ring: 256 frames of a veth) is counted by the kernel, and a
# scenario whose link must not drop fails if it did: then nothing hides in that number.
#
# What is sent before a move and reported twice after it is counted by neither end, so while connections
# move these numbers mean little. There the link (topo_wire) is the judge: it drops and reorders nothing and reads
# the segments of both ends. wire_clean fails if a segment went again which the other end, as its timestamps and DSACKs
# say, had not received, if either end ever jumped over bytes, that is if bytes that counted as sent did not come to
# the link, if a window was taken back or overrun, if a timestamp went backwards, if what was never sent was
# acknowledged, or if a checksum was wrong. A few frames that were overtaken are not lost. Bytes that came twice are
# printed, not failed: see above.
#
# Use the strictest that is true: no_retransmissions where the kernel alone shows none (idle connections,
# closed loops with few connections), nothing_lost for bulk.

# lost END: segments that END's kernel, and for srv the engine, sent again although they had not come. One DSACK can
# stand for many segments (TCPDSACKRecvSegs), and one that arrives after a move is not counted by its sender: the
# larger of both ends' counts.
lost() {
	local end=$1 peer=cli sent twice other
	[ "$end" = srv ] || peer=srv
	sent=$(snmp "$end" Tcp RetransSegs)
	twice=$(snmp "$end" TcpExt TCPDSACKRecvSegs)
	other=$(($(snmp $peer TcpExt TCPDSACKOldSent) + $(snmp $peer TcpExt TCPDSACKOfoSent)))
	twice=$((other > twice ? other : twice))
	if [ "$end" = srv ]; then
		sent=$((sent + $(counter TX_RTX)))
	else
		twice=$((twice + $(counter RX_DUP)))
	fi
	echo $((sent > twice ? sent - twice : 0))
}

# Frames that the link dropped: by the stacks' senders, and by redirection and XDP_TX of the engines.
link_drops() {
	local ns
	for ns in cli srv; do
		in_ns $ns ip -s -s link show eth0 | awk '/TX:/ { getline; print $4 }'
		in_ns $ns ethtool -S eth0 2>/dev/null |
			awk '/_errors:/ { print $2 }'
	done | awk '{ n += $1 } END { print n + 0 }'
}

retransmissions() {
	local ns f
	for ns in cli srv; do
		printf '%s:' $ns
		printf ' RetransSegs %s' "$(snmp $ns Tcp RetransSegs)"
		for f in TCPTimeouts TCPLossProbes TCPFastRetrans TCPDSACKRecvSegs TCPDSACKOldSent TCPDSACKOfoSent \
			 PAWSEstab BeyondWindow; do
			printf ' %s %s' $f "$(snmp $ns TcpExt $f)"
		done
		printf '; '
	done
	echo "engine: TX_RTX $(counter TX_RTX) RX_DUP $(counter RX_DUP) RX_OOO $(counter RX_OOO); link drops $(link_drops)"
}

wire_clean() {
	local line end name f n late
	line=$(link_counts)
	for end in 0 1; do
		name=$([ $end = 0 ] && echo cli || echo srv)
		late=$(counted $end.late "$line")
		[ "$(counted $end.segs "$line")" -gt 0 ] || fail "the link saw no segment of $name"
		for f in needed skipped missing beyond shrunk ts_back bad_ack bad_csum; do
			n=$(counted $end.$f "$line")
			# A virtual CPU that its host puts aside while a frame leaves is overtaken by the other one.
			case $f in
			skipped) [ "$n" != "$late" ] || ((late > 65536)) || n=0 ;;
			ts_back) ((n > 8 + late / 500)) || n=0 ;;	# acknowledgements, too
			shrunk) ((n > late / 500)) || n=0 ;;		# it offers what was offered when it was made
			esac
			[ "$n" = 0 ] || fail "segments of $name, $f: $n; $line"
		done
	done
	say "the link saw $(counted 0.again "$line") bytes of cli and $(counted 1.again "$line") of srv again"
}

slow() { [ "${TOE_PATIENCE:-1}" -gt 1 ]; }	# timers fire for frames that are only late: figures prove nothing

# A timer that fired early shows as bytes that came twice, and so is not lost.
nothing_lost() {
	local ns drops
	say "$(retransmissions)"
	! slow || return 0
	no_resets
	drops=$(link_drops)
	[ "$drops" = 0 ] || fail "the link dropped $drops frames"
	if [ -n "${PID[link]:-}" ]; then
		wire_clean
		return
	fi
	for ns in cli srv; do
		[ "$(lost $ns)" = 0 ] || fail "lost segments of $ns: $(lost $ns)"
	done
}

# A tail loss probe whose original arrived as well, as its DSACK says, is a receiver scheduled late.
no_retransmissions() {
	local ns late seen
	nothing_lost
	! slow || return 0
	for ns in cli srv; do
		late=$(snmp $ns TcpExt TCPLossProbes) seen=$(snmp $ns TcpExt TCPDSACKRecv)
		[ "$(snmp $ns Tcp RetransSegs)" -le $((late < seen ? late : seen)) ] ||
			fail "retransmissions in $ns: $(snmp $ns Tcp RetransSegs)"
	done
}

# --- clean-up ------------------------------------------------------------------------------------

enclose() { [ -n "$CGROUPS" ] && mkdir "$CGROUP" && echo $$ >"$CGROUP/cgroup.procs"; } 2>/dev/null

# kill_all RUN: end every process of a run but this one. Twice and more: they may fork meanwhile.
kill_all() {
	local pid ns left=50 some=yes
	local -a pids
	while [ -n "$some" ] && ((left-- > 0)); do
		some=
		mapfile -t pids < <(cat "$CGROUPS/$1.$PIDNS/cgroup.procs" 2>/dev/null
			for ns in cli srv; do ip netns pids "$1-$ns" 2>/dev/null; done)
		for pid in "${pids[@]}"; do
			[ "$pid" != $$ ] && [ -e "/proc/$pid/exe" ] || continue
			some=yes
			((left < 49)) || echo "killing stray process $pid, $(tr '\0' ' ' <"/proc/$pid/cmdline")"
			kill -KILL "$pid" 2>/dev/null
		done
		[ -z "$some" ] || sleep 0.05
	done
}

wipe() {	# RUN
	local mnt ns
	kill_all "$1"
	cut -d ' ' -f 2 /proc/mounts | grep "^/run/$1/" | while read -r mnt; do umount "$mnt"; done
	for ns in "/run/netns/$1"-*; do [ ! -e "$ns" ] || ip netns del "${ns##*/}"; done
	rm -rf "/run/$1" "/sys/fs/bpf/$1"
	if [ "$1" = "$RUN" ]; then
		echo $$ >"$CGROUPS$OLD_CGROUP/cgroup.procs"
	else
		rm -rf "/tmp/$1".??????
	fi 2>/dev/null
	rmdir "$CGROUPS/$1.$PIDNS" 2>/dev/null
}

# Leftovers of runs whose process is gone.
sweep() {
	local path run
	for path in /run/netns/toet-* /run/toet-* /sys/fs/bpf/toet-* "$CGROUPS"/toet-*."$PIDNS" /tmp/toet-*.*; do
		run=${path##*/} run=${run%%.*}
		run=$(cut -d- -f1,2 <<<"$run")
		[[ -e $path && ${run#toet-} =~ ^[0-9]+$ ]] || continue
		kill -0 "${run#toet-}" 2>/dev/null || wipe "$run"
	done
}

leaks() {	# true if there are any
	local rc=1
	if [ -n "$(find "$BPFFS" -mindepth 1 2>/dev/null)" ]; then
		echo "leak: pins: $(find "$BPFFS" -mindepth 1 -printf '%P ')"; rc=0
	fi
	if mountpoint -q "$RUNDIR/netns" || [ -S "$RUNDIR/app.sock" ] || [ -S "$RUNDIR/ctl.sock" ]; then
		echo "leak: $RUNDIR is still in use: $(find "$RUNDIR" -mindepth 1 -printf '%P ')"; rc=0
	fi
	if [ -e "/run/netns/$RUN-srv" ] && in_ns srv ip -d link show eth0 2>/dev/null | grep -q 'prog/xdp'; then
		echo "leak: XDP program still attached"; rc=0
	fi
	return $rc
}

show_logs() {
	local log
	for log in "$LOGS"/*; do
		[[ -f $log && -s $log && ! -L $log ]] || continue
		echo "--- ${log##*/}"
		tail -n 25 "$log"
	done
}

cleanup() {
	local rc=$? i
	trap '' INT TERM HUP
	trap - EXIT
	for ((i = ${#ORDER[@]} - 1; i >= 0; i--)); do stop "${ORDER[i]}"; done
	toed_stop || [ $rc != 0 ] || rc=1
	kill_all "$RUN"
	if compgen -G "$LOGS/sanitizer/*" >/dev/null; then
		tail -n 50 "$LOGS"/sanitizer/*
		[ $rc != 0 ] && [ $rc != 77 ] || rc=1
	fi
	if leaks && { [ $rc = 0 ] || [ $rc = 77 ]; }; then rc=1; fi
	wipe "$RUN"
	[ $rc = 0 ] || [ $rc = 77 ] || { echo "seed $SEED"; show_logs; }
	rm -rf "$LOGS"
	exit $rc
}

trap cleanup EXIT
trap 'exit 130' INT TERM HUP
[ "$(id -u)" = 0 ] || skip "needs root"
OLD_CGROUP=$(sed -n 's/^0:://p' /proc/self/cgroup)
enclose
sweep
