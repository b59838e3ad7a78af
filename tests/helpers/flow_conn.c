/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"
#include "tests/helpers/pattern.h"
#include "toe/app.h"

#define CHUNK	8192

const char *flow_addr, *flow_rundir;
uint16_t flow_peer_port;
int flow_rcvbuf, flow_fastopen;

void die(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	n = n < (int)sizeof(text) - 2 ? n : (int)sizeof(text) - 2;
	text[n++] = '\n';
	if (write(2, text, n) < 0)
		_exit(2);
	_exit(1);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* ---- toed ---- */

static int ctl_dial(void)
{
	static int fd = -1;
	static pid_t owner;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd >= 0 && owner == getpid() && send(fd, "", 0, MSG_NOSIGNAL) == 0)
		return fd;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/ctl.sock", flow_rundir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("%s: %s", a.sun_path, strerror(errno));
	owner = getpid();
	return fd;
}

int ctl_request(const char *request, char *reply, size_t room)
{
	size_t got = 0;
	ssize_t n;
	int fd = ctl_dial();

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		die("control socket: %s", strerror(errno));
	do {
		n = recv(fd, reply + got, room - 1 - got, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("control socket: %s", n ? strerror(errno) : "closed");
		got += n;
		reply[got] = 0;
	} while (!strchr(reply, '\n') && got < room - 1);
	return (int)got;
}

static uint64_t number_in(const char *json, const char *key)
{
	char quoted[64];
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = strstr(json, quoted);
	return p ? strtoull(p + strlen(quoted), NULL, 10) : 0;
}

uint64_t stat_of(const char *name)
{
	static char reply[65536];

	ctl_request("{\"cmd\":\"stats\"}\n", reply, sizeof(reply));
	return number_in(reply, name);
}

static uint64_t move(const struct flow *f, const char *verb)
{
	static __thread char reply[65536];
	char request[128];

	snprintf(request, sizeof(request), "{\"cmd\":\"%s\",\"port\":%u}\n", verb, f->port);
	ctl_request(request, reply, sizeof(reply));
	return number_in(reply, "moved");
}

/* After a restart of toed there are an old table and a new one: what is not in one is in the other. */
#define MAX_TABLES 4
static const struct toe_sonode *tables[MAX_TABLES];

static void find_tables(void)
{
	char line[512];
	unsigned long start;
	int n = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		return;		/* after chroot: as before */
	memset(tables, 0, sizeof(tables));
	while (n < MAX_TABLES && fgets(line, sizeof(line), maps))
		if (strstr(line, "memfd:toe-sonodes") && sscanf(line, "%lx-", &start) == 1)
			tables[n++] = (const void *)start;
	fclose(maps);
}

int path_of(int fd)
{
	int path = P_NONE;

	find_tables();
	for (int i = 0; i < MAX_TABLES && tables[i] && path == P_NONE; i++)
		path = (int)(__atomic_load_n(&tables[i][fd].word, __ATOMIC_ACQUIRE) & TOE_PATH_MASK);
	return path;
}

void want_path(const struct flow *f, int path, const char *when)
{
	static const char *const names[] = { "none", "kernel", "moving", "hardware" };
	uint64_t until = now_ms() + 5000;
	int is = path_of(f->fd);

	while (is == P_MOVING && path != P_MOVING && now_ms() < until) {	/* also while its rings grow */
		usleep(1000);
		is = path_of(f->fd);
	}
	if (is != path)
		die("%s: connection is on path %s, not %s", when, is < 4 ? names[is] : "?", names[path]);
}

bool flow_try_hw(const struct flow *f)
{
	return move(f, "offload") == 1;
}

static const char *refusal(const struct flow *f)
{
	static char reply[65536];
	char request[128];

	snprintf(request, sizeof(request), "{\"cmd\":\"offload\",\"port\":%u}\n", f->port);
	ctl_request(request, reply, sizeof(reply));
	return reply;
}

void flow_to_hw(const struct flow *f)
{
	uint64_t end = now_ms() + 5000;

	while (path_of(f->fd) != P_HW) {
		if (now_ms() > end)
			die("cannot be offloaded: %s", refusal(f));
		if (!move(f, "offload"))
			usleep(20000);
	}
}

void flow_to_kernel(const struct flow *f)
{
	move(f, "upload");
	want_path(f, P_KERNEL, "after an upload");
}

void flow_move(const struct flow *f, int times)
{
	while (times-- > 0) {
		if (path_of(f->fd) == P_HW)
			flow_to_kernel(f);
		else
			flow_to_hw(f);
		usleep(5000);
	}
}

static uint64_t mark_rx, mark_tx;

void engines_mark(void)
{
	mark_rx = stat_of("RX_SEGS");
	mark_tx = stat_of("TX_SEGS");
}

void want_engines(const char *when)
{
	uint64_t rx = mark_rx, tx = mark_tx, r = stat_of("RX_SEGS"), t = stat_of("TX_SEGS");

	if (r <= rx || t <= tx)
		die("%s: nothing went through the engines (RX %llu, TX %llu)", when,
		    (unsigned long long)(r - rx), (unsigned long long)(t - tx));
}

/* ---- the connection ---- */

struct flow *flow_make(void)
{
	struct flow *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static uint64_t nr;

	if (f == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	f->fd = -1;
	f->seed = mix64(getpid() + (++nr << 32));
	return f;
}

int flow_dial(struct flow *f, int sock_flags)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *ai;
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);
	char port[8];

	snprintf(port, sizeof(port), "%u", flow_peer_port);
	if (getaddrinfo(flow_addr, port, &hints, &ai))
		die("bad address %s", flow_addr);
	f->fd = socket(ai->ai_family, SOCK_STREAM | (sock_flags & SOCK_CLOEXEC), 0);
	if (flow_rcvbuf)
		setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &flow_rcvbuf, sizeof(flow_rcvbuf));
	if (flow_fastopen && setsockopt(f->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &flow_fastopen, sizeof(flow_fastopen)))
		die("TCP_FASTOPEN_CONNECT: %s", strerror(errno));
	if (f->fd < 0 || connect(f->fd, ai->ai_addr, ai->ai_addrlen))
		die("connect: %s", strerror(errno));
	freeaddrinfo(ai);
	getsockname(f->fd, (struct sockaddr *)&a, &len);
	f->port = ntohs(a.sin6_port);	/* at the same place in sockaddr_in */
	return f->fd;
}

struct flow *flow_open(void)
{
	struct flow *f = flow_make();

	flow_dial(f, 0);
	flow_exchange(f, 5000);
	want_path(f, P_KERNEL, "after connect");
	flow_to_hw(f);
	engines_mark();
	flow_exchange(f, 50000);
	want_path(f, P_HW, "after offload");
	want_engines("flow_open");
	return f;
}

void flow_fill(struct flow *f, void *buf, size_t n)
{
	pattern_fill(f->seed, f->tx, buf, n);
	f->tx += n;
}

void flow_check(struct flow *f, const void *buf, size_t n)
{
	size_t good = pattern_check(f->seed, f->rx, buf, n);

	if (good < n)
		die("wrong byte at %llu", (unsigned long long)(f->rx + good));
	f->rx += n;
}

void flow_send(struct flow *f, size_t n)
{
	unsigned char buf[CHUNK];
	size_t len, off;
	ssize_t k;

	for (; n; n -= len) {
		len = n < CHUNK ? n : CHUNK;
		flow_fill(f, buf, len);
		for (off = 0; off < len; off += k > 0 ? k : 0) {
			k = send(f->fd, buf + off, len - off, MSG_NOSIGNAL);
			if (k < 0 && errno != EINTR)
				die("send: %s", strerror(errno));
		}
	}
}

void flow_recv(struct flow *f, size_t n)
{
	unsigned char buf[CHUNK];
	ssize_t k;

	while (n) {
		k = read(f->fd, buf, n < CHUNK ? n : CHUNK);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			die("receive: %s", k ? strerror(errno) : "end of file");
		flow_check(f, buf, k);
		n -= k;
	}
}

void flow_exchange(struct flow *f, size_t n)
{
	size_t part;

	for (; n; n -= part) {
		part = n < 3 * CHUNK ? n : 3 * CHUNK;
		flow_send(f, part);
		flow_recv(f, part);
	}
}

void flow_end(struct flow *f)
{
	char c;

	if (f->rx < f->tx)
		flow_recv(f, f->tx - f->rx);
	if (shutdown(f->fd, SHUT_WR))
		die("shutdown: %s", strerror(errno));
	if (read(f->fd, &c, 1) != 0)
		die("no end of file from the peer");
	if (close(f->fd))
		die("close: %s", strerror(errno));
}

void flow_again(struct flow *f, const char *when)
{
	flow_to_hw(f);
	engines_mark();
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, when);
	want_engines(when);
}

void flow_fresh(const char *when)
{
	struct flow *f = flow_open();

	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, when);
	flow_end(f);
}

void flow_choke(struct flow *f)
{
	static unsigned char buf[65536];
	ssize_t n;
	int idle = 0;

	while (idle < 20) {
		flow_fill(f, buf, sizeof(buf));
		n = send(f->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		f->tx -= sizeof(buf) - (n > 0 ? n : 0);
		idle = n > 0 ? 0 : idle + 1;
		if (n <= 0)
			usleep(10000);
	}
}

void wait_child(pid_t pid, const char *what)
{
	uint64_t end = now_ms() + 20000;
	int status;

	if (pid < 0)
		die("%s: %s", what, strerror(errno));
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > end) {
			kill(pid, SIGKILL);
			die("%s: the child hangs", what);
		}
		usleep(2000);
	}
	if (status)
		die("%s: child's status %#x", what, status);
}

/* ---- the peer ---- */

static void *echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *buf = malloc(65536);
	ssize_t n, k, off;

	while (buf && (n = read(fd, buf, 65536)) > 0)
		for (off = 0; off < n; off += k) {
			k = send(fd, buf + off, n - off, MSG_NOSIGNAL);
			if (k <= 0)
				goto out;
		}
out:
	free(buf);
	close(fd);
	return NULL;
}

int peer_main(uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int l = socket(AF_INET6, SOCK_STREAM, 0), one = 1, small = 100000, fd;
	pthread_t t;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(l, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));	/* soon full */
	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 64))
		die("port %u: %s", port, strerror(errno));
	printf("listening\n");
	fflush(stdout);
	while ((fd = accept(l, NULL, NULL)) >= 0)
		if (!pthread_create(&t, NULL, echo, (void *)(intptr_t)fd))
			pthread_detach(t);
	return 1;
}

int flow_main(int argc, char **argv, const struct flow_case *cases)
{
	const struct flow_case *c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "peer"))
		return peer_main(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (c = cases; c->name; c++)
			puts(c->name);
		return 0;
	}
	if (argc != 5)
		die("usage: %s peer PORT | list | CASE ADDRESS PORT RUNDIR", argv[0]);
	flow_addr = argv[2];
	flow_peer_port = atoi(argv[3]);
	flow_rundir = argv[4];
	for (c = cases; c->name; c++) {
		if (strcmp(c->name, argv[1]))
			continue;
		alarm(60);
		c->run();
		printf("ok %s\n", c->name);
		return 0;
	}
	die("no case %s", argv[1]);
}
