// SPDX-License-Identifier: GPL-2.0-or-later
/* Trains: one descriptor, many segments. The kernel's copies of the frame are made here, and given to toe_train one by one. */
#include <time.h>
#include "tests/bpf/frames.h"

static struct frame template;	/* what toe_tx made of the descriptor */

static unsigned int hdr_room(void)
{
	return TOE_HDR_LEN(v6 ? AF_INET6 : AF_INET, 1);
}

static struct toe_desc desc(__u32 seq, __u16 nr, __u16 last)
{
	return (struct toe_desc){ .magic = TOE_DESC_MAGIC, .op = TOE_OP_TRAIN, .hw_connid = ENV_ID, .gen = ENV_GEN,
				  .seq = seq, .len = MSS, .nr = nr, .last = last, .flags = TOE_DESC_PSH };
}

static int tx(const struct toe_desc *d, unsigned int len, unsigned int qp)
{
	static __u8 frame[4096];

	memset(frame, 0xaa, sizeof(frame));
	memcpy(frame, d, sizeof(*d));
	return run_prog(env.tx->progs.toe_tx, frame, len, TOE_TAP_IFINDEX + qp, &template);
}

static int train(__u32 seq, __u16 nr, __u16 last)
{
	struct toe_desc d = desc(seq, nr, last);

	return tx(&d, hdr_room() + MSS, ENV_QP);
}

static int wagon(const struct frame *fr)
{
	return run_prog(env.train->progs.toe_train, fr->data, fr->len, ENV_NIC_IFINDEX, &out);
}

static struct seg next(const struct frame *fr)
{
	struct seg s;

	assert_int_equal(wagon(fr), XDP_PASS);
	s = dissect(&out);
	for (unsigned int i = 0; i < s.len; i++)
		if (out.data[out.len - s.len + i] != pattern(s.seq + i))
			fail_msg("byte %u of the segment at %u is wrong", i, s.seq - SND0);
	return s;
}

static int start(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.cwnd = c.min.snd_wnd = 100 * MSS;
	make_hw(c);
	for (__u32 s = SND0; s != SND0 + ENV_RING; s++)
		*env_ring(CHUNK_TX, s) = pattern(s);
	env_ctl()->tx_filled = SND0 + 90 * MSS;
	sent_ecn = 0;
	return 0;
}

/* The second segment goes over the end of a chunk. */
static void segments(void **state)
{
	unsigned int id = 0;
	struct seg s;

	(void)state;
	assert_int_equal(train(SND0, 10, 300), XDP_REDIRECT);
	for (unsigned int i = 0; i < 10; i++) {
		s = next(&template);
		assert_int_equal(s.seq, SND0 + i * MSS);
		assert_int_equal(s.len, i < 9 ? MSS : 300);
		assert_int_equal(s.flags, i < 9 ? ACK : ACK | PSH);
		assert_int_equal(s.ack, RCV0);
		assert_int_equal(s.tsecr, TS0);
		if (i && !v6)
			assert_int_equal(get16(out.data + l3_off() + 4), (id + 1) & 0xffff);
		id = get16(out.data + l3_off() + 4);
	}
	assert_int_equal(COUNTED(TX_TRAIN_LOST), 0);
	assert_int_equal(wagon(&template), XDP_DROP);		/* one copy too many */
	assert_int_equal(COUNTED(TX_TRAIN_LOST), 1);
}

static void entry(void **state)
{
	__u16 id = conn()->ip_id;

	(void)state;
	assert_int_equal(train(SND0, 10, 300), XDP_REDIRECT);
	assert_int_equal(conn()->min.snd_nxt, SND0 + 9 * MSS + 300);
	assert_int_equal(env_ctl()->snd_nxt, SND0 + 9 * MSS + 300);
	assert_int_equal(conn()->rtt_seq, SND0 + MSS);
	assert_int_equal(conn()->ip_id, v6 ? (__u16)(id + 9) : (__u16)(id + 10));
	assert_int_equal(env.clock[ENV_ID].tx_bytes, 9 * MSS + 300);
	assert_int_equal(env.clock[ENV_ID].tx_segs, 10);
	assert_true(env.clock[ENV_ID].rtx_since);
	assert_true(env_dirty());
	assert_int_equal(COUNTED(TX_SEGS), 10);
	assert_int_equal(COUNTED(TX_BYTES), 9 * MSS + 300);
	assert_int_equal(COUNTED(TX_TRAINS), 1);
	assert_int_equal(COUNTED(TX_TRAIN_SEGS), 10);
}

static void every_length(void **state)
{
	(void)state;
	for (__u16 nr = 2; nr <= TOE_MAX_TRAIN; nr++) {
		__u16 last = (__u16)(nr % 3 ? MSS : 1U + nr * 13U);

		start(state);
		assert_int_equal(train(SND0, nr, last), XDP_REDIRECT);
		for (__u16 i = 1; i < nr; i++)
			assert_int_equal(next(&template).len, MSS);
		assert_int_equal(next(&template).len, last);
		assert_int_equal(wagon(&template), XDP_DROP);
	}
}

/* Several are under way before the first frame leaves. */
static void mixed(void **state)
{
	struct frame first;

	(void)state;
	assert_int_equal(train(SND0, 3, MSS), XDP_REDIRECT);
	first = template;
	assert_int_equal(train(SND0 + 3 * MSS, 2, 7), XDP_REDIRECT);
	assert_int_equal(next(&first).seq, SND0);
	assert_int_equal(next(&template).seq, SND0 + 3 * MSS);
	assert_int_equal(next(&first).seq, SND0 + MSS);
	assert_int_equal(next(&template).len, 7);
	assert_int_equal(next(&first).seq, SND0 + 2 * MSS);
	for (__u32 i = 0; i < 16; i++)			/* as many as are told apart */
		assert_int_equal(train(SND0 + 4 * MSS + 7 + i * 2 * MSS, 2, MSS), XDP_REDIRECT);
	assert_int_equal(wagon(&first), XDP_DROP);
}

/* RFC 3168 6.1.2: CWR on the first new segment only. */
static void ecn(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	c.min.opts |= TOE_OPT_ECN;
	c.ecn = TOE_ECN_CWR | TOE_ECN_ECHO;
	make_hw(c);
	env_ctl()->tx_filled = SND0 + 90 * MSS;
	sent_ecn = 2;
	assert_int_equal(train(SND0, 3, MSS), XDP_REDIRECT);
	assert_int_equal(next(&template).flags, ACK | ECE | CWR);
	assert_int_equal(next(&template).flags, ACK | ECE);
	assert_int_equal(next(&template).flags, ACK | ECE | PSH);
	assert_int_equal(conn()->ecn, TOE_ECN_ECHO);
}

static void malformed(void **state)
{
	struct toe_desc d = desc(SND0, 3, MSS);
	unsigned int len = hdr_room() + MSS;

	(void)state;
	assert_int_equal(tx(&d, len - 1, ENV_QP), XDP_DROP);
	assert_int_equal(tx(&d, len + 1, ENV_QP), XDP_DROP);
	assert_int_equal(tx(&d, hdr_room(), ENV_QP), XDP_DROP);
	for (unsigned int nr = 0; nr < 0x10000; nr += nr < 2 || nr > 40 ? 1 + nr / 16 : 31) {
		d.nr = (__u16)nr;
		if (nr < 2 || nr > TOE_MAX_TRAIN)
			assert_int_equal(tx(&d, len, ENV_QP), XDP_DROP);
	}
	d = desc(SND0, 3, 0);
	assert_int_equal(tx(&d, len, ENV_QP), XDP_DROP);
	d.last = MSS + 1;
	assert_int_equal(tx(&d, len, ENV_QP), XDP_DROP);
	d = desc(SND0, 3, 10);
	d.len = MSS - 1;
	assert_int_equal(tx(&d, len - 1, ENV_QP), XDP_DROP);
	d.len = MSS + 1;
	assert_int_equal(tx(&d, len + 1, ENV_QP), XDP_DROP);
	assert_true(COUNTED(TX_MALFORMED) > 20);
	assert_int_equal(conn()->min.snd_nxt, SND0);
}

static void refused(void **state)
{
	struct toe_desc d = desc(SND0, 3, MSS);
	struct hw_conn c = test_conn();

	(void)state;
	assert_int_equal(tx(&d, hdr_room() + MSS, ENV_OTHER_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_FOREIGN), 1);
	assert_int_equal(train(SND0 + 1, 3, MSS), XDP_DROP);
	assert_int_equal(COUNTED(TX_STALE), 1);
	env_ctl()->tx_filled = SND0 + 3 * MSS - 1;		/* the last byte is still to be written */
	assert_int_equal(train(SND0, 3, MSS), XDP_DROP);
	c.min.cwnd = 3 * MSS - 1;
	make_hw(c);
	env_ctl()->tx_filled = SND0 + 90 * MSS;
	assert_int_equal(train(SND0, 3, MSS), XDP_DROP);
	assert_int_equal(COUNTED(TX_WINDOW), 1);
	assert_int_equal(train(SND0, 3, MSS - 1), XDP_REDIRECT);
	c = test_conn();
	c.min.snd_mss = TOE_TRAIN_MSS - 1;			/* no room for the note */
	make_hw(c);
	d.len = TOE_TRAIN_MSS - 1;
	d.last = 1;
	env_ctl()->tx_filled = SND0 + 90 * MSS;
	assert_int_equal(tx(&d, hdr_room() + d.len, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_MALFORMED), 1);
	c = test_conn();
	c.nic++;						/* one that never had trains */
	make_hw(c);
	env_ctl()->tx_filled = SND0 + 90 * MSS;
	assert_int_equal(train(SND0, 3, MSS), XDP_DROP);
	start(state);
	env_mark();
	env_put(env.tx->maps.nics, ENV_NIC, &(struct toe_nic){ .ifindex = ENV_NIC_IFINDEX });	/* or not any more */
	assert_int_equal(train(SND0, 3, MSS), XDP_DROP);
	env_put(env.tx->maps.nics, ENV_NIC, &(struct toe_nic){ .ifindex = ENV_NIC_IFINDEX, .flags = TOE_NIC_TRAINS });
	assert_int_equal(COUNTED(TX_NO_TRAIN), 1);
	assert_int_equal(conn()->min.snd_nxt, SND0);
}

/* The ring has gone to somebody else before the frames left. */
static void ring_gone(void **state)
{
	struct hw_connid was = { .flow = test_flow(), .gen = ENV_GEN }, other = { .flow = test_flow(), .gen = ENV_GEN + 1 }, none = {};

	(void)state;
	assert_int_equal(train(SND0, 3, MSS), XDP_REDIRECT);
	next(&template);
	env_put(env.tx->maps.hw_connid, ENV_ID, &other);	/* larger rings */
	assert_int_equal(wagon(&template), XDP_DROP);
	env_put(env.tx->maps.hw_connid, ENV_ID, &was);
	assert_int_equal(train(SND0 + 3 * MSS, 3, MSS), XDP_REDIRECT);
	next(&template);
	env_put(env.tx->maps.hw_connid, ENV_ID, &none);		/* uploaded */
	assert_int_equal(wagon(&template), XDP_DROP);
	assert_int_equal(COUNTED(TX_TRAIN_LOST), 2);
}

/* ---- batches ---- */

static struct toe_batch_item item(__u32 seq, __u16 len)
{
	return (struct toe_batch_item){ .hw_connid = ENV_ID, .gen = ENV_GEN, .seq = seq, .len = len };
}

#define BATCH_ITEMS	20	/* of an array that batch() takes; the frame has no more, whatever nr says */

static int batch(const struct toe_batch_item *it, unsigned int nr, unsigned int len, unsigned int qp)
{
	static __u8 frame[4096];
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = TOE_OP_BATCH, .hw_connid = it[0].hw_connid, .gen = it[0].gen,
			      .nr = (__u16)nr };

	memset(frame, 0xaa, sizeof(frame));
	memcpy(frame, &d, sizeof(d));
	memcpy(frame + TOE_BATCH_OFF, it, (nr < BATCH_ITEMS ? nr : BATCH_ITEMS) * sizeof(*it));
	return run_prog(env.tx->progs.toe_tx, frame, len, TOE_TAP_IFINDEX + qp, &template);
}

/* Each item gets the frame's copy for itself, whatever becomes of the others. */
static void batches(void **state)
{
	struct toe_batch_item it[6] = { item(SND0, 100), item(SND0 + 100, 1), item(SND0 + 1, 100), item(SND0 + 101, MSS),
					item(SND0 + 101 + MSS, 50), item(SND0 + 101 + MSS, 50) };
	struct seg s;

	(void)state;
	it[1].flags = 0xffff;
	it[4].hw_connid++;
	assert_int_equal(batch(it, 6, hdr_room() + MSS, ENV_QP), XDP_REDIRECT);
	assert_int_equal(conn()->min.snd_nxt, SND0);		/* nothing is done yet */
	s = next(&template);
	assert_int_equal(s.seq, SND0);
	assert_int_equal(s.len, 100);
	assert_int_equal(s.flags, ACK);
	assert_int_equal(conn()->min.snd_nxt, SND0 + 100);
	s = next(&template);
	assert_int_equal(s.seq, SND0 + 100);
	assert_int_equal(s.len, 1);
	assert_int_equal(s.flags, ACK | PSH);
	assert_int_equal(wagon(&template), XDP_DROP);		/* not at snd_nxt */
	assert_int_equal(COUNTED(TX_STALE), 1);
	assert_int_equal(next(&template).len, MSS);
	assert_int_equal(wagon(&template), XDP_DROP);		/* no such connection */
	assert_int_equal(COUNTED(TX_STALE), 2);
	assert_int_equal(next(&template).seq, SND0 + 101 + MSS);
	assert_int_equal(wagon(&template), XDP_DROP);		/* one copy too many */
	assert_int_equal(env_ctl()->snd_nxt, SND0 + 151 + MSS);
	assert_int_equal(env.clock[ENV_ID].tx_bytes, 151 + MSS);
	assert_int_equal(COUNTED(TX_SEGS), 4);
	assert_int_equal(COUNTED(TX_BATCHES), 1);
	assert_int_equal(COUNTED(TX_BATCH_SEGS), 4);
}

static void batch_lengths(void **state)
{
	struct toe_batch_item it[BATCH_ITEMS] = {};

	(void)state;
	for (unsigned int nr = 2; nr <= TOE_MAX_BATCH; nr++) {
		start(state);
		for (unsigned int i = 0; i < nr; i++)
			it[i] = item(SND0 + 7 * i, 7);
		assert_int_equal(batch(it, nr, TOE_BATCH_OFF + nr * (unsigned int)sizeof(*it) - 1, ENV_QP), XDP_DROP);
		assert_int_equal(batch(it, nr, TOE_BATCH_OFF + nr * (unsigned int)sizeof(*it), ENV_QP), XDP_REDIRECT);
		for (unsigned int i = 0; i < nr; i++)
			assert_int_equal(next(&template).seq, SND0 + 7 * i);
	}
	for (unsigned int nr = 0; nr < 0x10000; nr += nr > TOE_MAX_BATCH ? 97 : nr ? TOE_MAX_BATCH : 1)
		assert_int_equal(batch(it, nr, 1000, ENV_QP), XDP_DROP);
	start(state);
	env_mark();
	it[0] = item(SND0, 0);
	it[1] = item(SND0, (__u16)(1000 - hdr_room() + 1));	/* longer than the frame */
	it[2] = item(SND0, MSS + 1);
	assert_int_equal(batch(it, 3, 1000, ENV_QP), XDP_REDIRECT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wagon(&template), XDP_DROP);
	assert_int_equal(COUNTED(TX_MALFORMED), 3);
	assert_int_equal(conn()->min.snd_nxt, SND0);
}

static int one_of_two(const struct toe_batch_item *it, unsigned int qp)
{
	assert_int_equal(batch(it, 2, 1000, qp), XDP_REDIRECT);
	return wagon(&template);
}

static void batch_refused(void **state)
{
	struct toe_batch_item it[2] = { item(SND0, 100), item(SND0 + 100, 100) };
	struct hw_conn c = *conn();

	(void)state;
	assert_int_equal(one_of_two(it, ENV_OTHER_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_FOREIGN), 1);
	env_ctl()->tx_filled = SND0 + 99;
	assert_int_equal(one_of_two(it, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_WINDOW), 1);
	env_ctl()->tx_filled = SND0 + 100;
	assert_int_equal(batch(it, 2, 1000, ENV_QP), XDP_REDIRECT);
	c.nic++;							/* the route has changed meanwhile */
	put_conn(&c);
	assert_int_equal(wagon(&template), XDP_DROP);
	assert_int_equal(COUNTED(TX_NO_TRAIN), 1);
	assert_int_equal(batch(it, 2, 1000, ENV_QP), XDP_DROP);		/* none of that many there */
	assert_int_equal(COUNTED(TX_NO_TRAIN), 2);
	c.nic--;
	c.state = TOE_HOLD;
	put_conn(&c);
	assert_int_equal(one_of_two(it, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_STATE), 1);
	it[0].gen++;
	assert_int_equal(batch(it, 2, 1000, ENV_QP), XDP_DROP);
	assert_int_equal(COUNTED(TX_STALE), 1);
	assert_int_equal(COUNTED(TX_SEGS), 0);
}

/* ---- acknowledgements ---- */

static const struct toe_desc ack_op = {
	.magic = TOE_DESC_MAGIC, .op = TOE_OP_ACK, .hw_connid = ENV_ID, .gen = ENV_GEN,
};

/* What is no part of it waits until a train is gone, which the library says. */
static void acks_wait(void **state)
{
	struct seg s = plain(RCV0, MSS);
	struct frame fr;

	(void)state;
	assert_int_equal(env_ctl()->tx_left, SND0);
	assert_int_equal(train(SND0, 3, MSS), XDP_REDIRECT);
	fr = template;
	rx(&s);
	s.seq += MSS;
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_URGENT);
	env_ctl()->ack_due = 0;
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_DROP);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_URGENT);
	for (int i = 0; i < 3; i++)
		next(&fr);
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_DROP);	/* made, but still on this CPU */
	env_ctl()->tx_left = SND0 + 3 * MSS;
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_REDIRECT);
	assert_int_equal(env_ctl()->ack_due, 0);
	s.seq += MSS;
	rx(&s);
	s.seq += MSS;
	assert_int_equal(rx(&s), XDP_TX);
	assert_int_equal(env_ctl()->ack_due, 0);
}

/* What arrived out of order is told by an acknowledgement; a train that leaves before that says nothing of it. */
static void sack_stays_due(void **state)
{
	struct seg s = plain(RCV0 + MSS, MSS);

	(void)state;
	assert_int_equal(train(SND0, 3, MSS), XDP_REDIRECT);
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_URGENT);
	assert_int_equal(train(SND0 + 3 * MSS, 3, MSS), XDP_REDIRECT);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_URGENT);
	env_ctl()->tx_left = SND0 + 6 * MSS;
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_REDIRECT);
	assert_int_equal(env_ctl()->ack_due, 0);
}

/* An application that never says so holds up nothing for long. */
static void not_for_ever(void **state)
{
	static const struct { __u32 age_ms; bool waits; } with[] = { { 0, true }, { 10, true }, { 11, false } };
	struct hw_conn c = *conn();
	struct timespec ts;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	env.clock[ENV_ID].last_rx_ms = (__u32)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000) + 900;	/* the engine's time, for 0.9 s */
	env_ctl()->tx_left = SND0 - 1;
	for (size_t i = 0; i < NR(with); i++) {
		c.last_tx_ms = env.clock[ENV_ID].last_rx_ms - with[i].age_ms;
		put_conn(&c);
		assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), with[i].waits ? XDP_DROP : XDP_REDIRECT);
	}
}

/* The second is made while the first one's frames wait; the end of the first says nothing of the second. */
static void two_trains(void **state)
{
	(void)state;
	assert_int_equal(train(SND0, 3, MSS), XDP_REDIRECT);
	assert_int_equal(train(SND0 + 3 * MSS, 3, MSS), XDP_REDIRECT);
	env_ctl()->tx_left = SND0 + 3 * MSS;
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_DROP);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_URGENT);
	env_ctl()->tx_left = SND0 + 6 * MSS;
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_REDIRECT);
}

static bool marked;

/* A segment arrives on a veth; the frame that answers it, in template. */
static int arrive(const struct seg *s)
{
	struct frame *fr = build(s);
	int act = run_prog(env.veth->progs.toe_rx, fr->data, fr->len, ENV_NIC_IFINDEX, &template);

	marked = act == XDP_REDIRECT && !template.data[12] && !template.data[13];
	return act;
}

static int arrive_at(__u32 seq)
{
	struct seg s = plain(seq, MSS);

	return arrive(&s);
}

static void lone_acks(void **state)
{
	struct frame first, bell;

	(void)state;
	assert_int_equal(arrive_at(RCV0), XDP_DROP);
	assert_int_equal(arrive_at(RCV0 + MSS), XDP_REDIRECT);
	assert_true(marked);
	first = template;
	assert_int_equal(next(&first).ack, RCV0 + 2 * MSS);
	assert_int_equal(out.len, hdr_room() - 14 + l3_off());
	assert_int_equal(arrive_at(RCV0 + 2 * MSS), XDP_DROP);	/* that one has left: nothing to ride with */
	assert_int_equal(arrive_at(RCV0 + 3 * MSS), XDP_REDIRECT);
	first = template;
	assert_int_equal(arrive_at(RCV0 + 4 * MSS), XDP_REDIRECT);
	bell = template;
	assert_int_equal(next(&first).ack, RCV0 + 5 * MSS);
	assert_int_equal(wagon(&bell), XDP_DROP);
	assert_int_equal(COUNTED(RX_ACKS_OUT), 2);
	assert_int_equal(COUNTED(RX_ACKS_SAVED), 1);
}

/* Two segments from seq on, of which the second is acknowledged by a frame that waits: in template. */
static void ack_waits(__u32 seq)
{
	arrive_at(seq);
	assert_int_equal(arrive_at(seq + MSS), XDP_REDIRECT);
	assert_true(marked);
}

static void check_riders(void)
{
	struct frame ack, bell;
	struct seg s = plain(RCV0 + 2 * MSS, MSS), a;
	__u32 later;

	ack_waits(RCV0);
	ack = template;
	env_woken();
	assert_int_equal(arrive(&s), XDP_REDIRECT);	/* the doorbell for all that follow */
	assert_true(marked);
	bell = template;
	later = env.clock[ENV_ID].last_rx_ms += 900;	/* the engine's time, for 0.9 s */
	for (s.len = 10, s.seq += MSS, s.tsval += 7; s.seq != RCV0 + 3 * MSS + 50; s.seq += s.len)
		assert_int_equal(arrive(&s), XDP_DROP);
	assert_int_equal(conn()->min.last_ack, s.seq);
	assert_int_equal(conn()->unacked_segs, 0);
	assert_int_equal(env_ctl()->ack_due, 0);
	assert_int_equal(env_ctl()->rcv_nxt, s.seq);
	assert_false(env_woken());
	a = next(&ack);
	assert_int_equal(a.ack, s.seq);
	assert_int_equal(a.seq, SND0);
	assert_int_equal(a.flags, ACK);
	assert_int_equal(s.seq + (a.window << 5), conn()->min.rcv_adv);
	if (conn()->min.opts & TOE_OPT_TS) {
		assert_int_equal(a.tsecr, TS0 + 7);
		assert_true(seq_geq(a.tsval, later + conn()->min.ts_off));
	}
	assert_int_equal(COUNTED(RX_ACKS_OUT), 1);
	assert_int_equal(COUNTED(RX_ACKS_SAVED), 6);
	env_wake(CHUNK_QP)->armed = 1;
	assert_int_equal(wagon(&bell), XDP_PASS);
	assert_true(env_woken());
	assert_int_equal(env_wake(CHUNK_QP)->armed, 0);
	assert_int_equal(COUNTED(RX_DOORBELL), 1);
}

/* What arrives while an acknowledgement waits to leave is acknowledged by it, and one doorbell is for all. */
static void riders(void **state)
{
	struct hw_conn c = test_conn();

	(void)state;
	check_riders();
	c.min.opts &= (__u8)~TOE_OPT_TS;
	make_hw(c);
	env_ctl()->tx_left = SND0;
	check_riders();
}

/* The bell: bits only where nobody sleeps, another one once it has left or the connection has another queue pair, never one of a stranger's. */
static void bells(void **state)
{
	struct hw_conn c = test_conn();
	struct frame bell, ack;

	(void)state;
	ack_waits(RCV0);
	ack = template;
	env_woken();
	assert_int_equal(arrive_at(RCV0 + 2 * MSS), XDP_REDIRECT);
	bell = template;
	assert_int_equal(wagon(&bell), XDP_DROP);
	assert_true(env_woken());
	assert_int_equal(arrive_at(RCV0 + 3 * MSS), XDP_REDIRECT);
	assert_true(marked);
	assert_int_equal(arrive_at(RCV0 + 4 * MSS), XDP_DROP);
	c = *conn();
	c.qp = ENV_OTHER_QP;		/* another application's */
	put_conn(&c);
	assert_int_equal(arrive_at(RCV0 + 5 * MSS), XDP_REDIRECT);
	assert_true(marked);
	env_wake(CHUNK_OTHER_QP)->armed = 1;
	assert_int_equal(wagon(&template), XDP_DROP);
	assert_int_equal(env_wake(CHUNK_OTHER_QP)->armed, 1);
	assert_int_equal(env_wake(CHUNK_OTHER_QP)->words[ENV_ID / 64], 0);
	env_wake(CHUNK_OTHER_QP)->armed = 0;
	c = *conn();
	c.qp = 0;
	put_conn(&c);
	assert_int_equal(arrive_at(RCV0 + 6 * MSS), XDP_DROP);
	assert_int_equal(next(&ack).ack, RCV0 + 7 * MSS);
	assert_int_equal(COUNTED(RX_DOORBELL), 0);
}

/* A frame that waits for ever does not take all acknowledgements along: another one is made, and the older one, if it comes, does not leave. */
static void lost_ack(void **state)
{
	struct frame lost;
	__u32 seq = RCV0 + 2 * MSS;
	struct seg s = plain(seq, 100);

	(void)state;
	ack_waits(RCV0);
	lost = template;
	for (int i = 0; i < 63; i++, s.seq += s.len)
		arrive(&s);
	assert_int_equal(conn()->min.last_ack, s.seq);
	assert_int_equal(COUNTED(RX_ACKS_OUT), 1);
	ack_waits(s.seq);
	assert_int_equal(COUNTED(RX_ACKS_OUT), 2);
	assert_int_equal(wagon(&lost), XDP_DROP);
	assert_int_equal(next(&template).ack, s.seq + 2 * MSS);
	assert_int_equal(COUNTED(RX_ACKS_SAVED), 64);
}

/* Its sequence number, or what it acknowledges, is not the newest any more. */
static void passed_by(void **state)
{
	struct frame first, second;

	(void)state;
	ack_waits(RCV0);
	first = template;
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_REDIRECT);
	env.clock[ENV_ID].ack_since = 0;
	assert_int_equal(arrive_at(RCV0 + 2 * MSS), XDP_REDIRECT);	/* the same number: it still will do */
	assert_int_equal(tx(&ack_op, hdr_room(), ENV_QP), XDP_REDIRECT);
	assert_int_equal(next(&first).ack, RCV0 + 3 * MSS);

	ack_waits(RCV0 + 3 * MSS);
	first = template;
	assert_int_equal(train(SND0, 2, MSS), XDP_REDIRECT);
	env_ctl()->tx_left = SND0 + 2 * MSS;
	assert_int_equal(arrive_at(RCV0 + 5 * MSS), XDP_DROP);
	assert_int_equal(arrive_at(RCV0 + 6 * MSS), XDP_REDIRECT);
	second = template;
	assert_int_equal(wagon(&first), XDP_DROP);
	assert_int_equal(next(&second).seq, SND0 + 2 * MSS);
	assert_int_equal(dissect(&out).ack, RCV0 + 7 * MSS);
}

static void ecn_echo(__u8 echo)
{
	struct hw_conn c = *conn();

	c.ecn = echo;
	put_conn(&c);
}

/* Who does not ride although a frame waits. */
static void on_foot(void **state)
{
	struct seg probe = plain(RCV0 + 2 * MSS - 1, 0), s = plain(RCV0 + 5 * MSS, MSS);
	struct frame first;

	(void)state;
	ack_waits(RCV0);
	first = template;
	assert_int_equal(arrive(&probe), XDP_REDIRECT);		/* the answer is for the peer's keepalive */
	assert_false(marked);
	ecn_echo(TOE_ECN_ECHO);
	assert_int_equal(arrive_at(RCV0 + 2 * MSS), XDP_DROP);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_ONE);
	ecn_echo(0);
	assert_int_equal(arrive_at(RCV0 + 3 * MSS), XDP_REDIRECT);	/* the bell: it rides, and so does the one before */
	assert_int_equal(env_ctl()->ack_due, 0);
	assert_int_equal(arrive(&s), XDP_REDIRECT);		/* out of order */
	assert_int_equal(arrive_at(RCV0 + 4 * MSS), XDP_REDIRECT);	/* the gap is filled; acknowledged by another frame */
	assert_false(marked);
	assert_int_equal(arrive_at(RCV0 + 6 * MSS), XDP_DROP);
	assert_int_equal(env_ctl()->ack_due, TOE_ACK_ONE);
	assert_int_equal(next(&first).ack, RCV0 + 4 * MSS);
}

/* What the daemon is to send again does not wait for the end of the run. */
static void lost_segment(void **state)
{
	struct seg s = plain(RCV0 + 2 * MSS, MSS);
	struct frame first;

	(void)state;
	assert_int_equal(train(SND0, 10, MSS), XDP_REDIRECT);
	env_ctl()->tx_left = SND0 + 10 * MSS;
	ack_waits(RCV0);
	first = template;
	s.nr_sack = 1;
	s.sack[0][0] = SND0 + MSS;
	s.sack[0][1] = SND0 + 6 * MSS;
	env_wake(CHUNK_DAEMON)->armed = 1;
	assert_int_equal(arrive(&s), XDP_REDIRECT);
	assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 0);
	assert_int_equal(next(&first).seq, SND0 + 10 * MSS);
}

static void become(__u32 hw_connid)
{
	struct hw_conn c = *conn();

	c.hw_connid = hw_connid;
	put_conn(&c);
}

/* Two connections whose numbers meet in one place: who has riders keeps it. */
static void same_place(void **state)
{
	struct frame first, second;

	(void)state;
	ack_waits(RCV0);
	first = template;
	become(ENV_ID + 64);
	ack_waits(RCV0 + 2 * MSS);
	second = template;
	assert_int_equal(next(&first).ack, RCV0 + 2 * MSS);	/* as it was made */
	arrive_at(RCV0 + 4 * MSS);				/* a rider */
	become(ENV_ID);
	arrive_at(RCV0 + 5 * MSS);
	assert_int_equal(arrive_at(RCV0 + 6 * MSS), XDP_REDIRECT);
	assert_false(marked);
	assert_int_equal(dissect(&template).ack, RCV0 + 7 * MSS);
	become(ENV_ID + 64);
	assert_int_equal(next(&second).ack, RCV0 + 5 * MSS);
	become(ENV_ID);
	ack_waits(RCV0 + 7 * MSS);
	assert_int_equal(next(&template).ack, RCV0 + 9 * MSS);
}

/* What says more than "so far" leaves in any case, and stands for nothing else. */
static void telling_acks(void **state)
{
	struct seg s = plain(RCV0 + 3 * MSS, MSS);
	struct hw_conn c = test_conn();
	struct frame first;

	(void)state;
	arrive_at(RCV0);
	arrive_at(RCV0 + MSS);
	first = template;
	assert_int_equal(arrive(&s), XDP_REDIRECT);		/* out of order */
	assert_false(marked);
	assert_int_equal(wagon(&template), XDP_PASS);
	assert_int_equal(dissect(&out).nr_sack, 1);
	assert_int_equal(next(&first).ack, RCV0 + 2 * MSS);
	assert_int_equal(arrive_at(RCV0 + 2 * MSS), XDP_REDIRECT);	/* the gap is filled */
	assert_false(marked);
	assert_int_equal(arrive_at(RCV0), XDP_REDIRECT);	/* a duplicate */
	assert_false(marked);
	c.min.opts |= TOE_OPT_ECN;
	make_hw(c);
	s = plain(RCV0, MSS);
	s.ecn = 3;
	assert_int_equal(arrive(&s), XDP_REDIRECT);
	assert_false(marked);
	arrive_at(RCV0 + MSS);
	assert_int_equal(arrive_at(RCV0 + 2 * MSS), XDP_REDIRECT);	/* ECE until CWR */
	assert_false(marked);
	assert_int_equal(COUNTED(RX_ACKS_SAVED), 0);
}

static void other_frames(void **state)
{
	struct seg s = plain(RCV0, 500);
	struct frame *fr = build(&s);

	(void)state;
	assert_int_equal(wagon(fr), XDP_PASS);
	assert_int_equal(out.len, fr->len);
	assert_memory_equal(out.data, fr->data, fr->len);
	memset(fr->data + 12, 0, 2);			/* marked, but whose train? */
	for (fr->len = 14; fr->len < 500; fr->len += 7)
		assert_int_equal(wagon(fr), XDP_DROP);
	memset(fr->data, 0xff, sizeof(fr->data));
	memset(fr->data + 12, 0, 2);
	assert_int_equal(wagon(fr), XDP_DROP);
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(segments), CASE(entry), CASE(every_length), CASE(mixed), CASE(ecn), CASE(malformed), CASE(refused),
		CASE(ring_gone), CASE(batches), CASE(batch_lengths), CASE(batch_refused), CASE(acks_wait), CASE(not_for_ever),
		CASE(sack_stays_due),
		CASE(two_trains), CASE(lone_acks), CASE(riders), CASE(bells), CASE(lost_ack), CASE(passed_by),
		CASE(on_foot), CASE(lost_segment), CASE(same_place),
		CASE(telling_acks), CASE(other_frames),
	};

	env_open();
	return on_all_links(cases, NR(cases));
}
