/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving the daemon's only thread between network namespaces. Enter and leave do not nest. */
#ifndef NETNS_H
#define NETNS_H

#include <stdint.h>

int netns_init(void);			/* remember the namespace toed was started in */
int netns_home(void);			/* its descriptor */
int netns_enter(int fd);
void netns_leave(void);

/* What sockops programs see of a namespace. */
int netns_cookie(int fd, uint64_t *cookie);

/* Open the namespace bind-mounted at path, or make a new one and mount it there, so that
 * it outlives this process. Descriptor or -errno; *made tells which. */
int netns_open_kept(const char *path, int *made);
/* Mount the namespace fd at path. */
int netns_keep(int fd, const char *path);
void netns_unkeep(const char *path);

#endif
