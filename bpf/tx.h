/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TX engine: what a descriptor of new bytes asks for, checked and sent. For toe_tx, and for toe_train in a batch. */
#ifndef TX_H
#define TX_H

#include "hdr.h"
#include "lock.h"
#include "tx_train.h"
#include "toe/rec.h"
#include "toe/rtt.h"


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
	bool batch;		/* run by toe_train: the frame is on its way out */
};

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

/* The entry that is meant, locked. NULL: counted why. */
static __always_inline struct hw_conn *tx_take(const struct tx *t)
{
	struct hw_conn *c = tx_lookup(t);

	if (!c) {
		count(TX_STALE);
		return NULL;
	}
	if (!lock_take(c)) {
		count(TX_LOCK);
		return NULL;
	}
	return c;
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

static __always_inline int tx_out(struct hw_conn *c, struct tx *t)
{
	if (c->nr_ooo && t->d.op != TOE_OP_ACK)	/* data says rcv_nxt, but not what arrived beyond: that stays due */
		c->min.last_ack = c->min.rcv_nxt;
	else
		ack_left(c, t->ctl, t->clk);
	publish_rcv(c, t->ctl);
	if (t->batch)
		return XDP_PASS;
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
	t->train = train_way(c->nic, t->nr);
	if (t->train)
		return 0;
	count(TX_NO_TRAIN);
	return -1;
}

static __always_inline int tx_data(struct xdp_md *ctx, struct hw_conn *c, struct tx *t)
{
	bool idle = c->min.snd_nxt == c->min.snd_una, timed = rtt_wanted(c, t->now.ms);

	if (t->d.seq != c->min.snd_nxt) {
		count(TX_STALE);
		return XDP_DROP;
	}
	if (idle && t->now.ms != c->last_tx_ms)
		tx_idle(c, t->now.ms - c->last_tx_ms);
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

#endif
