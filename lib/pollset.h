/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POLLSET_H
#define POLLSET_H

#include <poll.h>
#include <sys/select.h>

int poll_ours(struct pollfd *fds, nfds_t n);
int select_ours(int n, const fd_set *r, const fd_set *w, const fd_set *e);

#endif
