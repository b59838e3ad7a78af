#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A list of many connections is made piece by piece: it names each once, in order, also for one who reads slowly while
# connections go; others are answered meanwhile; one who goes away in the middle takes nothing along.
#
#   cli 400 connections -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

CONNECTIONS=400
OPEN='
import socket, sys
held = [socket.create_connection((sys.argv[1], 7000)) for i in range(int(sys.argv[2]))]
print("open", flush=True)
sys.stdin.readline()
for s in held[::2]:
    s.close()
print("halved", flush=True)
sys.stdin.readline()
'
ASK='
import json, os, socket, sys
def ask(*requests):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    s.sendall("".join(json.dumps(r) for r in requests).encode())
    return s
def lines(s, nr, piece=65536):
    got = b""
    while got.count(b"\n") < nr:
        got += s.recv(piece)
    return [json.loads(line) for line in got.splitlines()]
def names(answer):
    assert answer["ok"], answer
    cookies = [c["cookie"] for c in answer["connections"]]
    assert cookies == sorted(set(cookies)), cookies
    return cookies
LIST, SHOW, STATS = {"cmd": "list"}, {"cmd": "show", "all": True}, {"cmd": "stats"}
many = int(sys.argv[2])

a, b, c, d = lines(ask(LIST, SHOW, STATS, LIST), 4)
all = names(a)
assert len(all) == many and names(b) == all and names(d) == all, (len(all), len(names(b)))
assert "ssthresh" in b["connections"][-1] and "ssthresh" not in a["connections"][-1]
assert c["ok"] and "counters" in c, c.keys()
for i in range(20):
    s = ask(*[SHOW] * 50)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.recv(100 * i + 1)
    s.close()                               # in the middle
slow = ask(SHOW)
first = slow.recv(1000)
assert lines(ask(STATS), 1)[0]["ok"]        # while that one waits
print("slow", flush=True)
sys.stdin.readline()
while not first.endswith(b"\n"):
    first += slow.recv(1000)
rest = names(json.loads(first))
assert set(rest) <= set(all) and many // 2 <= len(rest) < many, len(rest)
print("named", len(rest), flush=True)
'

topo_veth
toed_start srv
offloadable server srv python3 "$HELPERS/echo" server 7000
eventually 10 logged server listening || fail "server did not start"
for name in open ask; do mkfifo "$LOGS/$name-orders"; done
STDIN=$LOGS/open-orders spawn open cli python3 -c "$OPEN" "$SRV4" $CONNECTIONS
exec 3>"$LOGS/open-orders"
eventually 20 all_on kernel $CONNECTIONS || fail "only $(on_path kernel) are known"
STDIN=$LOGS/ask-orders spawn ask srv python3 -c "$ASK" "$RUNDIR/ctl.sock" $CONNECTIONS
exec 4>"$LOGS/ask-orders"
eventually 30 logged ask slow || fail "$(tail -3 "$LOGS/ask")"
echo >&3
eventually 20 all_on kernel $((CONNECTIONS / 2)) || fail "$(on_path kernel) are left"
echo >&4
finish ask 30 || fail "$(tail -3 "$LOGS/ask")"
logged ask named || fail "$(cat "$LOGS/ask")"
exec 3>&- 4>&-
stop open
stop server
toed_stop || fail "toed"
