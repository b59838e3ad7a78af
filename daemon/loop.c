/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
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

uint64_t loop_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
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
