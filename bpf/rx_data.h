/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: the segment text (RFC 9293 3.10.7.4 seventh step). */
#ifndef RX_DATA_H
#define RX_DATA_H

#include "rx.h"

struct text {			/* what of the payload is new and fits */
	__u32 seq;
	__u32 end;
	__u32 off;		/* in the frame */
	__u32 cut;		/* bytes beyond the window */
};

/* Clip to [rcv_nxt, window edge). The edge is also held to the ring's real
 * size: see the rounding in toe/wnd.h. */
static __always_inline void text_clip(const struct hw_conn *c, const struct seg *s,
				      const struct rx *r, struct text *t)
{
	__u32 edge = seq_min(c->min.rcv_adv, r->read + ring_size(c->rx));

	t->seq = seq_max(s->seq, c->min.rcv_nxt);
	t->end = seq_min(s->seq + s->len, edge);
	t->off = s->l4_off + s->hdr_len + (t->seq - s->seq);
	t->cut = s->seq + s->len - t->end;
}

/* How much the application or the peer gains decides when to acknowledge:
 * RFC 5681 section 4.2 (every second full segment, at once out of order). */
static __always_inline void text_ack_policy(struct hw_conn *c, __u32 len, struct rx *r)
{
	if (len > c->min.rcv_mss)
		c->min.rcv_mss = len;
	if (len >= c->min.rcv_mss && c->unacked_segs < 255)
		c->unacked_segs++;
	r->ev |= RX_EV_ACK_DUE;
	if (c->unacked_segs >= 2 || c->min.rcv_nxt - c->min.last_ack >= 2U * c->min.rcv_mss)
		r->ev |= RX_EV_ACK_NOW | RX_EV_STRETCH;
}

/* rcv_nxt reaches nxt: beyond it over what arrived before. Global: rare. */
__noinline int text_take(struct hw_conn *c, __u32 nxt)
{
	struct hw_rec *r;
	__u32 from;

	if (!c)
		return 0;
	from = c->min.rcv_nxt;
	c->min.rcv_nxt = nxt;
	r = rec_of(c);
	if (!r)
		return 0;
	if ((c->min.opts & TOE_OPT_SACK) && ival_common(r->ooo, from, nxt, &r->dsack))
		c->rec |= TOE_REC_DSACK;
	c->min.rcv_nxt = ival_take(r->ooo, nxt);
	c->nr_ooo = ival_count(r->ooo);
	return 0;
}

/* Will another interval be the most recent one? Apart from text_keep(), whose loops the verifier would follow for either answer. */
__noinline int text_turn(struct hw_conn *c, __u32 seq, __u32 end)
{
	struct hw_rec *r = c ? rec_of(c) : NULL;

	return r && !ival_meets(&r->ooo[0], seq, end);
}

/* 0, or -1: no interval is free. */
__noinline int text_keep(struct hw_conn *c, __u32 seq, __u32 end)
{
	struct hw_rec *r;
	int err;

	if (!c)
		return -1;
	r = rec_of(c);
	if (!r)
		return -1;
	if ((c->min.opts & TOE_OPT_SACK) && ival_common(r->ooo, seq, end, &r->dsack))
		c->rec |= TOE_REC_DSACK;
	err = ival_add(r->ooo, seq, end);
	c->nr_ooo = ival_count(r->ooo);
	return err;
}

static __always_inline void text_in_order(struct hw_conn *c, const struct text *t, struct rx *r)
{
	if (c->nr_ooo) {
		/* RFC 5681 4.2: at once when a gap is filled, in part or whole */
		text_take(c, t->end);
		r->ev |= RX_EV_ACK_NOW;
	} else {
		c->min.rcv_nxt = t->end;
	}
	r->ev |= RX_EV_DATA;
}

/* An empty ring starts over: what was used last is in the caches. The library has read up to rcv_nxt, so it looks at no byte
 * before this one is published. */
static __always_inline __u32 text_base(const struct hw_conn *c, const struct rx *r)
{
	if (r->read == c->min.rcv_nxt && !c->nr_ooo)
		return r->read;
	return ring_near(ring_size(c->rx), r->ctl->rx_base, r->read);
}

/* Global: as ring_copy() has many ways. */
__noinline int text_copy(struct xdp_md *ctx, struct toe_ring_ref *rx, struct ring_page *page, __u64 off_len, __u32 at_frame)
{
	return rx && page ? ring_copy(ctx, rx, ring_hot_rx(page), off_len, at_frame, RING_PUT) : -1;
}

/* Returns 0, or -1: dropped, but an acknowledgement is due all the same. */
static __always_inline int text_place(struct xdp_md *ctx, struct hw_conn *c, const struct text *t, const struct rx *r)
{
	__u32 base = text_base(c, r);
	__u64 off = ring_off(ring_size(c->rx), base, t->seq);

	PUT(r->ctl->rx_base, base);
	if (text_copy(ctx, &c->rx, (void *)r->ctl, off << 32 | (t->end - t->seq), t->off)) {
		count(RX_BAD_RING);
		return -1;
	}
	return 0;
}

/*
 * Acknowledgements of out-of-order segments: each at once (RFC 5681 4.2), but where many come one upon the other behind a hole,
 * one stands for several, as in Linux (tcp_comp_sack_*). Else a path that reorders gets an acknowledgement for each segment, and the
 * sender's HyStart takes their unbroken train for the end of slow start. There is no timer: what comes next looks at the time, and the
 * daemon's tick takes the last ones. So only in a rush that has lasted, which a small window's few segments never do (a sender of few
 * needs each acknowledgement, now), and where a round trip is much longer than that.
 */
#define SACK_AT_ONCE	3U	/* behind the same hole: the duplicates that a sender counts */
#define SACK_SEGS	44U	/* tcp_comp_sack_nr */
#define SACK_MAX_US	1000U	/* tcp_comp_sack_delay_ns; and not more than 5 % of a round trip */
#define SACK_MIN_US	200U
#define SACK_DENSE	8U	/* so many in that time: a rush, */
#define SACK_RUSH	32U	/*   once there were so many */
#define SACK_TURNS	2U	/* what has grown since the last acknowledgement fits its three blocks */

/* How many came one upon the other: a short gap, as between the batches that a NIC hands over, halves it. */
static __always_inline __u32 sack_rush(__u32 run, __u32 apart_us, __u32 delay_us)
{
	if (apart_us < delay_us / SACK_DENSE)
		return run < 4 * SACK_RUSH ? run + 1 : run;
	return apart_us < delay_us ? run / 2 : 0;
}

/* May this one's wait? turn: of text_turn(). Global: rare. */
__noinline int text_waits(struct hw_conn *c, __u32 turn, __u32 now_us)
{
	__u32 delay, apart;
	struct hw_rec *r;

	if (!c || !(c->min.opts & TOE_OPT_SACK) || c->rec & TOE_REC_DSACK)
		return 0;
	r = rec_of(c);
	if (!r)
		return 0;
	apart = now_us - r->ooo_us;
	r->ooo_us = now_us;
	if (r->ooo_nxt != c->min.rcv_nxt)
		r->ooo_nr = 0;
	r->ooo_nxt = c->min.rcv_nxt;
	if (!c->unacked_segs) {
		r->ooo_turns = 0;
		r->ooo_since = now_us;
	}
	r->ooo_turns += turn;
	delay = c->min.srtt_us / 20;
	if (delay > SACK_MAX_US)
		delay = SACK_MAX_US;
	if (c->unacked_segs < 255)
		c->unacked_segs++;
	r->ooo_run = sack_rush(r->ooo_run, apart, delay);
	if (r->ooo_nr < SACK_AT_ONCE) {
		r->ooo_nr++;
		return 0;
	}
	return delay >= SACK_MIN_US && r->ooo_run >= SACK_RUSH && apart < delay / SACK_DENSE &&
	       (__u16)(now_us - r->ooo_since) < delay &&
	       c->unacked_segs < SACK_SEGS && r->ooo_turns < SACK_TURNS;
}

/* Events. Global: the verifier of Linux 6.1 would follow what is decided here to the end of the program. */
__noinline int text_out_of_order(struct hw_conn *c, __u32 seq, __u32 end)
{
	int turn = text_turn(c, seq, end);

	if (text_keep(c, seq, end)) {
		count(RX_OOO_FULL);
		return RX_EV_ACK_DUE | RX_EV_ACK_NOW;
	}
	count(RX_OOO);
	if (text_waits(c, turn, bpf_ktime_get_ns() / NS_PER_US))
		return RX_EV_ACK_DUE | RX_EV_SACK;
	return RX_EV_ACK_DUE | RX_EV_ACK_NOW;
}

/*
 * RFC 3168 6.1.3: CE is echoed until CWR comes, and the sender is to know soon. RFC 8257 3.2: with DCTCP every
 * acknowledgement tells of its own segments, and a change is told at once. (An acknowledgement put off
 * before the change, of one segment, is told with it: one frame answers one frame.)
 */
static __always_inline void rx_ecn(struct hw_conn *c, const struct seg *s, struct rx *r)
{
	__u8 old = c->ecn;

	if (!s->len)
		return;
	if (c->cc_alg == TOE_CC_DCTCP) {
		c->ecn = (old & ~TOE_ECN_ECHO) | (s->ecn == ECN_CE ? TOE_ECN_ECHO : 0);
	} else {
		if (s->flags & TCP_CWR)
			c->ecn &= ~TOE_ECN_ECHO;
		if (s->ecn == ECN_CE)
			c->ecn |= TOE_ECN_ECHO;
	}
	if (c->ecn != old)
		r->ev |= RX_EV_ACK_DUE | RX_EV_ACK_NOW;
}

static __always_inline void rx_data(struct xdp_md *ctx, struct hw_conn *c, const struct seg *s,
				    struct rx *r)
{
	struct text t;
	bool filled;

	if (!s->len)
		return;
	text_clip(c, s, r, &t);
	if (seq_before(s->seq, c->min.rcv_nxt))
		text_dsack(c, s->seq, seq_min(s->seq + s->len, c->min.rcv_nxt));
	if (seq_geq(t.seq, t.end)) {
		count(RX_DUP);
		r->ev |= RX_EV_ACK_DUE | RX_EV_ACK_NOW;
		return;
	}
	if (text_place(ctx, c, &t, r)) {
		r->ev |= RX_EV_ACK_DUE | RX_EV_ACK_NOW;
		return;
	}
	r->clk->rx_bytes += t.end - t.seq;
	stat_add(TOE_ST_RX_BYTES, t.end - t.seq);
	if (t.seq != c->min.rcv_nxt) {
		r->ev |= text_out_of_order(c, t.seq, t.end);
		return;
	}
	filled = c->nr_ooo;
	text_in_order(c, &t, r);
	text_ack_policy(c, s->len, r);
	if (filled)
		r->ev &= ~RX_EV_STRETCH;
	/* the window's edge is reached, or it is a partial duplicate */
	if (t.cut || t.seq != s->seq || t.end == c->min.rcv_adv)
		r->ev = (r->ev | RX_EV_ACK_NOW) & ~RX_EV_STRETCH;
	publish_rcv(c, r->ctl);
}

#endif
