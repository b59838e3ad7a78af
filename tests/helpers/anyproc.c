/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that share and inherit a connection that is in hardware. One case a run. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"

static pid_t child_of(void (*run)(struct flow *f), struct flow *f)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(20);
	run(f);
	_exit(0);
}

static void use_some(struct flow *f) { flow_exchange(f, FLOW_MUCH); }
static void sleep_some(struct flow *f) { (void)f; usleep(300000); }
static void close_it(struct flow *f) { close(f->fd); usleep(100000); }

/* The child never touches the socket: the parent stays where it is, as Redis in BGSAVE. */
static void fork_parent(void)
{
	struct flow *f = flow_open();
	pid_t pid = child_of(sleep_some, f);

	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "a child that does nothing");
	wait_child(pid, "child");
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "after the child");
	flow_end(f);
}

static void fork_child(void)
{
	struct flow *f = flow_open();
	pid_t pid = child_of(use_some, f);

	wait_child(pid, "child");
	want_path(f, P_KERNEL, "after use in the child");
	flow_exchange(f, FLOW_MUCH);
	flow_again(f, "after the child has ended");
	flow_end(f);
}

static void take_turns(struct flow *f, int in, int out, bool first)
{
	char c = 0;

	for (int i = 0; i < 10; i++) {
		if (!(first && i == 0) && read(in, &c, 1) != 1)
			die("pipe");
		flow_exchange(f, 5000);
		if (i == 4)
			flow_try_hw(f);
		if (write(out, &c, 1) != 1)
			die("pipe");
	}
}

static void fork_both(void)
{
	struct flow *f = flow_open();
	int up[2], down[2];
	pid_t pid;

	if (pipe(up) || pipe(down))
		die("pipe");
	pid = fork();
	if (!pid) {
		take_turns(f, down[0], up[1], false);
		_exit(0);
	}
	take_turns(f, up[0], down[1], true);
	wait_child(pid, "child");
	flow_again(f, "after the child has ended");
	flow_end(f);
}

/* The child has used it and lives on: what both may use cannot move. */
static void use_and_sleep(struct flow *f)
{
	flow_exchange(f, 3000);
	usleep(600000);
}

static void fork_shared(void)
{
	struct flow *f = flow_open();
	pid_t pid = child_of(use_and_sleep, f);

	while (f->rx < 58000)
		usleep(1000);
	flow_exchange(f, 1000);
	want_path(f, P_KERNEL, "after use in the child");
	if (flow_try_hw(f))
		die("offloaded while two processes use it");
	flow_exchange(f, FLOW_MUCH);
	wait_child(pid, "child");
	flow_again(f, "after the child has ended");
	flow_end(f);
}

/* The way of PostgreSQL: the parent closes its copy, the child goes on, also in hardware. */
static void use_alone(struct flow *f)
{
	flow_exchange(f, 3000);
	usleep(100000);
	flow_again(f, "in the child, alone");
	flow_end(f);
}

static void fork_server(void)
{
	struct flow *f = flow_open();
	pid_t pid = child_of(use_alone, f);

	close(f->fd);
	wait_child(pid, "child");
}

static void fork_close(void)
{
	struct flow *f = flow_open();
	pid_t pid = child_of(close_it, f);

	flow_exchange(f, FLOW_MUCH);
	wait_child(pid, "child");
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "after the child has closed it");
	flow_end(f);
}

/* daemon(3): both ancestors are gone, only the grandchild is left. */
static void fork_daemon(void)
{
	struct flow *f = flow_open();
	int done[2];
	char c;

	if (pipe(done))
		die("pipe");
	if (!fork()) {
		if (fork())
			_exit(0);
		usleep(50000);
		use_alone(f);
		if (write(done[1], "k", 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(f->fd);
	close(done[1]);
	if (read(done[0], &c, 1) != 1)
		die("the grandchild failed");
}

/* ---- epoll across fork ---- */

static void epoll_echo(int ep, struct flow *f, int rounds)
{
	struct epoll_event ev;

	while (rounds--) {
		flow_send(f, 100);
		while (f->rx < f->tx) {
			if (epoll_wait(ep, &ev, 1, 5000) != 1)
				die("no event");
			if (ev.events != EPOLLIN || ev.data.u32 != 7)
				die("event %#x, data %u", ev.events, ev.data.u32);
			flow_recv(f, 100);
		}
	}
}

static int epoll_of(struct flow *f, uint32_t more)
{
	struct epoll_event ev = { .events = EPOLLIN | more, .data.u32 = 7 };
	int ep = epoll_create1(0);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, f->fd, &ev))
		die("epoll: %s", strerror(errno));
	return ep;
}

/* An event loop that becomes a daemon: set and socket are inherited, and go to hardware once more. */
static void daemon_loop(int verdict)
{
	struct flow *f = flow_open();
	int ep = epoll_of(f, 0);

	epoll_echo(ep, f, 5);
	if (fork())
		_exit(0);
	alarm(20);
	epoll_echo(ep, f, 5);
	usleep(100000);
	flow_again(f, "in the daemon");
	epoll_echo(ep, f, 5);
	want_path(f, P_HW, "events in hardware");
	flow_to_kernel(f);
	epoll_echo(ep, f, 5);
	flow_end(f);
	if (write(verdict, "k", 1) != 1)
		die("pipe");
	_exit(0);
}

static void epoll_daemon(void)
{
	int verdict[2];
	char c;

	if (pipe(verdict))
		die("pipe");
	if (!fork())
		daemon_loop(verdict[1]);
	close(verdict[1]);
	if (read(verdict[0], &c, 1) != 1)
		die("the daemon failed");
}

/* The child sends, the parent waits in epoll only. */
static void send_some(struct flow *f)
{
	for (int i = 0; i < 20; i++) {
		flow_try_hw(f);
		flow_send(f, 100);
		usleep(10000);
	}
}

static void epoll_parent(void)
{
	struct flow *f = flow_open();
	int ep = epoll_of(f, 0);
	struct epoll_event ev;
	uint64_t end = f->rx + 2000;
	pid_t pid = child_of(send_some, f);

	while (f->rx < end) {
		if (epoll_wait(ep, &ev, 1, 5000) != 1)
			die("no event after %llu bytes", (unsigned long long)f->rx);
		if (ev.events != EPOLLIN || ev.data.u32 != 7)
			die("event %#x, data %u", ev.events, ev.data.u32);
		flow_recv(f, 100);
	}
	wait_child(pid, "child");
	flow_again(f, "after the child has ended");
	epoll_echo(ep, f, 5);
	flow_end(f);
}

static const struct flow_case cases[] = {
	{ "fork-parent", fork_parent },
	{ "fork-child", fork_child },
	{ "fork-both", fork_both },
	{ "fork-shared", fork_shared },
	{ "fork-server", fork_server },
	{ "fork-close", fork_close },
	{ "fork-daemon", fork_daemon },
	{ "epoll-daemon", epoll_daemon },
	{ "epoll-parent", epoll_parent },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return flow_main(argc, argv, cases);
}
