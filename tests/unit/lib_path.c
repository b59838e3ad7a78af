/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library as a whole against lib_fake.h: every way of waiting, across changes of path. */
#include "test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <time.h>
#include "lib/qp.h"
#include "lib/wait.h"
#include "lib_peer.h"

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

static void *flip(void *arg)
{
	struct peer *p = arg;
	unsigned int seed = 1;

	while (ld(&p->flipping)) {
		if (fake_offload(p->fd))
			st(&p->moves, p->moves + 1);
		usleep(rand_r(&seed) % 4000);
		if (!fake_upload_drained(p->fd))
			st(&p->moves, p->moves + 1);
		usleep(rand_r(&seed) % 500);
	}
	return NULL;
}

/* Returns when it has moved once: on a busy machine the test may else be over before the thread has run. */
static void flip_start(struct peer *p)
{
	st(&p->flipping, 1);
	pthread_create(&p->flip, NULL, flip, p);
	for (int i = 0; i < 10000 && !ld(&p->moves); i++)
		usleep(1000);
}

static void flip_stop(struct peer *p)
{
	st(&p->flipping, 0);
	pthread_join(p->flip, NULL);
	pthread_mutex_lock(&fake.lock);
	print_message("  %d moves, %lu frames, %lu trains, %lu batches, %lu acks, %lu binds, %lu doorbells\n", p->moves,
		      fake.frames, fake.trains, fake.batches, fake.acks, fake.binds, fake.doorbells);
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
	for (i = 0; i < 600; i++) {
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

/* What a writer may leave behind is twice cwnd, 64 KiB at least, unless SO_SNDBUF says something. */
static void test_room(void **state)
{
	static const struct { uint32_t cwnd, most; int sndbuf; } rows[] = {
		{ 0, 65536, 0 }, { 20000, 65536, 0 }, { 40000, 80000, 0 }, { 65535, 131070, 0 }, { 65536, 131072, 0 },
		{ 4000000000U, 131072, 0 }, { 20000, 100000, 50000 }, { 4000000000U, 100000, 50000 },
	};
	static uint8_t buf[140000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct toe_ring_ctl *ctl;
		struct peer p;

		dial_echo(&p);
		to_hw(&p);
		assert_int_equal(send(p.fd, "bind", 4, 0), 4);
		expect_back(&p, "bind");
		ctl = fake_find(p.fd)->r.ctl;
		pthread_mutex_lock(&fake.lock);		/* the engine takes nothing meanwhile */
		st(&ctl->cwnd, rows[i].cwnd);
		st(&ctl->snd_edge, ld(&ctl->snd_nxt));
		if (rows[i].sndbuf)
			setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &rows[i].sndbuf, sizeof(int));
		assert_int_equal(send(p.fd, buf, sizeof(buf), MSG_DONTWAIT), rows[i].most);
		assert_int_equal(send(p.fd, buf, 1, MSG_DONTWAIT), -1);
		st(&ctl->snd_edge, ld(&ctl->snd_nxt) + 20000);
		pthread_mutex_unlock(&fake.lock);
		for (size_t got = 0; got < rows[i].most;) {
			ssize_t n = recv(p.fd, buf, sizeof(buf), 0);

			assert_true(n > 0);
			got += (size_t)n;
		}
		hang_up(&p);
	}
}

/* What the tx ring may keep: twice cwnd, 64 KiB at least, and what was sent beyond cwnd besides, for it has arrived. */
static void test_tx_most(void **state)
{
	static const struct { uint32_t cwnd, flight, most; } t[] = {
		{ 10000, 0, 65536 }, { 40000, 40000, 80000 }, { 10000, 30000, 85536 }, { 40000, 50000, 90000 },
		{ 10000, 0xfffffff0, 65536 },		/* no figure of an engine's */
	};
	struct toe_ring_ctl was;
	struct sonode *sn;
	struct ring r;
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	sn = slot_get(p.fd);
	assert_int_equal(sonode_ring(sn, sonode_word(sn), &r), 0);
	assert_true(r.tx_size >= 90000);
	was = *r.ctl;
	for (size_t i = 0; i < NR(t); i++) {
		r.ctl->cwnd = t[i].cwnd;
		r.ctl->snd_nxt = was.snd_una + t[i].flight;
		assert_int_equal(sonode_ring(sn, sonode_word(sn), &r), 0);
		assert_int_equal(r.tx_most, t[i].most);
	}
	*r.ctl = was;
	hang_up(&p);
}

/* BINDs get lost: who waits is woken all the same, and not by way of the kernel. */
static void test_lost_binds(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd f = { .events = POLLIN };
	struct peer p;
	int waited = 0;

	(void)state;
	for (int i = 0; i < 90; i++) {
		int ep = epoll_create1(0);

		dial_echo(&p);
		to_hw(&p);
		setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 5, 0 }, sizeof(struct timeval));
		st(&fake.lose, 2);
		assert_int_equal(write(p.fd, "lost", 4), 4);
		f.fd = p.fd;
		if (i % 3 == 1)
			assert_int_equal(poll(&f, 1, 5000), 1);
		if (i % 3 == 2) {
			assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev), 0);
			assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
		}
		expect_back(&p, "lost");
		assert_true(fake_find(p.fd)->on);
		waited += !ld(&fake.lose);
		st(&fake.lose, 0);
		hang_up(&p);
		close(ep);
	}
	assert_in_range(waited, 45, 90);	/* on a busy machine an answer may be there before anybody waits */
}

struct late {
	struct sonode *sn;
	struct ring r;
};

static void *bind_late(void *arg)
{
	struct late *l = arg;

	return qp_bind(l->sn, &l->r);
}

/* A thread that was put aside with the rings of an earlier word takes the doorbell from nobody. */
static void test_late_thread(void **state)
{
	struct sonode *sn;
	pthread_t thread;
	struct late late;
	struct peer p;
	uint32_t word;
	void *qp;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	late.sn = sn = sonode_get(p.fd);
	assert_int_equal(sonode_ring(sn, sonode_word(sn), &late.r), 0);
	while (fake_upload_drained(p.fd) == -EAGAIN)
		;
	to_hw(&p);
	assert_int_equal(write(p.fd, "mine", 4), 4);
	expect_back(&p, "mine");
	word = sn->qp_word;
	qp = sn->qp;
	assert_int_equal(word, sonode_word(sn));
	assert_int_equal(pthread_create(&thread, NULL, bind_late, &late), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sn->qp_word, word);
	assert_ptr_equal(sn->qp, qp);
	hang_up(&p);
}

struct sleeper {
	pthread_t thread;
	int ep, nr;
	bool polls;		/* and looks then */
	struct epoll_event got;
};

static void *sleeper(void *arg)
{
	struct sleeper *s = arg;
	struct pollfd f = { s->ep, POLLIN, 0 };

	if (s->polls)
		poll(&f, 1, 5000);
	s->nr = epoll_wait(s->ep, &s->got, 1, s->polls ? 0 : 5000);
	return NULL;
}

/* A connection comes from the hardware path into a set in which another thread is asleep, with nothing in it or with one of
 * the kernel's: that thread is told of what arrives, and of nothing else. */
static void test_added_meanwhile(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 7 }, other = { .events = EPOLLIN };
	struct sleeper s = { 0 };
	struct peer p, idle;

	(void)state;
	dial_echo(&idle);
	for (int i = 0; i < 20; i++) {
		s.ep = epoll_create1(0);
		if (i % 2)
			assert_int_equal(epoll_ctl(s.ep, EPOLL_CTL_ADD, idle.fd, &other), 0);
		dial_echo(&p);
		to_hw(&p);
		assert_int_equal(write(p.fd, "a", 1), 1);
		pthread_create(&s.thread, NULL, sleeper, &s);
		usleep(20000);
		assert_int_equal(epoll_ctl(s.ep, EPOLL_CTL_ADD, p.fd, &ev), 0);
		if (i % 4 < 2) {
			usleep(1000);
			assert_int_equal(write(p.fd, "b", 1), 1);
		}
		pthread_join(s.thread, NULL);
		assert_int_equal(s.nr, 1);
		assert_int_equal(s.got.data.u64, 7);
		assert_int_equal(s.got.events, EPOLLIN);
		expect_back(&p, i % 4 < 2 ? "ab" : "a");
		hang_up(&p);
		close(s.ep);
	}
	hang_up(&idle);
}

/* Two threads asleep in a set: each connection wakes one that handles it alone, though one doorbell rings for both. */
static void two_asleep(uint32_t how)
{
	struct epoll_event ev = { .events = EPOLLIN | how };
	struct sleeper s[2];
	struct peer p[2];
	int ep = epoll_create1(0);

	for (uint32_t i = 0; i < 2; i++) {
		dial_echo(&p[i]);
		to_hw(&p[i]);
		ev.data.u32 = i + 1;
		assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p[i].fd, &ev), 0);
		s[i] = (struct sleeper){ .ep = ep };
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&s[i].thread, NULL, sleeper, &s[i]);
	for (int i = 0; i < 2; i++) {
		usleep(20000);
		assert_int_equal(write(p[i].fd, "x", 1), 1);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(s[i].thread, NULL);
		assert_int_equal(s[i].nr, 1);
	}
	assert_int_equal(s[0].got.data.u32 + s[1].got.data.u32, 3);
	for (int i = 0; i < 2; i++) {
		expect_back(&p[i], "x");
		hang_up(&p[i]);
	}
	close(ep);
}

static void test_two_asleep(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		two_asleep(EPOLLET);
		two_asleep(EPOLLONESHOT);
	}
}

static void *write_later(void *arg)
{
	usleep(20000);
	assert_int_equal(write(((struct peer *)arg)->fd, "x", 1), 1);
	return NULL;
}

static int (*ppoll_of_libc)(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask);

static int late_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
	int got = ppoll_of_libc(fds, n, ts, mask);

	usleep(100000);
	return got;
}

/* Data comes in time, but the thread that it wakes is late: that is not a timeout. */
static void test_late_poll(void **state)
{
	struct pollfd f = { .events = POLLIN };
	struct timeval tv = { .tv_usec = 50000 };
	pthread_t thread;
	struct peer p;
	fd_set set;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	ppoll_of_libc = real.ppoll;
	real.ppoll = late_ppoll;
	for (int i = 0; i < 2; i++) {
		pthread_create(&thread, NULL, write_later, &p);
		f.fd = p.fd;
		FD_ZERO(&set);
		FD_SET(p.fd, &set);
		assert_int_equal(i ? select(p.fd + 1, &set, NULL, NULL, &tv) : poll(&f, 1, 50), 1);
		pthread_join(thread, NULL);
		expect_back(&p, "x");
	}
	real.ppoll = ppoll_of_libc;
	hang_up(&p);
}

/* A connection comes with unread bytes into a set that has its queue pair's TAP already, and in which a thread is asleep: no frame
 * tells of them. Or it is asleep in poll() of the set, or in a set that holds it. */
static void added_ready(bool polls, bool nested)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 1 }, none;
	int ep = epoll_create1(0), outer = epoll_create1(0);
	struct sleeper s = { .ep = nested ? outer : ep, .polls = polls };
	struct peer p[2];
	struct pollfd f;
	int64_t start;

	for (int i = 0; i < 2; i++) {
		dial_echo(&p[i]);
		to_hw(&p[i]);
	}
	assert_int_equal(write(p[0].fd, "x", 1), 1);
	expect_back(&p[0], "x");
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p[0].fd, &ev), 0);
	if (nested)
		assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &ev), 0);
	assert_int_equal(write(p[1].fd, "y", 1), 1);
	f = (struct pollfd){ p[1].fd, POLLIN, 0 };
	assert_int_equal(poll(&f, 1, 5000), 1);
	assert_int_equal(epoll_wait(ep, &none, 1, 10), 0);
	pthread_create(&s.thread, NULL, sleeper, &s);
	usleep(50000);
	ev.data.u32 = 2;
	start = wait_now();
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p[1].fd, &ev), 0);
	pthread_join(s.thread, NULL);
	assert_true(wait_now() - start < 400000000);
	assert_int_equal(s.nr, 1);
	assert_int_equal(s.got.data.u32, nested ? 1 : 2);
	expect_back(&p[1], "y");
	for (int i = 0; i < 2; i++)
		hang_up(&p[i]);
	close(ep);
	close(outer);
}

static void test_added_ready(void **state)
{
	(void)state;
	added_ready(false, false);
	added_ready(true, false);
}

static void test_added_nested(void **state)
{
	(void)state;
	added_ready(false, true);
}

static int (*pwait_of_libc)(int epfd, struct epoll_event *ev, int n, int ms, const sigset_t *mask);
static int hups;

static int pwait_hup(int epfd, struct epoll_event *ev, int n, int ms, const sigset_t *mask)
{
	int got = pwait_of_libc(epfd, ev, n, ms, mask);

	for (int i = 0; i < got; i++)
		if (ev[i].data.u32 == 7) {
			ev[i].events = EPOLLHUP;
			hups++;
		}
	return got;
}

static void *idle(void *arg)
{
	pause();
	return arg;
}

/* A FIN makes toed give a connection back; in the instant in which that closes the socket the kernel says hang-up, and no more. What
 * the application is told is what there is then: bytes and the FIN. */
static void test_untrue_hup(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.u32 = 7 }, got;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int ep = epoll_create1(0), ls = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), peer;
	pthread_t other;

	(void)state;
	pthread_create(&other, NULL, idle, NULL);	/* with one thread the library passes libc by */
	assert_int_equal(bind(ls, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(ls, 1), 0);
	getsockname(ls, (void *)&a, &len);
	assert_int_equal(connect(fd, (void *)&a, sizeof(a)), 0);
	peer = real.accept(ls, NULL, NULL);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	pwait_of_libc = real.epoll_pwait;
	real.epoll_pwait = pwait_hup;
	assert_int_equal(real.send(peer, "bye", 3, 0), 3);
	assert_int_equal(real.shutdown(peer, SHUT_WR), 0);
	usleep(20000);
	assert_int_equal(epoll_wait(ep, &got, 1, 1000), 1);
	real.epoll_pwait = pwait_of_libc;
	assert_true(hups > 0);
	assert_int_equal(got.events, EPOLLIN | EPOLLRDHUP);
	pthread_cancel(other);
	pthread_join(other, NULL);
	close(fd);
	real.close(peer);
	close(ls);
	close(ep);
}

/* Two descriptors of one epoll instance, as by tokio: registered by one, waited for by the other, and one is closed. */
static void test_copied_set(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 42 }, got[8];
	int ep, copy;
	struct peer p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		ep = epoll_create1(0);
		copy = i & 1 ? dup(ep) : fcntl(ep, F_DUPFD_CLOEXEC, 0);
		dial_echo(&p);
		assert_int_equal(epoll_ctl(copy, EPOLL_CTL_ADD, p.fd, &ev), 0);
		to_hw(&p);
		if (i & 2)
			close(ep);
		for (int j = 0; j < 5; j++) {
			assert_int_equal(write(p.fd, "copy", 4), 4);
			assert_int_equal(epoll_wait(i & 2 ? copy : ep, got, 8, 5000), 1);
			assert_int_equal(got[0].data.u64, 42);
			assert_int_equal(got[0].events, EPOLLIN);
			expect_back(&p, "copy");
			if (j == 2)
				assert_int_equal(fake_upload_drained(p.fd), 0);
		}
		hang_up(&p);
		close(copy);
		if (!(i & 2))
			close(ep);
	}
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

/* No toed. Who only looks is not kept waiting: the engines' part of it is at hand. */
static void test_killed(void **state)
{
	struct tcp_info ti = { 0 };
	socklen_t len = sizeof(ti);
	int64_t start;
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	assert_int_equal(write(p.fd, "one", 3), 3);
	expect_back(&p, "one");
	st(&fake.killed, 1);
	usleep(100000);
	start = wait_now();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(getsockopt(p.fd, IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
		assert_int_equal(ti.tcpi_rtt, 1234);
	}
	assert_true(wait_now() - start < 1000000000);
	assert_int_equal(write(p.fd, "two", 3), 3);
	expect_back(&p, "two");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_epoll_lt),
		cmocka_unit_test(test_epoll_et),
		cmocka_unit_test(test_epoll_oneshot),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_oneshot_move),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_tx_most),
		cmocka_unit_test(test_lost_binds),
		cmocka_unit_test(test_late_thread),
		cmocka_unit_test(test_added_meanwhile),
		cmocka_unit_test(test_two_asleep),
		cmocka_unit_test(test_added_ready),
		cmocka_unit_test(test_added_nested),
		cmocka_unit_test(test_untrue_hup),
		cmocka_unit_test(test_late_poll),
		cmocka_unit_test(test_copied_set),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_killed),		/* the last */
	};

	return cmocka_run_group_tests(tests, start, stop);
}
