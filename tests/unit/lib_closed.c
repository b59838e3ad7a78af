/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library against lib_fake.h: a descriptor is closed, and its number used again, while another thread's call is on it. */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include "lib_peer.h"
#include "lib/wait.h"

/* ---- a thread that has been woken, but is late ---- */

#define SOON_US		10000	/* who closes waits so long */
#define LATE_US		200000	/* nobody does */

static __thread unsigned int lag_us;

static int (*wait_of_libc)(int epfd, struct epoll_event *ev, int n, int ms);
static int (*poll_of_libc)(struct pollfd *fds, nfds_t n, int ms);
static ssize_t (*send_of_libc)(int fd, const void *buf, size_t len, int flags);

static void lag(void)
{
	int err = errno;

	if (lag_us)
		usleep(lag_us);
	errno = err;
}

static int lagging_wait(int epfd, struct epoll_event *ev, int n, int ms)
{
	int got = wait_of_libc(epfd, ev, n, ms);

	lag();
	return got;
}

static int lagging_poll(struct pollfd *fds, nfds_t n, int ms)
{
	int got = poll_of_libc(fds, n, ms);

	if (fds->events & POLLOUT)	/* not what waits for toed's answer */
		lag();
	return got;
}

static ssize_t lagging_send(int fd, const void *buf, size_t len, int flags)
{
	ssize_t n = send_of_libc(fd, buf, len, flags);

	if (flags & MSG_OOB)	/* the library asks toed by this, too */
		lag();
	return n;
}

static int lags_start(void **state)
{
	start(state);
	wait_of_libc = real.epoll_wait;
	poll_of_libc = real.poll;
	send_of_libc = real.send;
	real.epoll_wait = lagging_wait;
	real.poll = lagging_poll;
	real.send = lagging_send;
	return 0;
}

/* ---- a connection, the other end of it, and a thread with a call ---- */

struct conn {
	int fd, peer;
};

/* Low numbers are the connections' own. */
static int high(int fd)
{
	int copy = real.fcntl(fd, F_DUPFD_CLOEXEC, (void *)600L);

	real.close(fd);
	return copy;
}

static void dial(struct conn *c)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int ls = high(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof(a);

	assert_int_equal(bind(ls, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(ls, 1), 0);
	getsockname(ls, (void *)&a, &len);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c->fd, (void *)&a, sizeof(a)), 0);
	c->peer = high(real.accept(ls, NULL, NULL));
	real.close(ls);
}

static void end(struct conn *c)
{
	assert_int_equal(close(c->fd), 0);
	real.close(c->peer);
}

static void hw(struct conn *c)
{
	while (!fake_offload(c->fd))
		usleep(1000);
}

enum what { RECV, SEND, URGENT };

struct caller {
	pthread_t thread;
	enum what what;
	unsigned int lag_us;
	int fd, err;
	ssize_t n;
	char buf[16];
};

#define MUCH	(16U << 20)

static void *caller(void *arg)
{
	static char much[MUCH];
	struct caller *c = arg;

	lag_us = c->lag_us;
	if (c->what == RECV)
		c->n = recv(c->fd, c->buf, sizeof(c->buf), 0);
	else
		c->n = send(c->fd, much, c->what == SEND ? MUCH : 1, MSG_NOSIGNAL | (c->what == URGENT ? MSG_OOB : 0));
	c->err = errno;
	return NULL;
}

static void call(struct caller *c, enum what what, int fd, unsigned int us)
{
	*c = (struct caller){ .what = what, .fd = fd, .lag_us = us };
	pthread_create(&c->thread, NULL, caller, c);
	usleep(100000);
}

/* No descriptor is left of it. */
static void is_gone(uint64_t cookie)
{
	for (int fd = 3; fd < 1024; fd++)
		assert_int_not_equal(fake_cookie(fd), cookie);
}

/* The number is another connection's at once. */
static void reuse(struct conn *c, struct conn *new)
{
	int fd = c->fd;

	assert_int_equal(close(fd), 0);
	for (dial(new); new->fd != fd; dial(new)) {	/* the library has a file of /proc open, or the like */
		end(new);
		usleep(1000);
	}
}

/* Nothing came to it, and nothing was taken from it. */
static void untouched(struct conn *c)
{
	char buf[8];

	assert_int_equal(libc_recv(c->peer, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(recv(c->fd, buf, 5, MSG_WAITALL), 5);
	assert_memory_equal(buf, "other", 5);
	end(c);
}

static void shut_and_reuse(enum what what, unsigned int us, bool other_hw)
{
	struct conn first, other;
	struct caller c;
	uint64_t cookie;

	dial(&first);
	cookie = fake_cookie(first.fd);
	hw(&first);
	call(&c, what, first.fd, us);
	assert_int_equal(shutdown(first.fd, SHUT_RDWR), 0);
	reuse(&first, &other);
	if (other_hw)
		hw(&other);
	assert_int_equal(real.send(other.peer, "other", 5, 0), 5);
	pthread_join(c.thread, NULL);
	if (what == RECV)
		assert_int_equal(c.n, 0);
	else
		assert_true(c.n > 0 && c.n < MUCH);
	untouched(&other);
	real.close(first.peer);
	is_gone(cookie);
}

static void test_recv_shut(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		shut_and_reuse(RECV, i & 1 ? SOON_US : i & 4 ? LATE_US : 0, i & 2);
}

static void test_send_shut(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		shut_and_reuse(SEND, i & 1 ? SOON_US : LATE_US, i & 2);
}

/* Closed without a word: the call goes on upon what it began with. */
static void test_recv_closed(void **state)
{
	struct conn first, other;
	struct caller c;

	(void)state;
	for (int i = 0; i < 4; i++) {
		dial(&first);
		hw(&first);
		call(&c, RECV, first.fd, i & 1 ? SOON_US : 0);
		reuse(&first, &other);
		if (i & 2)
			hw(&other);
		assert_int_equal(real.send(other.peer, "other", 5, 0), 5);
		usleep(50000);
		assert_int_equal(real.send(first.peer, "late", 4, 0), 4);
		pthread_join(c.thread, NULL);
		assert_int_equal(c.n, 4);
		assert_memory_equal(c.buf, "late", 4);
		untouched(&other);
		assert_int_equal(libc_recv(first.peer, c.buf, 1, 0), 0);
		real.close(first.peer);
	}
}

/* The kernel's path: the send buffer is full. */
static void test_full(void **state)
{
	static char buf[65536];
	struct conn first, other;
	struct caller c;

	(void)state;
	for (int i = 0; i < 4; i++) {
		dial(&first);
		while (i & 2 && send(first.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
		call(&c, i & 2 ? URGENT : SEND, first.fd, i & 1 ? SOON_US : LATE_US);
		assert_int_equal(shutdown(first.fd, SHUT_RDWR), 0);
		reuse(&first, &other);
		assert_int_equal(real.send(other.peer, "other", 5, 0), 5);
		pthread_join(c.thread, NULL);
		if (i & 2) {
			assert_int_equal(c.n, -1);
			assert_int_equal(c.err, EPIPE);
		} else {
			assert_true(c.n > 0 && c.n < MUCH);
		}
		untouched(&other);
		real.close(first.peer);
	}
}

/* ---- a signal handler closes and shuts down, where its thread has the lock of the epoll sets ---- */

static int (*ctl_of_libc)(int ep, int op, int fd, struct epoll_event *ev);
static int to_close, to_shut, set_to_close;
static bool comes;

static int signalled_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	if (comes)
		raise(SIGUSR1);
	return ctl_of_libc(ep, op, fd, ev);
}

static void on_signal(int sig)
{
	(void)sig;
	comes = false;
	assert_int_equal(close(to_close), 0);
	assert_int_equal(close(set_to_close), 0);
	assert_int_equal(shutdown(to_shut, SHUT_RDWR), 0);
}

static void add(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };

	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
}

/* It is told of what comes to this one. */
static void works(int ep, struct conn *c)
{
	struct epoll_event ev;
	char buf[4];

	assert_int_equal(real.send(c->peer, "work", 4, 0), 4);
	assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
	assert_int_equal(ev.data.fd, c->fd);
	assert_int_equal(ev.events, EPOLLIN);
	assert_int_equal(recv(c->fd, buf, 4, MSG_WAITALL), 4);
}

static void test_handler(void **state)
{
	int ep = epoll_create1(0), inner = epoll_create1(0);
	struct epoll_event ev;
	struct conn c[4], new;
	char buf[4];

	(void)state;
	signal(SIGUSR1, on_signal);
	ctl_of_libc = real.epoll_ctl;
	real.epoll_ctl = signalled_ctl;
	for (int i = 0; i < 4; i++) {
		dial(&c[i]);
		hw(&c[i]);
		if (i != 2)
			add(ep, c[i].fd);
	}
	add(ep, inner);
	add(inner, c[3].fd);
	to_close = c[0].fd;
	to_shut = c[1].fd;
	set_to_close = inner;
	comes = true;
	add(ep, c[2].fd);
	assert_false(comes);
	assert_int_equal(libc_recv(c[0].peer, buf, 4, 0), 0);
	assert_int_equal(libc_recv(c[1].peer, buf, 4, 0), 0);
	assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
	assert_int_equal(ev.data.fd, c[1].fd);
	assert_int_equal(close(c[1].fd), 0);
	works(ep, &c[2]);
	works(ep, &c[3]);
	dial(&new);		/* as the one that was closed, or the set */
	hw(&new);
	add(ep, new.fd);
	works(ep, &new);
	works(ep, &c[2]);
	assert_int_equal(epoll_wait(ep, &ev, 1, 50), 0);
	end(&new);
	end(&c[2]);
	end(&c[3]);
	real.epoll_ctl = ctl_of_libc;
	close(ep);
}

/* ---- epoll sets that are closed and made while others wait in them, or in what holds them ---- */

#define RACE_MS		1500

static bool race_over;
static int race_ep, race_fd;

static void *waits(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };

	while (!ld(&race_over)) {
		epoll_wait(race_ep, &ev, 1, 0);
		epoll_pwait(race_ep, &ev, 1, 0, NULL);
		epoll_ctl(race_ep, EPOLL_CTL_ADD, race_fd, &ev);
	}
	return arg;
}

static void race(void (*once)(int ep), int ep, int waited, int added)
{
	pthread_t t;

	race_over = false;
	race_ep = waited;
	race_fd = added;
	pthread_create(&t, NULL, waits, NULL);
	for (int64_t end = wait_now() + RACE_MS * 1000000LL; wait_now() < end;)
		once(ep);
	st(&race_over, true);
	pthread_join(t, NULL);
}

static void make_anew(int ep)
{
	close(ep);
	assert_int_equal(epoll_create1(0), ep);
}

static void make_inner_anew(int ep)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int inner = epoll_create1(0);

	epoll_ctl(ep, EPOLL_CTL_ADD, inner, &ev);
	close(inner);
}

static void *sleeps(void *arg)
{
	struct epoll_event ev;

	*(int *)arg = epoll_wait(race_ep, &ev, 1, 5000) < 0 ? errno : 0;
	return NULL;
}

static void test_sets(void **state)
{
	int ep = epoll_create1(0), err;
	struct epoll_event ev;
	struct conn c;
	pthread_t t;

	(void)state;
	dial(&c);
	hw(&c);
	race(make_anew, ep, ep, c.fd);
	race(make_inner_anew, ep, ep, c.fd);

	/* closed and made anew while a thread sleeps in it: that one is not told of what is in the new one */
	race_ep = ep;
	make_anew(ep);
	add(ep, c.fd);
	pthread_create(&t, NULL, sleeps, &err);
	usleep(50000);
	make_anew(ep);
	add(ep, c.fd);
	assert_int_equal(real.send(c.peer, "x", 1, 0), 1);
	pthread_join(t, NULL);
	assert_int_equal(err, EBADF);
	assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
	end(&c);
	close(ep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recv_shut),
		cmocka_unit_test(test_send_shut),
		cmocka_unit_test(test_recv_closed),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_handler),
		cmocka_unit_test(test_sets),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, lags_start, stop);
}
