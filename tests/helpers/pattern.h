/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pseudo-random numbers, and a byte stream whose every byte is known from its seed and position. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t mix64(uint64_t x)	/* splitmix64 */
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline uint64_t rnd_next(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return mix64(*state);
}

/* Uniform in [0, n), n > 0. */
static inline uint64_t rnd_below(uint64_t *state, uint64_t n)
{
	return rnd_next(state) % n;
}

/* In [1, max], every order of magnitude equally likely. */
static inline size_t rnd_size(uint64_t *state, size_t max)
{
	unsigned int bits = 0;
	size_t n;

	while (bits < 63 && (1ULL << (bits + 1)) <= max)
		bits++;
	n = 1ULL << rnd_below(state, bits + 1);
	n += rnd_below(state, n);
	return n < max ? n : max;
}

static inline void pattern_fill(uint64_t seed, uint64_t pos, unsigned char *buf, size_t len)
{
	uint64_t word;
	size_t n, off;

	while (len) {
		off = pos & 7;
		n = 8 - off < len ? 8 - off : len;
		word = mix64(seed ^ (pos >> 3));
		memcpy(buf, (unsigned char *)&word + off, n);
		buf += n;
		pos += n;
		len -= n;
	}
}

/* Index of the first byte of buf that is not the pattern's, or len. */
static inline size_t pattern_check(uint64_t seed, uint64_t pos, const unsigned char *buf, size_t len)
{
	unsigned char want[4096];
	size_t done = 0, n, i;

	while (done < len) {
		n = len - done < sizeof(want) ? len - done : sizeof(want);
		pattern_fill(seed, pos + done, want, n);
		if (memcmp(buf + done, want, n) != 0) {
			for (i = 0; buf[done + i] == want[i]; i++)
				;
			return done + i;
		}
		done += n;
	}
	return len;
}

/* A hash of the bytes themselves, in any partition: FNV-1a over 64-bit words. */
struct stream_hash {
	uint64_t h, word;
	unsigned int nr;
};

static inline void hash_init(struct stream_hash *s)
{
	s->h = 0xcbf29ce484222325ULL;
	s->word = 0;
	s->nr = 0;
}

static inline void hash_word(struct stream_hash *s, uint64_t word)
{
	s->h = (s->h ^ word) * 0x100000001b3ULL;
	s->h ^= s->h >> 29;
}

static inline void hash_add(struct stream_hash *s, const unsigned char *buf, size_t len)
{
	uint64_t word;

	while (len && s->nr) {
		s->word |= (uint64_t)*buf++ << (8 * s->nr);
		s->nr = (s->nr + 1) & 7;
		len--;
		if (!s->nr) {
			hash_word(s, s->word);
			s->word = 0;
		}
	}
	for (; len >= 8; len -= 8, buf += 8) {
		memcpy(&word, buf, 8);
		hash_word(s, word);
	}
	for (; len; len--)
		s->word |= (uint64_t)*buf++ << (8 * s->nr++);
}

static inline uint64_t hash_end(const struct stream_hash *s)
{
	return mix64(s->h ^ s->word ^ s->nr);
}

#endif
