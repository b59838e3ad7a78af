/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Goodput of one stream. bulk server PORT serves one connection after the other; bulk client ADDRESS PORT
 * down|up SECONDS connects, prints "connected", waits for SIGUSR1 and then has the server (down) or itself (up)
 * send. The receiver checks every byte and counts what came in SECONDS from the first byte on; the client prints
 * "bits/s N". Both ask for the congestion control named by BULK_CC, cubic unless set. Exit: 0 right, 1 wrong
 * bytes or an error, 2 nothing came, 64 usage.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/pattern.h"

#define CHUNK		(256U << 10)
#define FIRST_MS	20000		/* patience for the first byte, and for the result */

struct order {			/* client to server */
	uint64_t seed, ns;
	uint32_t down, pad;
};

struct result {			/* receiver to sender */
	uint64_t bytes, ns, wrong;
};

static unsigned char buf[CHUNK];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static _Noreturn void fail(int rc, const char *what)
{
	fprintf(stderr, "bulk: %s: %s\n", what, strerror(errno));
	exit(rc);
}

static void full(int fd, void *p, size_t len, bool out)
{
	for (size_t done = 0; done < len;) {
		struct pollfd w = { fd, out ? POLLOUT : POLLIN, 0 };
		ssize_t n;

		if (poll(&w, 1, FIRST_MS) <= 0)
			fail(2, out ? "cannot write" : "no answer");
		n = out ? send(fd, (char *)p + done, len - done, MSG_NOSIGNAL) :
			  recv(fd, (char *)p + done, len - done, 0);
		if (n <= 0)
			fail(1, "connection");
		done += (size_t)n;
	}
}

/* Until the receiver has had enough and sends its result, or hangs up at once: -1. */
static int send_all(int fd, uint64_t seed)
{
	uint64_t pos = 0;
	size_t left = 0;	/* of what is in buf */

	for (;;) {
		struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
		ssize_t n;

		if (poll(&p, 1, FIRST_MS) <= 0)
			fail(2, "sender stands still");
		if (p.revents & POLLIN)
			return 0;
		if (!left) {
			pattern_fill(seed, pos, buf, sizeof(buf));
			pos += left = sizeof(buf);
		}
		n = send(fd, buf + sizeof(buf) - left, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (n > 0)
			left -= (size_t)n;
	}
}

static struct result receive(int fd, uint64_t seed, uint64_t ns)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct result r = { 0 };
	uint64_t start = 0;

	for (;;) {
		uint64_t spent = start ? now_ns() - start : 0;
		ssize_t n;

		r.ns = spent;
		if (spent >= ns)
			return r;
		if (poll(&p, 1, start ? (int)((ns - spent) / 1000000 + 1) : FIRST_MS) <= 0) {
			if (!start)
				fail(2, "nothing came");
			continue;
		}
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			fail(1, n ? "recv" : "end of stream");
		if (pattern_check(seed, r.bytes, buf, (size_t)n) != (size_t)n)
			r.wrong++;
		if (!start)
			start = now_ns();
		r.bytes += (uint64_t)n;
	}
}

static void choose_cc(int fd)
{
	const char *cc = getenv("BULK_CC");

	if (!cc)
		cc = "cubic";
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)))
		fail(1, cc);
}

static int server(const char *port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
	int lis = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, fd;
	struct order o;

	setsockopt(lis, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	choose_cc(lis);
	if (bind(lis, (void *)&sa, sizeof(sa)) || listen(lis, 8))
		fail(1, "listen");
	while ((fd = accept(lis, NULL, NULL)) >= 0) {
		struct result r;

		full(fd, &o, sizeof(o), false);
		if (o.down) {	/* the client has the result, and says it before its reset, which may overtake our reading */
			send_all(fd, o.seed);
		} else {
			r = receive(fd, o.seed, o.ns);
			full(fd, &r, sizeof(r), true);
			while (recv(fd, buf, sizeof(buf), 0) > 0)	/* until it hangs up */
				;
		}
		close(fd);
	}
	fail(1, "accept");
}

static int dial(const char *addr, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int fd;

	if (getaddrinfo(addr, port, &hints, &ai))
		fail(64, addr);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	choose_cc(fd);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen))
		fail(1, "connect");
	freeaddrinfo(ai);
	return fd;
}

static int client(char **arg)
{
	struct linger hang_up = { .l_onoff = 1 };
	struct order o = { .ns = (uint64_t)(atof(arg[3]) * 1e9), .down = !strcmp(arg[2], "down") };
	int fd = dial(arg[0], arg[1]), sig;
	struct result r = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("connected\n");
	fflush(stdout);
	sigwait(&set, &sig);
	o.seed = now_ns();
	full(fd, &o, sizeof(o), true);
	if (o.down) {
		r = receive(fd, o.seed, o.ns);
		full(fd, &r, sizeof(r), true);
	} else {
		if (send_all(fd, o.seed))
			fail(1, "send");
		full(fd, &r, sizeof(r), false);
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hang_up, sizeof(hang_up));
	close(fd);
	if (r.wrong || !r.ns) {
		fprintf(stderr, "bulk: wrong bytes in %llu reads\n", (unsigned long long)r.wrong);
		return 1;
	}
	printf("bits/s %.0f\n", (double)r.bytes * 8e9 / (double)r.ns);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "server"))
		return server(argv[2]);
	if (argc == 6 && !strcmp(argv[1], "client"))
		return client(argv + 2);
	fprintf(stderr, "usage: bulk server PORT | bulk client ADDRESS PORT down|up SECONDS\n");
	return 64;
}
