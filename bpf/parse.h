/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Header cursor: what a frame says, read once. */
#ifndef PARSE_H
#define PARSE_H

#include "maps.bpf.h"
#include "wire.h"

#define IP_MF		0x2000
#define IP_OFFSET	0x1fff
#define ECN_ECT0	2
#define ECN_CE		3

#define MAX_EXT_HDRS	4
#define MAX_TAGS	2

struct seg {
	__u32 vlan;		/* toe/vlan.h */
	__u32 seq;
	__u32 ack;
	__u32 tsval;
	__u32 tsecr;
	__u16 sack_off;		/* of the first SACK block in the frame, if nr_sack */
	__u16 l4_off;		/* of the TCP header in the frame */
	__u16 l4_len;		/* TCP header and payload */
	__u16 hdr_len;		/* TCP header */
	__u16 len;		/* payload */
	__u16 window;		/* unscaled */
	__u16 frame_len;
	__u8 flags;
	__u8 ecn;
	__u8 why;		/* enum toe_why: not a plain segment as far as IP goes; 0: plain */
	__u8 has_ts;
	__u8 nr_sack;
};

/* Returns the offset of the TCP header, 0 if there is none to look at. */
static __always_inline __u32 parse_ipv4(void *data, void *end, struct toe_flow *f, struct seg *s)
{
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u32 ihl, total;
	__u16 frag;

	if ((void *)(ip + 1) > end || ip->protocol != PROTO_TCP || ip->version != 4)
		return 0;
	ihl = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	frag = bpf_ntohs(ip->frag_off);
	if (ihl < sizeof(*ip) || total < ihl || (frag & IP_OFFSET))
		return 0;
	if (ihl > sizeof(*ip))
		s->why = TOE_WHY_OPTIONS;
	if (frag & IP_MF)
		s->why = TOE_WHY_FRAGMENT;
	s->ecn = ip->tos & 3;
	s->l4_len = total - ihl;
	f->family = 2;
	f->raddr[2] = bpf_htonl(0xffff);
	f->raddr[3] = ip->saddr;
	f->laddr[2] = bpf_htonl(0xffff);
	f->laddr[3] = ip->daddr;
	return sizeof(struct ethhdr) + ihl;
}

struct ext_hdr {
	__u8 next;
	__u8 len;
	__be16 frag_off;	/* of a fragment header */
};

#define EXT_HOP		0
#define EXT_ROUTING	43
#define EXT_FRAGMENT	44
#define EXT_DEST	60

/* Extension headers before TCP. Returns their length in bytes, or 0. */
static __always_inline __u32 parse_ext(void *p, void *end, __u8 next, struct seg *s)
{
	__u32 off = 0;

	for (int i = 0; i < MAX_EXT_HDRS; i++) {
		struct ext_hdr *h = p + off;

		if ((void *)(h + 2) > end)
			return 0;
		if (next == EXT_FRAGMENT) {
			if (h->frag_off & bpf_htons(0xfff8))
				return 0;
			s->why = TOE_WHY_FRAGMENT;
			off += 8;
		} else if (next == EXT_HOP || next == EXT_ROUTING || next == EXT_DEST) {
			off += (h->len + 1) * 8;
		} else {
			return 0;
		}
		next = h->next;
		if (next == PROTO_TCP)
			return off;
	}
	return 0;
}

static __always_inline __u32 parse_ipv6(void *data, void *end, struct toe_flow *f, struct seg *s)
{
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);
	__u32 ext = 0, total;

	if ((void *)(ip + 1) > end || (ip->vtcfl & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return 0;
	total = bpf_ntohs(ip->payload_len);
	if (ip->nexthdr != PROTO_TCP) {
		s->why = TOE_WHY_OPTIONS;
		ext = parse_ext(ip + 1, end, ip->nexthdr, s);
		if (!ext || ext > total)
			return 0;
	}
	s->ecn = (bpf_ntohl(ip->vtcfl) >> 20) & 3;
	s->l4_len = total - ext;
	f->family = 10;
	__builtin_memcpy(f->raddr, ip->saddr, 16);
	__builtin_memcpy(f->laddr, ip->daddr, 16);
	return sizeof(struct ethhdr) + sizeof(*ip) + ext;
}

static __always_inline int parse_tcp(void *data, void *end, __u32 off, struct toe_flow *f,
				     struct seg *s)
{
	struct tcphdr *th = data + off;

	if ((void *)(th + 1) > end)
		return -1;
	s->hdr_len = th->doff * 4;
	if (s->hdr_len < sizeof(*th) || s->hdr_len > s->l4_len ||
	    off + s->l4_len > s->frame_len)
		return -1;
	s->l4_off = off;
	s->len = s->l4_len - s->hdr_len;
	s->seq = bpf_ntohl(th->seq);
	s->ack = bpf_ntohl(th->ack_seq);
	s->window = bpf_ntohs(th->window);
	s->flags = th->flags;
	f->lport = th->dest;
	f->rport = th->source;
	return 0;
}

struct tag {			/* 802.1Q */
	__be16 tci;
	__be16 proto;
};

/*
 * Bytes of tags. Those with a VLAN go to vlan; priority tags (802.1Q: VID 0) say nothing of whose frame it is: Linux
 * skips them, too. With more tags than these it is not IP to us, and so the kernel's.
 */
static __always_inline __u32 read_tags(void *data, void *end, __be16 *proto, __u32 *vlan)
{
	struct tag *t = data + sizeof(struct ethhdr);
	__u32 len = 0, vid;

	for (int i = 0; i < MAX_TAGS; i++, t++) {
		bool ad = *proto == bpf_htons(ETH_P_8021AD);

		if ((!ad && *proto != bpf_htons(ETH_P_8021Q)) || (void *)(t + 1) > end)
			break;
		vid = bpf_ntohs(t->tci) & TOE_VLAN_VID;
		if (vid)
			*vlan = toe_vlan_push(*vlan, vid, ad);
		*proto = t->proto;
		len += sizeof(*t);
	}
	return len;
}

/*
 * 0, or -1: not a whole TCP segment, the kernel's business. f and s come zeroed;
 * f->net is the caller's. A global function: the verifier goes its many ways
 * once, and what it wrote is unknown to the caller, one state instead of many.
 */
__noinline int parse(struct xdp_md *ctx, struct toe_flow *f, struct seg *s)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 off = 0, tags = 0;
	__be16 proto;

	if (!f || !s)
		return -1;
	s->frame_len = end - data;
	if ((void *)(eth + 1) > end)
		return -1;
	proto = eth->h_proto;
	if (proto != bpf_htons(ETH_P_IP) && proto != bpf_htons(ETH_P_IPV6))
		tags = read_tags(data, end, &proto, &s->vlan);
	if (proto == bpf_htons(ETH_P_IP))
		off = parse_ipv4(data + tags, end, f, s);
	else if (proto == bpf_htons(ETH_P_IPV6))
		off = parse_ipv6(data + tags, end, f, s);
	if (!off)
		return -1;
	return parse_tcp(data, end, off + tags, f, s);
}

#define OPT_EOL		0
#define OPT_NOP		1
#define OPT_SACK	5
#define OPT_TS		8
#define OPT_NOP_NOP_TS	0x0101080a	/* RFC 7323 appendix A */
#define MAX_OPTS	16

struct opts {
	__u32 tsval;
	__u32 tsecr;
	__u32 has_ts;
	__u32 sack_off;
	__u32 nr_sack;
};

static __always_inline __u32 load_be32(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}

/*
 * Any order of options. Illegal lengths end the walk (what was found before
 * stands). Global, so that the verifier looks at it by itself. from, to:
 * offsets in the frame.
 */
__noinline int parse_opts(struct xdp_md *ctx, __u32 from, __u32 to, struct opts *o)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 at = from;

	if (!o)
		return -1;
	for (int i = 0; i < MAX_OPTS && at < to && at < 1024; i++) {
		__u8 *p = data + at;
		__u32 kind, len;

		if ((void *)(p + 1) > end)
			break;
		kind = p[0];
		if (kind == OPT_EOL)
			break;
		if (kind == OPT_NOP) {
			at++;
			continue;
		}
		if ((void *)(p + 2) > end)
			break;
		len = p[1];
		if (len < 2 || at + len > to)
			break;
		if ((void *)(p + 10) <= end && len >= 10) {
			if (kind == OPT_TS && len == 10) {
				o->has_ts = 1;
				o->tsval = load_be32(p + 2);
				o->tsecr = load_be32(p + 6);
			} else if (kind == OPT_SACK) {
				o->sack_off = at + 2;
				o->nr_sack = (len - 2) / 8;
			}
		}
		at += len;
	}
	return 0;
}

/* Options of a plain segment. */
static __always_inline void seg_options(struct xdp_md *ctx, struct seg *s)
{
	__u32 off = s->l4_off + sizeof(struct tcphdr);
	__be32 *w = (void *)(long)ctx->data + (off & 0xff);
	struct opts o = {};

	if (s->hdr_len == sizeof(struct tcphdr))
		return;
	if (s->hdr_len == sizeof(struct tcphdr) + 12 && off < 0xff &&
	    (void *)(w + 3) <= (void *)(long)ctx->data_end && w[0] == bpf_htonl(OPT_NOP_NOP_TS)) {
		s->has_ts = 1;
		s->tsval = bpf_ntohl(w[1]);
		s->tsecr = bpf_ntohl(w[2]);
		return;
	}
	parse_opts(ctx, off, s->l4_off + s->hdr_len, &o);
	s->has_ts = o.has_ts;
	s->tsval = o.tsval;
	s->tsecr = o.tsecr;
	s->sack_off = o.sack_off;
	s->nr_sack = o.nr_sack;
}

#endif
