/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An application that means harm to all that it shares with toed and the engines: its SONODE table, its rings and their
 * control blocks, its wake block, its eventfd, its TAP. It has connections of its own in hardware and goes on asking for
 * moves of them while it writes random values at random places, most of them where they hurt. Counts the writes;
 * no connection of its own is expected to survive. Exit: 0 all written, 1 could not begin or toed hung up, 64 usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/helpers/pattern.h"
#include "toe/app.h"
#include "toe/desc.h"
#include "toe/place.h"
#include "toe/ring.h"

#define NR_CONNS	4
#define TABLE_BYTES	((size_t)TOE_SONODES * sizeof(struct toe_sonode))

static uint64_t rnd;
static int sock, efd, tap;
static struct toe_sonode *table;
static uint8_t *slabs[TOE_MAX_SLABS];
static struct toe_qp_wake *wake;
static int conns[NR_CONNS];
static uint64_t cookies[NR_CONNS];
static struct sockaddr_in server = { .sin_family = AF_INET };
static unsigned long moved, asked, reopened, frames;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "shmfuzz: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void dial(const char *rundir)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/app.sock", rundir);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)))
		die(a.sun_path);
}

/* Returns rc of the answer; up to two descriptors into fds. */
static int request(struct toe_msg *msg, int fds[2])
{
	char ctl[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { msg, sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;

	fds[0] = fds[1] = -1;
	msg->magic = TOE_APP_MAGIC;
	msg->version = TOE_APP_VERSION;
	if (send(sock, msg, sizeof(*msg), MSG_NOSIGNAL) < 0 || recvmsg(sock, &m, MSG_CMSG_CLOEXEC) <= 0)
		die("toed hung up");
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) > sizeof(int) ? 2 * sizeof(int) : sizeof(int));
	return msg->rc;
}

static uint8_t *slab(unsigned int n)
{
	struct toe_msg msg = { .type = TOE_MSG_SLAB, .slab = (__u16)n };
	int fds[2];

	if (n >= TOE_MAX_SLABS || slabs[n])
		return n < TOE_MAX_SLABS ? slabs[n] : NULL;
	if (request(&msg, fds))
		return NULL;
	slabs[n] = mmap(NULL, TOE_SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	close(fds[0]);
	if (slabs[n] == MAP_FAILED)
		die("mmap");
	return slabs[n];
}

static void begin(const char *rundir)
{
	struct toe_msg hello = { .type = TOE_MSG_HELLO }, qp = { .type = TOE_MSG_QP };
	int fds[2];

	dial(rundir);
	if (request(&hello, fds) || fds[1] < 0)
		die("hello");
	table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	efd = fds[1];
	if (table == MAP_FAILED || request(&qp, fds) || !slab(qp.slab))
		die("queue pair");
	tap = fds[0];
	wake = (struct toe_qp_wake *)(slab(qp.slab) + (size_t)qp.chunk * TOE_CHUNK_SIZE);
}

/* A connection. */
static void open_conn(int i)
{
	socklen_t len = sizeof(cookies[i]);
	char buf[100] = "hello";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (conns[i] > 0)
		close(conns[i]);
	if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof(server)))
		die("connect");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)!write(fd, buf, sizeof(buf));
	conns[i] = fd;
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookies[i], &len);
	reopened++;
}

static void ask(int i)
{
	struct toe_msg msg = { .type = rnd_below(&rnd, 3) ? TOE_MSG_OFFLOAD : TOE_MSG_UPLOAD, .fd = conns[i],
			       .why = (__u32)rnd_next(&rnd) };
	struct toe_sonode *s = &table[conns[i]];
	int fds[2];

	/* a move needs an entry that names the socket; one that is in hardware gets a lie */
	s->cookie = cookies[i];
	s->users = 0;
	__atomic_store_n(&s->word, TOE_PATH_KERNEL, __ATOMIC_SEQ_CST);
	asked++;
	if (!request(&msg, fds) && msg.type == TOE_MSG_OFFLOAD)
		moved++;
}

static void scribble(void *where, size_t len)
{
	uint64_t v = rnd_next(&rnd);
	size_t n = 1UL << rnd_below(&rnd, 4);

	if (rnd_below(&rnd, 4) == 0)
		v = rnd_below(&rnd, 2) ? 0 : ~0ULL;
	memcpy((uint8_t *)where + rnd_below(&rnd, len - n + 1), &v, n);
}

static void send_frame(const struct toe_sonode *s)
{
	uint8_t frame[1600] = { 0 };
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = (__u16)rnd_below(&rnd, 4),
			      .flags = (__u16)rnd_below(&rnd, 4),
			      .hw_connid = s->hw_connid, .gen = s->gen, .seq = (uint32_t)rnd_next(&rnd),
			      .len = (__u16)rnd_below(&rnd, 1449), .csum = (__u16)rnd_next(&rnd) };

	memcpy(frame, &d, sizeof(d));
	(void)!write(tap, frame, 66U + d.len);
	frames++;
}

static void harm(void)
{
	struct toe_sonode *s = &table[conns[rnd_below(&rnd, NR_CONNS)]];
	struct toe_ring_ref rx = s->rx, tx = s->tx;
	uint8_t *mem = slab(rx.slab), *tmem = slab(tx.slab);
	uint64_t big = ~0ULL - 1;

	switch (rnd_below(&rnd, 12)) {
	case 0:
		scribble(s, sizeof(*s));
		break;
	case 1:
		scribble(&table[rnd_below(&rnd, 4096)], sizeof(*s));
		break;
	case 2:
		scribble(wake, sizeof(*wake));
		break;
	case 3:
		send_frame(s);
		break;
	case 4:
		(void)!write(efd, &big, sizeof(big));
		break;
	case 5:
		if (tmem)
			scribble(tmem, TOE_SLAB_SIZE);
		break;
	default:
		if (mem && rx.unit < TOE_SLAB_UNITS)
			scribble(mem + ring_ctl_at(rx), sizeof(struct toe_ring_ctl));
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned long n, nr = argc == 6 ? strtoul(argv[3], NULL, 0) : 0;

	if (!nr) {
		fputs("usage: shmfuzz RUNDIR SEED WRITES ADDRESS PORT\n", stderr);
		return 64;
	}
	rnd = strtoull(argv[2], NULL, 0);
	server.sin_port = htons((uint16_t)atoi(argv[5]));
	inet_pton(AF_INET, argv[4], &server.sin_addr);
	begin(argv[1]);
	for (int i = 0; i < NR_CONNS; i++)
		open_conn(i);
	for (n = 0; n < nr; n++) {
		int i = (int)rnd_below(&rnd, NR_CONNS);

		if (!(n % 2000))
			ask(i);
		if (!(n % 4000))
			open_conn(i);
		if (!(n % 20))
			usleep(50);	/* others need the processors, too */
		harm();
	}
	printf("shmfuzz: %lu writes, %lu frames, %lu moves asked for, %lu offloads done, %lu connections\n", n,
	       frames, asked,
	       moved, reopened);
	return 0;
}
