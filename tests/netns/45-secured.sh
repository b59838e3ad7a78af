#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Connections that are signed (TCP-MD5) or encrypted (IPsec) below the application stay in the kernel: the engines sign nothing and look for no
# signature. One that is neither is offloaded beside them.
#
#   cli python client -- eth0 ---- veth ---- eth0 [toed] -- srv python servers (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

COMMON='
import socket, struct, sys
TCP_MD5SIG = 14
def sign(s, addr):
    peer = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(addr)).ljust(128, b"\0")
    s.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, peer + struct.pack("=BBHi80s", 0, 0, 6, 0, b"secret"))
'
SERVER=$COMMON'
port, peer = int(sys.argv[1]), sys.argv[2:]
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", port))
for p in peer:
    sign(s, p)
s.listen()
print("listening", flush=True)
c = s.accept()[0]
while True:
    data = c.recv(1000)
    if not data:
        break
    c.sendall(data)
'
CLIENT=$COMMON'
c = socket.socket()
for p in sys.argv[3:]:
    sign(c, p)
c.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    c.sendall(b"x" * 500)
    print("echo", len(c.recv(500, socket.MSG_WAITALL)), flush=True)
'
pair() {	# PORT PEER-OF-SERVER PEER-OF-CLIENT
	offloadable "server$1" srv python3 -c "$SERVER" "$1" ${2:+"$2"}
	eventually 10 logged "server$1" listening || { logged "server$1" "Protocol not available" && return 1; fail "server: $(tail -1 "$LOGS/server$1")"; }
	mkfifo "$LOGS/in$1"
	STDIN="$LOGS/in$1" spawn "client$1" cli python3 -c "$CLIENT" "$SRV4" "$1" ${3:+"$3"}
}
echoes() { echo more >"$LOGS/in$1"; eventually 5 eval "[ \$(grep -c 'echo 500' '$LOGS/client$1') -ge $2 ]" || fail "no echo on port $1: $(tail -1 "$LOGS/client$1")"; }

topo_veth
toed_start srv
pair 7001 "" ""
exec 11>"$LOGS/in7001"
echoes 7001 1
signed=no
if pair 7002 "$CLI4" "$SRV4"; then
	exec 12>"$LOGS/in7002"
	echoes 7002 1
	signed=yes
	ctl offload --all >"$LOGS/offload"
	logged offload "1 offloaded, 1 refused" || fail "$(cat "$LOGS/offload")"
	logged offload "TCP-MD5" || fail "the reason is another: $(cat "$LOGS/offload")"
	for port in 7001 7002; do echoes $port 2; done
	ctl upload --all >/dev/null || fail upload
	exec 12>&-
	finish client7002 10 || fail "client ($?)"
fi
say "signed: $signed"

secure() {	# NAMESPACE: transport mode, both ways, for port 7003
	local d
	for d in "$CLI4 $SRV4 0x101" "$SRV4 $CLI4 0x102"; do
		# shellcheck disable=SC2086
		set -- "$1" $d
		in_ns "$1" ip xfrm state add src "$2" dst "$3" proto esp spi "$4" mode transport \
			enc 'cbc(aes)' 0x00112233445566778899aabbccddeeff auth 'hmac(sha256)' 0x00112233445566778899aabbccddeeff 2>"$LOGS/xfrm" || return 1
	done
	in_ns "$1" ip xfrm policy add src "$CLI4" dst "$SRV4" proto tcp dport 7003 dir "$([ "$1" = cli ] && echo out || echo in)" tmpl proto esp mode transport || return 1
	in_ns "$1" ip xfrm policy add src "$SRV4" dst "$CLI4" proto tcp sport 7003 dir "$([ "$1" = srv ] && echo out || echo in)" tmpl proto esp mode transport
}
if secure srv && secure cli; then
	pair 7003 "" ""
	exec 13>"$LOGS/in7003"
	echoes 7003 1
	ctl offload --all >"$LOGS/offload"
	logged offload "1 offloaded, 1 refused" || fail "$(cat "$LOGS/offload")"
	logged offload "IPsec" || fail "the reason is another: $(cat "$LOGS/offload")"
	echoes 7003 2
	exec 13>&-
	finish client7003 10 || fail "client ($?)"
	encrypted=yes
else
	encrypted="no ($(tail -1 "$LOGS/xfrm"))"
fi
say "encrypted: $encrypted"
echoes 7001 3
exec 11>&-
finish client7001 10 || fail "client ($?)"
toed_alive || fail "toed is gone"
[ "$signed" = yes ] || [ "$encrypted" = yes ] || skip "this kernel has neither TCP-MD5 nor IPsec"
