/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ones' complement sum of bytes as they lie in memory (RFC 1071). */
#ifndef CSUM_H
#define CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline uint64_t csum_add64(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* Folded sum; a last odd byte is padded with zero. */
static inline uint16_t csum_partial(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t sum = 0, sum2 = 0, w[4];
	uint16_t half = 0;

	for (; len >= 32; p += 32, len -= 32) {
		memcpy(w, p, 32);
		sum = csum_add64(sum, w[0]);
		sum2 = csum_add64(sum2, w[1]);
		sum = csum_add64(sum, w[2]);
		sum2 = csum_add64(sum2, w[3]);
	}
	sum = csum_add64(sum, sum2);
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(w, p, 8);
		sum = csum_add64(sum, w[0]);
	}
	for (; len >= 2; p += 2, len -= 2) {
		memcpy(&half, p, 2);
		sum = csum_add64(sum, half);
	}
	if (len) {
		half = 0;
		memcpy(&half, p, 1);
		sum = csum_add64(sum, half);
	}
	return csum_fold(sum);
}

/* Sum of two pieces; the second begins off bytes after the first. */
static inline uint16_t csum_join(uint16_t a, uint16_t b, size_t off)
{
	if (off & 1)
		b = (uint16_t)(b << 8 | b >> 8);
	return csum_fold((uint64_t)a + b);
}

#endif
