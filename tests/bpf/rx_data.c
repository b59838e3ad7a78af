// SPDX-License-Identifier: GPL-2.0-or-later
/* RX engine: segment text, order, acknowledgements, wake-ups. Windows: rx_window.c. */
#include "tests/bpf/frames.h"
#include "toe/ival.h"

static void in_order(void **state)
{
	struct seg s = plain(RCV0, 64);
	const struct hw_conn *c;

	(void)state;
	assert_int_equal(rx(&s), XDP_DROP);
	c = conn();
	assert_int_equal(c->min.rcv_nxt, RCV0 + 64);
	assert_int_equal(env_ctl()->rcv_nxt, RCV0 + 64);
	check_ring(RCV0, RCV0 + 64);
	assert_true(env_ctl()->ack_due);
	assert_true(env.clock[ENV_ID].ack_since);
	assert_int_equal(env.clock[ENV_ID].rx_bytes, 64);
	assert_true(env_woken());
	assert_true(env_dirty());
	assert_int_equal(COUNTED(RX_SEGS), 1);
	assert_int_equal(COUNTED(RX_BYTES), 64);
	assert_int_equal(COUNTED(RX_DOORBELL), 0);
}

static void every_second_segment_is_acked(void **state)
{
	struct seg s = plain(RCV0, MSS), a;

	(void)state;
	s.tsval = TS0 + 9;
	assert_int_equal(rx(&s), XDP_DROP);
	s.seq += MSS;
	a = expect_ack(rx(&s));
	assert_int_equal(a.seq, SND0);
	assert_int_equal(a.ack, RCV0 + 2 * MSS);
	assert_int_equal(a.flags, ACK);
	assert_int_equal(a.tsecr, TS0 + 9);
	assert_int_equal(a.nr_sack, 0);
	assert_int_equal(a.len, 0);
	assert_int_equal(conn()->unacked_segs, 0);
	assert_int_equal(conn()->min.last_ack, RCV0 + 2 * MSS);
	assert_int_equal(env_ctl()->ack_due, 0);
	assert_int_equal(env.clock[ENV_ID].ack_since, 0);
	assert_int_equal(COUNTED(RX_ACKS_OUT), 1);
	check_ring(RCV0, RCV0 + 2 * MSS);	/* over the wrap of both numbers and chunks */
}

static void every_length(void **state)
{
	struct seg s = plain(RCV0, 0);

	(void)state;
	for (s.len = 1; s.len <= TOE_MAX_PAYLOAD; s.len += s.len < 600 ? 1 : 97) {
		make_hw(test_conn());
		rx(&s);
		assert_int_equal(conn()->min.rcv_nxt, RCV0 + s.len);
		check_ring(RCV0, RCV0 + s.len);
	}
}

static void doorbell(void **state)
{
	struct seg s = plain(RCV0, 10);

	(void)state;
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx(&s), XDP_REDIRECT);
	assert_int_equal(env_wake(CHUNK_QP)->armed, 0);
	assert_true(env_woken());
	assert_true(env_ctl()->ack_due);
	s.seq += 10;
	assert_int_equal(rx(&s), XDP_DROP);	/* rung once */
	assert_true(env_woken());
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_SEVERAL);
	assert_int_equal(COUNTED(RX_DOORBELL), 1);
}

/* The doorbell goes first; that an acknowledgement should go at once is told. */
static void doorbell_over_ack(void **state)
{
	struct seg s = plain(RCV0, 2 * MSS);

	(void)state;
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx(&s), XDP_REDIRECT);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_ONE);
	s.seq += s.len;
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx(&s), XDP_REDIRECT);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_URGENT);
	s.seq += s.len;
	expect_ack(rx(&s));
	assert_int_equal(env_ctl()->ack_due, 0);
}

static void pure_ack_does_not_wake(void **state)
{
	struct seg s = plain(RCV0, 0);

	(void)state;
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(rx(&s), XDP_DROP);
	assert_false(env_woken());
	assert_int_equal(env_wake(CHUNK_QP)->armed, 1);
	assert_int_equal(env_ctl()->ack_due, 0);
}

static void play_order(const int order[5])
{
	__u32 got = 0;

	make_hw(test_conn());
	for (int i = 0; i < 5; i++) {
		struct seg s = plain(RCV0 + 700U * (__u32)order[i], 700), a;
		__u32 nxt = RCV0;
		int verdict = rx(&s);

		got |= 1U << order[i];
		while (got & (1U << (nxt - RCV0) / 700))
			nxt += 700;
		assert_int_equal(conn()->min.rcv_nxt, nxt);
		check_ring(RCV0, nxt);
		if (seq_before(nxt, s.seq)) {		/* out of order: at once, with its block first */
			a = expect_ack(verdict);
			assert_int_equal(a.ack, nxt);
			assert_true(a.nr_sack >= 1);
			assert_true(seq_leq(a.sack[0][0], s.seq));
			assert_true(seq_geq(a.sack[0][1], s.seq + 700));
		}
	}
	assert_int_equal(conn()->nr_ooo, 0);
}

static void all_orders_of_five(void **state)
{
	int order[5] = { 0, 1, 2, 3, 4 };
	int runs = 0;

	(void)state;
	for (;;) {			/* next permutation, in lexical order */
		int i = 3, j = 4, tmp;

		play_order(order);
		runs++;
		while (i >= 0 && order[i] > order[i + 1])
			i--;
		if (i < 0)
			break;
		while (order[j] < order[i])
			j--;
		tmp = order[i], order[i] = order[j], order[j] = tmp;
		for (int a = i + 1, b = 4; a < b; a++, b--)
			tmp = order[a], order[a] = order[b], order[b] = tmp;
	}
	assert_int_equal(runs, 120);
}

static void expect_sack(struct seg a, int n, __u32 s, __u32 e)
{
	assert_int_equal(a.sack[n][0], s);
	assert_int_equal(a.sack[n][1], e);
}

/* RFC 2883 section 4 */
static void d_sack(void **state)
{
	struct seg s = plain(RCV0, 500), a;

	(void)state;
	rx(&s);
	a = expect_ack(rx(&s));				/* 4.1.1: below the acknowledgement */
	assert_int_equal(a.nr_sack, 1);
	expect_sack(a, 0, RCV0, RCV0 + 500);
	s = plain(RCV0 + 400, 200);			/* in part: 4.2 */
	a = expect_ack(rx(&s));
	assert_int_equal(a.ack, RCV0 + 600);
	assert_int_equal(a.nr_sack, 1);
	expect_sack(a, 0, RCV0 + 400, RCV0 + 500);
	s = plain(RCV0 + 1000, 1000);
	a = expect_ack(rx(&s));				/* told once */
	assert_int_equal(a.nr_sack, 1);
	expect_sack(a, 0, RCV0 + 1000, RCV0 + 2000);
	s = plain(RCV0 + 3000, 100);
	rx(&s);
	s = plain(RCV0 + 1200, 300);			/* above it: 4.1.2, then the block that it lies in */
	a = expect_ack(rx(&s));
	assert_int_equal(a.nr_sack, 3);
	expect_sack(a, 0, RCV0 + 1200, RCV0 + 1500);
	expect_sack(a, 1, RCV0 + 1000, RCV0 + 2000);
	expect_sack(a, 2, RCV0 + 3000, RCV0 + 3100);
	s = plain(RCV0 + 900, 200);			/* above it, in part */
	a = expect_ack(rx(&s));
	expect_sack(a, 0, RCV0 + 1000, RCV0 + 1100);
	expect_sack(a, 1, RCV0 + 900, RCV0 + 2000);
	s = plain(RCV0 + 600, 500);			/* fills the gap, and more */
	a = expect_ack(rx(&s));
	assert_int_equal(a.ack, RCV0 + 2000);
	expect_sack(a, 0, RCV0 + 900, RCV0 + 1100);
	s = plain(RCV0 + 100, 300);			/* wholly before the window, as an old retransmission is */
	a = expect_ack(rx(&s));
	assert_int_equal(a.nr_sack, 2);
	expect_sack(a, 0, RCV0 + 100, RCV0 + 400);
}

/* RFC 3168 6.1.3: CE is echoed until CWR comes. */
static void ecn_echo(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 100);

	(void)state;
	s.ecn = 3;
	assert_int_equal(rx(&s), XDP_DROP);			/* not negotiated */
	c.min.opts |= TOE_OPT_ECN;
	make_hw(c);
	s.ecn = 2;
	assert_int_equal(rx(&s), XDP_DROP);
	s.seq += 100;
	s.ecn = 3;
	assert_int_equal(expect_ack(rx(&s)).flags, ACK | ECE);	/* at once */
	s.seq += 100;
	s.ecn = 2;
	assert_int_equal(rx(&s), XDP_DROP);
	s.seq += 1000;
	assert_int_equal(expect_ack(rx(&s)).flags, ACK | ECE);
	s.seq -= 900;
	s.len = 900;
	s.flags |= CWR;
	assert_int_equal(expect_ack(rx(&s)).flags, ACK);
	s.seq += 1000;
	s.ecn = 3;
	assert_int_equal(expect_ack(rx(&s)).flags, ACK | ECE);	/* CWR and CE in one: CE wins */
}

/* RFC 8257 3.2: every acknowledgement tells of its own segments. */
static void dctcp_echo(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 100);

	(void)state;
	c.min.opts |= TOE_OPT_ECN;
	c.cc_alg = TOE_CC_DCTCP;
	make_hw(c);
	sent_ecn = 2;
	s.ecn = 3;
	assert_int_equal(expect_ack(rx(&s)).flags, ACK | ECE);
	s.seq += 100;
	assert_int_equal(rx(&s), XDP_DROP);
	s.seq += 100;
	s.ecn = 2;
	assert_int_equal(expect_ack(rx(&s)).flags, ACK);
	sent_ecn = 0;
}

/* A peer that does not do SACK is told nothing. */
static void no_sack(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 500);

	(void)state;
	c.min.opts &= ~TOE_OPT_SACK;
	make_hw(c);
	rx(&s);
	assert_int_equal(expect_ack(rx(&s)).nr_sack, 0);
	s.seq += 1000;
	assert_int_equal(expect_ack(rx(&s)).nr_sack, 0);
	assert_int_equal(expect_ack(rx(&s)).nr_sack, 0);
}

static void overlaps(void **state)
{
	struct seg s = plain(RCV0, 500);

	(void)state;
	rx(&s);
	s = plain(RCV0 + 400, 300);		/* 100 old bytes */
	assert_int_equal(expect_ack(rx(&s)).ack, RCV0 + 700);
	s = plain(RCV0 + 1000, 300);
	rx(&s);
	s = plain(RCV0 + 1200, 300);		/* overlaps what is out of order */
	rx(&s);
	assert_int_equal(conn()->nr_ooo, 1);
	s = plain(RCV0 - 100, 1200);		/* old bytes, the gap, and into the interval */
	assert_int_equal(expect_ack(rx(&s)).ack, RCV0 + 1500);
	check_ring(RCV0, RCV0 + 1500);
	assert_int_equal(conn()->nr_ooo, 0);
}

/* A ring where nothing is starts over; not while a byte is unread or waits out of order. */
static void starts_over(void **state)
{
	struct seg s = plain(RCV0, 100);

	(void)state;
	env_ctl()->rx_base = RCV0 - 5000;
	rx(&s);
	assert_int_equal(env_ctl()->rx_base, RCV0);
	env_ctl()->rx_read = RCV0 + 99;
	s.seq += 100;
	rx(&s);
	assert_int_equal(env_ctl()->rx_base, RCV0);
	check_ring(RCV0, RCV0 + 200);
	env_ctl()->rx_read = RCV0 + 200;
	s.seq = RCV0 + 300;				/* out of order */
	rx(&s);
	assert_int_equal(env_ctl()->rx_base, RCV0 + 200);
	s.seq = RCV0 + 500;
	rx(&s);
	s.seq = RCV0 + 200;
	rx(&s);
	assert_int_equal(env_ctl()->rx_base, RCV0 + 200);
	check_ring(RCV0 + 200, RCV0 + 400);
	check_ring(RCV0 + 500, RCV0 + 600);
	env_ctl()->rx_read = RCV0 + 400;
	s.seq = RCV0 + 400;
	rx(&s);
	assert_int_equal(env_ctl()->rx_base, RCV0 + 200);
	check_ring(RCV0 + 400, RCV0 + 600);
	env_ctl()->rx_read = RCV0 + 600;
	s.seq = RCV0 + 600;
	rx(&s);
	assert_int_equal(env_ctl()->rx_base, RCV0 + 600);
	check_ring(RCV0 + 600, RCV0 + 700);
}

/* Round and round in a ring of each kind, over the end of chunks, of the ring, of the sequence numbers, and over the
 * place where the base is moved; the reader is always some bytes behind. */
static void walk_ring(unsigned int order, __u32 far)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 1447);
	__u32 size;

	c.rx.order = order & 15;
	size = ring_size(c.rx);
	make_hw(c);
	env_ctl()->rx_base = RCV0 - 10 - far;
	for (int i = 0; i < 250; i++, s.seq += s.len) {
		env_ctl()->rx_read = s.seq - 10;
		rx(&s);
		assert_int_equal(conn()->min.rcv_nxt, s.seq + s.len);
		for (__u32 k = s.seq; k != s.seq + s.len; k++) {
			__u32 at = (k - (RCV0 - 10 - far)) % size;

			assert_int_equal(*env_place(CHUNK_RX, at), pattern(k));
		}
	}
	assert_int_equal(env_ctl()->rx_base == RCV0 - 10 - far, !far);
}

static void every_ring(void **state)
{
	(void)state;
	for (unsigned int order = TOE_ORDER_64; order <= ENV_ORDER; order++) {
		walk_ring(order, 0);
		walk_ring(order, (1U << 31) - 100000);
	}
}

static void duplicates(void **state)
{
	struct seg s = plain(RCV0, 500);

	(void)state;
	rx(&s);
	env_woken();
	memset(env_ring(CHUNK_RX, RCV0), 0xee, 500);	/* the application reads here: hands off */
	assert_int_equal(expect_ack(rx(&s)).ack, RCV0 + 500);
	assert_int_equal(*env_ring(CHUNK_RX, RCV0 + 7), 0xee);
	assert_int_equal(COUNTED(RX_DUP), 1);
	assert_false(env_woken());
	s.len = 0;
	s.seq = RCV0 + 499;				/* keepalive */
	assert_int_equal(expect_ack(rx(&s)).ack, RCV0 + 500);
	assert_int_equal(rx(&s), XDP_DROP);		/* but not every time */
	assert_int_equal(COUNTED(RX_OUT_OF_WINDOW), 2);
}

static void paws(void **state)
{
	struct seg s = plain(RCV0, 10);

	(void)state;
	s.tsval = TS0 - 2;			/* one behind is let through, as Linux does */
	assert_int_equal(expect_ack(rx(&s)).ack, RCV0);
	assert_int_equal(COUNTED(RX_PAWS), 1);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
	s.tsval = TS0 + 5;
	rx(&s);
	assert_int_equal(conn()->min.ts_recent, TS0 + 5);
	s.seq += 10;				/* RFC 7323 4.3: beyond Last.ACK.sent, kept out */
	s.tsval = TS0 + 8;
	rx(&s);
	assert_int_equal(conn()->min.ts_recent, TS0 + 5);
	s.seq += 10;
	s.no_ts = true;
	rx(&s);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 30);
}

/* Who acknowledges less than was acknowledged already may be anybody: as in Linux, that sets no clock. */
static void ts_of_old_ack(void **state)
{
	struct seg s = plain(RCV0, 10);

	(void)state;
	s.tsval = TS0 + 9;
	s.ack = SND0 - 1;
	rx(&s);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 10);
	assert_int_equal(conn()->min.ts_recent, TS0);
}

/* RFC 7323 5.5: the peer's clock may have turned over in a long silence. */
static void paws_silence(void **state)
{
	const __u32 day = 24 * 3600 * 1000;
	struct seg s = plain(RCV0, 10);

	(void)state;
	s.tsval = TS0 - 1000;
	env.clock[ENV_ID].last_rx_ms -= 23 * day;
	rx(&s);
	assert_int_equal(COUNTED(RX_PAWS), 1);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
	env.clock[ENV_ID].last_rx_ms -= 2 * day;
	rx(&s);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 10);
	assert_int_equal(conn()->min.ts_recent, TS0 - 1000);
	s.seq += 10;
	rx(&s);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 20);
}

/* A rebuilt socket that has heard nothing hands over ts_recent 0: no clock is behind that. */
static void ts_recent_unknown(void **state)
{
	struct hw_conn c;
	struct seg s = plain(RCV0, 10);

	(void)state;
	c = *conn();
	assert_int_equal(env_op(&c.min.flow, TOE_CMD_HOLD, TOE_HW, &c), 0);
	c.min.ts_recent = 0;
	c.nr_held = 0;
	assert_int_equal(env_op(&c.min.flow, TOE_CMD_LOAD, 0, &c), 0);
	assert_int_equal(env_op(&c.min.flow, TOE_CMD_FINISH, 0, &c), 0);
	s.tsval = 0xf0000000;
	rx(&s);
	assert_int_equal(COUNTED(RX_PAWS), 0);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 10);
	assert_int_equal(conn()->min.ts_recent, 0xf0000000);
}

static void bad_checksum(void **state)
{
	struct seg s = plain(RCV0, 333);

	(void)state;
	memset(env_ring(CHUNK_RX, RCV0), 0xee, 400);
	s.bad_csum = true;
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(*env_ring(CHUNK_RX, RCV0), 0xee);
	assert_int_equal(*env_ring(CHUNK_RX, RCV0 + 332), 0xee);
	s.bad_csum = false;
	s.partial = true;			/* this NIC is no veth */
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(COUNTED(RX_BAD_CSUM), 2);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
}

static void option_orders(void **state)
{
	static const __u8 good[] = { 1, 8, 10, 0, 0, 0x13, 0x90, 0, 0, 0, 1, 1 };	/* NOP TS NOP */
	static const __u8 other[] = { 254, 4, 1, 2, 8, 10, 0, 0, 0x13, 0x91, 0, 0, 0, 1, 0, 77 };
	static const __u8 broken[] = { 8, 9, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0 };
	static const __u8 cut[] = { 1, 1, 8, 10 };
	struct seg s = plain(RCV0, 8);

	(void)state;
	s.raw_opts = good, s.raw_len = sizeof(good);
	rx(&s);
	assert_int_equal(conn()->min.ts_recent, 0x1390);
	s.seq += 8;
	s.raw_opts = other, s.raw_len = sizeof(other);
	rx(&s);
	s.seq += 8;
	s.raw_opts = broken, s.raw_len = sizeof(broken);
	rx(&s);
	s.seq += 8;
	s.raw_opts = cut, s.raw_len = sizeof(cut);
	rx(&s);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 32);
	assert_int_equal(COUNTED(RX_SEGS), 4);
	check_ring(RCV0, RCV0 + 32);
}

/* What is not a whole TCP segment of a known connection is the kernel's. */
static void not_ours(void **state)
{
	struct seg s = plain(RCV0, 100);
	struct frame fr = *build(&s);
	struct bpf_program *prog = env.rx->progs.toe_rx;

	(void)state;
	for (unsigned int len = 14; len < fr.len; len++)
		assert_int_equal(run_prog(prog, fr.data, len, ENV_NIC_IFINDEX, &out), XDP_PASS);
	fr.data[l3_off() + (v6 ? 40 : 20) + 1] ^= 1;		/* port */
	assert_int_equal(run_prog(prog, fr.data, fr.len, ENV_NIC_IFINDEX, &out), XDP_PASS);
	fr.data[12] = 0x81;				/* VLAN */
	fr.data[13] = 0;
	assert_int_equal(run_prog(prog, fr.data, fr.len, ENV_NIC_IFINDEX, &out), XDP_PASS);
	assert_int_equal(COUNTED(RX_SEGS), 0);
}

static int padding_case(unsigned int pad)
{
	struct seg s = plain(RCV0, 2);
	struct frame fr = *build(&s);

	return run_prog(env.rx->progs.toe_rx, fr.data, fr.len + pad, ENV_NIC_IFINDEX, &out);
}

static void ethernet_padding(void **state)
{
	(void)state;
	assert_int_equal(padding_case(30), XDP_DROP);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 2);
}

/* ns of one run, the timer's own cost included. */
static __u32 one_run(const struct seg *s, bool known)
{
	struct frame *fr = build(s);
	struct xdp_md ctx = { .data_end = fr->len, .ingress_ifindex = ENV_NIC_IFINDEX };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = fr->data, .data_size_in = fr->len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	if (!known)
		fr->data[12] = 0;
	TRY(!bpf_prog_test_run_opts(bpf_program__fd(env.rx->progs.toe_rx), &opts));
	return opts.duration;
}

/* One segment in order after the other, each after an empty run: the difference of the best. */
static void speed(void **state)
{
	static const __u32 lens[] = { 64, 1448 };

	for (size_t k = 0; k < NR(lens); k++) {
		__u32 best = ~0U, none = ~0U;
		struct seg s = plain(RCV0, lens[k]);

		start_hw(state);
		for (int i = 0; i < 1000; i++) {
			__u32 ns = one_run(&s, false);

			none = ns < none ? ns : none;
			ns = one_run(&s, true);
			best = ns < best ? ns : best;
			s.seq += s.len;
			env_ctl()->rx_read = s.seq;
		}
		assert_int_equal(conn()->min.rcv_nxt, RCV0 + 1000 * lens[k]);
		print_message("          %u bytes in order: %u ns\n", lens[k], best - none);
	}
}

#define CASE(f) cmocka_unit_test_setup(f, start_hw)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(in_order), CASE(every_second_segment_is_acked), CASE(every_length), CASE(doorbell), CASE(doorbell_over_ack),
		CASE(pure_ack_does_not_wake), CASE(all_orders_of_five), CASE(d_sack), CASE(no_sack), CASE(ecn_echo), CASE(dctcp_echo),
		CASE(overlaps), CASE(starts_over), CASE(every_ring), CASE(duplicates), CASE(paws), CASE(ts_of_old_ack), CASE(paws_silence), CASE(ts_recent_unknown),
		CASE(bad_checksum), CASE(option_orders), CASE(not_ours), CASE(ethernet_padding), CASE(speed),
	};

	env_open();
	return on_all_links(cases, NR(cases));
}
