/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include "epset.h"
#include "ready.h"

#define LEAST	16

static struct ready_item *place(const struct ready *q, uint32_t pos)
{
	return &q->at[pos & (q->room - 1)];
}

/* Without those that have gone. */
static void repack(const struct ready *q, struct ready *new)
{
	struct ready_item it;
	uint32_t pos;

	for (pos = q->head; pos != q->tail; pos++) {
		it = *place(q, pos);
		if (!it.m)
			continue;
		it.m->place = new->tail;
		*place(new, new->tail++) = it;
	}
	new->nr = new->tail - new->head;
}

bool ready_room(struct ready *q, uint32_t nr)
{
	struct ready new = { .room = q->room ? q->room : LEAST };

	while (new.room < 2 * nr)
		new.room *= 2;
	if (new.room == q->room)
		return true;
	new.at = calloc(new.room, sizeof(*new.at));
	if (!new.at)
		return false;
	repack(q, &new);
	free(q->at);
	*q = new;
	return true;
}

void ready_free(struct ready *q)
{
	free(q->at);
	*q = (struct ready){ 0 };
}

/* In place: whoever is there moves towards the head, into what was free or has been read. */
static void close_gaps(struct ready *q)
{
	struct ready packed = *q;

	packed.tail = packed.head;
	repack(q, &packed);
	*q = packed;
}

void ready_add(struct ready *q, struct member *m)
{
	if (m->ready)
		return;
	if (q->tail - q->head == q->room)
		close_gaps(q);
	m->ready = 1;
	m->place = q->tail;
	*place(q, q->tail++) = (struct ready_item){ m, m->sn };
	q->nr++;
}

static void skip_gaps(struct ready *q)
{
	while (q->head != q->tail && !place(q, q->head)->m)
		q->head++;
}

void ready_del(struct ready *q, struct member *m)
{
	if (!m->ready)
		return;
	m->ready = 0;
	place(q, m->place)->m = NULL;
	q->nr--;
	skip_gaps(q);
}

struct member *ready_first(const struct ready *q)
{
	return q->nr ? place(q, q->head)->m : NULL;
}
