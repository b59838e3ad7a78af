// SPDX-License-Identifier: GPL-2.0-or-later
/* What lies beneath the engines: reflection and redirection without any TCP. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 limit_ifindex;
const volatile __be16 limit_port;

#define PROTO_TCP 6

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u32 halves(__u32 v)
{
	return (v & 0xffff) + (v >> 16);
}

/* The segment goes back as the peer's next: its numbers exchanged, its payload acknowledged. Addresses and ports
 * change places, which no checksum notices. */
static __always_inline void turn(struct ethhdr *eth, struct iphdr *ip, struct tcphdr *th, __u32 len)
{
	__be32 addr = ip->saddr, seq = th->seq, ack = bpf_htonl(bpf_ntohl(seq) + len);
	unsigned char mac[6];
	__be16 port = th->source;

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	th->source = th->dest;
	th->dest = port;
	th->seq = th->ack_seq;
	th->ack_seq = ack;
	/* RFC 1624: one word less, one more */
	th->check = ~fold((__u16)~th->check + fold(halves(~seq) + halves(ack)));
}

SEC("xdp")
int limit_reflect(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *th = (void *)(ip + 1);
	__be32 *ts, tsval;
	__u32 hdr_len;

	if ((void *)(th + 1) > end || eth->h_proto != bpf_htons(0x0800) || ip->protocol != PROTO_TCP ||
	    th->dest != limit_port)
		return XDP_PASS;
	hdr_len = sizeof(*ip) + th->doff * 4;
	if (bpf_ntohs(ip->tot_len) <= hdr_len)
		return XDP_PASS;
	turn(eth, ip, th, bpf_ntohs(ip->tot_len) - hdr_len);
	/* timestamps change places, too, or PAWS would drop it */
	ts = (__be32 *)(th + 1);
	if (th->doff == 8 && (void *)(ts + 3) <= end) {
		tsval = ts[1];
		ts[1] = ts[2];
		ts[2] = tsval;
	}
	return bpf_redirect(limit_ifindex, 0);
}

SEC("xdp")
int limit_redirect(struct xdp_md *ctx)
{
	return bpf_redirect(limit_ifindex, 0);
}

SEC("xdp")
int limit_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}
