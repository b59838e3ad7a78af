/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer target: both engines and the command program, compiled natively, driven by a script that the fuzzer
 * writes. A step is a segment built from the connection's state, such a segment with bytes changed, a raw frame,
 * a descriptor on a TAP, a word in shared memory, a command of the daemon, or time that passes. The invariants of
 * invariants.h are checked after each.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef NULL

#define LICENSE		license_rx
#include "hdr.h"
#include "lock.h"
#include "toe/rtt.h"
#define const			/* what the loader sets, the script sets */
#include "rx.h"
#undef const
#include "rx.bpf.c"
#undef LICENSE
#define LICENSE		license_tx
#include "tx.bpf.c"
#undef LICENSE
#define LICENSE		license_cmd
#include "cmd.bpf.c"
#undef LICENSE
#define LICENSE		license_train
#include "train.bpf.c"
#include "tests/fuzz/invariants.h"
#include "tests/fuzz/shim.h"

#define ID		7
#define OTHER_ID	9
#define GEN		3
#define APP		3
#define QP		5
#define OTHER_QP	6
#define MAX_STEPS	200

enum { CHUNK_RX = 0, CHUNK_TX = 2, CHUNK_QP = 4, CHUNK_OTHER_QP = 5, CHUNK_DAEMON = 6, CHUNK_OTHER = 7 };

static const uint8_t *in;		/* the script */
static size_t in_len;
static uint8_t old_ring[TOE_CHUNK_DATA << 1], now_ring[TOE_CHUNK_DATA << 1];
static struct hw_conn other;		/* as it has to stay */
static uint8_t v6;
static const uint32_t links[4] = { 0, 0, 5, (0x1000 | 6) << 13 | 7 };	/* toe/vlan.h */
static uint32_t link;

static uint8_t byte(void)
{
	return in_len ? in_len--, *in++ : 0;
}

static uint32_t word(void)
{
	uint32_t v = byte();

	v |= (uint32_t)byte() << 8;
	v |= (uint32_t)byte() << 16;
	return v | (uint32_t)byte() << 24;
}

/* Mostly near 0, seldom anything. */
static uint32_t near(void)
{
	uint8_t b = byte();

	switch (b & 7) {
	case 0: return word();
	case 1: return (uint32_t)(b >> 3) * 1448;
	case 2: return -(uint32_t)(b >> 3) * 1448;
	case 3: return byte() << 8 | byte();
	case 4: return -(uint32_t)(byte() << 8 | byte());
	case 5: return b >> 3;
	case 6: return -(uint32_t)(b >> 3);
	}
	return 0;
}

static void die(const char *what)
{
	fprintf(stderr, "invariant violated: %s\n", what);
	abort();
}

static struct toe_ring_ctl *ctl(void)
{
	struct toe_ring_ref rx = { .unit = CHUNK_RX * TOE_CHUNK_UNITS };

	return (struct toe_ring_ctl *)(shim.chunk[SHIM_CHUNKS] + ring_ctl_off(rx));
}

static struct hw_conn *conn(void)
{
	return &shim.conn[0].c;
}

static void snapshot(struct inv_state *s, uint8_t *ring)
{
	s->c = *conn();
#ifdef INV_REC
	s->rec = shim.rec[ID];
	memcpy(s->ooo, s->rec.ooo, sizeof(s->ooo));
	if (!s->c.nr_ooo)			/* not looked at, nor kept clean, while there are none */
		memset(s->ooo, 0, sizeof(s->ooo));
#else
	memcpy(s->ooo, conn()->ooo, sizeof(s->ooo));
#endif
	s->rx_read = (uint32_t)ctl()->rx_read;
	s->rx_base = ctl()->rx_base;
	s->partial_ok = toe_nic_flags & TOE_NIC_PARTIAL_OK;
	s->live = s->c.state == TOE_HW ||
		  (toe_replay && s->c.state == TOE_HOLD && (s->c.next & TOE_NEXT_STATE) == TOE_HW);
	for (unsigned int i = 0; i * TOE_CHUNK_DATA < inv_ring(s->c.rx); i++)
		memcpy(ring + i * TOE_CHUNK_DATA, shim.chunk[CHUNK_RX + i], TOE_CHUNK_DATA);
	memcpy(ring, ring_hot_rx(ctl()), TOE_HOT);
}

/* ---- the connection ---- */

static void make_flow(struct toe_flow *f, uint16_t port)
{
	*f = (struct toe_flow){ .lport = bpf_htons(80), .rport = bpf_htons(port), .net = 7, .family = v6 ? 10 : 2 };
	f->laddr[0] = f->raddr[0] = v6 ? bpf_htonl(0x20010db8) : 0;
	f->laddr[2] = f->raddr[2] = v6 ? 0 : bpf_htonl(0xffff);
	f->laddr[3] = bpf_htonl(0x0a000001);
	f->raddr[3] = bpf_htonl(0x0a000002);
}

static void make_conn(int nr, uint32_t id, uint16_t port, uint8_t chunk)
{
	uint8_t opts = byte(), scale = byte();
	struct hw_conn *c = &shim.conn[nr].c;
	uint32_t rcv = word(), snd = word();

	*c = (struct hw_conn){ .hw_connid = id, .gen = GEN, .nic = 2, .cookie = 4711, .app = APP, .qp = QP,
			       .rx.unit = chunk * TOE_CHUNK_UNITS, .tx.unit = CHUNK_TX * TOE_CHUNK_UNITS, .ttl = 61, .next = TOE_HW,
			       .vlan = link,
			       .state = TOE_HOLD, .dst_mac = { 2, 2 }, .src_mac = { 2, 1 } };
	c->rx.order = nr ? TOE_ORDER_64 : TOE_ORDER_64 + (opts >> 6) % 3;
	c->tx.order = opts >> 7 ? TOE_ORDER_64 : 0;
	c->min = (struct min_tcp){ .snd_una = snd, .snd_nxt = snd, .snd_wnd = 40000, .snd_wl1 = rcv, .snd_wl2 = snd,
		.snd_max_wnd = 40000, .write_seq = snd, .rcv_nxt = rcv, .rcv_adv = rcv + 20000, .copied_seq = rcv,
		.last_ack = rcv, .ts_recent = 5000, .ts_off = 77, .min_rtt_us = ~0U, .cwnd = 14480, .ssthresh = ~0U,
		.snd_mss = 1448, .rcv_mss = 1448, .snd_wscale = scale & 15, .rcv_wscale = (scale >> 4) % 11,
		.opts = opts & 15 };
	if (opts & 64)		/* the kernel had promised more than the ring holds */
		c->min.rcv_adv += ring_size(c->rx);
	make_flow(&c->min.flow, port);
	shim.conn[nr].used = 1;
	shim.id[id] = (struct hw_connid){ .flow = c->min.flow, .gen = GEN };
}

/* Through the command program, as the daemon does. */
static void load(int nr)
{
	struct toe_cmd cmd = { .op = TOE_CMD_LOAD, .flow = shim.conn[nr].c.min.flow, .conn = shim.conn[nr].c };
	uint32_t len = sizeof(cmd);

	if (shim_run(toe_cmd, &cmd, &len, 1))
		die("LOAD refused");
	cmd.op = TOE_CMD_FINISH;
	len = sizeof(cmd);
	if (shim_run(toe_cmd, &cmd, &len, 1))
		die("FINISH refused");
}

static void start(void)
{
	uint8_t knobs = byte();

	shim_forget();
	shim.now_ns = 1000000000;
	v6 = knobs & 1;
	link = links[knobs >> 5 & 3];
	toe_nic_id = 2;
	toe_net = 7;
	toe_replay = 0;
	toe_nic_flags = ((knobs >> 1) & 3) | (knobs & 16 ? TOE_NIC_TRAINS : 0);
	shim.nic.flags = knobs & 8 ? 0 : TOE_NIC_TRAINS;
	shim.qp[TOE_QP_DAEMON] = (struct toe_qp){ .app = 99, .flags = TOE_QP_PRIV, .chunk = CHUNK_DAEMON };
	shim.qp[QP] = (struct toe_qp){ .app = APP, .chunk = CHUNK_QP };
	shim.qp[OTHER_QP] = (struct toe_qp){ .app = APP + 1, .chunk = CHUNK_OTHER_QP };
	make_conn(0, ID, 40000, CHUNK_RX);
	make_conn(1, OTHER_ID, 40001, CHUNK_OTHER);
	ctl()->rx_read = conn()->min.rcv_nxt;
	ctl()->tx_filled = conn()->min.snd_nxt;
	shim.conn[1].c.app = APP + 2;
	load(0);
	load(1);
	other = shim.conn[1].c;
}

/* ---- steps ---- */

static uint16_t fold(uint32_t sum)
{
	return (uint16_t)inv_sum(NULL, 0, sum);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t put_opts(uint8_t *p)
{
	const struct min_tcp *m = &conn()->min;
	uint32_t n = 0, kinds = byte();

	if (kinds & 1) {
		put32(p, 0x0101080a);
		put32(p + 4, m->ts_recent + near());
		put32(p + 8, (uint32_t)(shim.now_ns / 1000000) + m->ts_off - (near() & 0xffff));
		n = 12;
	}
	if (kinds & 6) {
		uint32_t nr = kinds >> 1 & 3;

		if (n + 4 + 8 * nr > 40)
			nr = 3;
		put32(p + n, 0x01010502 + 8 * nr);
		for (uint32_t i = 0; i < nr; i++) {
			put32(p + n + 4 + 8 * i, m->snd_una + near());
			put32(p + n + 8 + 8 * i, m->snd_una + near());
		}
		n += 4 + 8 * nr;
	}
	return n;
}

static void put_ip(uint8_t *ip, uint32_t l4_len, uint8_t ecn)
{
	const struct toe_flow *f = &conn()->min.flow;

	memset(ip, 0, v6 ? 40 : 20);
	if (v6) {
		put32(ip, 0x60000000 | (uint32_t)ecn << 20);
		put16(ip + 4, l4_len);
		ip[6] = 6;
		memcpy(ip + 8, f->raddr, 16);
		memcpy(ip + 24, f->laddr, 16);
		return;
	}
	put32(ip, 0x45000000 | (uint32_t)ecn << 16 | (20 + l4_len));
	ip[9] = 6;
	memcpy(ip + 12, &f->raddr[3], 4);
	memcpy(ip + 16, &f->laddr[3], 4);
}

static void put_csum(uint8_t *ip, uint32_t l4_len)
{
	uint8_t *tcp = ip + (v6 ? 40 : 20);

	put16(tcp + 16, 0);
	put16(tcp + 16, ~(uint32_t)fold(inv_sum(tcp, l4_len, inv_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 6 + l4_len))));
}

static uint32_t l3_off(void)
{
	return 14 + (link ? link >> 13 ? 8 : 4 : 0);
}

static uint32_t put_tag(uint8_t *d, uint32_t len, uint32_t tag)
{
	memmove(d + 16, d + 12, len - 12);
	put16(d + 12, tag & 0x1000 ? 0x88a8 : 0x8100);
	put16(d + 14, tag & 0xfff);
	return len + 4;
}

/* A segment from the peer, near what fits. */
static uint32_t segment_untagged(uint8_t *d)
{
	static const uint8_t flags[8] = { 0x10, 0x10, 0x18, 0x50, 0x90, 0x11, 0x14, 0x12 };
	const struct min_tcp *m = &conn()->min;
	uint8_t kind = byte(), fill = byte(), *ip = d + 14, *tcp = ip + (v6 ? 40 : 20), opts[40];
	uint32_t opt_len = put_opts(opts), len = (kind & 1 ? near() & 0xfff : 0) % 3000, l4_len;

	memcpy(d, "\2\1\0\0\0\0\2\2\0\0\0\0", 12);
	put16(d + 12, v6 ? 0x86dd : 0x0800);
	l4_len = 20 + opt_len + len;
	put_ip(ip, l4_len, kind >> 1 & 3);
	put16(tcp, 40000);
	put16(tcp + 2, 80);
	put32(tcp + 4, m->rcv_nxt + near());
	put32(tcp + 8, (kind & 8 ? m->snd_nxt : m->snd_una) + near());
	put16(tcp + 12, (20 + opt_len) / 4 << 12 | (kind & 0x80 ? byte() : flags[kind >> 4 & 7]));
	put16(tcp + 14, kind & 8 ? 0xffff : near());
	put32(tcp + 16, 0);
	memcpy(tcp + 20, opts, opt_len);
	memset(tcp + 20 + opt_len, fill, len);
	put_csum(ip, l4_len);
	return 14 + (v6 ? 40 : 20) + l4_len;
}

static uint32_t segment(uint8_t *d)
{
	uint32_t len = segment_untagged(d);

	for (uint32_t tags = link; tags; tags >>= 13)
		len = put_tag(d, len, tags);
	return len;
}

static uint32_t other_tags(uint8_t *d)
{
	uint32_t len = segment_untagged(d), nr = byte() & 3;

	while (nr--)
		len = put_tag(d, len, byte() & 1 ? byte() & 7 : links[byte() & 3]);
	return len;
}

static uint32_t mutated(uint8_t *d)
{
	uint32_t len = segment(d), nr = byte() & 7;

	for (uint32_t i = 0; i < nr; i++)
		d[byte() % (len < 100 ? len : 100)] ^= byte();
	if (byte() & 1)
		put_csum(d + l3_off(), len - l3_off() - (v6 ? 40 : 20));
	if (byte() & 1)
		len -= byte() % len;
	return len;
}

static uint32_t raw(uint8_t *d)
{
	uint32_t len = byte();

	for (uint32_t i = 0; i < len; i++)
		d[i] = byte();
	return len;
}

static void check_out(int act, const struct inv_state *a, uint32_t len)
{
	const char *bad;

	if (act == XDP_REDIRECT && shim.redirect_map != &nic_reply && shim.redirect_map != &qp_dev)
		die("a segment goes where none belongs");
	if (act != XDP_TX && !(act == XDP_REDIRECT && shim.redirect_map == &nic_reply))
		return;
	if (!shim.frame[12] && !shim.frame[13]) {	/* has a note, and is the newest of its kind */
		static uint8_t copy[4096];

		memcpy(copy, shim.frame, len);
		if (shim_run(toe_train, copy, &len, 2000) != XDP_PASS)
			die("the newest acknowledgement does not leave");
	}
	bad = inv_out(a, shim.frame, len, 1);
	if (bad)
		die(bad);
}

/* It may be the other connection's, behind whatever tags. */
static int others(const uint8_t *d, uint32_t len)
{
	for (uint32_t l3 = 14; l3 <= 22 && len > l3 + 42; l3 += 4)
		if (d[l3 + (v6 ? 40 : 20) + 1] == (40001 & 0xff))
			return 1;
	return 0;
}

static void from_wire(const uint8_t *d, uint32_t len)
{
	static struct inv_state b, a;
	uint32_t out_len = len;
	const char *bad;
	int act;

	snapshot(&b, old_ring);
	act = shim_run(toe_rx, d, &out_len, 2000);
	snapshot(&a, now_ring);
	if (act < XDP_DROP || act > XDP_REDIRECT)
		die("a verdict that is none");
	if (others(d, len))
		other = shim.conn[1].c;
	else
		check_out(act, &a, out_len);
	bad = inv_rx(&b, &a, d, len, old_ring, now_ring);
	if (bad)
		die(bad);
}

/* The copies of a train's frame, and one too many. A note is the engine's own: here it may be spoilt, and still nothing
 * but the packet is written. */
static void wagons(const struct toe_desc *desc, const struct inv_state *a, uint32_t len)
{
	uint8_t copy[4096], spoil = byte();
	const char *bad = NULL;

	memcpy(copy, shim.frame, len);
	if (spoil == 1)
		copy[TRAIN_OFF + byte() % sizeof(struct train)] ^= byte();
	for (unsigned int i = 0; i <= desc->nr; i++) {
		uint32_t out_len = len;
		int act = shim_run(toe_train, copy, &out_len, 2000);

		if (act != XDP_PASS && act != XDP_DROP)
			die("a segment of a train goes elsewhere");
		if (spoil == 1)
			continue;
		if ((act == XDP_PASS) != (i < desc->nr))
			die("segments of a train are missing, or too many");
		if (act == XDP_PASS)
			bad = inv_out(a, shim.frame, out_len, 1);
		if (bad)
			die(bad);
	}
}

/* The copies of a batch's frame, and one too many: each does what its item would have done by itself. */
static void batch(uint32_t qp, const uint8_t *d, uint32_t len)
{
	static struct inv_state b, a;
	static uint8_t copy[4096];
	const struct toe_batch_item *it = (const void *)(d + TOE_BATCH_OFF);
	const struct toe_desc *desc = (const void *)d;
	const char *bad;

	memcpy(copy, shim.frame, len);
	for (unsigned int i = 0; i <= desc->nr; i++) {
		struct toe_desc one = { .op = TOE_OP_DATA, .hw_connid = it[i % desc->nr].hw_connid, .gen = it[i % desc->nr].gen,
					.seq = it[i % desc->nr].seq, .len = it[i % desc->nr].len, .nr = 1 };
		uint32_t out_len = len;
		int act;

		snapshot(&b, old_ring);
		act = shim_run(toe_train, copy, &out_len, 2000);
		snapshot(&a, now_ring);
		if ((act != XDP_PASS && act != XDP_DROP) || (act == XDP_PASS && i == desc->nr))
			die("a segment of a batch goes elsewhere, or there are too many");
		if (one.hw_connid == OTHER_ID)
			other = shim.conn[1].c;
		bad = inv_tx(&b, &a, &one, qp == QP, qp == TOE_QP_DAEMON, old_ring, now_ring);
		if (!bad && act == XDP_PASS && one.hw_connid == ID)
			bad = inv_out(&a, shim.frame, out_len, 1);
		if (bad)
			die(bad);
	}
}

static uint32_t items(struct toe_desc *desc, uint8_t *d)
{
	struct toe_batch_item *it = (void *)(d + TOE_BATCH_OFF);
	uint32_t seq = conn()->min.snd_nxt;

	desc->nr = byte() & 31;
	for (unsigned int i = 0; i < desc->nr; i++) {
		uint8_t kind = byte();

		it[i] = (struct toe_batch_item){ .hw_connid = kind & 3 ? ID : OTHER_ID, .gen = GEN, .seq = seq, .flags = kind };
		it[i].len = (uint16_t)(kind & 4 ? byte() : (near() & 0xfff) % 1600);
		if (kind & 8)
			it[i].seq += near();
		seq += kind & 3 ? it[i].len : 0;
	}
	return TOE_BATCH_OFF + desc->nr * (uint32_t)sizeof(*it) + (byte() & 7) * 200;
}

static void descriptor(void)
{
	static const uint16_t tap[8] = { QP, QP, QP, QP, QP, OTHER_QP, TOE_QP_DAEMON, 0 };
	static struct inv_state b, a;
	static uint8_t d[4096];
	const struct min_tcp *m = &conn()->min;
	uint8_t kind = byte();
	uint32_t qp = tap[kind & 7], len, out_len, hdr = TOE_HDR_LEN(m->flow.family, m->opts & TOE_OPT_TS);
	struct toe_desc desc = { .magic = TOE_DESC_MAGIC, .op = (kind >> 3) % 9, .flags = kind >> 6, .hw_connid = ID,
				 .gen = GEN };
	const char *bad;
	int act;

	desc.len = (uint16_t)(desc.op == TOE_OP_DATA || desc.op == TOE_OP_RTX ? near() & 0xfff : 0) % 3500;
	if (desc.op == TOE_OP_TRAIN) {
		desc.len = m->snd_mss;
		desc.nr = (uint16_t)near() & 63;
		desc.last = (uint16_t)near() % 1500;
	}
	desc.seq = (desc.op == TOE_OP_RTX ? m->snd_una : m->snd_nxt) + near();
	len = hdr + desc.len;
	memset(d, byte(), sizeof(d));
	if (desc.op == TOE_OP_BATCH)
		len = items(&desc, d);
	desc.csum = fold(inv_sum(d + hdr, desc.len, 0));
	desc.csum = bpf_htons(desc.csum);
	if (byte() == 1)
		((uint8_t *)&desc)[byte() % sizeof(desc)] ^= byte();
	if (byte() == 1)
		len -= byte() % len;
	memcpy(d, &desc, sizeof(desc));
	snapshot(&b, old_ring);
	out_len = len;
	act = shim_run(toe_tx, d, &out_len, TOE_TAP_IFINDEX + qp);
	snapshot(&a, now_ring);
	if (qp == TOE_QP_DAEMON && desc.hw_connid == OTHER_ID)
		other = shim.conn[1].c;
	if (act != XDP_DROP && act != XDP_REDIRECT)
		die("a frame on a TAP goes to a network stack");
	bad = inv_tx(&b, &a, &desc, qp == QP, qp == TOE_QP_DAEMON, old_ring, now_ring);
	if (!bad && act == XDP_REDIRECT && shim.redirect_map == &shim.nic && desc.op == TOE_OP_BATCH)
		batch(qp, d, out_len);
	else if (!bad && act == XDP_REDIRECT && shim.redirect_map == &shim.nic)
		wagons(&desc, &a, out_len);
	else if (!bad && act == XDP_REDIRECT && shim.redirect_map == &nic_dev)
		bad = inv_out(&a, shim.frame, out_len, 0);
	else if (act == XDP_REDIRECT && shim.redirect_map != &qp_dev)
		die("a frame on a TAP goes where none belongs");
	if (bad)
		die(bad);
}

/* The application writes what it likes; mostly what a library would. */
static void shared_word(void)
{
	const struct min_tcp *m = &conn()->min;
	uint8_t kind = byte();

	switch (kind & 7) {
	case 0: ctl()->rx_read = m->rcv_nxt; break;
	case 1: ctl()->rx_read = (uint32_t)(m->rcv_nxt - (near() & 0xffff)); break;
	case 2: ctl()->rx_read = (uint64_t)word() << 32 | word(); break;
	case 3: ctl()->tx_filled = (uint32_t)(m->snd_nxt + (near() & 0xffff)); break;
	case 4: ctl()->tx_filled = (uint64_t)word() << 32 | word(); break;
	case 5: ctl()->want_write = byte(); break;
	case 6: ((uint8_t *)ctl())[byte() % sizeof(*ctl())] = byte(); break;
	case 7: ((struct toe_qp_wake *)shim.chunk[CHUNK_QP])->armed = byte(); break;
	}
}

/* Only what is legal: the daemon is trusted. */
static void command(void)
{
	static const uint8_t ops[] = { TOE_CMD_HOLD, TOE_CMD_FINISH, TOE_CMD_LINK, TOE_CMD_RTO, TOE_CMD_READ,
#ifdef INV_REC
				       TOE_CMD_NEXT, TOE_CMD_NEXT,
#endif
	};
	struct toe_cmd cmd = { .op = ops[byte() % sizeof(ops)], .next = TOE_HW, .flow = conn()->min.flow };
	uint32_t len = sizeof(cmd);
	static struct inv_state s;
	const char *bad;
	int err;

	cmd.conn = *conn();
	cmd.conn.backoff = byte() & 15;
	if (cmd.op == TOE_CMD_FINISH && conn()->state == TOE_HOLD) {	/* never to HW without LOAD */
		conn()->next = TOE_HW;
		cmd.op = TOE_CMD_LOAD;
		shim_run(toe_cmd, &cmd, &len, 1);
		cmd.op = TOE_CMD_FINISH;
		cmd.conn = *conn();
		len = sizeof(cmd);
	}
	err = shim_run(toe_cmd, &cmd, &len, 1);
	if (err > 0)
		die("a command returned no errno");
	snapshot(&s, now_ring);
	bad = inv_entry(&s);
	if (bad)
		die(bad);
}

/* What was held is replayed, as the daemon does. */
static void replay(void)
{
	while (shim.nr_held) {
		struct toe_held *h = shim.held[0];

		memmove(shim.held, shim.held + 1, --shim.nr_held * sizeof(h));
		toe_replay = 1;
		from_wire(h->frame, h->len);
		toe_replay = 0;
		free(h);
	}
}

static void step(void)
{
	static uint8_t d[4096];
	uint8_t what = byte();

	shim.hold_full = what >> 7;
	switch (what & 15) {
	default: from_wire(d, segment(d)); break;
	case 7: from_wire(d, other_tags(d)); break;
	case 8: from_wire(d, mutated(d)); break;
	case 9: from_wire(d, raw(d)); break;
	case 10: case 11: descriptor(); break;
	case 12: shared_word(); break;
	case 13: command(); break;
	case 14: shim.now_ns += (uint64_t)word() * 1000; break;
	case 15: replay(); break;
	}
	if (memcmp(&other, &shim.conn[1].c, sizeof(other)))
		die("another connection changed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = data;
	in_len = size;
	start();
	for (int i = 0; i < MAX_STEPS && in_len; i++)
		step();
	return 0;
}
