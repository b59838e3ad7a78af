#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An application says of each of its sockets that a thread is inside a send, which a move waits for (here it is true: they sleep in
# sendfile(), as the peer does not read). Not for each anew: toed answers others meanwhile.
#
#   cli, reads nothing -- eth0 ---- veth ---- eth0 [toed] -- srv, threads in sendfile() (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

CONNS=60

cat >"$LOGS/ends.py" <<'PY'
import os, socket, sys, threading, time

role, addr, conns = sys.argv[1], sys.argv[2], int(sys.argv[3])
if role == "server":
    f = open(sys.argv[4], "rb")
    ls = socket.create_server((addr, 7000), backlog=conns)
    print("listening", flush=True)
    socks = [ls.accept()[0] for _ in range(conns)]
    for s in socks:
        threading.Thread(target=os.sendfile, args=(s.fileno(), f.fileno(), 0, 1 << 26), daemon=True).start()
else:
    socks = [socket.create_connection((addr, 7000)) for _ in range(conns)]
print("ready", flush=True)
time.sleep(100)
PY

# How often toed answers somebody else until the command is over.
answers() {	# PID
	local n=0
	while kill -0 "$1" 2>/dev/null; do
		ctl stats >/dev/null
		n=$((n + 1))
	done
	echo $n
}

topo_veth
for ns in cli srv; do in_ns $ns sysctl -q net.ipv4.tcp_rmem='4096 16384 65536' net.ipv4.tcp_wmem='4096 16384 65536'; done
toed_start srv
mkdir "$LOGS/served"
truncate -s 64M "$LOGS/served/file"
offloadable server srv python3 "$LOGS/ends.py" server "$SRV4" $CONNS "$LOGS/served/file"
eventually 10 logged server listening || fail "server did not start"
spawn client cli python3 "$LOGS/ends.py" client "$SRV4" $CONNS
eventually 10 logged server ready || fail "no connections"
sleep 1		# until the threads sleep
ctl offload --all >"$LOGS/offload" &
n=$(answers $!)
wait $!
say "$n answers meanwhile"
logged offload "$CONNS refused" || fail "$(head -5 "$LOGS/offload")"
logged offload "a thread stays in a send" || fail "the reason is another: $(head -5 "$LOGS/offload")"
((n >= 10)) || fail "toed answered $n times meanwhile"	# 3, if each is waited for anew; some 80 now
stop client
stop server
toed_alive || fail "toed is gone"
