/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls that make, duplicate and close descriptors. */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <unistd.h>
#include "batch.h"
#include "epset.h"
#include "intfd.h"
#include "io.h"
#include "real.h"
#include "sonode.h"

int toe_accept(int fd, struct sockaddr *a, socklen_t *n)
{
	int new;

	batch_end();
	new = real.accept(fd, a, n);
	if (new >= 0)
		sonode_track(new);
	return new;
}

int toe_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	int new;

	batch_end();
	new = real.accept4(fd, a, n, flags);
	if (new >= 0)
		sonode_track(new);
	return new;
}

int toe_connect(int fd, const struct sockaddr *a, socklen_t n)
{
	struct sonode *sn = sonode_get(fd);
	int rc;

	batch_end();
	if (sn)
		sonode_untrack(sn, TOE_WHY_CALL);
	rc = real.connect(fd, a, n);
	if ((!rc || errno == EINPROGRESS || errno == EISCONN || errno == EALREADY) &&
	    a && (a->sa_family == AF_INET || a->sa_family == AF_INET6))
		sonode_track(fd);
	return rc;
}

/* The number is about to mean something else. */
static void let_go(int fd)
{
	struct sonode *sn = slot_get(fd);
	bool tracked;

	if (!sn)
		return;
	tracked = sonode_get(fd) && sn->inherit != SN_INHERITED;
	if (tracked) {
		sonode_untrack(sn, TOE_WHY_CLOSE);
		sonode_wait_asleep(sn);
	} else if (ld(&sn->inherit) == SN_INHERITED) {
		st(&sn->local.word, TOE_PATH_NONE);
		st(&sn->tracked, 0);
	}
	epset_closed(sn, tracked);
}

int toe_close(int fd)
{
	if (sonode_other_table())
		return real.close(fd);
	if (intfd_is(fd)) {
		errno = EBADF;	/* the application never opened it */
		return -1;
	}
	batch_end();	/* sooner than an upload would take it along; and it may linger */
	let_go(fd);
	return real.close(fd);
}

/* [lo, hi] without ours. */
static int close_span(unsigned int lo, unsigned int hi, int flags)
{
	int ours, rc = 0;

	while (!rc && lo <= hi && (ours = intfd_next(lo, hi)) >= 0) {
		if ((unsigned int)ours > lo)
			rc = real.close_range(lo, ours - 1, flags);
		lo = ours + 1;
	}
	return rc || lo > hi ? rc : real.close_range(lo, hi, flags);
}

int toe_close_range(unsigned int lo, unsigned int hi, int flags)
{
	unsigned int fd, b;

	if (sonode_other_table() || lo > hi || flags & ~CLOSE_RANGE_UNSHARE)
		return real.close_range(lo, hi, flags);
	for (b = lo >> SLOT_SHIFT; b < TOE_SONODES / SLOT_BLOCK && b <= hi >> SLOT_SHIFT; b++) {
		if (!ld_acq(&slot_blocks[b]))
			continue;
		for (fd = b << SLOT_SHIFT; fd >> SLOT_SHIFT == b; fd++)
			if (fd >= lo && fd <= hi && !intfd_is(fd) && slot_busy(fd))
				let_go(fd);
	}
	return close_span(lo, hi, flags);
}

void toe_closefrom(int lo)
{
	if (sonode_other_table())
		real.closefrom(lo);
	else
		toe_close_range(lo < 0 ? 0 : lo, ~0U, 0);
}

/* A second descriptor for the connection: the kernel serves both. In a child of vfork() the first may
 * be the other end of a pipe by now: then nothing is lost but a chance. */
static void share(int fd)
{
	struct sonode *sn = sonode_get(fd);

	if (sn)
		sonode_stay(sn, STAY_SHARED);
}

/* stdio reads and writes, and closes, by calls inside libc that nobody can interpose. */
static void give_up(int fd)
{
	struct sonode *sn = sonode_get(fd);

	if (sn && !sonode_other_table())
		sonode_untrack(sn, TOE_WHY_CALL);
}

/* fd is what is shared(): returns copy, a new descriptor of it or -1. */
static int shared(int fd, int copy)
{
	if (copy >= 0 && !sonode_other_table())
		epset_alias(fd, copy);
	return copy;
}

int toe_dup(int fd)
{
	share(fd);
	return shared(fd, real.dup(fd));
}

static int clear(int from, int to)
{
	if (from == to)
		return 0;
	share(from);
	if (sonode_other_table())
		return 0;
	if (intfd_is(to))
		return intfd_evade(to);
	let_go(to);
	return 0;
}

int toe_dup2(int from, int to)
{
	if (real.fcntl(from, F_GETFD) >= 0 && clear(from, to) < 0) {
		errno = EBUSY;
		return -1;
	}
	return shared(from, real.dup2(from, to));
}

int toe_dup3(int from, int to, int flags)
{
	if (real.fcntl(from, F_GETFD) >= 0 && clear(from, to) < 0) {
		errno = EBUSY;
		return -1;
	}
	return shared(from, real.dup3(from, to, flags));
}

int toe_fcntl(int fd, int cmd, void *arg)
{
	bool copies = cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC;
	struct sonode *sn = sonode_get(fd);
	int rc;

	if (copies)
		share(fd);
	if (sn && cmd == F_SETFL && (intptr_t)arg & O_ASYNC)	/* the kernel sends the signals, of its own socket */
		rc = ON_KERNEL(int, sn, TOE_WHY_SOCKOPT, real.fcntl(fd, cmd, arg));
	else
		rc = real.fcntl(fd, cmd, arg);
	if (sn && cmd == F_SETFL)
		sonode_opts_stale(sn);
	return copies ? shared(fd, rc) : rc;
}

FILE *toe_fdopen(int fd, const char *mode)
{
	give_up(fd);
	return real.fdopen(fd, mode);
}

int toe_vdprintf(int fd, const char *fmt, va_list ap)
{
	give_up(fd);
	return real.vdprintf(fd, fmt, ap);
}

int toe___vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	give_up(fd);
	return real.__vdprintf_chk(fd, flag, fmt, ap);
}

/* The kernel moves these bytes itself. */
ssize_t toe_sendfile(int out, int in, off_t *off, size_t n)
{
	return ON_KERNEL(ssize_t, sonode_get(out), TOE_WHY_CALL, real.sendfile(out, in, off, n));
}

ssize_t toe_sendfile64(int out, int in, off64_t *off, size_t n)
{
	return ON_KERNEL(ssize_t, sonode_get(out), TOE_WHY_CALL, real.sendfile64(out, in, off, n));
}

ssize_t toe_splice(int in, off64_t *ioff, int out, off64_t *ooff, size_t n, unsigned int fl)
{
	int fd = sonode_get(in) ? in : out;	/* the other one is a pipe */

	return ON_KERNEL(ssize_t, sonode_get(fd), TOE_WHY_CALL, real.splice(in, ioff, out, ooff, n, fl));
}

ssize_t toe_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned int fl)
{
	return ON_KERNEL(ssize_t, sonode_get(fd), TOE_WHY_CALL, real.vmsplice(fd, iov, n, fl));
}

int toe_shutdown(int fd, int how)
{
	return ON_KERNEL(int, sonode_get(fd), TOE_WHY_SHUTDOWN, real.shutdown(fd, how));
}
