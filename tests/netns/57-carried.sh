#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a move carries over: a connection with a round trip of 10 ms, ECN, a congestion window and an ssthresh of its own,
# and options, goes into hardware and comes back; at each stage its socket is asked for TCP_INFO and options. A table
# of rules says how near they must be. `ss -ti` is printed before and after.
#
#   cli -- eth0 ---- 10 ms, 100 Mbit/s, marks CE ---- eth0 [toed] -- srv (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$LOGS/carried.py" <<'PY'
import json, os, socket, sys

role, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if role == "client":
    s = socket.create_connection((addr, port))
    while (piece := s.recv(1 << 16)):
        if b"?" in piece:
            s.sendall(b"!")
    sys.exit()

sys.path.insert(0, sys.argv[4])
import tcpinfo
ls = socket.create_server((addr, port), family=socket.AF_INET6 if ":" in addr else socket.AF_INET)
print("listening", flush=True)
s = ls.accept()[0]
for level, opt, val in ((socket.IPPROTO_TCP, tcpinfo.TCP_CONGESTION, os.environ["CC"].encode()),
                        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
                        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
                        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 11), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
                        (socket.IPPROTO_TCP, tcpinfo.TCP_USER_TIMEOUT, 54321)):
    s.setsockopt(level, opt, val)
print("connected", flush=True)
for order in sys.stdin:
    verb, arg = order.split()
    if verb == "send":      # until the peer has all
        s.sendall(b"x" * int(arg) + b"?")
        s.recv(1)
        print("sent", arg, flush=True)
    else:
        print(arg, json.dumps(tcpinfo.info(s)), flush=True)
PY

# At stage, as compared with stage: rule of each figure. same; near: a segment more or less; rtt: a tick of the timestamp
# clock and a tenth; rto: what RFC 6298 makes of the rtt, not the initial second; grown: no less.
cat >"$LOGS/rules.py" <<'PY'
import json, sys

SAME = "options snd_wscale rcv_wscale snd_mss reuseaddr keepalive keepidle keepintvl keepcnt nodelay user_timeout " \
       "congestion maxseg state".split()
rules = {name: "same" for name in SAME}
rules |= {"snd_cwnd": "near", "snd_ssthresh": "near", "rtt": "rtt", "rto": "rto", "rcvbuf": "grown", "sndbuf": "grown",
          "pmtu": "same", "window_clamp": "grown"}
tests = {
    "same": lambda a, b, d: a == b,
    "near": lambda a, b, d: abs(a - b) <= 1,
    "rtt": lambda a, b, d: abs(a - b) <= 2000 + a / 10,
    "rto": lambda a, b, d: b <= max(a, d["rtt"] + 200000, 3 * d["rtt"]) + 12000,
    "grown": lambda a, b, d: b >= a,
}
stages = {}
for line in open(sys.argv[1]):
    name, _, rest = line.partition(" ")
    if rest.startswith("{"):
        stages[name] = json.loads(rest)
skip, failed = set(sys.argv[2:]), []
print("%-13s %6s" % ("", "rule"), *("%12s" % s for s in stages))
for name, rule in rules.items():
    values = [d[name] for d in stages.values()]
    bad = []
    for a, b in (("kernel", "hardware"), ("used", "uploaded")):
        if b == "hardware" and name in ("rcvbuf", "sndbuf", "window_clamp", "options", "snd_wscale", "rcv_wscale",
                                        "pmtu"):
            continue        # of the parked socket, which nobody sends or receives by
        if rule in ("same", "grown") and a == "used":
            a = "kernel"
        if name not in skip and not tests[rule](stages[a][name], stages[b][name], stages[b]):
            bad.append("%s %s -> %s %s" % (a, stages[a][name], b, stages[b][name]))
    print("%-13s %6s" % (name, rule), *("%12s" % v for v in values), "  WRONG" if bad else
          "  not on this kernel" if name in skip else "")
    failed += ["%s: %s" % (name, x) for x in bad]
if stages["kernel"]["snd_ssthresh"] >= 0x7fffffff or not stages["kernel"]["options"] & 8:
    failed.append("the connection had no ssthresh or no ECN to carry over")
print("\n".join(failed))
sys.exit(bool(failed))
PY

orders() { echo "$*" >&3; eventually 30 logged server "^sent $2\$\|^$2 {" || fail "no answer to $*"; }
sockets() { in_ns srv ss -Htnie "sport = :$1" | tail -1 | tr -s ' \t' ' '; }
ect() { echo $(($(snmp cli IpExt InECT0Pkts) + $(snmp cli IpExt InCEPkts) + $(snmp6 Ip6InECT0Pkts) + $(snmp6 Ip6InCEPkts))); }
snmp6() { in_ns cli awk -v f="$1" '$1 == f { print $2 }' /proc/net/snmp6; }

carried() {	# FAMILY ADDRESS PORT CONGESTION-CONTROL
	local before skip=()
	rm -f "$LOGS/orders"
	mkfifo "$LOGS/orders"
	STDIN=$LOGS/orders offloadable server srv env CC="$4" python3 "$LOGS/carried.py" server "$2" "$3" "$HELPERS"
	exec 3>"$LOGS/orders"
	eventually 10 logged server listening || fail "server did not start"
	spawn client cli python3 "$LOGS/carried.py" client "$2" "$3" 3>&-	# whose end is the server's end
	eventually 10 logged server connected || fail "no connection"
	orders send 4000000
	orders info kernel
	say "before: $(sockets "$3")"
	eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 1' || fail "not in hardware: $(ctl list)"
	orders info hardware
	before=$(counter TX_SEGS)
	orders send 1000000
	(($(counter TX_SEGS) - before > 600)) || fail "the engine sent only $(($(counter TX_SEGS) - before)) segments"
	orders info used
	ctl upload --all || fail "upload"
	orders info uploaded
	say "after: $(sockets "$3")"
	in_ns srv cat /proc/sys/net/ipv4/tcp_available_congestion_control | grep -q toe_ || skip=(snd_ssthresh options)
	python3 "$LOGS/rules.py" "$LOGS/server" "${skip[@]}" || fail "$1: what was not carried over is above"
	before=$(ect)
	orders send 100000
	[ ${#skip[@]} -gt 0 ] || (($(ect) - before > 60)) || fail "the socket sends without ECT: $(($(ect) - before)) frames"
	exec 3>&-
	finish server 10 || fail "server ($?)"
	finish client 10 || fail "client ($?)"
}

topo_lossy -t 5000 -R 100 -q 400 -E 60
for ns in cli srv; do in_ns $ns sysctl -q net.ipv4.tcp_ecn=1; done
toed_start srv
carried IPv4 "$SRV4" 7001 cubic
carried IPv6 "$SRV6" 7002 reno
