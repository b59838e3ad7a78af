#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2317 # functions of a run are called by name
# Goodput over impaired links, the kernel's CUBIC against toed, with the same seeds: srv as the sender and as the
# receiver. Every byte is checked and no stream may fail; the figures are printed, not asserted. In `make test`
# two cells, one short round each; `make impaired` prints the whole table, medians of ROUNDS (3) of TIME (4) seconds, and
# measures cells below 0.95 anew, with 8 rounds or 16 of 10 s, in some 25 minutes; IMPAIRED=quick a few of its rows,
# ONLY=REGEX those whose name it finds.
#
#   cli bulk client (kernel TCP) -- eth0 ---- link ---- eth0 [toed or nothing] -- srv bulk server (libtoe or not)
# shellcheck source=tests/netns/lib.sh

# name | arguments of the link. Rates have a queue of one bandwidth-delay product, 20 frames at least.
CELLS='loss 0 %, 0 ms           |
loss 0.1 %, 0 ms         | -l 0.1
loss 1 %, 0 ms           | -l 1
loss 5 %, 0 ms           | -l 5
loss 0 %, 10 ms          | -t 5000
loss 0.1 %, 10 ms        | -t 5000 -l 0.1
loss 1 %, 10 ms          | -t 5000 -l 1
loss 5 %, 10 ms          | -t 5000 -l 5
loss 0 %, 50 ms          | -t 25000
loss 0.1 %, 50 ms        | -t 25000 -l 0.1
loss 1 %, 50 ms          | -t 25000 -l 1
loss 5 %, 50 ms          | -t 25000 -l 5
bursts of 4, 0.1 %, 10 ms| -t 5000 -b 0.1 -B 4
reordering 1 %, 10 ms    | -t 5000 -r 1
reordering 10 %, 10 ms   | -t 5000 -r 10
10 Mbit/s, 20 ms         | -t 10000 -R 10 -q 20
100 Mbit/s, 20 ms        | -t 10000 -R 100 -q 165
1000 Mbit/s, 20 ms       | -t 10000 -R 1000 -q 1650'
QUICK='loss 1 %, 0 ms           | -l 1
loss 1 %, 10 ms          | -t 5000 -l 1
reordering 1 %, 10 ms    | -t 5000 -r 1
100 Mbit/s, 20 ms        | -t 10000 -R 100 -q 165'
TEST=$(grep -E '^loss 1 %, 10|^100 M' <<<"$QUICK")
SHARED='-t 10000 -R 50 -q 84'

: "${TIME:=2}"

median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : 0 }'; }

# --- one run: a process of its own, with namespaces of its own -----------------------------------

serve() {	# SYSTEM PORT
	if [ "$1" = toed ]; then offloadable "server$2" srv "$BIN/bulk" server "$2"
	else spawn "server$2" srv "$BIN/bulk" server "$2"; fi
	eventually 10 listening srv "$2" || fail "server did not start"
}

dial() {	# NAME PORT ROLE: the server is the sender in "sender"
	spawn "$1" cli "$BIN/bulk" client "$SRV4" "$2" "$([ "$3" = sender ] && echo down || echo up)" "$TIME"
	eventually 10 logged "$1" connected || fail "client did not connect"
}

into_hardware() {
	eventually 5 eval 'ctl offload --all >/dev/null 2>&1; all_on hardware 1' || fail "not in hardware: $(ctl list)"
}

result() {	# NAME: its goodput
	finish "$1" $((${TIME%.*} + 60)) || fail "client ($?): $(tail -1 "$LOGS/$1")"
	awk '/^bits/ { print "RESULT", $2 }' "$LOGS/$1"
}

one_cell() {	# SYSTEM ROLE LINK-ARGUMENTS
	local system=$1 role=$2
	shift 2
	topo_lossy "$@"
	[ "$system" = kernel ] || toed_start srv
	serve "$system" 5201
	dial client 5201 "$role"
	[ "$system" = kernel ] || into_hardware
	kill -USR1 "${PID[client]}"
	result client
	[ "$system" = kernel ] && return
	[ "$(counter "$([ "$role" = sender ] && echo TX_SEGS || echo RX_SEGS)")" -ge 20 ] ||
		fail "the engines did not carry it: $(ctl --json stats)"
}

# Two flows of srv through one bottleneck, that of SYSTEM begins: goodput of the kernel's, then of toed's.
one_pair() {	# SYSTEM LINK-ARGUMENTS
	local first=$1 order="client1 client2" name
	[ "$first" = kernel ] || order="client2 client1"
	shift
	topo_lossy "$@"
	toed_start srv
	serve kernel 5201
	serve toed 5202
	dial client1 5201 sender
	dial client2 5202 sender
	into_hardware
	for name in $order; do kill -USR1 "${PID[$name]}"; done
	result client1
	result client2
	[ "$(counter TX_SEGS)" -ge 20 ] || fail "the engines sent nothing"
}

if [ "${1:-}" = cell ] || [ "${1:-}" = pair ]; then
	. "$(dirname "$0")/lib.sh"
	what=one_$1
	shift
	$what "$@"
	exit
fi

# --- the table -----------------------------------------------------------------------------------

work=$(mktemp -d "/tmp/toet-impaired.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=0 nr_cells=0 good=0

# start JOBS NAME SEED ARGUMENTS: a run, in the background; not more than JOBS at once. Its output: $work/NAME
start() {
	while [ "$(jobs -rp | wc -l)" -ge "$1" ]; do wait -n; done
	TOE_SEED=$3 exec "$0" "${@:4}" >"$work/$2" 2>&1 &
}

# results NAME: of this run, one a line
results() {
	grep -q '^RESULT' "$work/$1" || { sed 's/^/    | /' "$work/$1" >&2; return 1; }
	awk '/^RESULT/ { print $2 }' "$work/$1"
}

# measure ROUNDS JOBS ROLE LINK-ARGUMENTS: k and t are the medians of the kernel and of toed
measure() {
	local rounds=$1 jobs=$2 role=$3 system
	local -A got=([kernel]="" [toed]="")
	shift 3
	for ((i = 1; i <= rounds; i++)); do
		for system in kernel toed; do start "$jobs" "$system.$i" "$i" cell "$system" "$role" "$@"; done
	done
	wait
	for ((i = 1; i <= rounds; i++)); do
		for system in kernel toed; do
			got[$system]+=$(results "$system.$i")$'\n' ||
				{ failed=$((failed + 1)); echo "FAILED: $role $*, $system, seed $i"; }
		done
	done
	k=$(grep . <<<"${got[kernel]}" | median) t=$(grep . <<<"${got[toed]}" | median)
}

enough() { awk -v k="$k" -v t="$t" 'BEGIN { exit !(t >= 0.95 * k) }'; }

# A cell that falls short is measured anew, longer, and that figure counts. Where little is carried several runs at once
# do not disturb each other.
measure_again() {	# ROLE LINK-ARGUMENTS: sets rounds, too
	if [ "${k%.*}" -lt 100000000 ]; then rounds=16; TIME=10 measure 16 6 "$@"
	else rounds=8; measure 8 1 "$@"; fi
}

cell() {	# NAME ROLE LINK-ARGUMENTS
	local name=${1%"${1##*[! ]}"} role=$2 rounds=$ROUNDS i k t
	shift 2
	measure "$ROUNDS" 1 "$role" "$@"
	[ -z "${AGAIN:-}" ] || enough || measure_again "$role" "$@"
	nr_cells=$((nr_cells + 1))
	enough && good=$((good + 1))
	awk -v n="$name" -v r="$role" -v k="$k" -v t="$t" -v c="$rounds" 'BEGIN {
		printf "%-26s %-9s %10.2f %10.2f %7.2f %7d\n", n, r, k / 1e6, t / 1e6, k ? t / k : 0, c }'
}

pair() {	# WHO-BEGINS...
	local i first shares="" nr=0
	for ((i = 1; i <= ROUNDS; i++)); do
		for first in $1; do
			# shellcheck disable=SC2086 # words
			start 1 "$first.$i" "$i" pair "$first" $SHARED
			wait
			shares+=$(results "$first.$i" |
				awk '{ v[NR] = $1 } END { if (NR == 2) printf "%.0f", 100 * v[2] / (v[1] + v[2]) }')$'\n'
			nr=$((nr + 1))
		done
	done
	[ "$(grep -c . <<<"$shares")" = "$nr" ] || { failed=$((failed + 1)); echo "FAILED: two flows"; }
	printf 'two flows, kernel and toed, 50 Mbit/s, 20 ms: share of toed %.0f %% (%s)\n' \
		"$(grep . <<<"$shares" | median)" "$(grep . <<<"$shares" | tr '\n' ' ')"
}

table() {	# CELLS
	local name args
	printf '%-26s %-9s %10s %10s %7s %7s\n' "link" "srv is" "kernel" "toed" "ratio" "rounds"
	while IFS='|' read -r name args <&3; do
		[[ $name =~ ${ONLY:-} ]] || continue
		for role in sender receiver; do
			# shellcheck disable=SC2086 # words
			cell "$name" $role $args
		done
	done 3<<<"$1"
}

case ${1:-test} in
test) export TIME=1; ROUNDS=1; table "$TEST"; pair kernel ;;
quick) export TIME=3; ROUNDS=3; table "$QUICK"; export TIME=8; pair "kernel toed" ;;
table) export TIME=${TIME:-4}; ROUNDS=${ROUNDS:-3} AGAIN=1; table "$CELLS"; export TIME=15; [ -n "${ONLY:-}" ] || pair "kernel toed" ;;
*) echo "usage: $0 [test|quick|table]" >&2; exit 64 ;;
esac
echo "goodput in Mbit/s, medians; $good of $nr_cells cells at 0.95 of the kernel or above; $failed streams failed"
exit $((failed != 0))
