// SPDX-License-Identifier: GPL-2.0-or-later
/* RX engine: many segments out of order, their intervals and acknowledgements. */
#include "tests/bpf/frames.h"

static void too_many_intervals(void **state)
{
	struct seg s = plain(0, 100), a;

	(void)state;
	for (__u32 i = 1; i <= TOE_NR_OOO + 1; i++) {
		s.seq = RCV0 + 800 * i;
		a = expect_ack(rx(&s));
		assert_int_equal(a.ack, RCV0);
		assert_int_equal(a.nr_sack, i < 3 ? i : 3);
		assert_int_equal(a.sack[0][0], RCV0 + 800 * (i < TOE_NR_OOO ? i : TOE_NR_OOO));
	}
	assert_int_equal(COUNTED(RX_OOO), TOE_NR_OOO);
	assert_int_equal(COUNTED(RX_OOO_FULL), 1);
	s = plain(RCV0 + 850, 2400);		/* joins four of them */
	a = expect_ack(rx(&s));
	assert_int_equal(conn()->nr_ooo, TOE_NR_OOO - 3);
	assert_int_equal(a.nr_sack, 3);		/* D-SACK, the new one, the last one: no free slots between */
	assert_int_equal(a.sack[1][0], RCV0 + 800);
	assert_int_equal(a.sack[2][0], RCV0 + 800 * TOE_NR_OOO);
}

static bool flag_taken(__u32 flag)
{
	return __atomic_fetch_and(&env.clock[ENV_ID].flags, ~flag, __ATOMIC_SEQ_CST) & flag;
}

/*
 * Out-of-order segments in a rush: the first ones are acknowledged at once, then one acknowledgement stands for several, for 44 at
 * most, and the daemon is told. How many wait depends on how fast this machine is, so what is checked holds for any number.
 */
static void rush_out_of_order(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 20), a;
	unsigned int waited = 0, in_a_row = 0;

	(void)state;
	c.min.srtt_us = 20000;
	make_hw(c);
	for (__u32 i = 1; i <= 2000; i++) {
		s.seq = RCV0 + 20 * i;
		if (rx(&s) == XDP_TX) {
			a = dissect(&out);
			assert_int_equal(a.nr_sack, 1);
			assert_int_equal(a.sack[0][1], s.seq + 20);
			assert_int_equal(env.clock[ENV_ID].ack_since, 0);
			in_a_row = 0;
			flag_taken(TOE_CLK_SACK);
			continue;
		}
		assert_true(i > 32);
		waited++;
		assert_true(++in_a_row < 44);
		assert_true(env.clock[ENV_ID].ack_since);
		assert_true(flag_taken(TOE_CLK_SACK));
	}
	assert_true(waited > 20);
	usleep(3000);			/* not in a rush, and then for 31 segments more */
	for (__u32 i = 0; i < 31; i++) {
		s.seq += 20;
		expect_ack(rx(&s));
	}
	s = plain(RCV0, 20);		/* the hole is filled */
	a = expect_ack(rx(&s));
	assert_int_equal(a.ack, RCV0 + 2032 * 20);
	s.seq = RCV0 + 2032 * 20;
	for (__u32 i = 0; i < 3; i++) {	/* behind a new one */
		s.seq += 20;
		expect_ack(rx(&s));
	}
}

/* Three blocks are all that an acknowledgement tells: when one leaves, nothing that has come is untold. */
static void rush_over_holes(void **state)
{
	static bool came[1401], told[1401];
	struct hw_conn c = test_conn();
	unsigned int waited = 0;

	(void)state;
	memset(came, 0, sizeof(came));
	memset(told, 0, sizeof(told));
	c.min.srtt_us = 20000;
	make_hw(c);
	for (__u32 i = 1; i <= 1400; i++) {
		struct seg s = plain(RCV0 + 20 * i, 20), a;

		if (i > 1000 && i % 7 == 0)
			continue;
		came[i] = true;
		if (rx(&s) != XDP_TX) {
			waited += i > 1000;
			continue;
		}
		a = dissect(&out);
		for (int b = 0; b < a.nr_sack; b++)
			for (__u32 q = a.sack[b][0]; q != a.sack[b][1]; q += 20)
				told[(q - RCV0) / 20] = true;
		assert_memory_equal(told, came, sizeof(told));
	}
	assert_true(waited > 20);
}

/* On a path so short nothing waits, nor without SACK, nor what came twice. */
static void rush_at_once(void **state)
{
	static const struct { __u32 srtt_us; __u8 no_sack; bool twice; } t[] = {
		{ 0, 0, false }, { 3900, 0, false }, { 20000, TOE_OPT_SACK, false }, { 20000, 0, true },
	};

	(void)state;
	for (size_t k = 0; k < NR(t); k++) {
		struct hw_conn c = test_conn();
		struct seg s = plain(RCV0, 100);

		c.min.srtt_us = t[k].srtt_us;
		c.min.opts &= ~t[k].no_sack;
		make_hw(c);
		for (__u32 i = 1; i <= TOE_NR_OOO; i++) {
			s.seq = RCV0 + 200 * i;
			if (!t[k].twice) {
				expect_ack(rx(&s));
				continue;
			}
			rx(&s);
			assert_int_equal(expect_ack(rx(&s)).sack[0][0], s.seq);
		}
	}
}

/* RFC 7323 5.3: an acknowledgement stamped by the exact clock is not followed by one with the time of the last tick. */
static void times_go_on(void **state)
{
	__u32 before = 0, now;

	(void)state;
	for (__u32 i = 0; i < 60; i++) {
		struct hw_conn c = test_conn();
		struct seg s = plain(RCV0 + 200, 100);

		make_hw(c);
		before = expect_ack(rx(&s)).tsval;		/* out of order */
		s.seq = RCV0 - 100;				/* old: one at once */
		now = expect_ack(rx(&s)).tsval;
		assert_true((__s32)(now - before) >= 0);
		usleep(700);
	}
}

#define CASE(f) cmocka_unit_test_setup(f, start_hw)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(too_many_intervals), CASE(rush_out_of_order), CASE(rush_over_holes), CASE(rush_at_once),
		CASE(times_go_on),
	};
	int failed;

	env_open();
	failed = cmocka_run_group_tests_name("IPv4", cases, NULL, NULL);
	v6 = true;
	return failed + cmocka_run_group_tests_name("IPv6", cases, NULL, NULL);
}
