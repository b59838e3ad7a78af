/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * echo [-t THREADS] [ADDRESS] PORT: an epoll server that sends back what it receives, as plain as such a server
 * is written: level-triggered epoll_wait, one read, one write. Prints "listening".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

struct worker {
	int epfd, listener;
};

static struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };

static int parse(const char *text, const char *port)
{
	unsigned char v4[4];

	addr.sin6_port = htons((uint16_t)atoi(port));
	if (!text || inet_pton(AF_INET6, text, &addr.sin6_addr) == 1)
		return 0;
	if (inet_pton(AF_INET, text, v4) != 1)
		return -1;
	memset(addr.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(addr.sin6_addr.s6_addr + 12, v4, 4);
	return 0;
}

static int add(int epfd, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

static int listen_on(void)
{
	int one = 1, zero = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4096))
		return -1;
	return fd;
}

static int open_worker(struct worker *w)
{
	w->epfd = epoll_create1(0);
	w->listener = listen_on();
	if (w->epfd < 0 || w->listener < 0 || add(w->epfd, w->listener))
		return -1;
	return 0;
}

static void take_all(struct worker *w)
{
	int one = 1, fd;

	while ((fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (add(w->epfd, fd))
			close(fd);
	}
}

/* A reply that the socket does not take at once: the client has too much outstanding. */
static bool echo(int fd, char *buf, size_t size)
{
	ssize_t n = read(fd, buf, size), m;

	if (n <= 0) {
		if (n && errno != EAGAIN && errno != EINTR)
			perror("read");
		return n && (errno == EAGAIN || errno == EINTR);
	}
	m = write(fd, buf, (size_t)n);
	if (m != n)
		fprintf(stderr, "write: %zd of %zd: %s\n", m, n, m < 0 ? strerror(errno) : "no room");
	return m == n;
}

static void *serve(void *arg)
{
	static __thread char buf[65536];
	struct epoll_event ev[EVENTS];
	struct worker *w = arg;

	for (;;) {
		int n = epoll_wait(w->epfd, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == w->listener)
				take_all(w);
			else if (!echo(ev[i].data.fd, buf, sizeof(buf)))
				close(ev[i].data.fd);
		}
		if (n < 0 && errno != EINTR)
			return NULL;
	}
}

int main(int argc, char **argv)
{
	struct rlimit lim = { 65536, 65536 };
	static struct worker w[64];
	int nr = 1, i, c;
	pthread_t t;

	while ((c = getopt(argc, argv, "t:")) != -1)
		if (c != 't' || (nr = atoi(optarg)) < 1 || nr > 64)
			return 1;
	argc -= optind;
	argv += optind;
	if (argc < 1 || argc > 2 || parse(argc == 2 ? argv[0] : NULL, argv[argc - 1])) {
		fprintf(stderr, "usage: echo [-t THREADS] [ADDRESS] PORT\n");
		return 1;
	}
	setrlimit(RLIMIT_NOFILE, &lim);
	for (i = 0; i < nr; i++) {
		if (open_worker(&w[i])) {
			perror("echo");
			return 1;
		}
	}
	puts("listening");
	fflush(stdout);
	for (i = 1; i < nr; i++)
		if (pthread_create(&t, NULL, serve, &w[i]))
			return 1;
	serve(&w[0]);
	return 1;
}
