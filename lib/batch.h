/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Several connections' segments in one write. A thread that was told of several sockets at once, and answers them one after
 * the other, puts off what it sends until the last of them, until TOE_MAX_BATCH are together, or until it waits or calls for
 * anything else: then all leave at once, which costs the kernel far less than one by one.
 */
#ifndef BATCH_H
#define BATCH_H

#include "ring.h"
#include "sonode.h"
#include "toe/desc.h"

struct batch {
	unsigned int nr;		/* put off */
	unsigned int expected;		/* sockets that may still be answered */
	unsigned int solo;		/* events in which nothing is put off */
	unsigned int busy;		/* a signal handler has interrupted this code: it leaves all alone */
	uint64_t last;			/* when something was put off */
	struct sonode *sn[TOE_MAX_BATCH];
	unsigned int nr_owed;
	struct sonode *owed[TOE_MAX_BATCH];	/* were read with TOE_ACK_SEVERAL */
};
extern __thread struct batch batch __attribute__((tls_model("initial-exec")));

/* The thread is told of so many sockets. */
void batch_begin(int nr);
/* Write lock held, everything is in the ring. True: it leaves with others', at batch_check() perhaps. */
bool batch_put(struct sonode *sn, const struct ring *r);
void batch_send(void);
void batch_send_acks(void);
void batch_init(void);
void batch_forked(void);

/* No write lock held, behind batch_put(). */
static inline void batch_check(void)
{
	if (batch.nr && (batch.nr == TOE_MAX_BATCH || !batch.expected || batch.solo))
		batch_send();
}

/* The thread is about to do something else. */
static inline void batch_end(void)
{
	if (batch.nr)
		batch_send();
}

/* What was read is to be acknowledged: with the answer, or when the thread waits. Where there are too many, by the daemon. */
static inline void batch_owe(struct sonode *sn)
{
	if (batch.nr_owed < TOE_MAX_BATCH && !(batch.nr_owed && batch.owed[batch.nr_owed - 1] == sn))
		batch.owed[batch.nr_owed++] = sn;
}

static inline void batch_wait(void)
{
	batch_end();
	if (batch.nr_owed)
		batch_send_acks();
}

#endif
