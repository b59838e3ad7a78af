// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mutated packets through the loaded programs: segments near the window with random fields, the same with bytes
 * changed and the checksum put right or not, descriptors of three queue pairs, a library that reads. The
 * invariants of tests/fuzz/invariants.h are checked after each one. FUZZ_PACKETS and TOE_SEED set number and seed.
 */
#include "tests/bpf/frames.h"
#include "tests/fuzz/invariants.h"
#include "tests/helpers/pattern.h"

static uint64_t rnd;
static struct inv_state was, is;
static __u8 old_ring[ENV_RING];
static unsigned int nr_uploads, nr_answers, nr_taken, nr_ooo, nr_trains, nr_batched;

static __u32 below(__u32 n)
{
	return (__u32)rnd_below(&rnd, n);
}

/* Mostly a small distance, seldom any. */
static __u32 near(void)
{
	switch (below(8)) {
	case 0: return (__u32)rnd_next(&rnd);
	case 1: return below(70000);
	case 2: return -below(70000);
	case 3: return below(4) * MSS;
	case 4: return -below(4) * MSS;
	}
	return 0;
}

static const __u8 *ring(void)		/* chunks are not neighbours in memory: the slack lies between */
{
	static __u8 now[ENV_RING];

	for (unsigned int i = 0; i < ENV_CHUNKS; i++)
		memcpy(now + i * TOE_CHUNK_DATA, env_chunk(CHUNK_RX + i), TOE_CHUNK_DATA);
	memcpy(now, env_place(CHUNK_RX, 0), TOE_HOT);
	return now;
}

static void look(struct inv_state *s)
{
	struct toe_flow f = test_flow();
	struct hw_conn *c = env_read(&f);

	assert_non_null(c);
	s->c = *c;
#ifdef INV_REC
	{
		__u32 id = ENV_ID;

		TRY(!bpf_map_lookup_elem(env_map(env.rx->maps.hw_rec), &id, &s->rec));
		memcpy(s->ooo, s->rec.ooo, sizeof(s->ooo));
		if (!c->nr_ooo)
			memset(s->ooo, 0, sizeof(s->ooo));
	}
#else
	memcpy(s->ooo, c->ooo, sizeof(s->ooo));
#endif
	s->rx_read = (__u32)env_ctl()->rx_read;
	s->rx_base = env_ctl()->rx_base;
	s->live = c->state == TOE_HW;
}

static void restart(void)
{
	struct hw_conn c;

	v6 = below(2);
	vlan = below(2) ? 0 : below(2) ? 5 : (0x1000 | 6) << 13 | 7;
	c = test_conn();
	c.min.opts = (__u8)(below(4) ? TOE_OPT_TS | TOE_OPT_SACK | TOE_OPT_WSCALE : below(16));
	c.min.rcv_wscale = (__u8)below(11);
	make_hw(c);
	memcpy(old_ring, ring(), ENV_RING);
	look(&was);
}

static void judge(const char *bad, unsigned int nr)
{
	if (bad)
		fail_msg("packet %u: %s", nr, bad);
}

static struct seg random_seg(void)
{
	static const __u8 flags[] = { ACK, ACK, ACK, ACK | PSH, ACK | PSH, ACK | ECE, ACK | 0x80, ACK, ACK, ACK, ACK,
				      ACK };
	const struct min_tcp *m = &was.c.min;
	struct seg s = { .seq = m->rcv_nxt + near(), .ack = below(2) ? m->snd_nxt : m->snd_una + near(),
			 .tsval = m->ts_recent + (below(4) ? below(3) : near()), .tsecr = below(2) ? 1 : near(),
			 .len = below(3) ? below(1500) : 0, .flags = flags[below(NR(flags))],
			 .window = (__u16)(below(4) ? WND >> 3 : rnd_next(&rnd)), .ecn = (__u8)below(4),
			 .no_ts = !(m->opts & TOE_OPT_TS), .bad_csum = !below(16) };

	if (!below(16)) {
		s.other_link = true;
		s.nr_tags = (__u8)below(3);
		s.tag[0] = (__u16)(below(2) << 13 | below(8));
		s.tag[1] = (__u16)(below(2) << 13 | below(8));
	}
	if (!below(64))
		s.flags = (__u8)rnd_next(&rnd);
	if (!below(4)) {
		s.nr_sack = (__u8)(1 + below(3));
		for (int i = 0; i < s.nr_sack; i++) {
			s.sack[i][0] = m->snd_una + near();
			s.sack[i][1] = s.sack[i][0] + below(3000);
		}
	}
	return s;
}

static void fix_csum(struct frame *fr)
{
	__u8 *ip = fr->data + l3_off(), *tcp = ip + (v6 ? 40 : 20);
	unsigned int l4_len = fr->len - (unsigned int)(tcp - fr->data);

	put16(tcp + 16, 0);
	put16(tcp + 16, ~sum16(tcp, l4_len, tcp_pseudo(ip, l4_len)));
}

static void mutate(struct frame *fr)
{
	unsigned int nr = below(6), head = fr->len < 110 ? fr->len : 110;

	for (unsigned int i = 0; i < nr; i++)
		fr->data[below(head)] ^= (__u8)(1U << below(8));
	if (below(2))
		fix_csum(fr);
	if (!below(4))
		fr->len -= below(fr->len - 14);
}

static void one_rx(unsigned int nr)
{
	struct seg s = random_seg();
	struct frame *fr = build(&s);
	const __u8 *now;
	int act;

	if (below(3) == 0)
		mutate(fr);
	act = run_prog(env.rx->progs.toe_rx, fr->data, fr->len, ENV_NIC_IFINDEX, &out);
	look(&is);
	now = ring();
	if (act < XDP_DROP || act > XDP_REDIRECT)
		fail_msg("packet %u: verdict %d", nr, act);
	judge(inv_rx(&was, &is, fr->data, fr->len, old_ring, now), nr);
	if (act == XDP_TX) {
		judge(inv_out(&is, out.data, out.len, 1), nr);
		nr_answers++;
	}
	nr_ooo += is.c.nr_ooo > was.c.nr_ooo;
	nr_taken += is.c.min.rcv_nxt != was.c.min.rcv_nxt;
	memcpy(old_ring, now, ENV_RING);
}

/* The copies of a train's frame, and one too many. */
static void wagons(const struct toe_desc *d, unsigned int nr)
{
	struct frame template = out;
	struct inv_state at = is;

	for (unsigned int i = 0; i <= d->nr; i++) {
		int act = run_prog(env.train->progs.toe_train, template.data, template.len, ENV_NIC_IFINDEX, &out);

		if (act != (i < d->nr ? XDP_PASS : XDP_DROP))
			fail_msg("packet %u: segment %u of %u got verdict %d", nr, i, d->nr, act);
		if (act == XDP_PASS)
			judge(inv_out(&at, out.data, out.len, 1), nr);
	}
	nr_trains++;
}

/* The copies of a batch's frame, and one too many: each does what its item would have done by itself. */
static void batch(const struct toe_batch_item *it, unsigned int nr_items, __u32 qp, unsigned int nr)
{
	struct frame template = out;
	struct inv_state before;

	for (unsigned int i = 0; i <= nr_items; i++) {
		const struct toe_batch_item *one = &it[i % nr_items];
		struct toe_desc d = { .op = TOE_OP_DATA, .hw_connid = one->hw_connid, .gen = one->gen, .seq = one->seq,
				      .len = one->len, .nr = 1 };
		int act = run_prog(env.train->progs.toe_train, template.data, template.len, ENV_NIC_IFINDEX, &out);

		if ((act != XDP_PASS && act != XDP_DROP) || (act == XDP_PASS && i == nr_items))
			fail_msg("packet %u: segment %u of %u got verdict %d", nr, i, nr_items, act);
		before = is;
		look(&is);
		judge(inv_tx(&before, &is, &d, qp == ENV_QP, qp == TOE_QP_DAEMON, old_ring, ring()), nr);
		if (act == XDP_PASS) {
			judge(inv_out(&is, out.data, out.len, 1), nr);
			nr_batched++;
		}
	}
}

static unsigned int items(struct toe_batch_item *it, unsigned int nr)
{
	__u32 seq = was.c.min.snd_nxt;

	for (unsigned int i = 0; i < nr; i++) {
		it[i] = (struct toe_batch_item){ .hw_connid = ENV_ID + !below(16), .gen = ENV_GEN + !below(16),
						 .seq = seq + (below(8) ? 0 : near()), .flags = (__u16)rnd_next(&rnd),
						 .len = (__u16)(below(4) ? below(200) : below(1600)) };
		seq += below(4) ? it[i].len : 0;
	}
	return TOE_BATCH_OFF + nr * (unsigned int)sizeof(*it) + below(8) * 200;
}

static void one_tx(unsigned int nr)
{
	static const __u32 qps[] = { ENV_QP, ENV_QP, ENV_QP, ENV_OTHER_QP, TOE_QP_DAEMON };
	__u32 qp = qps[below(NR(qps))], hdr = TOE_HDR_LEN(was.c.min.flow.family, was.c.min.opts & TOE_OPT_TS);
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = (__u16)(1 + below(8)), .hw_connid = ENV_ID,
			      .gen = ENV_GEN };
	static struct frame fr;
	struct toe_batch_item *it = (struct toe_batch_item *)(fr.data + TOE_BATCH_OFF);
	int act;

	if (d.op == TOE_OP_DATA || d.op == TOE_OP_RTX)
		d.len = (__u16)(below(4) ? MSS : below(1100));
	if (d.op == TOE_OP_TRAIN) {
		d.len = (__u16)(below(8) ? was.c.min.snd_mss : below(1100));
		d.nr = (__u16)(below(8) ? 2 + below(6) : below(40));
		d.last = (__u16)(below(8) ? 1 + below(MSS) : below(1100));
	}
	d.seq = (d.op == TOE_OP_RTX ? was.c.min.snd_una : was.c.min.snd_nxt) + (below(4) ? 0 : near());
	fr.len = hdr + d.len;
	if (d.op == TOE_OP_BATCH) {
		d.nr = (__u16)below(24);
		fr.len = items(it, d.nr);
	}
	if (!below(16))
		((__u8 *)&d)[below(sizeof(d))] ^= (__u8)(1U << below(8));
	memcpy(fr.data, &d, sizeof(d));
	act = run_prog(env.tx->progs.toe_tx, fr.data, fr.len, TOE_TAP_IFINDEX + qp, &out);
	look(&is);
	if (act != XDP_DROP && act != XDP_REDIRECT)
		fail_msg("packet %u: a TAP's frame got verdict %d", nr, act);
	judge(inv_tx(&was, &is, &d, qp == ENV_QP, qp == TOE_QP_DAEMON, old_ring, ring()), nr);
	if (act == XDP_REDIRECT && d.op == TOE_OP_TRAIN)
		wagons(&d, nr);
	else if (act == XDP_REDIRECT && d.op == TOE_OP_BATCH)
		batch(it, d.nr, qp, nr);
	else if (act == XDP_REDIRECT)
		judge(inv_out(&is, out.data, out.len, 0), nr);
}

static void library(void)
{
	const struct min_tcp *m = &was.c.min;

	env_ctl()->rx_read = below(8) ? m->rcv_nxt : m->rcv_nxt - below(100000);
	env_ctl()->tx_filled = m->snd_nxt + below(20000);
	env_ctl()->want_write = below(2);
	env_wake(CHUNK_QP)->armed = !below(4);
	was.rx_read = (__u32)env_ctl()->rx_read;
}

static void packets(void **state)
{
	const char *n = getenv("FUZZ_PACKETS"), *seed = getenv("TOE_SEED");
	unsigned int nr = n ? (unsigned int)strtoul(n, NULL, 0) : 100000;

	(void)state;
	rnd = seed ? strtoull(seed, NULL, 0) : (uint64_t)getpid();
	print_message("          seed %llu\n", (unsigned long long)rnd);
	restart();
	for (unsigned int i = 0; i < nr; i++) {
		if (was.c.state != TOE_HW || !below(2000)) {
			nr_uploads += was.c.state != TOE_HW;
			restart();
		}
		if (!below(4))
			library();
		if (below(8))
			one_rx(i);
		else
			one_tx(i);
		was = is;
	}
	print_message("          %u packets: %u moved rcv_nxt, %u answered, %u uploads, %u trains, %u in batches\n", nr, nr_taken,
		      nr_answers, nr_uploads, nr_trains, nr_batched);
	assert_true(nr_taken > nr / 50);	/* the packets come as far as the ring */
	assert_true(nr_answers > nr / 50);
	assert_true(nr_uploads > nr / 10000);
	assert_true(nr_ooo > nr / 1000);
	assert_true(nr_trains > nr / 2000);
	assert_true(nr_batched > nr / 1000);
}

int main(void)
{
	const struct CMUnitTest cases[] = { cmocka_unit_test(packets) };

	env_open();
	return cmocka_run_group_tests(cases, NULL, NULL);
}
