/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdlib.h>
#include "epset.h"
#include "pollset.h"
#include "real.h"
#include "user.h"
#include "wait.h"

/* as fs/select.c */
#define IN	(POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define OUT	(POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)

/* Larger than FD_SETSIZE is usual among those who know that it works. */
static bool bit(const fd_set *s, int fd)
{
	return s && ((const unsigned long *)s)[fd / __NFDBITS] >> (fd % __NFDBITS) & 1;
}

static void put(fd_set *s, int fd, bool on)
{
	unsigned long m = 1UL << (fd % __NFDBITS), *w;

	if (!s)
		return;
	w = &((unsigned long *)s)[fd / __NFDBITS];
	*w = on ? *w | m : *w & ~m;
}

static bool bad(const fd_set *s)
{
	return s && no_memory(s, sizeof(long));
}

int select_ours(int n, const fd_set *r, const fd_set *w, const fd_set *e)
{
	struct pollfd p;
	int fd;

	if (!ld(&toe_proc->live) || bad(r) || bad(w) || bad(e))
		return 0;
	for (fd = 0; fd < n; fd++) {
		if (!bit(r, fd) && !bit(w, fd) && !bit(e, fd))
			continue;
		p.fd = fd;
		if (poll_ours(&p, 1))
			return 1;
	}
	return 0;
}

static int gather(struct pollfd *p, int n, const fd_set *r, const fd_set *w, const fd_set *e)
{
	int fd, k = 0;

	for (fd = 0; fd < n; fd++) {
		p[k].fd = fd;
		p[k].events = (bit(r, fd) ? POLLIN | POLLRDNORM : 0) |
			      (bit(w, fd) ? POLLOUT | POLLWRNORM : 0) | (bit(e, fd) ? POLLPRI : 0);
		k += p[k].events != 0;
	}
	return k;
}

static int scatter(const struct pollfd *p, int k, fd_set *r, fd_set *w, fd_set *e)
{
	int i, total = 0;
	bool on;

	for (i = 0; i < k; i++)
		if (p[i].revents & POLLNVAL) {
			errno = EBADF;
			return -1;
		}
	for (i = 0; i < k; i++) {
		on = p[i].events & POLLIN && p[i].revents & IN;
		put(r, p[i].fd, on);
		total += on;
		on = p[i].events & POLLOUT && p[i].revents & OUT;
		put(w, p[i].fd, on);
		total += on;
		on = p[i].events & POLLPRI && p[i].revents & POLLPRI;
		put(e, p[i].fd, on);
		total += on;
	}
	return total;
}

int toe_pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *ts,
		const sigset_t *mask)
{
	struct pollfd few[64], *p = n > 64 ? malloc(n * sizeof(*p)) : few;
	int k, rc = -1;

	errno = ENOMEM;
	if (p) {
		k = gather(p, n, r, w, e);
		rc = toe_ppoll(p, k, ts, mask);
		if (rc >= 0)
			rc = scatter(p, k, r, w, e);
	}
	if (p != few) {
		int err = errno;

		free(p);
		errno = err;
	}
	return rc;
}

int toe_select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv)
{
	struct timespec ts;
	int64_t end, left;
	int rc;

	if (!tv)
		return toe_pselect(n, r, w, e, NULL, NULL);
	if (tv->tv_sec < 0 || tv->tv_usec < 0) {
		errno = EINVAL;
		return -1;
	}
	if (tv->tv_sec > INT_MAX)	/* beyond any clock */
		return toe_pselect(n, r, w, e, NULL, NULL);
	left = tv->tv_sec * 1000000LL + tv->tv_usec;
	end = wait_now() / 1000 + left;
	ts.tv_sec = left / 1000000;
	ts.tv_nsec = left % 1000000 * 1000;
	rc = toe_pselect(n, r, w, e, &ts, NULL);
	left = end - wait_now() / 1000;	/* as Linux: what is left of the time */
	left = left < 0 ? 0 : left;
	tv->tv_sec = left / 1000000;
	tv->tv_usec = left % 1000000;
	return rc;
}
