// SPDX-License-Identifier: GPL-2.0-or-later
/* The command program: each command, from each state. */
#include <time.h>
#include "tests/bpf/frames.h"

static struct toe_flow flow;

static int op(__u32 o, struct hw_conn *c)
{
	return env_op(&flow, o, TOE_KERNEL, c);
}

static void nobody(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	flow.rport++;
	for (__u32 o = TOE_CMD_HOLD; o <= TOE_CMD_READ; o++)
		assert_int_equal(op(o, &c), -ENOENT);
	flow.rport--;
}

static void other_cookie(void **state)
{
	(void)state;
	for (__u32 o = TOE_CMD_HOLD; o <= TOE_CMD_RTO; o++) {
		struct hw_conn c = test_conn();

		c.cookie++;
		assert_int_equal(op(o, &c), -ESTALE);
		assert_int_equal(c.cookie, 4711);	/* the answer is the entry */
	}
	assert_int_equal(conn()->state, TOE_HW);
}

static void wrong_state(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	assert_int_equal(op(TOE_CMD_LOAD, &c), -EPERM);
	c = test_conn();
	assert_int_equal(op(TOE_CMD_FINISH, &c), -EPERM);
	c = test_conn();
	assert_int_equal(op(TOE_CMD_HOLD, &c), 0);
	c = test_conn();
	assert_int_equal(op(TOE_CMD_LINK, &c), -EPERM);
	assert_int_equal(op(TOE_CMD_WAKE, &c), -EPERM);
	c = test_conn();
	assert_int_equal(op(TOE_CMD_RTO, &c), -EPERM);
	c = test_conn();
	assert_int_equal(op(99, &c), -EINVAL);
	c = test_conn();
	c.rx.unit = TOE_SLAB_UNITS - TOE_CHUNK_UNITS;
	assert_int_equal(op(TOE_CMD_LOAD, &c), -EINVAL);
	c.rx.order = TOE_MAX_ORDER + 1;
	assert_int_equal(op(TOE_CMD_LOAD, &c), -EINVAL);
}

static void short_command(void **state)
{
	static struct frame fr;

	(void)state;
	assert_int_equal(run_prog(env.cmd->progs.toe_cmd, &fr.data, 100, ENV_NIC_IFINDEX, &fr), -EINVAL);
}

static void up_and_down(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	assert_int_equal(op(TOE_CMD_HOLD, &c), 0);
	assert_int_equal(conn()->state, TOE_HOLD);
	assert_int_equal(conn()->next, TOE_KERNEL | TOE_NEXT_PARKED);
	c.min.rcv_nxt += 5;
	c.seen_end = c.min.rcv_nxt;
	c.nr_ooo = 2;
	c.rec = TOE_REC_DSACK;
	assert_int_equal(op(TOE_CMD_LOAD, &c), 0);
	assert_int_equal(conn()->nr_ooo, 2);	/* a rebuild that begins anew needs them */
	assert_int_equal(op(TOE_CMD_FINISH, &c), 0);
	assert_int_equal(conn()->state, TOE_KERNEL);
	assert_int_equal(conn()->hw_connid, 0);
	assert_int_equal(conn()->nr_ooo, 0);
	assert_int_equal(conn()->rec, 0);
	assert_int_equal(conn()->seen_end, RCV0 + 5);
	assert_int_equal(conn()->cookie, 4711);
}

/* HOLD by the engine becomes one of the daemon. */
static void hold_taken_over(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 4);

	(void)state;
	s.flags |= FIN;
	rx(&s);
	assert_int_equal(conn()->state, TOE_HOLD);
	assert_int_equal(op(TOE_CMD_HOLD, &c), 0);
	assert_int_equal(c.nr_held, 1);
	assert_int_equal(c.why, TOE_WHY_FIN);
	c.nr_held = 0;
	assert_int_equal(op(TOE_CMD_FINISH, &c), -EAGAIN);
	assert_int_equal(op(TOE_CMD_FINISH, &c), 0);
	env_drain();
}

static void published(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.snd_nxt += 500;
	c.min.srtt_us = 321;
	make_hw(c);
	assert_int_equal(env_ctl()->rcv_nxt, RCV0);
	assert_int_equal(env_ctl()->qp, ENV_QP);
	assert_int_equal(env_ctl()->rcv_adv, RCV0 + ADV);
	assert_int_equal(env_ctl()->snd_una, SND0);
	assert_int_equal(env_ctl()->snd_nxt, SND0 + 500);
	assert_int_equal(env_ctl()->snd_edge, SND0 + 10 * MSS);
	assert_int_equal(env_ctl()->srtt_us, 321);
	assert_int_equal(env_ctl()->snd_wnd, WND);
	assert_int_equal(env_ctl()->rx_read, RCV0);		/* the library's: not touched */
	assert_int_equal(env.clock[ENV_ID].snd_nxt, SND0 + 500);
	assert_true(env.clock[ENV_ID].rtx_since);
}

/* An acknowledgement that the kernel had put off is the daemon's to send. */
static void delayed_ack_inherited(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.last_ack -= 700;
	make_hw(c);
	assert_true(env.clock[ENV_ID].ack_since);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_ONE);
}

static void link_change(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.dst_mac[5] = 0x99;
	c.ttl = 9;
	c.nic = 4;
	c.min.rcv_nxt = 1;		/* not for LINK */
	assert_int_equal(op(TOE_CMD_LINK, &c), 0);
	assert_int_equal(conn()->dst_mac[5], 0x99);
	assert_int_equal(conn()->ttl, 9);
	assert_int_equal(conn()->nic, 4);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
}

static void woken_again(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	assert_false(env_woken());
	assert_int_equal(op(TOE_CMD_WAKE, &c), 0);
	assert_true(env_woken());
	assert_int_equal(conn()->state, TOE_HW);
}

/* SO_RCVBUF: the connection's next segments promise no more. */
static void window_limit(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, MSS);

	(void)state;
	c.min.wnd_limit = 128;
	assert_int_equal(op(TOE_CMD_LINK, &c), 0);
	assert_int_equal(conn()->min.wnd_limit, 128);
	rx(&s);
	s.seq += MSS;
	assert_int_equal(rx(&s), XDP_TX);
	assert_int_equal(dissect(&out).window, (ENV_RING / 2 - 2 * MSS) >> 5);
}

/* Larger rings for what is held in between. */
static void other_rings(void **state)
{
	struct hw_conn c = test_conn();
	struct toe_ring_ctl *ctl = env_ctl_of(CHUNK_RX + 2);
	struct seg s = plain(RCV0, MSS);

	(void)state;
	memset(ctl, 0, sizeof(*ctl));
	ctl->rx_read = RCV0;
	ctl->snd_edge = SND0 + 1000 * MSS;		/* somebody else's */
	assert_int_equal(op(TOE_CMD_RINGS, &c), -EPERM);
	c = test_conn();
	assert_int_equal(env_op(&flow, TOE_CMD_HOLD, TOE_HW, &c), 0);
	c.rx.order = TOE_MAX_ORDER + 1;
	assert_int_equal(op(TOE_CMD_RINGS, &c), -EINVAL);
	assert_int_equal(c.rx.order, ENV_ORDER);
	c.rx.slab++;					/* there is none: the rings stay as they are */
	c.min.copied_seq = RCV0 - 3;
	assert_int_equal(op(TOE_CMD_RINGS, &c), -EINVAL);
	assert_int_equal(conn()->rx.slab, test_conn().rx.slab);
	assert_int_equal(conn()->min.copied_seq, RCV0);
	c = *conn();
	c.tx.slab++;
	assert_int_equal(op(TOE_CMD_RINGS, &c), -EINVAL);
	assert_int_equal(conn()->tx.slab, test_conn().tx.slab);
	c = *conn();
	c.rx.unit = (CHUNK_RX + 2) * TOE_CHUNK_UNITS;
	c.tx.unit = (CHUNK_TX + 2) * TOE_CHUNK_UNITS;
	c.gen += 7;
	c.min.wnd_limit = 77;
	c.min.copied_seq = RCV0 - 3;
	c.min.write_seq = SND0 + 9;
	assert_int_equal(op(TOE_CMD_RINGS, &c), 0);
	assert_int_equal(conn()->rx.unit, (CHUNK_RX + 2) * TOE_CHUNK_UNITS);
	assert_int_equal(conn()->tx.unit, (CHUNK_TX + 2) * TOE_CHUNK_UNITS);
	assert_int_equal(conn()->gen, c.gen);
	assert_int_equal(conn()->min.wnd_limit, 77);
	assert_int_equal(conn()->min.copied_seq, RCV0 - 3);
	assert_int_equal(conn()->min.write_seq, SND0 + 9);
	assert_int_equal(ctl->rcv_nxt, RCV0);
	assert_int_equal(ctl->snd_una, SND0);
	assert_int_equal(ctl->snd_edge, SND0 + 10 * MSS);
	assert_int_equal(env_op(&flow, TOE_CMD_FINISH, TOE_HW, &c), 0);
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(ctl->rcv_nxt, RCV0 + MSS);
	assert_int_equal(*env_ring(CHUNK_RX + 2, RCV0), pattern(RCV0));
}

static void timeout(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.snd_nxt += 8 * MSS;
	make_hw(c);
	c.backoff = 3;
	assert_int_equal(op(TOE_CMD_RTO, &c), 0);
	assert_int_equal(conn()->ca_state, TOE_CA_LOSS);
	assert_int_equal(conn()->backoff, 3);
	assert_int_equal(conn()->min.cwnd, MSS);
	assert_int_equal(conn()->min.ssthresh, 7 * MSS);	/* CUBIC, of a cwnd of 10 */
	assert_int_equal(conn()->recover, SND0 + 8 * MSS);
	assert_int_equal(env_ctl()->snd_edge, SND0 + MSS);
	assert_int_equal(env.clock[ENV_ID].snd_edge, SND0 + MSS);
}

static struct toe_cmd next;

/* What is to be sent again now. */
static unsigned int ask(__u32 op)
{
	next = (struct toe_cmd){ .op = op, .flow = flow, .conn = test_conn() };
	assert_int_equal(env_cmd(&next), 0);
	return next.nr_rtx;
}

static void resend(unsigned int n)
{
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = TOE_OP_RTX, .hw_connid = ENV_ID, .gen = ENV_GEN,
			      .seq = next.rtx[n].start, .len = (__u16)(next.rtx[n].end - next.rtx[n].start) };
	static __u8 frame[2048];
	unsigned int len = TOE_HDR_LEN(d.len && v6 ? 10 : 2, 1);

	memcpy(frame, &d, sizeof(d));
	env_mark();
	assert_int_equal(run_prog(env.tx->progs.toe_tx, frame, len + d.len, TOE_TAP_IFINDEX + TOE_QP_DAEMON, &out),
			 XDP_REDIRECT);
	assert_int_equal(COUNTED(TX_RTX), 1);
	assert_int_equal(dissect(&out).seq, d.seq);
	/* again: it is under way */
	assert_int_equal(run_prog(env.tx->progs.toe_tx, frame, len + d.len, TOE_TAP_IFINDEX + TOE_QP_DAEMON, &out),
			 XDP_DROP);
	assert_int_equal(COUNTED(TX_STALE), 1);
}

static void hear_sack(__u32 ack, __u32 s, __u32 e, __u32 s2, __u32 e2)
{
	struct seg g = plain(RCV0, 0);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	/* of what was sent last */
	g.tsecr = (__u32)(now.tv_sec * 1000 + now.tv_nsec / 1000000) + test_conn().min.ts_off;
	g.ack = ack;
	g.nr_sack = s2 != e2 ? 2 : 1;
	g.sack[0][0] = s, g.sack[0][1] = e;
	g.sack[1][0] = s2, g.sack[1][1] = e2;
	rx(&g);
}

/* RFC 6675: the holes, and only them, the first first, as the congestion window has room. */
static void holes(void **state)
{
	struct hw_conn c = test_conn();
	__u32 id = ENV_ID;
	struct hw_rec rec;

	(void)state;
	c.min.snd_nxt += 10 * MSS;
	make_hw(c);
	assert_int_equal(ask(TOE_CMD_NEXT), 0);
	hear_sack(SND0, SND0 + 2 * MSS, SND0 + 3 * MSS, 0, 0);
	assert_int_equal(conn()->sacked, MSS);
	assert_int_equal(env.clock[ENV_ID].snd_edge, SND0 + 11 * MSS);	/* RFC 3042 */
	hear_sack(SND0, SND0 + 4 * MSS, SND0 + 8 * MSS, SND0 + 2 * MSS, SND0 + 3 * MSS);
	assert_int_equal(conn()->ca_state, TOE_CA_RECOVERY);
	assert_int_equal(env.clock[ENV_ID].flags & TOE_CLK_RTX, TOE_CLK_RTX);
	assert_int_equal(conn()->min.cwnd, 7 * MSS);
	assert_int_equal(conn()->sacked, 5 * MSS);
	/* 10 in flight, 5 SACKed, 3 lost: 2 in the network, 5 more may go */
	assert_int_equal(ask(TOE_CMD_NEXT), 3);
	assert_int_equal(next.rtx[0].start, SND0);
	assert_int_equal(next.rtx[1].start, SND0 + MSS);
	assert_int_equal(next.rtx[2].start, SND0 + 3 * MSS);
	assert_int_equal(next.rtx[2].end, SND0 + 4 * MSS);
	for (unsigned int i = 0; i < 3; i++)
		resend(i);
	assert_int_equal(ask(TOE_CMD_NEXT), 0);
	hear_sack(SND0 + 10 * MSS, SND0 + 3 * MSS, SND0 + 4 * MSS, 0, 0);	/* with a D-SACK */
	assert_int_equal(conn()->ca_state, TOE_CA_OPEN);
	assert_int_equal(conn()->sacked, 0);
	assert_int_equal(conn()->rec, 0);
	TRY(!bpf_map_lookup_elem(env_map(env.rx->maps.hw_rec), &id, &rec));
	assert_int_equal(rec.reo_mult, 2);			/* RFC 8985 6.2 step 4 */
}

/* More of them than the scoreboard has holes: each is sent again once, in order, and what was SACKed is not. */
static void many_holes(void **state)
{
	struct hw_conn c = test_conn();
	__u32 seq = SND0, nr = 0;

	(void)state;
	c.min.snd_nxt += 60 * MSS;
	c.min.cwnd = 60 * MSS;
	make_hw(c);
	for (__u32 i = 1; i < 60; i += 2)
		hear_sack(SND0, SND0 + i * MSS, SND0 + (i + 1) * MSS, 0, 0);
	assert_int_equal(conn()->sacked, 30 * MSS);
	hear_sack(SND0, SND0 + 50 * MSS, SND0 + 52 * MSS, 0, 0);	/* one has come, far up */
	assert_int_equal(conn()->sacked, 31 * MSS);
	while (ask(TOE_CMD_NEXT)) {
		for (unsigned int i = 0; i < next.nr_rtx; i++, nr++) {
			seq += seq == SND0 + 50 * MSS ? 2 * MSS : 0;
			assert_int_equal(next.rtx[i].start, seq);
			assert_int_equal(next.rtx[i].end, seq + MSS);
			resend(i);
			seq += 2 * MSS;
		}
	}
	assert_int_equal(nr, 29);
	hear_sack(SND0 + 36 * MSS, 0, 0, 0, 0);
	assert_int_equal(conn()->sacked, 13 * MSS);
	hear_sack(SND0 + 60 * MSS, 0, 0, 0, 0);
	assert_int_equal(conn()->ca_state, TOE_CA_OPEN);
	assert_int_equal(conn()->rec, 0);
}

/* RFC 6675 5.1: what is SACKED is not sent again after a timeout. */
static void timeout_with_sack(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.snd_nxt += 4 * MSS + 10;
	make_hw(c);
	hear_sack(SND0, SND0 + MSS, SND0 + 2 * MSS, 0, 0);
	assert_int_equal(ask(TOE_CMD_RTO), 1);
	resend(0);
	assert_int_equal(ask(TOE_CMD_NEXT), 0);		/* cwnd is one segment */
	hear_sack(SND0 + 2 * MSS, 0, 0, 0, 0);
	assert_int_equal(conn()->min.cwnd, 3 * MSS);	/* slow start */
	assert_int_equal(ask(TOE_CMD_NEXT), 3);
	assert_int_equal(next.rtx[0].start, SND0 + 2 * MSS);
	assert_int_equal(next.rtx[2].end, SND0 + 4 * MSS + 10);
	for (unsigned int i = 0; i < 3; i++)
		resend(i);
	assert_int_equal(ask(TOE_CMD_NEXT), 0);
}

static int start(void **state)
{
	flow = test_flow();
	return start_hw(state);
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(nobody), CASE(other_cookie), CASE(wrong_state), CASE(short_command), CASE(up_and_down),
		CASE(hold_taken_over), CASE(published), CASE(delayed_ack_inherited), CASE(link_change), CASE(woken_again),
		CASE(window_limit),
		CASE(other_rings), CASE(timeout), CASE(holes), CASE(many_holes), CASE(timeout_with_sack),
	};

	env_open();
	return cmocka_run_group_tests(cases, NULL, NULL);
}
