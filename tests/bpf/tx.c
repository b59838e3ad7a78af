// SPDX-License-Identifier: GPL-2.0-or-later
/* TX engine: descriptors in, segments out; who may send what. */
#include <time.h>
#include "tests/bpf/frames.h"
#include "toe/cc.h"
#include "toe/wnd.h"

/* A descriptor and the payload that belongs at its sequence number. */
static struct toe_desc desc(__u16 op, __u32 seq, __u16 len)
{
	return (struct toe_desc){ .magic = TOE_DESC_MAGIC, .op = op, .hw_connid = ENV_ID, .gen = ENV_GEN,
				  .seq = seq, .len = len };
}

static unsigned int hdr_room(void)
{
	return TOE_HDR_LEN(v6 ? AF_INET6 : AF_INET, 1);
}

static int tx_frame(const struct toe_desc *d, unsigned int len, unsigned int qp)
{
	static __u8 frame[4096];
	struct toe_desc full = *d;

	memset(frame, 0xaa, sizeof(frame));
	for (unsigned int i = 0; i < d->len; i++)
		frame[hdr_room() + i] = pattern(d->seq + i);
	full.csum = (__u16)htons((__u16)sum16(frame + hdr_room(), d->len, 0));
	memcpy(frame, &full, sizeof(full));
	return run_prog(env.tx->progs.toe_tx, frame, len, TOE_TAP_IFINDEX + qp, &out);
}

/* The application has written much more than that. */
static int tx(const struct toe_desc *d, unsigned int qp)
{
	env_ctl()->tx_filled = (__u32)(d->seq + 1000000);
	return tx_frame(d, hdr_room() + d->len, qp);
}

static int send_at(__u32 seq, __u16 len)
{
	struct toe_desc d = desc(TOE_OP_DATA, seq, len);

	return tx(&d, ENV_QP);
}

static struct seg sent(int verdict)
{
	struct seg s;
	const __u8 *p;

	assert_int_equal(verdict, XDP_REDIRECT);
	s = dissect(&out);
	p = out.data + out.len - s.len;
	for (unsigned int i = 0; i < s.len; i++)
		assert_int_equal(p[i], pattern(s.seq + i));
	return s;
}

static void data(void **state)
{
	struct toe_desc d = desc(TOE_OP_DATA, SND0, 64);
	struct seg s;

	(void)state;
	d.flags = TOE_DESC_PSH;
	s = sent(tx(&d, ENV_QP));
	assert_int_equal(s.seq, SND0);
	assert_int_equal(s.len, 64);
	assert_int_equal(s.flags, ACK | PSH);
	assert_int_equal(s.ack, RCV0);
	assert_int_equal(s.tsecr, TS0);
	assert_int_equal(s.window, (ENV_RING - wnd_reserve(32, ENV_RING)) >> 5);
	assert_int_equal(conn()->min.snd_nxt, SND0 + 64);
	assert_int_equal(env_ctl()->snd_nxt, SND0 + 64);
	assert_int_equal(env_ctl()->rcv_adv, RCV0 + ENV_RING - wnd_reserve(32, ENV_RING));
	assert_true(env.clock[ENV_ID].rtx_since);
	assert_int_equal(env.clock[ENV_ID].tx_bytes, 64);
	assert_true(env_dirty());
	assert_int_equal(conn()->rtt_seq, SND0 + 64);
	s = sent(send_at(SND0 + 64, 1));
	assert_int_equal(s.flags, ACK);
	assert_false(env_dirty());		/* the timer runs already */
	assert_int_equal(conn()->rtt_seq, SND0 + 64);
	assert_int_equal(COUNTED(TX_SEGS), 2);
	assert_int_equal(COUNTED(TX_BYTES), 65);
}

/* RFC 7323 4.1 and 5: whatever clock was read, a timestamp is never older than one that has left. */
static void timestamps(void **state)
{
	struct timespec ts;
	__u32 now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (__u32)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	env.clock[ENV_ID].last_rx_ms = now + 900;
	assert_int_equal(sent(send_at(SND0, 10)).tsval, now + 900 + 1000);
	env.clock[ENV_ID].last_rx_ms = now;
	assert_int_equal(sent(send_at(SND0 + 10, 10)).tsval, now + 900 + 1000);
	env.clock[ENV_ID].last_rx_ms = now + 50000;	/* nonsense, or 49 days ago */
	assert_int_equal(sent(send_at(SND0 + 20, 10)).tsval, now + 900 + 1000);
}

static void every_length(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.snd_mss = TOE_MAX_PAYLOAD;
	c.min.cwnd = c.min.snd_wnd = 100000;
	for (__u16 len = 1; len <= TOE_MAX_PAYLOAD; len = (__u16)(len + (len < 70 ? 1 : 333))) {
		make_hw(c);
		assert_int_equal(sent(send_at(SND0, len)).len, len);
	}
}

static void acknowledges(void **state)
{
	struct seg in = plain(RCV0, 300);

	(void)state;
	rx(&in);
	assert_true(env_ctl()->ack_due);
	assert_int_equal(sent(send_at(SND0, 10)).ack, RCV0 + 300);
	assert_false(env_ctl()->ack_due);
	assert_int_equal(env.clock[ENV_ID].ack_since, 0);
	assert_int_equal(conn()->min.last_ack, RCV0 + 300);
	assert_int_equal(conn()->unacked_segs, 0);
}

static void request_and_answer(void **state)
{
	struct seg in;

	(void)state;
	for (__u32 i = 0; i < 50; i++) {
		in = plain(RCV0 + 64 * i, 64);
		in.ack = SND0 + 64 * i;
		assert_int_equal(rx(&in), XDP_DROP);
		env_ctl()->rx_read = RCV0 + 64 * i + 64;
		sent(send_at(SND0 + 64 * i, 64));
	}
	assert_int_equal(conn()->min.snd_una, SND0 + 64 * 49);
	assert_true(conn()->min.srtt_us > 0);
	assert_true(conn()->min.cwnd == 10 * MSS);	/* never the limit */
}

static void refused(void **state)
{
	struct toe_desc d = desc(TOE_OP_DATA, SND0, 100);

	(void)state;
	assert_int_equal(tx(&d, ENV_OTHER_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_FOREIGN), 1);
	d.gen--;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.gen = 0;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d = desc(TOE_OP_DATA, SND0, 100);
	d.hw_connid++;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.hw_connid = ~0U;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	assert_int_equal(send_at(SND0 + 1, 100), XDP_DROP);
	assert_int_equal(send_at(SND0 - 1, 100), XDP_DROP);
	assert_int_equal(COUNTED(TX_STALE), 6);
	d = desc(TOE_OP_RTX, SND0, 100);
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.op = TOE_OP_PROBE;
	d.len = 0;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_FOREIGN), 3);
	assert_int_equal(conn()->min.snd_nxt, SND0);
}

static void malformed(void **state)
{
	struct toe_desc d = desc(TOE_OP_DATA, SND0, 100);

	(void)state;
	assert_int_equal(tx_frame(&d, hdr_room() + 99, ENV_QP), XDP_DROP);
	assert_int_equal(tx_frame(&d, hdr_room() + 101, ENV_QP), XDP_DROP);
	assert_int_equal(tx_frame(&d, 20, ENV_QP), XDP_DROP);
	d.len = 0;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.len = MSS + 1;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d = desc(TOE_OP_ACK, 0, 1);
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.op = 0;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.op = 99;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	d.op = TOE_OP_DATA;
	d.magic++;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_MALFORMED), 9);
	assert_int_equal(conn()->min.snd_nxt, SND0);
}

static void limits(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	for (__u32 i = 0; i < 10; i++)
		sent(send_at(SND0 + MSS * i, MSS));
	assert_int_equal(send_at(SND0 + 10 * MSS, 1), XDP_DROP);		/* cwnd */
	assert_int_equal(COUNTED(TX_WINDOW), 1);
	assert_int_equal(env_ctl()->snd_nxt, SND0 + 10 * MSS);
	c.min.snd_wnd = 500;
	make_hw(c);
	assert_int_equal(send_at(SND0, 501), XDP_DROP);
	sent(send_at(SND0, 500));
	assert_int_equal(COUNTED(TX_WINDOW), 1);
	c.min.snd_wnd = c.min.cwnd = 10 * ENV_RING;
	c.min.snd_nxt = SND0 + ENV_RING - 10;		/* beyond what the tx ring can hold */
	make_hw(c);
	assert_int_equal(send_at(c.min.snd_nxt, 11), XDP_DROP);
	sent(send_at(c.min.snd_nxt, 10));
}

/* What a segment would carry beyond tx_filled is still to be written. */
static void unwritten(void **state)
{
	struct toe_desc d = desc(TOE_OP_DATA, SND0, 100);

	(void)state;
	env_ctl()->tx_filled = SND0 + 99;
	assert_int_equal(tx_frame(&d, hdr_room() + d.len, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_WINDOW), 1);
	assert_int_equal(env_ctl()->snd_nxt, SND0);
	env_ctl()->tx_filled = SND0 + 100;
	sent(tx(&d, ENV_QP));
}

static void ack_op(void **state)
{
	struct toe_desc d = desc(TOE_OP_ACK, 0, 0);
	struct seg s = plain(RCV0 + 2000, 100), a;

	(void)state;
	a = sent(tx(&d, ENV_QP));
	assert_int_equal(a.seq, SND0);
	assert_int_equal(a.nr_sack, 0);
	rx(&s);
	s.seq += 1000;
	rx(&s);
	a = sent(tx(&d, ENV_QP));			/* the frame grows */
	assert_int_equal(a.nr_sack, 2);
	assert_int_equal(a.sack[0][0], RCV0 + 3000);
	assert_int_equal(a.sack[1][1], RCV0 + 2100);
	assert_int_equal(COUNTED(TX_ACKS), 2);
}

static void probe(void **state)
{
	struct toe_desc d = desc(TOE_OP_PROBE, 0, 0);

	(void)state;
	assert_int_equal(sent(tx(&d, TOE_QP_DAEMON)).seq, SND0 - 1);
	assert_int_equal(COUNTED(TX_PROBES), 1);
	assert_int_equal(conn()->min.snd_nxt, SND0);
}

static void rtx(void **state)
{
	struct toe_desc d = desc(TOE_OP_RTX, SND0, 500);

	(void)state;
	sent(send_at(SND0, 500));
	assert_true(conn()->rtt_start_us);
	assert_int_equal(tx(&d, TOE_QP_DAEMON), XDP_DROP);	/* it is not lost */
	assert_int_equal(COUNTED(TX_STALE), 1);
	d.flags = TOE_DESC_TLP;					/* RFC 8985 section 7 */
	assert_int_equal(sent(tx(&d, TOE_QP_DAEMON)).seq, SND0);
	assert_int_equal(conn()->rec, TOE_REC_TLP);
	assert_int_equal(conn()->rtt_start_us, 0);		/* Karn */
	assert_int_equal(env_ctl()->rtx_segs, 1);
	assert_int_equal(COUNTED(TX_TLP), 1);
	assert_int_equal(COUNTED(TX_RTX), 0);
	d.seq++;						/* beyond snd_nxt */
	assert_int_equal(tx(&d, TOE_QP_DAEMON), XDP_DROP);
	d.seq = SND0 - 1;
	assert_int_equal(tx(&d, TOE_QP_DAEMON), XDP_DROP);
	assert_int_equal(conn()->min.snd_nxt, SND0 + 500);
	d = desc(TOE_OP_DATA, SND0 + 500, 20);			/* for the application */
	sent(tx(&d, TOE_QP_DAEMON));
}

/* RFC 8985 section 7.3: a probe may go beyond cwnd, not beyond the window; the application may not say that it is one. */
static void tlp_beyond_cwnd(void **state)
{
	struct toe_desc d = desc(TOE_OP_DATA, SND0 + MSS, MSS);
	struct hw_conn c = test_conn();

	(void)state;
	c.min.cwnd = MSS;
	c.min.snd_wnd = 2 * MSS;
	make_hw(c);
	sent(send_at(SND0, MSS));
	d.flags = TOE_DESC_TLP;
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_WINDOW), 1);
	sent(tx(&d, TOE_QP_DAEMON));
	assert_int_equal(conn()->rec, TOE_REC_TLP);
	d.seq += MSS;
	assert_int_equal(tx(&d, TOE_QP_DAEMON), XDP_DROP);
	assert_int_equal(COUNTED(TX_WINDOW), 2);
}

/* RFC 3168 6.1: new data is ECN-capable, carries CWR once; every segment echoes. */
static void ecn(void **state)
{
	struct hw_conn c = test_conn();
	struct toe_desc d = desc(TOE_OP_ACK, 0, 0);
	struct seg s;

	(void)state;
	c.min.opts |= TOE_OPT_ECN;
	c.ecn = TOE_ECN_CWR | TOE_ECN_ECHO;
	make_hw(c);
	sent_ecn = 0;
	s = sent(tx(&d, ENV_QP));
	assert_int_equal(s.flags, ACK | ECE);
	sent_ecn = 2;
	s = sent(send_at(SND0, 500));
	assert_int_equal(s.flags, ACK | ECE | CWR);
	s = sent(send_at(SND0 + 500, 500));
	assert_int_equal(s.flags, ACK | ECE);
	sent_ecn = 0;
	d = desc(TOE_OP_RTX, SND0, 500);
	d.flags = TOE_DESC_TLP;
	sent(tx(&d, TOE_QP_DAEMON));
}

/* The engine last sent so long ago, and CUBIC's epoch is that. */
static void idle_for(__u32 ms, __u32 epoch)
{
	struct toe_flow f = test_flow();
	struct hw_conn e;

	TRY(!bpf_map_lookup_elem(env_map(env.tx->maps.hw_conn_t), &f, &e));
	e.last_tx_ms -= ms;
	e.cc[CUBIC_EPOCH] = epoch;
	TRY(!bpf_map_update_elem(env_map(env.tx->maps.hw_conn_t), &f, &e, BPF_ANY));
}

/* RFC 5681 4.1 */
static void after_idle(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.cwnd = 100 * MSS;
	c.min.ssthresh = 50 * MSS;
	make_hw(c);
	sent(send_at(SND0, 500));
	assert_int_equal(conn()->min.cwnd, 100 * MSS);
	make_hw(c);
	idle_for(100000, 0);
	assert_int_equal(send_at(SND0 + 1, 500), XDP_DROP);	/* what is refused ends no pause */
	assert_int_equal(conn()->min.cwnd, 100 * MSS);
	sent(send_at(SND0, 500));
	assert_int_equal(conn()->min.cwnd, 10 * MSS);
	assert_int_equal(conn()->min.ssthresh, 75 * MSS);
}

/* RFC 9438 5.8: not even a short pause is part of an epoch. */
static void cubic_pauses(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.cc_alg = TOE_CC_CUBIC;
	c.min.cwnd = 100 * MSS;
	make_hw(c);
	idle_for(50, 5000);
	sent(send_at(SND0, 500));
	assert_in_range(conn()->cc[CUBIC_EPOCH], 5050, 6000);
	idle_for(50, 5000);
	sent(send_at(SND0 + 500, 500));		/* no pause: something is in flight */
	assert_int_equal(conn()->cc[CUBIC_EPOCH], 5000);
}

static void bind_op(void **state)
{
	struct hw_conn c = test_conn();
	struct toe_desc d = desc(TOE_OP_BIND, 0, 0);

	(void)state;
	c.qp = 0;
	make_hw(c);
	assert_int_equal(tx(&d, ENV_OTHER_QP), XDP_DROP);
	assert_int_equal(conn()->qp, 0);
	assert_int_equal(env_ctl()->qp, 0);
	assert_int_equal(tx(&d, ENV_QP), XDP_DROP);
	assert_int_equal(conn()->qp, ENV_QP);
	assert_int_equal(env_ctl()->qp, ENV_QP);
}

static void only_in_hardware(void **state)
{
	struct toe_flow f = test_flow();

	(void)state;
	assert_int_equal(env_op(&f, TOE_CMD_HOLD, TOE_KERNEL, &(struct hw_conn){ .cookie = 4711 }), 0);
	assert_int_equal(send_at(SND0, 10), XDP_DROP);
	assert_int_equal(COUNTED(TX_STATE), 1);
	assert_int_equal(env_op(&f, TOE_CMD_FINISH, 0, &(struct hw_conn){ .cookie = 4711 }), 0);
	assert_int_equal(send_at(SND0, 10), XDP_DROP);
	assert_int_equal(COUNTED(TX_STALE), 1);
}

static void speed(void **state)
{
	struct toe_desc d = desc(TOE_OP_ACK, 0, 0);
	struct xdp_md ctx = { .data_end = hdr_room(), .ingress_ifindex = TOE_TAP_IFINDEX + ENV_QP };
	__u8 frame[TOE_HDR_MAX] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = hdr_room(), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 100000);

	(void)state;
	memcpy(frame, &d, sizeof(d));
	TRY(!bpf_prog_test_run_opts(bpf_program__fd(env.tx->progs.toe_tx), &opts));
	print_message("          %u ns a repeat (the first an ACK, then malformed)\n", opts.duration);
}

#define CASE(f) cmocka_unit_test_setup(f, start_hw)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(data), CASE(timestamps), CASE(every_length), CASE(acknowledges), CASE(request_and_answer), CASE(refused),
		CASE(malformed), CASE(limits), CASE(unwritten), CASE(ack_op), CASE(probe), CASE(rtx), CASE(tlp_beyond_cwnd), CASE(ecn), CASE(after_idle), CASE(cubic_pauses), CASE(bind_op),
		CASE(only_in_hardware), CASE(speed),
	};

	env_open();
	return on_all_links(cases, NR(cases));
}
