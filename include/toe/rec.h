/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sender's loss recovery: RFC 6675, RFC 8985 and RFC 6937 with SACK, RFC 6582 without, undo (RFC 3522,
 * RFC 3708). Pure; the caller holds the entry.
 *
 * hw_conn.sacked is what has left the network of the bytes in flight. Lost bytes that wait to be sent again
 * count as in flight, so new data may leave while flight - sacked < cwnd, and retransmissions
 * while flight - sacked - pending < cwnd: RFC 6675's pipe, with retransmissions first.
 */
#ifndef TOE_REC_H
#define TOE_REC_H

#include "toe/cc.h"
#include "toe/sack.h"

#define REC_DUPTHRESH	3U	/* RFC 5681 section 3.2 */
#define REC_NO_RTT_US	5000U	/* reo_wnd of a path that nothing is known of */
#define REC_PERSIST	16	/* RFC 8985 section 6.2 step 4 */

struct rec_ack {		/* an acknowledgement that arrived */
	__u32 acked;		/* bytes that snd_una moved */
	__u32 now_us;
	__u32 rtt_us;		/* from TSecr, ~0: none */
	__u32 tsecr;		/* 0: none */
	__u32 dsack_end;	/* if dsack */
	__u8 dup;		/* RFC 5681 duplicate */
	__u8 told;		/* SACK blocks with something new */
	__u8 dsack;		/* the first block was a D-SACK, RFC 2883 section 4 */
	__u8 ece;
};

TOE_PURE int rec_sack(const struct hw_conn *c)
{
	return c->min.opts & TOE_OPT_SACK;
}

/* RFC 8985 6.2 step 4: RACK_reo_wnd */
TOE_PURE __u32 rec_reo_wnd(const struct hw_conn *c, const struct hw_rec *r)
{
	__u32 srtt = c->min.srtt_us, wnd = c->min.min_rtt_us;

	if (!(r->flags & TOE_REC_REO) &&
	    (c->ca_state == TOE_CA_RECOVERY || c->ca_state == TOE_CA_LOSS ||
	     c->dupacks >= REC_DUPTHRESH || c->sacked > (REC_DUPTHRESH - 1) * c->min.snd_mss))
		return 0;
	if (!srtt)
		return REC_NO_RTT_US;
	if (wnd > srtt)
		wnd = srtt;
	wnd = wnd / 4 * (r->reo_mult ? r->reo_mult : 1);
	return wnd < srtt ? wnd : srtt;
}

/* There is no scoreboard: it would begin here. */
TOE_PURE void rec_fresh(const struct hw_conn *c, struct hw_rec *r)
{
	if (c->rec & TOE_REC_BOARD)
		return;
	r->high_sack = c->min.snd_una;
	r->sieve.unit = c->min.snd_mss;
}

/* A new episode begins: what an undo puts back. */
TOE_PURE void rec_enter(struct hw_conn *c, struct hw_rec *r, enum toe_ca state, __u32 now_us)
{
	r->prior_cwnd = c->min.cwnd;
	r->prior_ssthresh = c->min.ssthresh;
	r->undo_ts = 0;
	r->undo_rtx = 0;
	r->rack_us = now_us;
	r->flags = (r->flags & TOE_REC_REO) | TOE_REC_UNDO;
	c->recover = c->min.snd_nxt;
	c->ca_state = state;
	if (c->min.opts & TOE_OPT_ECN)
		c->ecn |= TOE_ECN_CWR;	/* RFC 3168 6.1.2: whatever the reason */
}

TOE_PURE void rec_recovery(struct hw_conn *c, struct hw_rec *r, __u32 now_us)
{
	__u8 reduced = c->ca_state == TOE_CA_CWR;

	rec_enter(c, r, TOE_CA_RECOVERY, now_us);
	r->prr_flight = cc_flight(c) - c->sacked + c->min.snd_mss;	/* a segment's SACK was the last straw */
	r->prr_rtx = r->prr_seen = r->prr_may = 0;
	if (reduced)		/* once a round trip */
		return;
	c->min.ssthresh = cc_alg_lost(c, r, 0);
	c->min.cwnd = c->min.ssthresh;
}

/* A reduction without anything to send again, at most once a round trip. ecn: RFC 3168 6.1.2. */
TOE_PURE void rec_reduce(struct hw_conn *c, struct hw_rec *r, __u8 ecn, __u32 now_us)
{
	if (c->ca_state != TOE_CA_OPEN)
		return;
	rec_enter(c, r, TOE_CA_CWR, now_us);
	r->flags &= ~TOE_REC_UNDO;
	c->min.ssthresh = cc_alg_lost(c, r, ecn);
	c->min.cwnd = c->min.ssthresh;
}

/* What was sent again had not been lost: RFC 3522, RFC 4015 for the windows. */
TOE_PURE void rec_undo(struct hw_conn *c, struct hw_rec *r)
{
	c->min.cwnd = cc_at_least(c->min.cwnd, r->prior_cwnd);
	c->min.ssthresh = cc_at_least(c->min.ssthresh, r->prior_ssthresh);
	if (c->ca_state == TOE_CA_LOSS || !rec_sack(c)) {
		sack_clear(r, c->min.snd_una);
		c->sacked = 0;
	}
	r->lost = 0;
	r->sieve.lost = r->sieve.soon = r->sieve.hole.rxt;
	r->flags = (r->flags & ~(TOE_REC_UNDO | TOE_REC_RTX)) | TOE_REC_REO;
	c->ca_state = TOE_CA_OPEN;
	c->recover = c->min.snd_una;
	c->dupacks = 0;
}

/* RFC 3522 step 5: the acknowledgement answers what was sent before the first retransmission. */
TOE_PURE int rec_eifel(const struct hw_rec *r, const struct rec_ack *a)
{
	return (r->flags & TOE_REC_UNDO) && (r->flags & TOE_REC_RTX) && a->tsecr && r->undo_ts &&
	       seq_before(a->tsecr, r->undo_ts);
}

/* All that was in flight when the episode began is acknowledged. An undo by D-SACK is still possible
 * for a round trip. */
TOE_PURE void rec_leave(struct hw_conn *c, struct hw_rec *r)
{
	__u32 mss = c->min.snd_mss, flight = cc_flight(c), room = cc_at_least(flight, mss) + mss;

	if (c->ca_state == TOE_CA_RECOVERY)
		c->min.cwnd = !rec_sack(c) && room < c->min.ssthresh ? room : c->min.ssthresh;
	if (!rec_sack(c)) {	/* RFC 6582 3.2 step 1 keeps recover */
		c->sacked = 0;
		sack_clear(r, c->min.snd_una);
	} else {
		c->recover = c->min.snd_nxt;
	}
	if (r->reo_persist && !--r->reo_persist)
		r->reo_mult = 1;
	c->ca_state = TOE_CA_OPEN;
}

/* RFC 6582 3.2 step 3, partial acknowledgement: the next segment is lost too. */
TOE_PURE void rec_partial(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	__u32 mss = c->min.snd_mss, flight = cc_flight(c);

	c->sacked = c->sacked > a->acked ? c->sacked - a->acked : 0;
	if (a->acked >= mss)
		c->sacked += mss;
	if (c->sacked > flight)
		c->sacked = flight;
	sack_guess(r, c->min.snd_una, c->min.snd_una + (flight < mss ? flight : mss), a->now_us);
}

/* RFC 8985 section 7.4.2 */
TOE_PURE void rec_tlp(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	if (seq_before(c->min.snd_una, r->tlp_high))
		return;
	if (!(r->flags & TOE_REC_TLP_RTX) || (a->dsack && a->dsack_end == r->tlp_high) ||
	    (a->dup && !a->told && c->min.snd_una == r->tlp_high)) {
		c->rec &= ~TOE_REC_TLP;
		return;
	}
	if (c->min.snd_una == r->tlp_high)
		return;
	c->rec &= ~TOE_REC_TLP;
	rec_reduce(c, r, 0, a->now_us);	/* the probe has repaired a loss */
}

TOE_PURE void rec_grow(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	struct cc_ack g = { .acked = a->acked, .now_us = a->now_us, .rtt_us = a->rtt_us, .ece = a->ece };

	g.limited = cc_limited(c, a->acked) || c->ca_state == TOE_CA_LOSS;
	if (c->ca_state == TOE_CA_OPEN || c->ca_state == TOE_CA_LOSS || c->cc_alg == TOE_CC_DCTCP)
		cc_alg_acked(c, r, &g);
}

/* Before the SACK blocks of an acknowledgement are looked at; snd_una has moved already. */
TOE_PURE void rec_begin(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	__u8 reo = r->flags & TOE_REC_REO;

	if (seq_before(c->recover, c->min.snd_una - a->acked) || seq_after(c->recover, c->min.snd_nxt))
		c->recover = c->min.snd_una;	/* not kept while all is well */
	rec_fresh(c, r);
	if (c->rec & TOE_REC_BOARD && a->acked)
		sack_una(r, c->min.snd_una, a->now_us, c->min.min_rtt_us);
	if (c->ca_state == TOE_CA_LOSS)	/* the holes of a timeout are a guess: no evidence of reordering */
		r->flags = (r->flags & ~TOE_REC_REO) | reo;
}

/* snd_una has moved. */
TOE_PURE void rec_una(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	__u8 state = c->ca_state;

	c->dupacks = 0;
	if ((state == TOE_CA_OPEN || state == TOE_CA_CWR) && !rec_sack(c))
		c->sacked = 0;
	if (state == TOE_CA_RECOVERY || state == TOE_CA_LOSS) {
		if (rec_eifel(r, a))
			rec_undo(c, r);
		else if (seq_geq(c->min.snd_una, c->recover))
			rec_leave(c, r);
		else if (state == TOE_CA_RECOVERY && !rec_sack(c))
			rec_partial(c, r, a);
	} else if (seq_geq(c->min.snd_una, c->recover)) {
		c->recover = c->min.snd_una;	/* near snd_una: comparisons never wrap */
		c->ca_state = TOE_CA_OPEN;
		r->flags &= ~TOE_REC_UNDO;
	}
	if (state != TOE_CA_RECOVERY)
		rec_grow(c, r, a);
}

/* A duplicate acknowledgement on a connection without SACK: RFC 5681 3.2, RFC 3042, RFC 6582 3.2. */
TOE_PURE void rec_dup(struct hw_conn *c, struct hw_rec *r, __u32 now_us)
{
	__u32 mss = c->min.snd_mss, flight = cc_flight(c), una = c->min.snd_una;

	if (c->dupacks < 255)
		c->dupacks++;
	if (c->ca_state == TOE_CA_LOSS)
		return;
	if (c->ca_state == TOE_CA_RECOVERY) {
		c->sacked += mss;
	} else if (c->dupacks < REC_DUPTHRESH) {
		c->sacked = c->dupacks * mss;
	} else if (c->dupacks == REC_DUPTHRESH && seq_geq(una, c->recover)) {
		c->sacked = REC_DUPTHRESH * mss;
		sack_guess(r, una, una + (flight < mss ? flight : mss), now_us);
		rec_recovery(c, r, now_us);
	}
	if (c->sacked > flight)
		c->sacked = flight;
}

/* RFC 3708 3.3: every retransmission was answered by a D-SACK. RFC 8985 6.2 step 4: reo_wnd_mult. */
TOE_PURE void rec_dsack(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	if ((c->rec & TOE_REC_TLP) && a->dsack_end == r->tlp_high)
		return;
	if (seq_geq(c->min.snd_una, r->reo_round) || seq_after(r->reo_round, c->min.snd_nxt)) {
		r->reo_round = c->min.snd_nxt;
		r->reo_persist = REC_PERSIST;
		if (r->reo_mult < 255)
			r->reo_mult += r->reo_mult ? 1 : 2;
	}
	if (!(r->flags & TOE_REC_RTX) || !r->undo_rtx)
		return;
	if (--r->undo_rtx == 0 && (r->flags & TOE_REC_UNDO))
		rec_undo(c, r);
}

TOE_PURE __u32 rec_sacked(const struct hw_conn *c, const struct hw_rec *r)
{
	__u32 sum = r->high_sack - c->min.snd_una;

	for (int i = 0; i < TOE_NR_HOLES; i++)
		sum -= r->hole[i].end - r->hole[i].start;
	if (!sieve_empty(&r->sieve))
		sum -= sieve_missing(&r->sieve, r->sieve.hole.start, r->sieve.hole.end);
	return sum;
}

/*
 * RFC 6937 section 3, as Linux's tcp_cwnd_reduction(): the window while pipe is what is on its way. As long as that is more than
 * ssthresh, ssthresh / RecoverFS of what was delivered may leave; where many segments were lost and it is less, as much as was delivered,
 * and a segment when snd_una has moved. Without it all that is missing would leave at once into the queue that has just overflowed,
 * and be lost once more. Not where a window is no more than a burst that may leave at once anyway: in one of few segments new
 * ones behind those sent again tell whether these were lost, too, which saves a timeout.
 */
TOE_PURE __u32 rec_prr(const struct hw_conn *c, struct hw_rec *r, __u32 pipe, __u32 slow)
{
	__u32 fresh = c->min.snd_nxt - c->recover, sent = fresh + r->prr_rtx;
	__u32 delivered = r->prr_flight + fresh - (cc_flight(c) - c->sacked), more = delivered - r->prr_seen;

	if ((__s32)more < 0)	/* an undo, or a peer that took SACKs back */
		more = 0;
	if (more || slow) {
		if (pipe > c->min.ssthresh)
			r->prr_may = r->prr_flight ? (__u64)delivered * c->min.ssthresh / r->prr_flight : 0;
		else
			r->prr_may = seq_min(seq_max(delivered, sent + more) + slow, sent + c->min.ssthresh - pipe);
		r->prr_seen += more;
	}
	return pipe + seq_max(r->prr_may, sent) - sent;
}

/*
 * What is lost by now; begins a recovery. acked: bytes that snd_una has moved since the last look. Returns how many
 * bytes may be sent again now (0: none), one segment at least if none of those sent again is under way (RFC 6675 section 5 step 4.3).
 */
TOE_PURE __u32 rec_detect(struct hw_conn *c, struct hw_rec *r, __u32 acked, __u32 now_us)
{
	__u32 pipe, room;
	struct sack_sum sum;

	sack_refill(r);
	if (rec_sack(c)) {
		if (seq_before(r->high_sack, c->min.snd_una))
			r->high_sack = c->min.snd_una;
		c->sacked = rec_sacked(c, r);
	}
	sack_mark(r, &sum, now_us, c->min.srtt_us, rec_reo_wnd(c, r));
	r->open = sum.holes != 0;
	if (sum.holes || c->sacked)
		c->rec |= TOE_REC_BOARD;
	else
		c->rec &= ~TOE_REC_BOARD;
	if (sum.pending && (c->ca_state == TOE_CA_OPEN || c->ca_state == TOE_CA_CWR)) {
		rec_recovery(c, r, now_us);
		acked = 0;
	}
	pipe = cc_flight(c) - c->sacked - sum.pending;
	if (c->ca_state == TOE_CA_RECOVERY && rec_sack(c) && c->min.ssthresh > TOE_MAX_BURST * c->min.snd_mss)
		cc_set(c, rec_prr(c, r, pipe, acked ? c->min.snd_mss : 0));
	if (!sum.pending)
		return 0;
	room = (__s32)(c->min.cwnd - pipe) > 0 ? c->min.cwnd - pipe : 0;
	if (!sum.rtx && room < c->min.snd_mss)
		room = c->min.snd_mss;
	return room;
}

/* The same when time has passed. */
TOE_PURE __u32 rec_look(struct hw_conn *c, struct hw_rec *r, __u32 now_us)
{
	rec_fresh(c, r);
	return rec_detect(c, r, 0, now_us);
}

/* An acknowledgement has arrived; its SACK blocks were given to sack_block(), snd_una has moved. Returns
 * nonzero if there are bytes to be sent again now. */
TOE_PURE int rec_acked(struct hw_conn *c, struct hw_rec *r, const struct rec_ack *a)
{
	if (a->dsack)
		rec_dsack(c, r, a);
	if (a->acked)
		rec_una(c, r, a);
	else if (a->dup && !rec_sack(c))
		rec_dup(c, r, a->now_us);
	else if (a->told && c->dupacks < 255)
		c->dupacks++;
	if (c->rec & TOE_REC_TLP)
		rec_tlp(c, r, a);
	if (a->ece)
		rec_reduce(c, r, 1, a->now_us);
	return rec_detect(c, r, a->acked, a->now_us) >= c->min.snd_mss;
}

/* The retransmission timer expired: RFC 5681 section 3.1, RFC 6582 3.2 step 4, RFC 6675 section 5.1. */
TOE_PURE void rec_rto(struct hw_conn *c, struct hw_rec *r, __u32 now_us)
{
	__u8 state = c->ca_state;

	if (state == TOE_CA_LOSS && c->min.ssthresh < CC_INFINITE) {
		/* a second timeout of the same bytes does not halve again */
		c->recover = c->min.snd_nxt;
	} else {
		rec_enter(c, r, TOE_CA_LOSS, now_us);
		if (state != TOE_CA_OPEN)	/* what a recovery sent before cannot be told apart */
			r->flags &= ~TOE_REC_UNDO;
		c->min.ssthresh = cc_alg_rto(c, r);
	}
	rec_fresh(c, r);
	c->min.cwnd = c->min.snd_mss;
	c->dupacks = 0;
	c->rec = (c->rec & ~TOE_REC_TLP) | TOE_REC_BOARD;
	sack_timeout(r, c->min.snd_una, c->min.snd_nxt, now_us);
	c->sacked = rec_sack(c) ? rec_sacked(c, r) : 0;
}

/* A segment leaves once more, snd_nxt does not move. tlp: as a probe. ts: its TSval. 0, or -1: it is not due. */
TOE_PURE int rec_sent(struct hw_conn *c, struct hw_rec *r, __u32 seq, __u32 len, int tlp, __u32 now_us,
		      __u32 ts)
{
	if (tlp) {
		c->rec |= TOE_REC_TLP;
		r->tlp_high = c->min.snd_nxt;
		r->flags |= TOE_REC_TLP_RTX;
		return 0;
	}
	if (sack_sent(r, seq, len, c->min.snd_nxt, now_us))
		return -1;
	r->prr_rtx += len;
	if (!(r->flags & TOE_REC_RTX) || !r->undo_ts)
		r->undo_ts = ts ? ts : 1;
	r->flags |= TOE_REC_RTX;
	if (r->undo_rtx < 0xffff)
		r->undo_rtx++;
	return 0;
}

#endif
