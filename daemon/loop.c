/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "conf.h"
#include "log.h"
#include "loop.h"

sd_event *loop;

static int reserve = -1;	/* given up to be able to turn a client away */

int loop_init(void)
{
	reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return sd_event_default(&loop);
}

void loop_exit(void)
{
	loop = sd_event_unref(loop);
	if (reserve >= 0)
		close(reserve);
	reserve = -1;
}

uint64_t loop_now_us(void)
{
	uint64_t us = 0;

	sd_event_now(loop, CLOCK_MONOTONIC, &us);
	return us;
}

uint64_t loop_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t loop_clock_us(void)
{
	return loop_clock_ns() / 1000;
}

static void name_of(struct sockaddr_un *a, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", conf.rundir, name);
}

int loop_listen(const char *name, int type, unsigned int mode, int backlog)
{
	struct sockaddr_un a;
	int sock, err;

	name_of(&a, name);
	unlink(a.sun_path);
	sock = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock >= 0 && !bind(sock, (struct sockaddr *)&a, sizeof(a)) && !chmod(a.sun_path, mode) &&
	    !listen(sock, backlog))
		return sock;
	err = -errno;
	log_err("%s: %s", a.sun_path, strerror(-err));
	if (sock >= 0)
		close(sock);
	return err;
}

void loop_unlisten(int listener, const char *name)
{
	struct sockaddr_un a;

	close(listener);
	name_of(&a, name);
	unlink(a.sun_path);
}

int loop_accept(int listener)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock >= 0 || (errno != EMFILE && errno != ENFILE))
		return sock;
	close(reserve);
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (sock >= 0)
		close(sock);
	reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return -1;
}
