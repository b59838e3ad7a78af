/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: is the segment one for the engine, and is it acceptable? */
#ifndef RX_CHECK_H
#define RX_CHECK_H

#include "rx.h"

enum rx_verdict {
	RX_GO,			/* process it */
	RX_DROP,
	RX_ACK,			/* answer with an acknowledgement, process nothing */
};

/* RFC 9293 3.10.7.4 first step, wide enough for what was sent before the last
 * acknowledgement left: such segments are duplicates, not errors. */
static __always_inline bool seg_in_window(const struct hw_conn *c, const struct seg *s)
{
	__u32 end = s->seq + s->len + !!(s->flags & TCP_FIN);

	return seq_geq(end, c->min.last_ack) && seq_leq(s->seq, c->min.rcv_adv);
}

/* RFC 5961 section 3: in the window, by the strict reading. */
static __always_inline bool rst_in_window(const struct hw_conn *c, const struct seg *s)
{
	return s->seq == c->min.rcv_nxt ||
	       (seq_after(s->seq, c->min.rcv_nxt) && seq_before(s->seq, c->min.rcv_adv));
}

/* It begins before rcv_nxt and ends behind it. */
static __always_inline bool seg_overlaps(const struct hw_conn *c, const struct seg *s)
{
	return seq_before(s->seq, c->min.rcv_nxt) && seq_after(s->seq + s->len, c->min.rcv_nxt);
}

/*
 * What the kernel's code is to handle: enum toe_why, 0 for a plain segment.
 * A FIN outside the window, or an IP option, is none of these: it is answered as any other
 * unacceptable segment is, so that who does not know the sequence numbers moves nothing. A SYN, and an RST that does not
 * name rcv_nxt, are challenged (RFC 5961 sections 3, 4).
 */
static __always_inline __u8 seg_unusual(const struct hw_conn *c, const struct seg *s)
{
	if (s->why && (seg_in_window(c, s) || seg_overlaps(c, s)))
		return s->why;
	if (!(s->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_URG)))
		return 0;
	if (s->flags & TCP_RST)
		return s->seq == c->min.rcv_nxt ? TOE_WHY_RST : 0;
	if (!seg_in_window(c, s) || (s->flags & TCP_SYN))
		return 0;
	return s->flags & TCP_FIN ? TOE_WHY_FIN : TOE_WHY_URG;
}

#define CHALLENGE_MS	192U	/* longer than any of these */

/* RFC 5961 section 7, and no endless exchange of acknowledgements between two
 * ends that disagree: such answers are 64 to 191 ms apart, by chance, so that nobody can count them. */
static __always_inline enum rx_verdict challenge(struct hw_conn *c, const struct seg *s,
						 __u32 now_ms)
{
	if (s->len && !(s->flags & (TCP_SYN | TCP_RST)))
		return RX_ACK;
	if (c->challenge_ms - now_ms - 1 < CHALLENGE_MS)	/* else long ago */
		return RX_DROP;
	c->challenge_ms = now_ms + 64 + (bpf_get_prandom_u32() & 127);
	return RX_ACK;
}

#define PAWS_SLACK	1	/* ms: as Linux, for senders whose CPUs disagree */

#define PAWS_IDLE_MS	(24U * 24 * 3600 * 1000)

/* RFC 7323 section 5.5: after such a silence the peer's clock may have turned over. */
static __always_inline bool paws_idle(const struct rx *r)
{
	return r->now.ms - r->clk->last_rx_ms >= PAWS_IDLE_MS;
}

/* RFC 7323 section 5.3 R1; ts_recent 0 is one that a rebuilt socket had not
 * heard yet. A segment without the option is let through, as the kernel does:
 * some stacks send keepalives so. */
static __always_inline bool paws_refuses(const struct hw_conn *c, const struct seg *s, const struct rx *r)
{
	return (c->min.opts & TOE_OPT_TS) && s->has_ts && c->min.ts_recent &&
	       seq_before(s->tsval + PAWS_SLACK, c->min.ts_recent) && !paws_idle(r);
}

/* RFC 7323 section 4.3 (2). */
static __always_inline void ts_update(struct hw_conn *c, const struct seg *s, const struct rx *r)
{
	if ((c->min.opts & TOE_OPT_TS) && s->has_ts && seq_leq(s->seq, c->min.last_ack) && seq_geq(s->ack, c->min.snd_una) &&
	    (seq_geq(s->tsval, c->min.ts_recent) || !c->min.ts_recent || paws_idle(r)))
		c->min.ts_recent = s->tsval;
}

/* RFC 5961 section 5.2 */
static __always_inline bool ack_acceptable(const struct hw_conn *c, const struct seg *s)
{
	return seq_leq(s->ack, c->min.snd_nxt) &&
	       seq_geq(s->ack, c->min.snd_una - c->min.snd_max_wnd);
}

/* RFC 2883 section 4: [seq, end), below rcv_nxt, came twice. One that waits to be told and touches it grows by it, as in Linux's
 * tcp_sack_extend(). */
__noinline int text_dsack(struct hw_conn *c, __u32 seq, __u32 end)
{
	struct hw_rec *r;

	if (!c || !(c->min.opts & TOE_OPT_SACK))
		return 0;
	r = rec_of(c);
	if (!r)
		return 0;
	if ((c->rec & TOE_REC_DSACK) && seq_leq(seq, r->dsack.end) && seq_leq(r->dsack.start, end) &&
	    seq_leq(r->dsack.end, c->min.rcv_nxt)) {
		seq = seq_min(seq, r->dsack.start);
		end = seq_max(end, r->dsack.end);
	}
	r->dsack.start = seq;
	r->dsack.end = end;
	c->rec |= TOE_REC_DSACK;
	return 0;
}

/* What came wholly before the window: as Linux's tcp_send_dupack(). */
static __always_inline void check_dup(struct hw_conn *c, const struct seg *s)
{
	if (s->len && seq_before(s->seq, c->min.rcv_nxt))
		text_dsack(c, s->seq, seq_min(s->seq + s->len, c->min.rcv_nxt));
}

/* Bytes that were promised and that the ring has no room for: the promise is the kernel's, whose buffer was larger than
 * any ring, and the kernel keeps it. */
static __always_inline bool seg_beyond_ring(const struct hw_conn *c, const struct seg *s, const struct rx *r)
{
	__u32 room = r->read + ring_size(c->rx);

	return s->len && seq_after(c->min.rcv_adv, room) && seq_after(s->seq + s->len, room) &&
	       seq_before(s->seq, c->min.rcv_adv);
}

static __always_inline enum rx_verdict rx_check(struct hw_conn *c, const struct seg *s,
						const struct rx *r)
{
	if (s->flags & TCP_RST) {
		count(RX_OUT_OF_WINDOW);
		return rst_in_window(c, s) ? challenge(c, s, r->now.ms) : RX_DROP;
	}
	if (paws_refuses(c, s, r)) {
		count(RX_PAWS);
		return challenge(c, s, r->now.ms);
	}
	if (!seg_in_window(c, s) || (s->flags & TCP_SYN)) {
		count(RX_OUT_OF_WINDOW);
		check_dup(c, s);
		return challenge(c, s, r->now.ms);
	}
	if (!(s->flags & TCP_ACK)) {
		count(RX_BAD_ACK);
		return RX_DROP;
	}
	if (!ack_acceptable(c, s)) {
		count(RX_BAD_ACK);
		return challenge(c, s, r->now.ms);
	}
	return RX_GO;
}

#endif
