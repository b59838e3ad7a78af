# SPDX-License-Identifier: GPL-2.0-or-later
"""Segments as the peers of connections in hardware could send them, made from what toectl --json show says of these."""
import json
import socket
import struct
import sys

SYN, RST, PSH = 2, 4, 8


def csum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def split(text):
    addr, port = text.rsplit(":", 1)
    family = socket.AF_INET6 if addr.startswith("[") else socket.AF_INET
    return socket.inet_pton(family, addr.strip("[]")), int(port)


def segments(flags, data=b"", ahead=(0,)):
    """(source address, destination address, segment) for each connection of standard input that is in hardware, at rcv_nxt and so
    many bytes ahead of it."""
    for conn in json.load(sys.stdin)["connections"]:
        if conn["path"] != "hardware":
            continue
        (dst, dport), (src, sport) = split(conn["local"]), split(conn["remote"])
        for offset in ahead:
            seq = (conn["rcv_nxt"] + offset) % (1 << 32)
            tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, flags, 0, 0, 0) + data
            pseudo = src + dst + struct.pack("!II", len(tcp), socket.IPPROTO_TCP)
            yield src, dst, tcp[:16] + struct.pack("!H", csum(pseudo + tcp)) + tcp[18:]
