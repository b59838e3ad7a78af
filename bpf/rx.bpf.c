// SPDX-License-Identifier: GPL-2.0-or-later
/* RX engine: XDP on the NIC. doc/architecture.md, "Life of a packet: receiving". */
#include "rx.h"
#include "rx_hold.h"
#include "rx_check.h"
#include "rx_ack.h"
#include "rx_data.h"
#include "rx_reply.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline bool ring_app(const struct hw_conn *c, const struct rx *r, __u32 *qp)
{
	if (!(r->ev & (RX_EV_DATA | RX_EV_SPACE)) || !wake_app(c))
		return false;
	*qp = c->qp;
	count(RX_DOORBELL);
	return true;
}

static __always_inline bool ring_daemon(const struct rx *r, __u32 *qp)
{
	if (!(r->ev & RX_EV_RTX) || !wake_daemon())
		return false;
	*qp = TOE_QP_DAEMON;
	return true;
}

/* A frame rings once. What was lost goes before what may leave now: each acknowledgement to come tells of room again, the daemon would
 * find the loss at its next tick only. Data that arrived is the application's first: nothing else may come that tells of it. */
static __always_inline bool rx_doorbell(const struct hw_conn *c, const struct rx *r, __u32 *qp)
{
	if (toe_replay)
		return false;
	if (r->ev & RX_EV_DATA)
		return ring_app(c, r, qp) || ring_daemon(r, qp);
	return ring_daemon(r, qp) || ring_app(c, r, qp);
}

static __always_inline enum toe_ack_due ack_urgency(const struct rx *r)
{
	if (r->ev & RX_EV_ACK_NOW)
		return TOE_ACK_URGENT;
	return r->clk->ack_since ? TOE_ACK_SEVERAL : TOE_ACK_ONE;
}

/* Its acknowledgement is plain or can wait: one that is on its way may take it along. */
static __always_inline bool rx_may_ride(const struct rx *r)
{
	return (r->ev & RX_EV_ACK_DUE) && (r->ev & (RX_EV_ACK_NOW | RX_EV_STRETCH)) != RX_EV_ACK_NOW &&
	       !(r->ev & RX_EV_RTX) && !toe_replay;
}

/* One verdict a frame: application, daemon, acknowledgement. */
static __always_inline int rx_finish(struct xdp_md *ctx, struct hw_conn *c, struct rx *r)
{
	int act = -1;
	bool ring;
	__u32 qp = 0;

	if (r->ev & RX_EV_RTX)
		clock_flag(c, r->clk, TOE_CLK_RTX);
	if (r->ev & RX_EV_PUMP)
		clock_flag(c, r->clk, TOE_CLK_PUMP);
	if (rx_may_ride(r))
		act = rx_ride(ctx, c, r);
	if (act >= 0)
		return act;
	ring = rx_doorbell(c, r, &qp);
	if ((r->ev & RX_EV_ACK_NOW) && !ring && !toe_replay && !ack_put_off(c, r->ctl, r->clk, &r->now))
		return rx_reply(ctx, c, r);
	if (r->ev & RX_EV_ACK_DUE)
		ack_note(c, r->ctl, r->clk, r->now.ns, ack_urgency(r));
	if (r->ev & RX_EV_SACK)		/* after ack_since: the daemon takes the flag, then looks there */
		__sync_fetch_and_or(&r->clk->flags, TOE_CLK_SACK);
	return ring ? bpf_redirect_map(&qp_dev, qp, XDP_DROP) : XDP_DROP;
}

static __always_inline int rx_segment(struct xdp_md *ctx, struct hw_conn *c, struct seg *s,
				      struct rx *r)
{
	enum rx_verdict v;

	now_tick(&r->now, c, r->clk);
	seg_options(ctx, s);
	v = rx_check(c, s, r);
	if (v == RX_DROP)
		return XDP_DROP;
	if (v == RX_ACK) {
		r->ev = RX_EV_ACK_DUE | RX_EV_ACK_NOW;
		return rx_finish(ctx, c, r);
	}
	if (seg_beyond_ring(c, s, r))
		return rx_upload(ctx, c, s, TOE_WHY_WINDOW);
	r->clk->rx_segs++;
	count(RX_SEGS);
	ts_update(c, s, r);
	if (c->min.opts & TOE_OPT_ECN)
		rx_ecn(c, s, r);
	rx_ack(ctx, c, s, r);
	rx_data(ctx, c, s, r);
	r->clk->last_rx_ms = r->now.ms;		/* behind all that may have read the exact clock */
	return rx_finish(ctx, c, r);
}

static __always_inline int rx_hw(struct xdp_md *ctx, struct hw_conn *c, struct toe_flow *f,
				 struct seg *s)
{
	__u8 why = seg_unusual(c, s);
	struct rx r = {};

	if (why)
		return rx_upload(ctx, c, s, why);
	if (!csum_ok(ctx, f, s->l4_off, s->l4_len, toe_nic_flags & TOE_NIC_PARTIAL_OK)) {
		count(RX_BAD_CSUM);
		return XDP_DROP;
	}
	r.ctl = ring_ctl(c);
	r.clk = clock_of(c);
	if (!r.ctl || !r.clk || s->len > TOE_MAX_PAYLOAD || ring_rx_read(c, r.ctl, &r.read)) {
		count(RX_BAD_RING);
		return XDP_DROP;
	}
	return rx_segment(ctx, c, s, &r);
}

static __always_inline int rx_state(struct xdp_md *ctx, struct hw_conn *c, struct toe_flow *f,
				    struct seg *s)
{
	bool hw = c->state == TOE_HW;

	if (toe_replay) {
		hw |= c->state == TOE_HOLD && (c->next & TOE_NEXT_STATE) == TOE_HW;
		count(RX_REPLAYED);
	}
	if (hw)
		return rx_hw(ctx, c, f, s);
	if (c->state == TOE_HOLD && !toe_replay)
		return rx_hold(ctx, c, s);
	return toe_replay ? rx_to_kernel(ctx, c, f, s) : rx_kernel(c, s);
}

/* The same addresses and ports on another link are somebody else's. */
static __always_inline int rx_link(struct xdp_md *ctx, struct hw_conn *c, struct toe_flow *f,
				   struct seg *s)
{
	if (c->vlan == s->vlan)
		return rx_state(ctx, c, f, s);
	count(RX_OTHER_VLAN);
	if (c->state == TOE_KERNEL)
		c->tagged = TOE_TAGS_OTHER;
	return XDP_PASS;
}

SEC("xdp")
int toe_rx(struct xdp_md *ctx)
{
	struct toe_flow f = {};
	struct seg s = {};
	struct hw_conn *c;
	int act;

	if (parse(ctx, &f, &s))
		return XDP_PASS;
	f.net = toe_net;
	c = bpf_map_lookup_elem(&hw_conn_t, &f);
	if (!c)
		return XDP_PASS;
	if (!lock_take(c)) {
		count(RX_LOCK);
		return XDP_DROP;
	}
	act = conn_is(c, &f) ? rx_link(ctx, c, &f, &s) : XDP_PASS;
	lock_drop(c);
	return act;
}
