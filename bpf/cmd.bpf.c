// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Command program: the daemon's only way to change an entry (toe/cmd.h). An
 * XDP program, so that it runs with bottom halves disabled and may take the
 * entry's lock. The frame is a struct toe_cmd; the return value a negative errno.
 */
#include "lock.h"
#include "ring.bpf.h"
#include "toe/rec.h"
#include "toe/rtt.h"

char LICENSE[] SEC("license") = "GPL";

struct cmd_rtx {
	struct toe_ival seg[TOE_CMD_RTX];
};

#define ENOENT	2
#define EAGAIN	11
#define EBUSY	16
#define EINVAL	22
#define EPERM	1
#define ESTALE	116

static __always_inline int cmd_hold(struct hw_conn *c, const struct toe_cmd *cmd)
{
	__u8 next = cmd->next & TOE_NEXT_STATE;

	if (next != TOE_KERNEL && next != TOE_HW)
		return -EINVAL;
	if (c->state == TOE_KERNEL && c->vlan != cmd->conn.vlan) {
		c->vlan = cmd->conn.vlan;
		c->tagged = 0;
	}
	if (c->state != TOE_HOLD) {
		c->nr_held = 0;
		c->next = c->state == TOE_HW ? TOE_NEXT_PARKED : 0;
	}
	PUT(c->state, TOE_HOLD);
	c->next = next | (c->next & ~TOE_NEXT_STATE) | (cmd->next & TOE_NEXT_CLOSED);
	if (cmd->why)
		c->why = cmd->why;
	return 0;
}

/* Global: the algorithms by themselves. */
__noinline int cc_start(struct hw_conn *c)
{
	struct hw_rec *r = c ? rec_of(c) : NULL;

	if (r)
		cc_init(c, r);
	return 0;
}

/* What the replayed frames and then the live ones start from. */
static __always_inline void cmd_start(struct hw_conn *c)
{
	struct hw_clock *clk = clock_of(c);
	struct toe_ring_ctl *ctl = ring_ctl(c);
	struct hw_rec *r = rec_of(c);
	__u32 now_ms;

	if (!r)
		return;
	__builtin_memset(r, 0, offsetof(struct hw_rec, sieve.came));
	c->nr_ooo = 0;
	c->sacked = 0;
	now_ms = bpf_ktime_get_ns() / 1000000;
	c->last_tx_ms = ms_later(now_ms, c->stamped_ms);
	c->challenge_ms = now_ms;
	c->rec = 0;
	c->ca_state = TOE_CA_OPEN;
	c->recover = c->min.snd_una;
	c->dupacks = 0;
	cc_start(c);
	c->rtt_start_us = 0;
	if (c->min.rcv_mss > TOE_MAX_PAYLOAD)
		c->min.rcv_mss = TOE_MAX_PAYLOAD;
	if (!clk || !ctl)
		return;
	__builtin_memset(clk, 0, sizeof(*clk));
	clk->last_rx_ms = c->last_tx_ms;
	publish_first(c, ctl, clk);
	publish_path(c, ctl);
	publish_rcv(c, ctl);
}

static __always_inline int cmd_load(struct hw_conn *c, const struct toe_cmd *cmd)
{
	__u8 next = c->next;
	__u16 nr_held = c->nr_held;

	if (c->state != TOE_HOLD)
		return -EPERM;
	if (!ring_ref_valid(cmd->conn.rx) || !ring_ref_valid(cmd->conn.tx))
		return -EINVAL;
	__builtin_memcpy((void *)c + sizeof(c->lock), (void *)&cmd->conn + sizeof(c->lock),
			 sizeof(*c) - sizeof(c->lock));
	c->min.flow = cmd->flow;
	c->state = TOE_HOLD;
	c->next = next;
	c->nr_held = nr_held;
	if ((next & TOE_NEXT_STATE) == TOE_HW)
		cmd_start(c);
	return 0;
}

/* A socket that died in the move has no callbacks left that would remove its
 * shadow: no cookie says so to toe_cmd(). */
static __always_inline void cmd_to_kernel(struct hw_conn *c)
{
	if (c->next & TOE_NEXT_CLOSED)
		c->cookie = 0;
	c->hw_connid = 0;
	c->next = 0;
	c->qp = 0;
	c->nr_ooo = 0;		/* of an entry of hw_rec that is not its own any more */
	c->rec = 0;
	PUT(c->state, TOE_KERNEL);
}

static __always_inline int cmd_to_hw(struct hw_conn *c)
{
	struct hw_clock *clk = clock_of(c);
	struct toe_ring_ctl *ctl = ring_ctl(c);

	if (!clk || !ctl || !c->hw_connid)
		return -EINVAL;
	c->next = 0;
	if (cc_flight(c) && !clk->rtx_since)
		clk->rtx_since = bpf_ktime_get_ns();
	if (c->min.rcv_nxt != c->min.last_ack)	/* the kernel had put it off */
		ack_note(c, ctl, clk, bpf_ktime_get_ns(), TOE_ACK_ONE);
	publish_snd(c, ctl, clk);
	publish_path(c, ctl);
	publish_rcv(c, ctl);
	PUT(c->state, TOE_HW);
	if (clk->rtx_since || clk->ack_since)
		mark_dirty(c);
	if (c->qp)		/* cannot ring from here: the daemon wakes sleepers */
		wake_bit(c->qp, c->app, c->hw_connid);
	return 0;
}

static __always_inline int cmd_wake(const struct hw_conn *c)
{
	if (c->state != TOE_HW)
		return -EPERM;
	wake_bit(c->qp, c->app, c->hw_connid);
	return 0;
}

static __always_inline int cmd_finish(struct hw_conn *c, const struct toe_cmd *cmd)
{
	int err = 0;

	if (c->state != TOE_HOLD)
		return -EPERM;
	if (c->nr_held != cmd->conn.nr_held)
		return -EAGAIN;
	if ((c->next & TOE_NEXT_STATE) == TOE_HW)
		err = cmd_to_hw(c);
	else
		cmd_to_kernel(c);
	if (!err)
		c->nr_held = 0;
	return err;
}

static __always_inline void cmd_set_link(struct hw_conn *c, const struct toe_cmd *cmd)
{
	__builtin_memcpy(c->dst_mac, cmd->conn.dst_mac, sizeof(c->dst_mac));
	__builtin_memcpy(c->src_mac, cmd->conn.src_mac, sizeof(c->src_mac));
	c->nic = cmd->conn.nic;
	c->vlan = cmd->conn.vlan;
	c->ttl = cmd->conn.ttl;
	c->tos = cmd->conn.tos;
	c->min.wnd_limit = cmd->conn.min.wnd_limit;
}

static __always_inline int cmd_link(struct hw_conn *c, const struct toe_cmd *cmd)
{
	if (c->state != TOE_HW)
		return -EPERM;
	cmd_set_link(c, cmd);
	return 0;
}

static __always_inline int cmd_claim(struct hw_conn *c, const struct toe_cmd *cmd)
{
	if (c->state != TOE_HOLD)
		return -EPERM;
	if (!ring_ref_valid(cmd->conn.rx) || !ring_ref_valid(cmd->conn.tx))
		return -EINVAL;
	c->hw_connid = cmd->conn.hw_connid;
	c->gen = cmd->conn.gen;
	c->fd = cmd->conn.fd;
	c->app = cmd->conn.app;
	c->rx = cmd->conn.rx;
	c->tx = cmd->conn.tx;
	c->sk_flags = cmd->conn.sk_flags;
	cmd_set_link(c, cmd);
	return 0;
}

__noinline int cmd_timeout(struct hw_conn *c, __u32 now_us)
{
	struct hw_rec *r = c ? rec_of(c) : NULL;

	if (r)
		rec_rto(c, r, now_us);
	return 0;
}

/* Returns how many segments there are in rtx. */
__noinline int cmd_lost(struct hw_conn *c, struct cmd_rtx *rtx, __u32 now_us)
{
	struct hw_rec *r = c ? rec_of(c) : NULL;
	__u32 room, seq, n = 0;

	if (!r || !rtx)
		return 0;
	room = rec_look(c, r, now_us);
	seq = c->min.snd_una;
	for (int i = 0; i < TOE_CMD_RTX && room >= c->min.snd_mss; i++) {
		__u32 len = sack_next(r, seq, c->min.snd_mss, &seq);

		if (!len)
			break;
		rtx->seg[i].start = seq;
		seq += len;
		rtx->seg[i].end = seq;
		room -= len;
		n++;
	}
	return n;
}

static __always_inline int cmd_next(struct hw_conn *c, struct toe_cmd *cmd)
{
	struct hw_clock *clk = clock_of(c);
	struct toe_ring_ctl *ctl = ring_ctl(c);
	struct cmd_rtx rtx = {};

	if (c->state != TOE_HW)
		return -EPERM;
	if (!clk || !ctl)
		return -EINVAL;
	cmd->nr_rtx = cmd_lost(c, &rtx, bpf_ktime_get_ns() / 1000);
	__builtin_memcpy(cmd->rtx, rtx.seg, sizeof(rtx.seg));
	publish_snd(c, ctl, clk);
	publish_path(c, ctl);
	return 0;
}

static __always_inline int cmd_rto(struct hw_conn *c, struct toe_cmd *cmd)
{
	struct hw_clock *clk = clock_of(c);
	struct toe_ring_ctl *ctl = ring_ctl(c);

	if (c->state != TOE_HW)
		return -EPERM;
	if (!clk || !ctl)
		return -EINVAL;
	c->backoff = cmd->conn.backoff;
	cmd_timeout(c, bpf_ktime_get_ns() / 1000);
	rtt_cancel(c);
	return cmd_next(c, cmd);
}

static __always_inline int cmd_rings(struct hw_conn *c, const struct toe_cmd *cmd)
{
	struct hw_clock *clk = clock_of(c);
	struct toe_ring_ctl *ctl;

	if (c->state != TOE_HOLD || !(c->next & TOE_NEXT_PARKED))
		return -EPERM;
	if (!ring_ref_valid(cmd->conn.rx) || !ring_ref_valid(cmd->conn.tx))
		return -EINVAL;
	ctl = ring_ctl_of(cmd->conn.rx);
	if (!clk || !ctl || !slab_chunk(cmd->conn.tx.slab, cmd->conn.tx.unit / TOE_CHUNK_UNITS))
		return -EINVAL;
	c->gen = cmd->conn.gen;
	c->rx = cmd->conn.rx;
	c->tx = cmd->conn.tx;
	c->min.wnd_limit = cmd->conn.min.wnd_limit;
	c->min.copied_seq = cmd->conn.min.copied_seq;
	c->min.write_seq = cmd->conn.min.write_seq;
	PUT(ctl->ack_due, 0);
	PUT(ctl->rtx_segs, clk->rtx_segs);
	publish_first(c, ctl, clk);
	publish_path(c, ctl);
	publish_rcv(c, ctl);
	return 0;
}

static __always_inline int cmd_do(struct hw_conn *c, struct toe_cmd *cmd)
{
	if (cmd->op == TOE_CMD_READ)
		return 0;
	if (c->cookie != cmd->conn.cookie)
		return -ESTALE;
	switch (cmd->op) {
	case TOE_CMD_HOLD:
		return cmd_hold(c, cmd);
	case TOE_CMD_LOAD:
		return cmd_load(c, cmd);
	case TOE_CMD_FINISH:
		return cmd_finish(c, cmd);
	case TOE_CMD_LINK:
		return cmd_link(c, cmd);
	case TOE_CMD_CLAIM:
		return cmd_claim(c, cmd);
	case TOE_CMD_RTO:
		return cmd_rto(c, cmd);
	case TOE_CMD_NEXT:
		return cmd_next(c, cmd);
	case TOE_CMD_RINGS:
		return cmd_rings(c, cmd);
	case TOE_CMD_WAKE:
		return cmd_wake(c);
	}
	return -EINVAL;
}

SEC("xdp")
int toe_cmd(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct toe_cmd *cmd = data;
	struct toe_flow f;
	struct hw_conn *c;
	bool gone;
	int err;

	if ((void *)(cmd + 1) > end)
		return -EINVAL;
	f = cmd->flow;
	c = bpf_map_lookup_elem(&hw_conn_t, &f);
	if (!c)
		return -ENOENT;
	if (!lock_take(c))
		return -EBUSY;
	err = conn_is(c, &f) ? cmd_do(c, cmd) : -ENOENT;
	__builtin_memcpy(&cmd->conn, c, sizeof(cmd->conn));
	cmd->conn.lock = 0;
	gone = c->state == TOE_KERNEL && !c->cookie;
	lock_drop(c);
	if (gone)
		bpf_map_delete_elem(&hw_conn_t, &f);
	return err;
}
