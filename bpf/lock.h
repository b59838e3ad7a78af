/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hw_conn.lock: taken by compare-and-swap, spun on for a bounded time. The
 * holder runs with bottom halves disabled, so no other taker interrupts it on
 * its CPU and it is gone within a microsecond. The verifier knows nothing of it,
 * so helpers may be called under it; every path must end in lock_drop().
 */
#ifndef LOCK_H
#define LOCK_H

#include "maps.bpf.h"

#define LOCK_SPINS (1 << 23)	/* some 20 ms, the most of bpf_loop(): the holder may be a virtual CPU that the host has put aside */

static __always_inline bool lock_try(struct hw_conn *c)
{
	return __sync_val_compare_and_swap(&c->lock, 0, 1) == 0;
}

struct lock_wait {
	struct hw_conn *c;
	bool got;
};

static long lock_spin(__u32 i, struct lock_wait *w)
{
	if (!*(volatile __u32 *)&w->c->lock)
		w->got = lock_try(w->c);
	return w->got;		/* 1 ends the loop */
}

/* A loop of the helper, as the verifier would walk each turn of one of ours. */
static __noinline bool lock_wait(struct hw_conn *c)
{
	struct lock_wait w = { .c = c };

	bpf_loop(LOCK_SPINS, lock_spin, &w, 0);
	return w.got;
}

static __always_inline bool lock_take(struct hw_conn *c)
{
	return lock_try(c) || lock_wait(c);
}

static __always_inline void lock_drop(struct hw_conn *c)
{
	barrier();
	PUT(c->lock, 0);
}

/* An element of hw_conn_t that was looked up may have been deleted and used
 * again for another flow before its lock was taken. */
static __always_inline bool conn_is(const struct hw_conn *c, const struct toe_flow *f)
{
	const __u64 *a = (const __u64 *)&c->min.flow, *b = (const __u64 *)f;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

#endif
