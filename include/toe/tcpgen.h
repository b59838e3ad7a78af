/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tcpgen: what its XDP program and its user space share. Maps:
 *
 * gen_ports   array, mmap    local port -> struct gen_port
 * gen_conns   array, mmap    connection -> struct gen_conn
 * gen_sent    array, mmap    connection * depth + slot -> when that request left, ns
 * gen_stats   per-CPU array  struct gen_stats
 * gen_text    array, mmap    struct gen_text
 */
#ifndef TOE_TCPGEN_H
#define TOE_TCPGEN_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define GEN_MAX_DEPTH		64
#define GEN_MAX_REQUEST		1400U	/* bytes: a request fits one segment */
#define GEN_MAX_REPLY		65536U	/* bytes */
#define GEN_MAX_SEGMENT		3584U	/* payload bytes of a frame, a multiple of 8 */

/* Both texts over and over, so that a segment is copied or compared without a seam. */
struct gen_text {
	__u8 request[2 * GEN_MAX_SEGMENT];
	__u8 reply[GEN_MAX_REPLY + GEN_MAX_SEGMENT + 8];
};

struct gen_port {
	__u32 conn;		/* index plus 1; 0: none */
	__u32 tsval;		/* the last one seen before the program took the connection over */
};

enum gen_state {
	GEN_IDLE = 0,		/* frames pass to the kernel */
	GEN_ACTIVE = 1,		/* the program owns it */
	GEN_DEAD = 2,		/* the server sent FIN or RST */
};

/* Written by user space while GEN_IDLE or while nothing is outstanding, else by the program alone. */
struct gen_conn {
	__u32 state;		/* enum gen_state */
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 snd_wnd;		/* bytes */
	__u32 rcv_nxt;
	__u32 ts_recent;
	__u32 ts_off;		/* TSval = CLOCK_MONOTONIC in ms + ts_off */
	__u32 pos;		/* bytes received of the reply under way */
	__u32 replies;		/* wraps; replies % depth: slot of the oldest request outstanding */
	__u16 outstanding;	/* requests sent whose reply is not complete */
	__u16 owed;		/* requests that may be sent */
	__u16 port;		/* local, host byte order */
	__u16 window;		/* to advertise, as on the wire */
	__u8 snd_wscale;
	__u8 has_ts;
	__u8 unacked;		/* segments received since anything left */
	__u8 pad;
	__u64 progress_ns;	/* when something new came last */
	__u64 reserved;
};
_Static_assert(sizeof(struct gen_conn) == 64, "gen_conn");

#define GEN_STATS(X) \
	X(REPLIES,	replies,	"complete replies") \
	X(BYTES,	bytes,		"bytes of replies") \
	X(SEGS_IN,	segments_in,	"segments with data received") \
	X(SEGS_OUT,	segments_out,	"segments with requests sent by the program") \
	X(ACKS_OUT,	acks_out,	"pure acknowledgements sent by the program") \
	X(COMPARED,	compared,	"segments compared byte by byte") \
	X(DUP,		duplicates,	"segments received twice") \
	X(GAP,		out_of_order,	"segments that came before their turn, dropped") \
	X(LONG,		too_long,	"replies longer than they should be") \
	X(CONTENT,	wrong_content,	"segments whose content is not what it should be") \
	X(CLOSED,	closed,		"connections that the server closed or reset") \
	X(NO_ROOM,	no_room,	"frames that could not be made long enough")

enum gen_stat {
#define X(sym, key, text) GEN_##sym,
	GEN_STATS(X)
#undef X
	GEN_NR_STATS
};

/* Latency buckets: 32 to each power of two of nanoseconds, so a bucket is 3 per cent wide. */
#define GEN_SUB_SHIFT		5
#define GEN_SUB			(1U << GEN_SUB_SHIFT)
#define GEN_OCTAVES		32
#define GEN_BUCKETS		(GEN_SUB * GEN_OCTAVES)

struct gen_stats {
	__u64 nr[GEN_NR_STATS];
	__u64 latency[GEN_BUCKETS];
};

#endif
