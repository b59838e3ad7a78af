/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slabs: ring memory shared by the engines, the daemon and one application. A slab is made ahead of
 * time by a thread of its own (slab_work.h), because entering it in map slabs waits for an RCU grace period, belongs to one
 * application for its whole life and is never handed to another.
 */
#ifndef SLAB_H
#define SLAB_H

#include <stdbool.h>
#include <stdint.h>
#include "toe/place.h"
#include "toe/ring.h"

struct app;

struct slab {
	struct slab *next;	/* in the list that it is in: the owner's, spares, work to do */
	const struct app *owner;	/* NULL: nobody's yet */
	uint16_t index;		/* in map slabs */
	uint32_t id;		/* the kernel's, of the BPF map */
	int fd;
	int err;		/* -errno: it could not be made */
	bool gone;		/* it has been deleted */
	char *mem;
	uint64_t used[TOE_SLAB_UNITS / 64];
	unsigned int nr_free;	/* units */
};

/* Entries of map slabs that a toed before this one left are kept until slab_sweep(). */
int slab_init(void);
void slab_exit(void);
/* Take over one of them, all units free; NULL: there is none. Then say which runs are in use. */
struct slab *slab_adopt(unsigned int index);
int slab_claim(struct slab *slab, struct toe_ring_ref ref);
/* Of which map that entry is; 0: none. */
uint32_t slab_id(unsigned int index);
/* Remove those that nobody took over. */
void slab_sweep(void);

/* A spare slab if there is one, else a new one, which takes some 20 ms. Errno if NULL. */
struct slab *slab_new(void);
/* Nothing points to it any more. It goes in its time. */
void slab_delete(struct slab *slab);
struct slab *slab_at(unsigned int index);	/* NULL: there is none */
/* Now and then: give back the spare ones that nobody has asked for since the last time. */
void slab_tidy(void);

/* Of slab.c for slab_work.c. */
int slab_mmap(struct slab *slab);		/* its descriptor; that is closed if it fails */
void slab_munmap(struct slab *slab);		/* and close */
void slab_take_out(__u32 *keys, __u32 nr);	/* of map slabs: one wait for all */

/* A run of that order (toe/place.h): first unit or -ENOSPC. */
int slab_take(struct slab *slab, unsigned int order);
void slab_give(struct slab *slab, struct toe_ring_ref ref);

static inline char *slab_chunk(const struct slab *slab, unsigned int chunk)
{
	return slab->mem + (size_t)chunk * TOE_CHUNK_SIZE;
}

static inline struct toe_ring_ctl *slab_ctl(const struct slab *slab, struct toe_ring_ref rx)
{
	return (struct toe_ring_ctl *)(slab->mem + ring_ctl_at(rx));
}

#endif
