/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queue pairs of this process: a small pool, one a thread while there are any, shared beyond. */
#ifndef QP_H
#define QP_H

#include "ring.h"
#include "sonode.h"
#include "toe/desc.h"

#define QP_MAX		8

struct qp {
	int fd;			/* TAP: written, never read */
	unsigned int idx;	/* in the pool */
	unsigned int id;	/* toed's number */
	unsigned int threads;
	struct toe_qp_wake *wake;
};

struct qp *qp_mine(void);		/* this thread's; NULL: none to be had */
struct qp *qp_at(unsigned int idx);
/* The queue pair to write to, bound now if it was not. It stays the same until the path changes. NULL: none to be had. */
struct qp *qp_bind(struct sonode *sn, const struct ring *r);
/* The same for who will wait for its doorbell: the engine has it, or the path has changed. NULL: none that rings. */
struct qp *qp_bind_sure(struct sonode *sn, const struct ring *r);

#define QP_SMALL	1024	/* payload that costs less to copy than a vector does */
#define QP_FRAME	(TOE_HDR_MAX + QP_SMALL)

/* The frame of desc, up to QP_SMALL of payload; its length. */
size_t qp_frame(uint8_t *frame, const struct ring *r, const struct toe_desc *desc);

/* One frame: desc (op, flags, seq, len set by the caller), payload from the tx ring. */
void qp_write(struct qp *qp, const struct ring *r, const struct toe_desc *desc);
/* The same for TRAIN (nr, last, too): the engine takes the payload from the tx ring itself. */
void qp_train(struct qp *qp, const struct ring *r, const struct toe_desc *desc);

/* Take the wake bits of these (bit per pool index): push what is unsent, tell the epoll sets. self: the caller's
 * own set. */
void qp_service(uint32_t qps, struct epset *self);
void qp_thread_gone(void);
void qp_forked(void);

#endif
