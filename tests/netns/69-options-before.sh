#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Options that the engines do not serve (a mark, which has routes of its own, pacing, IP options, extension headers): a connection
# that has one stays in the kernel, and toectl says so; without it again it moves; in hardware, the option brings it to
# the kernel, where it holds.
#
#   cli python client -- eth0 ---- veth ---- eth0 [toed] -- srv python server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$LOGS/server.py" <<'PY'
import socket, struct
OPTIONS = {     # level, option, value, none
    "mark": (socket.SOL_SOCKET, 36, struct.pack("I", 7), struct.pack("I", 0)),
    "pacing": (socket.SOL_SOCKET, 47, struct.pack("I", 10000000), struct.pack("I", 0xffffffff)),
    "ipoptions": (socket.IPPROTO_IP, 4, b"\x01\x01\x01\x00", b""),
    "dstopts": (socket.IPPROTO_IPV6, 59, b"\x00\x00\x01\x04\x00\x00\x00\x00", b""),
}
ls = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    c = ls.accept()[0]
    for line in c.makefile("r", newline="\n"):
        verb, *args = line.split()
        level, opt, value, none = OPTIONS.get(args[0] if args else "", (0,) * 4)
        if verb == "set":
            c.setsockopt(level, opt, value)
        elif verb == "unset":
            c.setsockopt(level, opt, none)
        c.send(line.encode())
PY
CLIENT='
import socket, sys
c = socket.create_connection((sys.argv[1], 7000))
lines = c.makefile("r", newline="\n")
for line in sys.stdin:
    c.sendall(line.encode())
    print("done", lines.readline().strip(), flush=True)
'
nr=0
order() { nr=$((nr + 1)); echo "$*" >&3; eventually 5 eval '[ "$(grep -c ^done "$LOGS/client")" -ge $nr ]' || fail "no answer to $*: $(tail -1 "$LOGS/client")"; }
refused() {
	ctl offload --all >"$LOGS/offload"
	logged offload "0 offloaded, 1 refused" || fail "$1: $(cat "$LOGS/offload")"
	logged offload "socket option" || fail "$1: the reason is another: $(cat "$LOGS/offload")"
}
offloaded() { eventually 5 eval 'ctl offload --all >"$LOGS/offload"; all_on hardware 1' || fail "$1: not in hardware: $(cat "$LOGS/offload")"; }

options() {	# ADDRESS OPTION...
	local addr=$1 opt
	shift
	rm -f "$LOGS/in"
	mkfifo "$LOGS/in"
	STDIN=$LOGS/in spawn client cli python3 -c "$CLIENT" "$addr"
	exec 3>"$LOGS/in"
	nr=0
	order hello
	for opt; do
		order set "$opt"
		refused "$opt, set before"
		order unset "$opt"
		offloaded "$opt, not set any more"
		[ "$opt" != dstopts ] || continue	# what libtoe looks for are those of IPv4
		order set "$opt"
		all_on kernel 1 || fail "$opt, set in hardware: $(ctl list)"
		refused "$opt, set in hardware"
		order unset "$opt"
	done
	offloaded "none"
	order hello
	exec 3>&-
	finish client 10 || fail "client ($?)"
}

topo_veth
toed_start srv
offloadable server srv python3 "$LOGS/server.py"
eventually 10 logged server listening || fail "server did not start"
options "$SRV4" mark pacing ipoptions
options "$SRV6" mark pacing dstopts
toed_alive || fail "toed is gone"
