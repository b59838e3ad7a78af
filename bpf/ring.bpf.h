/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings, their control block, the queue pairs' wake blocks, the daemon's
 * clocks: everything that engines publish. The caller holds the entry's lock.
 */
#ifndef RING_BPF_H
#define RING_BPF_H

#include "maps.bpf.h"
#include "now.h"
#include "toe/place.h"
#include "toe/seq.h"
#include "toe/cc.h"

static __always_inline void *slab_chunk(__u32 slab, __u32 chunk)
{
	void *inner = bpf_map_lookup_elem(&slabs, &slab);

	if (!inner)
		return NULL;
	return bpf_map_lookup_elem(inner, &chunk);
}

static __always_inline struct toe_ring_ctl *ring_ctl_of(struct toe_ring_ref rx)
{
	void *p = slab_chunk(rx.slab, ring_ctl_value(rx));

	return p ? p + ring_ctl_off(rx) : NULL;
}

static __always_inline struct toe_ring_ctl *ring_ctl(const struct hw_conn *c)
{
	return ring_ctl_of(c->rx);
}

struct ring_page {		/* what a control block lies in (toe/limits.h) */
	__u8 b[TOE_CTL_SIZE];
};

enum ring_way {			/* a constant for each caller: none of it is left in a program */
	RING_PUT,		/* frame to ring */
	RING_GET,		/* ring to frame */
};

struct ring_bytes {		/* those of a ring from off on, and their place in the frame */
	struct toe_ring_ref r;
	void *hot;		/* its first ones */
	__u32 off;
	__u32 at_frame;
	__u32 len;
};

static __always_inline int ring_xfer(struct xdp_md *ctx, __u32 at_frame, void *p, __u32 len, enum ring_way way)
{
	return way == RING_PUT ? bpf_xdp_load_bytes(ctx, at_frame, p, len) : bpf_xdp_store_bytes(ctx, at_frame, p, len);
}

/* len is compared less one, as 6.1 does not conclude from len != 0 that it is at least 1. */
static __always_inline int ring_hot(struct xdp_md *ctx, const struct ring_bytes *b, __u32 len, enum ring_way way)
{
	__u32 at = b->off;

	len--;
	barrier_var(len);
	barrier_var(at);
	if (len >= TOE_HOT || at >= TOE_HOT)
		return -1;
	return ring_xfer(ctx, b->at_frame, b->hot + at, len + 1, way);
}

static __always_inline int ring_chunk(struct xdp_md *ctx, const struct ring_bytes *b, __u32 len, enum ring_way way)
{
	__u32 from = (b->r.unit << TOE_UNIT_SHIFT) + b->off, at = from & (TOE_CHUNK_DATA - 1);
	__u8 *p = slab_chunk(b->r.slab, from >> TOE_CHUNK_SHIFT);

	if (!p)
		return -1;
	/* at + len stays within the slack page */
	len--;
	barrier_var(len);
	barrier_var(at);
	if (len >= TOE_MAX_PAYLOAD || at >= TOE_CHUNK_DATA)
		return -1;
	return ring_xfer(ctx, b->at_frame, p + at, len + 1, way);
}

/* Those that lie together. 1: more are left. */
static __always_inline int ring_piece(struct xdp_md *ctx, struct ring_bytes *b, enum ring_way way)
{
	__u32 len = ring_run(ring_size(b->r), b->off, b->len);

	if (b->off < TOE_HOT ? ring_hot(ctx, b, len, way) : ring_chunk(ctx, b, len, way))
		return -1;
	if (len == b->len)
		return 0;
	b->off = b->off + len < ring_size(b->r) ? b->off + len : 0;
	b->at_frame += len;
	b->len -= len;
	return 1;
}

/*
 * off_len: from where in the ring (above), and how many bytes. Three pieces at most: the ring's end, its first bytes, what follows
 * them. To be called from a global function: 6.1 allows a program and its deepest calls 512 bytes of
 * stack in all, and what comes behind would be followed for each way through this.
 */
static __always_inline int ring_copy(struct xdp_md *ctx, const struct toe_ring_ref *r, void *hot, __u64 off_len,
				     __u32 at_frame, enum ring_way way)
{
	struct ring_bytes b = { .r = *r, .hot = hot, .off = off_len >> 32, .at_frame = at_frame, .len = (__u32)off_len };
	int rc = ring_piece(ctx, &b, way);

	if (rc <= 0)
		return rc;
	rc = ring_piece(ctx, &b, way);
	if (rc <= 0)
		return rc;
	return ring_piece(ctx, &b, way) ? -1 : 0;
}

/* The library's positions, checked; rx_read must lie in [rcv_nxt - size, rcv_nxt]. */
static __always_inline int ring_rx_read(const struct hw_conn *c, const struct toe_ring_ctl *ctl,
					__u32 *read)
{
	*read = (__u32)ctl->rx_read;
	return c->min.rcv_nxt - *read <= ring_size(c->rx) ? 0 : -1;
}

/* Are there bytes in the tx ring that have not left yet? */
static __always_inline bool ring_unsent(const struct hw_conn *c, const struct toe_ring_ctl *ctl)
{
	__u32 filled = (__u32)ctl->tx_filled;

	return filled - c->min.snd_una <= ring_size(c->tx) && seq_after(filled, c->min.snd_nxt);
}

static __always_inline struct hw_clock *clock_of(const struct hw_conn *c)
{
	__u32 id = c->hw_connid;

	return bpf_map_lookup_elem(&hw_clock, &id);
}

static __always_inline struct hw_rec *rec_of(const struct hw_conn *c)
{
	__u32 id = c->hw_connid;

	return bpf_map_lookup_elem(&hw_rec, &id);
}

/* The daemon must look at this connection. Call after what it is to see has
 * been written: the atomic is a full barrier. */
static __always_inline void mark_dirty(const struct hw_conn *c)
{
	__u32 word = c->hw_connid / 64;
	struct toe_dirty *d = bpf_map_lookup_elem(&hw_dirty, &word);

	if (d)
		__sync_fetch_and_or(&d->bits, 1ULL << (c->hw_connid & 63));
}

static __always_inline void clock_flag(const struct hw_conn *c, struct hw_clock *clk, __u32 flag)
{
	__sync_fetch_and_or(&clk->flags, flag);
	mark_dirty(c);
}

/* A segment left: nothing else has changed for the library. */
static __always_inline void publish_nxt(const struct hw_conn *c, struct toe_ring_ctl *ctl,
					struct hw_clock *clk)
{
	PUT(ctl->snd_nxt, c->min.snd_nxt);
	clk->snd_nxt = c->min.snd_nxt;
}

/*
 * No queue stands between an engine and the device, so the library is not shown all of a window that opens at once:
 * TOE_MAX_BURST segments beyond what has left, or twice what was acknowledged since it was shown something.
 * Acknowledgements come in clumps, and the library looks once a clump: what each of them allows adds up, else clumps
 * that meet would take their windows with them. (Of the words read here the library only misleads itself.)
 */
static __always_inline __u32 shown_edge(const struct hw_conn *c, const struct toe_ring_ctl *ctl, __u32 edge)
{
	__u32 burst = TOE_MAX_BURST * c->min.snd_mss, most = c->min.snd_nxt + burst;
	__u32 more = ctl->snd_edge + 2 * (c->min.snd_una - ctl->snd_una);

	if (seq_after(more, most))
		most = seq_min(more, most + 2 * burst);
	return seq_min(edge, most);
}

static __always_inline void publish_snd(const struct hw_conn *c, struct toe_ring_ctl *ctl,
					struct hw_clock *clk)
{
	__u32 edge = cc_snd_edge(c);

	PUT(ctl->snd_edge, shown_edge(c, ctl, edge));
	PUT(ctl->snd_una, c->min.snd_una);
	PUT(ctl->snd_nxt, c->min.snd_nxt);
	clk->snd_una = c->min.snd_una;
	clk->snd_nxt = c->min.snd_nxt;
	clk->snd_edge = edge;
}

/* A control block that nothing was published in yet: what it holds says nothing of portions shown before. */
static __always_inline void publish_first(const struct hw_conn *c, struct toe_ring_ctl *ctl, struct hw_clock *clk)
{
	PUT(ctl->snd_una, c->min.snd_una);
	PUT(ctl->snd_edge, c->min.snd_una);
	PUT(ctl->tx_left, c->min.snd_nxt);
	PUT(ctl->qp, c->qp);
	publish_snd(c, ctl, clk);
}

static __always_inline void publish_path(const struct hw_conn *c, struct toe_ring_ctl *ctl)
{
	PUT(ctl->srtt_us, c->min.srtt_us);
	PUT(ctl->rttvar_us, c->min.rttvar_us);
	PUT(ctl->cwnd, c->min.cwnd);
	PUT(ctl->ssthresh, c->min.ssthresh);
	PUT(ctl->snd_wnd, c->min.snd_wnd);
}

static __always_inline void publish_rcv(const struct hw_conn *c, struct toe_ring_ctl *ctl)
{
	PUT(ctl->rcv_adv, c->min.rcv_adv);
	PUT(ctl->rcv_nxt, c->min.rcv_nxt);
}

/* An acknowledgement of rcv_nxt is leaving. */
static __always_inline void ack_left(struct hw_conn *c, struct toe_ring_ctl *ctl,
				     struct hw_clock *clk)
{
	c->min.last_ack = c->min.rcv_nxt;
	c->unacked_segs = 0;
	PUT(ctl->ack_due, 0);
	clk->ack_since = 0;
}

/* An acknowledgement is due, but not now or not from here. */
static __always_inline void ack_note(struct hw_conn *c, struct toe_ring_ctl *ctl,
				     struct hw_clock *clk, __u64 now_ns, enum toe_ack_due due)
{
	PUT(ctl->ack_due, due);
	if (clk->ack_since)
		return;
	clk->ack_since = now_ns;
	mark_dirty(c);
}

/*
 * snd_nxt moves before the frames leave, on whatever CPU, and a bare acknowledgement from another would overtake them: the
 * peer would see bytes missing. The library says when its write is over, and sends then what was put off (lib/tx.c). Each
 * side writes its word before it reads the other's, with a full barrier between: at least one of them sees to it. An
 * application that was stopped within the write, or is gone, holds nothing up for long.
 */
#define TX_LEAVE_MS	10

static __always_inline bool tx_leaving(const struct hw_conn *c, struct toe_ring_ctl *ctl, __u32 now_ms)
{
	return *(volatile __u32 *)&ctl->tx_left != c->min.snd_nxt && now_ms - c->last_tx_ms <= TX_LEAVE_MS;
}

static __always_inline bool ack_put_off(struct hw_conn *c, struct toe_ring_ctl *ctl, struct hw_clock *clk,
					const struct now *now)
{
	__u32 old;

	if (!tx_leaving(c, ctl, now->ms))
		return false;
	ack_note(c, ctl, clk, now->ns, TOE_ACK_URGENT);
	old = __sync_lock_test_and_set(&ctl->ack_due, TOE_ACK_URGENT);
	barrier_var(old);
	return tx_leaving(c, ctl, now->ms);
}

/* toe/ring.h: bit, summary bit, then armed. The results of the atomics are
 * used so that they are the fetching kind, which are full barriers. */
static __always_inline void wake_set(struct toe_qp_wake *w, __u32 id)
{
	__u32 word = (id / 64) & (TOE_QP_WORDS - 1);
	__u64 old;

	old = __sync_fetch_and_or(&w->words[word], 1ULL << (id & 63));
	barrier_var(old);
	if (*(volatile __u64 *)&w->summary[word / 64] & 1ULL << (word & 63))
		return;
	old = __sync_fetch_and_or(&w->summary[word / 64], 1ULL << (word & 63));
	barrier_var(old);
}

/* True: somebody sleeps and is to be woken, by whoever sees it first. */
static __always_inline bool wake_armed(struct toe_qp_wake *w)
{
	return *(volatile __u64 *)&w->armed && __sync_lock_test_and_set(&w->armed, 0) == 1;
}

/* Set a connection's wake bit in queue pair nr. Returns the wake block, NULL if the queue pair is not app's. */
static __always_inline struct toe_qp_wake *wake_bit(__u32 nr, __u16 app, __u32 hw_connid)
{
	struct toe_qp *qp = bpf_map_lookup_elem(&qps, &nr);
	struct toe_qp_wake *w;

	if (!nr || !qp || !qp->app || (qp->app != app && !(qp->flags & TOE_QP_PRIV)))
		return NULL;
	w = slab_chunk(qp->slab, qp->chunk);
	if (w)
		wake_set(w, hw_connid);
	return w;
}

/* True: ring the doorbell of queue pair nr. */
static __always_inline bool wake_qp(__u32 nr, __u16 app, __u32 hw_connid)
{
	struct toe_qp_wake *w = wake_bit(nr, app, hw_connid);

	return w && wake_armed(w);
}

static __always_inline bool wake_app(const struct hw_conn *c)
{
	return wake_qp(c->qp, c->app, c->hw_connid);
}

/* True: the daemon sleeps, ring its doorbell. */
static __always_inline bool wake_daemon(void)
{
	__u32 nr = TOE_QP_DAEMON;
	struct toe_qp *qp = bpf_map_lookup_elem(&qps, &nr);
	struct toe_qp_wake *w;

	if (!qp || !qp->app)
		return false;
	w = slab_chunk(qp->slab, qp->chunk);
	return w && wake_armed(w);
}

#endif
