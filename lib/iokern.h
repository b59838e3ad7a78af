/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call on the kernel's file, of the kind that the application made, for what is left of it. Results and errno are libc's. */
#ifndef IOKERN_H
#define IOKERN_H

#include "io.h"

ssize_t iokern_recv(int fd, const struct io *io);
/* Of a tracked socket: never sleeps, raises no signal. */
ssize_t iokern_send(int fd, const struct io *io);
/* Of one that is not tracked any more. */
ssize_t iokern_plain_send(int fd, const struct io *io);

#endif
