# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripted peer does. A scenario is a generator: it acts, then yields the name of the step; the answers
of the next moments are that step's; or (seconds, name, True: compare what was retransmitted). Each begins with an idle connection, sequence numbers 1 and 1."""
from wire import MSS

LONG, SHORT = 0.6, 0.12         # seconds: long enough for a first retransmission, for a delayed acknowledgement

ALL = {}


def scenario(f):
    ALL[f.__name__] = f
    return f


@scenario
def in_order(c):
    c.data(MSS)
    c.data(MSS)
    yield "two full segments"
    c.data(100, flags="PA")
    yield "a small one"
    c.data(1)
    c.data(1)
    c.data(1)
    yield "three bytes"


@scenario
def reordered(c):
    c.segment(seq=1 + MSS, data=MSS)
    yield "the second first"
    c.segment(seq=1, data=MSS)
    yield "then the first"


@scenario
def holes(c):
    for at in (2, 4, 6, 5, 3, 1, 0):
        c.segment(seq=1 + at * MSS, data=MSS)
        yield f"segment {at}"


@scenario
def many_holes(c):
    for at in range(2, 14, 2):
        c.segment(seq=1 + at * 500, data=500)
        yield f"piece {at}"
    c.segment(seq=1, data=14 * 500 // 10)
    c.segment(seq=1 + 700, data=1300)
    c.segment(seq=1 + 2000, data=1448)
    c.segment(seq=1 + 3448, data=1448)
    c.segment(seq=1 + 4896, data=1448)
    yield "all of it"


@scenario
def overlaps(c):
    c.segment(seq=1001, data=500)
    yield "beyond a hole"
    c.segment(seq=801, data=1000)
    yield "around it"
    c.segment(seq=1, data=900)
    yield "up into it"
    c.segment(seq=1, data=MSS)
    yield "old bytes"
    c.segment(seq=1501, data=500)
    yield "old and new bytes"


@scenario
def duplicate(c):
    c.data(MSS)
    yield "once"
    c.segment(seq=1, data=MSS)
    yield "again"
    c.segment(seq=1, data=MSS)
    yield "and again"


@scenario
def duplicate_out_of_order(c):
    c.segment(seq=2001, data=1000)
    yield "beyond a hole"
    c.segment(seq=2001, data=1000)
    yield "again"


@scenario
def keepalive(c):
    c.data(10)
    yield "ten bytes"
    c.segment(seq=c.seq - 1)
    yield "a keepalive"
    c.segment(seq=c.seq - 1, data=1)
    yield "one with a byte"


@scenario
def beyond_window(c):
    c.segment(seq=c.edge + 1, data=100)
    yield "blind data"
    c.segment(seq=c.edge + 100000, data=100)
    yield "far away"
    c.segment(seq=1 - 100000, data=100)
    yield "far behind"


@scenario
def acks_of_nothing(c):
    c.segment(ack=100000, data=10)
    yield LONG, "acknowledges what was never sent", False
    c.app("write", c.port, 100)
    c.ack += 100
    c.segment()
    yield "a right one"
    c.data(10, ack=50)
    yield "acknowledges a little less"


@scenario
def no_ack_flag(c):
    c.segment(flags="P", data=10)
    yield "data without ACK"


@scenario
def paws(c):
    c.data(10)
    yield "ten bytes"
    c.segment(data=10, tsval=500)
    yield "an old timestamp"
    c.data(10)
    yield "a right one"


@scenario
def no_timestamp(c):
    c.data(10, options=[])
    yield "data without the option"


@scenario
def bad_checksum(c):
    c.segment(data=100, chksum=0x1234)
    yield "damaged"
    c.data(100)
    yield "whole"


@scenario
def odd_options(c):
    c.data(10, options=c.options([(254, b"\0\0")]))
    yield "an unknown option"
    c.data(10, options=[("NOP", None)] * 3 + c.options()[2:] + [("NOP", None)])
    yield "unaligned timestamps"
    c.data(10, options=[(8, b"\0\0\0\0\0\0\0")])
    yield "timestamps of a wrong length"


@scenario
def rst_left(c):
    c.data(100)
    yield "data"
    c.segment(seq=c.seq - 1, flags="R")
    yield "RST before the window"
    c.data(100)
    yield "still there"


@scenario
def rst_exact(c):
    c.segment(flags="R")
    yield "RST at rcv_nxt"
    c.result = c.app("read", c.port, 1)[1]
    yield "read"


@scenario
def rst_inside(c):
    c.segment(seq=c.seq + 1000, flags="R")
    yield "RST inside the window"
    c.data(100)
    yield "still there"


@scenario
def rst_right_edge(c):
    c.segment(seq=c.edge, flags="R")
    yield "RST at the right edge"
    c.segment(seq=c.edge + 1, flags="R")
    yield "RST beyond it"
    c.data(100)
    yield "still there"


@scenario
def syn_inside(c):
    c.segment(seq=c.seq + 1000, flags="S")
    yield "SYN inside the window"
    c.data(100)
    yield "still there"


@scenario
def syn_outside(c):
    c.segment(seq=c.seq - 70000, flags="S")
    yield "SYN before the window"
    c.data(100)
    yield "still there"


@scenario
def fin(c):
    c.data(100)
    yield "data"
    c.data(10, flags="FA")
    c.seq += 1
    yield "FIN"
    c.result = c.app("read", c.port, 1000)[:2]
    yield "read"
    c.app("shutdown", c.port)
    yield "the host's FIN"


@scenario
def fin_before_data(c):
    c.segment(seq=1001, data=10, flags="FA")
    yield "FIN beyond a hole"
    c.segment(seq=1, data=1000)
    c.seq = 1012
    yield "the hole"
    c.result = c.app("read", c.port, 2000)[:2]
    yield "read"


@scenario
def urgent(c):
    c.data(10, flags="UA", urgptr=5)
    yield "urgent data"
    c.data(10)
    yield "plain data"


@scenario
def window_fills(c):
    while c.edge > c.seq:           # the last acknowledgement may still open it a little
        while c.edge - c.seq >= MSS:
            for _ in range(8):
                if c.edge - c.seq >= MSS:
                    c.data(MSS)
            c.collect(0.03)
        if c.edge > c.seq:
            c.data(c.edge - c.seq)
        c.collect(SHORT)
    full = c.seq
    c.segment(seq=c.seq - 1)
    c.base = full - 1               # sizes differ: from here on numbers count from the edge
    yield "window probe"
    c.segment(data=1)
    yield "a byte beyond"
    c.app("read", c.port, 1 << 20)
    yield "read"


@scenario
def sends(c):
    c.app("write", c.port, 3 * MSS + 100)
    yield "three segments and a bit"
    c.ack += 2 * MSS
    c.segment()
    yield "two acknowledged"
    c.ack += MSS + 100
    c.segment()
    yield "all"


@scenario
def nagle(c):
    for _ in range(3):
        c.app("write", c.port, 10)
    yield "three small writes"
    c.ack += 10
    c.segment()
    yield "the first acknowledged"


@scenario
def nodelay(c):
    c.app("nodelay", c.port, 1)
    for _ in range(3):
        c.app("write", c.port, 10)
    yield "three small writes"


@scenario
def initial_window(c):
    c.app("write", c.port, 30 * MSS)
    yield "thirty segments"
    c.ack += 2 * MSS
    c.segment()
    yield "two acknowledged"


@scenario
def fast_retransmit(c):
    c.app("write", c.port, 10 * MSS)
    yield "ten segments"
    for n in range(2, 5):
        c.segment(sack=[(1 + MSS, 1 + n * MSS)])
    yield SHORT, "three SACK the second to fourth", True
    c.ack += 10 * MSS
    c.segment()
    yield "all"


@scenario
def two_holes(c):
    c.app("write", c.port, 10 * MSS)
    yield "ten segments"
    for n in (4, 5, 6, 7, 8, 9, 10):
        c.segment(sack=[(1 + 3 * MSS, 1 + n * MSS), (1 + MSS, 1 + 2 * MSS)])
    yield SHORT, "the first and third are missing", True
    c.ack += 10 * MSS
    c.segment()
    yield "all"


@scenario
def timeout(c):
    c.app("write", c.port, MSS)
    yield LONG, "no answer", True
    c.ack += MSS
    c.segment()
    yield "acknowledged"


def window_closed(c, seconds):
    c.window = 0
    c.segment()
    yield "zero window"
    c.app("write", c.port, 100)
    yield seconds, "write", False
    c.window = 500
    c.segment()
    yield "opens"


@scenario
def peer_window_closes(c):
    yield from window_closed(c, 1)      # between the second probe, after 3 timeouts of 0.2 s or a little more, and the third


@scenario
def peer_window_opens_late(c):
    yield from window_closed(c, 9)      # between the fifth probe, after 31 timeouts of 0.2 s or a little more, and the sixth
    yield 1.5, "lost: the timer begins anew", True


@scenario
def peer_window_shrinks(c):
    c.data(1)
    c.app("write", c.port, 2 * MSS)
    c.window = 0
    c.data(1)                       # newer than SND.WL1, or Linux does not take a smaller window
    yield 0.4, "two in flight, window zero", False
    c.app("write", c.port, MSS)
    c.window = 500
    c.ack += 2 * MSS
    c.segment()
    yield "opens"


@scenario
def ce_mark(c):
    c.data(MSS, tos=3)
    c.data(MSS, tos=3)
    yield "marked though ECN was not negotiated"
