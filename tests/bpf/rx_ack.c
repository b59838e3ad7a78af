// SPDX-License-Identifier: GPL-2.0-or-later
/* RX engine: acknowledgements that arrive, the peer's window, loss, what wakes whom. */
#include <time.h>
#include "tests/bpf/frames.h"

#define FLIGHT	(8 * MSS)

/* In hardware with FLIGHT bytes on their way. */
static int start_flight(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.snd_nxt = SND0 + FLIGHT;
	make_hw(c);
	env_ctl()->tx_filled = SND0 + FLIGHT;
	return 0;
}

static struct seg ack_at(__u32 ack)
{
	struct seg s = plain(RCV0, 0);

	s.ack = ack;
	return s;
}

static int rx_ack(__u32 ack)
{
	struct seg s = ack_at(ack);

	return rx(&s);
}

static void advance(void **state)
{
	(void)state;
	assert_true(env.clock[ENV_ID].rtx_since);
	env.clock[ENV_ID].rtx_since = 1;
	assert_int_equal(rx_ack(SND0 + 3000), XDP_DROP);
	assert_int_equal(conn()->min.snd_una, SND0 + 3000);
	assert_int_equal(env_ctl()->snd_una, SND0 + 3000);
	assert_int_equal(env_ctl()->snd_edge, SND0 + 3000 + conn()->min.cwnd);
	assert_true(env.clock[ENV_ID].rtx_since > 1);
	assert_int_equal(env.clock[ENV_ID].snd_una, SND0 + 3000);
	assert_false(env_woken());			/* nobody waits */
	rx_ack(SND0 + FLIGHT);
	assert_int_equal(env.clock[ENV_ID].rtx_since, 0);
	rx_ack(SND0 + 5000);				/* old, reordered */
	assert_int_equal(conn()->min.snd_una, SND0 + FLIGHT);
	assert_int_equal(conn()->dupacks, 0);
}

static void bad_acks(void **state)
{
	(void)state;
	assert_int_equal(rx_ack(SND0 + FLIGHT + 1), XDP_TX);
	assert_int_equal(dissect(&out).seq, SND0 + FLIGHT);
	assert_int_equal(rx_ack(SND0 + FLIGHT + 1), XDP_DROP);	/* RFC 5961 section 7 */
	assert_int_equal(rx_ack(SND0 - WND - 1), XDP_DROP);
	assert_int_equal(COUNTED(RX_BAD_ACK), 3);
	assert_int_equal(rx_ack(SND0 - WND), XDP_DROP);
	assert_int_equal(COUNTED(RX_BAD_ACK), 3);
	assert_int_equal(conn()->min.snd_una, SND0);
}

static void writer_is_woken(void **state)
{
	(void)state;
	env_ctl()->want_write = 1;
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx_ack(SND0 + 1000), XDP_REDIRECT);
	assert_true(env_woken());
}

static void pump(void **state)
{
	(void)state;
	env_wake(CHUNK_DAEMON)->armed = 1;
	rx_ack(SND0 + 1000);
	assert_int_equal(env.clock[ENV_ID].flags, 0);		/* nothing to send */
	env_ctl()->tx_filled = SND0 + FLIGHT + 5000;
	assert_int_equal(rx_ack(SND0 + 2000), XDP_DROP);	/* the application is busy: the tick sees */
	assert_int_equal(env.clock[ENV_ID].flags, TOE_CLK_PUMP);
	assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 1);
	assert_true(env_woken());
	assert_true(env_dirty());
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx_ack(SND0 + 3000), XDP_REDIRECT);	/* it sleeps: rung itself */
	assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 1);
	assert_int_equal(env_wake(CHUNK_QP)->armed, 0);
	env.clock[ENV_ID].flags = 0;
	env_ctl()->tx_filled = SND0 + FLIGHT + ENV_RING;	/* cannot be */
	rx_ack(SND0 + 4000);
	assert_int_equal(env.clock[ENV_ID].flags, 0);
}

static void window_update(void **state)
{
	struct seg s = ack_at(SND0);

	(void)state;
	s.window = 100;
	rx(&s);
	assert_int_equal(conn()->min.snd_wnd, 800);
	assert_int_equal(env_ctl()->snd_edge, SND0 + 800);
	s.seq--;				/* older than SND.WL1 */
	s.window = 900;
	rx(&s);
	assert_int_equal(conn()->min.snd_wnd, 800);
	s = ack_at(SND0);
	s.window = 0;
	rx(&s);
	assert_int_equal(env_ctl()->snd_edge, SND0);
	env_ctl()->tx_filled = SND0 + FLIGHT + 1;
	s.window = 8000;			/* opens: to be told though no byte was acknowledged */
	rx(&s);
	assert_true(env_woken());
	assert_int_equal(env.clock[ENV_ID].flags, TOE_CLK_PUMP);
	assert_int_equal(conn()->min.snd_max_wnd, 64000);
	assert_int_equal(conn()->dupacks, 0);
}

/* A flight on a connection without SACK, with RFC 5681's windows. */
static void start_reno(void)
{
	struct hw_conn c = test_conn();

	c.min.snd_nxt = SND0 + FLIGHT;
	c.min.opts &= ~TOE_OPT_SACK;
	c.cc_alg = TOE_CC_RENO;
	make_hw(c);
	env_ctl()->tx_filled = SND0 + FLIGHT;
}

/* A retransmission of the peer that acknowledges new data brings its window along. */
static void window_with_old_seq(void **state)
{
	struct seg s = plain(RCV0 - 500, 500);

	(void)state;
	s.ack = SND0 + 1000;
	s.window = 100;
	rx(&s);
	assert_int_equal(conn()->min.snd_una, SND0 + 1000);
	assert_int_equal(conn()->min.snd_wnd, 800);
	s.window = 900;				/* acknowledges nothing new: older */
	s.seq -= 100;
	s.len += 100;
	rx(&s);
	assert_int_equal(conn()->min.snd_wnd, 800);
}

static void fast_retransmit(void **state)
{
	(void)state;
	start_reno();
	rx_ack(SND0 + 1000);
	rx_ack(SND0 + 1000);
	assert_int_equal(env_ctl()->snd_edge, SND0 + 1000 + conn()->min.cwnd + MSS); /* RFC 3042 */
	rx_ack(SND0 + 1000);
	assert_int_equal(env.clock[ENV_ID].flags, 0);
	env_wake(CHUNK_DAEMON)->armed = 1;
	assert_int_equal(rx_ack(SND0 + 1000), XDP_REDIRECT);
	assert_int_equal(env.clock[ENV_ID].flags, TOE_CLK_RTX);
	assert_int_equal(conn()->ca_state, TOE_CA_RECOVERY);
	assert_int_equal(conn()->min.ssthresh, 3500);
	assert_int_equal(conn()->min.cwnd, 3500);
	assert_int_equal(conn()->sacked, 3 * MSS);	/* RFC 6582's inflation */
	assert_int_equal(COUNTED(RX_FAST_RTX), 1);
	env.clock[ENV_ID].flags = 0;
	env_ctl()->want_write = 1;
	env_wake(CHUNK_QP)->armed = env_wake(CHUNK_DAEMON)->armed = 1;
	assert_int_equal(rx_ack(SND0 + 3000), XDP_REDIRECT);	/* partial: RFC 6582 */
	assert_int_equal(env.clock[ENV_ID].flags, TOE_CLK_RTX);
	assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 0);
	assert_int_equal(env_wake(CHUNK_QP)->armed, 1);
	assert_int_equal(rx_ack(SND0 + FLIGHT), XDP_REDIRECT);
	assert_int_equal(env_wake(CHUNK_QP)->armed, 0);
	assert_int_equal(conn()->ca_state, TOE_CA_OPEN);
	assert_true(conn()->min.cwnd <= 3500);
	assert_int_equal(conn()->sacked, 0);
	assert_int_equal(COUNTED(RX_FAST_RTX), 2);
}

/* Data that arrives with such an acknowledgement is the application's to hear of. */
static void loss_and_data(void **state)
{
	struct seg s = plain(RCV0, 64);

	(void)state;
	start_reno();
	for (int i = 0; i < 4; i++)
		rx_ack(SND0 + 1000);
	s.ack = SND0 + 3000;
	env_wake(CHUNK_QP)->armed = env_wake(CHUNK_DAEMON)->armed = 1;
	assert_int_equal(rx(&s), XDP_REDIRECT);
	assert_int_equal(env_wake(CHUNK_QP)->armed, 0);
	assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 1);
	s.ack += 1000;
	s.seq += 64;
	assert_int_equal(rx(&s), XDP_REDIRECT);			/* the application is awake */
	assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 0);
	assert_int_equal(env.clock[ENV_ID].flags & TOE_CLK_RTX, TOE_CLK_RTX);
}

static void what_is_no_duplicate(void **state)
{
	struct seg s = ack_at(SND0);

	(void)state;
	for (int i = 0; i < 4; i++) {
		s = plain(RCV0 + 100U * (__u32)i, 100);	/* has data */
		rx(&s);
	}
	for (int i = 0; i < 4; i++) {
		s = ack_at(SND0);
		s.seq = RCV0 + 400;
		s.window = (__u16)(6000 + i);		/* window update */
		rx(&s);
	}
	assert_int_equal(conn()->dupacks, 0);
	s.nr_sack = 1;
	s.sack[0][0] = SND0 - 500;			/* D-SACK */
	s.sack[0][1] = SND0 - 100;
	rx(&s);
	assert_int_equal(conn()->dupacks, 0);
	s.sack[0][0] = SND0 + 1000;
	s.sack[0][1] = SND0 + 2000;
	rx(&s);
	assert_int_equal(conn()->dupacks, 1);
}

static void no_flight_no_duplicate(void **state)
{
	(void)state;
	make_hw(test_conn());
	for (int i = 0; i < 5; i++)
		rx_ack(SND0);
	assert_int_equal(conn()->dupacks, 0);
}

static void round_trip(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s;

	(void)state;
	c.min.snd_nxt = SND0 + FLIGHT;
	c.min.opts &= ~TOE_OPT_SACK;
	make_hw(c);
	rx_ack(SND0 + 1000);
	assert_int_equal(conn()->min.srtt_us, 0);	/* nothing timed: nothing learnt */
	for (int i = 0; i < 3; i++)
		rx_ack(SND0 + 1000);			/* into recovery: TSecr tells */
	s = ack_at(SND0 + 2000);
	s.tsecr = env.clock[ENV_ID].last_rx_ms + 1000 - 40;
	rx(&s);
	assert_true(conn()->min.srtt_us >= 40000 && conn()->min.srtt_us < 60000);
	assert_int_equal(env_ctl()->srtt_us, conn()->min.srtt_us);
	s = ack_at(SND0 + 3000);
	s.tsecr = env.clock[ENV_ID].last_rx_ms + 1000;		/* the clock shows nothing: 1 ms at most is what it was */
	rx(&s);
	assert_int_equal(conn()->min.min_rtt_us, 1000);
}

/* The tick's time is kept: it goes on, and is the kernel's to a tick (20 ms at most, at 100 Hz, where it was asked for in between). */
static void time_goes_on(void **state)
{
	struct timespec before;
	__u32 before_ms;
	struct seg s;

	(void)state;
	for (__u32 i = 0; i < 5; i++) {
		usleep(25000);
		clock_gettime(CLOCK_MONOTONIC_COARSE, &before);
		before_ms = (__u32)(before.tv_sec * 1000 + before.tv_nsec / 1000000);
		s = plain(RCV0 + i, 1);		/* an acknowledgement would have it read the exact one */
		rx(&s);
		assert_true(seq_geq(env.clock[ENV_ID].last_rx_ms, before_ms - 20));
	}
}

static void ack_with_data(void **state)
{
	struct seg s = plain(RCV0, 64);

	(void)state;
	s.ack = SND0 + FLIGHT;
	env_ctl()->want_write = 1;
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx(&s), XDP_REDIRECT);
	assert_int_equal(conn()->min.snd_una, SND0 + FLIGHT);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 64);
}

/* RFC 3168 6.1.2: half of it, once a round trip; CWR is to be sent. */
static void ecn_echo(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = ack_at(SND0 + 1000);

	(void)state;
	c.min.snd_nxt = SND0 + FLIGHT;
	s.flags |= ECE;
	make_hw(c);
	rx(&s);						/* not negotiated */
	assert_int_equal(conn()->min.cwnd, 10 * MSS);
	c.min.opts |= TOE_OPT_ECN;
	make_hw(c);
	rx(&s);
	assert_int_equal(conn()->ca_state, TOE_CA_CWR);
	assert_int_equal(conn()->min.cwnd, 7 * MSS);
	assert_int_equal(conn()->ecn, TOE_ECN_CWR);
	s.ack += 1000;
	rx(&s);
	assert_int_equal(conn()->min.cwnd, 7 * MSS);
	assert_int_equal(env.clock[ENV_ID].flags, 0);
}

/* SACK blocks that cannot be change nothing. */
static void bad_sack(void **state)
{
	static const __u32 t[][2] = {
		{ SND0 + 2000, SND0 + 1000 }, { SND0 + 1000, SND0 + 1000 }, { SND0 + 1000, SND0 + FLIGHT + 1 },
		{ SND0 - 5000, SND0 + FLIGHT + 1 }, { SND0 + 0x70000000, SND0 + 0x70000001 },
		{ SND0 - 0x70000000, SND0 },
	};

	(void)state;
	for (size_t i = 0; i < NR(t); i++) {
		struct seg s = ack_at(SND0);

		s.nr_sack = 1;
		memcpy(s.sack[0], t[i], 8);
		rx(&s);
		assert_int_equal(conn()->sacked, 0);
		assert_int_equal(conn()->dupacks, 0);
		assert_int_equal(conn()->rec, 0);
	}
}

#define BURST (TOE_MAX_BURST * MSS)

/* A clump of acknowledgements opens twice what it acknowledged, one portion at least, three at most. */
static void portions(void **state)
{
	struct hw_conn c = test_conn();
	__u32 nxt = SND0 + 300 * MSS;

	(void)state;
	c.min.snd_nxt = nxt;
	c.min.snd_wscale = 14;
	c.min.snd_wnd = 60000U << 14;
	c.min.cwnd = 2000 * MSS;
	make_hw(c);
	assert_int_equal(env_ctl()->snd_edge, nxt + BURST);
	for (__u32 n = 1; n <= 120; n++) {
		__u32 more = 2 * 2 * MSS * n, want = BURST + more;

		rx_ack(SND0 + 2 * MSS * n);
		assert_int_equal(env_ctl()->snd_edge, nxt + (want < 3 * BURST ? want : 3 * BURST));
	}
	c.min.cwnd = 310 * MSS;		/* and never more than cwnd allows */
	make_hw(c);
	rx_ack(SND0 + 2 * MSS);
	assert_true(env_ctl()->snd_edge - (SND0 + 2 * MSS) <= conn()->min.cwnd);
}

static void without_ack_flag(void **state)
{
	struct seg s = plain(RCV0, 64);

	(void)state;
	s.flags = 0;
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
}

#define CASE(f) cmocka_unit_test_setup(f, start_flight)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(advance), CASE(portions), CASE(bad_acks), CASE(writer_is_woken), CASE(pump), CASE(window_update),
		CASE(window_with_old_seq), CASE(fast_retransmit), CASE(loss_and_data), CASE(what_is_no_duplicate),
		CASE(no_flight_no_duplicate),
		CASE(round_trip), CASE(time_goes_on), CASE(ack_with_data), CASE(without_ack_flag), CASE(ecn_echo), CASE(bad_sack),
	};

	env_open();
	return on_all_links(cases, NR(cases));
}
