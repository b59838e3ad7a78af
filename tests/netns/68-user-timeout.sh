#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# TCP_USER_TIMEOUT, in the kernel and in hardware: a peer that is gone, one that answers window probes but never opens
# its window, and one that answers no keepalive end with ETIMEDOUT, not before the time that the application set. A
# peer that is back in time is served, and the option says what it said, also if toed was killed meanwhile.
#
#   cli python client (kernel TCP) -- eth0 ---- link, which is stopped ---- eth0 [nothing, then toed] -- srv server
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SERVER='
import select, signal, socket, sys, time
what, port, ms = sys.argv[1], int(sys.argv[2]), 5000
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", port))
s.listen()
c = s.accept()[0]
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ms)
times = [socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL]
if what in ("keepalive", "killed"):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    every = 1 if what == "keepalive" else 2
    for opt, val in (socket.TCP_KEEPIDLE, every), (socket.TCP_KEEPINTVL, every), (socket.TCP_KEEPCNT, 100):
        c.setsockopt(socket.IPPROTO_TCP, opt, val)
print("got", c.recv(100))
signal.sigwait([signal.SIGUSR1])
if what == "window":
    c.setblocking(False)
    try:
        while True:
            c.send(bytes(100000))
    except BlockingIOError:
        pass
    c.setblocking(True)
elif what in ("flight", "back"):
    c.send(bytes(1000))
t = time.monotonic()
try:
    print("got", c.recv(100), "options", *(c.getsockopt(socket.IPPROTO_TCP, opt) for opt in times))
    if what == "back":
        time.sleep(11)
        print("later", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
except OSError as e:
    t = time.monotonic() - t
    print("error", e.errno, "early" if t * 1000 < ms and what != "keepalive" else "in time", "%.1f s" % t)
'
CLIENT='
import signal, socket, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
c = socket.socket()
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
c.connect(("10.99.0.2", int(sys.argv[1])))
c.send(b"hello")
if sys.argv[2] == "back":
    c.recv(1000, socket.MSG_WAITALL)
    c.send(b"back")
elif sys.argv[2] == "killed":
    signal.sigwait([signal.SIGUSR1])
    c.send(b"back")
time.sleep(90)
'

topo_wire
port=7000

begin() {	# WHAT SYSTEM
	port=$((port + 1))
	if [ "$2" = kernel ]; then spawn "$1-$2" srv python3 -uc "$SERVER" "$1" $port
	else offloadable "$1-$2" srv python3 -uc "$SERVER" "$1" $port; fi
	eventually 10 listening srv $port || fail "server did not start"
	spawn "client-$1-$2" cli python3 -c "$CLIENT" $port "$1"
	eventually 10 logged "$1-$2" hello || fail "no connection"
	[ "$2" = kernel ] || eventually 10 eval 'ctl offload --all >/dev/null 2>&1; all_on hardware 1' ||
		fail "not in hardware: $(ctl list)"
}

gone() {	# WHAT SYSTEM
	local before
	begin "$1" "$2"
	before=$([ "$2" = kernel ] || counter uploads)
	[ "$1" = window ] || signal STOP link
	signal USR1 "$1-$2"
	eventually 60 logged "$1-$2" "error 110" || fail "$1, $2: no ETIMEDOUT: $(cat "$LOGS/$1-$2")"
	! logged "$1-$2" early || fail "$1, $2: $(tail -1 "$LOGS/$1-$2")"
	[ "$2" = kernel ] || [ "$(counter uploads)" -gt "$before" ] || fail "it was not in hardware"
	say "$1, $2: $(tail -1 "$LOGS/$1-$2")"
	[ "$1" = window ] || signal CONT link
	stop "client-$1-$2"
	finish "$1-$2" 10
}

each() { for what in flight window keepalive; do gone $what "$1"; done; }

each kernel
toed_start srv
each toed
[ "$(counter TX_RTX)" -ge 2 ] || fail "the engine sent nothing again: $(counter TX_RTX)"
[ "$(counter TX_PROBES)" -ge 2 ] || fail "the engine asked nothing: $(counter TX_PROBES)"

# Given back to the kernel, which asks once more; the link is whole again by then.
begin back toed
uploads=$(counter uploads)
signal STOP link
signal USR1 back-toed
eventually 20 eval '[ "$(counter uploads)" -gt $uploads ]' || fail "not given back"
signal CONT link
eventually 30 eval 'logged back-toed later || logged back-toed error' || fail "the server stands still"
if logged back-toed error; then say "the peer was back too late"
else logged back-toed "later 5000" || fail "the option has changed: $(cat "$LOGS/back-toed")"; fi

# toed is killed when it has given the socket short times; the next one puts the application's back. Keepalive leaves
# it a second.
toed_stop || fail "toed does not stop"
TOED_FAULT=upload:11 toed_start srv
begin killed toed
signal USR1 killed-toed
signal STOP link
eventually 30 eval '! toed_alive' || fail "toed did not give the connection back"
wait "$TOED_PID" 2>/dev/null
TOED_PID=
signal CONT link
toed_start srv
signal USR1 client-killed-toed
eventually 30 logged killed-toed "options" || fail "the server stands still or was too late: $(cat "$LOGS/killed-toed")"
logged killed-toed "options 5000 2 2" || fail "the options have changed: $(cat "$LOGS/killed-toed")"
[ -z "$(compgen -G "$RUNDIR/expire-*")" ] || fail "records stayed: $(ls "$RUNDIR")"
