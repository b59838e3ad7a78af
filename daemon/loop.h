/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop of the one thread; made by main.c before anything else. */
#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>
#include <systemd/sd-event.h>

extern sd_event *loop;

uint64_t loop_now_us(void);	/* CLOCK_MONOTONIC at the start of this turn */
uint64_t loop_clock_us(void);	/* CLOCK_MONOTONIC now */

/* Accept, non-blocking. Out of descriptors: the client is turned away instead of being reported again
 * and again. */
int loop_accept(int listener);
int loop_init(void);
void loop_exit(void);

#endif
