/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library against lib_fake.h: single calls on a connection in hardware, and what becomes of descriptors. */
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <netinet/tcp.h>
#include "lib_peer.h"
#include "lib/daemon.h"
#include "lib/wait.h"

static void on_alarm(int sig)
{
	(void)sig;
}

static unsigned long acks_after(unsigned long acks)
{
	for (int i = 0; i < 200 && ld_acq(&fake.acks) == acks; i++)
		usleep(10000);
	return ld_acq(&fake.acks) - acks;
}

/* An acknowledgement that is owed goes with TCP_QUICKACK; one that is not does not. */
static void quick_ack(struct peer *p)
{
	struct ring *r = &fake_find(p->fd)->r;
	unsigned long acks = ld_acq(&fake.acks);
	int one = 1;

	assert_int_equal(setsockopt(p->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)), 0);
	usleep(20000);
	assert_int_equal(ld_acq(&fake.acks), acks);
	st(&r->ctl->ack_due, TOE_ACK_ONE);
	assert_int_equal(setsockopt(p->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)), 0);
	assert_int_equal(acks_after(acks), 1);
	st(&r->ctl->ack_due, 0);
}

/* Several segments that were read are acknowledged when the reader waits; one segment, or what an answer took along, is not. */
static void several_read(struct peer *p)
{
	static const struct { uint32_t due, answered; unsigned long acks; } t[] = {
		{ TOE_ACK_ONE, 0, 0 }, { TOE_ACK_SEVERAL, 1, 0 }, { TOE_ACK_SEVERAL, 0, 1 },
	};
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	struct ring *r = &fake_find(p->fd)->r;
	unsigned long acks;
	char buf[8];

	for (size_t i = 0; i < NR(t); i++) {
		assert_int_equal(send(p->fd, "two", 3, 0), 3);
		assert_int_equal(poll(&pfd, 1, 5000), 1);
		acks = ld_acq(&fake.acks);
		st(&r->ctl->ack_due, t[i].due);
		assert_int_equal(recv(p->fd, buf, 3, MSG_WAITALL), 3);
		if (t[i].answered)
			st(&r->ctl->ack_due, 0);
		else
			usleep(20000);
		assert_int_equal(ld_acq(&fake.acks), acks);
		assert_int_equal(poll(&pfd, 1, 0), 0);
		if (!t[i].acks)
			usleep(20000);
		assert_int_equal(t[i].acks ? acks_after(acks) : ld_acq(&fake.acks) - acks, t[i].acks);
		st(&r->ctl->ack_due, 0);
	}
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
	quick_ack(&p);
	several_read(&p);
	setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(recv(p.fd, buf, 5, 0), -1);
	assert_int_equal(errno, EAGAIN);
	tv.tv_usec = 0;
	setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(word_path(ld_acq(&fake.table[p.fd].word)), TOE_PATH_HW);
	hang_up(&p);
}

/* A window that has to close for want of a reader: what is there is enough then, whatever was asked for. */
static void test_small_window(void **state)
{
	struct timeval tv = { 2, 0 };
	struct pollfd f = { .events = POLLIN };
	static char buf[60000];
	int low = sizeof(buf);
	int64_t start;
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	st(&fake.table[p.fd].rx_most, 8192);
	f.fd = p.fd;
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)), 0);
	assert_int_equal(write(p.fd, buf, 3000), 3000);
	assert_int_equal(poll(&f, 1, 100), 0);
	assert_int_equal(write(p.fd, buf, 3000), 3000);
	assert_int_equal(poll(&f, 1, 1000), 1);
	start = wait_now();
	assert_true(recv(p.fd, buf, sizeof(buf), MSG_PEEK | MSG_WAITALL) >= 4096);
	assert_true(wait_now() - start < 1000000000);
	assert_int_equal(recv(p.fd, buf, 6000, MSG_WAITALL), 6000);
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

/* ---- a thread that is cancelled while the library makes what it needs: no lock stays behind ---- */

static int (*libc_fcntl)(int fd, ...);
static __thread bool doomed;

static int cancelling_fcntl(int fd, ...)
{
	va_list ap;
	void *arg;
	int cmd;

	va_start(ap, fd);
	cmd = va_arg(ap, int);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (doomed)
		pthread_cancel(pthread_self());
	return libc_fcntl(fd, cmd, arg);
}

static void *doomed_write(void *arg)
{
	struct peer *p = arg;

	doomed = true;
	assert_int_equal(write(p->fd, "last", 4), 4);
	pthread_testcancel();
	return NULL;
}

static void test_cancelled(void **state)
{
	struct peer p;
	pthread_t t;
	void *rc;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	libc_fcntl = real.fcntl;
	real.fcntl = cancelling_fcntl;
	pthread_create(&t, NULL, doomed_write, &p);
	pthread_join(t, &rc);
	real.fcntl = libc_fcntl;
	assert_ptr_equal(rc, PTHREAD_CANCELED);
	signal(SIGALRM, SIG_DFL);
	alarm(20);
	expect_back(&p, "last");
	assert_int_equal(write(p.fd, "next", 4), 4);
	expect_back(&p, "next");
	pthread_create(&t, NULL, late_write, &p);
	pthread_join(t, NULL);
	expect_back(&p, "late");
	hang_up(&p);
	alarm(0);
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

static pthread_barrier_t all_there;

static void *first_connection(void *listener)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	getsockname(*(int *)listener, (void *)&a, &len);
	pthread_barrier_wait(&all_there);
	return connect(fd, (void *)&a, sizeof(a)) || !sonode_get(fd) ? "not tracked" : NULL;
}

/* While one thread introduces the process to toed the others wait, and are not left out. */
static void test_threads_first(void **state)
{
	int st, i, bad = 0, ls = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t t[4];
	void *wrong;

	(void)state;
	assert_int_equal(listen(ls, NR(t)), 0);
	if (!fork()) {
		pthread_barrier_init(&all_there, NULL, NR(t));
		for (i = 0; i < (int)NR(t); i++)
			pthread_create(&t[i], NULL, first_connection, &ls);
		for (i = 0; i < (int)NR(t); i++) {
			pthread_join(t[i], &wrong);
			bad += wrong != NULL;
		}
		_exit(bad);
	}
	wait(&st);
	assert_int_equal(st, 0);
	close(ls);
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

/* ---- calls that only the kernel serves: no move may come while they last ---- */

static int spied = -1, nr_spied;
static ssize_t (*libc_send)(int fd, const void *buf, size_t len, int flags);
static ssize_t (*libc_sendto)(int fd, const void *buf, size_t len, int flags, const struct sockaddr *a, socklen_t n);
static ssize_t (*libc_sendmsg)(int fd, const struct msghdr *m, int flags);

static void spy(int fd)
{
	if (fd != spied)	/* the engine has a descriptor of its own */
		return;
	nr_spied++;
	assert_int_equal(word_path(ld_acq(&fake.table[fd].word)), TOE_PATH_KERNEL);
	assert_int_equal(ld_sc(&fake.table[fd].users), 1);
	assert_false(fake_offload(fd));
}

static ssize_t spy_send(int fd, const void *buf, size_t len, int flags)
{
	spy(fd);
	return libc_send(fd, buf, len, flags);
}

static ssize_t spy_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *a, socklen_t n)
{
	spy(fd);
	return libc_sendto(fd, buf, len, flags, a, n);
}

static ssize_t spy_sendmsg(int fd, const struct msghdr *m, int flags)
{
	spy(fd);
	return libc_sendmsg(fd, m, flags);
}

static void spy_on(int fd)
{
	libc_send = real.send;
	libc_sendto = real.sendto;
	libc_sendmsg = real.sendmsg;
	real.send = spy_send;
	real.sendto = spy_sendto;
	real.sendmsg = spy_sendmsg;
	spied = fd;
}

static void spy_off(void)
{
	spied = -1;
	real.send = libc_send;
	real.sendto = libc_sendto;
	real.sendmsg = libc_sendmsg;
}

static ssize_t send_control(int fd, const char *text)
{
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(uint32_t))];
	} ctl = { .hdr = { CMSG_LEN(sizeof(uint32_t)), SOL_SOCKET, SO_TIMESTAMPING } };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl) };

	return sendmsg(fd, &m, 0);
}

static void test_kernel_only(void **state)
{
	struct peer p;

	(void)state;
	dial_echo(&p);
	spy_on(p.fd);
	to_hw(&p);
	assert_int_equal(send(p.fd, "zero", 4, MSG_ZEROCOPY), 4);
	expect_back(&p, "zero");
	to_hw(&p);
	assert_int_equal(sendto(p.fd, "copy", 4, MSG_ZEROCOPY, NULL, 0), 4);
	expect_back(&p, "copy");
	to_hw(&p);
	assert_int_equal(send_control(p.fd, "control"), 7);
	expect_back(&p, "control");
	to_hw(&p);
	assert_int_equal(send(p.fd, "urgent!", 7, MSG_OOB), 7);
	expect_back(&p, "urgent");	/* the last byte is out of band there */
	assert_int_equal(nr_spied, 4);
	assert_int_equal(ld_sc(&fake.table[p.fd].users), 0);
	spy_off();
	hang_up(&p);
}

/* ---- syscall() ---- */

static void raw_waits(struct peer *p)
{
	struct timespec ts = { 5, 0 };
	struct pollfd pfd = { p->fd, POLLIN, 0 };
	struct { const uint64_t *set; size_t size; } mask = { NULL, 8 };
	fd_set in;

	assert_int_equal(write(p->fd, "1", 1), 1);
	assert_int_equal(syscall(SYS_ppoll, &pfd, 1, &ts, NULL, 8), 1);
	assert_true(ts.tv_sec < 5);	/* what is left of the time */
	expect_back(p, "1");
	FD_ZERO(&in);
	FD_SET(p->fd, &in);
	assert_int_equal(write(p->fd, "2", 1), 1);
	assert_int_equal(syscall(SYS_pselect6, p->fd + 1, &in, NULL, NULL, &ts, &mask), 1);
	assert_true(FD_ISSET(p->fd, &in));
	expect_back(p, "2");
	ts = (struct timespec){ 0, 30000000 };
	assert_int_equal(syscall(SYS_ppoll, &pfd, 1, &ts, NULL, 8), 0);
	assert_true(!ts.tv_sec && !ts.tv_nsec);
}

static void raw_epoll(struct peer *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 9 }, got;
	struct timespec ts = { 5, 0 };
	int ep = (int)syscall(SYS_epoll_create1, 0);

	assert_int_equal(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p->fd, &ev), 0);
	assert_int_equal(write(p->fd, "3", 1), 1);
	assert_int_equal(syscall(SYS_epoll_pwait2, ep, &got, 1, &ts, NULL, 8), 1);
	assert_int_equal(got.data.u32, 9);
	assert_int_equal(syscall(SYS_epoll_pwait, ep, &got, 1, 5000, NULL, 8), 1);
	expect_back(p, "3");
	close(ep);
}

static void test_raw(void **state)
{
	char in[2][4];
	struct iovec iov[4] = { { "four", 4 }, { "five", 4 }, { in[0], 4 }, { in[1], 4 } };
	struct mmsghdr out[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				  { .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } },
			back[2] = { { .msg_hdr = { .msg_iov = &iov[2], .msg_iovlen = 1 } },
				    { .msg_hdr = { .msg_iov = &iov[3], .msg_iovlen = 1 } } };
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	raw_waits(&p);
	raw_epoll(&p);
	assert_int_equal(syscall(SYS_sendmmsg, p.fd, out, 2, 0), 2);
	assert_int_equal(syscall(SYS_recvmmsg, p.fd, back, 2, MSG_WAITALL, NULL), 2);
	assert_memory_equal(in, "fourfive", 8);
	assert_int_equal(word_path(ld_acq(&fake.table[p.fd].word)), TOE_PATH_HW);
	hang_up(&p);
}

/* ---- what is no memory ---- */

#define FAULTS(call) do { errno = 0; assert_int_equal(call, -1); assert_int_equal(errno, EFAULT); } while (0)

static void test_faults(void **state)
{
	void *volatile low = (void *)1, *volatile high = (void *)-4096L;
	char buf[4];
	struct iovec bad_first[2] = { { low, 4 }, { buf, 4 } }, bad_last[2] = { { "good", 4 }, { low, 4 } },
		     in[2] = { { buf, 4 }, { low, 1 } };
	struct msghdr m = { .msg_iov = bad_first, .msg_iovlen = 2 };
	socklen_t len = 4;
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	FAULTS(write(p.fd, low, 10));
	FAULTS(send(p.fd, high, 10, 0));
	FAULTS(writev(p.fd, bad_first, 2));
	FAULTS(writev(p.fd, low, 2));
	FAULTS(sendmsg(p.fd, &m, 0));
	FAULTS(sendmsg(p.fd, low, 0));
	assert_int_equal(writev(p.fd, bad_last, 2), 4);
	FAULTS(read(p.fd, low, 10));
	FAULTS(recv(p.fd, NULL, 10, 0));
	FAULTS(recvmsg(p.fd, &m, 0));
	FAULTS(getsockopt(p.fd, IPPROTO_TCP, TCP_INFO, low, &len));
	FAULTS(getsockopt(p.fd, SOL_SOCKET, SO_KEEPALIVE, NULL, &len));
	FAULTS(getsockopt(p.fd, IPPROTO_TCP, TCP_INFO, buf, low));
	FAULTS(ioctl(p.fd, FIONREAD, low));
	FAULTS(poll(low, 1, 0));
	FAULTS(select(p.fd + 1, low, NULL, NULL, NULL));
	assert_int_equal(write(p.fd, low, 0), 0);
	assert_int_equal(readv(p.fd, in, 2), 4);
	assert_memory_equal(buf, "good", 4);
	assert_int_equal(write(p.fd, "gone", 4), 4);
	assert_int_equal(recv(p.fd, NULL, 4, MSG_TRUNC | MSG_WAITALL), 4);
	hang_up(&p);
}

/* ---- the library's own descriptors, closed behind its back ---- */

static int fill_up_to(int fd, int *first)
{
	int got;

	*first = real.dup(2);
	for (got = *first; got < fd; got = real.dup(2))
		;
	assert_int_equal(got, fd);
	return real.close(got);
}

static void test_given_away(void **state)
{
	int n, first, fd;
	struct peer p;

	(void)state;
	dial_echo(&p);
	to_hw(&p);
	assert_int_equal(write(p.fd, "one", 3), 3);
	expect_back(&p, "one");

	n = daemon_eventfd();
	assert_int_equal(close(n), -1);		/* ours */
	assert_int_equal(errno, EBADF);
	fd = eventfd(0, 0);
	real.dup2(fd, n);			/* now the application's, and an eventfd as well */
	assert_int_equal(close(n), 0);
	assert_int_equal(close(n), -1);
	close(fd);

	n = wait_ctx()->epfd;
	real.close(n);
	assert_int_equal(fill_up_to(n, &first), 0);
	assert_int_equal(epoll_create1(0), n);
	assert_int_equal(write(p.fd, "two", 3), 3);
	expect_back(&p, "two");
	assert_int_not_equal(wait_ctx()->epfd, n);
	assert_int_equal(close(n), 0);
	real.close_range(first, n, 0);
	while (fake_upload_drained(p.fd) == -EAGAIN)
		;
	hang_up(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_small_window),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_dup_shutdown),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_threads_first), cmocka_unit_test(test_close_all),
		cmocka_unit_test(test_kernel_only),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_given_away),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
