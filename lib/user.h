/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of the caller's that the kernel would not touch either: the first page, and what is no process's. Such
 * calls get EFAULT here, too. Other memory that is not mapped is not recognised: looking costs more than the call.
 */
#ifndef USER_H
#define USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define FIRST_PAGE	4096

static inline bool no_memory(const void *p, size_t len)
{
	uintptr_t a = (uintptr_t)p, end = a + len;

	if (!len)
		return false;
#ifdef __x86_64__	/* as access_ok(); elsewhere the upper bits may be a tag */
	if ((intptr_t)end < 0)
		return true;
#endif
	return a < FIRST_PAGE || end < a;
}

static inline bool has_control(const struct msghdr *m)
{
	return !no_memory(m, sizeof(*m)) && m->msg_controllen;
}

#endif
