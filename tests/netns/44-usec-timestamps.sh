#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A route may ask for timestamps in microseconds (Linux 6.7, feature tcp_usec_ts). The engines' clock counts milliseconds: to the
# peer it would go back, and PAWS would drop what follows. Such a connection stays in the kernel, others do not.
#
#   cli echo clients -- eth0 ---- veth ---- eth0 [toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

# The ip command of this release does not know the feature by name.
ROUTE='
import socket, struct, sys
def attr(kind, data):
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)
NEWROUTE, REQUEST_ACK_CREATE_REPLACE = 24, 0x1 | 0x4 | 0x400 | 0x100
DST, OIF, METRICS, FEATURES, USEC_TS = 1, 4, 8, 12, 1 << 4
body = struct.pack("BBBBBBBBI", socket.AF_INET, 32, 0, 0, 254, 4, 253, 1, 0)
body += attr(DST, socket.inet_aton(sys.argv[1])) + attr(OIF, struct.pack("I", socket.if_nametoindex("eth0")))
body += attr(METRICS, attr(FEATURES, struct.pack("I", USEC_TS)))
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
s.send(struct.pack("IHHII", 16 + len(body), NEWROUTE, REQUEST_ACK_CREATE_REPLACE, 1, 0) + body)
err = struct.unpack_from("i", s.recv(4096), 16)[0]
sys.exit(err and "netlink: error %d" % -err)
'

client() {
	mkfifo "$LOGS/orders$1"
	spawn "client$1" cli python3 "$HELPERS/echo" client "$SRV4" 7100 "$LOGS/orders$1"
	eval "exec 1$1>'$LOGS/orders$1'"
	eventually 10 logged "client$1" connected || fail "client $1 did not connect"
}

printf '6.7\n%s\n' "$(uname -r)" | sort -CV || skip "no timestamps in microseconds before Linux 6.7"
topo_veth
toed_start srv
offloadable server srv python3 "$HELPERS/echo" server 7100
eventually 10 logged server listening || fail "server did not start"
client 1
in_ns srv python3 -c "$ROUTE" "$CLI4" 2>"$LOGS/route" || fail "route: $(tail -1 "$LOGS/route")"
client 2
eventually 5 all_on kernel 2 || fail "not seen: $(ctl list)"
ctl offload --all >"$LOGS/offload"
logged offload "1 offloaded, 1 refused" || fail "$(cat "$LOGS/offload")"
logged offload "microsecond timestamps" || fail "the reason is another: $(cat "$LOGS/offload")"
for n in 11 12; do echo 1000 >&$n; done
for n in 1 2; do eventually 5 logged client$n "ok 1000" || fail "no echo on connection $n"; done
exec 11>&- 12>&-
for n in 1 2; do finish client$n 10 || fail "client $n ($?)"; done
toed_alive || fail "toed is gone"
