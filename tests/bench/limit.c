/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limit reflect DEV PORT: an XDP program that sends each TCP segment with payload back, until standard input ends.
 * limit bounce DEV PORT: the same through this process, which finds each in shared memory and writes it to a TAP.
 * limit sink DEV PORT: one that acknowledges payload and drops it, until standard input ends.
 * limit pipe DEV PORT: the same, but this process reads the payload from shared memory, and sleeps when there is none.
 * limit drop DEV: one that drops everything, until standard input ends.
 * limit tap DEV BYTES WRITES: write frames to a TAP whose XDP program redirects them to DEV; prints ns a write.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "limit.skel.h"

static struct limit_bpf *skel;

static int die(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	return 1;
}

static int attach(struct bpf_program *prog, unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	return bpf_link_create(bpf_program__fd(prog), (int)ifindex, BPF_XDP, &opts);
}

static int stay(struct bpf_program *prog, unsigned int ifindex)
{
	char byte;

	if (attach(prog, ifindex) < 0)
		return die("attach");
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

/* The native XDP path of a TAP needs a descriptor that does not block. */
static int open_tap(unsigned int *ifindex)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), sock = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(ifr.ifr_name, "limit%d");
	if (fd < 0 || sock < 0 || ioctl(fd, TUNSETIFF, &ifr))
		return -1;
	*ifindex = if_nametoindex(ifr.ifr_name);
	ifr.ifr_flags = IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &ifr))
		return -1;
	close(sock);
	return fd;
}

static int time_writes(size_t len, unsigned long writes)
{
	static char frame[2048] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
	struct timespec a, b;
	unsigned int ifindex;
	int fd = open_tap(&ifindex);

	if (fd < 0 || attach(skel->progs.limit_redirect, ifindex) < 0)
		return die("TAP");
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned long i = 0; i < writes; i++)
		if (write(fd, frame, len) != (ssize_t)len)
			return die("write");
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.1f\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)writes);
	return 0;
}

static void *await_end(void *arg)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	exit(0);
	return arg;
}

/* One program on a TAP of this process's, one on the interface; until standard input ends. 0, or 1: told why. */
static int between(struct bpf_program *out, unsigned int tap, struct bpf_program *in, unsigned int ifindex)
{
	pthread_t end;

	if (attach(out, tap) < 0 || attach(in, ifindex) < 0)
		return die("attach");
	if (pthread_create(&end, NULL, await_end, NULL))
		return die("thread");
	puts("ready");
	fflush(stdout);
	return 0;
}

/* What a server in user space costs that does no TCP: no more is done for a frame than to find it and to write it. */
static int bounce(unsigned int ifindex)
{
	unsigned int tap, seen = 0, frames;
	int fd = open_tap(&tap);

	if (fd < 0)
		return die("TAP");
	if (between(skel->progs.limit_redirect, tap, skel->progs.limit_bounce, ifindex))
		return 1;
	for (;;) {
		frames = __atomic_load_n(&skel->bss->bounces, __ATOMIC_ACQUIRE);
		if (frames == seen)
			continue;
		seen = frames;
		if (write(fd, skel->bss->bounce_frame, skel->bss->bounce_len) < 0)
			return die("write");
	}
}

static void take(unsigned int from, unsigned int len)
{
	static char buf[65536];
	unsigned int size = sizeof(skel->bss->pipe_ring) - 2048, n;

	for (; len; len -= n, from += n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		if (n > size - from % size)
			n = size - from % size;
		memcpy(buf, skel->bss->pipe_ring + from % size, n);
		__asm__ volatile("" : : "r"(buf) : "memory");
	}
}

/* An engine rings a TAP; so does this program. A doorbell that is missed, as it has no barrier, is made good for after a millisecond.
 * True: nothing came for so long. */
static bool sleep_for(int tap)
{
	struct pollfd p = { .fd = tap, .events = POLLIN };
	bool over = false;
	char frame[2048];

	__atomic_store_n(&skel->bss->pipe_armed, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&skel->bss->pipe_in, __ATOMIC_SEQ_CST) == skel->bss->pipe_out)
		over = !poll(&p, 1, 1);
	__atomic_store_n(&skel->bss->pipe_armed, 0, __ATOMIC_RELAXED);
	while (read(tap, frame, sizeof(frame)) > 0)
		;
	return over;
}

static int acknowledge(int tap)
{
	return write(tap, (const void *)skel->bss->pipe_ack, sizeof(skel->bss->pipe_ack)) < 0 ? die("write") : 0;
}

/* What a receiver in user space costs that does no TCP: it copies what it finds, and sleeps. */
static int drain(unsigned int ifindex)
{
	unsigned int in, out = 0, size = sizeof(skel->bss->pipe_ring) - 2048;
	int tap = open_tap(&skel->bss->pipe_tap);

	if (tap < 0)
		return die("TAP");
	if (between(skel->progs.limit_update, skel->bss->pipe_tap, skel->progs.limit_pipe, ifindex))
		return 1;
	for (;;) {
		in = __atomic_load_n(&skel->bss->pipe_in, __ATOMIC_ACQUIRE);
		if (in == out) {
			if (sleep_for(tap) && skel->bss->pipe_owed && acknowledge(tap))
				return 1;
			continue;
		}
		take(out, in - out);
		out = in;
		__atomic_store_n(&skel->bss->pipe_out, out, __ATOMIC_SEQ_CST);
		if (skel->bss->pipe_said < size / 2 >> skel->bss->pipe_shift && acknowledge(tap))
			return 1;
	}
}

int main(int argc, char **argv)
{
	unsigned int ifindex = argc > 2 ? if_nametoindex(argv[2]) : 0;

	if (!ifindex) {
		fprintf(stderr, "usage: limit reflect|bounce|sink|pipe DEV PORT | drop DEV | tap DEV BYTES WRITES\n");
		return 1;
	}
	skel = limit_bpf__open();
	if (!skel)
		return die("open");
	skel->rodata->limit_ifindex = ifindex;
	if (argc == 4)
		skel->rodata->limit_port = htons((unsigned short)atoi(argv[3]));
	if (limit_bpf__load(skel))
		return die("load");
	if (!strcmp(argv[1], "reflect") && argc == 4)
		return stay(skel->progs.limit_reflect, ifindex);
	if (!strcmp(argv[1], "bounce") && argc == 4)
		return bounce(ifindex);
	if (!strcmp(argv[1], "sink") && argc == 4)
		return stay(skel->progs.limit_sink, ifindex);
	if (!strcmp(argv[1], "pipe") && argc == 4)
		return drain(ifindex);
	if (!strcmp(argv[1], "drop"))
		return stay(skel->progs.limit_drop, ifindex);
	if (argc == 5 && atoi(argv[3]) > 14 && atoi(argv[3]) <= 1514)
		return time_writes((size_t)atoi(argv[3]), strtoul(argv[4], NULL, 10));
	return 1;
}
