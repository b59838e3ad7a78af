// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tcpgen: the client of a closed loop. Runs on the client's interface, takes the
 * server's segments of connections that are GEN_ACTIVE, and turns a frame that
 * completes replies into the next requests.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "toe/seq.h"
#include "toe/tcpgen.h"
#include "wire.h"

char LICENSE[] SEC("license") = "GPL";

#ifndef NULL
#define NULL ((void *)0)
#endif
#define OPT_NOP_NOP_TS	0x0101080a	/* RFC 7323 appendix A */
#define TS_LEN		12

const volatile bool gen_v6;
const volatile bool gen_redirect;	/* XDP_TX does not wake the peer of a veth */
const volatile bool gen_compare;	/* the content of replies is known */
const volatile __u32 gen_ifindex;
const volatile __be32 gen_local[4];	/* IPv4: the last word */
const volatile __be32 gen_server[4];
const volatile __be16 gen_server_port;
const volatile __u32 gen_mss;		/* payload bytes of a full segment */
const volatile __u32 gen_depth = 1;
const volatile __u32 gen_batch = 1;	/* requests a segment can hold */
const volatile __u32 gen_request_len = 1;
const volatile __u32 gen_reply_len = 1;
const volatile __u32 gen_sample_mask;	/* one in so many segments is compared whole */
const volatile __u32 gen_csum[2 * GEN_MAX_DEPTH];	/* sum over so many requests */

volatile __u32 gen_go;			/* requests may leave */
unsigned char gen_mac[12];		/* of frames to the server: destination, source */
volatile __u32 gen_mac_known;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct gen_port);
} gen_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);		/* set by user space */
	__type(key, __u32);
	__type(value, struct gen_conn);
} gen_conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);		/* set by user space */
	__type(key, __u32);
	__type(value, __u64);
} gen_sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gen_stats);
} gen_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gen_text);
} gen_text SEC(".maps");

struct in {
	struct gen_stats *st;
	__u64 now_ns;
	__u32 conn;		/* index */
	__u32 seq;
	__u32 ack;
	__u32 tsval;
	__u32 off;		/* of the payload in the frame */
	__u32 len;
	__u16 window;
	__u16 port;		/* local */
	__u8 flags;
	bool has_ts;
};

static __always_inline __u32 l4_off(void)
{
	return sizeof(struct ethhdr) + (gen_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
}

/* Length of the TCP segment, 0: not from the server to us, or not a plain packet. */
static __always_inline __u32 in_ipv4(void *p, void *end)
{
	struct iphdr *ip = p;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5 || ip->protocol != PROTO_TCP ||
	    (ip->frag_off & bpf_htons(0x3fff)))
		return 0;
	if (ip->saddr != gen_server[3] || ip->daddr != gen_local[3])
		return 0;
	return bpf_ntohs(ip->tot_len) - sizeof(*ip);
}

static __always_inline __u32 in_ipv6(void *p, void *end)
{
	struct ipv6hdr *ip = p;

	if ((void *)(ip + 1) > end || ip->nexthdr != PROTO_TCP)
		return 0;
	for (int i = 0; i < 4; i++)
		if (ip->saddr[i] != gen_server[i] || ip->daddr[i] != gen_local[i])
			return 0;
	return bpf_ntohs(ip->payload_len);
}

static __always_inline int in_tcp(struct xdp_md *ctx, struct tcphdr *th, __u32 l4_len, struct in *in)
{
	void *end = (void *)(long)ctx->data_end;
	__u32 hdr_len;
	__be32 *w;

	if ((void *)(th + 1) > end || th->source != gen_server_port)
		return -1;
	hdr_len = th->doff * 4;
	if (hdr_len < sizeof(*th) || hdr_len > l4_len ||
	    l4_off() + l4_len > ctx->data_end - ctx->data)
		return -1;
	in->seq = bpf_ntohl(th->seq);
	in->ack = bpf_ntohl(th->ack_seq);
	in->window = bpf_ntohs(th->window);
	in->port = bpf_ntohs(th->dest);
	in->flags = th->flags;
	in->off = l4_off() + hdr_len;
	in->len = l4_len - hdr_len;
	w = (__be32 *)(th + 1);
	if (hdr_len >= sizeof(*th) + TS_LEN && (void *)(w + 3) <= end && w[0] == bpf_htonl(OPT_NOP_NOP_TS)) {
		in->has_ts = true;
		in->tsval = bpf_ntohl(w[1]);
	}
	return 0;
}

static __always_inline int in_parse(struct xdp_md *ctx, struct in *in)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 l4_len;

	if ((void *)(eth + 1) > end ||
	    eth->h_proto != (gen_v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP)))
		return -1;
	l4_len = gen_v6 ? in_ipv6(eth + 1, end) : in_ipv4(eth + 1, end);
	if (!l4_len || in_tcp(ctx, data + l4_off(), l4_len, in))
		return -1;
	if (!gen_mac_known) {
		__builtin_memcpy(gen_mac, eth->h_source, 6);
		__builtin_memcpy(gen_mac + 6, eth->h_dest, 6);
		gen_mac_known = 1;
	}
	return 0;
}

/* ---- frames out ---- */

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

static __always_inline __u32 out_hdr_len(const struct gen_conn *c)
{
	return l4_off() + sizeof(struct tcphdr) + (c->has_ts ? TS_LEN : 0);
}

/* All headers are written anew, so a frame may grow at either end: some drivers leave room at one only. */
static __always_inline int out_resize(struct xdp_md *ctx, __u32 want)
{
	int delta = (int)want - (int)(ctx->data_end - ctx->data);

	if (!delta || !bpf_xdp_adjust_tail(ctx, delta))
		return 0;
	return delta > 0 ? bpf_xdp_adjust_head(ctx, -delta) : -1;
}

static __always_inline int out_ipv4(void *p, void *end, __u32 l4_len)
{
	__u32 *w = p;

	if (p + sizeof(struct iphdr) > end)
		return -1;
	w[0] = bpf_htonl(0x45000000 | (sizeof(struct iphdr) + l4_len));
	w[1] = bpf_htonl(0x4000);	/* DF */
	w[2] = bpf_htonl(64 << 24 | PROTO_TCP << 16);
	w[3] = gen_local[3];
	w[4] = gen_server[3];
	((struct iphdr *)p)->check = ~fold((__u64)w[0] + w[1] + w[2] + w[3] + w[4]);
	return 0;
}

static __always_inline int out_ipv6(void *p, void *end, __u32 l4_len)
{
	struct ipv6hdr *ip = p;

	if ((void *)(ip + 1) > end)
		return -1;
	ip->vtcfl = bpf_htonl(0x60000000);
	ip->payload_len = bpf_htons(l4_len);
	ip->nexthdr = PROTO_TCP;
	ip->hop_limit = 64;
	for (int i = 0; i < 4; i++) {
		ip->saddr[i] = gen_local[i];
		ip->daddr[i] = gen_server[i];
	}
	return 0;
}

static __always_inline __u64 pseudo(__u32 l4_len)
{
	__u64 sum = bpf_htonl(l4_len) + bpf_htonl(PROTO_TCP);

	for (int i = gen_v6 ? 0 : 3; i < 4; i++)
		sum += (__u64)gen_local[i] + gen_server[i];
	return sum;
}

/* csum: the sum over the payload. */
static __always_inline int out_tcp(void *p, void *end, const struct gen_conn *c, const struct in *in,
				   __u32 l4_len, __u32 flags, __u32 csum)
{
	__u32 doff = c->has_ts ? 8 : 5, *w = p;
	struct tcphdr *th = p;
	__u64 sum;

	if ((void *)(th + 1) > end)
		return -1;
	w[0] = bpf_htonl((__u32)in->port << 16 | bpf_ntohs(gen_server_port));
	w[1] = bpf_htonl(c->snd_nxt);
	w[2] = bpf_htonl(c->rcv_nxt);
	w[3] = bpf_htonl(doff << 28 | flags << 16 | c->window);
	w[4] = 0;
	sum = pseudo(l4_len) + csum + w[0] + w[1] + w[2] + w[3];
	if (c->has_ts) {
		if ((void *)(w + 8) > end)
			return -1;
		w[5] = bpf_htonl(OPT_NOP_NOP_TS);
		w[6] = bpf_htonl((__u32)(in->now_ns / 1000000) + c->ts_off);
		w[7] = bpf_htonl(c->ts_recent);
		sum += (__u64)w[5] + w[6] + w[7];
	}
	th->check = ~fold(sum);
	return 0;
}

/* The frame becomes a segment of ours with len bytes of payload still to be filled in. */
static __always_inline int out_headers(struct xdp_md *ctx, const struct gen_conn *c, const struct in *in,
				       __u32 len, __u32 flags, __u32 csum)
{
	__u32 l4_len = out_hdr_len(c) - l4_off() + len;
	struct ethhdr *eth;
	void *end;

	if (out_resize(ctx, l4_off() + l4_len))
		return -1;
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if ((void *)(eth + 1) > end)
		return -1;
	__builtin_memcpy(eth->h_dest, gen_mac, 6);
	__builtin_memcpy(eth->h_source, gen_mac + 6, 6);
	eth->h_proto = gen_v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (gen_v6 ? out_ipv6(eth + 1, end, l4_len) : out_ipv4(eth + 1, end, l4_len))
		return -1;
	return out_tcp((void *)eth + l4_off(), end, c, in, l4_len, flags, csum);
}

static __always_inline int out_send(struct gen_conn *c)
{
	c->unacked = 0;
	return gen_redirect ? bpf_redirect(gen_ifindex, 0) : XDP_TX;
}

static __always_inline int out_ack(struct xdp_md *ctx, struct gen_conn *c, const struct in *in)
{
	if (out_headers(ctx, c, in, 0, TCP_ACK, 0))
		return XDP_DROP;
	in->st->nr[GEN_ACKS_OUT]++;
	return out_send(c);
}

/* Global, as are the others that loop: the verifier looks at each by itself, once. */
__noinline int sent_at(__u32 conn, __u32 first, __u32 nr, __u64 now_ns)
{
	for (__u32 i = 0; i < GEN_MAX_DEPTH && i < nr; i++) {
		__u32 key = conn * gen_depth + (first + i) % gen_depth;
		__u64 *sent = bpf_map_lookup_elem(&gen_sent, &key);

		if (sent)
			*sent = now_ns;
	}
	return 0;
}

/* nr requests in one segment. */
static __always_inline int out_requests(struct xdp_md *ctx, struct gen_conn *c, const struct in *in,
					__u32 nr)
{
	__u32 zero = 0, len = nr * gen_request_len;
	struct gen_text *text = bpf_map_lookup_elem(&gen_text, &zero);

	if (!text || out_headers(ctx, c, in, len, TCP_ACK | TCP_PSH, gen_csum[nr & (2 * GEN_MAX_DEPTH - 1)]))
		return -1;
	len--;		/* 6.1 does not conclude from len != 0 that it is at least 1 */
	asm volatile("" : "+r"(len));
	if (len >= GEN_MAX_SEGMENT || bpf_xdp_store_bytes(ctx, out_hdr_len(c), text->request, len + 1))
		return -1;
	sent_at(in->conn, c->replies + c->outstanding, nr, in->now_ns);
	c->snd_nxt += len + 1;
	c->outstanding += nr;
	c->owed -= nr;
	in->st->nr[GEN_SEGS_OUT]++;
	return 0;
}

/* How many requests may leave in this frame? */
static __always_inline __u32 sendable(const struct gen_conn *c)
{
	__u32 nr = c->owed < gen_batch ? c->owed : gen_batch;
	__u32 in_flight = c->snd_nxt - c->snd_una;

	if (!gen_go || c->snd_wnd < in_flight)
		return 0;
	if (nr * gen_request_len > c->snd_wnd - in_flight)
		nr = (c->snd_wnd - in_flight) / gen_request_len;
	return nr;
}

/* Everything that came is accounted for: what leaves in the frame? */
static __always_inline int out(struct xdp_md *ctx, struct gen_conn *c, const struct in *in, bool ack_now)
{
	__u32 nr = sendable(c);

	if (nr) {
		if (!out_requests(ctx, c, in, nr) || (nr > 1 && !out_requests(ctx, c, in, 1)))
			return out_send(c);
		in->st->nr[GEN_NO_ROOM]++;
		ack_now = true;
	}
	return ack_now ? out_ack(ctx, c, in) : XDP_DROP;
}

/* ---- replies ---- */

/* Do len bytes of the frame from offset off on equal those of the reply from pos on? */
__noinline int same_bytes(struct xdp_md *ctx, __u32 pos, __u32 off, __u32 len)
{
	__u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *want;
	__u32 zero = 0;
	struct gen_text *text = bpf_map_lookup_elem(&gen_text, &zero);

	if (!text || pos >= GEN_MAX_REPLY || off > 0xff)
		return 0;
	want = text->reply + pos;
	p += off;
	for (__u32 i = 0; i < GEN_MAX_SEGMENT && i + 8 <= len; i += 8, p += 8, want += 8)
		if ((void *)(p + 8) > (void *)end || *(__u64 *)p != *(__u64 *)want)
			return 0;
	for (__u32 i = 0; i < 7 && i < (len & 7); i++, p++, want++)
		if ((void *)(p + 1) > (void *)end || *p != *want)
			return 0;
	return 1;
}

/* Every segment by its first bytes, one in some by all. */
static __always_inline bool right_content(struct xdp_md *ctx, const struct gen_conn *c, const struct in *in)
{
	if (in->st->nr[GEN_SEGS_IN] & gen_sample_mask)
		return same_bytes(ctx, c->pos, in->off, in->len < 8 ? in->len : 8);
	in->st->nr[GEN_COMPARED]++;
	return same_bytes(ctx, c->pos, in->off, in->len);
}

/* v >> shift shall lie in [GEN_SUB, 2 * GEN_SUB). Without branches, for the verifier's sake. */
static __always_inline __u32 bucket(__u64 ns)
{
	__u32 v = ns > 0xffffffff ? 0xffffffff : ns, top = v >> GEN_SUB_SHIFT, shift, n;

	shift = (top > 0xffff) << 4;
	top >>= shift;
	n = (top > 0xff) << 3;
	top >>= n;
	shift += n;
	n = (top > 0xf) << 2;
	top >>= n;
	shift += n;
	n = (top > 3) << 1;
	top >>= n;
	shift += n + (top > 1);
	return (shift << GEN_SUB_SHIFT) + (v >> shift);
}

__noinline int measure(__u32 conn, __u32 first, __u32 nr, __u64 now_ns)
{
	__u32 zero = 0;
	struct gen_stats *st = bpf_map_lookup_elem(&gen_stats, &zero);

	if (!st)
		return 0;
	for (__u32 i = 0; i < GEN_MAX_DEPTH && i < nr; i++) {
		__u32 key = conn * gen_depth + (first + i) % gen_depth, b;
		__u64 *sent = bpf_map_lookup_elem(&gen_sent, &key);

		b = sent ? bucket(now_ns - *sent) : 0;
		if (b < GEN_BUCKETS)
			st->latency[b]++;
	}
	return 0;
}

/* Count what the segment completes. */
static __always_inline void replies(struct gen_conn *c, const struct in *in)
{
	__u32 pos = c->pos + in->len, nr = 0;

	if (pos >= gen_reply_len) {
		nr = pos / gen_reply_len;
		pos %= gen_reply_len;
	}
	if (nr > c->outstanding || (nr == c->outstanding && pos)) {
		in->st->nr[GEN_LONG]++;
		nr = c->outstanding;
	}
	c->pos = pos;
	c->rcv_nxt += in->len;
	if (!nr)
		return;
	measure(in->conn, c->replies, nr, in->now_ns);
	c->replies += nr;
	c->outstanding -= nr;
	c->owed += nr;
	in->st->nr[GEN_REPLIES] += nr;
}

/* RFC 9293: at least every second full segment; here also each that may be the last of a burst. */
static __always_inline int on_data(struct xdp_md *ctx, struct gen_conn *c, struct in *in)
{
	__u32 known = c->rcv_nxt - in->seq;

	if (seq_after(in->seq, c->rcv_nxt)) {
		in->st->nr[GEN_GAP]++;
		return out_ack(ctx, c, in);
	}
	if (known >= in->len) {
		in->st->nr[GEN_DUP]++;
		return out_ack(ctx, c, in);
	}
	in->off += known;
	in->len -= known;
	in->st->nr[GEN_SEGS_IN]++;
	in->st->nr[GEN_BYTES] += in->len;
	if (gen_compare && !right_content(ctx, c, in))
		in->st->nr[GEN_CONTENT]++;
	c->progress_ns = in->now_ns;
	c->unacked++;
	replies(c, in);
	return out(ctx, c, in, c->unacked >= 2 || in->len < gen_mss || !gen_go);
}

static __always_inline void on_ack(struct gen_conn *c, const struct in *in)
{
	if (in->has_ts && seq_leq(in->seq, c->rcv_nxt) && seq_geq(in->tsval, c->ts_recent))
		c->ts_recent = in->tsval;
	if (seq_before(in->ack, c->snd_una) || seq_after(in->ack, c->snd_nxt))
		return;
	c->snd_wnd = (__u32)in->window << (c->snd_wscale & 15);
	if (in->ack == c->snd_una)
		return;
	c->snd_una = in->ack;
	c->progress_ns = in->now_ns;
}

static __always_inline int on_segment(struct xdp_md *ctx, struct gen_conn *c, struct in *in)
{
	bool keepalive = !in->len && in->seq == c->rcv_nxt - 1;

	in->now_ns = bpf_ktime_get_ns();
	if ((in->flags & (TCP_RST | TCP_SYN)) == TCP_SYN)	/* sent again, for want of an answer; RFC 5961 section 4 */
		return out_ack(ctx, c, in);
	if (in->flags & (TCP_RST | TCP_FIN)) {
		if (in->flags & TCP_RST && in->seq != c->rcv_nxt)	/* RFC 5961 section 3 */
			return XDP_DROP;
		in->st->nr[GEN_CLOSED]++;
		c->state = GEN_DEAD;
		return XDP_DROP;
	}
	on_ack(c, in);
	if (in->len)
		return on_data(ctx, c, in);
	return out(ctx, c, in, keepalive);
}

SEC("xdp")
int tcpgen(struct xdp_md *ctx)
{
	struct in in = {};
	struct gen_port *port;
	struct gen_conn *c;
	__u32 key = 0;

	if (in_parse(ctx, &in))
		return XDP_PASS;
	in.st = bpf_map_lookup_elem(&gen_stats, &key);
	key = in.port;
	port = bpf_map_lookup_elem(&gen_ports, &key);
	if (!port || !in.st)
		return XDP_PASS;
	in.conn = port->conn - 1;
	c = bpf_map_lookup_elem(&gen_conns, &in.conn);
	if (!c || c->state != GEN_ACTIVE) {
		port->tsval = in.tsval;
		return XDP_PASS;
	}
	return on_segment(ctx, c, &in);
}
