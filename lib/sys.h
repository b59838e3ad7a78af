/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system call past libc: no cancellation point, errno stays as it is, and not our own syscall(). Returns -errno.
 */
#ifndef SYS_H
#define SYS_H

#include <errno.h>
#include "raw.h"

static inline long sys3(long nr, long a, const void *b, long c)
{
#if defined(__x86_64__)
	long rc;

	__asm__ volatile("syscall" : "=a"(rc) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return rc;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = (long)b, x2 __asm__("x2") = c;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
	const long args[6] = { a, (long)b, c };
	int err = errno;
	long rc = raw_syscall(nr, args);

	rc = rc < 0 ? -errno : rc;
	errno = err;
	return rc;
#endif
}

#endif
