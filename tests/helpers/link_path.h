/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One direction of the impaired link: a bottleneck with a queue, then a path with a delay, and what either
 * does to frames. What happens to the nth frame depends on the seed and on n only. No I/O, no clock.
 */
#ifndef LINK_PATH_H
#define LINK_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_MAX_QUEUE	65536U

#define PATH_COUNTS(X) \
	X(in,		"frames that came") \
	X(lost,		"lost at random") \
	X(burst,	"lost in bursts") \
	X(full,		"dropped, the queue was full") \
	X(duplicated,	"sent twice") \
	X(reordered,	"sent later") \
	X(damaged,	"with one bit changed") \
	X(marked,	"with CE set") \
	X(out,		"frames delivered") \
	X(refused,	"frames that the receiving device refused")

struct path {
	/* set by the user */
	double loss, burst, dup, reorder, corrupt, mark;	/* probabilities; burst: that one begins */
	unsigned int burst_len;		/* mean, frames */
	uint64_t delay_ns, jitter_ns, gap_ns;
	bool ordered;			/* jitter does not reorder */
	uint64_t bits_s;		/* 0: unlimited */
	unsigned int limit;		/* frames in the queue of the bottleneck */
	unsigned int mark_at;		/* mark frames that find so many there, 0: never */
	uint64_t seed;
	/* the path's own */
	bool bad;			/* inside a burst of losses */
	uint64_t busy_ns, last_ns;
	uint64_t *leaves;		/* times at which queued frames leave the bottleneck */
	unsigned int head, queued;
	struct {
#define X(field, text) unsigned long long field;
		PATH_COUNTS(X)
#undef X
	} nr;
};

/* Takes a frame at time now. Returns how many copies of it are delivered, 0 to 2, and when each is, in due[].
 * damage[i]: the bit of copy i that is to be changed, 0: none. A frame may be marked in place. */
int path_take(struct path *p, uint64_t now, unsigned char *data, size_t len, uint64_t due[2], size_t damage[2]);

#endif
