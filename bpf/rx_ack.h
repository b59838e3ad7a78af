/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: the acknowledgement field (RFC 9293 3.10.7.4 fifth step). */
#ifndef RX_ACK_H
#define RX_ACK_H

#include "rx.h"
#include "toe/rec.h"

/* Returns true if the window changed. */
static __always_inline bool ack_window(struct min_tcp *m, const struct seg *s)
{
	__u32 wnd = (__u32)s->window << (m->snd_wscale & 15);
	bool changed;

	if (seq_before(s->ack, m->snd_una))
		return false;
	/* as Linux's tcp_may_update_window(): what acknowledges new data is newer, also in a retransmission */
	if (!seq_after(s->ack, m->snd_una) && !seq_before(m->snd_wl1, s->seq) &&
	    !(m->snd_wl1 == s->seq && seq_leq(m->snd_wl2, s->ack)))
		return false;
	changed = wnd != m->snd_wnd;
	m->snd_wnd = wnd;
	m->snd_wl1 = s->seq;
	m->snd_wl2 = s->ack;
	if (wnd > m->snd_max_wnd)
		m->snd_max_wnd = wnd;
	return changed;
}

/* RFC 6298 from the timed segment; after a retransmission, when there is none,
 * from TSecr (RFC 7323 section 4.1), which tells the copies apart. */
static __always_inline void ack_rtt(struct hw_conn *c, const struct seg *s, struct rx *r)
{
	__u32 ms;

	if (rtt_ends(c)) {
		rtt_acked(c, now_us(&r->now));
		return;
	}
	if ((c->ca_state == TOE_CA_OPEN && !c->rec) || c->rtt_start_us || !s->has_ts || !s->tsecr ||
	    !(c->min.opts & TOE_OPT_TS))
		return;
	now_us(&r->now);
	ms = r->now.ms + c->min.ts_off - s->tsecr;
	if (ms <= RTT_MAX_US / 1000)
		rtt_sample(&c->min, ms ? ms * 1000 : 1000);	/* the clock shows no less, as in Linux's tcp_rtt_tsopt_us() */
}

struct ack {			/* an acknowledgement that is not one of the plain kind */
	struct rec_ack a;
	__u32 sack_off;
	__u32 nr_sack;
};

/* RFC 2883 section 4, as Linux's tcp_check_dsack(): below the acknowledgement, or inside the next block. */
static __always_inline bool ack_dsack(const struct hw_conn *c, const struct toe_ival b[2], __u32 nr)
{
	__u32 s = b[0].start, e = b[0].end;

	if (!seq_before(s, e) || seq_before(s, c->min.snd_una - c->min.snd_max_wnd - (1U << 20)))
		return false;
	return seq_leq(e, c->min.snd_una) ||
	       (nr > 1 && seq_geq(s, b[1].start) && seq_leq(e, b[1].end));
}

static __always_inline int ack_block(struct xdp_md *ctx, __u32 off, struct toe_ival *b)
{
	__u32 *w = (void *)(long)ctx->data + (off & 0x3ff);

	if (off > 0x3ff || (void *)(w + 2) > (void *)(long)ctx->data_end)
		return -1;
	b->start = bpf_ntohl(w[0]);
	b->end = bpf_ntohl(w[1]);
	return 0;
}

/* Global, so that the verifier walks the scoreboard once for all blocks. */
__noinline int ack_one(struct hw_rec *r, struct toe_ival *b, __u32 now_us, __u32 min_rtt_us)
{
	return r && b ? sack_near_block(r, b->start, b->end, now_us, min_rtt_us) : 0;
}

static __always_inline void ack_sack(struct xdp_md *ctx, struct hw_conn *c, struct hw_rec *r,
				     struct ack *k)
{
	struct toe_ival b[2] = {};
	__u32 from = 0;

	if (ack_block(ctx, k->sack_off, &b[0]))
		return;
	if (k->nr_sack > 1)
		ack_block(ctx, k->sack_off + 8, &b[1]);
	if (ack_dsack(c, b, k->nr_sack)) {
		k->a.dsack = 1;
		k->a.dsack_end = b[0].end;
		from = 1;
	}
	for (__u32 i = from; i < 4 && i < k->nr_sack; i++) {
		if (ack_block(ctx, k->sack_off + 8 * i, &b[0]))
			break;
		b[0].start = seq_max(b[0].start, c->min.snd_una);
		if (!seq_before(b[0].start, b[0].end) || seq_after(b[0].end, c->min.snd_nxt))
			continue;
		k->a.told |= ack_one(r, &b[0], k->a.now_us, c->min.min_rtt_us);
		if (sack_is_far(r, b[0].end))
			k->a.told |= sack_far_block(r, b[0].start, b[0].end, k->a.now_us);
	}
}

/* What an acknowledgement tells of the scoreboard; snd_una has moved. Calls nest four deep at most: 512 bytes of stack in
 * all are allowed, so its consequences are a function beside it. */
__noinline int ack_told(struct xdp_md *ctx, struct hw_conn *c, struct ack *k)
{
	struct hw_rec *r;

	if (!c || !k)
		return 0;
	r = rec_of(c);
	if (!r)
		return 0;
	rec_begin(c, r, &k->a);
	if (k->nr_sack && (c->min.opts & TOE_OPT_SACK))
		ack_sack(ctx, c, r, k);
	return 0;
}

/* And what follows. Returns nonzero if bytes are to be sent again now. */
__noinline int ack_recover(struct hw_conn *c, struct rec_ack *a)
{
	struct hw_rec *r = c ? rec_of(c) : NULL;

	return r && a ? rec_acked(c, r, a) : 0;
}

/* Of data that cwnd had held back. */
__noinline int ack_grow(struct hw_conn *c, struct rec_ack *a)
{
	struct hw_rec *r;

	if (!c || !a)
		return 0;
	r = rec_of(c);
	if (r)
		rec_grow(c, r, a);
	return 0;
}

static __always_inline __u32 ack_ts_rtt(const struct hw_conn *c, const struct seg *s, const struct rx *r)
{
	__u32 ms = r->now.ms + c->min.ts_off - s->tsecr;

	return s->has_ts && s->tsecr && ms <= RTT_MAX_US / 1000 ? ms * 1000 : ~0U;
}

static __always_inline void ack_advance(struct hw_conn *c, const struct seg *s, struct rx *r)
{
	c->min.snd_una = s->ack;
	c->backoff = 0;
	ack_rtt(c, s, r);
	if (c->min.snd_una == c->min.snd_nxt) {
		r->clk->rtx_since = 0;
		return;
	}
	now_us(&r->now);
	r->clk->rtx_since = r->now.ns;
}

/* Is loss recovery to look at it? */
static __always_inline bool ack_special(const struct hw_conn *c, const struct seg *s, bool dup)
{
	return s->nr_sack || c->rec & ~TOE_REC_DSACK || c->ca_state || c->dupacks || dup ||
	       c->cc_alg == TOE_CC_DCTCP || ((s->flags & TCP_ECE) && (c->min.opts & TOE_OPT_ECN));
}

static __always_inline void ack_react(struct xdp_md *ctx, struct hw_conn *c, const struct seg *s,
				      struct rx *r, __u32 acked, bool dup)
{
	bool special = ack_special(c, s, dup);
	struct ack k = {};

	if (!special && !cc_limited(c, acked))
		return;
	now_us(&r->now);	/* for both times: an initializer has no order */
	k.a = (struct rec_ack){ .acked = acked, .now_us = now_us(&r->now), .dup = dup,
				.tsecr = s->has_ts ? s->tsecr : 0, .rtt_us = ack_ts_rtt(c, s, r),
				.ece = (s->flags & TCP_ECE) && (c->min.opts & TOE_OPT_ECN) };
	k.sack_off = s->sack_off;
	k.nr_sack = s->nr_sack;
	if (!special) {
		ack_grow(c, &k.a);
		return;
	}
	ack_told(ctx, c, &k);
	if (ack_recover(c, &k.a)) {
		count(RX_FAST_RTX);
		r->ev |= RX_EV_RTX;
	}
}

/*
 * Who is to be told of room and window. A writer says want_write or moves
 * tx_filled and then looks at snd_una and snd_edge; here those are published and
 * then, behind the full barrier of a fetching atomic, its words are read: at
 * least one side sees the other.
 */
static __always_inline void ack_wake(const struct hw_conn *c, struct rx *r, bool advanced, bool opened)
{
	__u32 want = __sync_fetch_and_add(&r->ctl->want_write, 0);

	if (want && advanced)
		r->ev |= RX_EV_SPACE;
	if (!ring_unsent(c, r->ctl))
		return;
	if (advanced)
		r->ev |= RX_EV_SPACE;
	if (opened && seq_after(cc_snd_edge(c), c->min.snd_nxt))
		r->ev |= RX_EV_SPACE | RX_EV_PUMP;
}

/* RFC 5681 section 2. */
static __always_inline bool ack_is_dup(const struct hw_conn *c, const struct seg *s,
				       bool wnd_changed)
{
	return s->ack == c->min.snd_una && c->min.snd_una != c->min.snd_nxt && !s->len && !wnd_changed;
}

static __always_inline void rx_ack(struct xdp_md *ctx, struct hw_conn *c, const struct seg *s,
				   struct rx *r)
{
	__u32 old_una = c->min.snd_una, old_edge = cc_snd_edge(c);
	bool wnd_changed = ack_window(&c->min, s), dup = ack_is_dup(c, s, wnd_changed);
	bool advanced = seq_after(s->ack, old_una);

	if (advanced)
		ack_advance(c, s, r);
	else if (!wnd_changed && !dup && !(s->nr_sack && s->ack == old_una))
		return;
	if (advanced || dup || (s->nr_sack && s->ack == old_una))
		ack_react(ctx, c, s, r, c->min.snd_una - old_una, dup);
	publish_snd(c, r->ctl, r->clk);
	publish_path(c, r->ctl);
	ack_wake(c, r, advanced, seq_after(cc_snd_edge(c), old_edge));
}

#endif
