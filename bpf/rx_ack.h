/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: the acknowledgement field (RFC 9293 3.10.7.4 fifth step). */
#ifndef RX_ACK_H
#define RX_ACK_H

#include "rx.h"

/* Returns true if the window changed. */
static __always_inline bool ack_window(struct min_tcp *m, const struct seg *s)
{
	__u32 wnd = (__u32)s->window << (m->snd_wscale & 15);
	bool changed;

	if (seq_before(s->ack, m->snd_una))
		return false;
	if (!seq_before(m->snd_wl1, s->seq) &&
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
static __always_inline void ack_rtt(struct hw_conn *c, const struct seg *s, const struct rx *r)
{
	__u32 ms;

	if (rtt_acked(c, r->now_ns / NS_PER_US))
		return;
	if (c->ca_state == TOE_CA_OPEN || c->rtt_start_us || !s->has_ts || !s->tsecr ||
	    !(c->min.opts & TOE_OPT_TS))
		return;
	ms = r->now_ms + c->min.ts_off - s->tsecr;
	if (ms <= RTT_MAX_US / 1000)
		rtt_sample(&c->min, ms * 1000);
}

static __always_inline void ack_new(struct hw_conn *c, const struct seg *s, struct rx *r)
{
	__u32 acked = s->ack - c->min.snd_una;

	c->min.snd_una = s->ack;
	c->backoff = 0;
	ack_rtt(c, s, r);
	if (cc_acked(c, acked))
		r->ev |= RX_EV_RTX;
	r->clk->rtx_since = c->min.snd_una == c->min.snd_nxt ? 0 : r->now_ns;
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

/* RFC 5681 section 2; with SACK, RFC 6675: new SACK information (not a D-SACK)
 * makes a duplicate whatever the window says. */
static __always_inline bool ack_is_dup(const struct hw_conn *c, const struct seg *s,
				       bool wnd_changed)
{
	if (s->ack != c->min.snd_una || c->min.snd_una == c->min.snd_nxt)
		return false;
	if (s->has_sack && (c->min.opts & TOE_OPT_SACK))
		return seq_after(s->sack_end, s->ack) && seq_leq(s->sack_end, c->min.snd_nxt);
	return !s->len && !wnd_changed;
}

static __always_inline void rx_ack(struct hw_conn *c, const struct seg *s, struct rx *r)
{
	__u32 old_una = c->min.snd_una, old_edge = cc_snd_edge(c);
	bool wnd_changed = ack_window(&c->min, s);

	if (seq_after(s->ack, c->min.snd_una)) {
		ack_new(c, s, r);
	} else if (ack_is_dup(c, s, wnd_changed)) {
		if (cc_dup(c)) {
			count(RX_FAST_RTX);
			r->ev |= RX_EV_RTX;
		}
	} else if (!wnd_changed) {
		return;
	}
	publish_snd(c, r->ctl, r->clk);
	publish_path(c, r->ctl);
	ack_wake(c, r, c->min.snd_una != old_una, seq_after(cc_snd_edge(c), old_edge));
}

#endif
