/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CUBIC, RFC 9438, with HyStart++, RFC 9406. Part of toe/cc.h. Windows in bytes, times in milliseconds.
 * C = 0.4 segments/s^3, beta = 0.7.
 */
#ifndef TOE_CC_CUBIC_H
#define TOE_CC_CUBIC_H

#define CUBIC_W_MAX	2
#define CUBIC_EPOCH	3	/* beginning of the congestion avoidance stage, 0: not begun */
#define CUBIC_K		4
#define CUBIC_ORIGIN	5	/* the plateau */
#define CUBIC_W_EST	6	/* what Reno would have, section 4.3 */
#define CUBIC_EST_REST	7	/* fraction of it */
#define CUBIC_PRIOR	8	/* cwnd_prior */
#define CUBIC_REST	9	/* fraction of cwnd's growth */

#define CUBIC_AHEAD_MS	100

#define HS_MIN_THRESH_US 4000U
#define HS_MAX_THRESH_US 16000U
#define HS_MIN_RTT_DIVISOR 8
#define HS_N_RTT_SAMPLE	8
#define HS_CSS_GROWTH_DIVISOR 4
#define HS_CSS_ROUNDS	5

TOE_PURE __u32 cubic_root(__u64 v)
{
	__u64 x = 0;

	for (int bit = 20; bit >= 0; bit--) {
		__u64 y = x | 1ULL << bit;

		x = toe_blur(y * y * y <= v ? y : x, v);
	}
	return x;
}

TOE_PURE void hs_round(struct hw_conn *c, struct hw_rec *r)
{
	r->hs_end = c->min.snd_nxt;
	r->hs_last_us = r->hs_min_us;
	r->hs_min_us = ~0U;
	r->hs_samples = 0;
}

TOE_PURE void cubic_init(struct hw_conn *c, struct hw_rec *r)
{
	r->hs_min_us = ~0U;
	hs_round(c, r);
}

/* Section 4.2: K in ms from W_max - cwnd. */
TOE_PURE void cubic_epoch(struct hw_conn *c, __u32 now_ms)
{
	__u32 cwnd = c->min.cwnd, w_max = c->cc[CUBIC_W_MAX], mss = c->min.snd_mss;

	c->cc[CUBIC_EPOCH] = now_ms | 1;
	c->cc[CUBIC_K] = 0;
	c->cc[CUBIC_ORIGIN] = cwnd;
	if (w_max > cwnd && mss) {
		c->cc[CUBIC_K] = cubic_root((__u64)(w_max - cwnd) * 2500000000ULL / mss);
		c->cc[CUBIC_ORIGIN] = w_max;
	}
	c->cc[CUBIC_W_EST] = cwnd;
	c->cc[CUBIC_EST_REST] = c->cc[CUBIC_REST] = 0;
}

/* W_cubic(t + RTT), held to [cwnd, 1.5 cwnd]: section 4.2 */
TOE_PURE __u32 cubic_target(const struct hw_conn *c, __u32 t_ms)
{
	__u32 cwnd = c->min.cwnd, k = c->cc[CUBIC_K], origin = c->cc[CUBIC_ORIGIN];
	__u64 d = t_ms > k ? t_ms - k : k - t_ms, off, w;

	if (d > 65535)
		d = 65535;
	off = d * d * d * c->min.snd_mss / 10 * 4 / 1000000000ULL;
	if (t_ms > k)
		w = origin + off;
	else
		w = origin > off ? origin - off : 0;
	if (w < cwnd)
		return cwnd;
	return w > cwnd + cwnd / 2 ? cwnd + cwnd / 2 : w;
}

/* Section 4.3: alpha is 3 (1 - beta) / (1 + beta) = 9/17 until the old window is reached, then 1. */
TOE_PURE void cubic_est(struct hw_conn *c, __u32 acked)
{
	__u32 cwnd = c->min.cwnd;
	__u64 n = (__u64)acked * c->min.snd_mss;

	if (!cwnd)
		return;
	if (c->cc[CUBIC_W_EST] < c->cc[CUBIC_PRIOR])
		n = n * 9 / 17;
	n += c->cc[CUBIC_EST_REST];
	c->cc[CUBIC_W_EST] += n / cwnd;
	c->cc[CUBIC_EST_REST] = n % cwnd;
}

TOE_PURE void cubic_avoid(struct hw_conn *c, __u32 acked, __u32 now_us)
{
	__u32 now_ms = now_us / 1000, cwnd = c->min.cwnd, t, target;
	__u64 n;

	if (!c->cc[CUBIC_EPOCH] || !cwnd)
		cubic_epoch(c, now_ms);
	/* now_us wraps after 71 minutes: an epoch of that length begins anew. One that cubic_idle() moved by the coarse
	 * clock may begin a tick ahead. */
	t = now_ms - c->cc[CUBIC_EPOCH];
	if ((__s32)t < -CUBIC_AHEAD_MS) {
		cubic_epoch(c, now_ms);
		t = 0;
	}
	if ((__s32)t < 0)
		t = 0;
	cubic_est(c, acked);
	target = cubic_target(c, t + c->min.srtt_us / 1000);
	if (target < c->cc[CUBIC_W_EST]) {
		cc_set(c, c->cc[CUBIC_W_EST]);
		return;
	}
	if (!cwnd)
		return;
	n = (__u64)(target - cwnd) * acked + c->cc[CUBIC_REST];
	c->cc[CUBIC_REST] = n % cwnd;
	cc_set(c, cwnd + n / cwnd);
}

TOE_PURE void cubic_idle(struct hw_conn *c, __u32 idle_ms)
{
	if (c->cc[CUBIC_EPOCH])
		c->cc[CUBIC_EPOCH] += idle_ms;
}

/* RFC 9406 section 4.2: has the round trip time risen? */
TOE_PURE void hs_sample(struct hw_rec *r, __u32 rtt_us)
{
	__u32 thresh = r->hs_last_us / HS_MIN_RTT_DIVISOR;

	if (rtt_us < r->hs_min_us)
		r->hs_min_us = rtt_us;
	if (r->hs_samples < 255)
		r->hs_samples++;
	if (r->hs_css) {
		if (r->hs_min_us < r->hs_base_us)
			r->hs_css = 0;
		return;
	}
	thresh = thresh < HS_MIN_THRESH_US ? HS_MIN_THRESH_US : thresh;
	thresh = thresh > HS_MAX_THRESH_US ? HS_MAX_THRESH_US : thresh;
	if (r->hs_samples < HS_N_RTT_SAMPLE || r->hs_last_us == ~0U ||
	    r->hs_min_us < r->hs_last_us + thresh)
		return;
	r->hs_base_us = r->hs_min_us;
	r->hs_css = 1;
}

/* The first slow start. Returns the growth. */
TOE_PURE __u32 hs_ack(struct hw_conn *c, struct hw_rec *r, const struct cc_ack *a)
{
	__u32 grow = cc_slow_start(c, a->acked);

	if (a->rtt_us != ~0U)
		hs_sample(r, a->rtt_us);
	if (seq_geq(c->min.snd_una, r->hs_end)) {
		hs_round(c, r);
		if (r->hs_css && ++r->hs_css > HS_CSS_ROUNDS)
			c->min.ssthresh = c->min.cwnd;
	}
	return r->hs_css ? grow / HS_CSS_GROWTH_DIVISOR : grow;
}

TOE_PURE void cubic_acked(struct hw_conn *c, struct hw_rec *r, const struct cc_ack *a)
{
	__u32 grow;

	if (!a->limited || c->min.cwnd >= CC_MAX_CWND)
		return;
	if (!cc_slow(c)) {
		cubic_avoid(c, a->acked, a->now_us);
		return;
	}
	grow = cc_slow_start(c, a->acked);
	if (c->min.ssthresh >= CC_INFINITE)
		grow = hs_ack(c, r, a);
	cc_set(c, c->min.cwnd + grow);
}

/* Sections 4.6 and 4.7 (fast convergence) */
TOE_PURE __u32 cubic_lost(struct hw_conn *c, struct hw_rec *r, __u8 ecn)
{
	__u32 cwnd = c->min.cwnd;

	(void)r;
	(void)ecn;
	c->cc[CUBIC_W_MAX] = cwnd < c->cc[CUBIC_W_MAX] ? cwnd / 20 * 17 : cwnd;
	c->cc[CUBIC_PRIOR] = cwnd;
	c->cc[CUBIC_EPOCH] = 0;
	return cc_at_least(cwnd / 10 * 7, 2U * c->min.snd_mss);
}

#endif
