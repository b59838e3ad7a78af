/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library as a whole against lib_fake.h: every way of waiting, across changes of path. */
#include "test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include "lib_fake.h"

#define STREAM	(6U << 20)

static uint8_t pat(uint32_t off)
{
	return off * 2654435761U >> 13 ^ off >> 8;
}

static void fill(uint8_t *p, uint32_t off, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = pat(off + i);
}

static void check(const uint8_t *p, uint32_t off, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != pat(off + i)) {
			fprintf(stderr, "wrong byte at %u\n", (unsigned int)(off + i));
			abort();
		}
}

/* The peer: a plain socket that sends everything back. */
static void *echo(void *arg)
{
	int ls = *(int *)arg, s = real.accept(ls, NULL, NULL);
	static __thread uint8_t buf[30000];
	ssize_t n, k, done;

	while ((n = libc_recv(s, buf, sizeof(buf), 0)) > 0)
		for (done = 0; done < n; done += k)
			if ((k = real.send(s, buf + done, n - done, MSG_NOSIGNAL)) < 0)
				break;
	real.close(s);
	return NULL;
}

struct peer {
	int ls, fd;
	pthread_t thread, flip;
	int flipping, moves;
};

static void dial_echo(struct peer *p)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	memset(p, 0, sizeof(*p));
	p->ls = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->ls, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->ls, 1), 0);
	getsockname(p->ls, (void *)&a, &len);
	pthread_create(&p->thread, NULL, echo, &p->ls);
	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(p->fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(word_path(ld_acq(&fake.table[p->fd].word)), TOE_PATH_KERNEL);
}

static void hang_up(struct peer *p)
{
	assert_int_equal(close(p->fd), 0);
	assert_int_equal(word_path(ld_acq(&fake.table[p->fd].word)), TOE_PATH_NONE);
	pthread_join(p->thread, NULL);
	close(p->ls);
}

static void *flip(void *arg)
{
	struct peer *p = arg;
	unsigned int seed = 1;

	while (ld(&p->flipping)) {
		if (fake_offload(p->fd))
			p->moves++;
		usleep(rand_r(&seed) % 4000);
		if (!fake_upload_drained(p->fd))
			p->moves++;
		usleep(rand_r(&seed) % 500);
	}
	return NULL;
}

static void flip_start(struct peer *p)
{
	st(&p->flipping, 1);
	pthread_create(&p->flip, NULL, flip, p);
}

static void flip_stop(struct peer *p)
{
	st(&p->flipping, 0);
	pthread_join(p->flip, NULL);
	pthread_mutex_lock(&fake.lock);
	print_message("  %d moves, %lu frames, %lu acks, %lu binds, %lu doorbells\n", p->moves,
		      fake.frames, fake.acks, fake.binds, fake.doorbells);
	pthread_mutex_unlock(&fake.lock);
	assert_true(p->moves > 0);
	assert_int_equal(ld(&fake.bad), 0);
}

static void *writer(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[50000];
	uint32_t off = 0;
	unsigned int seed = 2;

	while (off < STREAM) {
		size_t n = 1 + rand_r(&seed) % sizeof(buf);
		struct iovec iov[3] = { { buf, n / 3 }, { buf + n / 3, 0 }, { buf + n / 3, n - n / 3 } };

		if (n > STREAM - off)
			n = STREAM - off, iov[2].iov_len = n - iov[0].iov_len;
		if (n < iov[0].iov_len)
			continue;
		fill(buf, off, n);
		if ((n & 1 ? write(p->fd, buf, n) : writev(p->fd, iov, 3)) != (ssize_t)n) {
			perror("short write");
			abort();
		}
		off += n;
	}
	return NULL;
}

static void test_blocking(void **state)
{
	static uint8_t buf[40000];
	unsigned int seed = 3;
	uint32_t off = 0;
	struct peer p;
	pthread_t w;

	(void)state;
	dial_echo(&p);
	flip_start(&p);
	pthread_create(&w, NULL, writer, &p);
	while (off < STREAM) {
		size_t want = 1 + rand_r(&seed) % sizeof(buf);
		int all = want & 1 && want < STREAM - off ? MSG_WAITALL : 0;
		ssize_t n = recv(p.fd, buf, want, all);

		assert_true(n > 0);
		if (all)
			assert_int_equal(n, want);
		check(buf, off, n);
		off += n;
	}
	pthread_join(w, NULL);
	flip_stop(&p);
	hang_up(&p);
}

struct duplex {
	uint32_t in, out;
};

/* Non-blocking: as much as goes. False: would block in the direction asked for. */
static void pump_in(struct peer *p, struct duplex *d, bool drain)
{
	static uint8_t buf[20000];
	ssize_t n;

	do {
		n = read(p->fd, buf, sizeof(buf));
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		assert_int_not_equal(n, 0);
		if (n > 0) {
			check(buf, d->in, n);
			d->in += n;
		}
	} while (drain && n > 0);
}

static void pump_out(struct peer *p, struct duplex *d, bool drain)
{
	static uint8_t buf[20000];
	ssize_t n;

	do {
		size_t want = STREAM - d->out < sizeof(buf) ? STREAM - d->out : sizeof(buf);

		if (!want)
			return;
		fill(buf, d->out, want);
		n = send(p->fd, buf, want, 0);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			d->out += n;
	} while (drain && n > 0);
}

static void run_epoll(uint32_t mode)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | mode, .data.u64 = 4711 };
	struct duplex d = { 0, 0 };
	struct peer p;
	int ep, n;

	dial_echo(&p);
	fcntl(p.fd, F_SETFL, O_NONBLOCK);
	ep = epoll_create1(0);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev), 0);
	flip_start(&p);
	while (d.in < STREAM) {
		struct epoll_event got[4];

		n = epoll_wait(ep, got, 4, 5000);
		assert_int_equal(n, 1);
		assert_int_equal(got[0].data.u64, 4711);
		assert_int_equal(got[0].events & ~(EPOLLIN | EPOLLOUT), 0);
		if (got[0].events & EPOLLIN)
			pump_in(&p, &d, mode & EPOLLET);
		if (got[0].events & EPOLLOUT)
			pump_out(&p, &d, mode & EPOLLET);
		if (mode & EPOLLONESHOT || (!(mode & EPOLLET) && d.out == STREAM)) {
			ev.events = EPOLLIN | (d.out < STREAM ? EPOLLOUT : 0) | mode;
			assert_int_equal(epoll_ctl(ep, EPOLL_CTL_MOD, p.fd, &ev), 0);
		}
	}
	flip_stop(&p);
	hang_up(&p);
	assert_int_equal(epoll_wait(ep, &ev, 1, 10), 0);
	close(ep);
}

static void test_epoll_lt(void **state)
{
	(void)state;
	run_epoll(0);
}

static void test_epoll_et(void **state)
{
	(void)state;
	run_epoll(EPOLLET);
}

static void test_epoll_oneshot(void **state)
{
	(void)state;
	run_epoll(EPOLLONESHOT);
}

static void run_polled(bool use_select)
{
	struct duplex d = { 0, 0 };
	struct peer p;

	dial_echo(&p);
	fcntl(p.fd, F_SETFL, O_NONBLOCK);
	flip_start(&p);
	while (d.in < STREAM) {
		struct pollfd f = { p.fd, POLLIN | (d.out < STREAM ? POLLOUT : 0), 0 };
		struct timeval tv = { 5, 0 };
		fd_set r, w;

		FD_ZERO(&r);
		FD_ZERO(&w);
		FD_SET(p.fd, &r);
		if (d.out < STREAM)
			FD_SET(p.fd, &w);
		assert_true((use_select ? select(p.fd + 1, &r, &w, NULL, &tv) : poll(&f, 1, 5000)) > 0);
		if (use_select ? FD_ISSET(p.fd, &r) : f.revents & POLLIN)
			pump_in(&p, &d, false);
		if (use_select ? d.out < STREAM && FD_ISSET(p.fd, &w) : f.revents & POLLOUT)
			pump_out(&p, &d, false);
	}
	flip_stop(&p);
	hang_up(&p);
}

static void test_poll(void **state)
{
	(void)state;
	run_polled(false);
}

static void test_select(void **state)
{
	(void)state;
	run_polled(true);
}

static void to_hw(struct peer *p)
{
	while (!fake_offload(p->fd))
		usleep(1000);
}

/* Wait until n bytes are back. */
static void expect_back(struct peer *p, const char *what)
{
	char buf[64];
	size_t n = strlen(what);

	assert_int_equal(recv(p->fd, buf, n, MSG_WAITALL), n);
	assert_memory_equal(buf, what, n);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_calls(void **state)
{
	struct timeval tv = { 0, 30000 };
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	struct peer p;
	char buf[64];
	int n;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	assert_int_equal(send(p.fd, "hello", 5, 0), 5);
	assert_int_equal(recv(p.fd, buf, 5, MSG_PEEK | MSG_WAITALL), 5);
	assert_int_equal(ioctl(p.fd, FIONREAD, &n), 0);
	assert_int_equal(n, 5);
	expect_back(&p, "hello");
	assert_int_equal(recv(p.fd, buf, 5, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(getsockopt(p.fd, IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
	assert_int_equal(ti.tcpi_rtt, 1234);
	setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(recv(p.fd, buf, 5, 0), -1);
	assert_int_equal(errno, EAGAIN);
	tv.tv_usec = 0;
	setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(word_path(ld_acq(&fake.table[p.fd].word)), TOE_PATH_HW);
	hang_up(&p);
}

static void *late_write(void *arg)
{
	struct peer *p = arg;

	usleep(50000);
	if (write(p->fd, "late", 4) != 4)
		abort();
	return NULL;
}

/* SA_RESTART: the call goes on; without it: EINTR. */
static void test_signals(void **state)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval it = { .it_value = { 0, 20000 } };
	pthread_t t;
	struct peer p;
	char buf[8];

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	pthread_create(&t, NULL, late_write, &p);
	assert_int_equal(read(p.fd, buf, 4), 4);
	pthread_join(t, NULL);
	sa.sa_flags = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	assert_int_equal(read(p.fd, buf, 4), -1);
	assert_int_equal(errno, EINTR);
	hang_up(&p);
}

static void test_dup_shutdown(void **state)
{
	struct peer p;
	char buf[8];
	int d;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	d = dup(p.fd);
	assert_int_equal(word_path(ld_acq(&fake.table[p.fd].word)), TOE_PATH_KERNEL);
	assert_int_equal(fake.table[p.fd].stay, 1);
	assert_int_equal(write(d, "ab", 2), 2);
	expect_back(&p, "ab");
	close(d);
	hang_up(&p);

	dial_echo(&p);
	to_hw(&p);
	assert_int_equal(write(p.fd, "xyz", 3), 3);
	expect_back(&p, "xyz");
	assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
	assert_int_equal(word_path(ld_acq(&fake.table[p.fd].word)), TOE_PATH_KERNEL);
	assert_int_equal(read(p.fd, buf, 8), 0);
	hang_up(&p);
}

/* The child registers, waits for and closes an inherited socket. */
static void kid_epoll(struct peer *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 5 };
	int ep = epoll_create1(0), ok;
	char buf[4];

	alarm(10);
	ok = ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev) && write(p->fd, "kid", 3) == 3 &&
	     epoll_wait(ep, &ev, 1, 5000) == 1 && ev.data.u32 == 5 && read(p->fd, buf, 3) == 3;
	_exit(ok && !close(p->fd) ? 0 : 1);
}

static void test_fork(void **state)
{
	struct peer p;
	int st;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	if (!fork()) {
		char buf[4];
		int ok = write(p.fd, "kid", 3) == 3 && read(p.fd, buf, 3) == 3 &&
			 !memcmp(buf, "kid", 3);

		_exit(ok ? 0 : 1);
	}
	wait(&st);
	assert_int_equal(st, 0);
	assert_int_equal(word_path(ld_acq(&fake.table[p.fd].word)), TOE_PATH_KERNEL);
	to_hw(&p);
	assert_int_equal(write(p.fd, "dad", 3), 3);
	expect_back(&p, "dad");
	if (!fork())
		kid_epoll(&p);
	wait(&st);
	assert_int_equal(st, 0);
	hang_up(&p);
}

/* A one-shot registration that has fired stays silent across a move until it is renewed. */
static void test_oneshot_move(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = ~3ULL }, got;
	struct peer p;
	int ep, i;

	(void)state;
	dial_echo(&p);
	ep = epoll_create1(0);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(write(p.fd, "once", 4), 4);
		assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
		assert_true(got.data.u64 == ~3ULL);
		if (i & 1) {
			expect_back(&p, "once");	/* the engine here uploads only what is empty */
			while (fake_upload_drained(p.fd) == -EAGAIN)
				;
			assert_int_equal(write(p.fd, "once", 4), 4);
		} else {
			to_hw(&p);
		}
		assert_int_equal(epoll_wait(ep, &got, 1, 50), 0);
		assert_int_equal(epoll_ctl(ep, EPOLL_CTL_MOD, p.fd, &ev), 0);
		assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
		assert_true(got.data.u64 == ~3ULL);
		expect_back(&p, "once");
		assert_int_equal(epoll_ctl(ep, EPOLL_CTL_MOD, p.fd, &ev), 0);
	}
	hang_up(&p);
	close(ep);
}

/* A socket in hardware that is always readable leaves turns to others, whatever room the caller gives. */
static void test_turns(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 1 };
	int ep, pipes[2], i, seen[3] = { 0 };
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	ep = epoll_create1(0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev), 0);
	ev.data.u32 = 2;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &ev), 0);
	assert_int_equal(write(p.fd, "x", 1), 1);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(recv(p.fd, &i, 1, MSG_PEEK), 1);
	for (i = 0; i < 200; i++) {
		assert_int_equal(epoll_wait(ep, &ev, 1, 1000), 1);
		seen[ev.data.u32]++;
	}
	assert_true(seen[1] > 50 && seen[2] > 5);
	expect_back(&p, "x");
	hang_up(&p);
	close(ep);
	close(pipes[0]);
	close(pipes[1]);
}

/* An application that closes everything it does not know. */
static void test_close_all(void **state)
{
	struct peer p;
	int i, lo, fd;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	assert_int_equal(write(p.fd, "one", 3), 3);
	expect_back(&p, "one");
	lo = 700;
	for (i = 0; i < 3; i++) {
		for (fd = lo; i == 0 && fd < 800; fd++)
			close(fd);
		for (fd = lo; i == 1 && fd < 800; fd++)
			dup2(2, fd);
		if (i == 2)
			close_range(lo, 799, 0);
		assert_int_equal(write(p.fd, "two", 3), 3);
		expect_back(&p, "two");
	}
	hang_up(&p);
}

/* An epoll instance in another, and in poll(). */
static void test_nested(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 1 }, got;
	struct pollfd f;
	struct peer p;
	int in, out;

	(void)state;
	dial_echo(&p);
	in = epoll_create1(0);
	out = epoll_create1(0);
	assert_int_equal(epoll_ctl(out, EPOLL_CTL_ADD, in, &ev), 0);
	ev.data.u32 = 2;
	assert_int_equal(epoll_ctl(in, EPOLL_CTL_ADD, p.fd, &ev), 0);
	to_hw(&p);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(p.fd, "nest", 4), 4);
		f = (struct pollfd){ in, POLLIN, 0 };
		do {
			assert_int_equal(i & 1 ? poll(&f, 1, 5000) : epoll_wait(out, &got, 1, 5000), 1);
		} while (epoll_wait(in, &got, 1, 0) == 0);
		assert_int_equal(got.data.u32, 2);
		expect_back(&p, "nest");
	}
	hang_up(&p);
	close(in);
	close(out);
}

static int start(void **state)
{
	(void)state;
	fake_start();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_epoll_lt),
		cmocka_unit_test(test_epoll_et),
		cmocka_unit_test(test_epoll_oneshot),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_dup_shutdown),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_oneshot_move),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_close_all),
		cmocka_unit_test(test_nested),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
