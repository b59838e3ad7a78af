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
		r->ev |= RX_EV_ACK_NOW;
}

static __always_inline void text_in_order(struct hw_conn *c, const struct text *t, struct rx *r)
{
	c->min.rcv_nxt = t->end;
	if (c->nr_ooo) {
		/* RFC 5681 4.2: at once when a gap is filled, in part or whole */
		c->min.rcv_nxt = ival_take(c->ooo, t->end);
		c->nr_ooo = ival_count(c->ooo);
		r->ev |= RX_EV_ACK_NOW;
	}
	r->ev |= RX_EV_DATA;
}

/* Returns 0, or -1: dropped, but an acknowledgement is due all the same. */
static __always_inline int text_place(struct xdp_md *ctx, struct hw_conn *c, const struct text *t)
{
	if (ring_put(ctx, c->rx, t->seq, t->off, t->end - t->seq)) {
		count(RX_BAD_RING);
		return -1;
	}
	return 0;
}

static __always_inline void text_out_of_order(struct hw_conn *c, const struct text *t)
{
	if (ival_add(c->ooo, t->seq, t->end)) {
		count(RX_OOO_FULL);
		return;
	}
	c->nr_ooo = ival_count(c->ooo);
	count(RX_OOO);
}

static __always_inline void rx_data(struct xdp_md *ctx, struct hw_conn *c, const struct seg *s,
				    struct rx *r)
{
	struct text t;

	if (!s->len)
		return;
	text_clip(c, s, r, &t);
	if (seq_geq(t.seq, t.end)) {
		count(RX_DUP);
		r->ev |= RX_EV_ACK_DUE | RX_EV_ACK_NOW;
		return;
	}
	if (text_place(ctx, c, &t)) {
		r->ev |= RX_EV_ACK_DUE | RX_EV_ACK_NOW;
		return;
	}
	r->clk->rx_bytes += t.end - t.seq;
	stat_add(TOE_ST_RX_BYTES, t.end - t.seq);
	if (t.seq != c->min.rcv_nxt) {
		text_out_of_order(c, &t);
		r->ev |= RX_EV_ACK_DUE | RX_EV_ACK_NOW;
		return;
	}
	text_in_order(c, &t, r);
	text_ack_policy(c, s->len, r);
	/* the window's edge is reached, or it is a partial duplicate */
	if (t.cut || t.seq != s->seq || t.end == c->min.rcv_adv)
		r->ev |= RX_EV_ACK_NOW;
	publish_rcv(c, r->ctl);
}

#endif
