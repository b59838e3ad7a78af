#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# Keepalive as the application set it, of a connection in hardware: probes go out, a peer that answers keeps it there,
# one that is gone makes the kernel end the connection.
#
#   cli python client (kernel TCP) -- eth0 ---- veth ---- eth0 [toed] -- srv python server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

topo_veth
toed_start srv
offloadable server srv python3 -u -c '
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 7000))
s.listen()
c = s.accept()[0]
c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
for opt in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
    c.setsockopt(socket.IPPROTO_TCP, opt, 1)
print("got", c.recv(100))
try:
    print("got", c.recv(100))
except OSError as e:
    print("error", e.errno)
'
eventually 10 listening srv 7000 || fail "server did not start"
spawn client cli python3 -c '
import socket, time
c = socket.create_connection(("10.99.0.2", 7000))
c.send(b"hello")
time.sleep(60)
'
eventually 10 logged server hello || fail "no connection"
ctl offload --all >/dev/null || fail "offload"
probed() { [ "$(counter TX_PROBES)" -ge 3 ]; }
eventually 20 probed || fail "$(counter TX_PROBES) probes"
all_on hardware 1 || fail "not in hardware: $(ctl list)"
say "$(counter TX_PROBES) probes, the connection is in hardware"
in_ns cli ip addr del "$CLI4/24" dev eth0
eventually 20 logged server "error 110" || fail "no ETIMEDOUT: $(cat "$LOGS/server")"
