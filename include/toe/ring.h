/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rings' control block and the queue pair's wake block: the only memory
 * that engines and application share besides the payload itself.
 *
 * Trust: everything here can be overwritten by the application at any time.
 * The engines and the daemon never act on what they wrote here, and check
 * what the library writes (positions must lie inside the ring) on each use.
 */
#ifndef TOE_RING_H
#define TOE_RING_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif
#include "toe/limits.h"

/*
 * A position of the library: a sequence number in the low 32 bits and
 * FROZEN above. The library moves a position by compare-and-swap. The daemon
 * freezes it (atomic or) before an upload reads it: a thread that was in the
 * middle of copying fails to commit and starts again on the kernel path, so
 * no byte is taken twice and none is lost, however long that thread slept.
 */
#define TOE_FROZEN		(1ULL << 32)

/* At the beginning of the rx ring's page (toe/place.h). */
enum toe_ack_due {		/* an acknowledgement that waits */
	TOE_ACK_ONE = 1,	/* of one segment: for an answer that takes it along, or the daemon's tick */
	TOE_ACK_SEVERAL,	/* for the same, but no longer than until the reader waits: when several are out a Linux
				   sender probes after two round trips and two ticks, and its receiver does so too (ICSK_ACK_PUSHED2) */
	TOE_ACK_URGENT,		/* for nothing: a doorbell took its place, or it waits for tx_left */
};

struct toe_ring_ctl {
	/* engines -> library */
	__u32 rcv_nxt;		/* bytes up to here are in the rx ring */
	__u32 snd_una;		/* bytes up to here are acknowledged: tx ring space */
	__u32 snd_nxt;		/* bytes up to here have left; next to hand to the TX engine */
	__u32 snd_edge;		/* how far snd_nxt may go: peer window, cwnd, TOE_MAX_BURST */
	__u32 rcv_adv;		/* right edge advertised */
	__u32 ack_due;		/* enum toe_ack_due: of received bytes, by TOE_OP_ACK */
	__u32 srtt_us;
	__u32 rttvar_us;
	__u32 cwnd;
	__u32 ssthresh;
	__u32 snd_wnd;
	__u32 rtx_segs;
	__u32 rx_base;		/* toe/place.h */
	__u32 qp;		/* rings the doorbell for this connection: the last TOE_OP_BIND that arrived */
	__u32 reserved[2];
	/* library -> engines (other cache line) */
	__u64 rx_read;		/* consumed up to here, | TOE_FROZEN */
	__u64 tx_filled;	/* written up to here, | TOE_FROZEN */
	__u32 want_write;	/* a writer waits for tx ring space: wake it on snd_una */
	__u32 tx_base;		/* toe/place.h */
	__u32 tx_left;		/* snd_nxt as it was when a write to the queue pair had ended: up to here all has left */
	__u32 reserved2[9];
};
_Static_assert(sizeof(struct toe_ring_ctl) == 128, "toe_ring_ctl");

/*
 * TCP_INFO of a connection in hardware, as far as toe_ring_ctl does not tell: daemon -> library on request
 * (TOE_MSG_INFO), in the rx ring's page. Fields as in struct tcp_info.
 */
#define TOE_INFO_OFF		128
struct toe_info {
	__u64 bytes_acked;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 segs_out;		/* of this stay in hardware, as the next three */
	__u32 segs_in;
	__u32 data_segs_out;
	__u32 total_retrans;
	__u32 min_rtt;		/* us */
	__u32 rcv_mss;
	__u32 rcv_wnd;
	__u32 sacked;		/* segments */
	__u32 lost;
	__u32 retrans;
	__u32 ato;		/* us */
	__u32 last_data_sent;	/* ms ago */
	__u32 last_recv;
	__u32 pmtu;
	__u8 ca_state;		/* the kernel's TCP_CA_... */
	__u8 retransmits;	/* timeouts without progress */
	__u8 probes;
	__u8 backoff;
	__u8 options;		/* the kernel's TCPI_OPT_... */
	__u8 snd_wscale;
	__u8 rcv_wscale;
	__u8 pad;
};
_Static_assert(sizeof(struct toe_info) == 96, "toe_info");
_Static_assert(TOE_INFO_OFF + sizeof(struct toe_info) <= TOE_HOT_RX, "toe_info would be in a ring");

#define TOE_QP_WORDS		(TOE_MAX_CONNS / 64)	/* 1024 */
#define TOE_QP_SUMMARY		(TOE_QP_WORDS / 64)	/* 16 */

/*
 * Wake block of a queue pair, at offset 0 of a chunk of its own.
 *
 * Engine, after publishing in toe_ring_ctl: set the connection's bit (atomic),
 * set the summary bit (atomic), exchange armed with 0; ring the doorbell if
 * it was 1. Library: take bits by exchanging words with 0 (summary first),
 * look at the connections; before it sleeps set armed = 1 with full
 * barrier, look again, sleep on the TAP's file descriptor, edge-triggered.
 *
 * No wake-up is lost: the bit is set before armed is read on one side, armed
 * is set before the bits are read on the other, and all four are sequentially
 * consistent, so at least one side sees the other (Dekker). A summary bit that is found set after the
 * connection's bit was need not be set: who takes it later will see that bit. The doorbell frame
 * is never read from the TAP: a TAP whose queue is full still wakes its
 * waiters (native XDP redirection does; generic does not), and edge-triggered epoll reports each wake once in every epoll
 * instance that holds the descriptor, so several waiters share one TAP.
 */
struct toe_qp_wake {
	__u64 armed;
	__u64 pad[7];
	__u64 summary[TOE_QP_SUMMARY];	/* bit w: words[w] may be nonzero */
	__u64 words[TOE_QP_WORDS];	/* bit per HW_CONNID */
};

#endif
