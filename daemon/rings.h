/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection's rings as the daemon sees them. What the application can write is checked here. */
#ifndef RINGS_H
#define RINGS_H

#include <stdint.h>
#include <sys/uio.h>
#include "conn.h"
#include "toe/ring.h"

#define RINGS_IOV	((1 << TOE_MAX_ORDER) + 1)

static inline uint32_t rings_size(struct toe_ring_ref ref)
{
	return TOE_CHUNK_DATA << ref.order;
}

/* Pieces of ring memory that hold [seq, seq + len). Returns their number, at most RINGS_IOV. */
int rings_iov(struct app *app, struct toe_ring_ref ref, uint32_t seq, uint32_t len, struct iovec *iov);

/* Library's positions, forced into what MIN_TCP_T allows. */
uint32_t rings_rx_read(const struct conn *c, const struct min_tcp *min);
uint32_t rings_tx_filled(const struct conn *c, uint32_t snd_una, uint32_t snd_nxt);
void rings_freeze(const struct conn *c);
void rings_start(const struct conn *c, uint32_t rx_read, uint32_t tx_filled);

#endif
