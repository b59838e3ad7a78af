/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop: all but slab_work.c is in its thread; made by main.c before anything else. */
#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>
#include <systemd/sd-event.h>

extern sd_event *loop;

uint64_t loop_now_us(void);	/* CLOCK_MONOTONIC at the start of this turn */
uint64_t loop_clock_us(void);	/* CLOCK_MONOTONIC now */
uint64_t loop_clock_ns(void);

/* Listen on a Unix socket NAME in the run directory. Returns it or -errno, which is logged. */
int loop_listen(const char *name, int type, unsigned int mode, int backlog);
void loop_unlisten(int listener, const char *name);

/* Accept, non-blocking. Out of descriptors: the client is turned away instead of being reported again
 * and again. */
int loop_accept(int listener);
int loop_init(void);
void loop_exit(void);

#endif
