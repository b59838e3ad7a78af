/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors of the library: high numbers, close-on-exec, out of the application's way. */
#ifndef INTFD_H
#define INTFD_H

#include <stdbool.h>

/* Move fd (consumed) to a high number, remember where it is kept; *where = it. 0 or -errno. */
int intfd_adopt(int *where, int fd);
/* One more descriptor of what fd is, in the same way, for the length of a call. */
int intfd_hold(int *where, int fd);
void intfd_close(int *where);
bool intfd_is(int fd);
/* The kernel has just given this number to the application: nothing of ours is there any more. */
void intfd_given(int fd);
/* The application wants this number for itself: take ours elsewhere. 0 or -errno. */
int intfd_evade(int fd);
/* The first of ours in [lo, hi], -1: none. */
int intfd_next(unsigned int lo, unsigned int hi);
void intfd_forked(void);

#endif
