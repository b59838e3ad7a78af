/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bulk server PORT; bulk client ADDRESS PORT up|down|flood: bytes in one direction, in orders of 16 MiB, one connection, blocking
 * calls of 64 KiB; flood: up without any order, for who does not answer. The client reads "measure SECONDS" lines and
 * prints the bytes and seconds that it took.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ORDER (16U << 20)
static char buf[65536];

struct order {
	uint32_t up, down;
};

static int move(int fd, size_t len, int out)
{
	while (len) {
		size_t want = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t n = out ? write(fd, buf, want) : read(fd, buf, want);

		if (n <= 0)
			return -1;
		len -= (size_t)n;
	}
	return 0;
}

static int server(const char *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
	int one = 1, lsock = socket(AF_INET6, SOCK_STREAM, 0), fd;
	struct order o;

	setsockopt(lsock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (lsock < 0 || bind(lsock, (struct sockaddr *)&a, sizeof(a)) || listen(lsock, 8))
		return 1;
	puts("listening");
	fflush(stdout);
	while ((fd = accept(lsock, NULL, NULL)) >= 0) {
		while (recv(fd, &o, sizeof(o), MSG_WAITALL) == sizeof(o))
			if (move(fd, o.up, 0) || move(fd, o.down, 1))
				break;
		close(fd);
	}
	return 1;
}

enum way { UP, DOWN, FLOOD };
static const char *const ways[] = { "up", "down", "flood" };

static int give_order(int fd, enum way way)
{
	struct order o = { way == UP ? ORDER : 0, way == UP ? 1 : ORDER };

	if (way == FLOOD)
		return move(fd, ORDER, 1);
	if (write(fd, &o, sizeof(o)) != sizeof(o))
		return -1;
	return move(fd, o.up, 1) || move(fd, o.down, 0) ? -1 : 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int measure(int fd, enum way way, double seconds)
{
	double start = now();
	unsigned long bytes = 0;

	while (now() < start + seconds) {
		if (give_order(fd, way))
			return -1;
		bytes += ORDER;
	}
	printf("{\"bytes\":%lu,\"seconds\":%.4f}\n", bytes, now() - start);
	fflush(stdout);
	return 0;
}

static int client(const char *host, const char *port, enum way way)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	char line[64];
	int fd;

	if (getaddrinfo(host, port, &hints, &ai))
		return 1;
	fd = socket(ai->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen))
		return 1;
	puts("{\"ready\":1}");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && !strncmp(line, "measure ", 8))
		if (measure(fd, way, atof(line + 8)))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "server"))
		return server(argv[2]);
	for (int i = UP; argc == 5 && !strcmp(argv[1], "client") && i <= FLOOD; i++)
		if (!strcmp(argv[4], ways[i]))
			return client(argv[2], argv[3], (enum way)i);
	fprintf(stderr, "usage: bulk server PORT | bulk client ADDRESS PORT up|down|flood\n");
	return 1;
}
