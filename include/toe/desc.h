/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is written to a TAP: one frame, one segment.
 *
 * frame = header room, payload. The header room is exactly as long as the
 * Ethernet, IP and TCP headers that the TX engine puts in its place
 * (TOE_HDR_LEN), and begins with this descriptor. Host byte order.
 */
#ifndef TOE_DESC_H
#define TOE_DESC_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define TOE_DESC_MAGIC		0x544f4531U	/* "TOE1" */

/* header bytes by family on the wire and by timestamps */
#define TOE_HDR_LEN(family, ts)	(14 + ((family) == 2 ? 20 : 40) + 20 + ((ts) ? 12 : 0))
#define TOE_HDR_MAX		86
#define TOE_TAGS_MAX		8	/* VLAN tags that the engine puts before them, toe/vlan.h */

/* A train needs room for a note in the frame: no shorter MSS. */
#define TOE_TRAIN_MSS		256U

enum toe_op {
	TOE_OP_DATA = 1,	/* new bytes; seq must be snd_nxt, else dropped and counted */
	TOE_OP_ACK = 2,		/* acknowledge what is in the rx ring, advertise the window */
	TOE_OP_BIND = 3,	/* ring this TAP for the connection from now on; nothing is sent */
	TOE_OP_TRAIN = 4,	/* nr segments of new bytes, which the engine takes from the tx ring: all are len bytes
				   long, which is the MSS, but the last. The frame has the length of
				   one segment; its payload means nothing, nor does csum */
	TOE_OP_BATCH = 5,	/* nr segments of as many connections, struct toe_batch_item each; hw_connid and gen are
				   those of the first. The engine takes the bytes from their tx rings */
	/* from here on: accepted from the daemon's queue pair only */
	TOE_OP_RTX = 6,		/* bytes in [snd_una, snd_nxt) once more: as TOE_CMD_NEXT names them, or
				   with TOE_DESC_TLP any */
	TOE_OP_PROBE = 7,	/* empty segment at snd_una - 1 (window probe, keepalive) */
};

#define TOE_DESC_PSH		1	/* flags: set PSH; TRAIN: on the last */
#define TOE_DESC_TLP		2	/* RTX, DATA: a tail loss probe; the daemon's queue pair only */

struct toe_desc {
	__u32 magic;
	__u16 op;		/* enum toe_op */
	__u16 flags;
	__u32 hw_connid;
	__u32 gen;
	__u32 seq;		/* sequence number of the first payload byte */
	__u16 len;		/* payload bytes */
	__u16 csum;		/* ones' complement sum of the payload, folded, not
				   inverted, as bytes lie in memory (RFC 1071) */
	__u16 nr;		/* TRAIN: segments, 2 to TOE_MAX_TRAIN; BATCH: 2 to TOE_MAX_BATCH */
	__u16 last;		/* TRAIN: payload bytes of the last one, 1 to len */
};
_Static_assert(sizeof(struct toe_desc) == 28, "toe_desc");

/*
 * BATCH: nr of these from TOE_BATCH_OFF on. The frame is at least as long as the longest of the segments, headers
 * included. What an item asks for is done or refused as if it had come by itself.
 */
#define TOE_BATCH_OFF		144
#define TOE_MAX_BATCH		16U
struct toe_batch_item {
	__u32 hw_connid;
	__u32 gen;
	__u32 seq;
	__u16 len;		/* payload bytes */
	__u16 flags;
};
_Static_assert(sizeof(struct toe_batch_item) == 16, "toe_batch_item");

#endif
