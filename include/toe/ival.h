/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of out-of-order intervals of a connection (hw_conn.ooo). Intervals
 * are disjoint and do not touch; an empty one (start == end) is a free slot.
 * Among the others, a lower index is the more recent (RFC 2018 section 4).
 * Pure; for BPF and user space.
 */
#ifndef TOE_IVAL_H
#define TOE_IVAL_H

#include "toe/hw_conn.h"
#include "toe/seq.h"

TOE_PURE int ival_empty(const struct toe_ival *iv)
{
	return iv->start == iv->end;
}

/* Do [s, e) and iv overlap or touch? */
TOE_PURE int ival_meets(const struct toe_ival *iv, __u32 s, __u32 e)
{
	return !ival_empty(iv) && seq_leq(iv->start, e) && seq_geq(iv->end, s);
}

TOE_PURE int ival_holds(const struct toe_ival *iv, __u32 s, __u32 e)
{
	return !ival_empty(iv) && seq_leq(iv->start, s) && seq_geq(iv->end, e);
}

/* Slot 0 becomes free: what stands before slot `at`, which is free, moves up. */
TOE_PURE void ival_shift(struct toe_ival set[TOE_NR_OOO], int at)
{
#pragma GCC unroll 4
	for (int i = TOE_NR_OOO - 1; i > 0; i--)
		if (i <= at)
			set[i] = set[i - 1];
}

/*
 * Add [s, e). 0, or -1 if it meets no interval and no slot is free: then
 * nothing changed. As intervals do not touch each other, what meets the union
 * meets [s, e) itself, so one pass is enough.
 */
TOE_PURE int ival_add(struct toe_ival set[TOE_NR_OOO], __u32 s, __u32 e)
{
	__u32 lo = s, hi = e;
	int at = -1;

#pragma GCC unroll 4
	for (int i = TOE_NR_OOO - 1; i >= 0; i--) {
		struct toe_ival *iv = &set[i];

		if (ival_meets(iv, s, e)) {
			lo = seq_min(lo, iv->start);
			hi = seq_max(hi, iv->end);
			iv->end = iv->start;
		}
		if (ival_empty(iv))
			at = i;
	}
	if (at < 0)
		return -1;
	ival_shift(set, at);
	set[0].start = lo;
	set[0].end = hi;
	return 0;
}

/* rcv_nxt is now nxt: take the intervals it reaches; returns the new rcv_nxt. */
TOE_PURE __u32 ival_take(struct toe_ival set[TOE_NR_OOO], __u32 nxt)
{
#pragma GCC unroll 4
	for (int i = 0; i < TOE_NR_OOO; i++) {
		struct toe_ival *iv = &set[i];

		if (ival_empty(iv) || seq_after(iv->start, nxt))
			continue;
		nxt = seq_max(nxt, iv->end);
		iv->end = iv->start;
	}
	return nxt;
}

TOE_PURE __u8 ival_count(const struct toe_ival set[TOE_NR_OOO])
{
	__u8 n = 0;

#pragma GCC unroll 4
	for (int i = 0; i < TOE_NR_OOO; i++)
		n += !ival_empty(&set[i]);
	return n;
}

#endif
