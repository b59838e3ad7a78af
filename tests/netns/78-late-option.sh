#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A program sets an option that the engines do not serve while toed, which has asked the socket already, prepares its move. The
# connection stays in the kernel, which serves it.
#
#   cli sender -- eth0 ---- veth ---- eth0 [toed, stopped in a move] -- srv receiver (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SERVER='
import fcntl, os, socket, sys
ls = socket.create_server(("", 7000))
print("listening", flush=True)
s = ls.accept()[0]
sys.stdin.readline()
if sys.argv[1] == "timestamp":
    s.setsockopt(socket.SOL_SOCKET, 35, 1)      # SO_TIMESTAMPNS
else:
    fcntl.fcntl(s, fcntl.F_SETFL, fcntl.fcntl(s, fcntl.F_GETFL) | os.O_ASYNC)
print("set", flush=True)
sys.stdin.readline()
'

topo_veth
for option in timestamp async; do
	TOED_FAULT=offload:2:1:stop toed_start srv
	mkfifo "$LOGS/go-$option"
	STDIN=$LOGS/go-$option offloadable "server-$option" srv python3 -c "$SERVER" "$option"
	exec 3>"$LOGS/go-$option"
	eventually 10 logged "server-$option" listening || fail "no server"
	spawn "client-$option" cli python3 -c 'import socket, sys, time; s = socket.create_connection((sys.argv[1], 7000)); time.sleep(100)' "$SRV4"
	eventually 5 all_on kernel 1 || fail "the connection is not known: $(ctl list)"
	ctl offload --all >"$LOGS/offload" 2>&1 &
	order=$!
	eventually 5 toed_stopped || fail "toed did not stop in the offload"
	echo >&3
	eventually 5 logged "server-$option" set || fail "$option cannot be set while toed is stopped"
	kill -CONT "$TOED_PID"
	wait $order && fail "offloaded with $option: $(ctl list)"
	grep -q 'socket option' "$LOGS/offload" || fail "refused for another reason: $(cat "$LOGS/offload")"
	all_on kernel 1 || fail "not in the kernel: $(ctl list)"
	stop "server-$option"
	stop "client-$option"
	exec 3>&-
	toed_stop || fail "toed"
done
