/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of out-of-order intervals of a connection (hw_rec.ooo). Intervals
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

/*
 * Add [s, e). 0, or -1 if it meets no interval and no slot is free: then
 * nothing changed. As intervals do not touch each other, what meets the union
 * meets [s, e) itself, so one pass is enough. A second one makes slot 0 free:
 * what stands before the first free slot moves up.
 */
TOE_PURE int ival_add(struct toe_ival set[TOE_NR_OOO], __u32 s, __u32 e)
{
	struct toe_ival carry = { s, e }, next;
	__u32 room = 0;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		struct toe_ival *iv = &set[i];

		if (ival_meets(iv, s, e)) {
			carry.start = seq_min(carry.start, iv->start);
			carry.end = seq_max(carry.end, iv->end);
			iv->end = iv->start;
		}
		room |= ival_empty(iv);
	}
	if (!room)
		return -1;
	for (int i = 0; i < TOE_NR_OOO; i++) {
		next = set[i];
		set[i] = carry;
		if (ival_empty(&next))
			break;
		carry = next;
	}
	return 0;
}

/* rcv_nxt is now nxt: take the intervals it reaches; returns the new rcv_nxt. */
TOE_PURE __u32 ival_take(struct toe_ival set[TOE_NR_OOO], __u32 nxt)
{
	__u32 from = nxt;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		struct toe_ival *iv = &set[i];

		/* they do not touch: only one can be reached from nxt, those below it are old */
		if (ival_empty(iv) || seq_after(iv->start, from))
			continue;
		nxt = seq_max(nxt, iv->end);
		iv->end = iv->start;
	}
	return nxt;
}

/* The first run of bytes of [s, e) that the set has already. 0: it has none. */
TOE_PURE int ival_common(const struct toe_ival set[TOE_NR_OOO], __u32 s, __u32 e, struct toe_ival *common)
{
	int found = 0;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		const struct toe_ival *iv = &set[i];

		if (!ival_meets(iv, s, e) || iv->start == e || iv->end == s)
			continue;
		if (found && seq_geq(iv->start, common->start))
			continue;
		common->start = seq_max(iv->start, s);
		common->end = seq_min(iv->end, e);
		found = 1;
	}
	return found;
}

TOE_PURE __u8 ival_count(const struct toe_ival set[TOE_NR_OOO])
{
	__u8 n = 0;

	for (int i = 0; i < TOE_NR_OOO; i++)
		n += !ival_empty(&set[i]);
	return n;
}

#endif
