/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One registration of a descriptor in an epoll instance. All of it under epset.c's lock. */
#ifndef MEMBER_H
#define MEMBER_H

#include "epset.h"

struct member *member_find(const struct sonode *sn, const struct epset *set);
struct member *member_new(struct epset *set, struct sonode *sn);	/* NULL: no memory */
void member_free(struct member *m);

void member_ready_add(struct member *m);
void member_ready_del(struct member *m);

/* What the kernel has as the data of a one-shot registration of this descriptor, and the reverse: -1, not ours. */
void *member_mark(int fd);
int member_marked(const void *data);
epoll_data_t member_data(const struct member *m);	/* what the kernel has as this one's */
/* Change the kernel's registration to these events. 0 or -errno; errno is kept. */
int member_ask(struct member *m, uint32_t events);

/* Bring the kernel's registration in line with the path. False: the kernel knows none, m is gone. */
bool member_sync(struct member *m);
/* The same just after the kernel has seen it: nothing to repair unless the path is another. */
void member_start(struct member *m);

#endif
