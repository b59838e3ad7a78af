/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two moves. See doc/architecture.md section 6 for the steps. */
#ifndef MIG_H
#define MIG_H

#include "conn.h"

/* c has app, fd, sock, flow, cookie. 0: on the hardware path. -errno and *why: it is on the kernel
 * path as before. */
int mig_offload(struct conn *c, enum toe_why *why);

/* 0: on the kernel path. -errno: what could be saved is; the socket carries the error. */
int mig_upload(struct conn *c, enum toe_why why);

/* New next hop after a neighbour or route change. */
int mig_relink(struct conn *c);

#endif
