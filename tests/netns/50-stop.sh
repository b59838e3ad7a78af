#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# toed is told to stop while streams run in the engines: every connection goes on in the kernel, nothing
# is lost, nothing is left behind; a new toed can be started beside the same connections. Who asks toed for something
# just then does not wait for another one.
#
#   cli stream client -- eth0 ---- veth ---- eth0 [toed] -- srv stream server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
for style in threads epollet poll; do
	toed_start srv
	offloadable server srv "$BIN/stream" -n 8 -s $style -r 24M -w 1000 server
	eventually 10 logged server listening || fail "stream server did not start"
	spawn client cli "$BIN/stream" -n 8 -b 48M -S "$SEED" -s $style -r 24M -w 1000 client "$SRV4"
	eventually 5 logged server connected || fail "no connection"
	eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 8' || fail "only $(on_path hardware) in hardware"
	eventually 5 eval '[ "$(counter RX_SEGS)" -gt 1000 ]' || fail "nothing goes through the engine"
	toed_stop || fail "toed did not stop properly"
	leaks && fail "toed left something behind"
	alive client || alive server || say "the stream was over before toed stopped"
	finish client 100 || fail "client after the stop, $style ($?)"
	finish server 30 || fail "server after the stop, $style ($?)"
done

# toed has the signal before the question.
cat >"$LOGS/asker.py" <<'PY'
import socket, sys

s = socket.create_server((sys.argv[1], 7001)).accept()[0]
print("accepted", flush=True)
sys.stdin.readline()
print("asks", flush=True)
exec(sys.argv[2])
print("answered", flush=True)
s.sendall(s.recv(1))
PY
cat >"$LOGS/peer.py" <<'PY'
import socket, sys

s = socket.create_connection((sys.argv[1], 7001))
s.send(b"a")
if s.recv(1) != b"a":
    sys.exit("wrong byte")
PY
for question in 's.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)' 's.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)' \
	's.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)'; do
	toed_start srv
	rm -f "$LOGS/go"
	mkfifo "$LOGS/go"
	STDIN=$LOGS/go offloadable asker srv python3 "$LOGS/asker.py" "$SRV4" "$question"
	exec 3>"$LOGS/go"
	eventually 10 listening srv 7001 || fail "asker did not start"
	spawn peer cli python3 "$LOGS/peer.py" "$SRV4"
	eventually 10 logged asker accepted || fail "no connection"
	eventually 10 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"
	kill -STOP "$TOED_PID"
	kill -TERM "$TOED_PID"
	echo go >&3
	exec 3>&-
	eventually 10 logged asker asks || fail "asker does not ask"
	sleep 0.2
	logged asker answered && fail "toed was not asked: $question"
	toed_stop || fail "toed did not stop properly"
	finish asker 10 || fail "asker after the stop ($?), $question: $(tail -1 "$LOGS/asker")"
	finish peer 10 || fail "peer after the stop ($?)"
done
no_resets
