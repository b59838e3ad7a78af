/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hold ring: frames that arrived during a move, sorted by connection. */
#ifndef HOLD_H
#define HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include "conn.h"

struct held {
	struct held *next;
	uint32_t len;
	uint16_t nic;
	uint8_t frame[];
};

int hold_init(void);
void hold_exit(void);
/* Take what is in the ring; frames of unknown connections are discarded. */
void hold_drain(void);
/* Oldest frame of a connection, to be freed by the caller; NULL: none. */
struct held *hold_pop(struct conn *c);
void hold_push_front(struct conn *c, struct held *h);
void hold_discard(struct conn *c);

#endif
