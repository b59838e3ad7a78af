/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libc's functions behind ours, and the exported calls. */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <unistd.h>
#include "batch.h"
#include "daemon.h"
#include "epset.h"
#include "exec.h"
#include "fork.h"
#include "pollset.h"
#include "raw.h"
#include "real.h"
#include "sonode.h"
#include "user.h"

/* Connections that the program before this one left us, among so many descriptors. */
#define FOUND_FDS	64

#define EXPORT __attribute__((visibility("default")))

/* Before the constructor has run, another library's may call us. */
static void resolve(void);

#define X(type, name, params, args, ours) \
	static type first_##name params { resolve(); return real.name args; }
TOE_CALLS(X)
#undef X

static int first_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	resolve();
	return real.fcntl(fd, cmd, arg);
}

struct real real = {
#define X(type, name, params, args, ours) .name = first_##name,
	TOE_CALLS(X)
#undef X
	.fcntl = (void *)first_fcntl,
};

static void resolve(void)
{
	void *p;

#define X(type, name, params, args, ours) \
	p = dlsym(RTLD_NEXT, #name); \
	if (p) \
		real.name = (type (*) params)p;
	TOE_CALLS(X)
#undef X
#define V(type, name, first) real.name = (type (*)(first, ...))dlsym(RTLD_NEXT, #name);
	TOE_CALLS_VA(V)
#undef V
	if (!real.fcntl64)
		real.fcntl64 = real.fcntl;
}

static __attribute__((constructor)) void toe_start(void)
{
	int fd;

	resolve();
	daemon_init();
	proc_init();
	fork_init();
	batch_init();
	raw_init();
	for (fd = 0; fd < FOUND_FDS; fd++)
		sonode_found(fd);
}

/* A call that is not ours may wait: what was put off leaves before. */
#define X(type, name, params, args, ours) \
	EXPORT type name params \
	{ \
		return (ours) ? toe_##name args : (batch_end(), real.name args); \
	}
TOE_CALLS(X)
#undef X

/* A third argument is passed on whether or not there is one, as libc's own wrapper does. */
EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return sonode_get(fd) || epset_get(fd) ? toe_fcntl(fd, cmd, arg) : (batch_end(), real.fcntl(fd, cmd, arg));
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real.fcntl64)
		resolve();
	return sonode_get(fd) || epset_get(fd) ? toe_fcntl(fd, cmd, arg) : (batch_end(), real.fcntl64(fd, cmd, arg));
}

EXPORT int ioctl(int fd, unsigned long req, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real.ioctl)
		resolve();
	return sonode_get(fd) ? toe_ioctl(fd, req, arg) : (batch_end(), real.ioctl(fd, req, arg));
}

EXPORT int dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vdprintf(fd, fmt, ap);
	va_end(ap);
	return rc;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...);
EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = __vdprintf_chk(fd, flag, fmt, ap);
	va_end(ap);
	return rc;
}

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;
	int rc;

	va_start(ap, arg);
	rc = exec_list(EXEC_L, path, arg, &ap);
	va_end(ap);
	return rc;
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;
	int rc;

	va_start(ap, arg);
	rc = exec_list(EXEC_LP, file, arg, &ap);
	va_end(ap);
	return rc;
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list ap;
	int rc;

	va_start(ap, arg);
	rc = exec_list(EXEC_LE, path, arg, &ap);
	va_end(ap);
	return rc;
}

EXPORT long syscall(long nr, ...)
{
	va_list ap;
	long a[6];
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return raw_is_ours(nr) ? toe_syscall(nr, a) : (batch_end(), raw_syscall(nr, a));
}
