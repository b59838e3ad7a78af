/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments built and read by the book, and the connection that the tests talk about. */
#ifndef TESTS_BPF_FRAMES_H
#define TESTS_BPF_FRAMES_H

#include <arpa/inet.h>
#include <linux/bpf.h>
#include "env.h"
#include "toe/desc.h"

/* The receive side begins a little before sequence numbers and chunks wrap. */
#define RCV0	0xfffff800U
#define SND0	0x7ffffc00U
#define MSS	1000U
#define WND	(40 * MSS)	/* the peer's */
#define ADV	60000U		/* ours, at the start */
#define TS0	5000U		/* TS.Recent */

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };

struct seg {			/* in host byte order */
	__u32 seq, ack, tsval, tsecr;
	__u32 len;		/* payload bytes */
	__u8 flags;
	__u16 window;		/* as on the wire */
	__u8 nr_sack;
	__u32 sack[4][2];
	bool no_ts, bad_csum, partial, more_frags, ip_opts, no_opts;
	__u8 ecn;
	const __u8 *raw_opts;	/* instead of the usual */
	unsigned int raw_len;
	__u16 tag[2];		/* TCIs instead of the link's, the outer one first */
	__u8 nr_tags;
	bool other_link;	/* not the link's tags, even if there are none here */
};

struct frame {
	unsigned int len;
	__u8 data[4096];
};

static bool v6;
static __u32 vlan;	/* tags of the connection's link, toe/vlan.h */
static __u8 sent_ecn;	/* ECN field that dissect() expects */

static inline __u8 pattern(__u32 seq)
{
	return (__u8)(seq * 31 + (seq >> 8) * 7 + 1);
}

static inline struct toe_flow test_flow(void)
{
	struct toe_flow f = { .lport = htons(80), .rport = htons(40000), .net = ENV_NET };

	f.family = v6 ? AF_INET6 : AF_INET;
	f.laddr[0] = f.raddr[0] = v6 ? htonl(0x20010db8) : 0;
	f.laddr[2] = f.raddr[2] = v6 ? 0 : htonl(0xffff);
	f.laddr[3] = htonl(0x0a000001);
	f.raddr[3] = htonl(0x0a000002);
	return f;
}

static inline __u32 sum16(const void *p, unsigned int len, __u32 sum)
{
	const __u8 *b = p;

	for (unsigned int i = 0; i < len; i++)
		sum += i & 1 ? b[i] : (__u32)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline __u32 tcp_pseudo(const __u8 *ip, unsigned int l4_len)
{
	__u32 sum = (ip[0] >> 4) == 4 ? sum16(ip + 12, 8, 0) : sum16(ip + 8, 32, 0);

	return sum16(NULL, 0, sum + 6 + l4_len);
}

static inline void put16(__u8 *p, __u32 v)
{
	p[0] = (__u8)(v >> 8);
	p[1] = (__u8)v;
}

static inline void put32(__u8 *p, __u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline __u32 get16(const __u8 *p)
{
	return (__u32)p[0] << 8 | p[1];
}

static inline __u32 get32(const __u8 *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static inline unsigned int put_opts(__u8 *p, const struct seg *s)
{
	__u8 *o = p;

	if (s->raw_opts) {
		memcpy(p, s->raw_opts, s->raw_len);
		return s->raw_len;
	}
	if (!s->no_ts) {
		put32(o, 0x0101080a);
		put32(o + 4, s->tsval);
		put32(o + 8, s->tsecr);
		o += 12;
	}
	if (s->nr_sack) {
		put32(o, 0x01010502U + 8U * s->nr_sack);
		for (int i = 0; i < s->nr_sack; i++) {
			put32(o + 4 + 8 * i, s->sack[i][0]);
			put32(o + 8 + 8 * i, s->sack[i][1]);
		}
		o += 4 + 8 * s->nr_sack;
	}
	return (unsigned int)(o - p);
}

static inline unsigned int put_ip(__u8 *ip, const struct seg *s, unsigned int l4_len)
{
	unsigned int ihl = s->ip_opts ? 24 : 20;
	struct toe_flow f = test_flow();

	if (v6) {
		put32(ip, 0x60000000U | (__u32)s->ecn << 20);
		put16(ip + 4, l4_len);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, f.raddr, 16);
		memcpy(ip + 24, f.laddr, 16);
		return 40;
	}
	memset(ip, 0, ihl);
	ip[0] = (__u8)(0x40 | ihl / 4);
	ip[1] = s->ecn;
	put16(ip + 2, ihl + l4_len);
	put16(ip + 6, s->more_frags ? 0x2000 : 0x4000);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, &f.raddr[3], 4);
	memcpy(ip + 16, &f.laddr[3], 4);
	if (ihl == 24)
		memset(ip + 20, 1, 4);		/* NOPs */
	put16(ip + 10, ~sum16(ip, ihl, 0));
	return ihl;
}

/* Behind the addresses. */
static inline void put_tag(struct frame *fr, unsigned int proto, unsigned int tci)
{
	memmove(fr->data + 16, fr->data + 12, fr->len - 12);
	put16(fr->data + 12, proto);
	put16(fr->data + 14, tci);
	fr->len += 4;
}

static inline void put_link(struct frame *fr, __u32 tags)
{
	for (; tags; tags >>= 13)
		put_tag(fr, tags & 0x1000 ? 0x88a8 : 0x8100, tags & 0xfff);
}

/* Of two tags the outer one is 802.1ad's. */
static inline void put_tags(struct frame *fr, const struct seg *s)
{
	for (int i = s->nr_tags - 1; i >= 0; i--)
		put_tag(fr, i || s->nr_tags == 1 ? 0x8100 : 0x88a8, s->tag[i]);
	if (!s->nr_tags && !s->other_link)
		put_link(fr, vlan);
}

/* Where IP begins in frames of the link. */
static inline unsigned int l3_off(void)
{
	return 14 + (vlan ? vlan >> 13 ? 8 : 4 : 0);
}

/* A segment from the peer. */
static inline struct frame *build(const struct seg *s)
{
	static struct frame fr;
	__u8 opts[40], *ip = fr.data + 14, *tcp;
	unsigned int opt_len = put_opts(opts, s), l4_len = 20 + opt_len + s->len, ip_len;

	memset(fr.data, 0, sizeof(fr.data));
	memcpy(fr.data, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	put16(fr.data + 12, v6 ? 0x86dd : 0x0800);
	ip_len = put_ip(ip, s, l4_len);
	tcp = ip + ip_len;
	put16(tcp, 40000);
	put16(tcp + 2, 80);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	put16(tcp + 12, (20 + opt_len) / 4 << 12 | s->flags);
	put16(tcp + 14, s->window);
	memcpy(tcp + 20, opts, opt_len);
	for (unsigned int i = 0; i < s->len; i++)
		tcp[20 + opt_len + i] = pattern(s->seq + i);
	if (s->partial)
		put16(tcp + 16, tcp_pseudo(ip, l4_len));
	else
		put16(tcp + 16, ~sum16(tcp, l4_len, tcp_pseudo(ip, l4_len)));
	if (s->bad_csum)
		tcp[19 + opt_len + s->len] ^= 0x40;
	fr.len = 14 + ip_len + l4_len;
	put_tags(&fr, s);
	return &fr;
}

static inline void parse_opts(const __u8 *o, const __u8 *end, struct seg *s)
{
	s->no_ts = true;
	while (o < end && *o) {
		if (*o == 1) {
			o++;
			continue;
		}
		if (*o == 8) {
			s->no_ts = false;
			s->tsval = get32(o + 2);
			s->tsecr = get32(o + 6);
		} else if (*o == 5) {
			s->nr_sack = (__u8)((o[1] - 2) / 8);
			for (int i = 0; i < s->nr_sack; i++) {
				s->sack[i][0] = get32(o + 2 + 8 * i);
				s->sack[i][1] = get32(o + 6 + 8 * i);
			}
		}
		o += o[1];
	}
}

/* A segment of ours: checks everything that does not vary, returns the rest. */
static inline struct seg dissect(const struct frame *fr)
{
	const __u8 *ip = fr->data + l3_off(), *tcp = ip + (v6 ? 40 : 20);
	struct toe_flow f = test_flow();
	struct frame link = { .len = 14 };
	unsigned int l4_len = v6 ? get16(ip + 4) : get16(ip + 2) - 20, hl = (tcp[12] >> 4) * 4;
	struct seg s = { .seq = get32(tcp + 4), .ack = get32(tcp + 8), .flags = tcp[13],
			 .window = (__u16)get16(tcp + 14), .len = l4_len - hl };

	assert_memory_equal(fr->data, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
	put16(link.data + 12, v6 ? 0x86dd : 0x0800);
	put_link(&link, vlan);
	assert_memory_equal(fr->data + 12, link.data + 12, l3_off() - 12);
	assert_int_equal(fr->len, l3_off() + (v6 ? 40 : 20) + l4_len);
	if (v6) {
		assert_int_equal(get32(ip), 0x60000000U | (0x10U | sent_ecn) << 20);
		assert_int_equal(get16(ip + 6), 6 << 8 | 61);
		assert_memory_equal(ip + 8, f.laddr, 16);
		assert_memory_equal(ip + 24, f.raddr, 16);
	} else {
		assert_int_equal(get16(ip), 0x4510 | sent_ecn);
		assert_int_equal(get16(ip + 6), 0x4000);
		assert_int_equal(get16(ip + 8), 61 << 8 | 6);
		assert_int_equal(sum16(ip, 20, 0), 0xffff);
		assert_memory_equal(ip + 12, &f.laddr[3], 4);
		assert_memory_equal(ip + 16, &f.raddr[3], 4);
	}
	assert_int_equal(get32(tcp), 80 << 16 | 40000);
	assert_int_equal(sum16(tcp, l4_len, tcp_pseudo(ip, l4_len)), 0xffff);
	parse_opts(tcp + 20, tcp + hl, &s);
	return s;
}

static inline int run_prog(struct bpf_program *prog, const void *data, unsigned int len, __u32 ifindex,
			   struct frame *out)
{
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = len, .data_out = out->data,
		    .data_size_out = sizeof(out->data), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		    .repeat = 1);

	TRY(!bpf_prog_test_run_opts(bpf_program__fd(prog), &opts));
	out->len = opts.data_size_out;
	return (int)opts.retval;
}

static struct frame out;	/* what the last frame became */

static inline int rx(const struct seg *s)
{
	struct frame *fr = build(s);

	return run_prog(env.rx->progs.toe_rx, fr->data, fr->len, ENV_NIC_IFINDEX, &out);
}

static inline int replay(const void *frame, unsigned int len)
{
	return run_prog(env.replay->progs.toe_rx, frame, len, ENV_NIC_IFINDEX, &out);
}

static inline struct seg expect_ack(int verdict)
{
	assert_int_equal(verdict, XDP_TX);
	return dissect(&out);
}

/* The usual segment: in order, acknowledges everything, payload of len bytes. */
static inline struct seg plain(__u32 seq, __u32 len)
{
	return (struct seg){ .seq = seq, .ack = SND0, .tsval = TS0, .tsecr = 1, .len = len, .flags = ACK,
			     .window = WND >> 3 };
}

static inline void check_ring(__u32 from, __u32 to)
{
	for (__u32 s = from; s != to; s++)
		if (*env_ring(CHUNK_RX, s) != pattern(s))
			fail_msg("byte %u of the ring is wrong", s - from);
}

/* ---- the connection ---- */

static inline struct hw_conn test_conn(void)
{
	struct hw_conn c = { .hw_connid = ENV_ID, .gen = ENV_GEN, .nic = ENV_NIC, .cookie = 4711,
			     .rx = { .unit = CHUNK_RX * TOE_CHUNK_UNITS, .order = ENV_ORDER },
			     .tx = { .unit = CHUNK_TX * TOE_CHUNK_UNITS, .order = ENV_ORDER }, .qp = ENV_QP, .app = ENV_APP,
			     .dst_mac = { 2, 0, 0, 0, 0, 2 }, .src_mac = { 2, 0, 0, 0, 0, 1 },
			     .tos = 0x10, .ttl = 61, .vlan = vlan };

	c.min = (struct min_tcp){ .flow = test_flow(), .snd_una = SND0, .snd_nxt = SND0, .snd_wnd = WND,
		.snd_wl1 = RCV0, .snd_wl2 = SND0, .snd_max_wnd = WND, .write_seq = SND0, .rcv_nxt = RCV0,
		.rcv_adv = RCV0 + ADV, .copied_seq = RCV0, .last_ack = RCV0, .ts_recent = TS0,
		.ts_off = 1000, .min_rtt_us = ~0U, .cwnd = 10 * MSS, .ssthresh = ~0U, .snd_mss = MSS,
		.rcv_mss = MSS, .snd_wscale = 3, .rcv_wscale = 5,
		.opts = TOE_OPT_TS | TOE_OPT_SACK | TOE_OPT_WSCALE };
	return c;
}

static inline void forget_all(void)
{
	struct toe_flow f = test_flow();

	memset(env_ctl(), 0, sizeof(struct toe_ring_ctl));
	memset(env_chunk(CHUNK_RX), 0, TOE_CHUNK_DATA);
	memset(env_chunk(CHUNK_RX + 1), 0, TOE_CHUNK_DATA);
	memset(env_place(CHUNK_RX, 0), 0, TOE_HOT);
	memset(&env.clock[ENV_ID], 0, sizeof(struct hw_clock));
	memset(env_wake(CHUNK_QP), 0, sizeof(struct toe_qp_wake));
	memset(env_wake(CHUNK_DAEMON), 0, sizeof(struct toe_qp_wake));
	env.dirty[ENV_ID / 64] = 0;
	bpf_map_delete_elem(env_map(env.rx->maps.hw_conn_t), &f);
	env_drain();
	env_ctl()->rx_read = RCV0;
	env_ctl()->tx_filled = SND0;
}

/* c as a shadow entry. */
static inline void make_shadow(const struct hw_conn *c)
{
	struct hw_connid id = { .flow = c->min.flow, .gen = c->gen };
	__u32 key = c->hw_connid;
	struct hw_conn shadow = *c;

	forget_all();
	shadow.hw_connid = shadow.gen = 0;
	shadow.seen_end = c->min.rcv_nxt;
	shadow.seen_ack = c->min.snd_una;
	TRY(!bpf_map_update_elem(env_map(env.rx->maps.hw_conn_t), &c->min.flow, &shadow, BPF_ANY));
	env_put(env.tx->maps.hw_connid, key, &id);
}

/* c moved into hardware. */
static inline void make_hw(struct hw_conn c)
{
	struct toe_flow f = c.min.flow;

	make_shadow(&c);
	assert_int_equal(env_op(&f, TOE_CMD_HOLD, TOE_HW, &(struct hw_conn){ .cookie = c.cookie, .vlan = vlan }), 0);
	assert_int_equal(env_op(&f, TOE_CMD_LOAD, 0, &c), 0);
	assert_int_equal(env_op(&f, TOE_CMD_FINISH, 0, &c), 0);
	env_woken();
	env_dirty();
	env_mark();
}

static inline int start_hw(void **state)
{
	(void)state;
	make_hw(test_conn());
	return 0;
}

/* Over either protocol, without tags and with one and two. */
static inline int on_all_links(const struct CMUnitTest *cases, size_t nr)
{
	static const struct { const char *name; bool v6; __u32 vlan; } links[] = {
		{ "IPv4", false, 0 }, { "IPv6", true, 0 }, { "IPv4 over 802.1Q", false, 0xabc },
		{ "IPv6 over 802.1ad and 802.1Q", true, (0x1000 | 5) << 13 | 7 },
	};
	int failed = 0;

	for (size_t i = 0; i < NR(links); i++) {
		v6 = links[i].v6;
		vlan = links[i].vlan;
		failed += _cmocka_run_group_tests(links[i].name, cases, nr, NULL, NULL);
	}
	return failed;
}

static inline const struct hw_conn *conn(void)
{
	struct toe_flow f = test_flow();
	const struct hw_conn *c = env_read(&f);

	assert_non_null(c);
	assert_int_equal(c->lock, 0);
	return c;
}

/* The entry becomes c, behind the engines' back. */
static inline void put_conn(const struct hw_conn *c)
{
	TRY(!bpf_map_update_elem(env_map(env.tx->maps.hw_conn_t), &c->min.flow, c, BPF_EXIST));
}

#endif
