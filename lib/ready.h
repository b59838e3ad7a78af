/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The members of an epoll instance whose rings are to be looked at, in the order in which they were woken. An array, since
 * who is looked at soon can be read from it without touching anything of those before. Under epset.c's lock.
 */
#ifndef READY_H
#define READY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct member;
struct sonode;

struct ready_item {
	struct member *m;	/* NULL: one that has gone */
	struct sonode *sn;	/* m's */
};

struct ready {
	struct ready_item *at;
	uint32_t room;		/* power of 2, or 0 */
	uint32_t head, tail;	/* count on and on */
	uint32_t nr;		/* between them, without those that have gone */
};

/* Make room for nr members in all. False: no memory. */
bool ready_room(struct ready *q, uint32_t nr);
void ready_free(struct ready *q);	/* empty, as zeroed memory is */

/* Nothing if it is in the queue already, or is not. */
void ready_add(struct ready *q, struct member *m);
void ready_del(struct ready *q, struct member *m);

struct member *ready_first(const struct ready *q);	/* NULL: there is none */

/* The one that is n behind the head; NULL: none, or one that has gone. */
static inline const struct ready_item *ready_ahead(const struct ready *q, uint32_t n)
{
	const struct ready_item *it;

	if (q->tail - q->head <= n)
		return NULL;
	it = &q->at[(q->head + n) & (q->room - 1)];
	return it->m ? it : NULL;
}

#endif
