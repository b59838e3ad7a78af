#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# The kernel refuses to rebuild a socket, before its connect or behind it (memory): once, and the upload succeeds at the
# next try; as often as is tried, and the connection stays in hardware, where bytes go on, until a later upload; for
# good, while toed must stop: then both ends are told of a reset, and nobody waits for ever. So they are when a socket
# that was rebuilt does not take the unsent bytes.
#
#   cli -- eth0 ---- veth ---- eth0 [toed] -- srv (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$LOGS/ends.py" <<'PY'
import signal, socket, sys, time

# One connection; every line of standard input is a number of bytes to send and to get back.
role, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if role == "server":
    ls = socket.create_server((addr, port), family=socket.AF_INET6 if ":" in addr else socket.AF_INET)
    print("listening", flush=True)
    s = ls.accept()[0]

    def close(*_):
        s.close()
        print("closed", flush=True)
        time.sleep(60)

    signal.signal(signal.SIGUSR1, close)
else:
    s = socket.create_connection((addr, port))
    print("connected", flush=True)
    s.settimeout(20)
try:
    if role == "client":
        for line in sys.stdin:
            data = b"%d" % (int(line) % 10) * int(line)
            s.sendall(data)
            got = b""
            while len(got) < len(data) and (piece := s.recv(len(data) - len(got))):
                got += piece
            print("right" if got == data else "WRONG", line.strip(), flush=True)
        s.shutdown(socket.SHUT_WR)
    while (piece := s.recv(1 << 16)):
        if role == "server":
            s.sendall(piece)
    print("end of file", flush=True)
except OSError as e:
    print("error", e.errno, flush=True)
PY

ends() {	# ADDRESS PORT
	offloadable server srv python3 "$LOGS/ends.py" server "$1" "$2"
	eventually 10 logged server listening || fail "server did not start"
	rm -f "$LOGS/orders"
	mkfifo "$LOGS/orders"
	STDIN=$LOGS/orders spawn client cli python3 "$LOGS/ends.py" client "$1" "$2"
	exec 3>"$LOGS/orders"
	eventually 10 logged client connected || fail "no connection"
	nr=0
}
echoed() { [ "$(grep -c '^right' "$LOGS/client")" -ge "$1" ]; }
bytes() { nr=$((nr + 1)); echo "$1" >&3; eventually 10 echoed $nr || fail "$2: bytes do not come back: $(tail -1 "$LOGS/client")"; }
offloaded() { eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"; }
over() { exec 3>&-; finish client 10; finish server 10; toed_stop || fail "toed does not stop"; }

begin() {	# STEP:TIMES ADDRESS PORT
	TOED_FAULT=rebuild:$1 toed_start srv
	ends "$2" "$3"
	offloaded
	bytes 70000 "in hardware"
}

told() {	# both ends
	eventually 10 logged server "^error 10[34]" || fail "the application was not told: $(tail -1 "$LOGS/server")"
	finish server 10
	echo 10 >&3			# the peer learns of it with its next segment at the latest
	exec 3>&-
	eventually 10 logged client "^error 104\|^error 32" || fail "the peer was not told: $(tail -1 "$LOGS/client")"
	finish client 10
}

failing() {	# STEP ADDRESS PORT
	begin "$1:2" "$2" "$3"
	ctl upload --all >/dev/null || fail "upload, third try: $(ctl list)"
	bytes 70001 "after an upload at the third try"
	over

	begin "$1:3" "$2" $(($3 + 1))
	ctl upload --all >/dev/null && fail "no upload failed"
	[ "$(on_path hardware)" = 1 ] || fail "did not stay in hardware: $(ctl list)"
	segs=$(counter RX_SEGS)
	bytes 70003 "after an upload that failed"
	[ "$(counter RX_SEGS)" -gt "$segs" ] || fail "nothing goes through the engine after an upload that failed"
	ctl upload --all >/dev/null || fail "upload after one that failed: $(ctl list)"
	bytes 70004 "after an upload that came late"
	over

	begin "$1:99" "$2" $(($3 + 2))
	toed_stop || fail "toed does not stop"
	told
	say "step $1, $2: right"
}

# Behind the rebuild: of what the application has sent a part is missing, and nothing may follow it.
unsent() {	# ADDRESS PORT
	TOED_FAULT=rebuild:8:1 toed_start srv
	ends "$1" "$2"
	offloaded
	bytes 70006 "in hardware"
	ctl upload --all >/dev/null
	told
	[ "$(on_path hardware)" = 0 ] || fail "still in hardware: $(ctl list)"
	toed_stop || fail "toed does not stop"
	say "step 8, $1: right"
}

# The entry: locked for a while, which the log says once, and the upload comes by itself; gone, and both ends are told.
no_entry() {	# ADDRESS PORT
	begin 1:5 "$1" "$2"
	uploads=$(counter uploads)
	ctl upload --all >/dev/null && fail "no upload failed"
	eventually 5 eval '[ "$(counter uploads)" -gt "$uploads" ]' || fail "no other try: $(ctl list)"
	[ "$(counter failed)" = 5 ] || fail "$(counter failed) uploads failed, not 5"
	[ "$(grep -c "no entry to upload from" "$LOGS/toed")" = 1 ] || fail "the log does not say it once"
	bytes 70007 "after an upload that came by itself"
	over

	begin 2:1 "$1" $(($2 + 1))
	ctl upload --all >/dev/null
	[ "$(counter failed)" = 1 ] || fail "no upload failed"
	told
	[ "$(on_path hardware)" = 0 ] || fail "still in hardware: $(ctl list)"
	toed_stop || fail "toed does not stop"
	say "no entry, $1: right"
}

# The application has closed it while toed was away, and there is no descriptor at first for a socket in its place.
no_socket() {	# ADDRESS PORT
	TOED_FAULT= toed_start srv
	ends "$1" "$2"
	offloaded
	bytes 70008 "in hardware"
	kill -KILL "$TOED_PID"
	wait "$TOED_PID" 2>/dev/null
	signal USR1 server	# which waits for a toed for 30 s
	eventually 45 logged server closed || fail "the application does not close: $(tail -1 "$LOGS/server")"
	TOED_FAULT=rebuild:3:2 toed_start srv 3>&-	# the client is to see the end of its orders
	eventually 10 eval '[ "$(counter uploads)" -ge 1 ]' || fail "not given back: $(ctl list)"
	[ "$(counter failed)" -ge 2 ] || fail "no upload failed"
	exec 3>&-
	eventually 10 logged client "^error 104\|^end of file" || fail "the peer was not told: $(tail -1 "$LOGS/client")"
	finish client 10
	stop server
	toed_stop || fail "toed does not stop"
	say "no socket, $1: right"
}

topo_veth
no_entry "$SRV4" 7008
no_socket "$SRV6" 7010
failing 4 "$SRV4" 7001
failing 5 "$SRV6" 7004
unsent "$SRV4" 7007
