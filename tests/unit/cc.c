/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Congestion control: RFC 5681, RFC 3465, RFC 9438, RFC 9406, RFC 8257, RFC 5681 4.1, step by step. */
#include <math.h>
#include "tests/unit/test.h"
#include "toe/cc.h"

#define MSS 1000U

static struct hw_rec rec;

static struct hw_conn start(uint8_t alg, uint32_t cwnd, uint32_t ssthresh)
{
	struct hw_conn c = { .min = { .snd_una = 0xfffff000, .snd_nxt = 0xfffff000, .snd_wnd = 1 << 30,
				      .snd_mss = MSS, .cwnd = cwnd, .ssthresh = ssthresh },
			     .cc_alg = alg };

	rec = (struct hw_rec){ 0 };
	cc_init(&c, &rec);
	return c;
}

static void send(struct hw_conn *c, uint32_t bytes)
{
	c->min.snd_nxt += bytes;
	cc_sent(c);
}

static void ack_full(struct hw_conn *c, uint32_t bytes, uint32_t now_us, uint32_t rtt_us, uint8_t ece)
{
	struct cc_ack a = { .acked = bytes, .now_us = now_us, .rtt_us = rtt_us, .ece = ece };

	c->min.snd_una += bytes;
	a.limited = cc_limited(c, bytes);
	cc_alg_acked(c, &rec, &a);
}

static void ack(struct hw_conn *c, uint32_t bytes)
{
	ack_full(c, bytes, 1000, ~0U, 0);
}

/* One round trip that uses the whole window. */
static void round_trip(struct hw_conn *c, uint32_t now_us, uint32_t rtt_us, uint8_t ece)
{
	send(c, c->min.cwnd / MSS * MSS - cc_flight(c));
	while (cc_flight(c))
		ack_full(c, MSS, now_us, rtt_us, ece);
}

/* The same with the next window leaving as room is made: the path is never empty. */
static void pipelined(struct hw_conn *c, uint32_t rtt_us)
{
	for (uint32_t n = cc_flight(c) / MSS; n; n--) {
		ack_full(c, MSS, 1000, rtt_us, 0);
		while (cc_flight(c) + MSS <= c->min.cwnd)
			send(c, MSS);
	}
}

static void slow_start(void **state)
{
	(void)state;
	for (uint8_t alg = 0; alg < TOE_NR_CC; alg++) {
		struct hw_conn c = start(alg, 10 * MSS, ~0U);

		send(&c, 10 * MSS);
		for (int i = 0; i < 10; i++)
			ack(&c, MSS);
		assert_int_equal(c.min.cwnd, 20 * MSS);
		send(&c, 20 * MSS);
		ack(&c, 12 * MSS);
		assert_int_equal(c.min.cwnd, 32 * MSS);
		c.min.cwnd = 100 * MSS;
		send(&c, 100 * MSS);
		ack(&c, 80 * MSS);		/* RFC 9406 4.2: L */
		assert_int_equal(c.min.cwnd, (100 + CC_SLOW_MOST) * MSS);
		c.ca_state = TOE_CA_LOSS;
		ack(&c, 8 * MSS);		/* RFC 3465 2.3 */
		assert_int_equal(c.min.cwnd, (102 + CC_SLOW_MOST) * MSS);
	}
}

static void reno_avoidance(void **state)
{
	struct hw_conn c = start(TOE_CC_RENO, 10 * MSS, 5 * MSS);

	(void)state;
	for (int round = 0; round < 3; round++) {
		uint32_t cwnd = c.min.cwnd;

		round_trip(&c, 1000, ~0U, 0);
		assert_int_equal(c.min.cwnd, cwnd + MSS);
	}
	send(&c, 10 * MSS);
	assert_int_equal(cc_alg_lost(&c, &rec, 0), 5 * MSS);
	assert_int_equal(cc_alg_rto(&c, &rec), 5 * MSS);
	c.min.snd_una = c.min.snd_nxt;
	assert_int_equal(cc_alg_lost(&c, &rec, 0), 2 * MSS);
}

static void idle_sender_does_not_grow(void **state)
{
	(void)state;
	for (uint8_t alg = 0; alg < TOE_NR_CC; alg++) {
		struct hw_conn c = start(alg, 100 * MSS, 50 * MSS);

		for (int i = 0; i < 1000; i++) {
			send(&c, MSS);
			ack(&c, MSS);
		}
		assert_int_equal(c.min.cwnd, 100 * MSS);
		/* a mark from before sequence numbers wrapped does not count */
		c.cc[CC_LIMITED] = c.min.snd_una + 100 * MSS;
		send(&c, MSS);
		ack(&c, MSS);
		assert_int_equal(c.min.cwnd, 100 * MSS);
	}
}

/* Section 4.2: W_cubic(t) = C (t - K)^3 + W_max, as long as it is beyond what Reno would have. */
static void cubic_curve(void **state)
{
	const double w_max = 1000, k = cbrt(w_max * 0.3 / 0.4);
	struct hw_conn c = start(TOE_CC_CUBIC, 1000 * MSS, ~0U);
	uint32_t rtt_ms = 100;
	double w, got;

	(void)state;
	c.min.srtt_us = rtt_ms * 1000;
	c.min.ssthresh = cc_alg_lost(&c, &rec, 0);
	assert_int_equal(c.min.ssthresh, 700 * MSS);
	c.min.cwnd = c.min.ssthresh;
	for (uint32_t t = 0; t < 20000; t += rtt_ms) {
		round_trip(&c, (5000 + t) * 1000, ~0U, 0);
		w = 0.4 * pow(t / 1000.0 + rtt_ms / 1000.0 - k, 3) + w_max;
		got = (double)c.min.cwnd / MSS;
		if (t > 1000 && fabs(got - w) > 0.02 * w)
			fail_msg("%u ms: %f segments, not %f", t, got, w);
	}
}

/* Section 4.3: on a short path CUBIC grows as Reno would: 9/17 segment a round trip. */
static void cubic_friendly(void **state)
{
	struct hw_conn c = start(TOE_CC_CUBIC, 100 * MSS, ~0U);

	(void)state;
	c.min.srtt_us = 1000;
	c.min.cwnd = c.min.ssthresh = cc_alg_lost(&c, &rec, 0);
	for (uint32_t round = 0; round < 34; round++)
		round_trip(&c, 5000000 + round * 1000, ~0U, 0);
	assert_in_range(c.min.cwnd, 87 * MSS, 89 * MSS);
}

static void cubic_convergence(void **state)
{
	struct hw_conn c = start(TOE_CC_CUBIC, 100 * MSS, ~0U);

	(void)state;
	cc_alg_lost(&c, &rec, 0);
	assert_int_equal(c.cc[CUBIC_W_MAX], 100 * MSS);
	c.min.cwnd = 80 * MSS;				/* lost again below it: section 4.7 */
	assert_int_equal(cc_alg_lost(&c, &rec, 0), 56 * MSS);
	assert_int_equal(c.cc[CUBIC_W_MAX], 68 * MSS);
	c.min.cwnd = MSS;
	assert_int_equal(cc_alg_rto(&c, &rec), 2 * MSS);
}

static void cubic_roots(void **state)
{
	static const struct { uint64_t v; uint32_t root; } t[] = {
		{ 0, 0 }, { 1, 1 }, { 7, 1 }, { 8, 2 }, { 26, 2 }, { 27, 3 }, { 1000000000000ULL, 10000 },
		{ 999999999999ULL, 9999 }, { 2684354560000000000ULL, 1389781 },
	};

	(void)state;
	for (size_t i = 0; i < NR(t); i++)
		assert_int_equal(cubic_root(t[i].v), t[i].root);
}

/* RFC 9406: the round trip time rises by more than an eighth: growth slows down, and ends after five rounds. */
static void hystart(void **state)
{
	struct hw_conn c = start(TOE_CC_CUBIC, 20 * MSS, ~0U);
	uint32_t cwnd;

	(void)state;
	send(&c, 20 * MSS);
	for (int i = 0; i < 3; i++)
		pipelined(&c, 40000);
	assert_in_range(c.min.cwnd, 150 * MSS, 160 * MSS);
	pipelined(&c, 44000);				/* less than an eighth */
	assert_false(rec.hs_css);
	pipelined(&c, 50000);				/* seen after 8 samples */
	assert_true(rec.hs_css);
	cwnd = c.min.cwnd;
	pipelined(&c, 50000);
	assert_in_range(c.min.cwnd, cwnd + cwnd / 5, cwnd + cwnd / 3);
	pipelined(&c, 40000);				/* it was jitter */
	assert_false(rec.hs_css);
	for (int i = 0; i < 9 && c.min.ssthresh == ~0U; i++)
		pipelined(&c, 50000 + 10000 * (unsigned)i);
	assert_true(c.min.ssthresh <= c.min.cwnd);
}

/* RFC 8257 3.3 */
static void dctcp(void **state)
{
	struct hw_conn c = start(TOE_CC_DCTCP, 100 * MSS, 50 * MSS);

	(void)state;
	assert_int_equal(cc_alg_lost(&c, &rec, 1), 50 * MSS);	/* alpha begins at 1 */
	for (int i = 0; i < 200; i++)
		round_trip(&c, 1000, ~0U, 0);
	assert_int_equal(c.cc[DCTCP_ALPHA], 0);
	c.min.cwnd = 100 * MSS;
	assert_int_equal(cc_alg_lost(&c, &rec, 1), 100 * MSS);	/* nothing was marked */
	assert_int_equal(cc_alg_lost(&c, &rec, 0), 2 * MSS);	/* lost: as Reno (nothing is in flight) */
	for (int i = 0; i < 200; i++)
		round_trip(&c, 1000, ~0U, 1);
	assert_in_range(c.cc[DCTCP_ALPHA], 960, 1024);
}

static void restart_after_idle(void **state)
{
	static const struct { uint32_t idle_ms, cwnd; } t[] = {
		{ 200, 100 }, { 301, 50 }, { 601, 25 }, { 901, 12 }, { 5000, 10 }, { 4000000000U, 10 },
	};

	(void)state;
	for (size_t i = 0; i < NR(t); i++) {
		struct hw_conn c = start(TOE_CC_RENO, 100 * MSS, 40 * MSS);

		c.min.srtt_us = 100000;			/* a timeout of 300 ms */
		cc_idle(&c, t[i].idle_ms);
		assert_in_range(c.min.cwnd, t[i].cwnd * MSS, t[i].cwnd * MSS + MSS / 2);
		assert_int_equal(c.min.ssthresh, t[i].idle_ms > 300 ? 75 * MSS : 40 * MSS);
	}
}

/* Time in which nothing was sent is no part of an epoch: after a pause the window grows as it would have without one. */
static void cubic_after_idle(void **state)
{
	(void)state;
	for (uint32_t w = 8; w <= 100; w += 92) {
		struct hw_conn a = start(TOE_CC_CUBIC, w * MSS, ~0U), b;

		a.min.srtt_us = 400000;		/* a timeout is longer than the pause */
		a.min.cwnd = a.min.ssthresh = cc_alg_lost(&a, &rec, 0);
		for (uint32_t t = 0; t < 1000; t += 100)
			round_trip(&a, (5000 + t) * 1000, ~0U, 0);
		b = a;
		cc_idle(&b, 500);
		for (uint32_t t = 1000; t < 1500; t += 100) {
			round_trip(&a, (5000 + t) * 1000, ~0U, 0);
			round_trip(&b, (5500 + t) * 1000, ~0U, 0);
		}
		assert_int_equal(b.min.cwnd, a.min.cwnd);
	}
}

/* The engine's coarse clock makes the pause a tick longer than it was. The epoch goes on. */
static void cubic_idle_ahead(void **state)
{
	struct hw_conn c = start(TOE_CC_CUBIC, 100 * MSS, ~0U);
	uint32_t k;

	(void)state;
	c.min.srtt_us = 100000;
	c.min.cwnd = c.min.ssthresh = cc_alg_lost(&c, &rec, 0);
	round_trip(&c, 5000000, ~0U, 0);
	k = c.cc[CUBIC_K];
	c.min.cwnd += MSS;	/* a new epoch would have another K */
	cc_idle(&c, 14);
	round_trip(&c, 5010000, ~0U, 0);
	assert_int_equal(c.cc[CUBIC_K], k);
}

static void edge(void **state)
{
	struct hw_conn c = start(TOE_CC_CUBIC, 10 * MSS, ~0U);

	(void)state;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una + 10 * MSS);
	c.sacked = 2 * MSS;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una + 12 * MSS);
	c.min.snd_wnd = 3 * MSS;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una + 3 * MSS);
	c.min.snd_wnd = 0;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start), cmocka_unit_test(reno_avoidance),
		cmocka_unit_test(idle_sender_does_not_grow), cmocka_unit_test(cubic_curve),
		cmocka_unit_test(cubic_friendly), cmocka_unit_test(cubic_convergence),
		cmocka_unit_test(cubic_roots), cmocka_unit_test(hystart), cmocka_unit_test(dctcp),
		cmocka_unit_test(restart_after_idle), cmocka_unit_test(cubic_after_idle),
		cmocka_unit_test(cubic_idle_ahead), cmocka_unit_test(edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
