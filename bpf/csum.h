/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internet checksum, RFC 1071, straight from packet memory. */
#ifndef CSUM_H
#define CSUM_H

#include "parse.h"

static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Pseudo header. The fixed part of two mapped addresses adds 0 (2 * 0xffff). */
static __always_inline __u64 csum_pseudo(const struct toe_flow *f, __u32 l4_len)
{
	const __u32 *w = (const __u32 *)f;

	return (__u64)w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6] + w[7] +
	       bpf_htonl(l4_len) + bpf_htonl(PROTO_TCP);
}

/* The size of a csum_diff must be a constant: the verifier compares it with what
 * was checked against the frame's end. 512 is the most that 6.1 takes. */
#define CSUM_PIECE(p, end, sum, n) ({					\
	int __ok = (void *)(p) + (n) <= (end);				\
	if (__ok)							\
		(sum) = bpf_csum_diff(NULL, 0, (__be32 *)(p), (n), (sum)); \
	__ok;								\
})

/* Most of a full segment of the usual MTU in one call, with its header or without (1,428 bytes of IPv6 with timestamps to 1,480): Linux 6.13
 * and later. An earlier one refuses the first such call, and is not asked again. */
#define CSUM_FULL	1424
static volatile int csum_short;

static __always_inline int csum_full(__u8 *from, void *end, __u32 len, __u32 *sum)
{
	__s64 got;

	if (len < CSUM_FULL || csum_short || (void *)(from + CSUM_FULL) > end)
		return 0;
	got = bpf_csum_diff(NULL, 0, (__be32 *)from, CSUM_FULL, 0);
	if (got < 0) {
		csum_short = 1;
		return 0;
	}
	*sum = got;
	return 1;
}

/* Below that a call costs more than the loads. */
#define CSUM_WORDS(p, end, sum, n) ({					\
	int __ok = (void *)(p) + (n) <= (end);				\
	if (__ok) {							\
		_Pragma("unroll")					\
		for (int __i = 0; __i < (n) / 4; __i++)			\
			(sum) += ((__u32 *)(p))[__i];			\
	}								\
	__ok;								\
})

/* Where the piece of n bytes stands, n the power of 2 whose bit is set in len: the larger ones are before it. From len, as what was
 * summed so far would be another number for the verifier behind each choice of pieces. */
#define CSUM_AT(len, n) ((len) & (0xfff & ~(2U * (n) - 1)))

static __always_inline int csum_tail(const __u8 *from, void *end, __u32 len, __u64 *sum)
{
	if (len & 2) {
		const __u8 *p = from + CSUM_AT(len, 2);

		if ((void *)(p + 2) > end)
			return -1;
		*sum += *(__u16 *)p;
	}
	if (len & 1) {
		const __u8 *p = from + CSUM_AT(len, 1);

		if ((void *)(p + 1) > end)
			return -1;
		*sum += *p;
	}
	return 0;
}

/* Sum over len bytes, at most TOE_MAX_FRAME, from `from` on, as they lie in memory; -1: not all there.
 * *total on entry: what to add. */
static __always_inline int csum_bytes(__u8 *from, void *end, __u32 len, __u64 *total)
{
	__u32 sum = 0;

	if (csum_full(from, end, len, &sum)) {
		from += CSUM_FULL;
		len -= CSUM_FULL;
	}
	for (__u32 at = 0; at < 4096 && at + 512 <= len; at += 512)
		if (!CSUM_PIECE(from + at, end, sum, 512))
			return -1;
	if ((len & 256) && !CSUM_PIECE(from + CSUM_AT(len, 256), end, sum, 256))
		return -1;
	if ((len & 128) && !CSUM_PIECE(from + CSUM_AT(len, 128), end, sum, 128))
		return -1;
	if ((len & 64) && !CSUM_WORDS(from + CSUM_AT(len, 64), end, *total, 64))
		return -1;
	if ((len & 32) && !CSUM_WORDS(from + CSUM_AT(len, 32), end, *total, 32))
		return -1;
	if ((len & 16) && !CSUM_WORDS(from + CSUM_AT(len, 16), end, *total, 16))
		return -1;
	if ((len & 8) && !CSUM_WORDS(from + CSUM_AT(len, 8), end, *total, 8))
		return -1;
	if ((len & 4) && !CSUM_WORDS(from + CSUM_AT(len, 4), end, *total, 4))
		return -1;
	*total += sum;
	return csum_tail(from, end, len, total);
}

/*
 * Is the checksum of the whole segment right? Walks packet memory, so nothing
 * of a corrupt segment is ever written to a ring. partial_ok: a bare pseudo
 * header sum is right too (TOE_NIC_PARTIAL_OK). Global, so that the verifier
 * looks at its many ways by itself, once.
 */
__noinline int csum_ok(struct xdp_md *ctx, struct toe_flow *f, __u32 l4_off, __u32 l4_len,
		       __u32 partial_ok)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tcphdr *th;
	__u64 sum;

	if (!f || l4_off > 1024 || l4_len > TOE_MAX_FRAME)
		return 0;
	th = data + l4_off;
	if ((void *)(th + 1) > end)
		return 0;
	sum = csum_pseudo(f, l4_len);
	if (partial_ok && th->check == csum_fold(sum))
		return 1;
	if (csum_bytes((__u8 *)th, end, l4_len, &sum))
		return 0;
	return csum_fold(sum) == 0xffff;
}

/* Turn a partial checksum into a whole one; any other is left alone. */
__noinline int csum_complete(struct xdp_md *ctx, struct toe_flow *f, __u32 l4_off, __u32 l4_len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tcphdr *th;
	__u64 sum = 0;

	if (!f || l4_off > 1024 || l4_len > TOE_MAX_FRAME)
		return 0;
	th = data + l4_off;
	if ((void *)(th + 1) > end || th->check != csum_fold(csum_pseudo(f, l4_len)))
		return 0;
	if (csum_bytes((__u8 *)th, end, l4_len, &sum))
		return 0;
	th->check = ~csum_fold(sum);
	return 1;
}

#endif
