/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small message, so that the system call stands where the application called: behind one the processor guesses each
 * return wrong (sys.h).
 */
#ifndef SMALL_H
#define SMALL_H

#include "qp.h"
#include "ring.h"
#include "sonode.h"

struct small {
	struct ring r;
	uint32_t seq;
	int fd;
	size_t frame_len;
	_Alignas(struct toe_desc) uint8_t frame[QP_FRAME];
};

/*
 * Bytes taken into the tx ring; what is missing must go the long way. If frame_len is not 0, the frame is to be written to fd
 * now, and then tx_settle() called, which gives the write lock back; else all that can leave has left, or does at
 * batch_check().
 */
size_t small_put(struct sonode *sn, uint32_t word, const void *buf, size_t len, struct small *s);

#endif
