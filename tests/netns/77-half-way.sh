#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 77-half-way.sh [MBYTES ROUNDS [LINK-ARGUMENTS]]: how long a transfer takes that is moved half way, into hardware or back,
# beside one that is not moved, on either path; srv as the sender and as the receiver; variants in turn, medians. Every
# byte is checked; figures are printed, not asserted. Without arguments 400 MB, once, over veth; with LINK-ARGUMENTS (those
# of tests/helpers/link) over that link. doc/architecture.md has the figures of
#	tests/netns/77-half-way.sh 100 3; tests/netns/77-half-way.sh 100 3 -t 5000 -R 400 -q 400
#
#   cli -- eth0 ---- veth or link ---- eth0 [toed] -- srv (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MBYTES=${1:-400} ROUNDS=${2:-1}
shift $(($# > 2 ? 2 : $#))
cat >"$LOGS/half.py" <<'PY'
import random, socket, sys, time

role, addr, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) * 1000000
block = random.Random(7).randbytes(1 << 20) * 2


def receive(s, who):
    buf, got, half = bytearray(1 << 18), 0, False
    start = time.monotonic()
    while got < size and (n := s.recv_into(buf)):
        at = got % (1 << 20)
        if buf[:n] != block[at:at + n]:
            sys.exit("wrong bytes near %d" % got)
        got += n
        if not half and got >= size // 2:
            half = True
            print("half", flush=True)
    if got < size:
        sys.exit("only %d bytes" % got)
    return time.monotonic() - start


def send(s):
    for pos in range(0, size, 1 << 20):
        s.sendall(block[:min(1 << 20, size - pos)])


if role == "server":
    ls = socket.create_server((addr, port))
    print("listening", flush=True)
    while True:
        s = ls.accept()[0]
        if s.recv(1) == b"s":
            send(s)
        else:
            receive(s, role)
            s.sendall(b"d")
        s.recv(1)
        s.close()
        print("over", flush=True)
else:
    s = socket.create_connection((addr, port))
    print("connected", flush=True)
    sys.stdin.readline()
    start = time.monotonic()
    s.sendall(sys.argv[5].encode())     # the server's part: s or r
    if sys.argv[5] == "s":
        receive(s, role)
    else:
        send(s)
        s.recv(1)
    print("took %.3f" % (time.monotonic() - start), flush=True)
PY

into_hardware() { eventually 10 eval 'ctl offload --all >/dev/null; all_on hardware 1'; }
half_way() { if [ "$1" = client ]; then logged client '^half'; else [ "$(grep -c '^half' "$LOGS/server")" -gt "$2" ]; fi; }

one() {	# PART VARIANT: prints the seconds
	local before line=client
	before=$(grep -c '^half' "$LOGS/server")
	rm -f "$LOGS/go"
	mkfifo "$LOGS/go"
	STDIN=$LOGS/go spawn client cli python3 "$LOGS/half.py" client "$SRV4" 7000 "$MBYTES" "$1"
	exec 3>"$LOGS/go"
	eventually 10 logged client connected || fail "no connection"
	[ "$1" = s ] || line=server
	case $2 in hardware | up) into_hardware || fail "not in hardware: $(ctl list)" ;; esac
	echo go >&3
	exec 3>&-
	case $2 in down | up)
		until half_way $line "$before"; do
			alive client || half_way $line "$before" || fail "client: $(tail -1 "$LOGS/client")"
		done
		ctl "$([ "$2" = up ] && echo upload || echo offload)" --all >/dev/null ;;
	esac
	finish client 120 || fail "client ($?): $(tail -1 "$LOGS/client")"
	awk '/^took/ { print $2 }' "$LOGS/client" >>"$LOGS/times-$1-$2"
}
median() { sort -n "$LOGS/times-$1-$2" | awk '{ v[NR] = $1 } END { printf "%.2f (%.2f to %.2f)", v[int((NR + 1) / 2)], v[1], v[NR] }'; }

if [ $# -gt 0 ]; then topo_lossy "$@"; else topo_veth; fi
toed_start srv
offloadable server srv python3 "$LOGS/half.py" server "$SRV4" 7000 "$MBYTES"
eventually 10 logged server listening || fail "server did not start"
for ((round = 0; round < ROUNDS; round++)); do
	for part in s r; do
		for variant in kernel down hardware up; do one $part $variant; done
	done
done
[ "$(moves)" -ge $((6 * ROUNDS)) ] || fail "only $(moves) moves"
printf '%-22s' "$MBYTES MB, seconds"
printf '%24s' kernel 'kernel, then hardware' hardware 'hardware, then kernel'
echo
for part in s r; do
	printf '%-22s' "srv $([ $part = s ] && echo sends || echo receives)"
	for variant in kernel down hardware up; do printf '%24s' "$(median $part $variant)"; done
	echo
done
