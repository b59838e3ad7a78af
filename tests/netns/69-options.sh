#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Socket options set while a connection is in hardware hold there, without a move: DSCP and TTL on the wire,
# SO_RCVBUF as the window that is promised, SO_SNDBUF and TCP_NOTSENT_LOWAT as what a writer may leave behind. And a
# window that closes before a reader that stands still never goes back, by not one byte.
#
#   cli python client, reads frames too -- eth0 ---- wire ---- eth0 [toed] -- srv python server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SERVER='
import array, fcntl, select, socket, sys, termios, time
SIOCOUTQNSD = 0x894B
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if len(sys.argv) == 1:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 9000)
s.bind(("::", 7000))
s.listen()
def count(c, what):
    n = array.array("i", [0])
    fcntl.ioctl(c, what, n)
    return n[0]
def send_all(c):
    try:
        while True:
            c.send(bytes(3000))
    except BlockingIOError:
        pass
def fill(c):
    "Until a line says that the window is closed: before, what the peer acknowledges makes room once more"
    c.setblocking(False)
    p = select.poll()
    p.register(c, select.POLLIN | select.POLLOUT)
    while p.poll()[0][1] != select.POLLIN:
        send_all(c)
    send_all(c)         # poll() speaks of room later than send() takes it
    p.modify(c, select.POLLOUT)
    state = [count(c, termios.TIOCOUTQ), count(c, SIOCOUTQNSD), len(p.poll(0))]
    c.setblocking(True)
    return state
c = s.accept()[0]
print("accepted", flush=True)
for line in c.makefile("r", newline="\n"):
    verb, *args = line.split()
    if verb == "set":
        c.setsockopt(*map(int, args))
    elif verb == "fill":
        print("filled", *fill(c), flush=True)
        continue
    elif verb == "stop":
        continue
    elif verb == "sleep":
        print("asleep", flush=True)
        sys.stdin.readline() or time.sleep(1000)
        continue
    c.send(b"done\n")
'
CLIENT='
import select, signal, socket, struct, sys, time
family, addr = (socket.AF_INET6, sys.argv[1]) if ":" in sys.argv[1] else (socket.AF_INET, sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind(("eth0", 0))
c = socket.socket(family)
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
c.connect((addr, 7000))
port = c.getsockname()[1]
print("connected", flush=True)
def do(line):
    c.send(line.encode() + b"\n")
def done(line):
    do(line)
    assert c.recv(5, socket.MSG_WAITALL) == b"done\n", line
def seen():
    "TOS and TTL of what the server sent since the last time"
    got = set()
    time.sleep(0.1)
    while select.select([raw], [], [], 0)[0]:
        f, (dev, proto, kind, *_) = raw.recvfrom(4096)
        v6 = f[12:14] == b"\x86\xdd"
        at = 54 if v6 else 34
        if kind == 4 or f[12:14] not in (b"\x08\x00", b"\x86\xdd") or struct.unpack("!HH", f[at:at + 4]) != (7000, port):
            continue
        got.add(((f[14] << 4 | f[15] >> 4) & 0xff, f[21]) if v6 else (f[15], f[22]))
    return got
def check(what, ok):
    print("ok" if ok else "WRONG", *what, flush=True)
    ok or sys.exit(1)
signal.sigwait([signal.SIGUSR1])
seen()
tos, ttl = ((socket.IPPROTO_IPV6, socket.IPV6_TCLASS), (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)) if family == socket.AF_INET6 \
    else ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IP, socket.IP_TTL))
done("nothing")
old = seen()
check(("one kind of frame", old), len(old) == 1)
done("set %d %d 184" % tos)
check(("DSCP 46", got := seen()), (184, list(old)[0][1]) in got)
done("set %d %d 33" % ttl)
seen()
done("nothing")
check(("TTL 33", got := seen()), got == {(184, 33)})
# what may be sent to a server that does not read
if family == socket.AF_INET6:
    done("set %d %d 30000" % (socket.SOL_SOCKET, socket.SO_RCVBUF))
print("rcvbuf", flush=True)
do("sleep")
c.setblocking(False)
signal.sigwait([signal.SIGUSR1])
c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
sent = 0
idle = 0
while idle < 20:
    try:
        sent += c.send(b"nothing\n" * 100)
        idle = 0
    except BlockingIOError:
        idle += 1
        time.sleep(0.02)
import array, fcntl, termios
n = array.array("i", [0])
fcntl.ioctl(c, termios.TIOCOUTQ, n)
print("taken", sent - n[0], flush=True)
'

topo_wire
toed_start srv
for most in 9000 30000; do	# SO_RCVBUF as the socket had it, and as it is set in hardware
	addr=$([ $most = 9000 ] && echo "$SRV4" || echo "$SRV6")
	rm -f "$LOGS/stdin"
	mkfifo "$LOGS/stdin"
	exec 9<>"$LOGS/stdin"
	offloadable server srv bash -c 'exec python3 -uc "$1" <"$2"' - "$SERVER" "$LOGS/stdin"
	eventually 10 listening srv 7000 || fail "server did not start"
	spawn client cli python3 -c "$CLIENT" "$addr"
	eventually 10 logged client connected || fail "no connection"
	eventually 10 eval 'ctl offload --all >/dev/null 2>&1; all_on hardware 1' || fail "not in hardware: $(ctl list)"
	uploads=$(counter uploads)
	signal USR1 client
	eventually 20 logged client rcvbuf || fail "$(cat "$LOGS/client")"
	eventually 10 logged server asleep || fail "the server does not answer"
	all_on hardware 1 && [ "$(counter uploads)" = "$uploads" ] || fail "it was moved"
	signal USR1 client
	eventually 30 logged client taken || fail "$(cat "$LOGS/client")"
	taken=$(awk '/^taken/ { print $2 }' "$LOGS/client")
	((taken > most / 2 && taken <= most + 2000)) || fail "SO_RCVBUF $most: $taken bytes were taken"
	say "$addr: $(grep ok "$LOGS/client" | tr '\n' ' '), SO_RCVBUF $most: $taken bytes taken"
	stop client
	echo >&9
	stop server
	exec 9>&-
done

# What a writer may leave behind while the peer does not read.
limits() {	# OPTION VALUE: the server fills up
	offloadable server srv python3 -uc "$SERVER"
	eventually 10 listening srv 7000 || fail "server did not start"
	spawn client cli python3 -uc '
import signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
c = socket.socket()
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
c.connect((sys.argv[1], 7000))
print("connected", flush=True)
signal.sigwait([signal.SIGUSR1])
c.send(b"set %s %s\nfill\n" % (sys.argv[2].encode(), sys.argv[3].encode()))
signal.sigwait([signal.SIGUSR1])
c.send(b"stop\n")
signal.sigwait([signal.SIGUSR1])
' "$SRV4" "$1" "$2"
	eventually 10 logged client connected || fail "no connection"
	eventually 10 eval 'ctl offload --all >/dev/null 2>&1; all_on hardware 1' || fail "not in hardware: $(ctl list)"
	closed=$(judged cli zero_wnd)
	signal USR1 client
	eventually 20 eval '[ "$(judged cli zero_wnd)" -gt "$closed" ]' || fail "the window does not close: $(cat "$LOGS/server")"
	signal USR1 client
	eventually 20 logged server filled || fail "$(cat "$LOGS/server")"
	all_on hardware 1 || fail "it was moved"
	read -r queued unsent writable < <(sed -n 's/^filled //p' "$LOGS/server")
	stop client
	stop server
}
limits "1 7" 6000	# SO_SNDBUF
((queued <= 12000 && queued > 6000 && writable == 0)) ||
	fail "SO_SNDBUF 6000: $queued bytes are kept, writable $writable"
limits "6 25" 5000	# TCP_NOTSENT_LOWAT
((unsent <= 5000 + 16384 + 3000 && unsent >= 5000 && writable == 0)) ||
	fail "TCP_NOTSENT_LOWAT 5000: $unsent bytes unsent, writable $writable"
say "SO_SNDBUF 6000: $queued bytes kept; TCP_NOTSENT_LOWAT 5000: $unsent bytes unsent"

# Full segments into a window with a scale, nobody reads.
offloadable server srv python3 -uc "$SERVER" autotuned
eventually 10 listening srv 7000 || fail "server did not start"
spawn client cli python3 -uc '
import signal, socket, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
c = socket.create_connection((sys.argv[1], 7000))
print("connected")
signal.sigwait([signal.SIGUSR1])
c.send(b"sleep\n")
signal.sigwait([signal.SIGUSR1])
c.setblocking(False)
idle = 0
while idle < 20:
    try:
        c.send(bytes(1 << 20))
        idle = 0
    except BlockingIOError:
        idle += 1
        time.sleep(0.02)
print("full")
' "$SRV4"
eventually 10 logged client connected || fail "no connection"
eventually 10 eval 'ctl offload --all >/dev/null 2>&1; all_on hardware 1' || fail "not in hardware: $(ctl list)"
signal USR1 client
eventually 10 logged server asleep || fail "the server does not answer"
bytes=$(counter RX_BYTES) rounded=$(judged srv rounded) zero=$(judged srv zero_wnd)
signal USR1 client
eventually 30 logged client full || fail "the window does not close: $(cat "$LOGS/client")"
((($(counter RX_BYTES) - bytes) > 60000)) || fail "the engine took $(($(counter RX_BYTES) - bytes)) bytes"
[ "$(judged srv zero_wnd)" -gt "$zero" ] || fail "the window did not close"
[ "$(judged srv rounded)" = "$rounded" ] || fail "the window went back: $(link_counts)"
say "$(($(counter RX_BYTES) - bytes)) bytes into a window that closed"
wire_clean
