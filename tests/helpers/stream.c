/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream test: both ends send pseudo-random bytes to each other at once and
 * check every byte they get, by its position and by a hash that ends each
 * direction. A hang is reported with all positions. Exit: 0 right, 1 wrong
 * bytes or an unexpected error, 2 no progress or deadline, 64 usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/stream_conn.h"

static const char *const style_names[NR_STYLES] = { "threads", "epoll", "epollet", "poll", "select" };

struct options opt = { .nr = 1, .total = 64 << 20, .stall_s = 20, .deadline_s = 300, .port = "7000",
	  .max_chunk = MAX_CHUNK };

static struct conn *conns;
uint64_t start_ns;
static atomic_uint nr_ready;		/* conns[] below this may be looked at by the watch thread */

/* What the stack knows: who is to blame for a stall. */
static void report_stack(int fd)
{
	struct tcp_info ti = { 0 };
	socklen_t len = sizeof(ti);
	int unread = -1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len))
		return;
	ioctl(fd, FIONREAD, &unread);
	fprintf(stderr, "    state %u, unread %d, unacked %u, unsent %u, window %u, RTO %u us, backoff %u, probes %u, "
		"data %u ms ago, ACK %u ms ago\n", ti.tcpi_state, unread, ti.tcpi_unacked, ti.tcpi_notsent_bytes,
		ti.tcpi_snd_wnd, ti.tcpi_rto, ti.tcpi_backoff, ti.tcpi_probes, ti.tcpi_last_data_recv,
		ti.tcpi_last_ack_recv);
}

static void report(const char *what)
{
	unsigned int i;

	fprintf(stderr, "stream: %s: %s\n", opt.server ? "server" : "client", what);
	for (i = 0; i < nr_ready; i++) {
		if (conns[i].rx_eof && conns[i].tx_shut)
			continue;
		fprintf(stderr, "  conn %u fd %d: sent %llu, received %llu of %llu + 8%s%s\n", conns[i].id,
			conns[i].fd, (unsigned long long)conns[i].tx_pos, (unsigned long long)conns[i].rx_pos,
			(unsigned long long)conns[i].total, conns[i].tx_shut ? ", sent FIN" : "",
			conns[i].rx_eof ? ", got FIN" : "");
		report_stack(conns[i].fd);
	}
}

_Noreturn void fail(int rc, const char *what)
{
	report(what);
	_exit(rc);
}

_Noreturn void fail_errno(const struct conn *c, const char *call)
{
	char msg[128];

	snprintf(msg, sizeof(msg), "conn %u: %s: %s", c->id, call, strerror(errno));
	fail(1, msg);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void *watch(void *arg)
{
	uint64_t start = now_ns(), moved = start, last = ~0ULL, sum;
	unsigned int i;

	(void)arg;
	for (;;) {
		usleep(200000);
		for (i = 0, sum = nr_ready; i < nr_ready; i++)
			sum += conns[i].tx_pos + conns[i].rx_pos + conns[i].rx_eof;
		if (sum != last)
			moved = now_ns();
		last = sum;
		if (now_ns() - moved > opt.stall_s * 1000000000ULL)
			fail(2, "no progress");
		if (now_ns() - start > opt.deadline_s * 1000000000ULL)
			fail(2, "deadline");
	}
	return NULL;
}

static void *writer(void *arg)
{
	struct conn *c = arg;
	unsigned char *buf = malloc(MAX_CHUNK);

	while (!tx_all(c))
		conn_tx(c, buf);
	if (opt.early)
		conn_shut(c);
	free(buf);
	return NULL;
}

static void *reader(void *arg)
{
	struct conn *c = arg;
	unsigned char *buf = malloc(MAX_CHUNK);
	struct pollfd p = { c->fd, POLLIN, 0 };

	while (opt.early ? !c->rx_eof : !rx_all(c))
		if (!conn_rx(c, buf))
			poll(&p, 1, -1);	/* after MSG_DONTWAIT */
	free(buf);
	return NULL;
}

static void run_threads(void)
{
	pthread_t *t = calloc(2 * opt.nr, sizeof(*t));
	unsigned char *buf = malloc(MAX_CHUNK);
	unsigned int i;

	for (i = 0; i < opt.nr; i++) {
		pthread_create(&t[2 * i], NULL, writer, &conns[i]);
		pthread_create(&t[2 * i + 1], NULL, reader, &conns[i]);
	}
	for (i = 0; i < 2 * opt.nr; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < opt.nr; i++)	/* all before the first wait: the peer may have them in another order */
		conn_shut(&conns[i]);
	for (i = 0; i < opt.nr; i++) {
		while (!conns[i].rx_eof)
			conn_rx(&conns[i], buf);
		conn_close(&conns[i]);
	}
	free(buf);
	free(t);
}

/* Some operations in both directions; true if anything may still be done without waiting. */
static bool conn_step(struct conn *c, unsigned char *buf)
{
	if (c->readable && !c->rx_eof && !conn_rx(c, buf))
		c->readable = false;
	if (c->writable && !tx_all(c) && !conn_tx(c, buf))
		c->writable = false;
	conn_shut(c);
	if (conn_over(c))
		conn_close(c);
	return !conn_over(c) && ((c->readable && !c->rx_eof) || (c->writable && !tx_all(c)));
}

static void wait_epoll(int ep, int timeout)
{
	struct epoll_event ev[64];
	struct conn *c;
	int i, n = epoll_wait(ep, ev, 64, timeout);

	if (n < 0 && errno != EINTR)
		fail(1, "epoll_wait");
	for (i = 0; i < n; i++) {
		c = ev[i].data.ptr;
		c->readable |= !!(ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR));
		c->writable |= !!(ev[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR));
	}
}

static void want_epoll(int ep, enum style style, struct conn *c, int op)
{
	struct epoll_event ev = { .data.ptr = c };

	ev.events = EPOLLIN;
	if (style == EPOLLET_)
		ev.events |= EPOLLOUT | EPOLLRDHUP | EPOLLET;
	else if (!tx_all(c) && !c->writable)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(ep, op, c->fd, &ev))
		fail_errno(c, "epoll_ctl");
}

static void wait_poll(int timeout)
{
	struct pollfd *p = calloc(opt.nr, sizeof(*p));
	unsigned int i;

	for (i = 0; i < opt.nr; i++) {
		p[i].fd = conns[i].fd;
		p[i].events = POLLIN | (tx_all(&conns[i]) ? 0 : POLLOUT);
	}
	if (poll(p, opt.nr, timeout) < 0 && errno != EINTR)
		fail(1, "poll");
	for (i = 0; i < opt.nr; i++) {
		conns[i].readable |= !!(p[i].revents & (POLLIN | POLLHUP | POLLERR));
		conns[i].writable |= !!(p[i].revents & (POLLOUT | POLLHUP | POLLERR));
	}
	free(p);
}

static void wait_select(int timeout)
{
	struct timeval tv = { timeout / 1000, timeout % 1000 * 1000 };
	fd_set in, out;
	unsigned int i;
	int top = -1;

	FD_ZERO(&in);
	FD_ZERO(&out);
	for (i = 0; i < opt.nr; i++) {
		if (conns[i].fd < 0)
			continue;
		if (!conns[i].rx_eof)
			FD_SET(conns[i].fd, &in);
		if (!tx_all(&conns[i]))
			FD_SET(conns[i].fd, &out);
		top = conns[i].fd > top ? conns[i].fd : top;
	}
	if (select(top + 1, &in, &out, NULL, timeout < 0 ? NULL : &tv) < 0 && errno != EINTR)
		fail(1, "select");
	for (i = 0; i < opt.nr; i++) {
		if (conns[i].fd < 0)
			continue;
		conns[i].readable |= !!FD_ISSET(conns[i].fd, &in);
		conns[i].writable |= !!FD_ISSET(conns[i].fd, &out);
	}
}

static void run_events(enum style style)
{
	int ep = style == EPOLL || style == EPOLLET_ ? epoll_create1(EPOLL_CLOEXEC) : -1;
	unsigned char *buf = malloc(MAX_CHUNK);
	unsigned int i, open = opt.nr;
	bool busy = true;

	for (i = 0; i < opt.nr; i++) {
		fcntl(conns[i].fd, F_SETFL, fcntl(conns[i].fd, F_GETFL) | O_NONBLOCK);
		if (ep >= 0)
			want_epoll(ep, style, &conns[i], EPOLL_CTL_ADD);
	}
	while (open) {
		if (ep >= 0)
			wait_epoll(ep, busy ? 0 : -1);
		else if (style == POLL)
			wait_poll(busy ? 0 : -1);
		else
			wait_select(busy ? 0 : -1);
		for (i = 0, open = 0, busy = false; i < opt.nr; i++) {
			if (conn_over(&conns[i]))
				continue;
			busy |= conn_step(&conns[i], buf);
			if (conn_over(&conns[i]))
				continue;
			if (style == EPOLL)
				want_epoll(ep, style, &conns[i], EPOLL_CTL_MOD);
			open++;
		}
	}
	free(buf);
	close(ep);
}

static int sock_for(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, zero = 0;

	if (fd < 0 || !opt.server)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	return fd;
}

static void recv_hello(int fd, struct hello *h)
{
	struct timeval tv = { opt.stall_s, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (recv(fd, h, sizeof(*h), MSG_WAITALL) != sizeof(*h) || h->magic != HELLO_MAGIC)
		fail(1, "no hello");
	tv.tv_sec = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static void accept_all(const struct addrinfo *ai)
{
	int l = sock_for(ai), fd;
	struct hello h;
	unsigned int i;

	if (l < 0 || bind(l, ai->ai_addr, ai->ai_addrlen) || listen(l, 1024))
		fail(1, strerror(errno));
	printf("stream: listening on port %s\n", opt.port);
	fflush(stdout);
	for (i = 0; i < opt.nr; i++) {
		fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			fail(1, strerror(errno));
		recv_hello(fd, &h);
		conn_start(&conns[i], fd, &h);
		nr_ready++;
	}
	close(l);
}

static int connect_patiently(const struct addrinfo *ai)
{
	uint64_t end = now_ns() + 5000000000ULL;
	int fd;

	for (;;) {
		fd = sock_for(ai);
		if (fd < 0)
			fail(1, strerror(errno));
		if (!connect(fd, ai->ai_addr, ai->ai_addrlen))
			return fd;
		if (errno != ECONNREFUSED || now_ns() > end)
			fail(1, strerror(errno));
		close(fd);
		usleep(20000);
	}
}

static void connect_all(const struct addrinfo *ai)
{
	struct hello h = { .magic = HELLO_MAGIC, .seed = opt.seed, .total = opt.total };
	int fd;

	for (h.id = 0; h.id < opt.nr; h.id++) {
		fd = connect_patiently(ai);
		if (send(fd, &h, sizeof(h), MSG_NOSIGNAL) != sizeof(h))
			fail(1, "cannot send hello");
		conn_start(&conns[h.id], fd, &h);
		nr_ready++;
	}
}

static uint64_t parse_size(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 0);

	switch (*end) {
	case 'G':
		n <<= 10;
		/* fall through */
	case 'M':
		n <<= 10;
		/* fall through */
	case 'K':
		n <<= 10;
	}
	return n;
}

static const char usage[] =
	"usage: stream [options] server|client [ADDRESS]\n"
	"  -p PORT      default 7000\n"
	"  -n NR        connections; the same number on both sides\n"
	"  -b BYTES     each way on each connection (K, M, G); the client's counts\n"
	"  -s STYLE     threads, epoll, epollet, poll, select\n"
	"  -S SEED      default: the time; printed\n"
	"  -c BYTES     largest chunk of one call, at most 1M\n"
	"  -P USEC      now and then pause up to this long\n"
	"  -r BYTES     a second, at most, on each connection; SIGUSR1 ends that\n"
	"  -w MSEC      wait before the first byte\n"
	"  -e           send FIN as soon as all is sent\n"
	"  -T SECONDS   give up after so long without progress, default 20\n"
	"  -D SECONDS   give up after so long, default 300\n";

static void parse_style(const char *name)
{
	for (opt.style = 0; opt.style < NR_STYLES; opt.style++)
		if (!strcmp(name, style_names[opt.style]))
			return;
	fputs(usage, stderr);
	exit(64);
}

static void parse_options(int argc, char **argv)
{
	int o;

	while ((o = getopt(argc, argv, "p:n:b:s:S:c:P:r:w:eT:D:")) != -1)
		switch (o) {
		case 'p': opt.port = optarg; break;
		case 'n': opt.nr = atoi(optarg); break;
		case 'b': opt.total = parse_size(optarg); break;
		case 's': parse_style(optarg); break;
		case 'S': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'c': opt.max_chunk = parse_size(optarg); break;
		case 'P': opt.pause_us = atoi(optarg); break;
		case 'r': opt.rate = parse_size(optarg); break;
		case 'w': opt.wait_ms = atoi(optarg); break;
		case 'e': opt.early = true; break;
		case 'T': opt.stall_s = atoi(optarg); break;
		case 'D': opt.deadline_s = atoi(optarg); break;
		default: fputs(usage, stderr); exit(64);
		}
	if (optind == argc || !opt.nr || !opt.max_chunk || opt.max_chunk > MAX_CHUNK) {
		fputs(usage, stderr);
		exit(64);
	}
	opt.server = !strcmp(argv[optind], "server");
	opt.addr = argv[optind + 1];
	if (!opt.seed)
		opt.seed = mix64(now_ns() ^ getpid());
}

/* The rest as fast as it goes. */
static void on_usr1(int sig)
{
	(void)sig;
	opt.rate = 0;
}

int main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *ai;
	pthread_t watcher;
	double secs;

	parse_options(argc, argv);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_usr1, .sa_flags = SA_RESTART }, NULL);
	conns = calloc(opt.nr, sizeof(*conns));
	printf("stream: %s seed 0x%llx style %s\n", opt.server ? "server" : "client",
	       (unsigned long long)opt.seed, style_names[opt.style]);
	fflush(stdout);
	if (getaddrinfo(opt.addr ? opt.addr : "::", opt.port, &hints, &ai))
		fail(64, "bad address");
	pthread_create(&watcher, NULL, watch, NULL);
	if (opt.server)
		accept_all(ai);
	else
		connect_all(ai);
	freeaddrinfo(ai);
	printf("stream: connected\n");
	fflush(stdout);
	usleep(opt.wait_ms * 1000);
	start_ns = now_ns();
	if (opt.style == THREADS)
		run_threads();
	else
		run_events(opt.style);
	secs = (now_ns() - start_ns) / 1e9;
	printf("stream: ok, %u connections, %llu bytes each way, %.2f s, %.1f MB/s each way\n", opt.nr,
	       (unsigned long long)conns[0].total, secs, opt.nr * conns[0].total / secs / 1e6);
	return 0;
}
