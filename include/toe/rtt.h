/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Round trip time, RFC 6298 section 2, in microseconds. Pure. */
#ifndef TOE_RTT_H
#define TOE_RTT_H

#include "toe/hw_conn.h"
#include "toe/seq.h"

/* Lengths of more than this are not round trips but a clock gone wrong. */
#define RTT_MAX_US	(120U * 1000 * 1000)

TOE_PURE void rtt_sample(struct min_tcp *m, __u32 rtt_us)
{
	__u32 err;

	if (rtt_us > RTT_MAX_US)
		return;
	if (!rtt_us)
		rtt_us = 1;
	if (rtt_us < m->min_rtt_us)
		m->min_rtt_us = rtt_us;
	if (!m->srtt_us) {
		m->srtt_us = rtt_us;
		m->rttvar_us = rtt_us / 2;
		return;
	}
	err = rtt_us > m->srtt_us ? rtt_us - m->srtt_us : m->srtt_us - rtt_us;
	m->rttvar_us = m->rttvar_us - m->rttvar_us / 4 + err / 4;
	m->srtt_us = m->srtt_us - m->srtt_us / 8 + rtt_us / 8;
	if (!m->srtt_us)
		m->srtt_us = 1;
}

#define MS_AHEAD	1000U	/* a time further ahead is one long ago */

/* Timestamps do not go backwards (RFC 7323 section 5.3): a clock of ms that has shown seen_ms shows it until it is there. */
TOE_PURE __u32 ms_later(__u32 ms, __u32 seen_ms)
{
	return seen_ms - ms < MS_AHEAD ? seen_ms : ms;
}

/*
 * Is the segment that leaves now to be timed? One a round trip (RFC 6298 section 3), and on paths
 * that are faster than a millisecond one in each. Ask before last_tx_ms is set.
 */
TOE_PURE int rtt_wanted(const struct hw_conn *c, __u32 now_ms)
{
	return !c->rtt_start_us && (now_ms != c->last_tx_ms || !c->min.srtt_us);
}

/* Segment ending at `end` leaves: time it if none is being timed. */
TOE_PURE void rtt_start(struct hw_conn *c, __u32 end, __u32 now_us)
{
	if (c->rtt_start_us)
		return;
	c->rtt_seq = end;
	c->rtt_start_us = now_us ? now_us : 1;
}

/* Something was sent again: which copy is acknowledged cannot be told (Karn). */
TOE_PURE void rtt_cancel(struct hw_conn *c)
{
	c->rtt_start_us = 0;
}

/* snd_una has moved. Does that end a measurement? */
TOE_PURE int rtt_ends(const struct hw_conn *c)
{
	return c->rtt_start_us && !seq_before(c->min.snd_una, c->rtt_seq);
}

/* Returns nonzero if it did. */
TOE_PURE int rtt_acked(struct hw_conn *c, __u32 now_us)
{
	if (!rtt_ends(c))
		return 0;
	rtt_sample(&c->min, now_us - c->rtt_start_us);
	c->rtt_start_us = 0;
	return 1;
}

#endif
