// SPDX-License-Identifier: GPL-2.0-or-later
/* The command program: each command, from each state. */
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
	c = test_conn();
	assert_int_equal(op(TOE_CMD_RTO, &c), -EPERM);
	c = test_conn();
	assert_int_equal(op(99, &c), -EINVAL);
	c = test_conn();
	c.rx.chunk = TOE_SLAB_CHUNKS - 1;
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
	assert_int_equal(conn()->next, TOE_KERNEL);
	c.min.rcv_nxt += 5;
	c.seen_end = c.min.rcv_nxt;
	assert_int_equal(op(TOE_CMD_LOAD, &c), 0);
	assert_int_equal(op(TOE_CMD_FINISH, &c), 0);
	assert_int_equal(conn()->state, TOE_KERNEL);
	assert_int_equal(conn()->hw_connid, 0);
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
	assert_int_equal(env_ctl()->ack_due, 1);
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
	assert_int_equal(conn()->min.ssthresh, 4 * MSS);
	assert_int_equal(conn()->recover, SND0 + 8 * MSS);
	assert_int_equal(env_ctl()->snd_edge, SND0 + MSS);
	assert_int_equal(env.clock[ENV_ID].snd_edge, SND0 + MSS);
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
		CASE(hold_taken_over), CASE(published), CASE(delayed_ack_inherited), CASE(link_change), CASE(timeout),
	};

	env_open();
	return cmocka_run_group_tests(cases, NULL, NULL);
}
