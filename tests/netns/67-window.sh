#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel has advertised more than the largest ring holds (tcp_rmem of 64 MiB; with the 32 of Linux 6.16 what it advertises is
# now and then less, where a host puts virtual CPUs aside), and is idle: the
# connection moves with all that was promised. While nobody reads, the engine takes what the ring holds and gives the
# rest to the kernel, which made the promise; while somebody does, the ring overtakes it and the connection stays.
#
#   cli -- eth0 ---- wire ---- eth0 [toed] -- srv (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

FIRST=48000000 UNREAD=12000000 LAST=60000000 RING=$((8 << 20))
cat >"$LOGS/peer.py" <<'PY'
import random, socket, sys

role, addr, seed, sizes = sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(n) for n in sys.argv[4:]]
rnd = random.Random(seed)

if role == "server":
    ls = socket.create_server((addr, 7000))
    print("listening", flush=True)
    s = ls.accept()[0]
else:
    s = socket.create_connection((addr, 7000))
for nr, size in enumerate(sizes):
    data = rnd.randbytes(size)
    if role == "client":
        sys.stdin.readline()
        for at in range(0, size, chunk := 4000000 if nr == 2 else size):
            s.sendall(data[at:at + chunk])
            if nr == 2:
                s.recv(1)
        print("sent", nr, flush=True)
        continue
    if nr:
        sys.stdin.readline()
    got = bytearray()
    while len(got) < size:
        piece = s.recv(min(1 << 20, size - len(got)))
        if not piece:
            break
        got += piece
        if nr == 2 and len(got) // 4000000 > (len(got) - len(piece)) // 4000000:
            s.sendall(b"k")     # it is never far behind, however slow this machine is
    print("right" if got == data else "WRONG", nr, len(got), flush=True)
sys.stdin.readline()
PY
field() { ctl --json show --all | python3 -c '
import json, sys
c = json.load(sys.stdin)["connections"][0]
print({"window": (c["rcv_adv"] - c["rcv_nxt"]) & 0xffffffff, "ring": c["rx_ring"]["bytes"]}[sys.argv[1]])' "$1"; }
hardware() {
	eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"
}
large() {
	say "moved with a window of $(field window) bytes"
	[ "$(field ring)" = $RING ] || fail "a ring of $(field ring) bytes"
	[ "$(field window)" -gt $RING ] || fail "the kernel's window was $(field window): nothing is tested"
}

topo_wire
in_ns srv sysctl -qw net.ipv4.tcp_rmem='4096 67108864 67108864' || skip "no tcp_rmem of a namespace's own"
toed_start srv
mkfifo "$LOGS/to-srv" "$LOGS/to-cli"
STDIN=$LOGS/to-srv offloadable server srv python3 "$LOGS/peer.py" server "$SRV4" "$SEED" $FIRST $UNREAD $LAST
exec 4>"$LOGS/to-srv"
eventually 10 logged server listening || fail "server did not start"
STDIN=$LOGS/to-cli spawn client cli python3 "$LOGS/peer.py" client "$SRV4" "$SEED" $FIRST $UNREAD $LAST
exec 3>"$LOGS/to-cli"

say "streams in the kernel until the window is large, then idle"
echo go >&3
eventually 60 logged server "^right 0 $FIRST" || fail "first: $(cat "$LOGS/server")"
hardware
large

say "sends more than the ring holds; nobody reads"
bytes=$(counter RX_BYTES)
echo go >&3
eventually 30 all_on kernel 1 || fail "still in hardware: $(ctl list)"
bytes=$(($(counter RX_BYTES) - bytes))
ctl list | grep -q 'window larger than the ring' || fail "another reason: $(ctl list)"
((bytes > RING - 3000 && bytes <= RING)) || fail "the engine took $bytes of the ring's $RING bytes"
unread() { [ "$(in_ns srv ss -Htn 'sport = :7000' | awk '{ print $2 }')" = $UNREAD ]; }
eventually 30 unread || fail "unread: $(in_ns srv ss -tn)"
refused() {
	ctl offload --all >/dev/null 2>&1
	[ "$(on_path kernel)" = 1 ] && ctl list | grep -q "queued bytes larger"
}
refused || fail "offloaded, or another reason: $(ctl list)"
echo go >&4
eventually 30 logged server "^right 1 $UNREAD" || fail "then: $(cat "$LOGS/server")"

say "sends much more, 4 MB at a time; somebody reads"
hardware
large
ups=$(counter uploads)
echo go >&4
echo go >&3
eventually 60 logged server "^right 2 $LAST" || fail "last: $(cat "$LOGS/server")"
all_on hardware 1 && [ "$(counter uploads)" = "$ups" ] || fail "it did not stay in hardware: $(ctl list)"
[ "$(field window)" -le $RING ] || fail "the ring has not overtaken the promise: $(field window)"
wire_clean
echo go >&3
echo go >&4
finish client 10 || fail "client ($?)"
finish server 10 || fail "server ($?)"
[ "$(snmp srv TcpExt TCPRcvQDrop)" = 0 ] || fail "the kernel dropped what was promised"
no_resets
