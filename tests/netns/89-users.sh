#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An application says of each of its sockets that a thread is inside a send, which a move waits for (here it is true: they sleep in
# sendfile(), as the peer does not read). Not for each anew: toed answers others meanwhile.
#
#   cli, reads nothing -- eth0 ---- veth ---- eth0 [toed] -- srv, threads in sendfile() (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

CONNS=60 MOST_MS=$((600 * ${TOE_PATIENCE:-1}))

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

# The longest time, in ms, that toed takes for an answer until the command is over.
longest() {	# PID
	local most=0 from ms
	while kill -0 "$1" 2>/dev/null; do
		from=${EPOCHREALTIME/./}
		ctl stats >/dev/null
		ms=$(((${EPOCHREALTIME/./} - from) / 1000))
		most=$((ms > most ? ms : most))
	done
	echo $most
}

topo_veth
for ns in cli srv; do in_ns $ns sysctl -q net.ipv4.tcp_rmem='4096 16384 65536' net.ipv4.tcp_wmem='4096 16384 65536'; done
toed_start srv
truncate -s 64M "$LOGS/file"
offloadable server srv python3 "$LOGS/ends.py" server "$SRV4" $CONNS "$LOGS/file"
eventually 10 logged server listening || fail "server did not start"
spawn client cli python3 "$LOGS/ends.py" client "$SRV4" $CONNS
eventually 10 logged server ready || fail "no connections"
sleep 1		# until the threads sleep
ctl offload --all >"$LOGS/offload" &
most=$(longest $!)
wait $!
say "an answer took $most ms at most"
logged offload "$CONNS refused" || fail "$(head -5 "$LOGS/offload")"
logged offload "a thread stays in a send" || fail "the reason is another: $(head -5 "$LOGS/offload")"
((most <= MOST_MS)) || fail "toed did not answer for $most ms"
stop client
stop server
toed_alive || fail "toed is gone"
