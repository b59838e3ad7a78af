/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: moves. Frames held, and uploads that the engine itself begins. */
#ifndef RX_HOLD_H
#define RX_HOLD_H

#include "rx.h"

/* Put a copy of the frame in the hold ring; the original goes no further. */
static __always_inline int rx_hold(struct xdp_md *ctx, struct hw_conn *c, const struct seg *s)
{
	__u32 len = s->frame_len - 1;	/* as in ring_piece() */
	struct toe_held *h;

	barrier_var(len);
	if (len >= TOE_MAX_FRAME)
		goto full;
	h = bpf_ringbuf_reserve(&hold, sizeof(*h), 0);
	if (!h)
		goto full;
	h->cookie = c->cookie;
	h->len = len + 1;
	h->nic = toe_nic_id;
	h->pad = 0;
	if (bpf_xdp_load_bytes(ctx, 0, h->frame, len + 1)) {
		bpf_ringbuf_discard(h, BPF_RB_NO_WAKEUP);
		goto full;
	}
	bpf_ringbuf_submit(h, BPF_RB_NO_WAKEUP);
	c->nr_held++;
	count(RX_HELD);
	return XDP_DROP;
full:
	count(RX_HOLD_FULL);
	return XDP_DROP;
}

/* HW: not a plain segment. The kernel's own code is to handle it: hold it,
 * ask the daemon for an upload, after which it is replayed into the kernel. */
static __always_inline int rx_upload(struct xdp_md *ctx, struct hw_conn *c, const struct seg *s,
				     __u8 why)
{
	__u32 daemon = TOE_QP_DAEMON;
	struct hw_clock *clk;

	if (toe_replay)		/* nothing is changed: the daemon sees whose frame it is */
		return XDP_PASS;
	count(RX_UPLOAD);
	PUT(c->state, TOE_HOLD);
	c->next = TOE_KERNEL | TOE_NEXT_PARKED;
	c->why = why;
	c->nr_held = 0;
	rx_hold(ctx, c, s);
	clk = clock_of(c);
	if (clk)
		clock_flag(c, clk, TOE_CLK_UPLOAD);
	if (wake_daemon())
		return bpf_redirect_map(&qp_dev, daemon, XDP_DROP);
	return XDP_DROP;
}

/* How far do frames on their way up reach? */
static __always_inline void rx_note_reach(struct hw_conn *c, const struct seg *s)
{
	__u32 end = s->seq + s->len + !!(s->flags & (TCP_FIN | TCP_SYN));

	if (seq_after(end, c->seen_end))
		c->seen_end = end;
	if ((s->flags & TCP_ACK) && seq_after(s->ack, c->seen_ack))
		c->seen_ack = s->ack;
}

/* A replayed frame enters the kernel's stack, as one from a wire: what came over
 * veth with a partial checksum needs the whole one now. */
static __always_inline int rx_to_kernel(struct xdp_md *ctx, struct hw_conn *c, struct toe_flow *f,
					const struct seg *s)
{
	rx_note_reach(c, s);
	if ((toe_nic_flags & TOE_NIC_PARTIAL_OK) && !s->why)
		csum_complete(ctx, f, s->l4_off, s->l4_len);
	return XDP_PASS;
}

static __always_inline int rx_kernel(struct hw_conn *c, const struct seg *s)
{
	count(RX_PASS);
	rx_note_reach(c, s);
	if (s->vlan || c->tagged)
		c->tagged = TOE_TAGS_RIGHT;
	return XDP_PASS;
}

#endif
