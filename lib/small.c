/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "batch.h"
#include "small.h"
#include "tx.h"

/* True: the write lock stays taken. */
static bool small_frame(struct sonode *sn, struct small *s)
{
	struct qp *qp = qp_bind(sn, &s->r);
	struct toe_desc desc = { .op = TOE_OP_DATA, .flags = TOE_DESC_PSH, .nr = 1 };

	if (qp)
		desc.len = tx_take(sn, &s->r, QP_SMALL, &desc.seq);
	if (!desc.len)
		return false;
	s->seq = desc.seq;
	s->fd = ld(&qp->fd);
	s->frame_len = qp_frame(s->frame, &s->r, &desc);
	return true;
}

size_t small_put(struct sonode *sn, uint32_t word, const void *buf, size_t len, struct small *s)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };
	ssize_t n;

	s->frame_len = 0;
	if (len - 1 >= QP_SMALL || sonode_ring(sn, word, &s->r) || ld(&s->r.ctl->want_write) || !tx_lock(sn))
		return 0;
	n = tx_put(sn, &s->r, &iov, 1, 0, len);
	if (n > 0 && !batch_put(sn, &s->r)) {
		if (small_frame(sn, s))
			return (size_t)n;
		tx_push(sn, &s->r, false, false);
	}
	tx_unlock(sn);
	return n > 0 ? (size_t)n : 0;
}
