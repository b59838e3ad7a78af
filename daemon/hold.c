/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>
#include "engine.h"
#include "hold.h"
#include "log.h"

static struct ring_buffer *ring;

static int take(void *ctx, void *data, size_t size)
{
	const struct toe_held *rec = data;
	struct conn *c;
	struct held *h;

	(void)ctx;
	if (size < sizeof(*rec) || rec->len > sizeof(rec->frame))
		return 0;
	c = conn_by_cookie(rec->cookie);
	if (!c)
		return 0;
	c->nr_held++;
	h = malloc(sizeof(*h) + rec->len);
	if (!h)
		return 0;	/* as if lost on the wire */
	h->next = NULL;
	h->len = rec->len;
	h->nic = rec->nic;
	memcpy(h->frame, rec->frame, rec->len);
	*c->held_tail = h;
	c->held_tail = &h->next;
	return 0;
}

int hold_init(void)
{
	ring = ring_buffer__new(engine.hold, take, NULL, NULL);
	if (!ring) {
		log_err("hold ring: %s", strerror(errno));
		return -errno;
	}
	hold_drain();
	return 0;
}

void hold_exit(void)
{
	ring_buffer__free(ring);
	ring = NULL;
}

void hold_drain(void)
{
	ring_buffer__consume(ring);
}

struct held *hold_pop(struct conn *c)
{
	struct held *h = c->held;

	if (h) {
		c->held = h->next;
		if (!c->held)
			c->held_tail = &c->held;
	}
	return h;
}

void hold_push_front(struct conn *c, struct held *h)
{
	h->next = c->held;
	if (!c->held)
		c->held_tail = &h->next;
	c->held = h;
}

void hold_discard(struct conn *c)
{
	struct held *h;

	while ((h = hold_pop(c)))
		free(h);
}
