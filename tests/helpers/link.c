/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tests' link: two TAP devices, one in each of two network namespaces, and this process as the wire between
 * them. Without options it is a queue for each direction that loses and reorders nothing; with options it
 * impairs (link_path.h). It judges what both ends sent (link_judge.h). The TAPs have no checksum or
 * segmentation offload, so frames carry real checksums and fit the MTU. SIGUSR1: print the counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "tests/helpers/link_judge.h"
#include "tests/helpers/link_path.h"
#include "tests/helpers/pattern.h"

#define MAX_FRAME	4096U
#define MAX_QUEUED	131072U
#define BATCH		32		/* frames read before what is due is looked at */

struct frame {
	uint64_t due_ns, order;
	unsigned short len, to;
	unsigned char data[];
};

static struct path path[2];		/* from the first to the second end, and back */
static const char *ns_path[2], *dev = "eth0";
static uint64_t seed;

static struct frame *heap[MAX_QUEUED];	/* by due_ns, then order */
static unsigned int heap_len;
static uint64_t order;
static int tap[2];
static int refusal[2];			/* errno of the last frame that was refused */
static volatile sig_atomic_t stop, report;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		report = 1;
	else
		stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
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

static void deliver(int from, const unsigned char *data, size_t len)
{
	if (write(tap[!from], data, len) == (ssize_t)len) {
		path[from].nr.out++;
		return;
	}
	path[from].nr.refused++;
	refusal[from] = errno;
}

static void queue_frame(const unsigned char *data, size_t len, int from, uint64_t due_ns, size_t damage)
{
	struct frame *f = heap_len < MAX_QUEUED ? malloc(sizeof(*f) + len) : NULL;

	if (!f) {
		path[from].nr.full++;
		return;
	}
	*f = (struct frame){ .due_ns = due_ns, .order = order++, .len = (unsigned short)len,
			     .to = (unsigned short)!from };
	memcpy(f->data, data, len);
	if (damage)
		f->data[damage / 8] ^= 1U << damage % 8;
	heap_push(f);
}

static bool take_frame(int from)
{
	unsigned char data[MAX_FRAME];
	ssize_t len = read(tap[from], data, sizeof(data));
	uint64_t due[2], now;
	size_t damage[2];
	int nr;

	if (len <= 0)
		return false;
	judge_frame(data, (size_t)len, from);
	now = now_ns();
	nr = path_take(&path[from], now, data, (size_t)len, due, damage);
	for (int i = 0; i < nr; i++) {
		if (!heap_len && due[i] <= now && !damage[i])
			deliver(from, data, (size_t)len);
		else
			queue_frame(data, (size_t)len, from, due[i], damage[i]);
	}
	return true;
}

/* Write what is due; returns ns until the next frame is, or -1. */
static int64_t send_due(void)
{
	uint64_t now = now_ns();
	struct frame *f;

	while (heap_len && heap[0]->due_ns <= now) {
		f = heap_pop();
		deliver(!f->to, f->data, f->len);
		free(f);
	}
	return heap_len ? (int64_t)(heap[0]->due_ns - now) : -1;
}

/* One line: "link: 0.in 5 ... 1.resets 0". */
static void print_counts(void)
{
	printf("link:");
	for (int i = 0; i < 2; i++) {
#define X(field, text) printf(" %d." #field " %llu", i, path[i].nr.field);
		PATH_COUNTS(X)
#undef X
		printf(" %d.errno %d", i, refusal[i]);
#define X(field, text) printf(" %d." #field " %llu", i, judged[i].field);
		JUDGE_COUNTS(X)
#undef X
	}
	printf("\n");
	fflush(stdout);
}

static void run(void)
{
	struct pollfd p[2] = { { tap[0], POLLIN, 0 }, { tap[1], POLLIN, 0 } };
	struct timespec ts;
	sigset_t none;
	int64_t wait;
	int i, n;

	sigemptyset(&none);
	while (!stop) {
		wait = send_due();
		ts = (struct timespec){ wait / 1000000000, wait % 1000000000 };
		if (ppoll(p, 2, wait < 0 ? NULL : &ts, &none) < 0) {
			if (report)
				print_counts();
			report = 0;
			continue;
		}
		for (i = 0; i < 2; i++)
			for (n = 0; (p[i].revents & POLLIN) && n < BATCH && take_frame(i); n++)
				;
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
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", dev);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
		perror("/dev/net/tun");
		exit(1);
	}
	return fd;
}

static const char usage[] =
	"usage: link [options] NETNS-PATH NETNS-PATH\n"
	"  -i DEV        name of both devices, default eth0\n"
	"  -S SEED       of all that is random\n"
	"What follows -D 0 (-D 1) holds for frames from the first (second) end only, after -D 2 for both again:\n"
	"  -l PERCENT    loss                -b PERCENT    frames that begin a burst of losses\n"
	"  -B FRAMES     its mean length     -d PERCENT    duplicates\n"
	"  -c PERCENT    damage (one bit)    -e PERCENT    CE marks on frames with ECT\n"
	"  -t USEC       delay               -j USEC       random delay on top\n"
	"  -o            random delay keeps the order\n"
	"  -r PERCENT    reordering          -g USEC       how much later such a frame comes, default 1000\n"
	"  -R MBIT       rate                -q FRAMES     limit of the queue before it\n"
	"  -E FRAMES     mark what finds a longer queue\n";

static _Noreturn void bad_usage(void)
{
	fputs(usage, stderr);
	exit(64);
}

static void set_option(struct path *p, int o, const char *arg)
{
	double value = arg ? atof(arg) : 0;

	switch (o) {
	case 'l': p->loss = value / 100; break;
	case 'b': p->burst = value / 100; break;
	case 'B': p->burst_len = (unsigned int)value; break;
	case 'd': p->dup = value / 100; break;
	case 'r': p->reorder = value / 100; break;
	case 'c': p->corrupt = value / 100; break;
	case 'e': p->mark = value / 100; break;
	case 't': p->delay_ns = (uint64_t)(value * 1000); break;
	case 'j': p->jitter_ns = (uint64_t)(value * 1000); break;
	case 'g': p->gap_ns = (uint64_t)(value * 1000); break;
	case 'o': p->ordered = true; break;
	case 'R': p->bits_s = (uint64_t)(value * 1000000); break;
	case 'q': p->limit = (unsigned int)value; break;
	case 'E': p->mark_at = (unsigned int)value; break;
	default: bad_usage();
	}
}

static void parse_options(int argc, char **argv)
{
	int o, only = 2;

	path[0].gap_ns = path[1].gap_ns = 1000000;
	while ((o = getopt(argc, argv, "i:S:D:l:b:B:d:r:c:e:t:j:g:oR:q:E:")) != -1) {
		if (o == 'i')
			dev = optarg;
		else if (o == 'S')
			seed = strtoull(optarg, NULL, 0);
		else if (o == 'D')
			only = atoi(optarg);
		else
			for (int i = 0; i < 2; i++)
				if (only != !i)
					set_option(&path[i], o, optarg);
	}
	if (argc - optind != 2)
		bad_usage();
	ns_path[0] = argv[optind];
	ns_path[1] = argv[optind + 1];
	if (!seed)
		seed = mix64(now_ns());
	path[0].seed = mix64(seed);
	path[1].seed = mix64(seed + 1);
}

static void catch_signals(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGUSR1 };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaddset(&set, signals[i]);
		sigaction(signals[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);	/* delivered in ppoll() only */
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	catch_signals();
	prctl(PR_SET_TIMERSLACK, 1);
	for (int i = 0; i < 2; i++)
		tap[i] = open_tap(ns_path[i]);
	printf("link: ready, seed 0x%llx\n", (unsigned long long)seed);
	fflush(stdout);
	run();
	print_counts();
	return 0;
}
