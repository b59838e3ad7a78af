#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Frames between the engines and the library get lost. A doorbell, for the TAP is down: who sleeps in recv, poll or epoll_wait is
# woken all the same. A window update, for the TAP has no engine, and then comes an upload: the peer hears of the window
# from the kernel's socket, and need not ask.
#
#   cli echo client, python sender -- eth0 ---- veth ---- eth0 [toed] -- srv python server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SERVER='
import select, socket, sys
style = sys.argv[1]
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if style == "late":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)        # rings that grow say their window themselves
s.bind(("::", 7100))
s.listen()
print("listening", flush=True)
c = s.accept()[0]
if style == "late":
    n = len(c.recv(1))                # in hardware: it has its TAP
    sys.stdin.readline()
    c.setblocking(False)
    try:
        while True:
            n += len(c.recv(65536))
    except BlockingIOError:
        print("read", n, flush=True)
    sys.stdin.readline()
    c.setblocking(True)
    while c.recv(65536):
        pass
    sys.exit()
wait = select.poll() if style == "poll" else select.epoll()
wait.register(c, select.POLLIN)
while True:
    if style != "recv":
        wait.poll()
    data = c.recv(65536)
    if not data:
        break
    c.sendall(data)
'
SENDER='
import socket, sys
c = socket.create_connection((sys.argv[1], 7100))
c.setblocking(False)
print("connected", flush=True)
n = 0
for line in sys.stdin:
    try:
        while True:
            n += c.send(bytes(65536))
    except BlockingIOError:
        print("sent", n, flush=True)
'
taps() {	# ip link set ARGS for those of applications
	local tap
	for tap in $(nsenter --net="$RUNDIR/netns" ip -br link | grep -o '^toe[0-9]*' | grep -vx toe1); do
		nsenter --net="$RUNDIR/netns" ip link set "$tap" "$@" || fail "$tap: $*"
	done
}
serve() {
	mkfifo "$LOGS/server-$1-in"
	STDIN="$LOGS/server-$1-in" offloadable "server-$1" srv python3 -c "$SERVER" "$1"
	exec 4>"$LOGS/server-$1-in"
	eventually 10 logged "server-$1" listening || fail "server did not start"
}
in_hw() { eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"; }
rang() { [ "$(counter RX_DOORBELL)" -gt "$1" ]; }

topo_veth
toed_start srv
for style in recv poll epoll; do
	serve $style
	mkfifo "$LOGS/orders-$style"
	spawn client-$style cli python3 "$HELPERS/echo" client "$SRV4" 7100 "$LOGS/orders-$style"
	exec 3>"$LOGS/orders-$style"
	eventually 10 logged client-$style connected || fail "client did not connect"
	in_hw
	echo 1000 >&3
	eventually 5 logged client-$style "ok 1000" || fail "no echo in hardware"
	for i in 1 2 3; do	# not one that lay asleep already
		sleep 0.2
		before=$(counter RX_DOORBELL)
		taps down
		echo 200$i >&3
		eventually 5 rang "$before" || fail "nobody was asleep in $style"
		taps up
		eventually 5 logged client-$style "ok 200$i" || fail "asleep in $style for good: $(ctl list)"
	done
	all_on hardware 1 || fail "not in hardware any more: $(ctl list)"
	exec 3>&- 4>&-
	finish client-$style 10 || fail "client ($?)"
	finish server-$style 10 || fail "server ($?)"
done

say "a window update"
probes() { in_ns cli nstat -asz TcpExtTCPWinProbe | awk '/WinProbe/ { print $2 }'; }
window() { in_ns cli ss -Htni state established | awk -F'snd_wnd:' '{ n += $2 } END { print n + 0 }'; }	# ss leaves out a 0
closed() { [ "$(window)" = 0 ]; }
arrived() { in_ns cli ss -Htn state established | awk '$2 { exit 1 }'; }	# Send-Q
asked_since() { [ "$(probes)" -gt "$1" ]; }
# Closes the window, lets the update get lost, uploads. False: the window opened when the peer asked.
update_lost() {
	local i asked lost=
	rm -f "$LOGS/server-late-in" "$LOGS/sender-in"
	serve late
	mkfifo "$LOGS/sender-in"
	STDIN="$LOGS/sender-in" spawn sender cli python3 -c "$SENDER" "$SRV4"
	exec 3>"$LOGS/sender-in"
	eventually 10 logged sender connected || fail "client did not connect"
	in_hw
	for ((i = 0; i < 100; i++)); do
		echo more >&3
		sleep 0.1
		closed && break
	done
	sleep 2
	asked=$(probes)
	eventually 20 asked_since "$asked" || fail "the peer does not probe"	# the next time seconds later
	asked=$(probes)
	closed || fail "the window does not close: $(window)"
	taps xdp off
	echo read >&4
	eventually 10 logged server-late "read [1-9]" || fail "not read"
	sleep 0.3
	closed && lost=yes
	ctl upload --all >/dev/null || fail "upload: $(ctl list)"
	echo more >&4
	eventually 60 eval 'arrived || asked_since "$asked"' || fail "the window stays closed"
	asked_since "$asked" && lost=
	exec 3>&- 4>&-
	finish sender 10 || fail "sender ($?)"
	finish server-late 10 || fail "server ($?)"
	[ "$lost" ]
}
update_lost || update_lost || update_lost || fail "each time the peer had to ask for the window"
toed_alive || fail "toed is gone"
