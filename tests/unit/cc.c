/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Congestion control: RFC 5681, RFC 6582, RFC 3042, RFC 3465, step by step. */
#include "tests/unit/test.h"
#include "toe/cc.h"

#define MSS 1000U

static struct hw_conn start(uint32_t cwnd, uint32_t ssthresh)
{
	struct hw_conn c = { .min = { .snd_una = 0xfffff000, .snd_nxt = 0xfffff000, .snd_wnd = 1 << 20,
				      .snd_mss = MSS, .cwnd = cwnd, .ssthresh = ssthresh } };

	cc_init(&c);
	return c;
}

static void send(struct hw_conn *c, uint32_t bytes)
{
	c->min.snd_nxt += bytes;
	cc_sent(c);
}

static int ack(struct hw_conn *c, uint32_t bytes)
{
	c->min.snd_una += bytes;
	return cc_acked(c, bytes);
}

static void slow_start(void **state)
{
	struct hw_conn c = start(10 * MSS, ~0U);

	(void)state;
	send(&c, 10 * MSS);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ack(&c, MSS), 0);
	assert_int_equal(c.min.cwnd, 20 * MSS);
	send(&c, 20 * MSS);
	ack(&c, 10 * MSS);			/* RFC 3465: L = 2 */
	assert_int_equal(c.min.cwnd, 22 * MSS);
}

static void avoidance(void **state)
{
	struct hw_conn c = start(10 * MSS, 5 * MSS);

	(void)state;
	for (int round = 0; round < 3; round++) {
		uint32_t cwnd = c.min.cwnd;

		send(&c, cwnd);
		while (cc_flight(&c))
			ack(&c, MSS);
		assert_int_equal(c.min.cwnd, cwnd + MSS);
	}
}

static void idle_sender_does_not_grow(void **state)
{
	struct hw_conn c = start(100 * MSS, 50 * MSS);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		send(&c, MSS);
		ack(&c, MSS);
	}
	assert_int_equal(c.min.cwnd, 100 * MSS);
}

static void fast_recovery(void **state)
{
	struct hw_conn c = start(10 * MSS, ~0U);
	uint32_t top;

	(void)state;
	send(&c, 10 * MSS);
	top = c.min.snd_nxt;
	assert_int_equal(cc_dup(&c), 0);
	assert_int_equal(cc_window(&c), 11 * MSS);	/* RFC 3042 */
	assert_int_equal(cc_dup(&c), 0);
	assert_int_equal(cc_window(&c), 12 * MSS);
	assert_int_equal(cc_dup(&c), 1);
	assert_int_equal(c.ca_state, TOE_CA_RECOVERY);
	assert_int_equal(c.min.ssthresh, 5 * MSS);
	assert_int_equal(c.min.cwnd, 8 * MSS);
	assert_int_equal(c.recover, top);
	assert_int_equal(cc_dup(&c), 0);
	assert_int_equal(c.min.cwnd, 9 * MSS);		/* inflated */
	assert_int_equal(ack(&c, 2 * MSS), 1);		/* partial: the next hole */
	assert_int_equal(c.min.cwnd, 8 * MSS);
	assert_int_equal(ack(&c, 8 * MSS), 0);		/* full */
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_true(c.min.cwnd <= 5 * MSS);
	assert_int_equal(c.min.ssthresh, 5 * MSS);
}

static void timeout(void **state)
{
	struct hw_conn c = start(10 * MSS, ~0U);
	uint32_t ssthresh;

	(void)state;
	send(&c, 10 * MSS);
	cc_rto(&c);
	assert_int_equal(c.min.cwnd, MSS);
	assert_int_equal(c.min.ssthresh, 5 * MSS);
	assert_int_equal(c.ca_state, TOE_CA_LOSS);
	ssthresh = c.min.ssthresh;
	cc_rto(&c);
	assert_int_equal(c.min.ssthresh, ssthresh);
	for (int i = 0; i < 4; i++)			/* RFC 6582 3.2 step 4: no fast retransmit below recover */
		assert_int_equal(cc_dup(&c), 0);
	assert_int_equal(ack(&c, MSS), 1);
	assert_int_equal(c.min.cwnd, 2 * MSS);
	assert_int_equal(ack(&c, 9 * MSS), 0);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
}

static void edge(void **state)
{
	struct hw_conn c = start(10 * MSS, ~0U);

	(void)state;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una + 10 * MSS);
	c.min.snd_wnd = 3 * MSS;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una + 3 * MSS);
	c.min.snd_wnd = 0;
	assert_int_equal(cc_snd_edge(&c), c.min.snd_una);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start), cmocka_unit_test(avoidance),
		cmocka_unit_test(idle_sender_does_not_grow), cmocka_unit_test(fast_recovery),
		cmocka_unit_test(timeout), cmocka_unit_test(edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
