// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TX engine: XDP on each queue pair's TAP. doc/architecture.md, "Life of a
 * packet: sending". Runs inside the write of the TAP. Nothing that is written
 * there ever reaches a network stack: what is not sent is dropped.
 */
#include "hdr.h"
#include "lock.h"
#include "tx_train.h"
#include "toe/rec.h"
#include "toe/rtt.h"

char LICENSE[] SEC("license") = "GPL";

#define TX_IDLE_MS	200	/* no timeout is shorter */

struct tx {			/* a descriptor of a connection in hardware */
	struct toe_desc d;
	struct toe_ring_ctl *ctl;
	struct hw_clock *clk;
	struct now now;
	__u32 frame_len;
	__u32 qp;
	__u32 bytes;		/* of payload, in all segments */
	void *train;		/* TRAIN: the way out */
	__u16 nr;		/* segments */
	__u16 app;		/* owner of the TAP */
	bool priv;
};

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
	if (t->d.magic != TOE_DESC_MAGIC || t->d.op < TOE_OP_DATA || t->d.op > TOE_OP_RING)
		return -1;
	t->nr = t->d.op == TOE_OP_TRAIN ? t->d.nr : 1;
	t->bytes = t->d.op == TOE_OP_TRAIN ? (t->d.nr - 1) * t->d.len + t->d.last : t->d.len;
	return 0;
}

static __always_inline struct hw_conn *tx_lookup(const struct tx *t)
{
	__u32 id = t->d.hw_connid;
	struct hw_connid *way = bpf_map_lookup_elem(&hw_connid, &id);
	struct toe_flow f;

	if (!way || !t->d.gen || way->gen != t->d.gen)
		return NULL;
	f = way->flow;
	return bpf_map_lookup_elem(&hw_conn_t, &f);
}

/* The entry is locked. Is it the one that is meant, and may this TAP use it? */
static __always_inline bool tx_allowed(const struct hw_conn *c, const struct tx *t)
{
	if (c->hw_connid != t->d.hw_connid || c->gen != t->d.gen) {
		count(TX_STALE);
		return false;
	}
	if (!t->priv && (c->app != t->app || t->d.op >= TOE_OP_RTX)) {
		count(TX_FOREIGN);
		return false;
	}
	if (c->state != TOE_HW) {
		count(TX_STATE);
		return false;
	}
	return true;
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

static __always_inline int tx_out(struct hw_conn *c, struct tx *t)
{
	ack_left(c, t->ctl, t->clk);
	publish_rcv(c, t->ctl);
	if (!t->train)
		return bpf_redirect_map(&nic_dev, c->nic, XDP_DROP);
	count(TX_TRAINS);
	stat_add(TOE_ST_TX_TRAIN_SEGS, t->nr);
	return bpf_redirect_map(t->train, 0, BPF_F_BROADCAST);
}

/* A segment with the payload that follows the descriptor, or the template of a train. */
static __always_inline int tx_segment(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	bool train = t->d.op == TOE_OP_TRAIN;
	struct train note = { .seq = t->d.seq, .len = t->d.len, .last = t->d.last, .nr = t->nr };
	struct hdr h = {
		.seq = t->d.seq,
		.now_ms = t->now.ms,
		.csum = train ? 0 : t->d.csum,
		.len = t->d.len,
		.flags = TCP_ACK,
		.ect = hdr_ect(c),
	};
	__u8 *first = train ? &note.first_flags : &h.flags, *last = train ? &note.last_flags : &h.flags;

	/* RFC 3168 6.1.2, 6.1.5: only what is sent for the first time */
	if ((c->min.opts & TOE_OPT_ECN) && t->d.op != TOE_OP_RTX) {
		h.ect = ECN_ECT0;
		if (c->ecn & TOE_ECN_CWR)
			*first |= TCP_CWR;
		c->ecn &= ~TOE_ECN_CWR;
	}
	if (t->d.flags & TOE_DESC_PSH)
		*last |= TCP_PSH;
	if (hdr_write(ctx, c, t->ctl, &h, NULL))
		return -1;
	c->ip_id += t->nr - 1;
	return train ? train_note(ctx, c, t->ctl, &note) : 0;
}

/* How far snd_nxt may go: window, cwnd (RFC 8985 section 7.3: but for a probe), what the tx ring can hold, and what was
 * written: an application that sends more would corrupt its own stream, for these bytes are still to come. */
static __always_inline bool tx_fits(const struct hw_conn *c, const struct tx *t)
{
	bool probe = t->priv && (t->d.flags & TOE_DESC_TLP);
	__u32 end = t->d.seq + t->bytes;

	return seq_leq(end, probe ? c->min.snd_una + c->min.snd_wnd : cc_snd_edge(c)) &&
	       end - c->min.snd_una <= ring_size(c->tx) && seq_leq(end, (__u32)t->ctl->tx_filled);
}

static __always_inline void tx_probe_data(struct hw_conn *c)
{
	struct hw_rec *r = rec_of(c);

	if (!r)
		return;
	r->tlp_high = c->min.snd_nxt;
	r->flags &= ~TOE_REC_TLP_RTX;
	c->rec |= TOE_REC_TLP;
}

/* Global: the first segment after a pause, and only then. */
__noinline int tx_idle(struct hw_conn *c, __u32 idle_ms)
{
	if (c)
		cc_idle(c, idle_ms);
	return 0;
}

static __always_inline int tx_train_way(const struct hw_conn *c, struct tx *t)
{
	t->train = train_way(c, t->nr);
	if (t->train)
		return 0;
	count(TX_NO_TRAIN);
	return -1;
}

static __always_inline int tx_data(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	bool idle = c->min.snd_nxt == c->min.snd_una, timed = rtt_wanted(c, t->now.ms);

	if (idle && t->now.ms - c->last_tx_ms > TX_IDLE_MS)
		tx_idle(c, t->now.ms - c->last_tx_ms);
	if (t->d.seq != c->min.snd_nxt) {
		count(TX_STALE);
		return XDP_DROP;
	}
	if (!tx_fits(c, t)) {
		count(TX_WINDOW);
		return XDP_DROP;
	}
	if (t->d.op == TOE_OP_TRAIN && tx_train_way(c, t))
		return XDP_DROP;
	if (timed)
		now_us(&t->now);
	if (tx_segment(ctx, c, t))
		return XDP_DROP;
	if (timed)
		rtt_start(c, c->min.snd_nxt + t->d.len, now_us(&t->now));
	c->min.snd_nxt += t->bytes;
	c->last_tx_ms = t->now.ms;
	cc_sent(c);
	if (t->priv && (t->d.flags & TOE_DESC_TLP))
		tx_probe_data(c);
	t->clk->tx_segs += t->nr;
	t->clk->tx_bytes += t->bytes;
	publish_nxt(c, t->ctl, t->clk);
	if (idle) {
		t->clk->rtx_since = t->now.ns;
		mark_dirty(c);
	}
	stat_add(TOE_ST_TX_SEGS, t->nr);
	stat_add(TOE_ST_TX_BYTES, t->bytes);
	return tx_out(c, t);
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
	if (t->d.op == TOE_OP_BIND) {
		c->qp = t->qp;
		return XDP_DROP;
	}
	if (!tx_shape(c, t)) {
		count(TX_MALFORMED);
		return XDP_DROP;
	}
	t->ctl = ring_ctl(c);
	t->clk = clock_of(c);
	if (!t->ctl || !t->clk)
		return XDP_DROP;
	now_tick(&t->now, c, t->clk);
	if (t->d.op == TOE_OP_DATA || t->d.op == TOE_OP_TRAIN)
		return tx_data(ctx, c, t);
	if (t->d.op == TOE_OP_RTX)
		return tx_rtx(ctx, c, t);
	return tx_empty(ctx, c, t);
}

static __always_inline int tx_ring(const struct tx *t)
{
	if (!t->priv) {
		count(TX_FOREIGN);
		return XDP_DROP;
	}
	return bpf_redirect_map(&qp_dev, t->d.hw_connid, XDP_DROP);
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
	if (t.d.op == TOE_OP_RING)
		return tx_ring(&t);
	c = tx_lookup(&t);
	if (!c) {
		count(TX_STALE);
		return XDP_DROP;
	}
	if (!lock_take(c)) {
		count(TX_LOCK);
		return XDP_DROP;
	}
	act = tx_op(ctx, c, &t);
	lock_drop(c);
	return act;
}
