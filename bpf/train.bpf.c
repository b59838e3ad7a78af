// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What every copy of a train's frame runs through before it leaves: it becomes the next segment. Frames that are not of a
 * train pass. The connection may be on its way elsewhere meanwhile: what was copied from the ring counts only if the ring was
 * its own all the time (hw_connid.gen).
 */
#include "tx.h"

char LICENSE[] SEC("license") = "GPL";

/* 1: the frame is of a train. 0: it is not. -1: it cannot be. */
static __always_inline int train_open(struct xdp_md *ctx, struct train *t)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end || eth->h_proto)
		return 0;
	if (data + TRAIN_OFF + sizeof(*t) > end)
		return -1;
	*t = *(struct train *)(data + TRAIN_OFF);
	return t->kind == NOTE_BATCH || t->kind == NOTE_BELL || (t->hdr_len <= TOE_HDR_MAX + TOE_TAGS_MAX && t->l4_off < t->hdr_len) ? 1 : -1;
}

/* Which segment is this? -1: one too many, or of a train that is over. */
static __always_inline int train_next(const struct train *t)
{
	__u32 zero = 0, i;
	struct train_cpu *cpu = bpf_map_lookup_elem(&train_cpu, &zero);
	struct train_slot *slot;

	if (!cpu)
		return -1;
	slot = &cpu->slot[t->nr_cpu & (TRAIN_SLOTS - 1)];
	if (slot->nr_cpu != t->nr_cpu)
		return -1;
	i = slot->next++;
	return i < t->nr ? (int)i : -1;
}

/* Is the ring still the one of this connection? The atomic keeps the copy before the look. */
static __always_inline bool train_alive(const struct train *t)
{
	__u32 id = t->hw_connid;
	struct hw_connid *way = bpf_map_lookup_elem(&hw_connid, &id);

	return way && (__u32)__sync_fetch_and_add(&way->gen, 0) == t->gen;
}

/* 16 bit one's complement sums: a word that is replaced is taken away and the new one added. */
static __always_inline __u64 swap(__u64 sum, __u32 old, __u32 new)
{
	return sum + (__u32)~old + new;
}

static __always_inline void train_ipv4(struct iphdr *ip, __u32 i, __u32 cut)
{
	__u32 *w = (__u32 *)ip, w0 = bpf_htonl(bpf_ntohl(w[0]) - cut);
	__u32 w1 = bpf_htonl((bpf_ntohl(w[1]) & 0xffff) | ((bpf_ntohl(w[1]) >> 16) + i) << 16);

	ip->check = ~csum_fold(swap(swap((__u16)~ip->check, w[0], w0), w[1], w1));
	w[0] = w0;
	w[1] = w1;
}

static __always_inline int train_ip(void *data, void *end, const struct train *t, __u32 i, __u32 cut)
{
	struct ipv6hdr *ip6 = data + t->l3_off;
	struct iphdr *ip = data + t->l3_off;

	if (t->v4 && (void *)(ip + 1) <= end)
		train_ipv4(ip, i, cut);
	else if (!t->v4 && (void *)(ip6 + 1) <= end)
		ip6->payload_len = bpf_htons(bpf_ntohs(ip6->payload_len) - cut);
	else
		return -1;
	return 0;
}

/* sum: of the payload. */
static __always_inline void train_tcp(struct tcphdr *th, const struct train *t, __u32 i, __u32 l4_len, __u32 cut,
				      __u64 sum)
{
	__u8 flags = (i ? 0 : t->first_flags) | (i + 1 == t->nr ? t->last_flags : 0);
	__u32 *w = (__u32 *)th, seq = bpf_htonl(t->seq + i * t->len);
	__u32 w3 = w[3] | bpf_htonl((__u32)flags << 16);

	sum = swap(sum + (__u16)~th->check, w[1], seq);
	sum = swap(sum, w[3], w3);
	sum = swap(sum, bpf_htonl(l4_len), bpf_htonl(l4_len - cut));
	w[1] = seq;
	w[3] = w3;
	th->check = ~csum_fold(sum);
}

static __always_inline int train_headers(struct xdp_md *ctx, const struct train *t, __u32 i, __u32 len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 cut = t->len - len;
	struct ethhdr *eth = data;
	struct tcphdr *th = data + t->l4_off;
	__u64 sum = 0;

	if ((void *)(eth + 1) > end || (void *)(th + 1) > end)
		return -1;
	if (csum_bytes(data + t->hdr_len, end, len, &sum))
		return -1;
	train_tcp(th, t, i, t->hdr_len - t->l4_off + t->len, cut, sum);
	if (train_ip(data, end, t, i, cut))
		return -1;
	eth->h_proto = t->proto;
	return 0;
}

/* Global: as ring_copy() has many ways. */
__noinline int tx_bytes(struct xdp_md *ctx, struct toe_ring_ref *tx, struct ring_page *page, __u64 off_len, __u32 at_frame)
{
	return tx && page ? ring_copy(ctx, tx, ring_hot_tx(page), off_len, at_frame, RING_GET) : -1;
}

static __always_inline int train_segment(struct xdp_md *ctx, struct train *t, __u32 i)
{
	__u32 len = i + 1 == t->nr ? t->last : t->len;
	__u64 off = ring_off(ring_size(t->tx), t->base, t->seq + i * t->len);
	struct toe_ring_ctl *ctl = ring_ctl_of(t->rx);

	if (!ctl)
		return -1;
	if (len < t->len && bpf_xdp_adjust_tail(ctx, (int)len - (int)t->len))
		return -1;
	if (tx_bytes(ctx, &t->tx, (void *)ctl, off << 32 | len, t->hdr_len) || train_headers(ctx, t, i, len))
		return -1;
	return train_alive(t) ? 0 : -1;
}

/* ---- acknowledgements ---- */

static __always_inline struct ack_slot *ack_of(const struct train *t)
{
	struct ack_slot *slot = ack_slot(t->hw_connid);

	return slot && slot->hw_connid == t->hw_connid ? slot : NULL;
}

static __always_inline __u64 ack_word(__u32 *w, __u32 new, __u64 sum)
{
	sum = swap(sum, *w, new);
	*w = new;
	return sum;
}

/* It acknowledges what has arrived since it was made, too. */
static __always_inline int ack_take_along(struct xdp_md *ctx, const struct train *t, const struct ack_slot *slot)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tcphdr *th = data + t->l4_off;
	__u32 *w = (__u32 *)th;
	__u64 sum;

	if ((void *)(th + 1) > end)
		return -1;
	sum = ack_word(w + 2, slot->w_ack, (__u16)~th->check);
	sum = ack_word(w + 3, slot->w_window, sum);
	if (t->hdr_len - t->l4_off > sizeof(*th)) {
		if ((void *)(w + 8) > end)
			return -1;
		sum = ack_word(w + 6, slot->w_tsval, sum);
		sum = ack_word(w + 7, slot->w_tsecr, sum);
	}
	th->check = ~csum_fold(sum);
	return 0;
}

static __always_inline int ack_leave(struct xdp_md *ctx, const struct train *t)
{
	struct ack_slot *slot = ack_of(t);
	struct ethhdr *eth;

	if (slot && slot->nr_cpu != t->nr_cpu) {	/* a newer one is behind it */
		count(RX_ACKS_SAVED);
		return XDP_DROP;
	}
	if (slot && slot->riders && ack_take_along(ctx, t, slot))
		return XDP_DROP;
	if (slot)
		slot->waits = 0;
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	eth->h_proto = t->proto;
	return bpf_xdp_adjust_tail(ctx, (int)t->hdr_len - (int)(TRAIN_OFF + sizeof(*t))) ? XDP_DROP : XDP_PASS;
}

/* A doorbell for all that has arrived since it was made. The wake bit's atomic is a full barrier behind what was published. */
static __always_inline int bell_leave(const struct train *t)
{
	struct ack_slot *slot = ack_of(t);

	if (slot && slot->bell == t->qp)
		slot->bell = 0;
	if (!wake_qp(t->qp, t->app, t->hw_connid))
		return XDP_DROP;
	count(RX_DOORBELL);
	return XDP_PASS;
}

/* ---- batches ---- */

static __always_inline int batch_item(struct xdp_md *ctx, const struct train *note, __u32 i, struct tx *t)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct toe_batch_item *it = data + TOE_BATCH_OFF + (i & (TOE_MAX_BATCH - 1)) * sizeof(*it);

	if ((void *)(it + 1) > end)
		return -1;
	t->d.op = TOE_OP_DATA;
	t->d.flags = it->flags & TOE_DESC_PSH;
	t->d.hw_connid = it->hw_connid;
	t->d.gen = it->gen;
	t->d.seq = it->seq;
	t->d.len = it->len;
	t->bytes = it->len;
	t->nr = 1;
	t->app = note->app;
	t->batch = true;
	return 0;
}

/* The frame gets its length, its bytes and their sum. The entry's lock keeps the ring its own. */
static __always_inline int batch_fill(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	__u32 off = hdr_len(c), have = ctx->data_end - ctx->data;
	__u64 at = ring_off(ring_size(c->tx), t->ctl->tx_base, t->d.seq);
	void *data, *end;
	__u64 sum = 0;

	if (off + t->d.len > have || hdr_resize(ctx, off + t->d.len) ||
	    tx_bytes(ctx, &c->tx, (void *)t->ctl, at << 32 | t->d.len, off))
		return -1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (csum_bytes(data + off, end, t->d.len, &sum))
		return -1;
	t->d.csum = csum_fold(sum);
	return 0;
}

static __always_inline int batch_data(struct xdp_md *ctx, struct hw_conn *c, struct tx *t, __u8 nic)
{
	if (!tx_allowed(c, t))
		return XDP_DROP;
	t->ctl = ring_ctl(c);
	t->clk = clock_of(c);
	if (c->nic != nic) {
		count(TX_NO_TRAIN);
		return XDP_DROP;
	}
	if (!t->ctl || !t->clk || !t->d.len || t->d.len > c->min.snd_mss || batch_fill(ctx, c, t)) {
		count(TX_MALFORMED);
		return XDP_DROP;
	}
	now_tick(&t->now, c, t->clk);
	return tx_data(ctx, c, t);
}

static __always_inline int batch_segment(struct xdp_md *ctx, const struct train *note, __u32 i)
{
	struct tx t = {};
	struct hw_conn *c;
	int act;

	if (batch_item(ctx, note, i, &t))
		return XDP_DROP;
	c = tx_take(&t);
	if (!c)
		return XDP_DROP;
	act = batch_data(ctx, c, &t, note->nic);
	if (act == XDP_PASS)
		count(TX_BATCH_SEGS);
	lock_drop(c);
	return act;
}

SEC("xdp/devmap")
int toe_train(struct xdp_md *ctx)
{
	struct train t;
	int i = train_open(ctx, &t);

	if (!i)
		return XDP_PASS;
	if (i > 0 && t.kind == NOTE_ACK)
		return ack_leave(ctx, &t);
	if (i > 0 && t.kind == NOTE_BELL)
		return bell_leave(&t);
	if (i > 0)
		i = train_next(&t);
	if (i >= 0 && t.kind == NOTE_BATCH)
		return batch_segment(ctx, &t, i);
	if (i >= 0 && !train_segment(ctx, &t, i))
		return XDP_PASS;
	count(TX_TRAIN_LOST);
	return XDP_DROP;
}
