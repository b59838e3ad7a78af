/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a connection needs only when segments are lost, reordered, or held out of
 * order, or when its congestion window grows. Value of mmapable array map hw_rec, index
 * HW_CONNID; written by the engines under hw_conn.lock. The in-order path does not touch it.
 */
#ifndef TOE_HW_REC_H
#define TOE_HW_REC_H

#include "toe/hw_conn.h"

/*
 * Sender. Everything in [snd_una, high_sack) is SACKed but for the holes, which are disjoint and
 * in no order, and those of the sieve; an empty one is free. [start, rxt) of a hole was sent again, the last time at since_us,
 * when snd_nxt was mark. Before that, since_us is when the hole appeared.
 */
struct toe_hole {
	__u32 start;
	__u32 end;
	__u32 rxt;
	__u32 mark;
	__u32 since_us;
};

/* One more hole, above all others, when those do not suffice: toe/sieve.h. Parts of it have arrived. */
struct toe_sieve {
	struct toe_hole hole;
	__u32 base;		/* byte of unit 0 */
	__u32 unit;		/* bytes */
	__u32 lost;		/* [start, lost) counts as lost, */
	__u32 soon;		/*   [lost, soon) when the reordering window after soon_us has passed */
	__u32 soon_us;
	__u32 end_us;		/* when end last moved */
	__u32 pad;
	__u64 came[TOE_SIEVE_BITS / 64];	/* bit: unit modulo TOE_SIEVE_BITS; of units outside of it: nothing */
};

enum toe_rec_flag {		/* hw_rec.flags */
	TOE_REC_UNDO = 1,	/* prior_* may be put back */
	TOE_REC_TLP_RTX = 2,	/* the tail loss probe was a retransmission */
	TOE_REC_REO = 4,	/* the path reorders: RFC 8985 reordering_seen */
	TOE_REC_RTX = 8,	/* sent something again in this episode */
};

struct hw_rec {
	struct toe_hole hole[TOE_NR_HOLES];
	struct toe_ival ooo[TOE_NR_OOO];	/* receiver; ooo[0]: the most recent, RFC 2018 section 4 */
	struct toe_ival dsack;	/* receiver: duplicate to be reported, RFC 2883 */
	__u32 high_sack;
	__u32 lost;		/* bit i: hole[i] counts as lost */
	__u32 prior_cwnd;	/* before the reduction of this episode */
	__u32 prior_ssthresh;
	__u32 undo_ts;		/* TSval of its first retransmission, RFC 3522 */
	__u32 rack_us;		/* when the last retransmission that arrived was sent */
	__u32 tlp_high;		/* RFC 8985 TLP.end_seq, if hw_conn.rec has TOE_REC_TLP */
	__u32 reo_round;	/* reo_mult grows once a round trip */
	__u16 undo_rtx;		/* retransmissions that no D-SACK has named yet */
	__u8 flags;		/* enum toe_rec_flag */
	__u8 reo_mult;		/* RFC 8985 reo_wnd_mult */
	/* HyStart++, RFC 9406 */
	__u32 hs_end;		/* of the round */
	__u32 hs_min_us;	/* least RTT of this round, of the last one */
	__u32 hs_last_us;
	__u32 hs_base_us;	/* in CSS: least RTT before it */
	__u8 hs_samples;
	__u8 hs_css;		/* rounds of CSS, 0: not in it */
	__u8 reo_persist;	/* recoveries until reo_mult is 1 again */
	__u8 open;		/* nonzero: there are holes; for the daemon */
	/* receiver: acknowledgements of out-of-order segments, bpf/rx_data.h */
	__u32 ooo_us;		/* when the last one came */
	__u32 ooo_nxt;		/* rcv_nxt of those that were acknowledged at once, */
	__u8 ooo_nr;		/*   and how many */
	__u8 ooo_turns;		/* since the last acknowledgement: another interval became the most recent */
	__u16 ooo_since;	/* us: when the oldest came that waits */
	__u32 ooo_run;		/* how many came one upon the other */
	/* RFC 6937, of this recovery, bytes */
	__u32 prr_flight;	/* RecoverFS: in flight and not SACKed when it began; not 0 */
	__u32 prr_rtx;		/* sent again since */
	__u32 prr_seen;		/* delivered since, as last looked at */
	__u32 prr_may;		/* may have been sent since */
	struct toe_sieve sieve;	/* the last, so that what is left of it need not be cleared */
};
_Static_assert(sizeof(struct hw_rec) == 1232, "hw_rec");

#endif
