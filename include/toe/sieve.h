/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The far part of the sender's scoreboard, when there are more holes than hw_rec.hole takes: one long hole, of which
 * a bit for each unit of a segment's length says what has arrived. What it does not cover whole, a unit
 * does not know: it is sent again. Pure; the caller holds the entry.
 *
 * Functions that walk the bits are global in BPF programs, so that the verifier does so once; what they are given may be
 * anything.
 */
#ifndef TOE_SIEVE_H
#define TOE_SIEVE_H

#include "toe/hw_rec.h"
#include "toe/seq.h"

#ifdef __bpf__
#define TOE_WALK __attribute__((noinline))
#else
#define TOE_WALK TOE_PURE
#endif

#define SIEVE_WORDS	(TOE_SIEVE_BITS / 64)

TOE_PURE int sieve_empty(const struct toe_sieve *v)
{
	return v->hole.start == v->hole.end;
}

TOE_PURE __u32 sieve_unit(const struct toe_sieve *v, __u32 seq)
{
	return v->unit ? (seq - v->base) / v->unit : 0;
}

/* The number of the lowest bit of a word that is not 0. (clang 14 cannot translate the builtin function in a loop for BPF.) */
TOE_PURE __u32 sieve_low(__u64 word)
{
	__u32 n = 0;

	for (__u32 half = 32; half; half /= 2) {
		if (word & ((1ULL << half) - 1))
			continue;
		word >>= half;
		n += half;
	}
	return n;
}

TOE_PURE __u32 sieve_high(__u64 word)
{
	__u32 n = 0;

	for (__u32 half = 32; half; half /= 2) {
		if (!(word >> half))
			continue;
		word >>= half;
		n += half;
	}
	return n;
}

/* The bits of units [from, to) in word w, counted as if there were as many words. came: those that have arrived, or have not */
TOE_PURE __u64 sieve_bits(const struct toe_sieve *v, __u32 w, __u32 from, __u32 to, int came)
{
	__u64 word = v->came[w & (SIEVE_WORDS - 1)], mask = ~0ULL;

	if (w == from / 64)
		mask <<= from % 64;
	if (w == to / 64)
		mask &= (1ULL << to % 64) - 1;
	return (came ? word : ~word) & mask;
}

TOE_WALK __u64 sieve_word(const struct toe_sieve *v, __u32 w, __u32 from, __u32 to, int came)
{
	return v ? sieve_bits(v, w, from, to, came) : 0;
}

/* Units [from, to) have arrived, or not. Returns the end of the last that changed, 0: none. */
TOE_WALK int sieve_set(struct toe_sieve *v, __u32 from, __u32 to, int came)
{
	__u64 changed = 0, bits;
	__u32 at = 0;

	if (!v || to <= from)
		return 0;
	for (__u32 w = from / 64, i = 0; w <= to / 64 && i <= SIEVE_WORDS; w++, i++) {
		bits = sieve_word(v, w, from, to, !came);
		if (!bits)
			continue;
		v->came[w & (SIEVE_WORDS - 1)] ^= bits;
		changed = bits;
		at = w * 64;
	}
	return changed ? (int)(at + sieve_high(changed) + 1) : 0;
}

/* The first of the units [from, to) that has arrived, or has not; none: to. */
TOE_WALK int sieve_find(const struct toe_sieve *v, __u32 from, __u32 to, int came)
{
	__u64 bits = 0;
	__u32 w = from / 64;

	if (!v || to <= from)
		return (int)to;
	for (__u32 i = 0; w <= to / 64 && i <= SIEVE_WORDS; w++, i++) {
		bits = sieve_word(v, w, from, to, came);
		if (bits)
			break;
	}
	return bits ? (int)(w * 64 + sieve_low(bits)) : (int)to;
}

/* How many of the units [from, to) have arrived. */
TOE_WALK int sieve_came(const struct toe_sieve *v, __u32 from, __u32 to)
{
	__u32 n = 0;

	if (!v || to <= from)
		return 0;
	for (__u32 w = from / 64, i = 0; w <= to / 64 && i <= SIEVE_WORDS; w++, i++)
		n += (__u32)__builtin_popcountll(sieve_bits(v, w, from, to, 1));
	return (int)n;
}

/* The first run of [s, e), which lies inside the sieve, that has not arrived: where it begins and its length, 0: none. */
TOE_PURE __u32 sieve_gap(const struct toe_sieve *v, __u32 s, __u32 e, __u32 *seq)
{
	__u32 to, first, behind;

	if (!seq_before(s, e))
		return 0;
	to = sieve_unit(v, e - 1) + 1;
	first = (__u32)sieve_find(v, sieve_unit(v, s), to, 0);
	if (first >= to)
		return 0;
	behind = (__u32)sieve_find(v, first, to, 1);
	*seq = seq_max(s, v->base + first * v->unit);
	return seq_min(e, v->base + behind * v->unit) - *seq;
}

TOE_PURE int sieve_has(const struct toe_sieve *v, __u32 unit)
{
	return v->came[unit / 64 & (SIEVE_WORDS - 1)] >> unit % 64 & 1;
}

/* How many bytes of [s, e), which lies inside the sieve, have not arrived. */
TOE_PURE __u32 sieve_missing(const struct toe_sieve *v, __u32 s, __u32 e)
{
	__u32 from, to, n;

	if (!seq_before(s, e))
		return 0;
	from = sieve_unit(v, s);
	to = sieve_unit(v, e - 1) + 1;
	n = (to - from - (__u32)sieve_came(v, from, to)) * v->unit;
	if (!sieve_has(v, from))
		n -= s - v->base - from * v->unit;
	if (!sieve_has(v, to - 1))
		n -= v->base + to * v->unit - e;
	return n;
}

/* What lies before the first byte that has not arrived, and not before seq, is done with. */
TOE_PURE void sieve_cut(struct toe_sieve *v, __u32 seq)
{
	struct toe_hole *h = &v->hole;

	seq = seq_min(seq_max(seq, h->start), h->end);
	if (!sieve_gap(v, seq, h->end, &seq))
		seq = h->end;
	h->start = seq;
	h->rxt = seq_max(h->rxt, seq);
	v->lost = seq_max(v->lost, seq);
	v->soon = seq_max(v->soon, seq);
	if (seq - v->base >= TOE_SIEVE_BITS * v->unit)
		v->base += TOE_SIEVE_BITS * v->unit;
}

/* The hole goes on up to s; of what lies behind it [high, s) is missing. 0, or -1: it is too long. */
TOE_PURE int sieve_extend(struct toe_sieve *v, __u32 high, __u32 s, __u32 now_us)
{
	struct toe_hole *h = &v->hole;

	if (sieve_empty(v)) {
		*h = (struct toe_hole){ .start = high, .end = high, .rxt = high, .mark = s, .since_us = now_us };
		v->base = v->lost = v->soon = high;
	}
	if (!v->unit || s - h->start > (TOE_SIEVE_BITS - 64) * v->unit)
		return -1;
	sieve_set(v, sieve_unit(v, h->end + v->unit - 1), sieve_unit(v, high), 1);
	sieve_set(v, sieve_unit(v, high), sieve_unit(v, s - 1) + 1, 0);
	h->end = s;
	v->end_us = now_us;
	return 0;
}

/* [s, e) is SACKed. Returns the end of what of it is new, in the hole; hole.start: nothing. */
TOE_PURE __u32 sieve_block(struct toe_sieve *v, __u32 s, __u32 e)
{
	__u32 changed;

	s = seq_max(s, v->hole.start);
	e = seq_min(e, v->hole.end);
	if (!seq_before(s, e))
		return v->hole.start;
	changed = (__u32)sieve_set(v, sieve_unit(v, s + v->unit - 1), sieve_unit(v, e), 1);
	return changed ? v->base + changed * v->unit : v->hole.start;
}

/*
 * What is lost by now, as of a hole; but it grows at its end, so of two parts: what was there when the last look
 * began counts wait_us after that.
 */
TOE_PURE void sieve_age(struct toe_sieve *v, __u32 now_us, __u32 wait_us)
{
	for (int i = 0; i < 2; i++) {
		if (v->lost == v->soon) {
			v->soon = v->hole.end;
			v->soon_us = v->end_us;
		}
		if (now_us - v->soon_us >= wait_us)
			v->lost = v->soon;
	}
}

#endif
