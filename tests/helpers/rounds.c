/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rounds app ADDRESS PORT: one application of the leak test. Connects to an echo server, exchanges a few bytes,
 * says so with a line, and on a byte from standard input (it has been offloaded) exchanges more and is killed by
 * its own hand: with nothing unread, with unread or with unsent data, as the byte's value says.
 * rounds drive RUNDIR NR PARALLEL APP...: NR such lives, PARALLEL at a time, each offloaded by its process number
 * through toed's control socket. Prints how many were in hardware. Exit: 0, 1 something failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PARALLEL 64
#define SIZE 700

static void die(const char *what)
{
	fprintf(stderr, "rounds: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the application ---- */

static void echo(int sock, size_t n)
{
	char out[SIZE], in[SIZE];
	size_t got = 0;
	ssize_t part;

	memset(out, 'e', sizeof(out));
	if (write(sock, out, n) != (ssize_t)n)
		die("write");
	while (got < n) {
		part = read(sock, in + got, n - got);
		if (part <= 0)
			die("read");
		got += (size_t)part;
	}
}

static int app(const char *addr, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	static char much[1 << 20];
	char how;

	inet_pton(AF_INET, addr, &a.sin_addr);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	echo(sock, 10);
	if (write(1, "\n", 1) != 1 || read(0, &how, 1) != 1)
		return 1;
	echo(sock, SIZE);
	if (how % 3 == 1) {		/* the echo stays unread */
		if (write(sock, much, SIZE) != SIZE)
			die("write");
		usleep(2000);
	} else if (how % 3 == 2) {	/* some of it will be unsent */
		while (send(sock, much, sizeof(much), MSG_DONTWAIT) > 0)
			;
	}
	kill(getpid(), SIGKILL);
	return 1;
}

/* ---- the driver ---- */

struct life {
	pid_t pid;
	int in, out;
	bool ready;
};

static struct life lives[MAX_PARALLEL];
static char **command;
static int ctl = -1;
static unsigned long started, in_hardware, ended;

static void start(struct life *l)
{
	int in[2], out[2];

	if (pipe(in) || pipe(out))
		die("pipe");
	l->pid = fork();
	if (l->pid < 0)
		die("fork");
	if (!l->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		execv(command[0], command);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	l->in = in[1];
	l->out = out[0];
	l->ready = false;
	started++;
}

static const char *ask_offload(pid_t pid)
{
	static char buf[4096];
	size_t len = 0;
	ssize_t n;

	dprintf(ctl, "{\"cmd\":\"offload\",\"pid\":%d}\n", pid);
	do {
		n = read(ctl, buf + len, sizeof(buf) - 1 - len);
		if (n <= 0)
			die("toed hung up");
		len += (size_t)n;
		buf[len] = 0;
	} while (!strchr(buf, '\n') && len < sizeof(buf) - 1);
	return buf;
}

/* The application knows that it is connected sooner than toed hears of it: until then there is nothing to move or to refuse. */
static bool offload(pid_t pid)
{
	const char *answer = ask_offload(pid);

	for (int i = 0; i < 1000 && strstr(answer, "\"moved\":0,\"refused\":0,\"gone\":0"); i++) {
		usleep(1000);
		answer = ask_offload(pid);
	}
	if (strstr(answer, "\"moved\":1"))
		return true;
	fprintf(stderr, "rounds: process %d: not moved: %s", pid, answer);
	return false;
}

static void bury(struct life *l)
{
	int status;

	waitpid(l->pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "rounds: an application ended with status %x\n", status);
		exit(1);
	}
	close(l->in);
	close(l->out);
	l->pid = 0;
	ended++;
}

static void advance(struct life *l)
{
	char how = (char)(started % 3), c;

	if (read(l->out, &c, 1) == 1) {		/* connected */
		in_hardware += offload(l->pid);
		if (write(l->in, &how, 1) != 1)
			die("write to an application");
		return;
	}
	bury(l);
}

static int dial(const char *rundir)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/ctl.sock", rundir);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)))
		die(a.sun_path);
	return sock;
}

static int drive(const char *rundir, unsigned long nr, unsigned int parallel)
{
	struct pollfd p[MAX_PARALLEL];
	unsigned int i;

	ctl = dial(rundir);
	signal(SIGPIPE, SIG_IGN);
	while (ended < nr) {
		for (i = 0; i < parallel; i++) {
			if (!lives[i].pid && started < nr)
				start(&lives[i]);
			p[i] = (struct pollfd){ lives[i].pid ? lives[i].out : -1, POLLIN, 0 };
		}
		if (poll(p, parallel, 60000) <= 0)
			die("no application says anything");
		for (i = 0; i < parallel; i++)
			if (p[i].revents)
				advance(&lives[i]);
	}
	printf("rounds: %lu lives, %lu in hardware\n", ended, in_hardware);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "app"))
		return app(argv[2], argv[3]);
	if (argc > 5 && !strcmp(argv[1], "drive") && atoi(argv[4]) > 0 && atoi(argv[4]) <= MAX_PARALLEL) {
		command = argv + 5;
		return drive(argv[2], strtoul(argv[3], NULL, 0), (unsigned int)atoi(argv[4]));
	}
	fputs("usage: rounds app ADDRESS PORT | rounds drive RUNDIR NR PARALLEL COMMAND...\n", stderr);
	return 64;
}
