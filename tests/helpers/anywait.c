/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readers that wait in every way there is while their connection is moved both ways: no event lost, none that is
 * not true, no error or hang-up. One case a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"

#define ROUNDS	12

static struct flow *flow;
static atomic_int rounds, waiting;
static int ep;

static void nonblock(void)
{
	fcntl(flow->fd, F_SETFL, fcntl(flow->fd, F_GETFL) | O_NONBLOCK);
}

/* All that is there; at least something. */
static void drain(const char *how)
{
	unsigned char buf[65536];
	size_t got = 0;
	ssize_t n;

	while ((n = recv(flow->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		flow_check(flow, buf, n);
		got += n;
	}
	if (n == 0 || errno != EAGAIN)
		die("%s: receive: %zd, %s", how, n, strerror(errno));
	if (!got)
		die("%s: said readable, was not", how);
}

static void want_in(const char *how, unsigned int events)
{
	if (events != EPOLLIN)
		die("%s: events %#x", how, events);
}

static void wait_read(void)
{
	unsigned char buf[1000];
	ssize_t n = read(flow->fd, buf, sizeof(buf));

	if (n <= 0)
		die("read: %zd, %s", n, strerror(errno));
	flow_check(flow, buf, n);
}

static void wait_peek(void)
{
	unsigned char buf[1000];
	ssize_t n = recv(flow->fd, buf, sizeof(buf), MSG_PEEK);

	if (n <= 0 || recv(flow->fd, buf, n, MSG_WAITALL) != n)
		die("peek: %zd, %s", n, strerror(errno));
	flow_check(flow, buf, n);
}

static void wait_all(void)
{
	unsigned char buf[300];
	ssize_t n = recv(flow->fd, buf, sizeof(buf), MSG_WAITALL);

	if (n != sizeof(buf))
		die("MSG_WAITALL: %zd, %s", n, strerror(errno));
	flow_check(flow, buf, n);
}

static void wait_mmsg(void)
{
	unsigned char buf[2][1000];
	struct iovec iov[2] = { { buf[0], 1000 }, { buf[1], 1000 } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };
	int n = recvmmsg(flow->fd, m, 2, MSG_WAITFORONE, NULL);

	if (n < 1)
		die("recvmmsg: %d, %s", n, strerror(errno));
	for (int i = 0; i < n; i++)
		flow_check(flow, buf[i], m[i].msg_len);
}

static void wait_poll(void)
{
	struct pollfd p = { flow->fd, POLLIN, 0 };

	if (poll(&p, 1, 10000) != 1)
		die("poll: nothing");
	want_in("poll", p.revents);
	drain("poll");
}

static void wait_ppoll(void)
{
	struct pollfd p = { flow->fd, POLLIN | POLLRDNORM, 0 };
	struct timespec ts = { 10, 0 };

	if (ppoll(&p, 1, &ts, NULL) != 1)
		die("ppoll: nothing");
	if (p.revents != (POLLIN | POLLRDNORM))
		die("ppoll: events %#x", p.revents);
	drain("ppoll");
}

static void wait_select(void)
{
	struct timeval tv = { 10, 0 };
	fd_set r, e;

	FD_ZERO(&r);
	FD_ZERO(&e);
	FD_SET(flow->fd, &r);
	FD_SET(flow->fd, &e);
	if (select(flow->fd + 1, &r, NULL, &e, &tv) != 1 || !FD_ISSET(flow->fd, &r) || FD_ISSET(flow->fd, &e))
		die("select");
	drain("select");
}

static void wait_epoll(void)
{
	struct epoll_event ev[4];
	int n = epoll_wait(ep, ev, 4, 10000);

	if (n != 1 || ev[0].data.u64 != 0x123456789abcdefULL)
		die("epoll_wait: %d, %s", n, strerror(errno));
	want_in("epoll_wait", ev[0].events);
	drain("epoll_wait");
}

static void wait_pwait2(void)
{
	struct timespec ts = { 10, 0 };
	struct epoll_event ev;
	int n = epoll_pwait2(ep, &ev, 1, &ts, NULL);

	if (n != 1)
		die("epoll_pwait2: %d, %s", n, strerror(errno));
	want_in("epoll_pwait2", ev.events);
	drain("epoll_pwait2");
}

static void wait_oneshot(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 0x123456789abcdefULL };

	wait_epoll();
	if (epoll_ctl(ep, EPOLL_CTL_MOD, flow->fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
}

/* In a poll of the epoll instance itself. */
static void wait_nested(void)
{
	struct pollfd p = { ep, POLLIN, 0 };
	struct epoll_event ev;
	int n;

	do {
		if (poll(&p, 1, 10000) != 1)
			die("poll of an epoll instance: nothing");
		n = epoll_wait(ep, &ev, 1, 0);
	} while (n == 0);
	want_in("nested", ev.events);
	drain("nested");
}

/* ---- the case: a thread waits, the connection moves, then the bytes come ---- */

static void (*waiter)(void);

static void *wait_loop(void *arg)
{
	(void)arg;
	while (rounds < ROUNDS) {
		waiting = 1;
		waiter();
		while (flow->rx < flow->tx)
			waiter();
		waiting = 0;
		rounds++;
	}
	return NULL;
}

/* A deadline for everything that the thread waits for. */
static void until_round(int n)
{
	uint64_t end = now_ms() + 10000;

	while (rounds < n) {
		if (now_ms() > end)
			die("round %d: the waiter hangs, %llu of %llu bytes", n, (unsigned long long)flow->rx,
			    (unsigned long long)flow->tx);
		usleep(500);
	}
}

static void run_waiter(void (*how)(void), size_t bytes)
{
	pthread_t t;

	waiter = how;
	pthread_create(&t, NULL, wait_loop, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		while (!waiting)
			usleep(100);
		usleep(10000);
		/* each pattern of moves with each: none, one, there and back */
		flow_move(flow, i % 3);
		flow_send(flow, bytes);
		until_round(i + 1);
	}
	pthread_join(t, NULL);
	flow_end(flow);
}

static void with_epoll(uint32_t flags, void (*how)(void))
{
	struct epoll_event ev = { .events = EPOLLIN | flags, .data.u64 = 0x123456789abcdefULL };

	flow = flow_open();
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, flow->fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
	run_waiter(how, 300);
}

static void plain(void (*how)(void))
{
	flow = flow_open();
	run_waiter(how, 300);
}

static void in_read(void) { plain(wait_read); }
static void in_peek(void) { plain(wait_peek); }
static void in_waitall(void) { plain(wait_all); }
static void in_recvmmsg(void) { plain(wait_mmsg); }
static void in_poll(void) { plain(wait_poll); }
static void in_ppoll(void) { plain(wait_ppoll); }
static void in_select(void) { plain(wait_select); }
static void in_epoll(void) { with_epoll(0, wait_epoll); }
static void in_epollet(void) { with_epoll(EPOLLET, wait_epoll); }
static void in_oneshot(void) { with_epoll(EPOLLONESHOT, wait_oneshot); }
static void in_rdhup(void) { with_epoll(EPOLLRDHUP, wait_epoll); }
static void in_pwait2(void) { with_epoll(0, wait_pwait2); }
static void in_nested(void) { with_epoll(0, wait_nested); }

/* ---- nothing comes: nobody wakes, whatever is moved ---- */

static atomic_int over, woken;

static void *quiet_poll(void *arg)
{
	struct pollfd p = { flow->fd, POLLIN | POLLRDHUP, 0 };

	(void)arg;
	while (!over) {
		if (poll(&p, 1, 50) != 0)
			die("spurious in poll: %#x", p.revents);
		woken++;
	}
	return NULL;
}

static void *quiet_epoll(void *arg)
{
	struct epoll_event ev;
	uint64_t start;

	while (!over) {
		start = now_ms();
		if (epoll_wait((int)(intptr_t)arg, &ev, 1, 50) != 0)
			die("spurious in epoll_wait: %#x", ev.events);
		if (now_ms() - start < 45)
			die("epoll_wait came back too early");
		woken++;
	}
	return NULL;
}

static void quiet(void)
{
	uint32_t flags[4] = { EPOLLIN | EPOLLRDHUP, EPOLLIN | EPOLLET | EPOLLRDHUP, EPOLLIN | EPOLLONESHOT, EPOLLPRI };
	pthread_t t[5];

	flow = flow_open();
	for (int i = 0; i < 4; i++) {
		struct epoll_event ev = { .events = flags[i] };
		int e = epoll_create1(0);

		epoll_ctl(e, EPOLL_CTL_ADD, flow->fd, &ev);
		pthread_create(&t[i], NULL, quiet_epoll, (void *)(intptr_t)e);
	}
	pthread_create(&t[4], NULL, quiet_poll, NULL);
	for (int i = 0; i < 20; i++) {
		flow_to_kernel(flow);
		usleep(5000);
		flow_to_hw(flow);
		usleep(5000);
	}
	over = 1;
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	if (woken < 20)
		die("the waiters did not wait");
	flow_exchange(flow, 1000);
	flow_end(flow);
}

/* A move gives an edge of its own at most if there is something to read or room. */
static void edges(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int e = epoll_create1(0), n;

	flow = flow_open();
	nonblock();
	epoll_ctl(e, EPOLL_CTL_ADD, flow->fd, &ev);
	for (int i = 0; i < 20; i++) {
		if (i & 1)
			flow_to_hw(flow);
		else
			flow_to_kernel(flow);
		n = epoll_wait(e, &ev, 1, 20);
		if (n && ev.events != EPOLLOUT)
			die("edge %#x", ev.events);
	}
	/* unread bytes are announced again after a move, lest a reader that was told before waits for ever */
	flow_send(flow, 100);
	do
		n = epoll_wait(e, &ev, 1, 5000);
	while (n == 1 && !(ev.events & EPOLLIN));
	if (n != 1)
		die("no edge");
	drain("edges");
	fcntl(flow->fd, F_SETFL, fcntl(flow->fd, F_GETFL) & ~O_NONBLOCK);
	flow_end(flow);
}

/* ---- several sets, many connections ---- */

static void many_sets(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int sets[3], nest = epoll_create1(0);

	flow = flow_open();
	for (int i = 0; i < 3; i++) {
		sets[i] = epoll_create1(0);
		ev.events = EPOLLIN | (i == 1 ? EPOLLET : 0);
		epoll_ctl(sets[i], EPOLL_CTL_ADD, flow->fd, &ev);
		ev.events = EPOLLIN;
		epoll_ctl(nest, EPOLL_CTL_ADD, sets[i], &ev);
	}
	for (int k = 0; k < 10; k++) {
		flow_move(flow, k % 3);
		flow_send(flow, 100);
		if (epoll_wait(nest, &ev, 1, 5000) != 1)
			die("nested: nothing");
		for (int i = 0; i < 3; i++)
			if (epoll_wait(sets[i], &ev, 1, 5000) != 1 || ev.events != EPOLLIN)
				die("set %d: events %#x", i, ev.events);
		flow_recv(flow, 100);
		for (int i = 0; i < 3; i++)
			if (epoll_wait(sets[i], &ev, 1, 0) != 0)
				die("set %d: spurious %#x", i, ev.events);
	}
	flow_end(flow);
}

#define MANY	200

static void many_conns(void)
{
	static struct flow *f[MANY];
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int e = epoll_create1(0), n, seen;
	char reply[65536];

	for (int i = 0; i < MANY; i++) {
		f[i] = flow_make();
		flow_dial(f[i], 0);
		ev.data.u32 = i;
		epoll_ctl(e, EPOLL_CTL_ADD, f[i]->fd, &ev);
	}
	for (int k = 0; k < 6; k++) {
		ctl_request(k & 1 ? "{\"cmd\":\"upload\",\"all\":true}\n" : "{\"cmd\":\"offload\",\"all\":true}\n",
			    reply, sizeof(reply));
		for (int i = 0; i < MANY; i++)
			want_path(f[i], k & 1 ? P_KERNEL : P_HW, "all moved");
		for (int i = 0; i < MANY; i++)
			flow_send(f[i], 50);
		for (seen = 0; seen < MANY; seen++) {
			n = epoll_wait(e, &ev, 1, 5000);
			if (n != 1 || ev.events != EPOLLIN)
				die("round %d: %d of %d events, %#x", k, seen, MANY, ev.events);
			flow_recv(f[ev.data.u32], 50);
		}
	}
	for (int i = 0; i < MANY; i++)
		flow_end(f[i]);
}

/* ---- as many entries as the kernel takes, and more than toed has descriptors for ---- */

static void *send_soon(void *arg)
{
	usleep(50000);
	flow_send(flow, (size_t)arg);
	return NULL;
}

static void poll_slots(unsigned int n)
{
	struct rlimit old, lim;
	struct pollfd *p = calloc(n + 1, sizeof(*p));
	pthread_t t;
	int fds[2];

	getrlimit(RLIMIT_NOFILE, &old);
	lim = (struct rlimit){ n, old.rlim_max > n ? old.rlim_max : n };
	if (!p || pipe(fds))
		die("no memory");
	if (setrlimit(RLIMIT_NOFILE, &lim)) {
		printf("(%u entries: not tested (fs.nr_open)\n", n);
		return;
	}
	for (unsigned int i = 0; i <= n; i++)
		p[i].fd = -1;
	p[n - 2] = (struct pollfd){ fds[0], POLLIN, 0 };
	p[n / 2] = (struct pollfd){ flow->fd, POLLIN, 0 };
	for (int k = 0; k < 4; k++) {
		flow_move(flow, k / 2);
		pthread_create(&t, NULL, send_soon, (void *)100L);
		if (poll(p, n, 5000) != 1)
			die("%u entries: nothing, %s", n, strerror(errno));
		want_in("many entries", p[n / 2].revents);
		pthread_join(t, NULL);
		drain("many entries");
	}
	if (poll(p, n + 1, 0) != -1 || errno != EINVAL)
		die("%u entries of %u: %s", n + 1, n, strerror(errno));
	setrlimit(RLIMIT_NOFILE, &old);
	close(fds[0]);
	close(fds[1]);
	free(p);
}

static void many_slots(void)
{
	flow = flow_open();
	poll_slots(300);
	poll_slots((1 << 20) + 77);
	flow_end(flow);
}

static const struct flow_case cases[] = {
	{ "read", in_read },
	{ "peek", in_peek },
	{ "waitall", in_waitall },
	{ "recvmmsg", in_recvmmsg },
	{ "poll", in_poll },
	{ "ppoll", in_ppoll },
	{ "select", in_select },
	{ "epoll", in_epoll },
	{ "epollet", in_epollet },
	{ "oneshot", in_oneshot },
	{ "rdhup", in_rdhup },
	{ "pwait2", in_pwait2 },
	{ "nested", in_nested },
	{ "quiet", quiet },
	{ "edges", edges },
	{ "many-sets", many_sets },
	{ "many-conns", many_conns },
	{ "many-slots", many_slots },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return flow_main(argc, argv, cases);
}
