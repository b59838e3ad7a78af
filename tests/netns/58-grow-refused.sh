#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# A move to larger rings ends in its middle: the engine does not take them, or toed dies just before or just behind that. The upload
# that follows is refused as well, so the connection stays in hardware: with the rings that the entry has, every byte right,
# and it grows later.
#
#   cli -- eth0 ---- 10 ms ---- eth0 [toed, failing] -- srv (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

BYTES=20000000
export PYTHONPATH=$HELPERS
cat >"$LOGS/peer.py" <<'PY'
import random, socket, sys
from received import receive

role, addr, port, seed, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
data = random.Random(seed).randbytes(size)


if role == "server":
    ls = socket.create_server((addr, port))
    print("listening", flush=True)
    s = ls.accept()[0]
    s.recv(1)
    s.sendall(b"y")
    receive(s, data)
    s.sendall(data)
    s.recv(1)
else:
    s = socket.create_connection((addr, port))
    s.sendall(b"x")
    s.recv(1)
    print("connected", flush=True)
    sys.stdin.readline()
    s.sendall(data)
    receive(s, data)
    sys.stdin.readline()
PY
dead() { ! toed_alive; }
rx_ring() { ctl --json show --all | python3 -c '
import json, sys
for c in json.load(sys.stdin)["connections"]:
    print(c["rx_ring"]["bytes"])'; }

offloaded() { eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"; }
stays() {	# CASE
	eventually 10 eval '[ "$(counter failed)" -ge 1 ]' || fail "$1: no upload was refused"
	all_on hardware 1 || fail "$1: did not stay in hardware: $(ctl list)"
}
over() {	# CASE
	exec 3>&-
	finish client 10 || fail "client ($?)"
	toed_stop || fail "toed does not stop"
	say "$1: right"
}

not_taken() {
	local small
	TOED_FAULT=rebuild:6:1,rebuild:4:3 toed_start srv
	offloadable server srv python3 "$LOGS/peer.py" server "$SRV4" 7000 "$SEED" $BYTES
	eventually 10 logged server listening || fail "server did not start"
	mkfifo "$LOGS/go"
	STDIN=$LOGS/go spawn client cli python3 "$LOGS/peer.py" client "$SRV4" 7000 "$SEED" $BYTES
	exec 3>"$LOGS/go"
	eventually 10 logged client connected || fail "no connection"
	offloaded
	small=$(rx_ring)
	echo go >&3
	stays "not taken"
	for end in server client; do eventually 60 logged $end "^right $BYTES" || fail "not taken: stands still: $(ctl list)"; done
	all_on hardware 1 || fail "not taken: not in hardware any more: $(ctl list)"
	[ "$(counter RX_BYTES)" -ge $BYTES ] && [ "$(counter TX_BYTES)" -ge $BYTES ] || fail "not all went through the engines"
	[ "$(rx_ring)" -gt "$small" ] || fail "the ring of $small bytes did not grow later"
	over "not taken"
	finish server 10 || fail "server ($?)"
}

# Bursts make it grow, one each round trip; behind them nothing heals what that has left.
dies_at() {	# STEP
	TOED_FAULT=grow:$1 toed_start srv
	echo_pair
	offloaded
	printf '14000\n14001\n14002\n' >&3
	eventually 20 dead || fail "toed did not reach step $1"
	wait "$TOED_PID" 2>/dev/null
	TOED_FAULT=rebuild:4:3 toed_start srv 3>&-
	stays "step $1"
	eventually 5 logged client "ok 14002" || fail "step $1: stands still: $(ctl list)"
	for n in 500 1000000; do
		echo $n >&3
		eventually 20 logged client "ok $n" || fail "step $1: stands still later: $(ctl list)"
	done
	all_on hardware 1 || fail "step $1: not in hardware any more: $(ctl list)"
	over "step $1"
	stop server
}

topo_lossy -t 5000
# the kernel's queues stay small, and so the rings that a connection starts with
in_ns srv sysctl -q net.ipv4.tcp_rmem='4096 131072 131072' net.ipv4.tcp_wmem='4096 16384 65536'
not_taken
for step in 3 4 5; do dies_at $step; done
