/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writers that wait for room, and threads that wait while another one shuts down or closes, while their connection
 * is moved both ways. One case a run.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"

static struct flow *flow;
static atomic_int waiting;

#define BLOCK	1000000

static void *write_block(void *arg)
{
	unsigned char *buf = malloc(BLOCK);
	ssize_t n;

	flow_fill(flow, buf, BLOCK);
	waiting = 1;
	n = arg ? send(flow->fd, buf, BLOCK, MSG_NOSIGNAL) : write(flow->fd, buf, BLOCK);
	if (n != BLOCK)
		die("write: %zd, %s", n, strerror(errno));
	free(buf);
	return NULL;
}

static void in_write(void)
{
	pthread_t t;

	for (int i = 0; i < 4; i++) {
		flow = flow_open();
		flow_choke(flow);
		waiting = 0;
		pthread_create(&t, NULL, write_block, (void *)(intptr_t)(i & 1));
		while (!waiting)
			usleep(100);
		usleep(20000);
		flow_move(flow, 1 + i);
		flow_recv(flow, flow->tx - flow->rx);
		pthread_join(t, NULL);
		flow_exchange(flow, 10000);
		flow_end(flow);
	}
}

static void *wait_room(void *arg)
{
	struct epoll_event ev;
	struct pollfd p = { flow->fd, POLLOUT, 0 };
	int e = (int)(intptr_t)arg;
	unsigned char buf[1000];
	ssize_t n;

	waiting = 1;
	if ((e >= 0 ? epoll_wait(e, &ev, 1, 10000) : poll(&p, 1, 10000)) != 1)
		die("no room was announced");
	if ((e >= 0 ? (int)ev.events : p.revents) != POLLOUT)
		die("events %#x, %#x", ev.events, p.revents);
	flow_fill(flow, buf, sizeof(buf));
	n = send(flow->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n <= 0)
		die("room was announced, there is none");
	flow->tx -= sizeof(buf) - n;
	return NULL;
}

static void room(int how)
{
	struct epoll_event ev = { .events = EPOLLOUT | (how == 2 ? EPOLLET : 0) };
	pthread_t t;
	int e = how ? epoll_create1(0) : -1;

	flow = flow_open();
	for (int i = 0; i < 4; i++) {
		flow_choke(flow);
		if (how)
			epoll_ctl(e, EPOLL_CTL_ADD, flow->fd, &ev);
		if (how && epoll_wait(e, &ev, 1, 0) != 0)
			die("room in a full queue: %#x", ev.events);
		waiting = 0;
		pthread_create(&t, NULL, wait_room, (void *)(intptr_t)e);
		while (!waiting)
			usleep(100);
		usleep(20000);
		flow_move(flow, i);
		flow_recv(flow, flow->tx - flow->rx);
		pthread_join(t, NULL);
		flow_recv(flow, flow->tx - flow->rx);
		if (how)
			epoll_ctl(e, EPOLL_CTL_DEL, flow->fd, NULL);
		ev.events = EPOLLOUT | (how == 2 ? EPOLLET : 0);
		flow_move(flow, path_of(flow->fd) != P_HW);
	}
	flow_end(flow);
}

static void room_poll(void) { room(0); }
static void room_epoll(void) { room(1); }
static void room_epollet(void) { room(2); }

/* ---- another thread closes or shuts down while others wait and it is moved ---- */

static void *read_end(void *arg)
{
	char c;
	ssize_t n;

	waiting = 1;
	n = read(flow->fd, &c, 1);
	if (n != 0)
		die("read after shutdown: %zd, %s", n, strerror(errno));
	return arg;
}

static void shut_reader(void)
{
	pthread_t t;

	for (int i = 0; i < 4; i++) {
		flow = flow_open();
		waiting = 0;
		pthread_create(&t, NULL, read_end, NULL);
		while (!waiting)
			usleep(100);
		usleep(10000);
		flow_move(flow, i);
		if (shutdown(flow->fd, i & 1 ? SHUT_RDWR : SHUT_RD))
			die("shutdown: %s", strerror(errno));
		pthread_join(t, NULL);
		close(flow->fd);
	}
}

static void *close_it(void *arg)
{
	usleep(20000);
	if (close((int)(intptr_t)arg))
		die("close: %s", strerror(errno));
	return NULL;
}

/* Closed by another thread: an epoll instance forgets it, and the peer gets FIN. */
static void closed(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	pthread_t t;
	int e = epoll_create1(0);

	for (int i = 0; i < 6; i++) {
		flow = flow_open();
		epoll_ctl(e, EPOLL_CTL_ADD, flow->fd, &ev);
		flow_move(flow, i % 3);
		pthread_create(&t, NULL, close_it, (void *)(intptr_t)flow->fd);
		if (epoll_wait(e, &ev, 1, 200) != 0)
			die("event of a closed socket: %#x", ev.events);
		pthread_join(t, NULL);
	}
}

static const struct flow_case cases[] = {
	{ "write", in_write },
	{ "room-poll", room_poll },
	{ "room-epoll", room_epoll },
	{ "room-epollet", room_epollet },
	{ "shut-reader", shut_reader },
	{ "closed", closed },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	flow_rcvbuf = 300000;	/* full queues can move: no window outgrows the largest ring */
	return flow_main(argc, argv, cases);
}
