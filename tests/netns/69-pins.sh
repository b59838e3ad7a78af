#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A child that became another program, without the library, has the descriptor of a connection: it does not move, also
# when toed was killed or stopped meanwhile, until that program has ended.
#
#   cli echo client -- eth0 ---- veth ---- eth0 [toed, three times] -- srv server (libtoe) and its child (none)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$LOGS/server.py" <<'PY'
import os, selectors, socket, sys

ls = socket.create_server((sys.argv[1], 7000))
print("listening", flush=True)
s = ls.accept()[0]
os.set_inheritable(s.fileno(), True)
pid = os.fork()
if pid == 0:
    os.execvpe("sleep", ["sleep", "100"], {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})
print("child", pid, flush=True)
sel = selectors.DefaultSelector()       # who waits in epoll notices that toed has gone
sel.register(s, selectors.EVENT_READ)
while sel.select() and (piece := s.recv(1 << 16)):
    with socket.create_connection((sys.argv[1], 7000)), ls.accept()[0]:
        pass        # and a new connection makes the library look for another
    s.sendall(piece)
PY
nr=0
bytes() { nr=$((nr + 1)); echo 1000 >&3; eventually 10 eval '[ "$(grep -c "^ok " "$LOGS/client")" -ge $nr ]' || fail "no echo: $(tail -1 "$LOGS/client")"; }
shared() { [ "$(ctl --json list | grep -c "shared with another process")" -gt 0 ]; }
stays() {
	local left=40
	while
		ctl offload --all >/dev/null 2>&1
		[ "$(on_path hardware)" = 0 ] || fail "$1: moved, though a program without the library has it"
		! shared
	do
		((left-- > 0)) || fail "$1: another reason: $(ctl list)"
		bytes
		sleep 0.1
	done
}

topo_veth
toed_start srv
offloadable server srv python3 "$LOGS/server.py" "$SRV4"
eventually 10 logged server listening || fail "server did not start"
mkfifo "$LOGS/orders"
spawn client cli python3 "$HELPERS/echo" client "$SRV4" 7000 "$LOGS/orders"
exec 3>"$LOGS/orders"
eventually 10 logged server child || fail "no child: $(tail -1 "$LOGS/server")"
child=$(awk '/^child/ { print $2 }' "$LOGS/server")
eventually 10 eval '[ "$(tr "\0" " " <"/proc/$child/cmdline")" = "sleep 100 " ]' || fail "the child did not become another program"
stays "with the toed that saw it"
kill -KILL "$TOED_PID"
wait "$TOED_PID" 2>/dev/null
toed_start srv
stays "after kill -9 of toed"
toed_stop || fail "toed does not stop"
toed_start srv
stays "after a stop of toed"
kill -KILL "$child"
left=40
until ctl offload --all >/dev/null && all_on hardware 1; do
	((left-- > 0)) || fail "does not move though the child has ended: $(ctl list)"
	bytes
	sleep 0.1
done
bytes
[ -z "$(compgen -G "$RUNDIR/pin-*")" ] || fail "records stayed: $(ls "$RUNDIR")"
