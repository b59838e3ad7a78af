/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection under the library, whose peer sends everything back; its path is moved by lib_fake.h. */
#ifndef LIB_PEER_H
#define LIB_PEER_H

#include "test.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "lib_fake.h"

/* The peer: a plain socket that sends everything back. */
static void *echo(void *arg)
{
	int ls = *(int *)arg, s = real.accept(ls, NULL, NULL);
	static __thread uint8_t buf[30000];
	ssize_t n, k, done;

	while ((n = libc_recv(s, buf, sizeof(buf), 0)) > 0)
		for (done = 0; done < n; done += k)
			if ((k = real.send(s, buf + done, n - done, MSG_NOSIGNAL)) < 0)
				break;
	real.close(s);
	return NULL;
}

struct peer {
	int ls, fd;
	pthread_t thread, flip;
	int flipping, moves;
};

static inline void dial_echo(struct peer *p)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	memset(p, 0, sizeof(*p));
	p->ls = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->ls, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->ls, 1), 0);
	getsockname(p->ls, (void *)&a, &len);
	pthread_create(&p->thread, NULL, echo, &p->ls);
	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(p->fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(word_path(ld_acq(&fake.table[p->fd].word)), TOE_PATH_KERNEL);
	assert_int_equal(ld(&fake.table[p->fd].why), TOE_WHY_NEW);
	fake.table[p->fd].why = TOE_WHY_FIN;	/* of this one, not of the next that gets the number */
}

static inline void hang_up(struct peer *p)
{
	assert_int_equal(close(p->fd), 0);
	assert_int_equal(word_path(ld_acq(&fake.table[p->fd].word)), TOE_PATH_NONE);
	pthread_join(p->thread, NULL);
	close(p->ls);
}

static inline void to_hw(struct peer *p)
{
	while (!fake_offload(p->fd))
		usleep(1000);
}

/* Wait until n bytes are back. */
static inline void expect_back(struct peer *p, const char *what)
{
	char buf[64];
	size_t n = strlen(what);

	assert_int_equal(recv(p->fd, buf, n, MSG_WAITALL), n);
	assert_memory_equal(buf, what, n);
}

static int start(void **state)
{
	(void)state;
	fake_start();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_stop();
	return 0;
}

#endif
