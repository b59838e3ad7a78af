// SPDX-License-Identifier: GPL-2.0-or-later
/* RX engine: the window that is advertised, and what it makes of bytes at its edge and beyond the ring. */
#include "tests/bpf/frames.h"
#include "toe/wnd.h"

static void window_edge(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 1500), a;

	(void)state;
	c.min.rcv_adv = RCV0 + 1000;
	make_hw(c);
	/* nothing more can be offered */
	env_ctl()->rx_read = RCV0 - ENV_RING + 1000 + wnd_reserve(1 << 5, ENV_RING);
	a = expect_ack(rx(&s));				/* 1000 fit */
	assert_int_equal(a.ack, RCV0 + 1000);
	assert_int_equal(a.window, 0);
	assert_int_equal(conn()->min.rcv_adv, RCV0 + 1000);
	s = plain(RCV0 + 1000, 1);			/* window probe */
	a = expect_ack(rx(&s));
	assert_int_equal(a.ack, RCV0 + 1000);
	s = plain(RCV0 + 1001, 100);			/* right of it */
	expect_ack(rx(&s));
	assert_int_equal(COUNTED(RX_OUT_OF_WINDOW), 1);
	env_ctl()->rx_read += 500;			/* RFC 9293 3.8.6.2.2: not worth it yet */
	s = plain(RCV0 + 1000, 1);
	assert_int_equal(expect_ack(rx(&s)).window, 0);
	env_ctl()->rx_read += 1100;			/* a segment of the peer's, 1500, fits */
	assert_int_equal(expect_ack(rx(&s)).window, 1600 >> 5);
}

/* Whatever comes and is read, the edge never moves left nor beyond the ring. */
static void window_never_shrinks(void **state)
{
	struct min_tcp m = test_conn().min;
	__u32 read = RCV0, seed = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		__u32 adv = m.rcv_adv, wire;

		seed = seed * 1664525 + 1013904223;
		if ((seed >> 8) % 3 == 0)
			read = seq_min(m.rcv_nxt, read + (seed >> 16) % 5000);
		m.rcv_nxt = seq_min(m.rcv_adv, m.rcv_nxt + ((seed >> 4) % 4 ? seed >> 30 : 1448));
		wire = wnd_select(&m, read, ENV_RING);
		assert_true(seq_geq(m.rcv_adv, adv));
		assert_true(seq_leq(m.rcv_adv, read + ENV_RING));
		assert_true(seq_leq(m.rcv_nxt + (wire << m.rcv_wscale), m.rcv_adv));
		assert_true(m.rcv_adv - (m.rcv_nxt + (wire << m.rcv_wscale)) < 1U << m.rcv_wscale);
	}
}

/* The peer never sees the edge move to the left while nobody reads, at full segments and the largest scale of a ring. */
static void window_rounds_up(void **state)
{
	(void)state;
	for (__u8 shift = 0; shift <= 10; shift++) {
		struct min_tcp m = test_conn().min;
		__u32 seen, read = RCV0;

		m.rcv_wscale = shift;
		m.rcv_mss = 1448;
		m.rcv_adv = seen = RCV0;
		for (int round = 0; round < 3; round++, read = m.rcv_nxt) {
			for (int i = 0; i < 100; i++) {
				__u32 edge = m.rcv_nxt + ((__u32)wnd_select(&m, read, ENV_RING) << shift);

				assert_true(seq_geq(edge, seen));
				seen = edge;
				m.rcv_nxt = seq_min(seen, m.rcv_nxt + 2 * 1448);
			}
			assert_int_equal(m.rcv_nxt, seen);
			assert_true(seen - read > (shift ? ENV_RING / 8 * 5 : 60000));
		}
	}
}

static void positions_are_not_believed(void **state)
{
	struct seg s = plain(RCV0, 100);

	(void)state;
	env_ctl()->rx_read = RCV0 + 1;
	assert_int_equal(rx(&s), XDP_DROP);
	env_ctl()->rx_read = RCV0 - ENV_RING - 1;
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(COUNTED(RX_BAD_RING), 2);
	env_ctl()->rx_read = RCV0 | TOE_FROZEN;
	env_ctl()->rcv_nxt = 99;			/* nor is what the engine wrote there */
	rx(&s);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 100);
	assert_int_equal(env_ctl()->rcv_nxt, RCV0 + 100);
}

#define BEYOND	50000U		/* bytes that the kernel promised and the ring does not hold */

/* A promise beyond the ring, of which nothing has come yet. */
static void promise_beyond_ring(void)
{
	struct hw_conn c = test_conn();

	c.min.rcv_adv = RCV0 + ENV_RING + BEYOND;
	c.min.snd_nxt += 10;
	make_hw(c);
	env_wake(CHUNK_DAEMON)->armed = 1;
}

static void expect_upload(const struct seg *s)
{
	struct frame fr = *build(s);
	__u32 rcv_nxt = conn()->min.rcv_nxt, adv = conn()->min.rcv_adv, una = conn()->min.snd_una;

	assert_int_equal(rx(s), XDP_REDIRECT);
	assert_int_equal(conn()->state, TOE_HOLD);
	assert_int_equal(conn()->next, TOE_KERNEL | TOE_NEXT_PARKED);
	assert_int_equal(conn()->why, TOE_WHY_WINDOW);
	assert_int_equal(env_drain(), 1);
	assert_memory_equal(env.last.frame, fr.data, fr.len);
	assert_int_equal(conn()->min.rcv_nxt, rcv_nxt);		/* all of it is the kernel's: nothing is taken */
	assert_int_equal(conn()->min.rcv_adv, adv);
	assert_int_equal(conn()->min.snd_una, una);
	assert_int_equal(env.clock[ENV_ID].flags, TOE_CLK_UPLOAD);
}

/* Nobody reads: the ring takes what it holds, every acknowledgement repeats the whole promise, and the segment that
 * begins in the ring and ends beyond it is the kernel's. */
static void beyond_ring_in_order(void **state)
{
	struct seg s = plain(RCV0, MSS), a;
	__u32 promise = RCV0 + ENV_RING + BEYOND;

	(void)state;
	promise_beyond_ring();
	for (; s.seq + MSS - RCV0 <= ENV_RING; s.seq += MSS) {
		if (rx(&s) != XDP_TX)
			continue;
		a = dissect(&out);
		assert_int_equal(a.ack, s.seq + MSS);
		assert_true(seq_geq(a.ack + ((__u32)a.window << 5), promise));
		promise = a.ack + ((__u32)a.window << 5);
	}
	assert_int_equal(conn()->min.rcv_nxt, s.seq);
	check_ring(RCV0, s.seq);
	assert_int_equal(COUNTED(RX_UPLOAD), 0);
	s.ack = SND0 + 10;			/* nor is its acknowledgement looked at */
	expect_upload(&s);
	check_ring(RCV0, RCV0 + ENV_RING - MSS);	/* nothing was written over */
	assert_int_equal(COUNTED(RX_UPLOAD), 1);
}

static const struct { __u32 at, len; bool upload; } places[] = {
	{ ENV_RING - 100, 100, false },			/* ends with the ring */
	{ ENV_RING - 100, 101, true },
	{ ENV_RING, 1, true },
	{ ENV_RING + BEYOND - 1, 1, true },		/* the last byte of the promise */
	{ ENV_RING + BEYOND - 1, 2, true },
	{ ENV_RING + BEYOND, 1, false },		/* a window probe: never promised */
	{ ENV_RING + BEYOND + 1, 100, false },
	{ ENV_RING + 7, 0, false },			/* no bytes, no promise to keep */
};

static void beyond_ring_out_of_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(places); i++) {
		struct seg s = plain(RCV0 + places[i].at, places[i].len);

		promise_beyond_ring();
		if (places[i].upload) {
			expect_upload(&s);
			continue;
		}
		rx(&s);
		assert_int_equal(conn()->state, TOE_HW);
		assert_int_equal(conn()->min.rcv_nxt, RCV0);
		assert_int_equal(env_drain(), 0);
		assert_int_equal(conn()->nr_ooo, !i);
	}
}

/* What is damaged or old keeps its answer, wherever it lies. */
static void beyond_ring_refused(void **state)
{
	struct seg s = plain(RCV0 + ENV_RING + 10, 100);

	(void)state;
	promise_beyond_ring();
	s.bad_csum = true;
	assert_int_equal(rx(&s), XDP_DROP);
	s.bad_csum = false;
	s.tsval = TS0 - 100;
	assert_int_equal(expect_ack(rx(&s)).ack, RCV0);
	assert_int_equal(COUNTED(RX_BAD_CSUM), 1);
	assert_int_equal(COUNTED(RX_PAWS), 1);
	assert_int_equal(conn()->state, TOE_HW);
}

/* A reader that keeps up: the ring's edge overtakes the promise, and the connection is one like any other. */
static void ring_overtakes_promise(void **state)
{
	struct seg s = plain(RCV0, MSS), a;
	__u32 seen = RCV0 + ENV_RING + BEYOND;

	(void)state;
	promise_beyond_ring();
	for (int i = 0; i < 300; i++, s.seq += MSS) {
		env_ctl()->rx_read = s.seq;
		if (rx(&s) != XDP_TX)
			continue;
		a = dissect(&out);
		assert_true(seq_geq(a.ack + ((__u32)a.window << 5), seen));
		seen = a.ack + ((__u32)a.window << 5);
	}
	assert_int_equal(conn()->state, TOE_HW);
	assert_true(seq_leq(conn()->min.rcv_adv, (__u32)env_ctl()->rx_read + ENV_RING));
	assert_true(seq_after(conn()->min.rcv_adv, RCV0 + ENV_RING + BEYOND));
	s.len = 0;
	s.seq = (__u32)env_ctl()->rx_read + ENV_RING + 10;	/* beyond the promise as well now */
	expect_ack(rx(&s));
	assert_int_equal(COUNTED(RX_OUT_OF_WINDOW), 1);
}

/* Replayed after a HOLD: the daemon sees whose frame it is. */
static void beyond_ring_replayed(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0 + ENV_RING - 10, 100);
	struct frame *fr;

	(void)state;
	c.min.rcv_adv = RCV0 + ENV_RING + BEYOND;
	make_shadow(&c);
	assert_int_equal(env_op(&c.min.flow, TOE_CMD_HOLD, TOE_HW, &(struct hw_conn){ .cookie = c.cookie }), 0);
	assert_int_equal(env_op(&c.min.flow, TOE_CMD_LOAD, 0, &c), 0);
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_PASS);
	assert_int_equal(conn()->state, TOE_HOLD);
	assert_int_equal(conn()->nr_ooo, 0);
}

#define CASE(f) cmocka_unit_test_setup(f, start_hw)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(window_edge), CASE(window_never_shrinks), CASE(window_rounds_up), CASE(positions_are_not_believed),
		CASE(beyond_ring_in_order), CASE(beyond_ring_out_of_order), CASE(beyond_ring_refused),
		CASE(ring_overtakes_promise), CASE(beyond_ring_replayed),
	};
	int failed;

	env_open();
	failed = cmocka_run_group_tests_name("IPv4", cases, NULL, NULL);
	v6 = true;
	return failed + cmocka_run_group_tests_name("IPv6", cases, NULL, NULL);
}
