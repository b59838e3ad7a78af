/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes that the engines, the daemon and the library must agree on.
 * All are compile-time constants: the BPF verifier needs them as such.
 */
#ifndef TOE_LIMITS_H
#define TOE_LIMITS_H

#define TOE_BPFFS		"/sys/fs/bpf/toed"	/* pinned maps, programs */
#define TOE_RUNDIR		"/run/toed"		/* sockets, namespace, pid */

#define TOE_MAX_CONNS		65536	/* entries of hw_conn_t; HW_CONNID 1..65535 */
#define TOE_MAX_NICS		64	/* attached interfaces, index 0 unused */
#define TOE_MAX_LINKS		8192	/* attached interfaces and VLAN devices over them */
#define TOE_MAX_QPS		1024	/* queue pairs, index 0 unused */
#define TOE_QP_DAEMON		1	/* the daemon's own, privileged queue pair */
#define TOE_MAX_SLABS		1024
#define TOE_MAX_APPS		4096	/* application ids 1..4095; 0 is nobody */
#define TOE_TAP_IFINDEX		1000	/* TAP of queue pair q has ifindex 1000 + q */

/*
 * A slab is one mmapable array map of SLAB_VALUES values. Each of the first SLAB_CHUNKS, a chunk, holds 64 KiB
 * of ring bytes, four units, and then a slack page: the verifier bounds a copy by (largest
 * offset + largest length), so a value must be longer than the data. No copy ever enters the
 * slack. A ring is a run of units of one slab (toe/place.h).
 *
 * The values behind them hold a page for each chunk, close together: struct toe_ring_ctl of the rx ring that begins with that
 * chunk, struct toe_info, and the first TOE_HOT bytes of both its rings.
 */
#define TOE_CHUNK_SHIFT		16
#define TOE_CHUNK_DATA		(1U << TOE_CHUNK_SHIFT)	/* bytes */
#define TOE_CHUNK_SLACK		4096U			/* bytes */
#define TOE_CHUNK_SIZE		(TOE_CHUNK_DATA + TOE_CHUNK_SLACK)
#define TOE_SLAB_CHUNKS		128U
#define TOE_CTL_SHIFT		12
#define TOE_CTL_SIZE		(1U << TOE_CTL_SHIFT)	/* bytes of a chunk's page */
#define TOE_VALUE_CTLS		(TOE_CHUNK_DATA >> TOE_CTL_SHIFT)
#define TOE_SLAB_VALUES		(TOE_SLAB_CHUNKS + TOE_SLAB_CHUNKS / TOE_VALUE_CTLS)
#define TOE_SLAB_SIZE		((__u64)TOE_SLAB_VALUES * TOE_CHUNK_SIZE)	/* bytes, as it is mapped */
#define TOE_HOT			1280U	/* bytes */
#define TOE_HOT_RX		256U	/* in the page */
#define TOE_HOT_TX		(TOE_HOT_RX + TOE_HOT)
_Static_assert(TOE_HOT_TX + TOE_HOT <= TOE_CTL_SIZE, "one page");
_Static_assert(TOE_CHUNK_DATA - TOE_CTL_SIZE + TOE_HOT_TX + 2 * TOE_HOT <= TOE_CHUNK_SIZE,
	       "largest offset and largest length of a copy");
#define TOE_UNIT_SHIFT		14
#define TOE_CHUNK_UNITS		(TOE_CHUNK_DATA >> TOE_UNIT_SHIFT)
#define TOE_SLAB_UNITS		(TOE_SLAB_CHUNKS * TOE_CHUNK_UNITS)
#define TOE_ORDER_32		1
#define TOE_ORDER_64		2	/* a chunk: the smallest rx ring, which a control block belongs to */
#define TOE_ORDER_96		3	/* no power of two: what a connection is promised at first, and room to round it up */
#define TOE_MAX_ORDER		10	/* largest ring: 8 MiB, a whole slab */

#define TOE_MAX_PAYLOAD		3400U	/* bytes of one segment: what a TAP page takes */
#define TOE_MAX_FRAME		3520U	/* bytes kept of a frame in the hold ring */
#define TOE_HOLD_BYTES		(8U << 20) /* size of the hold ring */
#define TOE_MAX_BURST		32U	/* segments: a portion of a window that opens, bpf/ring.bpf.h shown_edge() */
#define TOE_MAX_TRAIN		32U	/* segments that one write to a TAP sends */
#define TOE_NR_OOO		64	/* out-of-order intervals a connection may have; power of 2 */
#define TOE_NR_HOLES		16	/* holes between what the peer has SACKed; power of 2 */
#define TOE_SIEVE_BITS		2048U	/* segments that one more, long one has at most, and 64; power of 2 */

#endif
