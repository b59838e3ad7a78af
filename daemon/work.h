/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loop does by itself: doorbell, timers, housekeeping, signals. */
#ifndef WORK_H
#define WORK_H

int work_init(void);
void work_exit(void);

#endif
