// SPDX-License-Identifier: GPL-2.0-or-later
/* What lies beneath the engines: reflection and redirection without any TCP. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 limit_ifindex;
const volatile __be16 limit_port;

#define PROTO_TCP 6
#define PSH 8
#define ACK 16
#define HDR (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr) + 12)
#define SINK_WARM 1000		/* segments of which every second one is acknowledged, for slow start's sake */
#define SINK_EVERY 32

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

/* The frame's length, if it is a segment with payload, which has become the peer's next; else 0. */
static __always_inline __u32 reflected(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *th = (void *)(ip + 1);
	__be32 *ts, tsval;
	__u32 hdr_len;

	if ((void *)(th + 1) > end || eth->h_proto != bpf_htons(0x0800) || ip->protocol != PROTO_TCP ||
	    th->dest != limit_port)
		return 0;
	hdr_len = sizeof(*ip) + th->doff * 4;
	if (bpf_ntohs(ip->tot_len) <= hdr_len)
		return 0;
	turn(eth, ip, th, bpf_ntohs(ip->tot_len) - hdr_len);
	/* timestamps change places, too, or PAWS would drop it */
	ts = (__be32 *)(th + 1);
	if (th->doff == 8 && (void *)(ts + 3) <= end) {
		tsval = ts[1];
		ts[1] = ts[2];
		ts[2] = tsval;
	}
	return sizeof(*eth) + bpf_ntohs(ip->tot_len);
}

SEC("xdp")
int limit_reflect(struct xdp_md *ctx)
{
	return reflected(ctx) ? bpf_redirect(limit_ifindex, 0) : XDP_PASS;
}

/* For a process that looks at the count and writes the frame to its TAP. */
__u32 bounces, bounce_len;
__u8 bounce_frame[256];

SEC("xdp")
int limit_bounce(struct xdp_md *ctx)
{
	__u32 len = reflected(ctx);

	if (!len)
		return XDP_PASS;
	if (len > sizeof(bounce_frame) || bpf_xdp_load_bytes(ctx, 0, bounce_frame, len))
		return XDP_DROP;
	bounce_len = len;
	__sync_fetch_and_add(&bounces, 1);
	return XDP_DROP;
}

static __always_inline __u32 sum16(const void *p, __u32 len)
{
	const __u16 *w = p;
	__u32 sum = 0;

	for (__u32 i = 0; i < len / 2; i++)
		sum += w[i];
	return sum;
}

__u32 sink_window = 0xffff;	/* as it stands in acknowledgements */

static __always_inline void sink_sum(struct iphdr *ip, struct tcphdr *th)
{
	th->window = bpf_htons(sink_window);
	th->check = 0;
	th->check = ~fold(sum16(th, sizeof(*th) + 12) + sum16(&ip->saddr, 8) + bpf_htons(PROTO_TCP) +
			  bpf_htons(sizeof(*th) + 12));
}

/* What turn() made becomes an acknowledgement alone, with timestamps. */
static __always_inline int bare(struct xdp_md *ctx)
{
	struct ethhdr *eth;
	struct iphdr *ip;
	struct tcphdr *th;
	__be32 *ts, tsval;

	if (bpf_xdp_adjust_tail(ctx, (int)HDR - (int)(ctx->data_end - ctx->data)))
		return -1;
	eth = (void *)(long)ctx->data;
	ip = (void *)(eth + 1);
	th = (void *)(ip + 1);
	ts = (__be32 *)(th + 1);
	if ((void *)(ts + 3) > (void *)(long)ctx->data_end)
		return -1;
	tsval = ts[1];
	ts[1] = ts[2];
	ts[2] = tsval;
	ip->tot_len = bpf_htons(HDR - sizeof(*eth));
	ip->check = 0;
	ip->check = ~fold(sum16(ip, sizeof(*ip)));
	th->flags = ACK;
	sink_sum(ip, th);
	return 0;
}

static __u32 sink_segs;
static __u64 sink_tick;		/* of the last acknowledgement */

/* Payload bytes of the connection's segment, 0: it is none. */
static __always_inline __u32 sink_len(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *th = (void *)(ip + 1);
	__u32 hdr_len = HDR - sizeof(*eth);

	if ((void *)(th + 1) > end || eth->h_proto != bpf_htons(0x0800) || ip->protocol != PROTO_TCP ||
	    th->dest != limit_port || th->doff != 8 || bpf_ntohs(ip->tot_len) <= hdr_len)
		return 0;
	return bpf_ntohs(ip->tot_len) - hdr_len;
}

/* At the end of what was sent together, and once a tick in any case: a window may be smaller. */
static __always_inline bool sink_due(const struct tcphdr *th)
{
	return (th->flags & PSH) || !(sink_segs % (sink_segs < SINK_WARM ? 2 : SINK_EVERY)) ||
	       bpf_ktime_get_coarse_ns() != sink_tick;
}

static __always_inline int sink_ack(struct xdp_md *ctx, __u32 len)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *th = (void *)(ip + 1);

	if ((void *)(th + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	sink_segs++;
	if (!sink_due(th))
		return XDP_DROP;
	sink_tick = bpf_ktime_get_coarse_ns();
	turn(eth, ip, th, len);
	return bare(ctx) ? XDP_DROP : bpf_redirect(limit_ifindex, 0);
}

/* One connection's bulk, acknowledged and thrown away: what its sender and the link cost, whoever receives by XDP. */
SEC("xdp")
int limit_sink(struct xdp_md *ctx)
{
	__u32 len = sink_len(ctx);

	return len ? sink_ack(ctx, len) : XDP_PASS;
}

/*
 * The same through memory that a process reads. No more than that: the order of segments and their sums are nobody's business here,
 * and what stands behind the ring's end is not read from there.
 */
#define PIPE_SIZE (128U << 10)
#define PIPE_MAX 2048
#define WSCALE_AT 37		/* in the SYN of Linux */

__u32 pipe_in, pipe_out, pipe_armed, pipe_tap;
__u32 pipe_shift;		/* of windows */
__u32 pipe_said;		/* the last window that left */
__u32 pipe_owed;		/* segments since then */
__be32 pipe_nxt;		/* that all is acknowledged with */
__u8 pipe_ring[PIPE_SIZE + PIPE_MAX], pipe_ack[HDR];

static __always_inline int pipe_syn(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct tcphdr *th = (void *)(ip + 1);
	__u8 *opt = (__u8 *)th + WSCALE_AT;

	if ((void *)(opt + 3) <= end && ip->protocol == PROTO_TCP && th->dest == limit_port && (th->flags & 2) && opt[0] == 3)
		pipe_shift = opt[2] & 15;
	return XDP_PASS;
}

static __always_inline void pipe_window(void)
{
	__u32 window = (PIPE_SIZE - (pipe_in - pipe_out)) >> (pipe_shift & 15);

	sink_window = window < 0xffff ? window : 0xffff;
}

static __always_inline void pipe_left(struct xdp_md *ctx)
{
	bpf_xdp_load_bytes(ctx, 0, pipe_ack, sizeof(pipe_ack));
	pipe_said = sink_window;
	pipe_owed = 0;
}

SEC("xdp")
int limit_pipe(struct xdp_md *ctx)
{
	__u32 len = sink_len(ctx), at = pipe_in & (PIPE_SIZE - 1);
	struct tcphdr *th = (void *)(long)ctx->data + sizeof(struct ethhdr) + sizeof(struct iphdr);
	int act;

	if (!len || len > PIPE_MAX || (void *)(th + 1) > (void *)(long)ctx->data_end)
		return pipe_syn(ctx);
	if (PIPE_SIZE - (pipe_in - pipe_out) < len || bpf_xdp_load_bytes(ctx, HDR, pipe_ring + at, len))
		return XDP_DROP;
	pipe_in += len;
	pipe_owed++;
	pipe_nxt = bpf_htonl(bpf_ntohl(th->seq) + len);
	pipe_window();
	act = sink_ack(ctx, len);
	if (act != XDP_DROP)
		pipe_left(ctx);
	else if (pipe_armed && __sync_lock_test_and_set(&pipe_armed, 0))
		act = bpf_redirect(pipe_tap, 0);
	return act;
}

/* The process has read, and sends the last acknowledgement once more: of what has come by now. */
SEC("xdp")
int limit_update(struct xdp_md *ctx)
{
	struct iphdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
	struct tcphdr *th = (void *)(ip + 1);

	if ((void *)(th + 1) + 12 > (void *)(long)ctx->data_end)
		return XDP_DROP;
	th->ack_seq = pipe_nxt;
	pipe_window();
	pipe_said = sink_window;
	pipe_owed = 0;
	sink_sum(ip, th);
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
