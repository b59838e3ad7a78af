/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DCTCP, RFC 8257 section 3.3. Part of toe/cc.h. */
#ifndef TOE_CC_DCTCP_H
#define TOE_CC_DCTCP_H

#define DCTCP_ALPHA	2	/* fraction of marked bytes, 1024 is 1 */
#define DCTCP_TOTAL	3	/* bytes acknowledged in this window */
#define DCTCP_MARKED	4	/*   with an echo */
#define DCTCP_END	5	/* of the window */

#define DCTCP_G		4	/* 1/16 */
#define DCTCP_ONE	1024U

TOE_PURE void dctcp_init(struct hw_conn *c, struct hw_rec *r)
{
	(void)r;
	c->cc[DCTCP_ALPHA] = DCTCP_ONE;
	c->cc[DCTCP_END] = c->min.snd_nxt;
}

TOE_PURE void dctcp_window(struct hw_conn *c)
{
	__u32 alpha = c->cc[DCTCP_ALPHA], total = c->cc[DCTCP_TOTAL];
	__u32 least = alpha >> DCTCP_G;

	/* as Linux: an alpha of less than 16 goes to 0 when nothing is marked */
	alpha -= least ? least : alpha;
	if (total)
		alpha += (__u64)c->cc[DCTCP_MARKED] * (DCTCP_ONE >> DCTCP_G) / total;
	c->cc[DCTCP_ALPHA] = alpha > DCTCP_ONE ? DCTCP_ONE : alpha;
	c->cc[DCTCP_TOTAL] = c->cc[DCTCP_MARKED] = 0;
	c->cc[DCTCP_END] = c->min.snd_nxt;
}

TOE_PURE void dctcp_acked(struct hw_conn *c, struct hw_rec *r, const struct cc_ack *a)
{
	c->cc[DCTCP_TOTAL] += a->acked;
	if (a->ece)
		c->cc[DCTCP_MARKED] += a->acked;
	if (seq_geq(c->min.snd_una, c->cc[DCTCP_END]))
		dctcp_window(c);
	reno_acked(c, r, a);
}

TOE_PURE __u32 dctcp_lost(struct hw_conn *c, struct hw_rec *r, __u8 ecn)
{
	__u32 cwnd = c->min.cwnd;

	if (!ecn)		/* RFC 8257 section 3.5 */
		return reno_lost(c, r, 0);
	c->cc[CC_ACKED] = 0;
	return cc_at_least(cwnd - (__u32)((__u64)cwnd * c->cc[DCTCP_ALPHA] / (2 * DCTCP_ONE)),
			   2U * c->min.snd_mss);
}

#endif
