/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second thread: what changes map slabs waits for an RCU grace period, 10 ms and more in which the first serves nobody. It touches
 * nothing but the slabs that are handed to it, and those are nobody else's until they come back.
 */
#ifndef SLAB_WORK_H
#define SLAB_WORK_H

#include <stdbool.h>
#include "slab.h"

int slab_work_init(void);
void slab_work_exit(void);

/* Make the map and its mapping and enter it under slab->index; slab->err says how that went. */
void slab_work_make(struct slab *slab);
/* Take it out of map slabs again, and give its memory back; slab->gone says so. */
void slab_work_delete(struct slab *slab);
/* A slab that is done; NULL: none. wait: until there is one, if any was handed over. */
struct slab *slab_work_done(bool wait);

#endif
