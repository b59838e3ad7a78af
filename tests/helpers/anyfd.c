/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unusual calls on one connection that is in hardware, in one process. One case a run. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"


/* The same connection by another number, in turns. */
static void both_numbers(struct flow *f, int other)
{
	int first = f->fd;

	if (other < 0)
		die("duplicate: %s", strerror(errno));
	want_path(f, P_KERNEL, "duplicated");
	for (int i = 0; i < 4; i++) {
		f->fd = i & 1 ? first : other;
		flow_exchange(f, 5000);
	}
	f->fd = first;
	if (flow_try_hw(f))
		die("offloaded with two descriptors");
	flow_exchange(f, 5000);
	close(first);
	f->fd = other;
	flow_exchange(f, 5000);
	flow_end(f);
}

static void do_dup(void)
{
	struct flow *f = flow_open();

	both_numbers(f, dup(f->fd));
}

static void dup2_onto(void)	/* a free number */
{
	struct flow *f = flow_open();

	both_numbers(f, dup2(f->fd, 100));
}

static void do_dup3(void)
{
	struct flow *f = flow_open();

	both_numbers(f, dup3(f->fd, 101, O_CLOEXEC));
}

static void dupfd(void)
{
	struct flow *f = flow_open();

	both_numbers(f, fcntl(f->fd, F_DUPFD, 50));
}

static void dupfd_cloexec(void)
{
	struct flow *f = flow_open();

	both_numbers(f, fcntl(f->fd, F_DUPFD_CLOEXEC, 50));
}

/* One connection's number is given to the other: the first is closed and its peer gets FIN. */
static void dup2_over(void)
{
	struct flow *f = flow_open(), *g = flow_open();
	int was = g->fd;

	if (dup2(g->fd, f->fd) != f->fd)
		die("dup2: %s", strerror(errno));
	g->fd = f->fd;
	flow_exchange(g, FLOW_MUCH);
	close(was);
	flow_exchange(g, FLOW_MUCH);
	flow_end(g);
}

static void dup2_same(void)
{
	struct flow *f = flow_open();

	if (dup2(f->fd, f->fd) != f->fd)
		die("dup2: %s", strerror(errno));
	want_path(f, P_HW, "dup2 onto itself");
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

static void range_others(void)
{
	struct flow *f = flow_open();

	if (close_range(f->fd + 1, ~0U, 0))
		die("close_range: %s", strerror(errno));
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "close_range of all others");
	flow_end(f);
}

static void range_it(void)
{
	struct flow *f = flow_open(), *g = flow_open();

	if (close_range(f->fd, f->fd, 0))
		die("close_range: %s", strerror(errno));
	if (fcntl(f->fd, F_GETFD) >= 0)
		die("still open");
	flow_exchange(g, FLOW_MUCH);
	want_path(g, P_HW, "close_range of another");
	flow_end(g);
}

static void close_loop(void)
{
	struct flow *f = flow_open();

	for (int fd = 3; fd < 1100; fd++)
		if (fd != f->fd)
			close(fd);
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "all closed but one");
	close(f->fd);
	flow_fresh("after all were closed");
}

static void close_from(void)
{
	flow_open();
	closefrom(3);
	flow_fresh("after closefrom");
}

static void close_raw(void)	/* by syscall(): libc's wrapper is not passed */
{
	flow_open();
	if (syscall(SYS_close_range, 3, ~0U, 0))
		die("close_range: %s", strerror(errno));
	flow_fresh("after the system call");
}

/* The library's descriptors are gone in a way that nothing can intercept. */
static long bare_close(int fd)
{
#ifdef __x86_64__
	long rc;

	__asm__ volatile("syscall" : "=a"(rc) : "a"(SYS_close), "D"(fd) : "rcx", "r11", "memory");
	return rc;
#else
	return fd < 0;
#endif
}

static void close_bare(void)
{
	struct flow *f = flow_open();

	for (int fd = 3; fd < 1100; fd++)
		if (fd != f->fd)
			bare_close(fd);
	flow_exchange(f, 1000);
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
	sleep(1);	/* the library looks for toed once a second */
	flow_fresh("after the descriptors were lost");
}

static void rlimit(void)
{
	struct rlimit rl;
	struct flow *f;
	int fd;

	getrlimit(RLIMIT_NOFILE, &rl);
	f = flow_open();
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl))
		die("setrlimit");
	fd = open("/dev/null", O_RDWR);
	for (int i = 200; i < (int)rl.rlim_cur && i < 5000; i++)
		if (dup2(fd, i) != i)
			die("dup2 onto %d: %s", i, strerror(errno));
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "all numbers taken");
	for (int i = 200; i < (int)rl.rlim_cur && i < 5000; i++)
		if (close(i))
			die("close %d: %s", i, strerror(errno));
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
	rl.rlim_cur = 40;
	setrlimit(RLIMIT_NOFILE, &rl);
	flow_fresh("under a small limit");
}

struct reader {
	pthread_t thread;
	_Atomic pid_t tid;
	int fd;
	ssize_t n;
	unsigned char buf[1000];
};

static void *read_some(void *arg)
{
	struct reader *r = arg;

	r->tid = gettid();
	r->n = recv(r->fd, r->buf, sizeof(r->buf), 0);
	return NULL;
}

/* In recv(), which is all that it does. */
static void until_asleep(struct reader *r)
{
	char path[64], text[64];

	for (int seen = 0; seen < 3; usleep(10000)) {
		FILE *stat;

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)r->tid);
		stat = r->tid ? fopen(path, "r") : NULL;
		if (!stat)
			continue;
		seen = fgets(text, sizeof(text), stat) && strstr(text, ") S ") ? seen + 1 : 0;
		fclose(stat);
	}
}

/* Shut down and closed under a reader that is blocked, and the number is another connection's at once. */
static void shut_reused(void)
{
	struct reader r;

	for (int i = 0; i < 10; i++) {
		struct flow *f = flow_open(), *g;

		r = (struct reader){ .fd = f->fd };
		pthread_create(&r.thread, NULL, read_some, &r);
		until_asleep(&r);
		if (shutdown(f->fd, SHUT_RDWR) || close(f->fd))
			die("shutdown: %s", strerror(errno));
		g = flow_open();
		flow_exchange(g, FLOW_MUCH);
		pthread_join(r.thread, NULL);
		if (r.n)
			die("the reader of %d got %zd when %d was open", r.fd, r.n, g->fd);
		want_path(g, P_HW, "another's reader");
		flow_end(g);
	}
}

/* ---- who moves the bytes ---- */

static void stdio(void)
{
	struct flow *f = flow_open();
	unsigned char buf[5000];
	FILE *in = fdopen(f->fd, "r+");

	if (!in)
		die("fdopen");
	setvbuf(in, NULL, _IONBF, 0);
	flow_fill(f, buf, sizeof(buf));
	if (fwrite(buf, 1, sizeof(buf), in) != sizeof(buf) || fread(buf, 1, sizeof(buf), in) != sizeof(buf))
		die("stdio");
	flow_check(f, buf, sizeof(buf));
	if (fclose(in))
		die("fclose");
	flow_fresh("after fdopen");
}

static void do_dprintf(void)
{
	struct flow *f = flow_open();
	char buf[8];

	if (dprintf(f->fd, "abc%d", 123) != 6 || recv(f->fd, buf, 6, MSG_WAITALL) != 6 ||
	    memcmp(buf, "abc123", 6) != 0)
		die("dprintf");
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

static int pattern_file(struct flow *f, size_t n)
{
	unsigned char *buf = malloc(n);
	int fd = memfd_create("pattern", MFD_CLOEXEC);

	flow_fill(f, buf, n);
	if (write(fd, buf, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET))
		die("memfd");
	free(buf);
	return fd;
}

static void do_sendfile(void)
{
	struct flow *f = flow_open();
	int file = pattern_file(f, 40000);
	ssize_t n, left = 40000;

	while (left && (n = sendfile(f->fd, file, NULL, left)) > 0)
		left -= n;
	if (left)
		die("sendfile: %s", strerror(errno));
	want_path(f, P_KERNEL, "sendfile");
	flow_recv(f, 40000);
	flow_again(f, "after sendfile");
	flow_end(f);
}

static void do_splice(void)
{
	struct flow *f = flow_open();
	unsigned char buf[30000];
	int p[2], file = pattern_file(f, sizeof(buf));
	ssize_t n, got = 0;

	if (pipe(p) || splice(file, NULL, p[1], NULL, sizeof(buf), 0) != sizeof(buf))
		die("splice from a file: %s", strerror(errno));
	for (size_t left = sizeof(buf); left; left -= n)
		if ((n = splice(p[0], NULL, f->fd, NULL, left, 0)) <= 0)
			die("splice to the socket: %s", strerror(errno));
	want_path(f, P_KERNEL, "splice");
	flow_to_hw(f);
	while (got < (ssize_t)sizeof(buf)) {
		n = splice(f->fd, NULL, p[1], NULL, sizeof(buf) - got, 0);
		if (n <= 0 || read(p[0], buf, n) != n)
			die("splice from the socket: %s", strerror(errno));
		flow_check(f, buf, n);
		got += n;
	}
	flow_again(f, "after splice");
	flow_end(f);
}

static void do_vmsplice(void)
{
	struct flow *f = flow_open();
	static unsigned char buf[8192];
	struct iovec iov = { buf, sizeof(buf) };
	ssize_t n;
	int p[2];

	flow_fill(f, buf, sizeof(buf));
	if (pipe(p) || vmsplice(p[1], &iov, 1, 0) != sizeof(buf))
		die("vmsplice: %s", strerror(errno));
	for (size_t left = sizeof(buf); left; left -= n)
		if ((n = splice(p[0], NULL, f->fd, NULL, left, SPLICE_F_MORE)) <= 0)
			die("splice: %s", strerror(errno));
	flow_recv(f, sizeof(buf));
	if (vmsplice(f->fd, &iov, 1, 0) != -1 || errno != EBADF)
		die("vmsplice on a socket: %s", strerror(errno));
	flow_again(f, "after vmsplice");
	flow_end(f);
}

static void raw(void)
{
	struct flow *f = flow_open();
	unsigned char buf[3000];
	struct iovec iov = { buf, sizeof(buf) };
	struct epoll_event ev = { .events = EPOLLIN };
	struct timespec none = { 0, 0 };
	int ep = epoll_create1(0);
	fd_set r;

	epoll_ctl(ep, EPOLL_CTL_ADD, f->fd, &ev);
	for (int i = 0; i < 4; i++) {
		flow_fill(f, buf, sizeof(buf));
		if ((i & 1 ? syscall(SYS_write, f->fd, buf, sizeof(buf)) :
		     syscall(SYS_sendto, f->fd, buf, sizeof(buf), MSG_NOSIGNAL, NULL, 0)) != sizeof(buf))
			die("raw send: %s", strerror(errno));
		if (syscall(SYS_epoll_pwait, ep, &ev, 1, 5000, NULL, 8) != 1)
			die("raw epoll_pwait: %s", strerror(errno));
		for (ssize_t n, got = 0; got < (ssize_t)sizeof(buf); got += n) {
			n = i & 1 ? syscall(SYS_read, f->fd, buf, sizeof(buf)) : syscall(SYS_readv, f->fd, &iov, 1);
			if (n <= 0)
				die("raw read: %s", strerror(errno));
			flow_check(f, buf, n);
		}
	}
	FD_ZERO(&r);
	FD_SET(f->fd, &r);
	if (syscall(SYS_pselect6, f->fd + 1, &r, NULL, NULL, &none, (void *)8) != -1 || errno != EFAULT)
		die("raw pselect6 with a bad sixth argument: %s", strerror(errno));
	want_path(f, P_HW, "raw system calls");
	if (syscall(SYS_shutdown, f->fd, SHUT_WR) || read(f->fd, buf, 1) != 0 || syscall(SYS_close, f->fd))
		die("raw shutdown");
}

/* ---- io_uring, without a library ---- */

struct uring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void uring_open(struct uring *u)
{
	struct io_uring_params p = { 0 };
	char *ring;

	u->fd = syscall(SYS_io_uring_setup, 4, &p);
	if (u->fd < 0) {
		printf("ok (no io_uring here: %s)\n", strerror(errno));
		exit(0);
	}
	ring = mmap(NULL, p.sq_off.array + 64 + p.cq_off.cqes + 16 * sizeof(*u->cqes), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQ_RING);
	u->sqes = mmap(NULL, 4 * sizeof(*u->sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd,
		       IORING_OFF_SQES);
	if (ring == MAP_FAILED || u->sqes == MAP_FAILED || !(p.features & IORING_FEAT_SINGLE_MMAP))
		die("io_uring: mmap");
	u->sq_tail = (void *)(ring + p.sq_off.tail);
	u->sq_mask = (void *)(ring + p.sq_off.ring_mask);
	u->sq_array = (void *)(ring + p.sq_off.array);
	u->cq_head = (void *)(ring + p.cq_off.head);
	u->cq_tail = (void *)(ring + p.cq_off.tail);
	u->cq_mask = (void *)(ring + p.cq_off.ring_mask);
	u->cqes = (void *)(ring + p.cq_off.cqes);
}

static int uring_do(struct uring *u, int op, int fd, void *buf, size_t len)
{
	uint32_t i = *u->sq_tail & *u->sq_mask;
	int res;

	u->sqes[i] = (struct io_uring_sqe){ .opcode = op, .fd = fd, .addr = (uintptr_t)buf, .len = len };
	u->sq_array[i] = i;
	__atomic_store_n(u->sq_tail, *u->sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, u->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		die("io_uring_enter: %s", strerror(errno));
	while (__atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE) == *u->cq_head)
		;
	res = u->cqes[*u->cq_head & *u->cq_mask].res;
	__atomic_store_n(u->cq_head, *u->cq_head + 1, __ATOMIC_RELEASE);
	return res;
}

static void uring_use(struct uring *u, struct flow *f)
{
	unsigned char buf[4000];
	int n;

	flow_fill(f, buf, sizeof(buf));
	n = uring_do(u, IORING_OP_SEND, f->fd, buf, sizeof(buf));
	if (n != sizeof(buf))
		die("io_uring send: %d", n);
	for (int got = 0; got < (int)sizeof(buf); got += n) {
		n = uring_do(u, IORING_OP_RECV, f->fd, buf, sizeof(buf));
		if (n <= 0)
			die("io_uring receive: %d", n);
		flow_check(f, buf, n);
	}
}

static void io_uring(void)
{
	struct flow *f = flow_open(), *g = flow_make();
	struct uring u;

	uring_open(&u);
	want_path(f, P_KERNEL, "io_uring set up");
	uring_use(&u, f);
	flow_exchange(f, FLOW_MUCH);
	flow_dial(g, 0);
	flow_exchange(g, 1000);
	if (flow_try_hw(g))
		die("offloaded in a program with io_uring");
	uring_use(&u, g);
	flow_end(f);
	flow_end(g);
}

/* TOE_URING=files, see main() */
static void uring_files(void)
{
	struct flow *f = flow_open();
	unsigned char buf[64];
	struct uring u;

	uring_open(&u);
	want_path(f, P_HW, "io_uring set up for files");
	if (uring_do(&u, IORING_OP_READ, open("/proc/self/exe", O_RDONLY), buf, sizeof(buf)) != sizeof(buf) ||
	    memcmp(buf, "\177ELF", 4))
		die("a file by io_uring");
	flow_exchange(f, FLOW_MUCH);
	flow_move(f, 4);
	flow_end(f);
	flow_fresh("io_uring set up for files");
}

/* ---- privileges ---- */

static void privileges(void)
{
	struct flow *f = flow_open();

	ctl_request("{\"cmd\":\"ping\"}\n", (char[1000]){ 0 }, 1000);	/* keeps its connection */
	if (setgid(65534) || setuid(65534))
		die("setuid");
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "as nobody");
	flow_to_kernel(f);
	flow_again(f, "as nobody");
	flow_end(f);
	flow_fresh("as nobody");
}

static void do_chroot(void)
{
	struct flow *f = flow_open();
	char dir[] = "/tmp/anyfd-XXXXXX";

	if (!mkdtemp(dir) || chroot(dir) || chdir("/"))
		die("chroot: %s", strerror(errno));
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "after chroot");
	flow_to_kernel(f);
	flow_again(f, "after chroot");
	flow_end(f);
	flow_fresh("after chroot");
}

static const struct flow_case cases[] = {
	{ "dup", do_dup },
	{ "dup2-onto", dup2_onto },
	{ "dup2-over", dup2_over },
	{ "dup2-same", dup2_same },
	{ "dup3", do_dup3 },
	{ "dupfd", dupfd },
	{ "dupfd-cloexec", dupfd_cloexec },
	{ "range-others", range_others },
	{ "range-it", range_it },
	{ "close-loop", close_loop },
	{ "closefrom", close_from },
	{ "close-raw", close_raw },
	{ "close-bare", close_bare },
	{ "rlimit", rlimit },
	{ "shut-reused", shut_reused },
	{ "stdio", stdio },
	{ "dprintf", do_dprintf },
	{ "sendfile", do_sendfile },
	{ "splice", do_splice },
	{ "vmsplice", do_vmsplice },
	{ "raw", raw },
	{ "io_uring", io_uring },
	{ "uring-files", uring_files },
	{ "privileges", privileges },
	{ "chroot", do_chroot },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "uring-files") && !getenv("TOE_URING")) {
		setenv("TOE_URING", "files", 1);
		execv("/proc/self/exe", argv);
	}
	return flow_main(argc, argv, cases);
}
