/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "batch.h"
#include "daemon.h"
#include "epset.h"
#include "io.h"
#include "pollset.h"
#include "real.h"
#include "user.h"
#include "wait.h"

#define IN	(POLLIN | POLLRDNORM)
#define OUT	(POLLOUT | POLLWRNORM)
#define FEW	32
#define FEW_FILES 256
#define BLIND_MS 10	/* nothing of ours wakes it */
#define MAX_POLLED 8	/* epoll instances whose other users wake a thread that polls them at once */

/* One call of poll(): the application's array, the kernel's, and the words they rest on. */
struct job {
	struct pollfd *fds;
	struct pollfd *kern;	/* n + 1: the last is the waitctx */
	uint32_t *words;
	nfds_t n;
	struct waitctx *ctx;
	bool kernel;		/* the kernel has to be asked about some */
	bool sets;		/* there are epoll instances among them */
	struct epset *polled[MAX_POLLED];	/* those of them in which the thread is counted */
	int nr_polled;
};

static bool ours(int fd)
{
	struct epset *set;

	if (sonode_get(fd))
		return true;
	set = epset_get(fd);
	return set && ld(&set->active);
}

/* More entries than this the kernel refuses, unseen: it is not asked for the limit where none is that small. */
static bool too_many(nfds_t n)
{
	struct rlimit most;

	return n > FEW_FILES && !getrlimit(RLIMIT_NOFILE, &most) && n > most.rlim_cur;
}

int poll_ours(struct pollfd *fds, nfds_t n)
{
	nfds_t i;

	if (!ld(&toe_proc->live) || n > INT_MAX || no_memory(fds, n * sizeof(*fds)) || too_many(n))
		return 0;
	for (i = 0; i < n; i++)
		if (fds[i].fd >= 0 && ours(fds[i].fd))
			return 1;
	return 0;
}

static short ring_revents(struct sonode *sn, const struct ring *r, short want)
{
	short got = 0;

	if (want & IN && io_readable(sn, r))
		got |= IN;
	if (want & OUT && io_writable_peek(r))
		got |= OUT;
	return got & want;
}

/* On the rings: revents from there, the kernel is not asked. False: path changed or upload. */
static bool look_hw(struct job *j, nfds_t i, struct sonode *sn, uint32_t word, bool watch)
{
	struct ring r;
	int rc;

	rc = sonode_ring(sn, word, &r);
	if (rc == -ESTALE)
		return false;
	if (rc || (watch && wait_watch(j->ctx, sn, &r)))
		return sonode_upload(sn, TOE_WHY_CALL) != 0;
	j->kern[i].fd = -1;
	j->fds[i].revents = ring_revents(sn, &r, j->fds[i].events);
	return !ring_stale(&r);		/* frozen positions look ready */
}

static bool look_one(struct job *j, nfds_t i, bool watch)
{
	struct sonode *sn = j->fds[i].fd >= 0 ? sonode_get(j->fds[i].fd) : NULL;
	struct epset *set = sn || j->fds[i].fd < 0 ? NULL : epset_get(j->fds[i].fd);

	j->kern[i] = j->fds[i];
	j->fds[i].revents = 0;
	j->words[i] = 0;
	if (set && ld(&set->active) && !epset_busy()) {
		j->sets = true;
		if (watch && epset_sleep(set))
			epset_woken(set);
		if (epset_poll(set))
			j->fds[i].revents = j->fds[i].events & IN;
	}
	if (!sn) {
		j->kernel |= j->fds[i].fd >= 0;
		return true;
	}
	j->words[i] = sonode_settled(sn);
	if (word_path(j->words[i]) == TOE_PATH_HW)
		return look_hw(j, i, sn, j->words[i], watch);
	j->kernel = true;
	return true;
}

/* watch: bind and arm first, the caller is going to sleep. Number ready, -1: start again. */
static int look(struct job *j, bool watch)
{
	int ready = 0;
	nfds_t i;

	j->kernel = false;
	for (i = 0; i < j->n; i++) {
		if (!look_one(j, i, watch))
			return -1;
		ready += !!j->fds[i].revents;
	}
	return ready;
}

/* Writers that wait are counted: nobody takes want_write back behind their back. */
static void count_writers(struct job *j, int by)
{
	struct sonode *sn;
	nfds_t i;

	for (i = 0; i < j->n; i++) {
		sn = j->fds[i].fd >= 0 && j->fds[i].events & OUT ? slot_get(j->fds[i].fd) : NULL;
		if (sn)
			add_sc(&sn->wwait, by);
	}
}

/* Sleepers in epoll instances, for those who register something there or leave something behind. */
static void count_sets(struct job *j)
{
	struct epset *set;
	nfds_t i;

	for (i = 0; i < j->n && j->nr_polled < MAX_POLLED; i++) {
		set = epset_get(j->fds[i].fd);
		if (!set)
			continue;
		add_sc(&set->sleepers, 1);
		j->polled[j->nr_polled++] = set;
	}
}

static void woken(void *arg)
{
	struct job *j = arg;

	count_writers(j, -1);
	while (j->nr_polled)
		epset_woken(j->polled[--j->nr_polled]);
}

/* Take over what the kernel said, except where the path changed meanwhile. */
static int merge(struct job *j)
{
	struct sonode *sn;
	int ready = 0;
	nfds_t i;

	for (i = 0; i < j->n; i++) {
		sn = j->words[i] ? slot_get(j->fds[i].fd) : NULL;
		if (j->kern[i].fd >= 0 && (!sn || sonode_word(sn) == j->words[i]))
			j->fds[i].revents |= j->kern[i].revents;
		ready += !!j->fds[i].revents;
	}
	return ready;
}

/* Where the waitctx goes: behind the application's, or if those are as many as there may be, in the place of one that
 * the kernel is not asked about. NULL: it is asked about all (some are there twice, for the waitctx is a file, too). */
static struct pollfd *own_entry(struct job *j)
{
	nfds_t i;

	if (!too_many(j->n + 1))
		return &j->kern[j->n];
	for (i = 0; i < j->n; i++)
		if (j->kern[i].fd < 0)
			return &j->kern[i];
	return NULL;
}

/* Also where all of them are on the rings: the kernel's poll() ends when a handler has run, and else goes on, where epoll_wait() ends
 * after a stop or a freeze as well. */
static int ask(struct job *j, int ms, const sigset_t *mask)
{
	struct pollfd *own = ms ? own_entry(j) : NULL;
	bool behind = own == &j->kern[j->n];
	struct timespec ts;
	int rc;

	if (own)
		*own = (struct pollfd){ .fd = j->ctx->epfd, .events = POLLIN };
	else if (ms < 0 || ms > BLIND_MS)
		ms = BLIND_MS;
	ts = (struct timespec){ ms / 1000, ms % 1000 * 1000000L };
	rc = real.ppoll(j->kern, j->n + behind, ms < 0 ? NULL : &ts, mask);
	if (rc >= 0 && own && own->revents)
		wait_drain(j->ctx);
	if (own)
		own->fd = -1;
	if (!rc && daemon_lost())
		daemon_check();
	return rc < 0 ? -1 : merge(j);
}

/* Nothing was ready at first sight: say so to the engines, look again, sleep. -2: start again. */
static int sleep_once(struct job *j, int64_t deadline, const sigset_t *mask)
{
	int rc;

	j->ctx = wait_ctx();	/* another toed may be there than when the call began */
	rc = j->ctx ? look(j, true) : -1;
	if (rc < 0)
		return -2;
	count_writers(j, 1);
	if (j->sets)
		count_sets(j);
	pthread_cleanup_push(woken, j);
	if (!rc)
		rc = look(j, false);
	if (rc < 0)
		rc = -2;
	else
		rc = ask(j, rc ? 0 : wait_ms_lost(deadline), mask);
	pthread_cleanup_pop(1);
	return rc;
}

static int run(struct job *j, int64_t timeout_ns, const sigset_t *mask)
{
	int64_t deadline = timeout_ns > 0 ? wait_deadline(timeout_ns) : 0;
	int rc, n = 0;

	for (;;) {
		rc = look(j, false);
		if (rc < 0)
			continue;
		if (rc || !timeout_ns)
			return j->kernel && (n = ask(j, 0, mask)) >= 0 ? n : rc ? rc : n;
		rc = sleep_once(j, deadline, mask);
		if (rc > 0 || rc == -1)
			return rc;
		if (!rc && deadline && wait_now() >= deadline)
			timeout_ns = 0;		/* a last look: something may have come before that */
	}
}

static void job_free(void *arg)
{
	struct job *j = arg;

	if (j->n > FEW) {
		free(j->kern);
		free(j->words);
	}
}

static int do_poll(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const sigset_t *mask)
{
	struct pollfd few[FEW + 1];
	uint32_t words[FEW];
	struct job j = { .fds = fds, .n = n, .kern = few, .words = words, .ctx = wait_ctx() };
	int rc, err;

	if (n > FEW) {
		j.kern = malloc((n + 1) * sizeof(*j.kern));
		j.words = malloc(n * sizeof(*j.words));
	}
	batch_wait();
	errno = ENOMEM;
	pthread_cleanup_push(job_free, &j);
	rc = j.ctx && j.kern && j.words ? run(&j, timeout_ns, mask) : -1;
	err = errno;
	pthread_cleanup_pop(1);
	errno = err;
	return rc;
}

int toe_poll(struct pollfd *fds, nfds_t n, int ms)
{
	return do_poll(fds, n, ms < 0 ? -1 : ms * 1000000LL, NULL);
}

int toe_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
	int64_t ns;

	if (!wait_timespec(ts, &ns))
		return -1;
	return do_poll(fds, n, ns, mask);
}

int toe___poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room)
{
	return room / sizeof(*fds) < n ? real.__poll_chk(fds, n, ms, room) : toe_poll(fds, n, ms);
}

int toe___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *ts,
		    const sigset_t *mask, size_t room)
{
	if (room / sizeof(*fds) < n)
		return real.__ppoll_chk(fds, n, ts, mask, room);
	return toe_ppoll(fds, n, ts, mask);
}
