/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libc's own functions, behind ours. The library calls nothing else of theirs on descriptors. */
#ifndef REAL_H
#define REAL_H

#include "calls.h"

struct real {
#define X(type, name, params, args, ours) type (*name) params;
	TOE_CALLS(X)
#undef X
#define V(type, name, first) type (*name)(first, ...);
	TOE_CALLS_VA(V)
#undef V
};
extern struct real real;

#define X(type, name, params, args, ours) type toe_##name params;
TOE_CALLS(X)
#undef X

int toe_fcntl(int fd, int cmd, void *arg);
int toe_ioctl(int fd, unsigned long req, void *arg);

#endif
