#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A socket sends in the very moment in which it is taken apart for an offload: toed is stopped between its last look at the socket and
# that, until the kernel's tail loss probe has sent new data. The engine knows how far the connection has come: it takes the
# acknowledgement of that data, and all arrives.
#
#   cli receiver (kernel TCP) -- eth0 ---- link, 40 ms each way ---- eth0 [toed, stopped in a move] -- srv sender (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

export PYTHONPATH=$HELPERS
cat >"$LOGS/late.py" <<'PY'
import random, socket, sys
from received import receive

data = random.Random(7).randbytes(4000000)
if sys.argv[1] == "server":
    ls = socket.create_server((sys.argv[2], 7000))
    # no pacing: it could send while the queue is being read, and all would count as sent
    ls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    print("listening", flush=True)
    s = ls.accept()[0]
    s.recv(1)
    s.sendall(data)
    s.recv(1)
else:
    s = socket.create_connection((sys.argv[2], 7000))
    print("connected", flush=True)
    sys.stdin.readline()
    s.sendall(b"g")
    receive(s, data)
    s.sendall(b"d")
PY

sent() { judged srv bytes; }
probes() { snmp srv TcpExt TCPLossProbes; }

topo_lossy -t 40000
TOED_FAULT=offload:9:1:stop toed_start srv
offloadable server srv python3 "$LOGS/late.py" server "$SRV4"
eventually 10 logged server listening || fail "no server"
mkfifo "$LOGS/go"
STDIN=$LOGS/go spawn client cli python3 "$LOGS/late.py" client "$SRV4"
exec 3>"$LOGS/go"
eventually 10 logged client connected || fail "no connection"
eventually 5 all_on kernel 1 || fail "the connection is not known: $(ctl list)"
before=$(sent)
echo >&3
eventually 5 eval '[ "$(sent)" -gt "$before" ]' || fail "the server sends nothing"
before=$(probes)
ctl offload --all >"$LOGS/offload" 2>&1 &
order=$!
eventually 5 toed_stopped || fail "toed did not stop in the offload"
eventually 5 eval '[ "$(probes)" -gt "$before" ]' || fail "the kernel sent nothing while toed was stopped: nothing is tested"
kill -CONT "$TOED_PID"
wait $order
all_on hardware 1 || fail "not in hardware: $(cat "$LOGS/offload"); $(ctl list)"
finish client 30 || fail "the client did not end"
grep -q '^right 4000000' "$LOGS/client" || fail "$(cat "$LOGS/client")"
[ "$(counter TX_SEGS)" -gt 1000 ] || fail "the engine sent $(counter TX_SEGS) segments"
[ "$(counter RX_BAD_ACK)" = 0 ] || fail "acknowledgements of what the engine does not know to be sent: $(counter RX_BAD_ACK)"
[ "$(judged srv needed)" = 0 ] || slow || fail "bytes sent again that were not there: $(judged srv needed)"
