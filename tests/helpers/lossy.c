/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An impaired link: two TAP devices, one in each of two network namespaces,
 * and this process as the wire between them. It loses, repeats, delays,
 * reorders and damages frames, each with a probability, from a seed. The TAPs
 * have no checksum or segmentation offload, so frames carry real checksums
 * and fit the MTU. Counters are printed when it is told to stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/pattern.h"

#define MAX_FRAME	2048U
#define MAX_QUEUED	16384U

struct frame {
	uint64_t due_ns, order;
	unsigned short len, to;
	unsigned char data[MAX_FRAME];
};

static struct {
	double loss, dup, reorder, corrupt;	/* probabilities */
	uint64_t delay_ns, jitter_ns, gap_ns;
	uint64_t seed;
	const char *ns[2], *dev;
} opt = { .dev = "eth0", .gap_ns = 1000000 };

static struct {
	unsigned long long in, out, lost, dup, reordered, corrupt, full, refused;
} nr;

static struct frame *heap[MAX_QUEUED];	/* by due_ns, then order */
static struct frame *spare[MAX_QUEUED];
static unsigned int heap_len, nr_spare;
static uint64_t order, rnd;
static int tap[2];
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static bool chance(double p)
{
	return p > 0 && (rnd_next(&rnd) >> 11) * 0x1p-53 < p;
}

static bool before(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_push(struct frame *f)
{
	unsigned int i = heap_len++;

	for (; i && before(f, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = f;
}

static struct frame *heap_pop(void)
{
	struct frame *top = heap[0], *last = heap[--heap_len];
	unsigned int i = 0, kid;

	while ((kid = 2 * i + 1) < heap_len) {
		if (kid + 1 < heap_len && before(heap[kid + 1], heap[kid]))
			kid++;
		if (!before(heap[kid], last))
			break;
		heap[i] = heap[kid];
		i = kid;
	}
	heap[i] = last;
	return top;
}

static void queue_frame(const unsigned char *data, size_t len, int to)
{
	uint64_t now = now_ns();
	struct frame *f;

	if (heap_len == MAX_QUEUED) {
		nr.full++;
		return;
	}
	f = nr_spare ? spare[--nr_spare] : malloc(sizeof(*f));
	f->len = len;
	f->to = to;
	f->order = order++;
	f->due_ns = now + opt.delay_ns;
	if (opt.jitter_ns)
		f->due_ns += rnd_below(&rnd, opt.jitter_ns);
	memcpy(f->data, data, len);
	if (chance(opt.reorder)) {
		f->due_ns += opt.gap_ns;
		nr.reordered++;
	}
	if (len > 14 && chance(opt.corrupt)) {
		f->data[14 + rnd_below(&rnd, len - 14)] ^= 1U << rnd_below(&rnd, 8);
		nr.corrupt++;
	}
	heap_push(f);
}

static void take_frame(int from)
{
	unsigned char data[MAX_FRAME];
	ssize_t len = read(tap[from], data, sizeof(data));

	if (len <= 0)
		return;
	nr.in++;
	if (chance(opt.loss)) {
		nr.lost++;
		return;
	}
	queue_frame(data, len, !from);
	if (chance(opt.dup)) {
		nr.dup++;
		queue_frame(data, len, !from);
	}
}

/* Write what is due; returns ns until the next frame is, or -1. */
static int64_t send_due(void)
{
	uint64_t now = now_ns();
	struct frame *f;

	while (heap_len && heap[0]->due_ns <= now) {
		f = heap_pop();
		if (write(tap[f->to], f->data, f->len) == f->len)
			nr.out++;
		else
			nr.refused++;
		spare[nr_spare++] = f;
	}
	return heap_len ? (int64_t)(heap[0]->due_ns - now) : -1;
}

static void run(void)
{
	struct pollfd p[2] = { { tap[0], POLLIN, 0 }, { tap[1], POLLIN, 0 } };
	struct timespec ts;
	sigset_t none;
	int64_t wait;
	int i;

	sigemptyset(&none);
	while (!stop) {
		wait = send_due();
		ts = (struct timespec){ wait / 1000000000, wait % 1000000000 };
		if (ppoll(p, 2, wait < 0 ? NULL : &ts, &none) < 0)
			continue;
		for (i = 0; i < 2; i++)
			if (p[i].revents & POLLIN)
				take_frame(i);
	}
}

/* Non-blocking: the kernel gives a written frame to native XDP only then. */
static int open_tap(const char *ns)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int nsfd = open(ns, O_RDONLY | O_CLOEXEC), fd;

	if (nsfd < 0 || setns(nsfd, CLONE_NEWNET)) {
		perror(ns);
		exit(1);
	}
	close(nsfd);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);	/* native XDP on writes */
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", opt.dev);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
		perror("/dev/net/tun");
		exit(1);
	}
	return fd;
}

static const char usage[] =
	"usage: lossy [options] NETNS-PATH NETNS-PATH\n"
	"  -i DEV       name of both devices, default eth0\n"
	"  -l PERCENT   loss     -d PERCENT   duplicates     -r PERCENT   reordering\n"
	"  -c PERCENT   damage (one bit)\n"
	"  -t USEC      delay    -j USEC      random delay on top\n"
	"  -g USEC      how much later a reordered frame comes, default 1000\n"
	"  -S SEED\n";

static void parse_options(int argc, char **argv)
{
	int o;

	while ((o = getopt(argc, argv, "i:l:d:r:c:t:j:g:S:")) != -1)
		switch (o) {
		case 'i': opt.dev = optarg; break;
		case 'l': opt.loss = atof(optarg) / 100; break;
		case 'd': opt.dup = atof(optarg) / 100; break;
		case 'r': opt.reorder = atof(optarg) / 100; break;
		case 'c': opt.corrupt = atof(optarg) / 100; break;
		case 't': opt.delay_ns = strtoull(optarg, NULL, 0) * 1000; break;
		case 'j': opt.jitter_ns = strtoull(optarg, NULL, 0) * 1000; break;
		case 'g': opt.gap_ns = strtoull(optarg, NULL, 0) * 1000; break;
		case 'S': opt.seed = strtoull(optarg, NULL, 0); break;
		default: fputs(usage, stderr); exit(64);
		}
	if (argc - optind != 2) {
		fputs(usage, stderr);
		exit(64);
	}
	opt.ns[0] = argv[optind];
	opt.ns[1] = argv[optind + 1];
	if (!opt.seed)
		opt.seed = mix64(now_ns());
	rnd = opt.seed;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	parse_options(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);	/* delivered in ppoll() only */
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	tap[0] = open_tap(opt.ns[0]);
	tap[1] = open_tap(opt.ns[1]);
	printf("lossy: ready, seed 0x%llx\n", (unsigned long long)opt.seed);
	fflush(stdout);
	run();
	printf("lossy: in %llu out %llu lost %llu duplicated %llu reordered %llu damaged %llu "
	       "queue-full %llu refused %llu\n", nr.in, nr.out, nr.lost, nr.dup, nr.reordered, nr.corrupt,
	       nr.full, nr.refused);
	return 0;
}
