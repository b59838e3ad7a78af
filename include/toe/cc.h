/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Congestion control: NewReno in bytes (RFC 5681, RFC 6582) with appropriate
 * byte counting (RFC 3465, L = 2) and limited transmit (RFC 3042). Pure; the
 * caller holds the entry. Fields: min.cwnd, min.ssthresh, ca_state, recover,
 * dupacks, cc[]. Another algorithm replaces cc_grow() and cc_flight_loss().
 */
#ifndef TOE_CC_H
#define TOE_CC_H

#include "toe/hw_conn.h"
#include "toe/seq.h"

#define CC_MAX_CWND	(1U << 30)
#define CC_DUPACKS	3	/* RFC 5681 section 3.2 */

/* cc[]: what was sent before this sequence number was held back by cwnd */
#define CC_LIMITED	0
/*       bytes acknowledged since cwnd last grew, congestion avoidance */
#define CC_ACKED	1

TOE_PURE __u32 cc_flight(const struct hw_conn *c)
{
	return c->min.snd_nxt - c->min.snd_una;
}

/* Before the first segment: the entry's cwnd and ssthresh are kept. */
TOE_PURE void cc_init(struct hw_conn *c)
{
	c->cc[CC_LIMITED] = c->min.snd_una;
	c->cc[CC_ACKED] = 0;
	c->recover = c->min.snd_una;
	c->ca_state = TOE_CA_OPEN;
	c->dupacks = 0;
	if (c->min.cwnd < c->min.snd_mss)
		c->min.cwnd = c->min.snd_mss;
}

/* Bytes that may be in flight: cwnd, and RFC 3042 on the first two duplicates. */
TOE_PURE __u32 cc_window(const struct hw_conn *c)
{
	__u32 wnd = c->min.cwnd;

	if (c->ca_state == TOE_CA_OPEN && c->dupacks)
		wnd += (c->dupacks > 1 ? 2U : 1U) * c->min.snd_mss;
	return wnd;
}

/* How far snd_nxt may go, toe_ring_ctl.snd_edge. */
TOE_PURE __u32 cc_snd_edge(const struct hw_conn *c)
{
	__u32 wnd = cc_window(c);

	return c->min.snd_una + (c->min.snd_wnd < wnd ? c->min.snd_wnd : wnd);
}

/* snd_nxt has moved. RFC 7661: an unused cwnd says nothing about the path, so
 * it grows only for bytes sent while it was what held the sender back. */
TOE_PURE void cc_sent(struct hw_conn *c)
{
	__u32 flight = cc_flight(c);
	int slow = c->min.cwnd < c->min.ssthresh;

	if (flight + c->min.snd_mss > c->min.cwnd || (slow && flight >= c->min.cwnd / 2))
		c->cc[CC_LIMITED] = c->min.snd_nxt;
}

TOE_PURE void cc_grow(struct hw_conn *c, __u32 acked)
{
	__u32 mss = c->min.snd_mss, cwnd = c->min.cwnd;

	if (cwnd >= CC_MAX_CWND)
		return;
	if (cwnd < c->min.ssthresh) {
		c->min.cwnd = cwnd + (acked < 2 * mss ? acked : 2 * mss);
		return;
	}
	c->cc[CC_ACKED] += acked;
	if (c->cc[CC_ACKED] >= cwnd) {
		c->cc[CC_ACKED] -= cwnd;
		if (c->cc[CC_ACKED] > cwnd)
			c->cc[CC_ACKED] = 0;
		c->min.cwnd = cwnd + mss;
	}
}

/* RFC 5681 equation 4 */
TOE_PURE void cc_flight_loss(struct hw_conn *c)
{
	__u32 half = cc_flight(c) / 2, low = 2U * c->min.snd_mss;

	c->min.ssthresh = half > low ? half : low;
	c->cc[CC_ACKED] = 0;
}

/* RFC 6582 3.2 step 3. */
TOE_PURE int cc_recovering(struct hw_conn *c, __u32 acked)
{
	__u32 mss = c->min.snd_mss, flight = cc_flight(c);

	if (seq_geq(c->min.snd_una, c->recover)) {	/* full acknowledgement */
		__u32 room = (flight > mss ? flight : mss) + mss;

		c->min.cwnd = c->min.ssthresh < room ? c->min.ssthresh : room;
		c->ca_state = TOE_CA_OPEN;
		return 0;
	}
	c->min.cwnd = c->min.cwnd > acked ? c->min.cwnd - acked : 0;
	if (acked >= mss || c->min.cwnd < mss)
		c->min.cwnd += mss;
	return 1;
}

/*
 * snd_una has moved by acked bytes. Returns nonzero if the segment that is now
 * at snd_una is to be sent again (partial acknowledgement).
 */
TOE_PURE int cc_acked(struct hw_conn *c, __u32 acked)
{
	__u32 old_una = c->min.snd_una - acked;
	int limited = seq_before(old_una, c->cc[CC_LIMITED]);
	int again = 0;

	c->dupacks = 0;
	c->cc[CC_LIMITED] = seq_max(c->cc[CC_LIMITED], c->min.snd_una);
	if (c->ca_state == TOE_CA_RECOVERY)
		return cc_recovering(c, acked);
	if (c->ca_state == TOE_CA_LOSS) {
		if (seq_geq(c->min.snd_una, c->recover))
			c->ca_state = TOE_CA_OPEN;
		else
			again = 1;
		limited = 1;
	}
	/* kept near snd_una, so that comparisons with it never wrap */
	if (c->ca_state == TOE_CA_OPEN)
		c->recover = seq_max(c->recover, c->min.snd_una);
	if (limited)
		cc_grow(c, acked);
	return again;
}

/*
 * A duplicate acknowledgement (RFC 5681 section 2) arrived. Returns nonzero if
 * the segment at snd_una is to be sent again: fast retransmit.
 */
TOE_PURE int cc_dup(struct hw_conn *c)
{
	if (c->dupacks < 255)
		c->dupacks++;
	if (c->ca_state == TOE_CA_RECOVERY && c->min.cwnd < CC_MAX_CWND)
		c->min.cwnd += c->min.snd_mss;
	if (c->ca_state != TOE_CA_OPEN || c->dupacks != CC_DUPACKS)
		return 0;
	/* RFC 6582 3.2 step 1: not for bytes of the last recovery */
	if (seq_before(c->min.snd_una, c->recover))
		return 0;
	cc_flight_loss(c);
	c->min.cwnd = c->min.ssthresh + CC_DUPACKS * c->min.snd_mss;
	c->recover = c->min.snd_nxt;
	c->ca_state = TOE_CA_RECOVERY;
	return 1;
}

/* The retransmission timer expired: RFC 5681 section 3.1, RFC 6582 3.2 step 4. */
TOE_PURE void cc_rto(struct hw_conn *c)
{
	/* a second timeout of the same bytes does not halve again */
	if (c->ca_state != TOE_CA_LOSS || c->min.ssthresh == ~0U)
		cc_flight_loss(c);
	c->min.cwnd = c->min.snd_mss;
	c->recover = c->min.snd_nxt;
	c->ca_state = TOE_CA_LOSS;
	c->dupacks = 0;
}

#endif
