/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands of the daemon to the engines: BPF_PROG_RUN of program toe_cmd, an
 * XDP program (so that it runs with bottom halves disabled and may take
 * hw_conn.lock), with a struct toe_cmd as the packet. The return value is 0
 * or a negative errno, as __s32. The struct is written back (data_out).
 */
#ifndef TOE_CMD_H
#define TOE_CMD_H

#include "toe/hw_conn.h"

enum toe_cmd_op {
	/* KERNEL or HW (or HOLD begun by the engine) -> HOLD. Sets next = cmd.next and, from KERNEL, vlan. Returns the
	 * entry in conn. -ENOENT, -EBUSY (lock), -ESTALE (conn.cookie differs). */
	TOE_CMD_HOLD = 1,
	/* HOLD: overwrite the entry with conn, except lock, state, next, nr_held. */
	TOE_CMD_LOAD = 2,
	/* HOLD: state = next if nr_held == conn.nr_held, else -EAGAIN and the
	 * entry in conn (drain and replay the rest, then try again). On success
	 * nr_held = 0; a connection that enters HW has its figures published in
	 * toe_ring_ctl and hw_clock and its wake bit set. */
	TOE_CMD_FINISH = 3,
	/* HW: dst_mac, src_mac, nic, vlan, ttl, tos, min.wnd_limit from conn. */
	TOE_CMD_LINK = 4,
	/* HW: retransmission timeout (RFC 6298 5.5, toe/rec.h rec_rto()): all that is not
	 * SACKed is lost, cwnd = 1 segment, backoff from conn. Republishes. Answers as NEXT. */
	TOE_CMD_RTO = 5,
	/* any: nothing changes, returns the entry read under its lock. */
	TOE_CMD_READ = 6,
	/* HW: find what is lost by now (RFC 6675 NextSeg(), RFC 8985): nr_rtx segments to be sent
	 * again now, in rtx. */
	TOE_CMD_NEXT = 7,
	/* HOLD: what a toed needs that finds the entry like this after the socket was parked: hw_connid, gen,
	 * fd, app, rings, sk_flags, and the fields of LINK, from conn. */
	TOE_CMD_CLAIM = 8,
	/* HOLD of what was in HW: rx, tx and gen from conn, which hold the same bytes as those before, and
	 * min.copied_seq and min.write_seq, which say where they begin and end, and min.wnd_limit. Republishes. */
	TOE_CMD_RINGS = 9,
	/* HW: set the wake bit again. The doorbell is the daemon's to ring. */
	TOE_CMD_WAKE = 10,
};

#define TOE_CMD_RTX	8

struct toe_cmd {
	__u32 op;		/* enum toe_cmd_op */
	__u8 next;		/* HOLD: enum toe_state */
	__u8 why;		/* HOLD: recorded in conn.why */
	__u16 nr_rtx;
	struct toe_flow flow;
	struct hw_conn conn;
	struct toe_ival rtx[TOE_CMD_RTX];
};
_Static_assert(sizeof(struct toe_cmd) == 368, "toe_cmd");

/* A record of the hold ring (BPF ring buffer "hold"), always this size. */
struct toe_held {
	__u64 cookie;		/* of the connection */
	__u32 len;		/* bytes of frame */
	__u16 nic;
	__u16 pad;
	__u8 frame[TOE_MAX_FRAME];
};

#endif
