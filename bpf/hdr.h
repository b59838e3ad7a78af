/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of what the engines send, built from the entry. */
#ifndef HDR_H
#define HDR_H

#include "csum.h"
#include "now.h"
#include "ring.bpf.h"
#include "toe/desc.h"
#include "toe/ival.h"
#include "toe/wnd.h"

#define IP_DF		0x4000

struct hdr {
	__u32 seq;
	__u32 now_ms;
	__u32 csum;		/* of the payload, as toe_desc.csum */
	__u16 len;		/* payload bytes */
	__u8 flags;
	__u8 ect;		/* ECN-capable: RFC 3168 6.1.1 */
};

struct hdr_sack {		/* blocks, as hdr_sack() collects them */
	struct toe_ival b[4];
	__u32 nr;
};

static __always_inline __u32 hdr_len(const struct hw_conn *c)
{
	return TOE_HDR_LEN(c->min.flow.family, c->min.opts & TOE_OPT_TS);
}

/*
 * SACK blocks that an acknowledgement carries now: a D-SACK (RFC 2883 section 4), then out-of-order
 * data, the most recent first (RFC 2018 section 4). The D-SACK is told once, and not at all if it could not be told
 * before newer data came: the second block has to hold it. Global: most segments have none.
 */
__noinline int hdr_sack(struct hw_conn *c, struct hdr_sack *sack)
{
	struct hw_rec *r;
	__u32 most, n = 0;

	if (!c || !sack)
		return 0;
	r = rec_of(c);
	if (!r)
		return 0;
	most = c->min.opts & TOE_OPT_TS ? 3 : 4;
	if (c->rec & TOE_REC_DSACK) {
		c->rec &= ~TOE_REC_DSACK;
		if (seq_leq(r->dsack.end, c->min.rcv_nxt) ||
		    ival_holds(&r->ooo[0], r->dsack.start, r->dsack.end))
			sack->b[n++] = r->dsack;
	}
	for (int i = 0; i < 4 && n < most; i++) {
		struct toe_ival iv = r->ooo[i];

		if (ival_empty(&iv))
			break;
		sack->b[n++ & 3] = iv;
	}
	sack->nr = n;
	return 0;
}

static __always_inline __u32 hdr_sack_len(const struct hdr_sack *sack)
{
	return sack && sack->nr ? 4 + 8 * sack->nr : 0;
}

/* The window to advertise; opens it as far as the library has read. */
static __always_inline __u16 hdr_window(struct hw_conn *c, const struct toe_ring_ctl *ctl)
{
	__u32 size = ring_size(c->rx), read;

	if (ring_rx_read(c, ctl, &read))
		read = c->min.rcv_nxt - size;	/* nonsense: no new window */
	return wnd_select(&c->min, read, size);
}

static __always_inline void *hdr_eth(void *p, void *end, const struct hw_conn *c)
{
	struct ethhdr *eth = p;

	if ((void *)(eth + 1) > end)
		return NULL;
	__builtin_memcpy(eth->h_dest, c->dst_mac, 6);
	__builtin_memcpy(eth->h_source, c->src_mac, 6);
	eth->h_proto = c->min.flow.family == 2 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	return eth + 1;
}

/*
 * A frame without VLAN gets its tags: in front of it there is room, and its addresses go there. Global: the many frames
 * that have none pay for a branch. 0, or -1: it may not leave.
 */
__noinline int hdr_tags(struct xdp_md *ctx, __u32 vlan)
{
	__u32 inner = toe_vlan_inner(vlan), n = toe_vlan_len(vlan), mac[3];
	void *data, *end;
	__u32 *w;

	if (bpf_xdp_adjust_head(ctx, -(int)n))
		return -1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	w = data;
	if ((void *)(w + 5) > end)
		return -1;
	__builtin_memcpy(mac, inner ? w + 2 : w + 1, sizeof(mac));
	__builtin_memcpy(w, mac, sizeof(mac));
	w[3] = bpf_htonl(toe_vlan_word(toe_vlan_outer(vlan)));
	if (inner)
		w[4] = bpf_htonl(toe_vlan_word(inner));
	return 0;
}

static __always_inline void *hdr_ipv4(void *p, void *end, struct hw_conn *c, __u32 l4_len, __u8 ect)
{
	__u32 *w = p, w0, w1, w2;
	__u64 sum;

	if (p + sizeof(struct iphdr) > end)
		return NULL;
	w0 = bpf_htonl(0x45000000 | (__u32)(c->tos | ect) << 16 | (sizeof(struct iphdr) + l4_len));
	w1 = bpf_htonl((__u32)c->ip_id++ << 16 | IP_DF);
	w2 = bpf_htonl((__u32)c->ttl << 24 | PROTO_TCP << 16);
	sum = (__u64)w0 + w1 + w2 + c->min.flow.laddr[3] + c->min.flow.raddr[3];
	w[0] = w0;
	w[1] = w1;
	w[2] = w2;
	w[3] = c->min.flow.laddr[3];
	w[4] = c->min.flow.raddr[3];
	((struct iphdr *)p)->check = ~csum_fold(sum);
	return p + sizeof(struct iphdr);
}

static __always_inline void *hdr_ipv6(void *p, void *end, const struct hw_conn *c, __u32 l4_len,
				      __u8 ect)
{
	struct ipv6hdr *ip = p;

	if ((void *)(ip + 1) > end)
		return NULL;
	ip->vtcfl = bpf_htonl(0x60000000 | (__u32)(c->tos | ect) << 20);
	ip->payload_len = bpf_htons(l4_len);
	ip->nexthdr = PROTO_TCP;
	ip->hop_limit = c->ttl;
	__builtin_memcpy(ip->saddr, c->min.flow.laddr, 16);
	__builtin_memcpy(ip->daddr, c->min.flow.raddr, 16);
	return ip + 1;
}

/* Timestamps, then SACK blocks. */
static __always_inline int hdr_opts(void *p, void *end, const struct hw_conn *c,
				    const struct hdr *h, const struct hdr_sack *sack, __u64 *sum)
{
	__u32 *w = p;

	if (c->min.opts & TOE_OPT_TS) {
		if ((void *)(w + 3) > end)
			return -1;
		w[0] = bpf_htonl(OPT_NOP_NOP_TS);
		w[1] = bpf_htonl(h->now_ms + c->min.ts_off);
		w[2] = bpf_htonl(c->min.ts_recent);
		*sum += (__u64)w[0] + w[1] + w[2];
		w += 3;
	}
	if (!sack || !sack->nr)
		return 0;
	if ((void *)(w + 1) > end)
		return -1;
	w[0] = bpf_htonl(0x01010000 | OPT_SACK << 8 | (2 + 8 * sack->nr));
	*sum += *w++;
	for (int i = 0; i < 4 && i < sack->nr; i++) {
		if ((void *)(w + 2) > end)
			return -1;
		w[0] = bpf_htonl(sack->b[i].start);
		w[1] = bpf_htonl(sack->b[i].end);
		*sum += (__u64)w[0] + w[1];
		w += 2;
	}
	return 0;
}

static __always_inline int hdr_tcp(void *p, void *end, struct hw_conn *c,
				   const struct toe_ring_ctl *ctl, const struct hdr *h,
				   const struct hdr_sack *sack, __u32 l4_len)
{
	__u8 flags = h->flags | (c->ecn & TOE_ECN_ECHO ? TCP_ECE : 0);
	__u32 doff = (l4_len - h->len) / 4;
	struct tcphdr *th = p;
	__u32 *w = p;
	__u64 sum;

	if ((void *)(th + 1) > end)
		return -1;
	w[0] = (__u32)c->min.flow.lport | (__u32)c->min.flow.rport << 16;
	w[1] = bpf_htonl(h->seq);
	w[2] = bpf_htonl(c->min.rcv_nxt);
	w[3] = bpf_htonl(doff << 28 | (__u32)flags << 16 | hdr_window(c, ctl));
	w[4] = 0;
	sum = csum_pseudo(&c->min.flow, l4_len) + h->csum;
	sum += (__u64)w[0] + w[1] + w[2] + w[3];
	if (hdr_opts(th + 1, end, c, h, sack, &sum))
		return -1;
	th->check = ~csum_fold(sum);
	return 0;
}

/*
 * Write all headers over the beginning of the frame, which is hdr_len() +
 * hdr_sack_len() + h->len bytes long, tags before them. Moves rcv_adv. sack: NULL or the blocks. -1: the frame is too
 * short.
 */
static __always_inline int hdr_write(struct xdp_md *ctx, struct hw_conn *c,
				     const struct toe_ring_ctl *ctl, const struct hdr *h,
				     const struct hdr_sack *sack)
{
	void *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 l4_len = sizeof(struct tcphdr) + ((c->min.opts & TOE_OPT_TS) ? 12 : 0) +
		       hdr_sack_len(sack) + h->len;

	p = hdr_eth(p, end, c);
	if (!p)
		return -1;
	if (c->min.flow.family == 2)
		p = hdr_ipv4(p, end, c, l4_len, h->ect);
	else
		p = hdr_ipv6(p, end, c, l4_len, h->ect);
	if (!p)
		return -1;
	if (hdr_tcp(p, end, c, ctl, h, sack, l4_len))
		return -1;
	return c->vlan ? hdr_tags(ctx, c->vlan) : 0;
}

/* RFC 3168 6.1.4: acknowledgements without data are not ECN-capable; RFC 8257 and Linux: with DCTCP they are. */
static __always_inline __u8 hdr_ect(const struct hw_conn *c)
{
	return c->cc_alg == TOE_CC_DCTCP && (c->min.opts & TOE_OPT_ECN) ? ECN_ECT0 : 0;
}

/* Make the frame `want` bytes long. */
static __always_inline int hdr_resize(struct xdp_md *ctx, __u32 want)
{
	int delta = (int)want - (int)(ctx->data_end - ctx->data);

	return delta ? bpf_xdp_adjust_tail(ctx, delta) : 0;
}

/* Turn the frame into an acknowledgement that carries no data. */
static __always_inline int hdr_ack(struct xdp_md *ctx, struct hw_conn *c,
				   const struct toe_ring_ctl *ctl, __u32 seq, __u32 now_ms)
{
	struct hdr h = {
		.seq = seq,
		.now_ms = now_ms,
		.flags = TCP_ACK,
		.ect = hdr_ect(c),
	};
	struct hdr_sack sack = {};

	if ((c->min.opts & TOE_OPT_SACK) && (c->nr_ooo || (c->rec & TOE_REC_DSACK)))
		hdr_sack(c, &sack);
	if (hdr_resize(ctx, hdr_len(c) + hdr_sack_len(&sack)))
		return -1;
	return hdr_write(ctx, c, ctl, &h, &sack);
}

#endif
