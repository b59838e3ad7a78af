/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the tx ring to the TX engine: which segments may leave now. */
#ifndef TX_H
#define TX_H

#include "ring.h"
#include "sonode.h"

/* False: this thread holds it already (a signal handler interrupted a write). */
bool tx_lock(struct sonode *sn);
bool tx_trylock(struct sonode *sn);	/* false also if any other does */
void tx_unlock(struct sonode *sn);

/* Write lock held. more: the caller has more to send (MSG_MORE). force: send a short
 * segment whatever Nagle's algorithm says. */
void tx_push(struct sonode *sn, const struct ring *r, bool more, bool force);

/* Write lock held, behind a write to the queue pair: what was to leave has left (bpf/ring.bpf.h). An acknowledgement that was
 * put off, so as not to overtake it or for a doorbell, is sent. */
void tx_left(struct sonode *sn, const struct ring *r);

/* Write lock held. Length of the segment that begins at *seq, if all that has not left may leave in one now; else 0. tx_take():
 * it leaves now, if it is not longer than that. */
uint32_t tx_single(const struct sonode *sn, const struct ring *r, uint32_t *seq);
uint32_t tx_take(struct sonode *sn, const struct ring *r, uint32_t most, uint32_t *seq);

/* Write lock held. ring_put(), counted in users, so that the chunks go to no other connection meanwhile. -ESTALE, too, if the
 * path has changed. */
static inline ssize_t tx_put(struct sonode *sn, const struct ring *r, const struct iovec *iov, int niov, size_t skip, size_t len)
{
	struct toe_sonode *sh = ld_acq(&sn->sh);
	ssize_t n;

	if (!users_enter(sh, r->word))
		return -ESTALE;
	n = ring_put(r, iov, niov, skip, len);
	users_leave(sh, r->word);
	return n;
}

/* Gives the write lock back, behind a write to the queue pair of one segment that began at seq. False: the engine did not take
 * it. It has left as always then, if it could. */
bool tx_settle(struct sonode *sn, const struct ring *r, uint32_t seq);

void tx_kick(struct sonode *sn);		/* a wake-up: push what the window allows now */
void tx_flush(struct sonode *sn);		/* uncorked, or TCP_NODELAY set */
void tx_ack(struct sonode *sn, const struct ring *r);	/* acknowledge, advertise the window */

/* TCP_QUICKACK: an acknowledgement that was put off goes now. */
void tx_quickack(struct sonode *sn);

#endif
