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
static struct slab *spare;

int slab_init(void)
{
	__u32 i;

	memset(index_used, 0, sizeof(index_used));
	for (i = 0; i < TOE_MAX_SLABS; i++) {
		__u32 id;

		if (!bpf_map_lookup_elem(engine.slabs, &i, &id) && bpf_map_delete_elem(engine.slabs, &i))
			return -errno;
	}
	return 0;
}

static int index_take(void)
{
	unsigned int i;

	for (i = 0; i < TOE_MAX_SLABS; i++) {
		if (index_used[i / 64] >> (i % 64) & 1)
			continue;
		index_used[i / 64] |= 1ULL << (i % 64);
		return (int)i;
	}
	return -ENOSPC;
}

static void index_give(unsigned int i)
{
	index_used[i / 64] &= ~(1ULL << (i % 64));
}

/* As the inner map of slabs was declared, or the engines' map refuses it. */
static int slab_map(struct slab *s)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);

	s->fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "toe_slab", sizeof(__u32), TOE_CHUNK_SIZE,
			       TOE_SLAB_CHUNKS, &o);
	if (s->fd < 0)
		return -errno;
	s->mem = mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->mem == MAP_FAILED) {
		int err = -errno;

		close(s->fd);
		return err;
	}
	return 0;
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
	return 0;
}

static struct slab *slab_make(void)
{
	struct slab *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		goto fail;
	s->nr_free = TOE_SLAB_CHUNKS;
	err = slab_map(s);
	if (err)
		goto free_slab;
	err = slab_enter(s);
	if (err)
		goto unmap;
	return s;
unmap:
	munmap(s->mem, SLAB_SIZE);
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

void slab_delete(struct slab *s)
{
	__u32 key = s->index;

	bpf_map_delete_elem(engine.slabs, &key);
	index_give(key);
	munmap(s->mem, SLAB_SIZE);
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

/* ---- runs of chunks ---- */

static uint64_t run_mask(unsigned int chunk, unsigned int order)
{
	uint64_t bits = order == 6 ? ~0ULL : (1ULL << (1U << order)) - 1;

	return bits << (chunk % 64);
}

int slab_take(struct slab *s, unsigned int order)
{
	unsigned int chunk;

	if (order > TOE_MAX_ORDER || s->nr_free < 1U << order)
		return -ENOSPC;
	for (chunk = 0; chunk < TOE_SLAB_CHUNKS; chunk += 1U << order) {
		uint64_t mask = run_mask(chunk, order);

		if (s->used[chunk / 64] & mask)
			continue;
		s->used[chunk / 64] |= mask;
		s->nr_free -= 1U << order;
		return (int)chunk;
	}
	return -ENOSPC;
}

void slab_give(struct slab *s, unsigned int chunk, unsigned int order)
{
	s->used[chunk / 64] &= ~run_mask(chunk, order);
	s->nr_free += 1U << order;
}
