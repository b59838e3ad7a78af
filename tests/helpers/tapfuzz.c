/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An application that means harm: registered with toed like any other, it writes
 * to its own TAP descriptors that name a connection of somebody else, in every
 * op, and frames of random bytes and lengths. Prints how many segments toed must
 * count as foreign: everything right but the owner. Exit: 0 all written, 1 could not
 * register or the TAP was taken away, 64 usage.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/pattern.h"
#include "toe/app.h"
#include "toe/desc.h"

#define MAX_FRAME	3000U
#define NR_OPS		12U	/* toe_op and some that do not exist */

struct target {
	uint32_t hw_connid, gen;
};

static uint64_t rnd;
static unsigned long long foreign;

static int dial(const char *rundir)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/app.sock", rundir);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a))) {
		perror(a.sun_path);
		exit(1);
	}
	return sock;
}

/* One request; the first descriptor of the answer, or -1. */
static int request(int sock, enum toe_msg_type type)
{
	char ctl[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
	struct toe_msg msg = { .magic = TOE_APP_MAGIC, .version = TOE_APP_VERSION, .type = type };
	struct iovec iov = { &msg, sizeof(msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	int fd = -1;

	if (send(sock, &msg, sizeof(msg), MSG_NOSIGNAL) < 0 || recvmsg(sock, &m, MSG_CMSG_CLOEXEC) <= 0 || msg.rc)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* A batch is judged item by item, on its way out: all of them are of the victim's. */
static size_t forge_batch(unsigned char *frame, const struct target *t)
{
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = TOE_OP_BATCH, .hw_connid = t->hw_connid, .gen = t->gen,
			      .nr = 2 + rnd_below(&rnd, TOE_MAX_BATCH - 1) };
	struct toe_batch_item it = { .hw_connid = t->hw_connid, .gen = t->gen };

	memcpy(frame, &d, sizeof(d));
	for (unsigned int i = 0; i < d.nr; i++) {
		it.seq = (uint32_t)rnd_next(&rnd);
		it.len = rnd_below(&rnd, 1449);
		it.flags = (uint16_t)rnd_next(&rnd);
		memcpy(frame + TOE_BATCH_OFF + i * sizeof(it), &it, sizeof(it));
	}
	foreign += d.nr;
	return TOE_BATCH_OFF + d.nr * sizeof(it) + rnd_below(&rnd, 1100);	/* a device takes no more than its MTU */
}

static size_t forge(unsigned char *frame, const struct target *t)
{
	struct toe_desc d = {
		.magic = TOE_DESC_MAGIC,
		.op = rnd_below(&rnd, NR_OPS),
		.flags = rnd_below(&rnd, 4),
		.hw_connid = t->hw_connid,
		.gen = t->gen,
		.seq = (uint32_t)rnd_next(&rnd),
		.csum = (uint16_t)rnd_next(&rnd),
		.nr = rnd_below(&rnd, 4) ? rnd_below(&rnd, 40) : rnd_next(&rnd),
		.last = rnd_below(&rnd, 4) ? rnd_below(&rnd, 1449) : rnd_next(&rnd),
	};
	size_t room = TOE_HDR_LEN(rnd_below(&rnd, 2) ? 2 : 10, rnd_below(&rnd, 4));

	if (rnd_below(&rnd, 4))
		d.len = rnd_below(&rnd, 1449);
	if (!rnd_below(&rnd, 8))
		d.gen += rnd_below(&rnd, 3);
	memcpy(frame, &d, sizeof(d));
	if (d.gen == t->gen && d.op >= TOE_OP_DATA && d.op <= TOE_OP_PROBE && d.op != TOE_OP_BATCH)
		foreign++;
	return room + d.len;
}

static size_t garbage(unsigned char *frame)
{
	size_t len = 14 + rnd_below(&rnd, MAX_FRAME - 14);
	uint32_t magic = TOE_DESC_MAGIC;

	for (size_t i = 0; i < len; i++)
		frame[i] = rnd_next(&rnd);
	if (rnd_below(&rnd, 2))
		memcpy(frame, &magic, sizeof(magic));
	return len;
}

static void attack(int tap, const struct target *t, unsigned int nr, time_t end)
{
	unsigned char frame[MAX_FRAME];
	unsigned long long written = 0, refused = 0;
	size_t len;

	while (time(NULL) < end) {
		memset(frame, 0, sizeof(frame));
		switch (rnd_below(&rnd, 4)) {
		case 0: len = garbage(frame); break;
		case 1: len = forge_batch(frame, &t[rnd_below(&rnd, nr)]); break;
		default: len = forge(frame, &t[rnd_below(&rnd, nr)]);
		}
		if (write(tap, frame, len) == (ssize_t)len)
			written++;
		else
			refused++;
		if (refused > written + 1000) {
			perror("write to the TAP");
			exit(1);
		}
		if (!(written % 64))
			usleep(500);	/* leave the processors to the others */
	}
	printf("tapfuzz: %llu written, %llu refused by the kernel, %llu foreign\n", written, refused, foreign);
}

int main(int argc, char **argv)
{
	struct target t[16];
	unsigned int nr = 0;
	int sock, tap, i;

	for (i = 4; i + 1 < argc && nr < 16; i += 2)
		t[nr++] = (struct target){ strtoul(argv[i], NULL, 0), strtoul(argv[i + 1], NULL, 0) };
	if (!nr) {
		fputs("usage: tapfuzz RUNDIR SEED SECONDS HW_CONNID GENERATION...\n", stderr);
		return 64;
	}
	rnd = strtoull(argv[2], NULL, 0);
	sock = dial(argv[1]);
	if (request(sock, TOE_MSG_HELLO) < 0 || (tap = request(sock, TOE_MSG_QP)) < 0) {
		fputs("tapfuzz: toed gave no queue pair\n", stderr);
		return 1;
	}
	attack(tap, t, nr, time(NULL) + atoi(argv[3]));
	return 0;
}
