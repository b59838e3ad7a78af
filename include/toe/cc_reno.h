/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NewReno's windows, RFC 5681. Part of toe/cc.h. */
#ifndef TOE_CC_RENO_H
#define TOE_CC_RENO_H

struct cc_ack {
	__u32 acked;		/* bytes */
	__u32 now_us;
	__u32 rtt_us;		/* of this acknowledgement, from timestamps; ~0: not known */
	__u8 limited;		/* cwnd had held the sender back */
	__u8 ece;		/* RFC 3168 echo */
};

TOE_PURE void reno_init(struct hw_conn *c, struct hw_rec *r)
{
	(void)c;
	(void)r;
}

/* RFC 5681 section 3.1 */
TOE_PURE void reno_avoid(struct hw_conn *c, __u32 acked)
{
	__u32 cwnd = c->min.cwnd;

	c->cc[CC_ACKED] += acked;
	if (c->cc[CC_ACKED] < cwnd)
		return;
	c->cc[CC_ACKED] -= cwnd;
	if (c->cc[CC_ACKED] > cwnd)
		c->cc[CC_ACKED] = 0;
	cc_set(c, cwnd + c->min.snd_mss);
}

TOE_PURE void reno_acked(struct hw_conn *c, struct hw_rec *r, const struct cc_ack *a)
{
	(void)r;
	if (!a->limited)
		return;
	if (cc_slow(c))
		cc_set(c, c->min.cwnd + cc_slow_start(c, a->acked));
	else
		reno_avoid(c, a->acked);
}

/* RFC 5681 equation 4 */
TOE_PURE __u32 reno_lost(struct hw_conn *c, struct hw_rec *r, __u8 ecn)
{
	(void)r;
	(void)ecn;
	c->cc[CC_ACKED] = 0;
	return cc_at_least(cc_flight(c) / 2, 2U * c->min.snd_mss);
}

#endif
