/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What time it is. Reading the clock can cost an engine a third of its time (35 to 45 ns where the machine is a virtual
 * one), so most segments make do with that of the kernel's last tick, and the exact one is read where it matters.
 */
#ifndef NOW_H
#define NOW_H

#include "maps.bpf.h"
#include "toe/rtt.h"

#define NS_PER_MS	1000000ULL
#define NS_PER_US	1000ULL

struct now {
	__u64 ns;		/* CLOCK_MONOTONIC, of the last tick unless exact */
	__u32 ms;		/* the connection's: never goes back, as our timestamps are made of it */
	__u32 exact;
};

/* Jiffies, which the verifier reads inline, say whether the tick is still the one whose time is known: where returns are guarded, each call
 * of the kernel's costs 15 ns and more. Of a pair that two processors wrote at once the check is wrong, and the next one asks. Who
 * asks between the kernel's two steps of a tick (jiffies, then its clock) leaves the time of the one before. */
static __always_inline __u64 now_coarse(void)
{
	__u64 jiffies = bpf_jiffies64(), ns;
	volatile struct toe_tick *t;
	__u32 key = 0;

	t = bpf_map_lookup_elem(&tick, &key);
	if (!t)
		return bpf_ktime_get_coarse_ns();
	ns = t->ns;
	if ((t->check ^ ns) == jiffies)
		return ns;
	ns = bpf_ktime_get_coarse_ns();
	t->ns = ns;
	t->check = jiffies ^ ns;
	return ns;
}

/* Whoever makes it exact notes ms in last_rx_ms or last_tx_ms, so that nothing leaves with an earlier timestamp. */
static __always_inline void now_tick(struct now *n, const struct hw_conn *c, const struct hw_clock *clk)
{
	n->ns = now_coarse();
	n->ms = ms_later(ms_later(n->ns / NS_PER_MS, clk->last_rx_ms), c->last_tx_ms);
	n->exact = 0;
}

static __always_inline __u32 now_us(struct now *n)
{
	if (!n->exact) {
		n->ns = bpf_ktime_get_ns();
		n->ms = ms_later(n->ns / NS_PER_MS, n->ms);
		n->exact = 1;
	}
	return n->ns / NS_PER_US;
}

#endif
