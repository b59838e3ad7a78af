#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A bulk transfer over a link with a delay, both ways in turn: rings grow in hardware, every byte is right, and what
# the parked socket hides of its options is still told by the library.
#
#   cli -- eth0 ---- 10 ms ---- eth0 [toed] -- srv (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

BYTES=12000000
export PYTHONPATH=$HELPERS
cat >"$LOGS/peer.py" <<'PY'
import hashlib, random, socket, sys
from received import receive

role, addr, seed, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
data = random.Random(seed).randbytes(size)
hidden = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.SOL_SOCKET, socket.SO_REUSEADDR)]


if role == "server":
    ls = socket.create_server((addr, 7000))
    print("listening", flush=True)
    s = ls.accept()[0]
    for opt in hidden:
        s.setsockopt(*opt, 1)
    s.recv(1)
    s.sendall(b"y")
    receive(s, data)
    s.sendall(data)
    s.recv(1)
    print("options", [s.getsockopt(*opt) for opt in hidden], flush=True)
    s.recv(1)
else:
    s = socket.create_connection((addr, 7000))
    s.sendall(b"x")
    s.recv(1)
    print("connected", flush=True)
    sys.stdin.readline()
    s.sendall(data)
    receive(s, data)
    s.sendall(b"z")
    sys.stdin.readline()
PY
rings() { ctl --json show --all | python3 -c '
import json, sys
for c in json.load(sys.stdin)["connections"]:
    print(c["rx_ring"]["bytes"], c["tx_ring"]["bytes"])'; }

topo_lossy -t 5000
toed_start srv
offloadable server srv python3 "$LOGS/peer.py" server "$SRV4" "$SEED" $BYTES
eventually 10 logged server listening || fail "server did not start"
mkfifo "$LOGS/go"
STDIN=$LOGS/go spawn client cli python3 "$LOGS/peer.py" client "$SRV4" "$SEED" $BYTES
exec 3>"$LOGS/go"
eventually 10 logged client connected || fail "no connection"
eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"
read -r rx tx < <(rings)
echo go >&3
eventually 60 logged server options || fail "stands still: $(ctl list)"
read -r rx2 tx2 < <(rings)
say "rings of $rx and $tx bytes became $rx2 and $tx2"
all_on hardware 1 || fail "not in hardware any more: $(ctl list)"
((rx2 > rx && tx2 > tx)) || fail "the rings did not grow"
for end in server client; do logged $end "^right $BYTES" || fail "bytes: $(cat "$LOGS/$end")"; done
logged server 'options \[1, 1\]' || fail "hidden options: $(grep options "$LOGS/server")"
[ "$(counter RX_BYTES)" -ge $BYTES ] && [ "$(counter TX_BYTES)" -ge $BYTES ] || fail "not all went through the engines"
echo end >&3
finish client 10 || fail "client ($?)"
finish server 10 || fail "server ($?)"
