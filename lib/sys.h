/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system call past libc: no cancellation point, errno stays as it is, and not our own syscall(). Returns -errno.
 */
#ifndef SYS_H
#define SYS_H

#include <errno.h>
#include <stdbool.h>
#include <sys/single_threaded.h>
#include "raw.h"

/*
 * May what libc makes a cancellation point go past it? With one thread there is nobody who cancels, and libc does not look
 * either. Behind a system call the processor has forgotten where functions return to: each one less on the way back counts.
 */
static inline bool sys_alone(void)
{
	return __libc_single_threaded;
}

static inline long sys_result(long rc)
{
	if (__builtin_expect(rc >= 0, 1))
		return rc;
	errno = (int)-rc;
	return -1;
}

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long rc;

	__asm__ volatile("syscall" : "=a"(rc) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return rc;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#else
	const long args[6] = { a, b, c, d, e, f };
	int err = errno;
	long rc = raw_syscall(nr, args);

	rc = rc < 0 ? -errno : rc;
	errno = err;
	return rc;
#endif
}

static inline long sys3(long nr, long a, const void *b, long c)
{
	return sys6(nr, a, (long)b, c, 0, 0, 0);
}

#endif
