/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An answer that the library puts off (lib/batch.h) leaves before the thread may wait, whatever it calls. toed is
 * stopped meanwhile, so that only the library can send it. One case a run; TOED_PID: toed's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"

#define WAIT_MS	300
#define LEN	20

/* a and b are answered; nothing comes on idle, which is in hardware, nor on kernel, which is not. */
static struct flow *a, *b, *idle, *kernel;
static int epfd, no_events, pipes[2], full[2], listener, dialer, local[2];
static pid_t toed;
static atomic_int ready, stopped, answered, judged;

static int there(const struct flow *f)
{
	int n = 0;

	if (ioctl(f->fd, FIONREAD, &n))
		die("FIONREAD: %s", strerror(errno));
	return n;
}

static void msleep(long ms) { nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL); }

/* The thread is told of a and b together, and answers a. */
static void answer_one(void)
{
	struct epoll_event ev[4];
	unsigned char buf[LEN];

	if (epoll_wait(epfd, ev, 4, 1000) != 2)
		die("not two events");
	if (recv(a->fd, buf, LEN, 0) != LEN)
		die("recv: %s", strerror(errno));
	flow_check(a, buf, LEN);
	flow_fill(a, buf, LEN);
	if (write(a->fd, buf, LEN) != LEN)
		die("write: %s", strerror(errno));
	answered = 1;
}

static void *serve(void *p)
{
	void (*const *call)(void) = p;

	flow_send(a, LEN);
	flow_send(b, LEN);
	for (int i = 0; there(a) < LEN || there(b) < LEN; i++) {
		if (i == 2000)
			die("no echo");
		msleep(1);
	}
	for (ready = 1; !stopped; msleep(1))
		;
	answer_one();
	(*call)();
	return NULL;
}

static void set_timeout(int fd)
{
	struct timeval tv = { 0, WAIT_MS * 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)))
		die("timeout: %s", strerror(errno));
}

static void prepare(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN };
	const char *pid = getenv("TOED_PID");

	toed = pid ? atoi(pid) : 0;
	if (toed <= 1)
		die("TOED_PID is to be set");
	a = flow_open();
	b = flow_open();
	idle = flow_open();
	kernel = flow_open();
	flow_to_kernel(kernel);
	set_timeout(idle->fd);
	set_timeout(kernel->fd);
	epfd = epoll_create1(0);
	no_events = epoll_create1(0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	set_timeout(listener);
	dialer = socket(AF_INET, SOCK_STREAM, 0);
	set_timeout(dialer);
	if (pipe(pipes) || pipe(full) || socketpair(AF_UNIX, SOCK_STREAM, 0, local) ||
	    bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 1))
		die("%s", strerror(errno));
	fcntl(full[1], F_SETFL, O_NONBLOCK);
	while (write(full[1], pipes, 1) == 1)
		;
	fcntl(full[1], F_SETFL, 0);
	set_timeout(local[0]);
	epoll_ctl(epfd, EPOLL_CTL_ADD, a->fd, &ev);
	epoll_ctl(epfd, EPOLL_CTL_ADD, b->fd, &ev);
	want_path(a, P_HW, "before");
	want_path(b, P_HW, "before");
	want_path(idle, P_HW, "before");
}

/* The thread is in the call then, or asleep behind it. */
static bool answer_left(void)
{
	while (!answered)
		msleep(1);
	for (int i = 0; i < WAIT_MS * 3 / 4; i++, msleep(1))
		if (there(a) == LEN)
			return true;
	return false;
}

static char toed_state(void)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)toed);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		die("%s: no state", path);
	fclose(f);
	return state;
}

/* On another CPU it goes on for a moment, and its tick would send what is put off. */
static void stop_toed(void)
{
	kill(toed, SIGSTOP);
	while (toed_state() != 'T')
		msleep(1);
}

static void judge(void (*call)(void), bool leaves)
{
	static char drained[1 << 16];
	bool left;
	pthread_t t;

	prepare();
	if (pthread_create(&t, NULL, serve, &call))
		die("pthread_create");
	while (!ready)
		msleep(1);
	stop_toed();
	stopped = 1;
	left = answer_left();
	judged = 1;
	kill(toed, SIGCONT);
	if (write(pipes[1], "x", 1) != 1 || read(full[0], drained, sizeof(drained)) < 1)
		die("pipe: %s", strerror(errno));
	pthread_join(t, NULL);
	if (left != leaves)
		die(left ? "it was not put off" : "it was put off over the call");
	flow_recv(a, LEN);
	flow_recv(b, LEN);
	flow_exchange(a, 5000);
	flow_exchange(b, 5000);
}

static struct pollfd *poll_of(const struct flow *f)
{
	static struct pollfd p;

	p = (struct pollfd){ f->fd, POLLIN, 0 };
	return &p;
}

static fd_set *set_of(const struct flow *f)
{
	static fd_set s;

	FD_ZERO(&s);
	FD_SET(f->fd, &s);
	return &s;
}

static char byte[4];
static struct iovec iov = { byte, 1 };
static struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
static struct mmsghdr mmsg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
static char control[64];
static struct mmsghdr rights = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
					      .msg_controllen = sizeof(control) } };
static int word;
static struct epoll_event event;
static const struct timespec a_while = { 0, WAIT_MS * 1000000L };

static void connect_nowhere(void)
{
	struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_port = htons(9) };

	inet_pton(AF_INET, flow_addr, &nobody.sin_addr);
	nobody.sin_addr.s_addr ^= htonl(0x80);		/* the same network, nobody there */
	connect(dialer, (struct sockaddr *)&nobody, sizeof(nobody));
}

static void wait_for_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		msleep(WAIT_MS);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* X(name, whether what was put off leaves, what is called) */
#define CALLS(X)										\
	X(nothing, false, (void)0)								\
	X(end_of_thread, true, (void)0)								\
	X(poll_none, true, poll(NULL, 0, WAIT_MS))						\
	X(poll_hw, true, poll(poll_of(idle), 1, WAIT_MS))					\
	X(poll_kernel, true, poll(poll_of(kernel), 1, WAIT_MS))					\
	X(ppoll_hw, true, ppoll(poll_of(idle), 1, &a_while, NULL))				\
	X(select_none, true, select(0, NULL, NULL, NULL, &(struct timeval){ 0, WAIT_MS * 1000 }))	\
	X(select_hw, true, select(idle->fd + 1, set_of(idle), NULL, NULL,			\
				  &(struct timeval){ 0, WAIT_MS * 1000 }))			\
	X(pselect_hw, true, pselect(idle->fd + 1, set_of(idle), NULL, NULL, &a_while, NULL))	\
	X(epoll_none, true, epoll_wait(no_events, &event, 1, WAIT_MS))				\
	X(epoll_again, true, epoll_wait(epfd, &event, 1, WAIT_MS))				\
	X(epoll_pwait_none, true, epoll_pwait(no_events, &event, 1, WAIT_MS, NULL))		\
	X(epoll_pwait2_none, true, epoll_pwait2(no_events, &event, 1, &a_while, NULL))		\
	X(read_hw, true, read(idle->fd, byte, 1))						\
	X(readv_hw, true, readv(idle->fd, &iov, 1))						\
	X(recv_hw, true, recv(idle->fd, byte, 1, 0))						\
	X(recvmsg_hw, true, recvmsg(idle->fd, &msg, 0))						\
	X(recvmmsg_hw, true, recvmmsg(idle->fd, &mmsg, 1, 0, NULL))				\
	X(read_kernel, true, read(kernel->fd, byte, 1))						\
	X(recvmsg_kernel, true, recvmsg(kernel->fd, &msg, 0))					\
	X(recvmmsg_kernel, true, recvmmsg(kernel->fd, &mmsg, 1, 0, NULL))			\
	X(read_pipe, true, read(pipes[0], byte, 1))						\
	X(readv_pipe, true, readv(pipes[0], &iov, 1))						\
	X(recvmmsg_rights, true, recvmmsg(local[0], &rights, 1, 0, NULL))			\
	X(futex, true, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &a_while, NULL, 0))		\
	X(write_pipe, true, write(full[1], byte, 1))						\
	X(writev_pipe, true, writev(full[1], &iov, 1))						\
	X(accept_none, true, accept(listener, NULL, NULL))					\
	X(accept4_none, true, accept4(listener, NULL, NULL, 0))					\
	X(connect_none, true, connect_nowhere())						\
	X(close_hw, true, close(idle->fd))							\
	X(close_range_hw, true, close_range(idle->fd, idle->fd, 0))				\
	X(dup2_hw, true, dup2(pipes[0], idle->fd))						\
	X(shutdown_hw, true, shutdown(idle->fd, SHUT_WR))					\
	X(sendfile_hw, true, sendfile(idle->fd, pipes[0], NULL, 1))				\
	X(splice_hw, true, splice(pipes[0], NULL, idle->fd, NULL, 1, 0))			\
	X(setsockopt_hw, true, setsockopt(idle->fd, IPPROTO_IP, IP_TTL, &(int){ 9 }, sizeof(int)))	\
	X(fork_and_wait, true, wait_for_child())

#define X(name, leaves, call)					\
	static void call_##name(void)				\
	{							\
		(void)(call);					\
		while (!judged && strcmp(#name, "end_of_thread"))	\
			msleep(1);	/* its end is another case */	\
	}							\
	static void name(void) { judge(call_##name, leaves); }
CALLS(X)
#undef X

static const struct flow_case cases[] = {
#define X(name, leaves, call) { #name, name },
	CALLS(X)
#undef X
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return flow_main(argc, argv, cases);
}
