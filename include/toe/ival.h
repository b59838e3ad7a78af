/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of out-of-order intervals of a connection (hw_rec.ooo). Intervals
 * are disjoint and do not touch; an empty one (start == end) is a free slot, and
 * all behind the first of these are. A lower index is the more recent (RFC 2018 section 4).
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

/* Free slots in between go to the end. */
TOE_PURE void ival_pack(struct toe_ival set[TOE_NR_OOO])
{
	__u32 n = 0;

	for (__u32 i = 0; i < TOE_NR_OOO; i++) {
		struct toe_ival iv = set[i];

		if (ival_empty(&iv))
			continue;
		if (n != i) {
			set[i].end = set[i].start;
			set[n & (TOE_NR_OOO - 1)] = iv;
		}
		n = toe_blur(n + 1, iv.start);
	}
}

/*
 * Add [s, e). 0, or -1 if it meets no interval and no slot is free: then
 * nothing changed. As intervals do not touch each other, what meets the union
 * meets [s, e) itself, so one pass is enough. A second one makes slot 0 free:
 * what stands before the first free slot moves up.
 */
TOE_PURE int ival_add(struct toe_ival set[TOE_NR_OOO], __u32 s, __u32 e)
{
	struct toe_ival carry = { s, e }, next;
	__u32 room = 0, met = 0, gap = 0;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		struct toe_ival *iv = &set[i];

		if (ival_empty(iv)) {
			room = 1;
			break;
		}
		if (!ival_meets(iv, s, e))
			continue;
		carry.start = seq_min(carry.start, iv->start);
		carry.end = seq_max(carry.end, iv->end);
		iv->end = iv->start;
		gap = met;
		met = toe_blur(1, iv->start);
	}
	if (!room && !met)
		return -1;
	for (int i = 0; i < TOE_NR_OOO; i++) {
		next = set[i];
		set[i] = carry;
		if (ival_empty(&next))
			break;
		carry = next;
	}
	if (gap)
		ival_pack(set);
	return 0;
}

/* rcv_nxt is now nxt: take the intervals it reaches; returns the new rcv_nxt. */
TOE_PURE __u32 ival_take(struct toe_ival set[TOE_NR_OOO], __u32 nxt)
{
	__u32 from = nxt, taken = 0;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		struct toe_ival *iv = &set[i];

		if (ival_empty(iv))
			break;
		/* they do not touch: only one can be reached from nxt, those below it are old */
		if (seq_after(iv->start, from))
			continue;
		nxt = seq_max(nxt, iv->end);
		iv->end = iv->start;
		taken = toe_blur(1, iv->start);
	}
	if (taken)
		ival_pack(set);
	return nxt;
}

/* The first run of bytes of [s, e) that the set has already. 0: it has none. */
TOE_PURE int ival_common(const struct toe_ival set[TOE_NR_OOO], __u32 s, __u32 e, struct toe_ival *common)
{
	int found = 0;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		const struct toe_ival *iv = &set[i];

		if (ival_empty(iv))
			break;
		if (!ival_meets(iv, s, e) || iv->start == e || iv->end == s)
			continue;
		if (found && seq_geq(iv->start, common->start))
			continue;
		common->start = seq_max(iv->start, s);
		common->end = seq_min(iv->end, e);
		found = toe_blur(1, iv->start);
	}
	return found;
}

TOE_PURE __u8 ival_count(const struct toe_ival set[TOE_NR_OOO])
{
	__u8 n = 0;

	while (n < TOE_NR_OOO && !ival_empty(&set[n]))
		n++;
	return n;
}

#endif
