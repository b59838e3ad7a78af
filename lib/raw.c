/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls made by libc's syscall(): those on sockets go the way of the call of the same name. And
 * io_uring, whose requests are not seen: a program that sets one up keeps its connections on the kernel path, unless TOE_URING says that
 * it is for files.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "epset.h"
#include "exec.h"
#include "pollset.h"
#include "raw.h"
#include "real.h"
#include "sonode.h"
#include "user.h"
#include "wait.h"

static long (*libc_syscall)(long nr, ...);

/* By itself and early: allocators make system calls while they start. */
long raw_syscall(long nr, const long *a)
{
	if (!libc_syscall)
		libc_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return libc_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define PTR(i)		((void *)a[i])
#define NSIG_BYTES	8	/* of the kernel's signal set */

struct raw_mask {		/* pselect6's sixth argument */
	const sigset_t *mask;
	size_t size;
};

static bool data_call(long nr, const long *a, long *rc)
{
	switch (nr) {
	case SYS_read:
		*rc = read(a[0], PTR(1), a[2]);
		return true;
	case SYS_write:
		*rc = write(a[0], PTR(1), a[2]);
		return true;
	case SYS_readv:
		*rc = readv(a[0], PTR(1), a[2]);
		return true;
	case SYS_writev:
		*rc = writev(a[0], PTR(1), a[2]);
		return true;
	case SYS_preadv2:
		*rc = preadv2(a[0], PTR(1), a[2], a[3], a[5]);
		return true;
	case SYS_pwritev2:
		*rc = pwritev2(a[0], PTR(1), a[2], a[3], a[5]);
		return true;
	case SYS_recvfrom:
		*rc = recvfrom(a[0], PTR(1), a[2], a[3], PTR(4), PTR(5));
		return true;
	case SYS_sendto:
		*rc = sendto(a[0], PTR(1), a[2], a[3], PTR(4), a[5]);
		return true;
	case SYS_recvmsg:
		*rc = recvmsg(a[0], PTR(1), a[2]);
		return true;
	case SYS_sendmsg:
		*rc = sendmsg(a[0], PTR(1), a[2]);
		return true;
	case SYS_sendfile:
		*rc = sendfile(a[0], a[1], PTR(2), a[3]);
		return true;
	case SYS_recvmmsg:
		*rc = recvmmsg(a[0], PTR(1), a[2], a[3], PTR(4));
		return true;
	case SYS_sendmmsg:
		*rc = sendmmsg(a[0], PTR(1), a[2], a[3]);
		return true;
	case SYS_vmsplice:
		*rc = vmsplice(a[0], PTR(1), a[2], a[3]);
		return true;
	case SYS_splice:
		*rc = splice(a[0], PTR(1), a[2], PTR(3), a[4], a[5]);
		return true;
	}
	return false;
}

static bool fd_call(long nr, const long *a, long *rc)
{
	switch (nr) {
	case SYS_accept4:
		*rc = accept4(a[0], PTR(1), PTR(2), a[3]);
		return true;
	case SYS_connect:
		*rc = connect(a[0], PTR(1), a[2]);
		return true;
	case SYS_shutdown:
		*rc = shutdown(a[0], a[1]);
		return true;
	case SYS_close:
		*rc = close(a[0]);
		return true;
	case SYS_close_range:
		*rc = close_range(a[0], a[1], a[2]);
		return true;
	case SYS_dup:
		*rc = dup(a[0]);
		return true;
	case SYS_dup3:
		*rc = dup3(a[0], a[1], a[2]);
		return true;
	case SYS_fcntl:
		*rc = fcntl(a[0], a[1], a[2]);
		return true;
	case SYS_ioctl:
		*rc = ioctl(a[0], a[1], a[2]);
		return true;
	case SYS_getpeername:
		*rc = getpeername(a[0], PTR(1), PTR(2));
		return true;
	case SYS_getsockname:
		*rc = getsockname(a[0], PTR(1), PTR(2));
		return true;
	case SYS_getsockopt:
		*rc = getsockopt(a[0], a[1], a[2], PTR(3), PTR(4));
		return true;
	case SYS_setsockopt:
		*rc = setsockopt(a[0], a[1], a[2], PTR(3), a[4]);
		return true;
	case SYS_epoll_ctl:
		*rc = epoll_ctl(a[0], a[1], a[2], PTR(3));
		return true;
	case SYS_epoll_create1:
		*rc = epoll_create1(a[0]);
		return true;
	}
	return false;
}

/* As the system calls, which count the time down in place. */
static void time_left(struct timespec *ts, int64_t since)
{
	int64_t left;

	if (!ts || !wait_timespec(ts, &left) || left < 0)
		return;
	left -= wait_now() - since;
	left = left < 0 ? 0 : left;
	ts->tv_sec = left / 1000000000;
	ts->tv_nsec = left % 1000000000;
}

static bool is_sigset(const sigset_t *mask, long size)
{
	return !mask || size == NSIG_BYTES;
}

static long raw_ppoll(const long *a)
{
	int64_t since = wait_now();
	long rc = toe_ppoll(PTR(0), a[1], PTR(2), PTR(3));
	int err = errno;

	time_left(PTR(2), since);
	errno = err;
	return rc;
}

static long raw_pselect(const long *a, const struct raw_mask *m)
{
	int64_t since = wait_now();
	long rc = toe_pselect(a[0], PTR(1), PTR(2), PTR(3), PTR(4), m ? m->mask : NULL);
	int err = errno;

	time_left(PTR(4), since);
	errno = err;
	return rc;
}

/* What concerns nothing of ours goes as it came. */
static bool wait_call(long nr, const long *a, long *rc)
{
	const struct raw_mask *m = PTR(5);

	switch (nr) {
	case SYS_ppoll:
		if (!poll_ours(PTR(0), a[1]) || !is_sigset(PTR(3), a[4]))
			return false;
		*rc = raw_ppoll(a);
		return true;
	case SYS_pselect6:
		if (!select_ours(a[0], PTR(1), PTR(2), PTR(3)) ||
		    (m && (no_memory(m, sizeof(*m)) || !is_sigset(m->mask, m->size))))
			return false;
		*rc = raw_pselect(a, m);
		return true;
	case SYS_epoll_pwait:
		if (!epset_get(a[0]) || !is_sigset(PTR(4), a[5]))
			return false;
		*rc = toe_epoll_pwait(a[0], PTR(1), a[2], a[3], PTR(4));
		return true;
#ifdef SYS_epoll_pwait2
	case SYS_epoll_pwait2:
		if (!epset_get(a[0]) || !is_sigset(PTR(4), a[5]))
			return false;
		*rc = toe_epoll_pwait2(a[0], PTR(1), a[2], PTR(3), PTR(4));
		return true;
#endif
	}
	return false;
}

#ifdef SYS_open		/* architectures that have the older calls as well */
static bool old_call(long nr, const long *a, long *rc)
{
	switch (nr) {
	case SYS_accept:
		*rc = accept(a[0], PTR(1), PTR(2));
		return true;
	case SYS_epoll_create:
		*rc = epoll_create(a[0]);
		return true;
	case SYS_dup2:
		*rc = dup2(a[0], a[1]);
		return true;
	case SYS_poll:
		*rc = poll(PTR(0), a[1], a[2]);
		return true;
	case SYS_select:
		*rc = select(a[0], PTR(1), PTR(2), PTR(3), PTR(4));
		return true;
	case SYS_epoll_wait:
		*rc = epoll_wait(a[0], PTR(1), a[2], a[3]);
		return true;
	}
	return false;
}
#else
#define old_call(nr, a, rc) false
#endif

static bool uring_for_files;

void raw_init(void)
{
	const char *env = secure_getenv("TOE_URING");

	uring_for_files = env && !strcmp(env, "files");
}

static void uring_seen(void)
{
	if (!uring_for_files)
		sonode_all_stay();
}

long toe_syscall(long nr, const long *a)
{
	long rc;

	if (data_call(nr, a, &rc) || fd_call(nr, a, &rc) || wait_call(nr, a, &rc) || old_call(nr, a, &rc))
		return rc;
	if (nr == SYS_io_uring_setup)
		uring_seen();
	if (nr != SYS_execve && nr != SYS_execveat)
		return raw_syscall(nr, a);
	exec_begin();
	rc = raw_syscall(nr, a);
	exec_failed();
	return rc;
}

bool raw_is_ours(long nr)
{
	return ld(&toe_proc->live) && nr != SYS_futex;
}

/* liburing makes its system calls itself. It may be loaded where RTLD_NEXT does not look. */
static void *uring(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name), *lib;

	if (!fn) {
		lib = dlopen("liburing.so.2", RTLD_LAZY | RTLD_NOLOAD);
		fn = lib ? dlsym(lib, name) : NULL;
	}
	uring_seen();
	return fn;
}

int toe_io_uring_queue_init(unsigned int n, void *ring, unsigned int flags)
{
	int (*fn)(unsigned int, void *, unsigned int) = uring("io_uring_queue_init");

	return fn ? fn(n, ring, flags) : -ENOSYS;
}

int toe_io_uring_queue_init_params(unsigned int n, void *ring, void *params)
{
	int (*fn)(unsigned int, void *, void *) = uring("io_uring_queue_init_params");

	return fn ? fn(n, ring, params) : -ENOSYS;
}

int toe_io_uring_setup(unsigned int n, void *params)
{
	int (*fn)(unsigned int, void *) = uring("io_uring_setup");

	return fn ? fn(n, params) : -ENOSYS;
}
