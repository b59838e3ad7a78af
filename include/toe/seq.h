/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sequence number arithmetic, RFC 9293 section 3.4: comparisons modulo 2^32,
 * right for numbers less than 2^31 apart. Pure; for BPF and user space.
 */
#ifndef TOE_SEQ_H
#define TOE_SEQ_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Functions of the pure headers: BPF programs want them in their own body. */
#define TOE_PURE static inline __attribute__((always_inline, unused))

/* n, for the verifier anything: a value that it can follow it follows, through a loop once for each. any: what it does
 * not know. */
TOE_PURE __u32 toe_blur(__u32 n, __u32 any)
{
#ifdef __bpf__
	__u32 same = any;

	asm volatile("" : "+r"(same));
	n += any - same;
#else
	(void)any;
#endif
	return n;
}

TOE_PURE int seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

TOE_PURE int seq_after(__u32 a, __u32 b)
{
	return (__s32)(b - a) < 0;
}

TOE_PURE int seq_leq(__u32 a, __u32 b)
{
	return (__s32)(a - b) <= 0;
}

TOE_PURE int seq_geq(__u32 a, __u32 b)
{
	return (__s32)(a - b) >= 0;
}

TOE_PURE __u32 seq_min(__u32 a, __u32 b)
{
	return seq_before(a, b) ? a : b;
}

TOE_PURE __u32 seq_max(__u32 a, __u32 b)
{
	return seq_after(a, b) ? a : b;
}

#endif
