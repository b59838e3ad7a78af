/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other programs that get a connection which is in hardware, by exec, spawn or SCM_RIGHTS. One case a run. */
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

#define USED	10000		/* bytes that another program moves */

extern char **environ;
static char self[512], *bare_env[] = { "PATH=/usr/bin:/bin", NULL };

/* Arguments of "use FD SEED TX RX": another program that goes on with the connection. */
static char **use_argv(const struct flow *f, int fd)
{
	static char text[4][32], *argv[8];

	snprintf(text[0], 32, "%d", fd);
	snprintf(text[1], 32, "%llu", (unsigned long long)f->seed);
	snprintf(text[2], 32, "%llu", (unsigned long long)f->tx);
	snprintf(text[3], 32, "%llu", (unsigned long long)f->rx);
	argv[0] = self;
	argv[1] = "use";
	for (int i = 0; i < 4; i++)
		argv[2 + i] = text[i];
	argv[6] = NULL;
	return argv;
}

static int use_main(char **argv)
{
	struct flow f = { .fd = atoi(argv[2]), .seed = strtoull(argv[3], NULL, 10),
			  .tx = strtoull(argv[4], NULL, 10), .rx = strtoull(argv[5], NULL, 10) };

	alarm(20);
	flow_exchange(&f, USED);
	return 0;
}

static void used(struct flow *f)	/* by the other program */
{
	f->tx += USED;
	f->rx += USED;
}

/* ---- other programs ---- */

static void fork_exec(struct flow *f, char **env, bool hold)
{
	pid_t pid = fork();

	if (!pid) {
		if (hold)
			execle("/bin/sleep", "sleep", "0.6", NULL, env);
		else
			execve(self, use_argv(f, f->fd), env);
		_exit(127);
	}
	if (hold) {
		usleep(200000);
		flow_exchange(f, 1000);
		want_path(f, P_KERNEL, "after exec in the child");
		if (flow_try_hw(f))
			die("offloaded while another program has the descriptor");
	}
	wait_child(pid, "other program");
	if (!hold)
		used(f);
}

static void fork_exec_lib(void)
{
	struct flow *f = flow_open();

	fork_exec(f, environ, false);
	flow_exchange(f, FLOW_MUCH);
	flow_again(f, "after the other program");
	flow_end(f);
}

static void fork_exec_bare(void)
{
	struct flow *f = flow_open();

	fork_exec(f, bare_env, false);
	flow_exchange(f, FLOW_MUCH);
	flow_again(f, "after the other program");
	flow_end(f);
}

static void fork_exec_hold(void)
{
	struct flow *f = flow_open();

	fork_exec(f, bare_env, true);
	flow_exchange(f, FLOW_MUCH);
	flow_again(f, "after the other program");
	flow_end(f);
}

/* Close-on-exec: nothing is handed on, the connection stays in hardware. */
static void fork_exec_cloexec(void)
{
	struct flow *f = flow_open();
	pid_t pid;

	fcntl(f->fd, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	wait_child(pid, "true");
	flow_exchange(f, FLOW_MUCH);
	want_path(f, P_HW, "exec with close-on-exec");
	flow_end(f);
}

static void vfork_exec(bool use)
{
	struct flow *f = flow_open();
	char **argv = use_argv(f, 0);
	pid_t pid;

	fcntl(f->fd, F_SETFD, FD_CLOEXEC);
	pid = vfork();
	if (!pid) {
		if (use && dup2(f->fd, 0) == 0)
			execve(self, argv, bare_env);
		else if (!use)
			execl("/bin/true", "true", NULL);
		_exit(127);
	}
	wait_child(pid, "after vfork");
	if (use)
		used(f);
	else
		want_path(f, P_HW, "vfork, exec with close-on-exec");
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

static void vfork_cloexec(void) { vfork_exec(false); }
static void vfork_dup2(void) { vfork_exec(true); }

static void vfork_keep(void)
{
	struct flow *f = flow_open();
	char **argv = use_argv(f, f->fd);
	pid_t pid = vfork();

	if (!pid) {
		execve(self, argv, bare_env);
		_exit(127);
	}
	wait_child(pid, "after vfork");
	used(f);
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

static void spawn(bool dup_it)
{
	struct flow *f = flow_open();
	posix_spawn_file_actions_t fa;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	if (dup_it) {
		fcntl(f->fd, F_SETFD, FD_CLOEXEC);
		posix_spawn_file_actions_adddup2(&fa, f->fd, 0);
	}
	if (posix_spawn(&pid, self, &fa, NULL, use_argv(f, dup_it ? 0 : f->fd), bare_env))
		die("posix_spawn");
	wait_child(pid, "spawned");
	posix_spawn_file_actions_destroy(&fa);
	used(f);
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

static void spawn_keep(void) { spawn(false); }
static void spawn_dup2(void) { spawn(true); }

static void use_command(const struct flow *f, char *cmd, size_t room)
{
	char **a = use_argv(f, f->fd);

	snprintf(cmd, room, "env -u LD_PRELOAD '%s' %s %s %s %s %s", a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void system_use(void)
{
	struct flow *f = flow_open();
	char cmd[1024];

	use_command(f, cmd, sizeof(cmd));
	if (system(cmd))
		die("system: %s", cmd);
	used(f);
	flow_exchange(f, FLOW_MUCH);
	flow_again(f, "after system()");
	flow_end(f);
}

static void popen_use(void)
{
	struct flow *f = flow_open();
	char cmd[1024];
	FILE *p;

	use_command(f, cmd, sizeof(cmd));
	p = popen(cmd, "r");
	if (!p || pclose(p))
		die("popen: %s", cmd);
	used(f);
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

/* This process becomes another program; its parent sees whether that went well. */
static void exec_self(char **env)
{
	pid_t pid = fork();
	struct flow *f;

	if (!pid) {
		f = flow_open();
		execve(self, use_argv(f, f->fd), env);
		_exit(127);
	}
	wait_child(pid, "exec");
}

static void exec_lib(void) { exec_self(environ); }
static void exec_bare(void) { exec_self(bare_env); }

/* A failed exec changes nothing for good. */
static void exec_fails(void)
{
	struct flow *f = flow_open();

	if (execl("/nonexistent", "x", NULL) != -1 || errno != ENOENT)
		die("exec of nothing: %s", strerror(errno));
	flow_exchange(f, FLOW_MUCH);
	flow_again(f, "after a failed exec");
	flow_end(f);
}

/* With close-on-exec the peer gets FIN, as from the kernel. The address is that of the child's connection. */
static void exec_cloexec(void)
{
	struct flow *f = flow_make();
	pid_t pid = fork();
	static char list[1 << 20];
	char want[32];

	if (!pid) {
		flow_dial(f, SOCK_CLOEXEC);
		flow_exchange(f, 1000);
		flow_to_hw(f);
		flow_exchange(f, 1000);
		execl("/bin/sleep", "sleep", "3", NULL);
		_exit(127);
	}
	while (f->rx < 2000)
		usleep(1000);
	usleep(500000);
	snprintf(want, sizeof(want), ":%u\"", f->port);
	ctl_request("{\"cmd\":\"list\"}\n", list, sizeof(list));
	if (strstr(list, want))
		die("still there after exec: %s", list);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- SCM_RIGHTS ---- */

static void pass(int via, int fd)
{
	char c = 'f', ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	if (sendmsg(via, &m, 0) != 1)
		die("sendmsg: %s", strerror(errno));
}

static int take(int via)
{
	char c, ctl[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	int fd;

	if (recvmsg(via, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		die("recvmsg: %s", strerror(errno));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* scm FD SEED TX RX: without the library, descriptor by way of socket FD */
static int scm_main(char **argv)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", take(atoi(argv[2])));
	argv[2] = fd;
	return use_main(argv);
}

static void scm_bare(void)
{
	struct flow *f = flow_open();
	char **argv;
	int pair[2];
	pid_t pid;

	fcntl(f->fd, F_SETFD, FD_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	argv = use_argv(f, pair[1]);
	argv[1] = "scm";
	pid = fork();
	if (!pid) {
		execve(self, argv, bare_env);
		_exit(127);
	}
	flow_exchange(f, 0);
	want_path(f, P_HW, "before the descriptor is passed");
	pass(pair[0], f->fd);
	wait_child(pid, "receiver");
	used(f);
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

/* The receiver has the library and is left alone with the connection: it can move again. */
static void scm_lib(void)
{
	struct flow *f = flow_make(), *g;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	pid = fork();
	if (!pid) {
		f->fd = take(pair[1]);
		flow_exchange(f, FLOW_MUCH);
		usleep(100000);
		flow_again(f, "in the receiver");
		flow_end(f);
		_exit(0);
	}
	g = flow_open();
	*f = *g;
	pass(pair[0], g->fd);
	close(g->fd);
	wait_child(pid, "receiver");
}

static const struct flow_case cases[] = {
	{ "fork-exec-lib", fork_exec_lib },
	{ "fork-exec-bare", fork_exec_bare },
	{ "fork-exec-hold", fork_exec_hold },
	{ "fork-exec-cloexec", fork_exec_cloexec },
	{ "vfork-cloexec", vfork_cloexec },
	{ "vfork-dup2", vfork_dup2 },
	{ "vfork-keep", vfork_keep },
	{ "spawn-keep", spawn_keep },
	{ "spawn-dup2", spawn_dup2 },
	{ "system", system_use },
	{ "popen", popen_use },
	{ "exec-lib", exec_lib },
	{ "exec-bare", exec_bare },
	{ "exec-fails", exec_fails },
	{ "exec-cloexec", exec_cloexec },
	{ "scm-bare", scm_bare },
	{ "scm-lib", scm_lib },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = 0;
	if (argc == 6 && !strcmp(argv[1], "use"))
		return use_main(argv);
	if (argc == 6 && !strcmp(argv[1], "scm"))
		return scm_main(argv);
	return flow_main(argc, argv, cases);
}
