/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames that the daemon makes itself. */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>
#include "toe/hw_conn.h"

#define FRAME_LINK_MAX	(14 + 8)
#define FRAME_HDR_MAX	(FRAME_LINK_MAX + 40 + 36)
#define FRAME_DATA_MAX	3200	/* bytes of payload: a live-frames test run takes a page */

/*
 * A segment as the peer of e would send it: payload (may be NULL, len 0) at seq, acknowledging snd_una.
 * Replayed into a rebuilt socket a pure acknowledgement reloads ts_recent, which repair mode cannot set,
 * and data beyond rcv_nxt goes to the out-of-order queue, which it cannot fill. tsecr: TSecr, which gives the round-trip
 * time if something is acknowledged for the first time; 0: none. Four NOPs make its header
 * longer than any the socket predicts (RFC 1144 style, tp->pred_flags). frame has room for
 * FRAME_HDR_MAX + len. Returns the frame's length.
 */
size_t frame_from_peer(const struct hw_conn *e, uint32_t tsecr, uint32_t seq, const void *payload, size_t len,
		       uint8_t *frame);

/* The Ethernet header and tags that e's peer would put before packet, which has FRAME_LINK_MAX bytes of room before it.
 * Returns where the frame begins. */
uint8_t *frame_link(const struct hw_conn *e, uint8_t *packet);

/* A frame from a stack on this host carries the pseudo header's sum only; its checksum is completed, so
 * that the frame may be replayed without the metadata it came with. Others are left alone. */
void frame_complete(uint8_t *frame, size_t len);

/* RFC 1071 sum over data as it lies in memory, added to sum, not folded. Pieces of odd length only last. */
uint32_t frame_sum(uint32_t sum, const void *data, size_t len);
uint16_t frame_fold(uint32_t sum);

#endif
