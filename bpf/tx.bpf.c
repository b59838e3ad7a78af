// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TX engine: XDP on each queue pair's TAP. doc/architecture.md, "Life of a
 * packet: sending". Runs inside the write of the TAP. Nothing that is written
 * there ever reaches a network stack: what is not sent is dropped.
 */
#include "tx.h"

char LICENSE[] SEC("license") = "GPL";

/* The frame's owner and descriptor. 0, or -1 if it is to be dropped. */
static __always_inline int tx_open(struct xdp_md *ctx, struct tx *t)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct toe_qp *qp;

	t->qp = ctx->ingress_ifindex - TOE_TAP_IFINDEX;
	qp = bpf_map_lookup_elem(&qps, &t->qp);
	if (!qp || !qp->app || !t->qp)
		return -1;
	t->app = qp->app;
	t->priv = qp->flags & TOE_QP_PRIV;
	if (data + sizeof(t->d) > end)
		return -1;
	__builtin_memcpy(&t->d, data, sizeof(t->d));
	t->frame_len = end - data;
	if (t->d.magic != TOE_DESC_MAGIC || t->d.op < TOE_OP_DATA || t->d.op > TOE_OP_PROBE)
		return -1;
	t->nr = t->d.op == TOE_OP_TRAIN ? t->d.nr : 1;
	t->bytes = t->d.op == TOE_OP_TRAIN ? (t->d.nr - 1) * t->d.len + t->d.last : t->d.len;
	return 0;
}

/* Does the frame have the shape that its op asks for? */
static __always_inline bool tx_shape(const struct hw_conn *c, const struct tx *t)
{
	bool data = t->d.op == TOE_OP_DATA || t->d.op == TOE_OP_RTX;

	if (t->frame_len != hdr_len(c) + t->d.len)
		return false;
	if (t->d.op == TOE_OP_TRAIN)
		return t->d.nr >= 2 && t->d.nr <= TOE_MAX_TRAIN && t->d.len >= TOE_TRAIN_MSS &&
		       t->d.len == c->min.snd_mss && t->d.last && t->d.last <= t->d.len;
	return data ? t->d.len && t->d.len <= c->min.snd_mss : !t->d.len;
}

/* Global: rare. 0, or -1: this has arrived meanwhile, or was sent already. */
__noinline int tx_again(struct hw_conn *c, struct toe_desc *d, __u32 now_us, __u32 tsval)
{
	struct hw_rec *r;

	if (!c || !d)
		return -1;
	r = rec_of(c);
	if (!r)
		return -1;
	return rec_sent(c, r, d->seq, d->len, d->flags & TOE_DESC_TLP, now_us, tsval);
}

static __always_inline int tx_rtx(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	if (seq_before(t->d.seq, c->min.snd_una) ||
	    seq_after(t->d.seq + t->d.len, c->min.snd_nxt)) {
		count(TX_STALE);
		return XDP_DROP;
	}
	now_us(&t->now);
	c->last_tx_ms = t->now.ms;
	if (tx_again(c, &t->d, now_us(&t->now), t->now.ms + c->min.ts_off)) {
		count(TX_STALE);
		return XDP_DROP;
	}
	if (tx_segment(ctx, c, t))
		return XDP_DROP;
	rtt_cancel(c);
	t->clk->rtx_segs++;
	PUT(t->ctl->rtx_segs, t->clk->rtx_segs);
	stat_add(t->d.flags & TOE_DESC_TLP ? TOE_ST_TX_TLP : TOE_ST_TX_RTX, 1);
	return tx_out(c, t);
}

/* ACK and PROBE: an empty segment, at snd_nxt or just left of the window
 * (RFC 9293 3.8.4, 3.8.6.1: the peer must answer it). */
static __always_inline int tx_empty(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	bool probe = t->d.op == TOE_OP_PROBE;
	__u32 seq = probe ? c->min.snd_una - 1 : c->min.snd_nxt;

	if (!probe && ack_put_off(c, t->ctl, t->clk, &t->now))
		return XDP_DROP;
	if (hdr_ack(ctx, c, t->ctl, seq, t->now.ms))
		return XDP_DROP;
	stat_add(probe ? TOE_ST_TX_PROBES : TOE_ST_TX_ACKS, 1);
	return tx_out(c, t);
}

static __always_inline int tx_op(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	if (!tx_allowed(c, t))
		return XDP_DROP;
	t->ctl = ring_ctl(c);
	t->clk = clock_of(c);
	if (!t->ctl || !t->clk)
		return XDP_DROP;
	if (t->d.op == TOE_OP_BIND) {
		c->qp = t->qp;
		PUT(t->ctl->qp, t->qp);
		return XDP_DROP;
	}
	if (!tx_shape(c, t)) {
		count(TX_MALFORMED);
		return XDP_DROP;
	}
	now_tick(&t->now, c, t->clk);
	if (t->d.op == TOE_OP_DATA || t->d.op == TOE_OP_TRAIN)
		return tx_data(ctx, c, t);
	if (t->d.op == TOE_OP_RTX)
		return tx_rtx(ctx, c, t);
	return tx_empty(ctx, c, t);
}

/* Segments of several connections: the frame is copied for each, and toe_train makes them. */
static __always_inline int tx_batch(struct xdp_md *ctx, struct tx *t)
{
	struct hw_conn *first = tx_lookup(t);
	__u32 nic, nr = t->d.nr;

	if (nr < 2 || nr > TOE_MAX_BATCH || t->frame_len < TOE_BATCH_OFF + nr * sizeof(struct toe_batch_item)) {
		count(TX_MALFORMED);
		return XDP_DROP;
	}
	if (!first) {
		count(TX_STALE);
		return XDP_DROP;
	}
	nic = first->nic;
	t->train = train_way(nic, nr);
	if (!t->train) {
		count(TX_NO_TRAIN);
		return XDP_DROP;
	}
	if (batch_note(ctx, nic, t->app, nr))
		return XDP_DROP;
	count(TX_BATCHES);
	return bpf_redirect_map(t->train, 0, BPF_F_BROADCAST);
}

SEC("xdp")
int toe_tx(struct xdp_md *ctx)
{
	struct hw_conn *c;
	struct tx t = {};
	int act;

	if (tx_open(ctx, &t)) {
		count(TX_MALFORMED);
		return XDP_DROP;
	}
	if (t.d.op == TOE_OP_BATCH)
		return tx_batch(ctx, &t);
	c = tx_take(&t);
	if (!c)
		return XDP_DROP;
	act = tx_op(ctx, c, &t);
	lock_drop(c);
	return act;
}
