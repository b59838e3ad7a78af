/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libtoe.so where there is no toed: the program, and what it forks, run as without the library. */
#include "test.h"

#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char self[4096], lib[4200];

/* A connection of this process to itself. */
static int echo(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	socklen_t len = sizeof(a);
	char buf[4];

	if (bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &len) ||
	    connect(c, (struct sockaddr *)&a, sizeof(a)))
		return 2;
	s = accept(l, NULL, NULL);
	if (s < 0 || send(c, "toe", 4, 0) != 4 || recv(s, buf, 4, MSG_WAITALL) != 4 || strcmp(buf, "toe"))
		return 3;
	close(l);
	close(c);
	close(s);
	return 0;
}

/* 0 if it ended well */
static int forked(int (*fn)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (!pid)
		_exit(fn());
	waitpid(pid, &status, 0);
	return status;
}

static int grandchild(void) { return forked(echo) ? 4 : echo(); }

static int preloaded(void)
{
	if (forked(echo))	/* before this process has a connection */
		return 5;
	if (echo())
		return 6;
	return forked(grandchild) ? 7 : 0;
}

static int exec_self(void)
{
	setenv("LD_PRELOAD", lib, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);	/* a build with ASAN=1: its runtime comes behind */
	setenv("TOE_RUNDIR", "/nonexistent", 1);
	execl(self, self, "preloaded", NULL);
	return 8;
}

static void test_forks(void **state)
{
	(void)state;
	if (access(lib, R_OK))
		skip();
	assert_int_equal(forked(exec_self), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_forks) };
	char dir[4096];

	if (argc > 1 && !strcmp(argv[1], "preloaded"))
		return preloaded();
	/* BUILD/tests/unit/lib_without */
	snprintf(self, sizeof(self), "%s", argv[0]);
	snprintf(dir, sizeof(dir), "%s", argv[0]);
	snprintf(lib, sizeof(lib), "%.3900s/../../libtoe.so", dirname(dir));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
