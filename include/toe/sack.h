/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sender's scoreboard (RFC 6675 section 3, RFC 8985 section 6.2), kept as the holes between what the
 * peer has SACKed. Times are microseconds, wrapping. Pure; the caller holds the entry.
 *
 * RFC 8985 compares the times at which segments were sent. Here only retransmissions have one. Of what was
 * sent once, in order, it is enough to know since when something behind it is SACKed: that began at least
 * a round trip after it was sent, so it is lost once reo_wnd more has passed.
 */
#ifndef TOE_SACK_H
#define TOE_SACK_H

#include "toe/sieve.h"

struct sack_sum {		/* bytes */
	__u32 holes;
	__u32 pending;		/* lost, to be sent again */
	__u32 rtx;		/* sent again, on their way */
};

TOE_PURE int hole_empty(const struct toe_hole *h)
{
	return h->start == h->end;
}

TOE_PURE void sack_clear(struct hw_rec *r, __u32 una)
{
	for (int i = 0; i < TOE_NR_HOLES; i++)
		r->hole[i].end = r->hole[i].start;
	r->sieve.hole.end = r->sieve.hole.start;
	r->lost = 0;
	r->high_sack = una;
}

/*
 * [s, e) of a hole has arrived after all. RFC 8985 section 6.2 step 3: what was never sent again, though
 * something behind it came earlier, was reordered. Step 2: of retransmissions, when the latest was sent; not if the
 * answer is too early for it (min_rtt), then it was the original that came.
 */
TOE_PURE void sack_arrived(struct hw_rec *r, const struct toe_hole *h, __u32 e, __u32 now_us,
			   __u32 min_rtt_us)
{
	if (seq_after(e, h->rxt)) {
		r->flags |= TOE_REC_REO;
		return;
	}
	if (now_us - h->since_us >= min_rtt_us && seq_after(h->since_us, r->rack_us))
		r->rack_us = h->since_us;
}

/* Take [s, e), which does not lie strictly inside the hole, off it. */
TOE_PURE void hole_cut(struct toe_hole *h, __u32 s, __u32 e)
{
	if (seq_leq(s, h->start))
		h->start = seq_min(e, h->end);
	else
		h->end = s;
	if (seq_before(h->rxt, h->start))
		h->rxt = h->start;
	if (seq_after(h->rxt, h->end))
		h->rxt = h->end;
}

/* [s, e) lies strictly inside hole h: what is behind it goes to the free one n. */
TOE_PURE void hole_split(struct toe_hole *h, struct toe_hole *n, __u32 s, __u32 e)
{
	*n = *h;
	n->start = e;
	n->rxt = seq_max(h->rxt, e);
	h->end = s;
	h->rxt = seq_min(h->rxt, s);
}

/* Index of a free hole, -1: none. */
TOE_PURE int sack_room(const struct hw_rec *r)
{
	for (int i = 0; i < TOE_NR_HOLES; i++)
		if (hole_empty(&r->hole[i]))
			return i;
	return -1;
}

/* In the far part only the last of what was sent again is known to be that old. */
TOE_WALK int sack_far_una(struct hw_rec *r, __u32 una, __u32 now_us, __u32 min_rtt_us)
{
	struct toe_hole *h;
	__u32 at;

	if (!r)
		return 0;
	h = &r->sieve.hole;
	una = seq_min(una, h->end);
	if (sieve_gap(&r->sieve, h->rxt, una, &at) || (h->rxt != h->start && h->rxt == una))
		sack_arrived(r, h, una, now_us, min_rtt_us);
	sieve_cut(&r->sieve, una);
	return 0;
}

/* snd_una has moved: nothing but reordering can have kept a hole open that was not sent again. */
TOE_PURE void sack_una(struct hw_rec *r, __u32 una, __u32 now_us, __u32 min_rtt_us)
{
	for (int i = 0; i < TOE_NR_HOLES; i++) {
		struct toe_hole *h = &r->hole[i];

		if (hole_empty(h) || seq_leq(una, h->start))
			continue;
		sack_arrived(r, h, seq_min(una, h->end), now_us, min_rtt_us);
		hole_cut(h, h->start, una);
	}
	if (!sieve_empty(&r->sieve) && seq_after(una, r->sieve.hole.start))
		sack_far_una(r, una, now_us, min_rtt_us);
	r->high_sack = seq_max(r->high_sack, una);
}

/* Everything from high_sack to s is a hole, [s, e) is SACKed. 0, or -1: no hole is free, or the far part has begun. */
TOE_PURE int sack_above(struct hw_rec *r, int at, __u32 s, __u32 e, __u32 now_us)
{
	struct toe_hole *h;

	if (s != r->high_sack) {
		if (at < 0 || !sieve_empty(&r->sieve))
			return -1;
		h = &r->hole[at & (TOE_NR_HOLES - 1)];
		h->start = h->rxt = r->high_sack;
		h->end = s;
		h->mark = s;
		h->since_us = now_us;
		r->lost &= ~(1U << (at & (TOE_NR_HOLES - 1)));
	}
	r->high_sack = e;
	return 0;
}

/* The same in the far part. 0, or -1: it is not remembered. */
TOE_PURE int sack_far_above(struct hw_rec *r, __u32 s, __u32 e, __u32 now_us)
{
	if (sieve_extend(&r->sieve, r->high_sack, s, now_us))
		return -1;
	r->high_sack = e;
	return 0;
}

/* A hole is free again: it takes the first run of the far part. When that appeared, or was sent again, was not later than
 * what is noted. */
TOE_PURE void sack_refill(struct hw_rec *r)
{
	struct toe_sieve *v = &r->sieve;
	int at = sieve_empty(v) ? -1 : sack_room(r);
	struct toe_hole *h;
	__u32 len, s = v->hole.start;

	if (at < 0)
		return;
	len = sieve_gap(v, v->hole.start, v->hole.end, &s);
	if (len) {
		h = &r->hole[at & (TOE_NR_HOLES - 1)];
		*h = v->hole;
		h->start = s;
		h->end = s + len;
		h->rxt = seq_min(seq_max(h->rxt, h->start), h->end);
		if (h->rxt == h->start)
			h->since_us = v->end_us;
		r->lost &= ~(1U << (at & (TOE_NR_HOLES - 1)));
		if (seq_geq(v->lost, h->end))
			r->lost |= 1U << (at & (TOE_NR_HOLES - 1));
	}
	sieve_cut(v, s + len);
}

/* A SACK block, where there are holes. One that would split a hole when none is free is not remembered. Returns nonzero
 * if it told anything new. */
TOE_PURE int sack_near_block(struct hw_rec *r, __u32 s, __u32 e, __u32 now_us, __u32 min_rtt_us)
{
	__u32 high = r->high_sack;
	int at = toe_blur(sack_room(r), high), told = seq_after(e, high);

	if (told)
		sack_above(r, at, seq_max(s, high), e, now_us);
	if (seq_geq(s, high))
		return told;
	for (int i = 0; i < TOE_NR_HOLES; i++) {
		struct toe_hole *h = &r->hole[i];

		if (hole_empty(h) || seq_geq(s, h->end) || seq_leq(e, h->start))
			continue;
		if (seq_after(s, h->start) && seq_before(e, h->end)) {
			int n = at & (TOE_NR_HOLES - 1);

			if (at < 0)
				return told;
			sack_arrived(r, h, e, now_us, min_rtt_us);
			hole_split(h, &r->hole[n], s, e);
			r->lost = (r->lost & ~(1U << n)) | (r->lost >> i & 1) << n;
			return 1;
		}
		sack_arrived(r, h, seq_min(e, h->end), now_us, min_rtt_us);
		hole_cut(h, s, e);
		told = toe_blur(1, h->end);
	}
	return told;
}

/* Has the far part to do with a block whose holes have been looked at? */
TOE_PURE int sack_is_far(const struct hw_rec *r, __u32 e)
{
	return seq_after(e, r->high_sack) || (!sieve_empty(&r->sieve) && seq_after(e, r->sieve.hole.start));
}

/* The rest of it. One that leads too far from the first hole is not remembered. */
TOE_WALK int sack_far_block(struct hw_rec *r, __u32 s, __u32 e, __u32 now_us)
{
	__u32 end;

	if (!r)
		return 0;
	if (seq_after(e, r->high_sack))
		sack_far_above(r, seq_max(s, r->high_sack), e, now_us);
	end = sieve_block(&r->sieve, s, e);
	if (end == r->sieve.hole.start)
		return 0;
	if (seq_after(end, r->sieve.hole.rxt))
		r->flags |= TOE_REC_REO;
	sieve_cut(&r->sieve, r->sieve.hole.start);
	return 1;
}

/* A SACK block, checked to lie in (snd_una, snd_nxt]. Returns nonzero if it told anything new. */
TOE_PURE int sack_block(struct hw_rec *r, __u32 s, __u32 e, __u32 now_us, __u32 min_rtt_us)
{
	int told = sack_near_block(r, s, e, now_us, min_rtt_us);

	return sack_is_far(r, e) ? told | sack_far_block(r, s, e, now_us) : told;
}

/* RFC 8985 6.2 step 5, for one hole; wait_us: how long after the evidence. Returns nonzero if it is
 * newly found lost. */
TOE_PURE int hole_lost(struct hw_rec *r, int i, __u32 now_us, __u32 rtt_us, __u32 wait_us)
{
	struct toe_hole *h = &r->hole[i];
	__u32 age = now_us - h->since_us;

	if (!(r->lost & (1U << i))) {
		if (age < wait_us)
			return 0;
		r->lost |= 1U << i;
		return 1;
	}
	/* the retransmission too, if something sent later has arrived: at once, but where the path reorders */
	if (h->rxt != h->end || (wait_us && age < rtt_us + wait_us))
		return 0;
	if (!seq_after(r->high_sack, h->mark) && !seq_after(r->rack_us, h->since_us))
		return 0;
	h->rxt = h->start;
	return 1;
}

TOE_PURE void sack_mark_far(struct toe_sieve *v, struct sack_sum *sum, __u32 now_us, __u32 wait_us)
{
	__u32 rtx, pending;

	sieve_age(v, now_us, wait_us);
	rtx = sieve_missing(v, v->hole.start, v->hole.rxt);
	pending = sieve_missing(v, v->hole.rxt, v->lost);
	sum->rtx += rtx;
	sum->pending += pending;
	sum->holes += rtx + pending + sieve_missing(v, v->lost, v->hole.end);
}

/* Mark what is lost by now; sums over the holes. */
TOE_PURE int sack_mark(struct hw_rec *r, struct sack_sum *sum, __u32 now_us, __u32 rtt_us, __u32 wait_us)
{
	int found = 0;

	sum->holes = sum->pending = sum->rtx = 0;
	for (int i = 0; i < TOE_NR_HOLES; i++) {
		const struct toe_hole *h = &r->hole[i];

		if (hole_empty(h))
			continue;
		found = toe_blur(found | hole_lost(r, i, now_us, rtt_us, wait_us), h->end);
		sum->holes += h->end - h->start;
		sum->rtx += h->rxt - h->start;
		if (r->lost & (1U << i))
			sum->pending += h->end - h->rxt;
	}
	if (!sieve_empty(&r->sieve))
		sack_mark_far(&r->sieve, sum, now_us, wait_us);
	return found;
}

/* RFC 6675 NextSeg() rule 1: the first lost byte at or behind `from` that was not sent again. Its length
 * up to max; 0: there is none. */
TOE_WALK __u32 sack_next(const struct hw_rec *r, __u32 from, __u32 max, __u32 *seq)
{
	__u32 len = 0, first = from, far = 0, n = 0;

	if (!r || !seq)
		return 0;
	for (int i = 0; i < TOE_NR_HOLES; i++) {
		const struct toe_hole *h = &r->hole[i];
		__u32 at = seq_max(h->rxt, from);

		if (hole_empty(h) || !(r->lost & (1U << i)) || seq_geq(at, h->end))
			continue;
		if (len && seq_geq(at, first))
			continue;
		first = at;
		len = h->end - at;
	}
	if (!sieve_empty(&r->sieve))
		n = sieve_gap(&r->sieve, seq_max(r->sieve.hole.rxt, from), r->sieve.lost, &far);
	if (n && (!len || seq_before(far, first))) {
		first = far;
		len = n;
	}
	if (len)
		*seq = first;
	return len < max ? len : max;
}

TOE_PURE int sack_sent_far(struct toe_sieve *v, __u32 seq, __u32 len, __u32 snd_nxt, __u32 now_us)
{
	__u32 at = 0, n = sieve_gap(v, v->hole.rxt, v->lost, &at);

	if (at != seq || len > n || !n)
		return -1;
	v->hole.rxt = seq + len;
	v->hole.mark = snd_nxt;
	v->hole.since_us = now_us;
	return 0;
}

/* [seq, seq + len) leaves once more. 0, or -1: it is not what sack_next() would give. */
TOE_PURE int sack_sent(struct hw_rec *r, __u32 seq, __u32 len, __u32 snd_nxt, __u32 now_us)
{
	for (int i = 0; i < TOE_NR_HOLES; i++) {
		struct toe_hole *h = &r->hole[i];

		if (hole_empty(h) || h->rxt != seq || len > h->end - seq || !(r->lost & (1U << i)))
			continue;
		h->rxt = seq + len;
		h->mark = snd_nxt;
		h->since_us = now_us;
		return 0;
	}
	return sieve_empty(&r->sieve) ? -1 : sack_sent_far(&r->sieve, seq, len, snd_nxt, now_us);
}

/* One more lost hole [s, e): duplicate ACKs without SACK, or a partial ACK. */
TOE_PURE void sack_guess(struct hw_rec *r, __u32 s, __u32 e, __u32 now_us)
{
	sack_clear(r, s);
	r->hole[0] = (struct toe_hole){ .start = s, .end = e, .rxt = s, .mark = s, .since_us = now_us };
	r->lost = 1;
	r->high_sack = e;
}

/*
 * Timeout (RFC 6675 section 5.1): all that is not SACKed is lost, nothing of it sent again. A peer that SACKed
 * what follows snd_una but does not acknowledge it has reneged (RFC 2018 section 8): then nothing is believed.
 */
TOE_PURE void sack_timeout(struct hw_rec *r, __u32 una, __u32 nxt, __u32 now_us)
{
	struct toe_sieve *v = &r->sieve;
	int honest = r->high_sack == una || (!sieve_empty(v) && v->hole.start == una);

	for (int i = 0; i < TOE_NR_HOLES; i++) {
		struct toe_hole *h = &r->hole[i];

		if (hole_empty(h))
			continue;
		honest |= h->start == una;
		h->rxt = h->start;
	}
	if (!honest || (r->high_sack != nxt && sack_above(r, sack_room(r), nxt, nxt, now_us) &&
			sack_far_above(r, nxt, nxt, now_us))) {
		sack_guess(r, una, nxt, now_us);
		return;
	}
	v->hole.rxt = v->hole.start;
	v->lost = v->soon = v->hole.end;
	r->lost = ~0U;
}

#endif
