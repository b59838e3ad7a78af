# SPDX-License-Identifier: GPL-2.0-or-later
"""What a TCP socket says of itself, as a dictionary: TCP_INFO and the options that a move must not change."""
import socket
import struct

FIELDS = ("rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv "
          "last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space "
          "total_retrans").split()
TCP_WINDOW_CLAMP, TCP_USER_TIMEOUT, TCP_CONGESTION = 10, 18, 13
OPTIONS = {
    "reuseaddr": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "rcvbuf": (socket.SOL_SOCKET, socket.SO_RCVBUF),
    "sndbuf": (socket.SOL_SOCKET, socket.SO_SNDBUF),
    "keepidle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepintvl": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepcnt": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "user_timeout": (socket.IPPROTO_TCP, TCP_USER_TIMEOUT),
    "window_clamp": (socket.IPPROTO_TCP, TCP_WINDOW_CLAMP),
    "maxseg": (socket.IPPROTO_TCP, socket.TCP_MAXSEG),
}


def info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    d = dict(zip(FIELDS, struct.unpack_from("24I", raw, 8)))
    d["state"], d["options"] = raw[0], raw[5] & 15      # timestamps 1, SACK 2, window scale 4, ECN 8
    d["snd_wscale"], d["rcv_wscale"] = raw[6] & 15, raw[6] >> 4
    if len(raw) >= 152:
        d["min_rtt"] = struct.unpack_from("I", raw, 148)[0]
    for name, opt in OPTIONS.items():
        d[name] = s.getsockopt(*opt)
    d["congestion"] = s.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, 16).split(b"\0")[0].decode()
    return d
