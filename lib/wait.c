/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "batch.h"
#include "daemon.h"
#include "intfd.h"
#include "real.h"
#include "wait.h"

#define LOST_MS	500
#define MAX_WAIT_S	(1LL << 32)	/* longer is for ever: its ns and a clock's fit 63 bits */

/* Their addresses mark our events among the application's. */
static char mark_event, mark_sock, mark_qp[QP_MAX];

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread struct waitctx *mine;
static uint32_t fork_gen = 1;

static void thread_gone(void *p)
{
	struct waitctx *c = p;

	if (c->fork_gen == fork_gen)
		intfd_close(&c->epfd);
	batch_end();
	qp_thread_gone();
	mine = NULL;
	free(c);
}

static void make_key(void)
{
	pthread_key_create(&key, thread_gone);
}

static int add(int epfd, int fd, void *mark)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = mark };

	if (fd < 0)
		return -EBADF;
	return real.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0 && errno != EEXIST ? -errno : 0;
}

void wait_add_daemon(int epfd)
{
	int err = errno;

	add(epfd, daemon_eventfd(), &mark_event);
	add(epfd, daemon_sock(), &mark_sock);
	errno = err;
}

/* A descriptor that was closed where we do not see it is found out by who sleeps. */
bool wait_add_qp(int epfd, const struct qp *qp)
{
	int err = errno, rc = add(epfd, ld(&qp->fd), &mark_qp[qp->idx]);

	errno = err;
	return rc != -ENOMEM && rc != -ENOSPC;
}

bool wait_marker(const struct epoll_event *ev, uint32_t *qps, bool *moved)
{
	char *p = ev->data.ptr;

	if (p >= mark_qp && p < mark_qp + QP_MAX)
		*qps |= 1U << (p - mark_qp);
	else if (p == &mark_event)
		*moved = true;
	else if (p == &mark_sock)
		daemon_check();
	else
		return false;
	return true;
}

static struct waitctx *wait_new(void)
{
	struct waitctx *c = mine;
	int fd;

	pthread_once(&once, make_key);
	if (!c)
		c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->qps = c->daemon_gen = 0;
	c->fork_gen = fork_gen;
	c->epfd = -1;
	fd = real.epoll_create1(EPOLL_CLOEXEC);
	intfd_given(fd);
	if (intfd_adopt(&c->epfd, fd)) {
		if (!mine)
			free(c);
		else
			c->fork_gen = 0;
		return NULL;
	}
	mine = c;
	pthread_setspecific(key, c);
	return c;
}

struct waitctx *wait_ctx(void)
{
	struct waitctx *c = mine;

	if (!c || c->fork_gen != fork_gen)
		c = wait_new();
	if (c && c->daemon_gen != daemon_gen()) {
		c->daemon_gen = daemon_gen();
		c->qps = 0;	/* they may be others; adding one again does no harm */
		wait_add_daemon(c->epfd);
	}
	return c;
}

int wait_watch(struct waitctx *c, struct sonode *sn, const struct ring *r)
{
	struct qp *qp = qp_bind_sure(sn, r);

	if (!qp)
		return -ENOBUFS;
	if (!(c->qps & 1U << qp->idx)) {
		if (!wait_add_qp(c->epfd, qp))
			return -ENOBUFS;
		c->qps |= 1U << qp->idx;
	}
	wake_arm(qp->wake);
	return 0;
}

static void handle(struct epoll_event *ev, int n)
{
	uint32_t qps = 0;
	bool moved;
	int i;

	for (i = 0; i < n; i++)
		wait_marker(&ev[i], &qps, &moved);
	qp_service(qps, NULL);
}

/* Wait for ms and take what there is. 0 or -errno */
static int take(struct waitctx *c, int ms)
{
	struct epoll_event ev[QP_MAX + 2];
	int n;

	n = real.epoll_wait(c->epfd, ev, QP_MAX + 2, ms);
	if (n < 0 && errno == EBADF) {	/* closed where we do not see it; the rest of ours perhaps, too */
		c->fork_gen = 0;
		daemon_check();
		return 0;
	}
	if (n < 0)
		return -errno;
	if (!n && daemon_lost())
		daemon_check();
	handle(ev, n);
	return 0;
}

int wait_sleep(struct waitctx *c, int64_t deadline_ns)
{
	return take(c, wait_ms_lost(deadline_ns));
}

void wait_drain(struct waitctx *c)
{
	int err = errno;

	take(c, 0);
	errno = err;
}

/* Raised by what the thread itself does: not what interrupts a call that sleeps. Crash
 * handlers, which rarely say SA_RESTART, hang on these. */
static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGABRT ||
	       sig == SIGTRAP || sig == SIGSYS;
}

bool wait_restarts(void)
{
	struct sigaction sa;
	int sig, err = errno;

	for (sig = 1; sig < NSIG; sig++) {
		if (is_fault(sig) || sigaction(sig, NULL, &sa) < 0)
			continue;
		if (!(sa.sa_flags & SA_SIGINFO) &&
		    (sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN))
			continue;
		if (!(sa.sa_flags & SA_RESTART))
			break;
	}
	errno = err;
	return sig == NSIG;
}

int64_t wait_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

bool wait_timespec(const struct timespec *ts, int64_t *ns)
{
	*ns = -1;
	if (!ts)
		return true;
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999) {
		errno = EINVAL;
		return false;
	}
	if (ts->tv_sec < MAX_WAIT_S)
		*ns = ts->tv_sec * 1000000000LL + ts->tv_nsec;
	return true;
}

int64_t wait_deadline(int64_t timeo_ns)
{
	return timeo_ns ? wait_now() + timeo_ns : 0;
}

int wait_ms(int64_t deadline_ns)
{
	int64_t left;

	if (!deadline_ns)
		return -1;
	left = deadline_ns - wait_now();
	if (left <= 0)
		return 0;
	left = (left + 999999) / 1000000;
	return left > 0x7fffffff ? 0x7fffffff : (int)left;
}

int wait_ms_lost(int64_t deadline_ns)
{
	int ms = wait_ms(deadline_ns);

	if (daemon_lost() && (ms < 0 || ms > LOST_MS))
		return LOST_MS;
	return ms;
}

void wait_forked(void)
{
	fork_gen++;
}
