#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A socket that is paced stamps its acknowledgements with the time when its next data may leave, here most of a second ahead. What
# the engine says after that is not stamped earlier (the peer would take it for old, RFC 7323 section 5), nor is what the rebuilt socket says.
#
#   cli sender -- eth0 ---- link ---- eth0 [toed] -- srv receiver, paced for a moment (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SERVER='
import socket, struct
MAX_PACING_RATE = 47
ls = socket.create_server(("", 7000))
print("listening", flush=True)
s = ls.accept()[0]
pace = lambda rate: s.setsockopt(socket.SOL_SOCKET, MAX_PACING_RATE, struct.pack("Q", rate))
while got := s.recv(4096):
    if got == b"e":
        s.sendall(b"e")
    if got == b"p":
        pace(2000)
        s.sendall(bytes(1600))
        pace(2**64 - 1)
'
CLIENT='
import socket, sys
s = socket.create_connection((sys.argv[1], 7000))
for nr, line in enumerate(sys.stdin, 1):
    what = line.strip()
    if what == "data":                      # more than is acknowledged late
        s.sendall(bytes(4000))
    elif what == "pace":
        for i in range(12):                 # the first ten segments of a socket are not paced
            s.sendall(b"e")
            s.recv(1)
        s.sendall(b"p")
        s.recv(1600, socket.MSG_WAITALL)
    print(what, nr, flush=True)
'

nr=0
tell() { nr=$((nr + 1)); echo "$1" >&3; eventually 5 logged client "$1 $nr" || fail "$1: no answer of the client"; }

topo_wire
toed_start srv
offloadable server srv python3 -c "$SERVER"
eventually 10 logged server listening || fail "no server"
mkfifo "$LOGS/go"
STDIN=$LOGS/go spawn client cli python3 -c "$CLIENT" "$SRV4"
exec 3>"$LOGS/go"
eventually 5 all_on kernel 1 || fail "the connection is not known: $(ctl list)"
tell pace
tell data
ctl offload --all >"$LOGS/offload" || fail "$(cat "$LOGS/offload")"
tell data
segs=$(counter RX_SEGS)
ctl upload --all >"$LOGS/upload" || fail "$(cat "$LOGS/upload")"
tell data
[ "$segs" -gt 1 ] || fail "the engine took $segs segments"
for ns in cli srv; do
	[ "$(judged $ns ts_back)" = 0 ] || fail "timestamps of $ns went back: $(judged $ns ts_back)"
done
exec 3>&-
finish client 5 || fail "client ($?)"
