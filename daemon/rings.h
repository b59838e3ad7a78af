/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection's rings as the daemon sees them. What the application can write is checked here. */
#ifndef RINGS_H
#define RINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "conn.h"
#include "toe/place.h"
#include "toe/ring.h"

#define RINGS_IOV	((int)TOE_SLAB_CHUNKS + 2)

struct rings_at {		/* a ring, toe_ring_ctl's base of it, and where its first bytes stand */
	struct toe_ring_ref ref;
	uint32_t base;
	char *hot;
};
struct rings_at rings_at_rx(struct app *app, struct toe_ring_ref rx, uint32_t base);
struct rings_at rings_at_tx(struct app *app, struct toe_ring_ref rx, struct toe_ring_ref tx, uint32_t base);
struct rings_at rings_rx(const struct conn *c);
struct rings_at rings_tx(const struct conn *c);
/* Both rings are empty: where they begin. */
void rings_base(const struct conn *c, uint32_t rx, uint32_t tx);
/* The same, and the library's positions, of rings that are no connection's yet. */
void rings_prepare(struct app *app, struct toe_ring_ref rx, uint32_t read, uint32_t una, uint32_t filled);

#define RINGS_MOST	(TOE_SLAB_UNITS << TOE_UNIT_SHIFT)	/* bytes of the largest */

/* Of the smallest ring that holds so many bytes; beyond TOE_MAX_ORDER: there is none. */
unsigned int rings_order(uint32_t bytes, bool rx);

/* Pieces of ring memory that hold [seq, seq + len). Returns their number, at most RINGS_IOV. */
int rings_iov(struct app *app, struct rings_at at, uint32_t seq, uint32_t len, struct iovec *iov);

/* Library's positions, forced into what MIN_TCP_T allows. */
uint32_t rings_rx_read(const struct conn *c, const struct min_tcp *min);
uint32_t rings_tx_filled(const struct conn *c, uint32_t snd_una, uint32_t snd_nxt);
/* Something waits for the application, which has not moved since the last call, and of which it was not told by one before. */
bool rings_unheard(const struct conn *c, struct rings_heard *h);
void rings_freeze(const struct conn *c);
void rings_start(const struct conn *c, uint32_t rx_read, uint32_t tx_filled);

#endif
