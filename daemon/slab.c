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

static uint64_t index_used[TOE_MAX_SLABS / 64];
static uint64_t index_owned[TOE_MAX_SLABS / 64];	/* not of a toed before this one */
static struct slab *table[TOE_MAX_SLABS];
static struct slab *spare;

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
	return 0;
}

uint32_t slab_id(unsigned int index)
{
	__u32 key = index, id;

	return bpf_map_lookup_elem(engine.slabs, &key, &id) ? 0 : id;
}

void slab_sweep(void)
{
	__u32 i;

	for (i = 0; i < TOE_MAX_SLABS; i++) {
		if (!bit(index_used, i) || bit(index_owned, i))
			continue;
		bpf_map_delete_elem(engine.slabs, &i);
		index_used[i / 64] &= ~(1ULL << (i % 64));
	}
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

static int slab_mmap(struct slab *s)
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

/* As the inner map of slabs was declared, or the engines' map refuses it. */
static int slab_map(struct slab *s)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);

	s->fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "toe_slab", sizeof(__u32), TOE_CHUNK_SIZE,
			       TOE_SLAB_VALUES, &o);
	return s->fd < 0 ? -errno : slab_mmap(s);
}

static int slab_enter(struct slab *s)
{
	__u32 key;
	int index = index_take();

	if (index < 0)
		return index;
	key = (__u32)index;
	if (bpf_map_update_elem(engine.slabs, &key, &s->fd, BPF_ANY)) {
		int err = -errno;

		index_give(key);
		return err;
	}
	s->index = (uint16_t)index;
	table[index] = s;
	if (bpf_map_lookup_elem(engine.slabs, &key, &s->id))
		s->id = 0;
	return 0;
}

static struct slab *slab_make(void)
{
	struct slab *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		goto fail;
	err = slab_map(s);
	if (err)
		goto free_slab;
	err = slab_enter(s);
	if (err)
		goto unmap;
	return s;
unmap:
	munmap(s->mem, TOE_SLAB_SIZE);
	close(s->fd);
free_slab:
	free(s);
fail:
	log_warn("cannot make ring memory: %s", strerror(-err));
	errno = -err;
	return NULL;
}

struct slab *slab_new(void)
{
	struct slab *s = spare;

	spare = NULL;
	return s ? s : slab_make();
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

void slab_delete(struct slab *s)
{
	__u32 key = s->index;

	bpf_map_delete_elem(engine.slabs, &key);
	table[key] = NULL;
	index_give(key);
	munmap(s->mem, TOE_SLAB_SIZE);
	close(s->fd);
	free(s);
}

void slab_make_spare(void)
{
	if (!spare)
		spare = slab_make();
}

bool slab_has_spare(void)
{
	return spare;
}

void slab_exit(void)
{
	if (spare)
		slab_delete(spare);
	spare = NULL;
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
