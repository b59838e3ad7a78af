#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What other scenarios end with (lib.sh: nothing_lost and its like) passes on clean numbers, and fails on each number that it
# is there for. Nothing runs: the numbers are made up.
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

declare -A figure=()
snmp() { echo "${figure[$1.$3]:-0}"; }
counter() { echo "${figure[$1]:-0}"; }
link_drops() { counter drops; }
xdp_packets() { counter xdp; }
link_counts() {
	local end f
	printf 'link:'
	for end in 0 1; do
		printf ' %s.segs %s' $end "${figure[$end.segs]:-100}"
		for f in again needed late skipped missing beyond shrunk ts_back bad_ack bad_csum; do
			printf ' %s.%s %s' $end $f "${figure[$end.$f]:-0}"
		done
	done
	echo ' end'
}
signal() { :; }
quiet() { true; }
sleep() { figure[RX_SEGS]=${figure[taken]:-0} figure[xdp]=${figure[came]:-0}; }	# the time that through_engine() counts in
export TOE_PATIENCE=1 tried=0

# judge KEY=VALUE... -- CRITERION: what it says of these numbers
judge() (
	fail() { exit 1; }
	while [ "$1" != -- ]; do figure[${1%=*}]=${1#*=}; shift; done
	shift
	"$@" >/dev/null
)
passes() { tried=$((tried + 1)); judge "$@" || fail "a false alarm: $*"; }
fails() { tried=$((tried + 1)); ! judge "$@" || fail "passed: $*"; }

passes -- no_resets
passes cli.OutRsts=1 srv.OutRsts=1 cli.EstabResets=1 -- no_resets
fails cli.EstabResets=1 -- no_resets
fails srv.OutRsts=1 -- no_resets

passes -- nothing_lost
passes cli.RetransSegs=2 RX_DUP=2 -- nothing_lost
passes TX_RTX=2 cli.TCPDSACKOldSent=1 cli.TCPDSACKOfoSent=1 -- nothing_lost
for end in cli srv; do fails $end.RetransSegs=1 -- nothing_lost; done
fails cli.RetransSegs=2 RX_DUP=1 -- nothing_lost
fails TX_RTX=1 -- nothing_lost
fails drops=1 -- nothing_lost
fails srv.OutRsts=1 -- nothing_lost

passes -- no_retransmissions
passes cli.RetransSegs=1 RX_DUP=1 cli.TCPLossProbes=1 cli.TCPDSACKRecv=1 -- no_retransmissions
fails cli.RetransSegs=1 RX_DUP=1 -- no_retransmissions
fails cli.RetransSegs=1 RX_DUP=1 cli.TCPLossProbes=1 -- no_retransmissions
fails srv.RetransSegs=1 srv.TCPDSACKRecvSegs=1 -- no_retransmissions
fails TX_RTX=1 -- no_retransmissions

passes taken=99 came=100 -- through_engine 1 99
fails taken=989 came=1000 -- through_engine 1 99
fails -- through_engine 1 99

# With a link between the ends it is the wire that counts.
PID[link]=$BASHPID
passes TX_RTX=1 cli.RetransSegs=1 0.again=1 -- nothing_lost
passes 0.skipped=5 0.late=5 1.ts_back=8 -- nothing_lost
for end in 0 1; do
	for f in needed skipped missing beyond shrunk bad_ack bad_csum; do fails $end.$f=1 -- nothing_lost; done
	fails $end.ts_back=9 -- nothing_lost
	fails $end.segs=0 -- nothing_lost
	fails $end.skipped=5 $end.late=4 -- nothing_lost
	fails $end.skipped=70000 $end.late=70000 -- nothing_lost
done
unset "PID[link]"
say "$tried verdicts"
