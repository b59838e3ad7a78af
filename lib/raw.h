/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RAW_H
#define RAW_H

#include <stdbool.h>

void raw_init(void);
bool raw_is_ours(long nr);			/* the number of a call that is ours perhaps */
long toe_syscall(long nr, const long *a);	/* six arguments */
long raw_syscall(long nr, const long *a);	/* libc's */

#endif
