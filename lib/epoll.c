/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/syscall.h>
#include "batch.h"
#include "daemon.h"
#include "epset.h"
#include "intfd.h"
#include "real.h"
#include "sys.h"
#include "user.h"
#include "wait.h"

#define MAX_NESTED	8
#define OWN_EVENTS	256
#define CALL_WORK	16	/* what a call counts for, besides its events */
#define QUEUED_LOOKS	16	/* that are made without one at the doorbells */
#define KERNEL_WORK	1024	/* that may be done before the kernel's events are looked at */

bool epset_poll(struct epset *set)
{
	bool ready;

	if (ld(&set->unclaimed))
		epset_claim_all(set);
	if (!ld(&set->nr_hw) && !epset_behind(set))
		return false;
	qp_service(ld(&set->qps), set);
	epset_lock();
	ready = epset_behind(set) || epset_has_ready(set);
	epset_unlock();
	return ready;
}

/* True: something is there already, do not sleep. */
static bool arm(struct epset *set)
{
	uint32_t qps = set->qps;
	bool pending = false;

	for (; qps; qps &= qps - 1) {
		struct qp *qp = qp_at(__builtin_ctz(qps));

		if (!qp)	/* of a toed that is gone: the eventfd tells */
			continue;
		wake_arm(qp->wake);
		pending |= wake_pending(qp->wake);
	}
	return pending;
}

/* Lock held. Epoll instances in this one: a doorbell makes them readable for the kernel, but
 * only if it is asked for. */
static bool arm_nested(struct epset *set)
{
	struct nested in[MAX_NESTED];
	bool pending = false;
	int i, n = epset_nested(set, in, MAX_NESTED);

	for (i = 0; i < n; i++)
		if (in[i].set->nr_hw)
			pending |= arm(in[i].set);
	return pending;
}

/* Counted before the look: who makes a member ready after it sees a sleeper to kick. A set that
 * becomes active now, or whose first member comes to the hardware path, has the eventfd, which ends the sleep when there is
 * something to see: each instance is told of each move by itself. */
bool epset_sleep(struct epset *set)
{
	bool stay;

	add_sc(&set->sleepers, 1);
	if (!ld_sc(&set->nr_hw) && !ld_sc(&set->nr_nested) && !epset_behind(set))
		return true;
	epset_lock();
	stay = set->nr_hw && arm(set);
	stay |= set->nr_nested && arm_nested(set);
	stay |= set->ready.nr || epset_behind(set);
	epset_unlock();
	if (stay)
		epset_woken(set);
	return !stay;
}

void epset_woken(struct epset *set)
{
	add_sc(&set->sleepers, -1);
}

static int collect_nested(struct epset *set, struct epoll_event *out, int max)
{
	struct nested in[MAX_NESTED];
	int i, got, n = 0;

	epset_lock();
	got = epset_nested(set, in, MAX_NESTED);
	epset_unlock();
	for (i = 0; i < got && n < max; i++) {
		if (!epset_poll(in[i].set))
			continue;
		out[n].events = EPOLLIN;
		out[n++].data = in[i].data;
	}
	return n;
}

/* All that is in hardware is in the queue, as when each was reported and then answered: a look at it says what its doorbell would. */
static bool all_queued(const struct epset *set)
{
	return ld(&set->nr_hw) && ld(&set->ready.nr) == ld(&set->nr_hw) && !epset_behind(set);
}

/* Doorbells are left alone: their bits stay set, and the engine has less to do. Not for long, for behind one may be room to send what
 * waits, of a member or of a connection that is in no set. */
static int collect_queued(struct epset *set, struct epoll_event *out, int max)
{
	uint8_t looks = ld(&set->queued_looks);
	int n;

	if (!all_queued(set) || ld(&set->unsent) || looks >= QUEUED_LOOKS)
		return 0;
	st(&set->queued_looks, looks + 1);
	epset_lock();
	n = epset_collect(set, out, max);
	epset_unlock();
	return n;
}

/* Everything that is known without asking the kernel. */
static int collect(struct epset *set, struct epoll_event *out, int max)
{
	struct sonode *stuck;
	int n = collect_queued(set, out, max);

	while (!n && (ld(&set->nr_hw) || epset_behind(set))) {
		st(&set->queued_looks, 0);
		st(&set->unsent, 0);
		qp_service(ld(&set->qps), set);
		epset_lock();
		stuck = epset_behind(set) ? epset_rescan(set) : NULL;
		n = epset_collect(set, out, max);
		epset_unlock();
		if (!stuck || n || sonode_upload(stuck, TOE_WHY_CALL))
			break;
	}
	if (ld(&set->nr_nested) && n < max)
		n += collect_nested(set, out + n, max - n);
	return n;
}

/* Take our own events out, and what a move made appear. ev may be out. */
static int filter(struct epset *set, const struct epoll_event *ev, int n, struct epoll_event *out)
{
	struct epoll_event one;
	uint32_t qps = 0;
	bool moved = false;
	int i, kept = 0;

	for (i = 0; i < n; i++) {
		one = ev[i];
		if (wait_marker(&one, &qps, &moved))
			continue;
		if (one.events & (EPOLLERR | EPOLLHUP)) {
			epset_lock();
			one.events = epset_confirm(set, &one);
			epset_unlock();
		}
		if (one.events && epset_claim(set, &one))
			out[kept++] = one;
	}
	if (moved)
		epset_moved();
	return kept;
}

static inline int kernel_wait(int fd, struct epoll_event *ev, int max, int ms, const sigset_t *mask)
{
	if (sys_alone())
		return (int)sys_result(sys6(SYS_epoll_pwait, fd, (long)ev, max, ms, (long)mask, _NSIG / 8));
	return real.epoll_pwait(fd, ev, max, ms, mask);
}

/* One question to the kernel. Raw events in *raw, what is left for the application returned. */
static inline __attribute__((always_inline)) int ask_kernel(struct epset *set, struct epoll_event *out, int max, int ms,
							    const sigset_t *mask, int *raw)
{
	struct epoll_event own[OWN_EVENTS], *ev = out;

	/* what is filtered out never stands in the application's array, which it may use as it left it */
	if (ld(&set->active)) {
		ev = own;
		max = max < OWN_EVENTS ? max : OWN_EVENTS;
	}
	*raw = kernel_wait(set->slot->fd, ev, max, ms, mask);
	st(&set->work, 0);
	if (*raw < 0)
		return -1;
	if (!*raw && daemon_lost())
		daemon_check();
	return ld(&set->active) ? filter(set, ev, *raw, out) : *raw;
}

/* Sockets in hardware that are always ready do not hide the kernel's for long. */
static int look(struct epset *set, struct epoll_event *out, int max, const sigset_t *mask)
{
	int k = 0, raw;

	if (ld(&set->work) >= KERNEL_WORK)
		k = ask_kernel(set, out, (max + 1) / 2, 0, mask, &raw);
	return k < 0 ? k : k + collect(set, out + k, max - k);
}

static void woken(void *set)
{
	epset_woken(set);
}

/* Counted among the sleepers: one that is cancelled is none any more. */
static __attribute__((noinline)) int ask_asleep(struct epset *set, struct epoll_event *out, int max, int ms, const sigset_t *mask, int *raw)
{
	int n;

	pthread_cleanup_push(woken, set);
	n = ask_kernel(set, out, max, ms, mask, raw);
	pthread_cleanup_pop(1);
	return n;
}

static int wait_events(struct epset *set, struct epoll_event *out, int max, int64_t timeout_ns, const sigset_t *mask)
{
	int64_t deadline = timeout_ns > 0 ? wait_deadline(timeout_ns) : 0;
	uint32_t closed = ld(&set->closed);
	int n, raw, ms;
	bool sleep;

	batch_wait();
	if (max <= 0 || no_memory(out, max * sizeof(*out)))
		return real.epoll_pwait(set->slot->fd, out, max, 0, mask);
	if (ld(&set->unclaimed))
		epset_claim_all(set);
	for (;;) {
		n = look(set, out, max, mask);
		if (n) {
			st(&set->work, ld(&set->work) + CALL_WORK + n);
			batch_begin(n);
			return n;
		}
		ms = timeout_ns ? wait_ms_lost(deadline) : 0;
		sleep = ms && epset_sleep(set);
		if (ms && !sleep)
			continue;
		if (sleep && !sys_alone()) {
			n = ask_asleep(set, out, max, ms, mask, &raw);
		} else {
			n = ask_kernel(set, out, max, ms, mask, &raw);
			if (sleep)
				epset_woken(set);
		}
		if (n)
			return n;
		if (ld(&set->closed) != closed) {	/* the number may be another one's */
			errno = EBADF;
			return -1;
		}
		if (!timeout_ns || (deadline && wait_now() >= deadline))
			return raw ? collect(set, out, max) : 0;
	}
}

/* Threads that stay asleep in the set are to be woken by what is left, and by what comes next: a doorbell that was rung wakes
 * one thread, and does not ring again before it is armed. */
static void wake_others(struct epset *set)
{
	bool kick = false;

	epset_lock();
	if (epset_slept_in(set)) {
		kick = set->ready.nr || (set->nr_hw && arm(set));
		kick |= set->nr_nested && arm_nested(set);
	}
	epset_unlock();
	if (kick)
		daemon_kick();
}

/* At first sight: asleep in it, or perhaps in what holds it. */
static bool others(const struct epset *set)
{
	return ld_sc(&set->sleepers) || ld(&ld(&set->slot)->members);
}

int epset_wait(struct epset *set, struct epoll_event *out, int max, int64_t timeout_ns, const sigset_t *mask)
{
	int n = wait_events(set, out, max, timeout_ns, mask);

	if (n >= 0 && others(set) && (ld(&set->nr_hw) || ld(&set->nr_nested)))
		wake_others(set);
	return n;
}

static int64_t ms_to_ns(int ms)
{
	return ms < 0 ? -1 : ms * 1000000LL;
}

int toe_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return epset_ctl(epfd, op, fd, ev);
}

/* In each a set that the wrapper has seen may be closed by now. */
int toe_epoll_wait(int epfd, struct epoll_event *ev, int n, int ms)
{
	struct epset *set = epset_get(epfd);

	return set ? epset_wait(set, ev, n, ms_to_ns(ms), NULL) : real.epoll_wait(epfd, ev, n, ms);
}

int toe_epoll_pwait(int epfd, struct epoll_event *ev, int n, int ms, const sigset_t *mask)
{
	struct epset *set = epset_get(epfd);

	return set ? epset_wait(set, ev, n, ms_to_ns(ms), mask) : real.epoll_pwait(epfd, ev, n, ms, mask);
}

int toe_epoll_pwait2(int epfd, struct epoll_event *ev, int n, const struct timespec *ts,
		     const sigset_t *mask)
{
	struct epset *set = epset_get(epfd);
	int64_t ns;

	if (!set)
		return real.epoll_pwait2(epfd, ev, n, ts, mask);
	return wait_timespec(ts, &ns) ? epset_wait(set, ev, n, ns, mask) : -1;
}

/* A descriptor that was closed where we do not see it may have been a set before. Known before anything is registered:
 * a thread may be asleep in it when the first connection comes. */
static int fresh(int fd)
{
	struct sonode *sn = fd < 0 ? NULL : slot_make(fd);

	if (sn) {
		intfd_given(fd);
		epset_closed(sn, false);
		epset_new(sn);
	}
	return fd;
}

int toe_epoll_create(int size)
{
	return fresh(real.epoll_create(size));
}

int toe_epoll_create1(int flags)
{
	return fresh(real.epoll_create1(flags));
}
