// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engines' own source as subprograms, behind a preparation that puts the entry back to where it was: so each turn
 * of BPF_PROG_RUN's loop meets the same segment as a new one. bench_call false: the preparation alone, to be deducted.
 */
#include "maps.bpf.h"
#include "tx_train.h"

#define SECTION(name) __attribute__((section(name), used))
char bench_license[] SECTION("license") = "GPL";

#pragma push_macro("SEC")
#undef SEC
#define SEC(name)
#define LICENSE rx_license
#include "rx.bpf.c"
#undef LICENSE
#define LICENSE tx_license
#include "tx.bpf.c"
#undef LICENSE
#pragma pop_macro("SEC")

volatile __u32 bench_call;
volatile __u32 bench_id, bench_rcv, bench_snd;
volatile __u32 bench_rewind_una;		/* the peer's acknowledgement shall be new each time */
volatile __u32 bench_armed;
volatile __u32 bench_step;
struct toe_desc bench_desc;

static __always_inline struct hw_conn *rewind(void)
{
	__u32 id = bench_id;
	struct hw_connid *way = bpf_map_lookup_elem(&hw_connid, &id);
	struct toe_flow f;
	struct hw_conn *c;

	if (!way)
		return NULL;
	f = way->flow;
	c = bpf_map_lookup_elem(&hw_conn_t, &f);
	if (!c)
		return NULL;
	c->min.rcv_nxt = c->min.last_ack = bench_rcv;
	c->unacked_segs = 0;
	c->min.snd_una = bench_snd - bench_rewind_una;
	c->min.snd_nxt = bench_snd;
	c->cc[CC_LIMITED] = c->min.snd_una;	/* cwnd holds nobody back */
	return c;
}

static __always_inline void arm(const struct hw_conn *c)
{
	__u32 nr = c->qp;
	struct toe_qp *qp = bpf_map_lookup_elem(&qps, &nr);
	struct toe_qp_wake *w;

	if (!qp)
		return;
	w = slab_chunk(qp->slab, qp->chunk);
	if (w)
		w->armed = bench_armed;
}

SEC("xdp")
int bench_rx(struct xdp_md *ctx)
{
	struct hw_conn *c = rewind();

	if (!c)
		return XDP_ABORTED;
	arm(c);
	return bench_call ? toe_rx(ctx) : XDP_DROP;
}

/* toe_rx() up to a step, in its own order. */
#define STEP(n) if (bench_step == (n)) goto out

SEC("xdp")
int bench_rx_steps(struct xdp_md *ctx)
{
	struct toe_flow f = {};
	struct seg s = {};
	struct rx r = {};
	struct hw_conn *c = rewind();

	if (!c)
		return XDP_ABORTED;
	arm(c);
	if (bench_step == 0 || parse(ctx, &f, &s) || bench_step == 1)
		return XDP_DROP;
	f.net = toe_net;
	c = bpf_map_lookup_elem(&hw_conn_t, &f);
	if (!c || bench_step == 2 || !lock_take(c))
		return XDP_DROP;
	if (!conn_is(c, &f) || bench_step == 3 || seg_unusual(c, &s))
		goto out;
	if (!csum_ok(ctx, &f, s.l4_off, s.l4_len, 0))
		goto out;
	STEP(4);
	r.ctl = ring_ctl(c);
	r.clk = clock_of(c);
	if (!r.ctl || !r.clk || s.len > TOE_MAX_PAYLOAD || ring_rx_read(c, r.ctl, &r.read))
		goto out;
	STEP(5);
	now_tick(&r.now, c, r.clk);
	STEP(6);
	seg_options(ctx, &s);
	if (rx_check(c, &s, &r) != RX_GO)
		goto out;
	r.clk->rx_segs++;
	count(RX_SEGS);
	STEP(7);
	ts_update(c, &s, &r);
	if (c->min.opts & TOE_OPT_ECN)
		rx_ecn(c, &s, &r);
	rx_ack(ctx, c, &s, &r);
	r.clk->last_rx_ms = r.now.ms;
	STEP(8);
	rx_data(ctx, c, &s, &r);
	STEP(9);
	rx_finish(ctx, c, &r);
out:
	lock_drop(c);
	return XDP_DROP;
}

/* toe_tx() up to a step. */
SEC("xdp")
int bench_tx_steps(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tx t = {};
	struct hw_conn *c;

	if (!rewind() || data + sizeof(bench_desc) > end)
		return XDP_ABORTED;
	__builtin_memcpy(data, &bench_desc, sizeof(bench_desc));
	if (bench_step == 0 || tx_open(ctx, &t) || bench_step == 1)
		return XDP_DROP;
	c = tx_lookup(&t);
	if (!c || bench_step == 2 || !lock_take(c))
		return XDP_DROP;
	STEP(3);
	if (!tx_allowed(c, &t) || !tx_shape(c, &t))
		goto out;
	t.ctl = ring_ctl(c);
	t.clk = clock_of(c);
	if (!t.ctl || !t.clk)
		goto out;
	STEP(4);
	now_tick(&t.now, c, t.clk);
	STEP(5);
	if (t.d.seq != c->min.snd_nxt || !tx_fits(c, &t) || tx_segment(ctx, c, &t))
		goto out;
	STEP(6);
out:
	lock_drop(c);
	return XDP_DROP;
}

SEC("xdp")
int bench_tx(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!rewind() || data + sizeof(bench_desc) > end)
		return XDP_ABORTED;
	__builtin_memcpy(data, &bench_desc, sizeof(bench_desc));
	return bench_call ? toe_tx(ctx) : XDP_DROP;
}

/* What the loop itself costs. */
SEC("xdp")
int bench_nothing(struct xdp_md *ctx)
{
	return XDP_DROP;
}
