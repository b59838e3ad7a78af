/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Points at which tests make toed die, as of kill -9. TOED_FAULT=offload:7 in its environment: at step 7 of the first
 * offload; offload:7:3: of the third; offload:7:3:stop: is stopped there, as of kill -STOP. The steps are those of doc/architecture.md section 6 (those that change nothing have no point); upload:11 is behind
 * them, when daemon/expire.c has given the socket short times. rebuild:4:2: instead of
 * that, the first two times that step 4 of an upload is reached it fails (4, 5 or 8), with what a full buffer gives;
 * 1: the entry is locked; 2: it is gone; 3: there is no descriptor for a socket in the place of one that is gone; 6: larger
 * rings do not get into the entry; 7: there is no descriptor for an application's socket. Several, with commas between them, at once.
 */
#ifndef FAULT_H
#define FAULT_H

enum fault_move { FAULT_OFFLOAD, FAULT_UPLOAD, FAULT_GROW, FAULT_REBUILD, FAULT_NR };

void fault_init(void);

extern int fault_armed;		/* how many; 0: none */
void fault_reached(enum fault_move move, int step);
int fault_failed(int step);

static inline void fault_point(enum fault_move move, int step)
{
	if (fault_armed)
		fault_reached(move, step);
}

/* 0, or the error that step is to end with. */
static inline int fault_error(int step)
{
	return fault_armed ? fault_failed(step) : 0;
}

#endif
