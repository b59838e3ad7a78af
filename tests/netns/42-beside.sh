#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Somebody else's XDP program stands on the interface, attached by libxdp before toed or after it: both run, the
# connection stays in hardware when the other comes and goes, and toed leaves it there when it stops.
#
#   cli echo client -- eth0 ---- veth ---- eth0 [toed, and somebody] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

need clang
cat >"$LOGS/somebody.c" <<'END'
struct xdp_md { unsigned int data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
unsigned long long seen;
__attribute__((section("xdp"))) int somebody(struct xdp_md *ctx) { seen++; return 2; }
char _license[] __attribute__((section("license"))) = "GPL";
END
clang -target bpf -O2 -g -c "$LOGS/somebody.c" -o "$LOGS/somebody.o" || fail "clang"
beside() { in_ns srv "$BIN/xdpbeside" "$1" eth0 "$LOGS/somebody.o"; }
seen() { beside count; }
more_than() { [ "$(grep -c '^ok ' "$LOGS/client")" -gt "$1" ]; }
works() {	# WHEN: bytes go through the RX engine, in hardware
	local before segs
	before=$(grep -c '^ok ' "$LOGS/client") segs=$(counter RX_SEGS)
	echo 100000 >&3
	eventually 10 more_than "$before" || fail "$1: no echo"
	all_on hardware 1 || fail "$1: not in hardware: $(ctl list)"
	[ "$(counter RX_SEGS)" -ge $((segs + 60)) ] || fail "$1: only $(($(counter RX_SEGS) - segs)) segments in the RX engine"
}

topo_veth
beside add 2>"$LOGS/add"
case $? in
0) ;;
77) skip "this kernel runs one XDP program on an interface" ;;
*) fail "libxdp: $(cat "$LOGS/add")" ;;
esac
say "toed comes second"
toed_start srv
echo_pair
eventually 5 eval 'ctl offload --all' || fail "offload"
works "beside somebody"
before=$(seen)
works "beside somebody, once more"
[ "$(seen)" -gt "$before" ] || fail "the other program saw no packet"

say "the other goes, and comes again"
beside del || fail "del"
sleep 1		# toed looks 0.1 s after a change
works "somebody has gone"
beside add || fail "add beside toed"
sleep 1
works "somebody has come"
toed_stop || fail "toed did not stop"
seen >/dev/null || fail "toed took the other program off"
beside del || fail "del at the end"
in_ns srv ip link show eth0 | grep -q prog/xdp && fail "something is left: $(in_ns srv ip link show eth0)"
echo quit >&3
finish client 10 || fail "client ($?)"
