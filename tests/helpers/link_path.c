/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include "tests/helpers/link_path.h"
#include "tests/helpers/pattern.h"

static bool chance(uint64_t *rnd, double p)
{
	return (double)(rnd_next(rnd) >> 11) * 0x1p-53 < p;
}

/* Gilbert's model: every frame of a burst is lost. */
static bool in_burst(struct path *p, uint64_t *rnd)
{
	bool begins = chance(rnd, p->burst), ends = chance(rnd, 1.0 / (p->burst_len ? p->burst_len : 1));
	bool lost = p->bad || begins;

	p->bad = lost && !ends;
	return lost;
}

/* The bottleneck: when is the frame through? False: its queue is full. */
static bool through(struct path *p, uint64_t now, size_t len, uint64_t *when)
{
	while (p->queued && p->leaves[p->head] <= now) {
		p->head = (p->head + 1) % PATH_MAX_QUEUE;
		p->queued--;
	}
	*when = now;
	if (!p->bits_s)
		return true;
	if (!p->leaves)
		p->leaves = calloc(PATH_MAX_QUEUE, sizeof(*p->leaves));
	if (!p->leaves || p->queued >= (p->limit ? p->limit : PATH_MAX_QUEUE))
		return false;
	if (p->busy_ns < now)
		p->busy_ns = now;
	p->busy_ns += (len + 24) * 8 * 1000000000ULL / p->bits_s;	/* with preamble, FCS and gap */
	p->leaves[(p->head + p->queued++) % PATH_MAX_QUEUE] = p->busy_ns;
	*when = p->busy_ns;
	return true;
}

/* Congestion experienced, RFC 3168, on a frame whose sender said that it knows of it. */
static bool mark_ce(unsigned char *data, size_t len)
{
	unsigned char *ip = data + 14;
	unsigned int old, sum;

	if (len < 14 + 40)
		return false;
	if (data[12] == 0x86 && data[13] == 0xdd) {
		if (!(ip[1] & 0x30))
			return false;
		ip[1] |= 0x30;
		return true;
	}
	if (data[12] != 8 || data[13] || !(ip[1] & 3))
		return false;
	old = ip[1] & 3;
	ip[1] |= 3;
	sum = (~((unsigned int)ip[10] << 8 | ip[11]) & 0xffff) + (3 - old);	/* RFC 1624 */
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	ip[10] = (unsigned char)(sum >> 8);
	ip[11] = (unsigned char)sum;
	return true;
}

static uint64_t delayed(struct path *p, uint64_t *rnd, uint64_t when)
{
	uint64_t jitter = rnd_next(rnd), due = when + p->delay_ns + (p->jitter_ns ? jitter % p->jitter_ns : 0);

	if (p->ordered && due < p->last_ns)
		due = p->last_ns;
	p->last_ns = due;
	if (chance(rnd, p->reorder)) {
		due += p->gap_ns;
		p->nr.reordered++;
	}
	return due;
}

static int copies(struct path *p, uint64_t *rnd)
{
	bool twice = chance(rnd, p->dup);

	p->nr.duplicated += twice;
	return 1 + twice;
}

static bool lose(struct path *p, uint64_t *rnd)
{
	bool lost = chance(rnd, p->loss), burst = in_burst(p, rnd);

	p->nr.lost += lost;
	p->nr.burst += burst && !lost;
	return lost || burst;
}

int path_take(struct path *p, uint64_t now, unsigned char *data, size_t len, uint64_t due[2], size_t damage[2])
{
	uint64_t rnd = mix64(p->seed ^ mix64(p->nr.in++)), when;
	bool lost = lose(p, &rnd), marked = chance(&rnd, p->mark);
	int nr;

	if (lost)
		return 0;
	if (!through(p, now, len, &when)) {
		p->nr.full++;
		return 0;
	}
	if ((marked || (p->mark_at && p->queued > p->mark_at)) && mark_ce(data, len))
		p->nr.marked++;
	nr = copies(p, &rnd);
	for (int i = 0; i < nr; i++) {
		due[i] = delayed(p, &rnd, when);
		damage[i] = 0;
		if (len > 14 && chance(&rnd, p->corrupt)) {
			damage[i] = 14 * 8 + rnd_below(&rnd, (len - 14) * 8);
			p->nr.damaged++;
		}
	}
	return nr;
}
