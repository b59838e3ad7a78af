/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every call that the library serves, on a connection in hardware, answers as the kernel would. One case a run. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"

#define TCP_OPT(opt)	IPPROTO_TCP, opt
#define WANT(cond)	do { if (!(cond)) die("line %d: %s (%s)", __LINE__, #cond, strerror(errno)); } while (0)
#define FAILS(call, err) do {							\
	long rc_;								\
	errno = 0;								\
	rc_ = (long)(call);							\
	if (rc_ != -1 || errno != (err))					\
		die("line %d: %s: %ld, %s", __LINE__, #call, rc_, strerror(errno)); \
} while (0)

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, struct sockaddr *a, socklen_t *n);
int __poll_chk(struct pollfd *p, nfds_t n, int ms, size_t room);
int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *ts, const sigset_t *mask, size_t room);

static struct flow *f;
static unsigned char buf[70000];
static unsigned char *volatile nowhere;	/* NULL; -1: the compiler is not to know */
static volatile int minus = -1;

static void begin(void) { f = flow_open(); }

/* Still in hardware and in order. */
static void end(const char *what)
{
	want_path(f, P_HW, what);
	flow_exchange(f, 20000);
	flow_end(f);
}

/* n bytes are on their way back, and there. */
static void echo(size_t n)
{
	uint64_t until = now_ms() + 5000;
	int there = 0;

	flow_send(f, n);
	while (there < (int)n && now_ms() < until)
		WANT(!ioctl(f->fd, FIONREAD, &there));
	WANT(there == (int)n);
}

static void peek(void)
{
	begin();
	echo(300);
	for (int i = 1; i <= 300; i += 23) {
		uint64_t rx = f->rx;

		WANT(recv(f->fd, buf, i, MSG_PEEK) == i);
		flow_check(f, buf, i);
		f->rx = rx;
	}
	WANT(recv(f->fd, buf, 1000, MSG_PEEK | MSG_DONTWAIT) == 300);
	WANT(recv(f->fd, buf, 1000, 0) == 300);
	flow_check(f, buf, 300);
	FAILS(recv(f->fd, buf, 10, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
	end("peek");
}

static void waitall(void)
{
	struct iovec iov[3] = { { buf, 100 }, { buf + 100, 0 }, { buf + 100, 30000 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 3 };

	begin();
	flow_send(f, 30100);
	WANT(recvmsg(f->fd, &m, MSG_WAITALL) == 30100);
	flow_check(f, buf, 30100);
	flow_send(f, 50);
	WANT(recv(f->fd, buf, 50, MSG_WAITALL | MSG_PEEK) == 50);
	WANT(recv(f->fd, buf, 50, MSG_WAITALL) == 50);
	flow_check(f, buf, 50);
	echo(40);
	WANT(recv(f->fd, buf, 50, MSG_WAITALL | MSG_DONTWAIT) == 40);
	flow_check(f, buf, 40);
	want_path(f, P_HW, "MSG_WAITALL");
	flow_send(f, 70);	/* ended by the peer's FIN, on the way to which it is uploaded */
	WANT(!shutdown(f->fd, SHUT_WR));
	WANT(recv(f->fd, buf, 100, MSG_WAITALL) == 70);
	flow_check(f, buf, 70);
	WANT(recv(f->fd, buf, 100, MSG_WAITALL) == 0);
}

static void trunc_(void)
{
	begin();
	echo(500);
	WANT(recv(f->fd, NULL, 200, MSG_TRUNC) == 200);	/* tcp(7): discards */
	f->rx += 200;
	WANT(recv(f->fd, buf, 300, 0) == 300);
	flow_check(f, buf, 300);
	end("MSG_TRUNC");
}

static void vectors(void)
{
	struct iovec iov[4] = { { buf, 7 }, { NULL, 0 }, { buf + 7, 5000 }, { buf + 5007, 60000 } };
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char ctl[64];
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = iov, .msg_iovlen = 4,
			    .msg_control = ctl, .msg_controllen = sizeof(ctl), .msg_flags = MSG_CTRUNC };
	ssize_t n;

	begin();
	flow_fill(f, buf, 10000);
	iov[3].iov_len = 4993;
	WANT(writev(f->fd, iov, 4) == 10000);
	while (f->rx < f->tx) {
		n = readv(f->fd, iov, 4);
		WANT(n > 0);
		flow_check(f, buf, n);
	}
	echo(100);
	WANT(recvmsg(f->fd, &m, 0) == 100);
	WANT(m.msg_namelen == 0 && m.msg_controllen == 0 && !(m.msg_flags & ~MSG_CMSG_CLOEXEC));
	flow_check(f, buf, 100);
	echo(100);
	WANT(recvfrom(f->fd, buf, 100, 0, (struct sockaddr *)&a, &len) == 100 && len == 0);
	flow_check(f, buf, 100);
	FAILS(readv(f->fd, iov, minus + 1 + IOV_MAX + 1), EINVAL);
	FAILS(readv(f->fd, iov, minus), EINVAL);
	end("vectors");
}

/* Of a socket they have no offset. */
static void vectors2(void)
{
	struct iovec iov[2] = { { buf, 10 }, { buf + 10, 90 } };

	begin();
	echo(200);
	WANT(preadv2(f->fd, iov, 2, -1, 0) == 100);
	flow_check(f, buf, 100);
	WANT(preadv64v2(f->fd, iov, 2, -1, RWF_NOWAIT) == 100);
	flow_check(f, buf, 100);
	FAILS(preadv2(f->fd, iov, 2, -1, RWF_NOWAIT), EAGAIN);
	flow_fill(f, buf, 100);
	WANT(pwritev2(f->fd, iov, 2, -1, 0) == 100);
	flow_fill(f, buf, 100);
	WANT(pwritev64v2(f->fd, iov, 2, -1, RWF_NOWAIT) == 100);
	flow_recv(f, 200);
	want_path(f, P_HW, "preadv2, pwritev2");
	FAILS(preadv2(f->fd, iov, 2, 0, 0), ESPIPE);
	FAILS(pwritev2(f->fd, iov, 2, 0, 0), ESPIPE);
	FAILS(preadv2(f->fd, iov, minus, -1, 0), EINVAL);
	flow_to_hw(f);
	end("preadv2, pwritev2");
}

static void mmsg(void)
{
	struct iovec iov[3] = { { buf, 100 }, { buf + 100, 100 }, { buf + 200, 100 } };
	struct mmsghdr m[3] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[2], .msg_iovlen = 1 } } };
	struct timespec ts = { 0, 50000000 }, bad = { -1, 0 };

	begin();
	flow_fill(f, buf, 300);
	WANT(sendmmsg(f->fd, m, 3, MSG_NOSIGNAL) == 3 && m[2].msg_len == 100);
	memset(buf, 0, 300);
	usleep(100000);
	WANT(recvmmsg(f->fd, m, 3, 0, NULL) == 3 && m[0].msg_len == 100 && m[2].msg_len == 100);
	flow_check(f, buf, 300);
	echo(100);
	WANT(recvmmsg(f->fd, m, 3, MSG_WAITFORONE, &ts) == 1 && m[0].msg_len == 100);
	flow_check(f, buf, 100);
	FAILS(recvmmsg(f->fd, m, 3, MSG_DONTWAIT, NULL), EAGAIN);
	FAILS(recvmmsg(f->fd, m, 3, MSG_DONTWAIT, &bad), EINVAL);
	end("recvmmsg");
}

static void fortified(void)
{
	struct pollfd p = { .events = POLLIN };
	struct timespec ts = { 5, 0 };

	begin();
	p.fd = f->fd;
	flow_send(f, 300);
	WANT(__poll_chk(&p, 1, 5000, sizeof(p)) == 1 && p.revents == POLLIN);
	WANT(__ppoll_chk(&p, 1, &ts, NULL, sizeof(p)) == 1 && p.revents == POLLIN);
	while (f->rx + 200 < f->tx)
		flow_recv(f, f->tx - f->rx - 200);
	echo(0);
	WANT(__read_chk(f->fd, buf, 50, sizeof(buf)) == 50);
	flow_check(f, buf, 50);
	WANT(__recv_chk(f->fd, buf, 50, sizeof(buf), MSG_WAITALL) == 50);
	flow_check(f, buf, 50);
	WANT(__recvfrom_chk(f->fd, buf, 100, sizeof(buf), MSG_WAITALL, NULL, NULL) == 100);
	flow_check(f, buf, 100);
	end("fortified");
}

static void counts(void)
{
	struct tcp_info ti = { 0 };
	socklen_t len = sizeof(ti);
	int n = -1;

	begin();
	WANT(!ioctl(f->fd, FIONREAD, &n) && n == 0);
	WANT(!ioctl(f->fd, SIOCOUTQ, &n) && n == 0);
	WANT(!ioctl(f->fd, SIOCOUTQNSD, &n) && n == 0);
	WANT(!getsockopt(f->fd, TCP_OPT(TCP_INFO), &ti, &len) && len > 100);
	WANT(ti.tcpi_state == 1 && ti.tcpi_rtt > 0 && ti.tcpi_snd_cwnd > 0 && ti.tcpi_unacked == 0);
	WANT(ti.tcpi_snd_mss > 500 && ti.tcpi_rto >= 200000 && ti.tcpi_notsent_bytes == 0);
	len = 8;
	WANT(!getsockopt(f->fd, TCP_OPT(TCP_INFO), &ti, &len) && len == 8);
	len = sizeof(n);
	WANT(!getsockopt(f->fd, TCP_OPT(TCP_MAXSEG), &n, &len) && n > 1000);
	len = sizeof(n);
	WANT(!getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &n, &len) && n == 0);
	end("counts");
}

/* TCP_INFO as the kernel fills it, of the same connection on either path. */
static void info(void)
{
	struct tcp_info k = { 0 }, h = { 0 };
	socklen_t len = sizeof(k);

	begin();
	flow_to_kernel(f);
	flow_exchange(f, 5000);
	WANT(!getsockopt(f->fd, TCP_OPT(TCP_INFO), &k, &len) && len == sizeof(k));
	flow_to_hw(f);
	flow_exchange(f, 30000);
	WANT(!getsockopt(f->fd, TCP_OPT(TCP_INFO), &h, &len) && len == sizeof(h));
	WANT(h.tcpi_state == k.tcpi_state && h.tcpi_ca_state == 0 && h.tcpi_retransmits == 0 && h.tcpi_probes == 0);
	WANT(((h.tcpi_options ^ k.tcpi_options) & 15) == 0 && (h.tcpi_options & TCPI_OPT_TIMESTAMPS));
	WANT(h.tcpi_snd_wscale == k.tcpi_snd_wscale && h.tcpi_rcv_wscale == k.tcpi_rcv_wscale);
	WANT(h.tcpi_snd_mss == k.tcpi_snd_mss && h.tcpi_pmtu == k.tcpi_pmtu && h.tcpi_rcv_mss >= 500);
	WANT(h.tcpi_ato > 0 && h.tcpi_last_data_recv < 60000 && h.tcpi_last_ack_recv < 60000 &&
	     h.tcpi_last_data_sent < 60000);
	WANT(h.tcpi_sacked == 0 && h.tcpi_lost == 0 && h.tcpi_retrans == 0 && h.tcpi_rcv_ssthresh > 1000);
	WANT(h.tcpi_min_rtt > 0 && h.tcpi_min_rtt < 60000000 && h.tcpi_pacing_rate > 0 && h.tcpi_snd_wnd > 0);
	WANT(h.tcpi_bytes_received == f->rx && h.tcpi_bytes_acked == f->tx && h.tcpi_bytes_sent >= f->tx);
	WANT(h.tcpi_segs_in >= 10 && h.tcpi_data_segs_out >= 20 && h.tcpi_segs_out >= h.tcpi_data_segs_out);
	end("info");
}

struct names {
	struct sockaddr_in6 own, peer;
	socklen_t len[2];
};

static void names_now(struct names *n)
{
	*n = (struct names){ .len = { sizeof(n->own), sizeof(n->peer) } };
	WANT(!getsockname(f->fd, (void *)&n->own, &n->len[0]) && !getpeername(f->fd, (void *)&n->peer, &n->len[1]));
}

static atomic_int moves_over;

static void *move_often(void *arg)
{
	for (int i = 0; i < 300; i++) {
		flow_to_hw(f);
		flow_to_kernel(f);
	}
	moves_over = 1;
	return arg;
}

/* On either path, and in the instant in which a move takes the socket apart. */
static void names(void)
{
	struct names k, now;
	pthread_t t;

	begin();
	flow_to_kernel(f);
	names_now(&k);
	flow_to_hw(f);
	names_now(&now);
	WANT(!memcmp(&k, &now, sizeof(k)));
	pthread_create(&t, NULL, move_often, NULL);
	while (!moves_over) {
		names_now(&now);
		WANT(!memcmp(&k, &now, sizeof(k)));
		now.len[0] = 0;
		WANT(!syscall(SYS_getpeername, f->fd, &now.own, &now.len[0]) && now.len[0] == k.len[1]);
	}
	pthread_join(t, NULL);
	flow_to_hw(f);
	end("names");
}

static int opt_of(int level, int opt)
{
	socklen_t len = sizeof(int);
	int v = -1;

	WANT(!getsockopt(f->fd, level, opt, &v, &len));
	return v;
}

static void set_opt(int level, int opt, int v)
{
	WANT(!setsockopt(f->fd, level, opt, &v, sizeof(v)));
}

/* What was set, on whichever path, is there on both. */
static void options(void)
{
	static const struct { int level, opt, v; } o[] = {
		{ TCP_OPT(TCP_NODELAY), 1 }, { SOL_SOCKET, SO_KEEPALIVE, 1 }, { SOL_SOCKET, SO_KEEPALIVE, 0 },
		{ TCP_OPT(TCP_KEEPIDLE), 77 }, { TCP_OPT(TCP_USER_TIMEOUT), 12345 }, { SOL_SOCKET, SO_REUSEADDR, 1 },
		{ SOL_SOCKET, SO_REUSEADDR, 0 }, { SOL_SOCKET, SO_RCVLOWAT, 3 }, { SOL_SOCKET, SO_RCVLOWAT, 1 },
		{ IPPROTO_IP, IP_TOS, 0x10 }, { TCP_OPT(TCP_NODELAY), 0 },
		{ TCP_OPT(TCP_NOTSENT_LOWAT), 20000 },
	};

	begin();
	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		int want = o[i].v;

		for (int first = 0; first < 2; first++) {
			if (first)
				flow_to_kernel(f);
			set_opt(o[i].level, o[i].opt, o[i].v);
			for (int k = 0; k < 2; k++) {
				flow_to_hw(f);
				if (opt_of(o[i].level, o[i].opt) != want)
					die("option %d of %d: %d in hardware, not %d", o[i].opt, o[i].level,
					    opt_of(o[i].level, o[i].opt), want);
				flow_exchange(f, 100);
				flow_to_kernel(f);
				if (opt_of(o[i].level, o[i].opt) != want)
					die("option %d of %d: %d in the kernel, not %d", o[i].opt, o[i].level,
					    opt_of(o[i].level, o[i].opt), want);
			}
			flow_to_hw(f);
		}
	}
	end("options");
}

static void timeouts(void)
{
	struct timeval tv = { 0, 100000 }, zero = { 0, 0 };
	uint64_t start;

	begin();
	WANT(!setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	start = now_ms();
	FAILS(recv(f->fd, buf, 10, 0), EAGAIN);
	WANT(now_ms() - start >= 95);
	start = now_ms();
	FAILS(recv(f->fd, buf, 10, MSG_WAITALL), EAGAIN);
	WANT(now_ms() - start >= 95);
	echo(5);
	WANT(recv(f->fd, buf, 10, MSG_WAITALL) == 5);
	flow_check(f, buf, 5);
	WANT(!setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &zero, sizeof(zero)));
	WANT(!setsockopt(f->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	for (;;) {		/* until nothing fits: the peer's echo is not read */
		ssize_t n;

		flow_fill(f, buf, sizeof(buf));
		start = now_ms();
		n = send(f->fd, buf, sizeof(buf), MSG_NOSIGNAL);
		f->tx -= sizeof(buf) - (n > 0 ? n : 0);
		if (n < 0)
			break;
	}
	WANT(errno == EAGAIN && now_ms() - start >= 95);
	flow_recv(f, f->tx - f->rx);
	end("timeouts");
}

/* With O_NONBLOCK, which it takes off. All that was taken comes back. */
static void fills_up(void)
{
	for (int full = 0; full < 3;) {
		ssize_t n;

		flow_fill(f, buf, sizeof(buf));
		n = write(f->fd, buf, sizeof(buf));
		f->tx -= sizeof(buf) - (n > 0 ? n : 0);
		WANT(n > 0 || errno == EAGAIN);
		full += n < 0;
		if (n < 0)
			usleep(20000);
	}
	WANT(!fcntl(f->fd, F_SETFL, O_RDWR));
	flow_recv(f, f->tx - f->rx);
}

static void nonblocking(void)
{
	int on = 1, off = 0;

	begin();
	FAILS(recv(f->fd, buf, 10, MSG_DONTWAIT), EAGAIN);
	WANT(!ioctl(f->fd, FIONBIO, &on));
	FAILS(read(f->fd, buf, 10), EAGAIN);
	WANT(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	WANT(!ioctl(f->fd, FIONBIO, &off));
	WANT(!fcntl(f->fd, F_SETFL, O_RDWR | O_NONBLOCK));
	FAILS(recvmsg(f->fd, &(struct msghdr){ .msg_iov = &(struct iovec){ buf, 10 }, .msg_iovlen = 1 }, 0), EAGAIN);
	fills_up();
	end("non-blocking");
}

static void odd_lengths(void)
{
	begin();
	WANT(read(f->fd, buf, 0) == 0 && recv(f->fd, buf, 0, 0) == 0);
	WANT(write(f->fd, buf, 0) == 0 && send(f->fd, NULL, 0, 0) == 0);
	echo(10);
	WANT(recv(f->fd, buf, 0, MSG_PEEK) == 0 && read(f->fd, NULL, 0) == 0);
	FAILS(read(f->fd, nowhere, 10), EFAULT);
	FAILS(write(f->fd, nowhere, 10), EFAULT);
	FAILS(recv(f->fd, nowhere, 10, 0), EFAULT);
	FAILS(recvmsg(f->fd, NULL, 0), EFAULT);
	WANT(read(f->fd, buf, 10) == 10);
	flow_check(f, buf, 10);
	end("odd lengths");
}

static int pipes_seen;
static void on_pipe(int sig) { (void)sig; pipes_seen++; }

/* Of a connection on either path. */
static void breaks_pipe(void)
{
	signal(SIGPIPE, on_pipe);
	WANT(!shutdown(f->fd, SHUT_WR));
	FAILS(write(f->fd, buf, 1), EPIPE);
	WANT(pipes_seen == 1);
	FAILS(send(f->fd, buf, 1, MSG_NOSIGNAL), EPIPE);
	WANT(pipes_seen == 1);
	WANT(read(f->fd, buf, 1) == 0);
}

/* The same calls on the kernel path, where a program with one thread has a way of its own. */
static void in_kernel(void)
{
	struct timeval tv = { 0, 100000 }, zero = { 0, 0 };
	uint64_t start;

	f = flow_make();
	flow_dial(f, 0);
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_KERNEL, "in the kernel");
	WANT(read(f->fd, buf, 0) == 0 && write(f->fd, buf, 0) == 0);
	FAILS(recv(f->fd, buf, 10, MSG_DONTWAIT), EAGAIN);
	WANT(!fcntl(f->fd, F_SETFL, O_RDWR | O_NONBLOCK));
	FAILS(read(f->fd, buf, 10), EAGAIN);
	FAILS(write(f->fd, nowhere, 10), EFAULT);
	fills_up();
	WANT(!setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	start = now_ms();
	FAILS(read(f->fd, buf, 10), EAGAIN);
	WANT(now_ms() - start >= 95);
	WANT(!setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &zero, sizeof(zero)));
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_KERNEL, "in the kernel, later");
	breaks_pipe();
	close(f->fd);
}

static void urgent(void)
{
	begin();
	flow_to_hw(f);
	WANT(send(f->fd, "u", 1, MSG_OOB) == 1);
	want_path(f, P_KERNEL, "MSG_OOB");
	FAILS(recv(f->fd, buf, 1, MSG_OOB | MSG_DONTWAIT), EINVAL);
	close(f->fd);
}

/* Small pieces become segments when they should. */
static void corked(void)
{
	begin();
	for (int i = 0; i < 10; i++) {
		flow_fill(f, buf, 10);
		WANT(send(f->fd, buf, 10, MSG_MORE) == 10);
	}
	flow_fill(f, buf, 1);
	WANT(send(f->fd, buf, 1, 0) == 1);
	flow_recv(f, 101);
	set_opt(TCP_OPT(TCP_CORK), 1);
	flow_fill(f, buf, 50);
	WANT(write(f->fd, buf, 50) == 50);
	set_opt(TCP_OPT(TCP_CORK), 0);
	flow_recv(f, 50);
	end("corked");
}

static void broken_pipe(void)
{
	begin();
	breaks_pipe();
	FAILS(shutdown(f->fd, 17), EINVAL);
	WANT(!close(f->fd));
	FAILS(close(f->fd), EBADF);
	FAILS(read(f->fd, buf, 1), EBADF);
}

static void epoll_errors(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 99 }, got;
	const struct timespec bad = { 0, 1000000000 };
	int e = epoll_create1(0);

	begin();
	FAILS(epoll_ctl(e, EPOLL_CTL_MOD, f->fd, &ev), ENOENT);
	FAILS(epoll_ctl(e, EPOLL_CTL_DEL, f->fd, NULL), ENOENT);
	WANT(!epoll_ctl(e, EPOLL_CTL_ADD, f->fd, &ev));
	FAILS(epoll_ctl(e, EPOLL_CTL_ADD, f->fd, &ev), EEXIST);
	FAILS(epoll_ctl(e, EPOLL_CTL_ADD, 999, &ev), EBADF);
	FAILS(epoll_ctl(e, EPOLL_CTL_ADD, e, &ev), EINVAL);
	FAILS(epoll_ctl(f->fd, EPOLL_CTL_ADD, e, &ev), EINVAL);
	FAILS(epoll_wait(e, &got, 0, 0), EINVAL);
	FAILS(epoll_wait(e, &got, minus, 0), EINVAL);
	FAILS(epoll_wait(999, &got, 1, 0), EBADF);
	echo(10);
	WANT(epoll_wait(e, &got, 1, 0) == 1 && got.events == EPOLLIN && got.data.u64 == 99);
	FAILS(epoll_pwait2(e, &got, 1, &bad, NULL), EINVAL);
	ev.data.u64 = 100;
	WANT(!epoll_ctl(e, EPOLL_CTL_MOD, f->fd, &ev));
	WANT(epoll_wait(e, &got, 1, 0) == 1 && got.data.u64 == 100);
	WANT(!epoll_ctl(e, EPOLL_CTL_DEL, f->fd, NULL));
	WANT(epoll_wait(e, &got, 1, 0) == 0);
	flow_recv(f, 10);
	end("epoll errors");
}

static void exclusive(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	int e = epoll_create1(0);

	begin();
	WANT(!epoll_ctl(e, EPOLL_CTL_ADD, f->fd, &ev));
	flow_exchange(f, 10);
	if (flow_try_hw(f))
		die("moved with a registration that cannot be changed");
	flow_send(f, 10);
	WANT(epoll_wait(e, &ev, 1, 5000) == 1 && ev.events == EPOLLIN);
	flow_recv(f, 10);
	flow_end(f);
}

static void poll_errors(void)
{
	struct pollfd p[3] = { { .events = POLLIN | POLLOUT }, { .fd = 999, .events = POLLIN }, { .fd = -1 } };
	struct timeval tv = { 0, 0 };
	fd_set r;

	begin();
	p[0].fd = f->fd;
	WANT(poll(p, 3, 1000) == 2 && p[0].revents == POLLOUT && p[1].revents == POLLNVAL && !p[2].revents);
	FAILS(ppoll(p, 1, &(struct timespec){ 0, -1 }, NULL), EINVAL);
	FD_ZERO(&r);
	FD_SET(f->fd, &r);
	FD_SET(999, &r);
	FAILS(select(1000, &r, NULL, NULL, &tv), EBADF);
	FD_ZERO(&r);
	FD_SET(f->fd, &r);
	tv.tv_usec = 30000;
	WANT(select(f->fd + 1, &r, NULL, NULL, &tv) == 0 && !FD_ISSET(f->fd, &r) && tv.tv_usec == 0);
	WANT(poll(p, 0, 10) == 0);
	end("poll errors");
}

static void masks(void)	/* the signal comes in while the call waits, and only then */
{
	sigset_t block, none;
	struct timespec ts = { 5, 0 };
	struct pollfd p = { .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN };
	int e = epoll_create1(0);

	begin();
	p.fd = f->fd;
	epoll_ctl(e, EPOLL_CTL_ADD, f->fd, &ev);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	signal(SIGUSR1, on_pipe);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	WANT(poll(&p, 1, 20) == 0 && pipes_seen == 0);
	FAILS(ppoll(&p, 1, &ts, &none), EINTR);
	raise(SIGUSR1);
	FAILS(epoll_pwait(e, &ev, 1, 5000, &none), EINTR);
	raise(SIGUSR1);
	FAILS(epoll_pwait2(e, &ev, 1, &ts, &none), EINTR);
	raise(SIGUSR1);
	FAILS(pselect(0, NULL, NULL, NULL, &ts, &none), EINTR);
	WANT(pipes_seen == 4);
	end("masks");
}

/* Set in hardware: in the kernel until it is as before. */
static void needs_kernel(int level, int opt, int on, int off)
{
	flow_again(f, "before an option that needs the kernel");
	set_opt(level, opt, on);
	want_path(f, P_KERNEL, "an option that needs the kernel");
	if (flow_try_hw(f))
		die("moves with option %d of %d", opt, level);
	set_opt(level, opt, off);
}

/* A time for what came, of which only the kernel knows. */
static void timestamped(int opt, int type)
{
	union { char room[256]; struct cmsghdr align; } ctl;
	struct iovec iov = { buf, 100 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint64_t until = now_ms() + 5000;

	flow_again(f, "before timestamps");
	set_opt(SOL_SOCKET, opt, 1);
	do {			/* the kernel begins to take the time a little later */
		m.msg_control = &ctl;
		m.msg_controllen = sizeof(ctl);
		echo(100);
		WANT(recvmsg(f->fd, &m, 0) == 100);
		flow_check(f, buf, 100);
	} while (!m.msg_controllen && now_ms() < until);
	WANT(CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == type);
	set_opt(SOL_SOCKET, opt, 0);
	needs_kernel(SOL_SOCKET, opt, 1, 0);
}

static void peek_on(void)
{
	int off = 0;

	if (setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0 && errno == EOPNOTSUPP)
		return;		/* before Linux 6.9 */
	echo(300);
	WANT(recv(f->fd, buf, 100, MSG_PEEK) == 100);
	WANT(recv(f->fd, buf, 300, MSG_PEEK) == 200);
	WANT(recv(f->fd, buf, 300, 0) == 300);
	flow_check(f, buf, 300);
	set_opt(SOL_SOCKET, SO_PEEK_OFF, -1);
	needs_kernel(SOL_SOCKET, SO_PEEK_OFF, 0, -1);
}

static void kernel_options(void)
{
	begin();
	peek_on();
	timestamped(SO_TIMESTAMP, SCM_TIMESTAMP);
	timestamped(SO_TIMESTAMPNS, SCM_TIMESTAMPNS);
	needs_kernel(IPPROTO_IP, IP_MINTTL, 2, 0);
	flow_again(f, "no option needs the kernel any more");
	end("options that need the kernel");
}

/* recvmsg() of 100 bytes; what it says is left, into so much room */
static int left_behind(size_t room, struct msghdr *m)
{
	static union { char bytes[256]; struct cmsghdr align; } ctl;
	static struct iovec iov = { buf, 100 };
	int left = -1;

	memset(&ctl, 0xff, sizeof(ctl));
	*m = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = room };
	WANT(recvmsg(f->fd, m, 0) == 100);
	flow_check(f, buf, 100);
	if (m->msg_controllen < CMSG_LEN(sizeof(int)))
		return -1;
	WANT(CMSG_FIRSTHDR(m)->cmsg_level == IPPROTO_TCP && CMSG_FIRSTHDR(m)->cmsg_type == TCP_CM_INQ);
	WANT(CMSG_FIRSTHDR(m)->cmsg_len == CMSG_LEN(sizeof(int)));
	memcpy(&left, CMSG_DATA(CMSG_FIRSTHDR(m)), sizeof(left));
	return left;
}

static void inq(void)
{
	struct msghdr m;

	begin();
	set_opt(TCP_OPT(TCP_INQ), 1);
	for (int k = 0; k < 2; k++) {	/* in hardware, then in the kernel: the same */
		echo(700);
		for (int left = 600; left > 300; left -= 100)
			WANT(left_behind(256, &m) == left);
		WANT(m.msg_controllen == CMSG_SPACE(sizeof(int)) && !m.msg_flags);
		WANT(left_behind(CMSG_LEN(sizeof(int)), &m) == 300);
		WANT(m.msg_controllen == CMSG_LEN(sizeof(int)) && !m.msg_flags);
		WANT(left_behind(CMSG_LEN(0), &m) == -1);
		WANT(m.msg_controllen == CMSG_LEN(0) && m.msg_flags == MSG_CTRUNC);
		WANT(left_behind(0, &m) == -1);
		WANT(m.msg_controllen == 0 && m.msg_flags == MSG_CTRUNC);
		WANT(left_behind(256, &m) == 0);
		if (!k)
			want_path(f, P_HW, "TCP_INQ");
		flow_to_kernel(f);
	}
	set_opt(TCP_OPT(TCP_INQ), 0);
	flow_to_hw(f);
	echo(100);
	WANT(left_behind(256, &m) == -1 && m.msg_controllen == 0);
	end("TCP_INQ");
}

/* connect() does nothing before the first send(): not so those of a move. */
static void fastopen(void)
{
	flow_fastopen = 1;
	begin();
	for (int k = 0; k < 3; k++) {
		flow_to_kernel(f);
		flow_exchange(f, 3000);
		flow_to_hw(f);
		flow_exchange(f, 3000);
	}
	end("TCP_FASTOPEN_CONNECT");
}

static volatile sig_atomic_t ios;

static void on_io(int sig)
{
	(void)sig;
	ios = ios + 1;
}

/* Nothing is asked before the signal has come. */
static void echo_tells(const char *when)
{
	uint64_t until = now_ms() + 5000;

	ios = 0;
	flow_send(f, 500);
	while (!ios && now_ms() < until)
		usleep(1000);
	if (!ios)
		die("no SIGIO %s", when);
	flow_recv(f, 500);
}

static void set_async(bool by_ioctl, int on)
{
	int flags = fcntl(f->fd, F_GETFL);

	WANT(by_ioctl ? !ioctl(f->fd, FIOASYNC, &on) : !fcntl(f->fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC));
}

static void signal_driven(bool by_ioctl)
{
	signal(SIGIO, on_io);
	begin();
	WANT(!fcntl(f->fd, F_SETOWN, getpid()));
	set_async(by_ioctl, 1);
	echo_tells("of a connection that was in hardware");
	WANT(!flow_try_hw(f));
	echo_tells("after another move was asked for");
	set_async(by_ioctl, 0);
	flow_again(f, "no SIGIO is wanted any more");
	end("O_ASYNC");
}

static void async_fcntl(void) { signal_driven(false); }
static void async_ioctl(void) { signal_driven(true); }

static const struct flow_case cases[] = {
	{ "peek", peek },
	{ "waitall", waitall },
	{ "trunc", trunc_ },
	{ "vectors", vectors },
	{ "vectors2", vectors2 },
	{ "mmsg", mmsg },
	{ "fortified", fortified },
	{ "counts", counts }, { "info", info },
	{ "names", names },
	{ "options", options },
	{ "kernel-options", kernel_options },
	{ "inq", inq },
	{ "fastopen", fastopen },
	{ "timeouts", timeouts },
	{ "nonblocking", nonblocking },
	{ "odd-lengths", odd_lengths },
	{ "in-kernel", in_kernel },
	{ "urgent", urgent },
	{ "corked", corked },
	{ "broken-pipe", broken_pipe },
	{ "epoll-errors", epoll_errors },
	{ "exclusive", exclusive },
	{ "poll-errors", poll_errors },
	{ "masks", masks },
	{ "async-fcntl", async_fcntl },
	{ "async-ioctl", async_ioctl },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return flow_main(argc, argv, cases);
}
