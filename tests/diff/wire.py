# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripted peer: TCP segments of its own making on the far side of a TAP, and what came back."""
import fcntl
import json
import os
import queue
import struct
import subprocess
import threading
import time

from scapy.all import IP, TCP, Ether, IPv6, Raw

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
V6 = "DIFF_V6" in os.environ
MSS = 1428 if V6 else 1448  # with timestamps
WSCALE = 7
PEER_MAC = "02:00:00:00:99:01"
PEER, HOST = ("fd99::1", "fd99::2") if V6 else ("10.99.0.1", "10.99.0.2")
ETHERTYPE, PROTO_AT, PORTS_AT = (b"\x86\xdd", 20, 54) if V6 else (b"\x08\x00", 23, 34)


def pattern(pos, n):
    return bytes((i * 31 + (i >> 8) * 7 + 1) & 255 for i in range(pos, pos + n))


class Wire:
    def __init__(self, dev, mac):
        self.mac = mac
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", dev.encode(), IFF_TAP | IFF_NO_PI))
        self.conns = {}
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                frame = os.read(self.fd, 4096)
            except BlockingIOError:
                time.sleep(0.0005)
                continue
            if len(frame) < PORTS_AT + 20 or frame[12:14] != ETHERTYPE or frame[PROTO_AT] != 6:
                continue
            sport, dport = struct.unpack("!HH", frame[PORTS_AT:PORTS_AT + 4])
            conn = self.conns.get(sport)
            if conn and dport == conn.sport:        # not one of an earlier run
                conn.inbox.put(frame)

    def send(self, packet):
        os.write(self.fd, bytes(Ether(src=PEER_MAC, dst=self.mac) / packet))


class Puppet:
    """One application for all connections; what it is told and answers goes through here one at a time."""

    def __init__(self, command):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()

    def __call__(self, *words):
        with self.lock:
            self.p.stdin.write(json.dumps(words) + "\n")
            self.p.stdin.flush()
            line = self.p.stdout.readline()
        if not line:
            raise RuntimeError("the application is gone")
        return json.loads(line)

    def end(self):
        self.p.stdin.close()
        self.p.wait()


class Conn:
    """A connection from the peer's side. Sequence numbers are relative: 1 is the first byte of either side."""

    def __init__(self, wire, app, port, sport, sack=True, ts=True):
        self.wire, self.app, self.port, self.sport, self.sack, self.ts = wire, app, port, sport, sack, ts
        self.inbox = queue.Queue()
        self.isn, self.seq, self.ack, self.tsval, self.tsecr = 0xFFFFF000 + port, 1, 1, 1000, 0
        self.window = 60000 >> WSCALE
        self.edge = 0               # right edge of the window that the host offers
        self.base, self.result = 0, None
        self.seen = 0               # how far the host's data reached when it was last summed up
        self.sent = {0}             # timestamps that are not refused, since the handshake
        wire.conns[port] = self

    def options(self, extra=()):
        ts = [("NOP", None), ("NOP", None), ("Timestamp", (self.tsval, self.tsecr))] if self.ts else []
        return ts + list(extra)

    def segment(self, seq=None, data=0, flags="A", ack=None, options=None, tsval=None, sack=None, payload=None, **ip):
        """Sends; seq and ack default to what is right now, data is a length of the pattern."""
        seq = self.seq if seq is None else seq
        ack = self.ack if ack is None else ack
        self.tsval += 1
        if options is None:
            extra = []
            if sack:
                extra = [("NOP", None), ("NOP", None), ("SAck", tuple((self.iss + x) % 2**32 for b in sack for x in b))]
            keep = self.tsval
            self.tsval = keep if tsval is None else tsval
            self.sent.add(keep - 1000)
            options = self.options(extra)
            self.tsval = keep
        tcp = TCP(sport=self.sport, dport=self.port, seq=(self.isn + seq) % 2**32, ack=(self.iss + ack) % 2**32, flags=flags,
                  window=self.window, options=options)
        if "urgptr" in ip:
            tcp.urgptr = ip.pop("urgptr")
        if "chksum" in ip:
            tcp.chksum = ip.pop("chksum")
        if V6:
            ip = IPv6(src=PEER, dst=HOST, hlim=64, tc=ip.pop("tos", 0), **ip)
        else:
            ip = IP(src=PEER, dst=HOST, ttl=64, flags="DF", **ip)
        self.wire.send(ip / tcp / Raw(payload or pattern(seq - 1, data)))

    def data(self, n, **kw):
        """The next n bytes of the stream, in order."""
        self.segment(data=n, **kw)
        self.seq += n

    def open(self):
        self.iss = 0
        options = [("MSS", MSS + 12)] + ([("SAckOK", b"")] if self.sack else []) + \
                  ([("Timestamp", (self.tsval, 0))] if self.ts else []) + [("NOP", None), ("WScale", WSCALE)]
        self.app("listen", self.port)
        self.segment(seq=0, flags="S", ack=0, options=options)
        packet = Ether(self.inbox.get(timeout=10))
        if packet[TCP].flags != "SA":
            raise RuntimeError(f"no SYN-ACK: {packet.summary()}")
        self.iss, self.edge = packet[TCP].seq, 1 + packet[TCP].window
        self.shift = dict(packet[TCP].options).get("WScale", 0)
        self.tsecr = dict(packet[TCP].options).get("Timestamp", (0, 0))[0]
        self.segment()
        self.app("accept", self.port)

    def note(self, packet):
        """Reduces a frame of the host to what is compared."""
        t, options = packet[TCP], dict(packet[TCP].options)
        if "Timestamp" in options:
            self.tsecr = options["Timestamp"][0]
        if V6:
            length, ecn = packet[IPv6].plen - t.dataofs * 4, packet[IPv6].tc & 3
        else:
            length, ecn = packet[IP].len - packet[IP].ihl * 4 - t.dataofs * 4, packet[IP].tos & 3
        seq, ack = (t.seq - self.iss) % 2**32, (t.ack - self.isn) % 2**32
        sack = [(x - self.isn) % 2**32 for x in options.get("SAck", ())]
        f = {"seq": seq, "ack": ack, "len": length, "flags": str(t.flags), "window": t.window << self.shift,
             "sack": [sack[i:i + 2] for i in range(0, len(sack), 2)], "ts": "Timestamp" in options,
             "ecr": options.get("Timestamp", (0, 0))[1] - 1000, "ecn": ecn}
        if "R" not in f["flags"]:
            f["shrunk"] = max(0, self.edge - (ack + f["window"]))
            self.edge = max(self.edge, ack + f["window"])
        return f

    def collect(self, seconds=0):
        """What came, and what comes in this time."""
        time.sleep(seconds)
        got = []
        while not self.inbox.empty():
            got.append(self.note(Ether(self.inbox.get())))
        return got
