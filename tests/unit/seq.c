/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sequence arithmetic across the wrap (RFC 9293 3.4), receive window, round trip times. */
#include "tests/helpers/pattern.h"
#include "tests/unit/test.h"
#include "toe/rtt.h"
#include "toe/seq.h"
#include "toe/wnd.h"

static void order(void **state)
{
	static const struct { uint32_t a, b; } less[] = {
		{ 0, 1 }, { 1, 0x7fffffff }, { 0xffffffff, 0 }, { 0xfffffff0, 0x10 },
		{ 0x80000000, 0xffffffff }, { 0x7fffffff, 0x80000000 }, { 0x90000000, 0x0fffffff },
	};

	(void)state;
	for (size_t i = 0; i < NR(less); i++) {
		assert_true(seq_before(less[i].a, less[i].b));
		assert_false(seq_before(less[i].b, less[i].a));
		assert_true(seq_after(less[i].b, less[i].a));
		assert_true(seq_leq(less[i].a, less[i].b));
		assert_false(seq_geq(less[i].a, less[i].b));
		assert_true(seq_leq(less[i].a, less[i].a));
		assert_false(seq_before(less[i].a, less[i].a));
		assert_int_equal(seq_min(less[i].a, less[i].b), less[i].a);
		assert_int_equal(seq_max(less[i].a, less[i].b), less[i].b);
	}
}

/* A receiver of random segments and a reader of random speed: the edge never moves left, what is
 * advertised never reaches beyond the ring, and a reader that has taken all reopens the window. */
static void window(void **state)
{
	uint64_t rnd = 1;

	(void)state;
	for (int run = 0; run < 200; run++) {
		uint32_t size = 65536U << rnd_below(&rnd, 7), start = (uint32_t)rnd_next(&rnd);
		struct min_tcp m = { .rcv_nxt = start, .rcv_adv = start + size / 2, .rcv_mss = 1448 };
		uint32_t read = start, shown = m.rcv_adv, most;
		uint8_t limit = rnd_below(&rnd, 2) ? 0 : (uint8_t)rnd_below(&rnd, 256);

		m.rcv_wscale = (uint8_t)rnd_below(&rnd, 12);
		m.wnd_limit = limit;
		most = wnd_most(1U << m.rcv_wscale, size, limit);
		assert_true(!limit || most <= size / 256 * limit || most == 2U << m.rcv_wscale);
		for (int step = 0; step < 500; step++) {
			uint32_t wire, old = m.rcv_adv;

			if (rnd_below(&rnd, 2))
				m.rcv_nxt += rnd_below(&rnd, m.rcv_adv - m.rcv_nxt + 1) % 3000;
			if (rnd_below(&rnd, 2))
				read += rnd_below(&rnd, m.rcv_nxt - read + 1);
			wire = wnd_select(&m, read, size);
			shown = m.rcv_nxt + (wire << m.rcv_wscale);
			assert_true(seq_geq(m.rcv_adv, old));
			assert_true(seq_leq(shown, read + size));
			assert_true(seq_leq(shown, m.rcv_adv));
			assert_true(wire <= 0xffff);
			/* no promise is larger than SO_RCVBUF allows, but for what was promised before and the rounding */
			assert_true(!seq_after(m.rcv_adv, seq_max(old, read + most) + (1U << m.rcv_wscale)));
		}
		read = m.rcv_nxt;
		wnd_select(&m, read, size);
		most = m.rcv_adv - m.rcv_nxt;
		assert_true(limit || most >= size / 4 || most >= 60000U << m.rcv_wscale);
		assert_true(most >= 1U << m.rcv_wscale);
	}
}

/* A reader that stands still while full segments come, two an acknowledgement, until the window is closed: what is
 * shown never goes back, by not even one byte. Whatever the phase of the sequence numbers. */
static void standing_reader(void **state)
{
	uint64_t rnd = 3;

	(void)state;
	for (int run = 0; run < 2000; run++) {
		uint32_t size = 65536U << rnd_below(&rnd, 8), start = (uint32_t)rnd_next(&rnd), acks = 0;
		struct min_tcp m = { .rcv_nxt = start, .rcv_adv = start, .rcv_mss = 1448,
				     .rcv_wscale = (uint8_t)rnd_below(&rnd, 11) };
		uint32_t wire = wnd_select(&m, start, size), shown = start + (wire << m.rcv_wscale);

		if (wire == 0xffff)	/* the field ends before the ring */
			continue;
		while (shown != m.rcv_nxt) {
			m.rcv_nxt += shown - m.rcv_nxt < 2896 ? shown - m.rcv_nxt : 2896;
			wire = wnd_select(&m, start, size);
			assert_false(seq_before(m.rcv_nxt + (wire << m.rcv_wscale), shown));
			shown = m.rcv_nxt + (wire << m.rcv_wscale);
			assert_true(seq_leq(shown, start + size));
			assert_true(acks++ < size / 1000);
		}
		assert_true(acks > 10);
	}
}

/* The kernel had promised more than the ring holds: whatever comes, the edge does not go back on the wire while it is
 * beyond the ring, moves by less than a unit for each acknowledgement, and ends within the ring once that has been read. */
static void promise_beyond_ring(void **state)
{
	uint64_t rnd = 5;

	(void)state;
	for (int run = 0; run < 2000; run++) {
		uint32_t size = 65536U << rnd_below(&rnd, 8), start = (uint32_t)rnd_next(&rnd), read = start, shown,
		    wire;
		struct min_tcp m = { .rcv_nxt = start, .rcv_mss = 1448,
				     .rcv_wscale = (uint8_t)(6 + rnd_below(&rnd, 6)) };
		uint32_t unit = 1U << m.rcv_wscale, most = size + rnd_below(&rnd, 2 * size);

		m.rcv_adv = shown = start + (most < 60000 * unit ? most : 60000 * unit);
		if (seq_leq(m.rcv_adv, start + size))
			continue;
		while (seq_after(m.rcv_adv, read + size)) {
			uint32_t old = m.rcv_adv;

			m.rcv_nxt += 2896;
			if (m.rcv_nxt - read >= size / 2)
				read = m.rcv_nxt;
			wire = wnd_select(&m, read, size);
			assert_true(seq_geq(m.rcv_adv, old));
			assert_true(m.rcv_adv - old < unit || seq_leq(m.rcv_adv, read + size));
			assert_false(seq_before(m.rcv_nxt + (wire << m.rcv_wscale), shown));
			shown = m.rcv_nxt + (wire << m.rcv_wscale);
			assert_true(m.rcv_nxt - start < 64 * size);
		}
	}
}

/* RFC 9293 3.8.6.2.2: a reader of single bytes opens the window by whole segments (or half of what may be promised). */
static void silly_receiver(void **state)
{
	static const struct { uint32_t mss; uint8_t limit; } with[] = {
		{ 1448, 0 }, { 9000, 0 }, { 1448, 8 }, { 60000, 0 },
	};
	uint32_t size = 65536;

	(void)state;
	for (size_t i = 0; i < NR(with); i++) {
		struct min_tcp m = { .rcv_nxt = 100, .rcv_adv = 100, .rcv_mss = (uint16_t)with[i].mss,
				     .wnd_limit = with[i].limit };
		uint32_t most = wnd_most(1, size, with[i].limit), read = 100, opened = 0;
		uint32_t least = with[i].mss < most / 2 ? with[i].mss : most / 2;

		m.rcv_nxt += wnd_select(&m, read, size);
		assert_int_equal(wnd_select(&m, read, size), 0);
		for (; read != m.rcv_nxt; opened = m.rcv_adv - m.rcv_nxt) {
			uint32_t wire = wnd_select(&m, ++read, size);

			assert_true(wire == opened || wire - opened >= least);
		}
		assert_true(opened > most - least);
	}
}

static void rtt(void **state)
{
	struct hw_conn c = { .min = { .min_rtt_us = ~0U } };

	(void)state;
	rtt_start(&c, 1000, 0);			/* time 0 is a time, not "none" */
	assert_int_not_equal(c.rtt_start_us, 0);
	c.min.snd_una = 999;
	assert_false(rtt_acked(&c, 5000));
	c.min.snd_una = 1000;
	assert_true(rtt_acked(&c, 5001));
	assert_int_equal(c.min.srtt_us, 5000);	/* RFC 6298 2.2 */
	assert_int_equal(c.min.rttvar_us, 2500);
	assert_int_equal(c.min.min_rtt_us, 5000);
	rtt_sample(&c.min, 13000);		/* 2.3: 7/8, 1/8; 3/4, 1/4 of the old error */
	assert_int_equal(c.min.srtt_us, 6000);
	assert_int_equal(c.min.rttvar_us, 2500 - 2500 / 4 + 8000 / 4);
	rtt_start(&c, 2000, 1);
	rtt_cancel(&c);				/* Karn */
	c.min.snd_una = 2000;
	assert_false(rtt_acked(&c, 99));
	rtt_sample(&c.min, RTT_MAX_US + 1);
	assert_int_equal(c.min.srtt_us, 6000);
	c.last_tx_ms = 7;			/* one in each millisecond, one at a time */
	assert_false(rtt_wanted(&c, 7));
	assert_true(rtt_wanted(&c, 8));
	rtt_start(&c, 3000, 8000);
	assert_false(rtt_wanted(&c, 9));
	rtt_cancel(&c);
	c.min.srtt_us = 0;			/* nothing is known yet */
	assert_true(rtt_wanted(&c, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order), cmocka_unit_test(window), cmocka_unit_test(standing_reader),
		cmocka_unit_test(promise_beyond_ring), cmocka_unit_test(silly_receiver),
		cmocka_unit_test(rtt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
