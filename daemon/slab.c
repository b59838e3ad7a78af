/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "engine.h"
#include "log.h"
#include "slab.h"
#include "slab_work.h"

static uint64_t index_used[TOE_MAX_SLABS / 64];
static uint64_t index_owned[TOE_MAX_SLABS / 64];	/* not of a toed before this one */
static struct slab *table[TOE_MAX_SLABS];

#define SPARES_MOST	8

static struct slab *spares;
static unsigned int nr_spares, nr_asked, nr_wanted;	/* there; on their way; in all */
static unsigned int nr_taken;				/* since slab_tidy() looked */
static int failed;					/* -errno of the last that could not be made */

struct slab *slab_at(unsigned int index)
{
	return index < TOE_MAX_SLABS ? table[index] : NULL;
}

static bool bit(const uint64_t *map, unsigned int i)
{
	return map[i / 64] >> (i % 64) & 1;
}

int slab_init(void)
{
	__u32 i, id;

	memset(index_used, 0, sizeof(index_used));
	memset(index_owned, 0, sizeof(index_owned));
	for (i = 0; i < TOE_MAX_SLABS; i++)
		if (!bpf_map_lookup_elem(engine.slabs, &i, &id))
			index_used[i / 64] |= 1ULL << (i % 64);
	nr_wanted = 1;
	return slab_work_init();
}

uint32_t slab_id(unsigned int index)
{
	__u32 key = index, id;

	return bpf_map_lookup_elem(engine.slabs, &key, &id) ? 0 : id;
}

/* A batch stops at the first that fails, which none does but for want of memory. */
void slab_take_out(__u32 *keys, __u32 nr)
{
	__u32 i, done = nr;

	if (nr && bpf_map_delete_batch(engine.slabs, keys, &done, NULL))
		for (i = 0; i < nr; i++)
			bpf_map_delete_elem(engine.slabs, &keys[i]);
}

void slab_sweep(void)
{
	static __u32 keys[TOE_MAX_SLABS];
	__u32 i, nr = 0;

	for (i = 0; i < TOE_MAX_SLABS; i++) {
		if (!bit(index_used, i) || bit(index_owned, i))
			continue;
		keys[nr++] = i;
		index_used[i / 64] &= ~(1ULL << (i % 64));
	}
	slab_take_out(keys, nr);
}

static int index_take(void)
{
	unsigned int i;

	for (i = 0; i < TOE_MAX_SLABS; i++) {
		if (bit(index_used, i))
			continue;
		index_used[i / 64] |= 1ULL << (i % 64);
		index_owned[i / 64] |= 1ULL << (i % 64);
		return (int)i;
	}
	return -ENOSPC;
}

static void index_give(unsigned int i)
{
	index_used[i / 64] &= ~(1ULL << (i % 64));
	index_owned[i / 64] &= ~(1ULL << (i % 64));
}

int slab_mmap(struct slab *s)
{
	s->nr_free = TOE_SLAB_UNITS;
	s->mem = mmap(NULL, TOE_SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->mem == MAP_FAILED) {
		int err = -errno;

		close(s->fd);
		return err;
	}
	return 0;
}

void slab_munmap(struct slab *s)
{
	munmap(s->mem, TOE_SLAB_SIZE);
	close(s->fd);
}

struct slab *slab_adopt(unsigned int index)
{
	struct slab *s;
	__u32 id;

	if (index >= TOE_MAX_SLABS || !bit(index_used, index) || bit(index_owned, index) ||
	    bpf_map_lookup_elem(engine.slabs, &index, &id))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->index = (uint16_t)index;
	s->id = id;
	s->fd = bpf_map_get_fd_by_id(id);
	if (s->fd < 0 || slab_mmap(s)) {
		free(s);
		return NULL;
	}
	index_owned[index / 64] |= 1ULL << (index % 64);
	table[index] = s;
	return s;
}

/* ---- made ahead ---- */

static void came_back(struct slab *s)
{
	nr_asked -= !s->gone;
	if (s->gone || s->err) {
		if (!s->gone)
			failed = s->err;
		index_give(s->index);
		free(s);
		return;
	}
	s->id = slab_id(s->index);
	table[s->index] = s;
	s->next = spares;
	spares = s;
	nr_spares++;
}

/* False: nothing is on its way. */
static bool collect(bool wait)
{
	struct slab *s = slab_work_done(wait);
	bool any = s;

	for (; s; s = slab_work_done(false))
		came_back(s);
	return any;
}

/* -errno: it cannot be begun. */
static int ask_one(void)
{
	int index = index_take();
	struct slab *s;

	if (index < 0)
		return index;
	s = calloc(1, sizeof(*s));
	if (!s) {
		index_give((unsigned int)index);
		return -ENOMEM;
	}
	s->index = (uint16_t)index;
	nr_asked++;
	slab_work_make(s);
	return 0;
}

static int refill(void)
{
	int err = 0;

	while (!err && nr_spares + nr_asked < nr_wanted)
		err = ask_one();
	return err;
}

static struct slab *take_spare(void)
{
	struct slab *s = spares;

	spares = s->next;
	s->next = NULL;
	nr_spares--;
	return s;
}

/* Processes that serve a connection each come in numbers: when a second one finds none, more are made ahead. */
static void expect_more(void)
{
	if (nr_taken++ && !nr_spares && nr_wanted < SPARES_MOST)
		nr_wanted *= 2;
}

/* There is none: wait for one that is made, or for an index that is free again. */
static int wait_for_spare(void)
{
	int err;

	failed = 0;
	do {
		err = failed ? failed : refill();
	} while (!nr_spares && collect(true));
	return err;
}

struct slab *slab_new(void)
{
	struct slab *s;
	int err = 0;

	collect(false);
	expect_more();
	if (!nr_spares)
		err = wait_for_spare();
	if (!nr_spares) {
		log_warn("cannot make ring memory: %s", strerror(-err));
		errno = -err;
		return NULL;
	}
	s = take_spare();
	refill();
	return s;
}

void slab_delete(struct slab *s)
{
	table[s->index] = NULL;
	slab_work_delete(s);
}

void slab_tidy(void)
{
	collect(false);
	if (!nr_taken)
		nr_wanted = 1;
	nr_taken = 0;
	while (nr_spares > nr_wanted)
		slab_delete(take_spare());
	refill();
}

void slab_exit(void)
{
	nr_wanted = 0;
	do {
		while (nr_spares)
			slab_delete(take_spare());
	} while (collect(true));
	slab_work_exit();
}

/* ---- runs of units ---- */

/* Those of the run that stand in one word. */
static uint64_t run_mask(unsigned int unit, unsigned int nr)
{
	uint64_t bits = nr >= 64 ? ~0ULL : (1ULL << nr) - 1;

	return bits << (unit % 64);
}

static bool run_free(const struct slab *s, unsigned int unit, unsigned int nr)
{
	unsigned int i;

	for (i = unit; i < unit + nr; i += 64)
		if (s->used[i / 64] & run_mask(unit, nr))
			return false;
	return true;
}

static void run_take(struct slab *s, unsigned int unit, unsigned int nr)
{
	unsigned int i;

	for (i = unit; i < unit + nr; i += 64)
		s->used[i / 64] |= run_mask(unit, nr);
	s->nr_free -= nr;
}

int slab_take(struct slab *s, unsigned int order)
{
	unsigned int unit, nr = ring_units(order);

	if (order > TOE_MAX_ORDER || s->nr_free < nr)
		return -ENOSPC;
	for (unit = 0; unit < TOE_SLAB_UNITS; unit += ring_align(order)) {
		if (!run_free(s, unit, nr))
			continue;
		run_take(s, unit, nr);
		return (int)unit;
	}
	return -ENOSPC;
}

int slab_claim(struct slab *s, struct toe_ring_ref ref)
{
	if (!ring_ref_valid(ref) || !run_free(s, ref.unit, ring_units(ref.order)))
		return -EINVAL;
	run_take(s, ref.unit, ring_units(ref.order));
	return 0;
}

void slab_give(struct slab *s, struct toe_ring_ref ref)
{
	unsigned int i, nr = ring_units(ref.order);

	for (i = ref.unit; i < ref.unit + nr; i += 64)
		s->used[i / 64] &= ~run_mask(ref.unit, nr);
	s->nr_free += nr;
}
