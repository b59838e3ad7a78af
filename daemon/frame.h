/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames that the daemon makes itself. */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>
#include "toe/hw_conn.h"

#define FRAME_ACK_MAX	(14 + 40 + 32)

/* A pure acknowledgement as the peer of e would send it. Replayed into a rebuilt socket it reloads
 * ts_recent, which repair mode cannot set, and tells nothing new otherwise. Returns its length. */
size_t frame_peer_ack(const struct hw_conn *e, uint8_t frame[FRAME_ACK_MAX]);

/* A frame from a stack on this host carries the pseudo header's sum only; its checksum is completed, so
 * that the frame may be replayed without the metadata it came with. Others are left alone. */
void frame_complete(uint8_t *frame, size_t len);

/* RFC 1071 sum over data as it lies in memory, added to sum, not folded. Pieces of odd length only last. */
uint32_t frame_sum(uint32_t sum, const void *data, size_t len);
uint16_t frame_fold(uint32_t sum);

#endif
