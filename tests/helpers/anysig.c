/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals and cancellation while calls on a connection in hardware are blocked. One case a run. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"

static volatile sig_atomic_t caught;
static void on_signal(int sig) { (void)sig; caught++; }

static void arm_signal(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval it = { .it_value = { 0, 50000 } };

	alarm(0);
	caught = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static struct flow *shared_flow;

static void *send_later(void *arg)
{
	usleep(150000);
	flow_send(shared_flow, (size_t)arg);
	return NULL;
}

static void want_eintr(const char *call, long rc)
{
	if (rc != -1 || errno != EINTR || !caught)
		die("%s: %ld, %s, %d signals", call, rc, strerror(errno), (int)caught);
}

static void sig_plain(void)
{
	struct flow *f = flow_open();
	struct pollfd p = { f->fd, POLLIN, 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);
	struct timeval tv = { 5, 0 };
	char c;
	fd_set r;

	arm_signal(0);
	want_eintr("read", read(f->fd, &c, 1));
	arm_signal(0);
	want_eintr("recv", recv(f->fd, &c, 1, MSG_WAITALL));
	for (int i = 0; i < 2; i++) {	/* poll and its like, whatever SA_RESTART says */
		arm_signal(i ? SA_RESTART : 0);
		want_eintr("poll", poll(&p, 1, 5000));
		arm_signal(i ? SA_RESTART : 0);
		FD_ZERO(&r);
		FD_SET(f->fd, &r);
		want_eintr("select", select(f->fd + 1, &r, NULL, NULL, &tv));
		epoll_ctl(ep, EPOLL_CTL_ADD, f->fd, &ev);
		arm_signal(i ? SA_RESTART : 0);
		want_eintr("epoll_wait", epoll_wait(ep, &ev, 1, 5000));
	}
	want_path(f, P_HW, "signals");
	flow_exchange(f, FLOW_MUCH);
	flow_end(f);
}

static void sig_restart(void)
{
	struct timeval tv = { 5, 0 };
	pthread_t t;
	char c;

	shared_flow = flow_open();
	arm_signal(SA_RESTART);
	pthread_create(&t, NULL, send_later, (void *)1000L);
	flow_recv(shared_flow, 1000);
	pthread_join(t, NULL);
	if (!caught)
		die("no signal came");
	/* with a timeout the kernel never restarts: signal(7) */
	setsockopt(shared_flow->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	arm_signal(SA_RESTART);
	want_eintr("read with SO_RCVTIMEO", read(shared_flow->fd, &c, 1));
	want_path(shared_flow, P_HW, "signals");
	flow_end(shared_flow);
}

/* Ten times, by a process that was made before any connection. */
static void stop_often(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "(for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; kill -STOP %d || exit; sleep 0.05; kill -CONT %d; done) 2>/dev/null &",
		 getpid(), getpid());
	if (system(cmd))
		die("no shell");
}

/* A handler that is gone when it has run. */
static void sig_once(void)
{
	struct flow *f = flow_open();
	struct pollfd p = { f->fd, POLLIN, 0 };

	arm_signal((int)SA_RESETHAND);
	want_eintr("poll", poll(&p, 1, 5000));
	want_path(f, P_HW, "a signal");
	flow_end(f);
}

static void *send_much_later(void *arg)
{
	usleep(450000);
	return send_later(arg);
}

/* Stopped and continued, without any handler: calls go on, but for epoll_wait, as in the kernel. */
static void sig_stopped(void)
{
	struct pollfd p = { .events = POLLIN };
	struct timeval tv;
	struct flow *f;
	pthread_t t;
	fd_set r;
	int rc;

	stop_often();
	f = shared_flow = flow_open();
	p.fd = f->fd;
	for (int i = 0; i < 3; i++) {
		pthread_create(&t, NULL, send_much_later, (void *)1000L);
		tv = (struct timeval){ 5, 0 };
		FD_ZERO(&r);
		FD_SET(f->fd, &r);
		rc = i == 0 ? poll(&p, 1, 5000) : i == 1 ? select(f->fd + 1, &r, NULL, NULL, &tv) : 1;
		if (rc != 1)
			die("call %d: %d, %s", i, rc, strerror(errno));
		flow_recv(f, 1000);
		pthread_join(t, NULL);
	}
	want_path(f, P_HW, "a stop");
	flow_end(f);
}

static void *write_all(void *arg)
{
	unsigned char buf[100000];
	struct flow *f = arg;
	ssize_t n;

	flow_fill(f, buf, sizeof(buf));
	n = write(f->fd, buf, sizeof(buf));
	if (n != sizeof(buf))
		die("write: %zd, %s", n, strerror(errno));
	return NULL;
}

static void sig_writer(void)
{
	struct flow *f = flow_open();
	unsigned char c;
	pthread_t t;

	flow_choke(f);
	arm_signal(0);
	c = 0;
	want_eintr("write", write(f->fd, &c, 1));
	arm_signal(SA_RESTART);
	pthread_create(&t, NULL, write_all, f);
	usleep(200000);
	flow_recv(f, f->tx - f->rx);	/* the writer has noted what it writes */
	pthread_join(t, NULL);
	want_path(f, P_HW, "signals");
	flow_end(f);
}

/* ---- cancellation ---- */

static void *read_one(void *arg)
{
	char c;
	struct flow *f = arg;

	if (read(f->fd, &c, 1) != 0)
		die("a cancelled read came back");
	return NULL;
}

static void *write_some(void *arg)
{
	static char none[32 << 20];
	struct flow *f = arg;

	send(f->fd, none, sizeof(none), MSG_NOSIGNAL);
	return NULL;
}

static void *wait_epoll(void *arg)
{
	struct epoll_event ev;

	epoll_wait((int)(intptr_t)arg, &ev, 1, -1);
	return NULL;
}

static void cancel(pthread_t t)
{
	void *how;

	usleep(100000);
	pthread_cancel(t);
	pthread_join(t, &how);
	if (how != PTHREAD_CANCELED)
		die("was not cancelled");
}

static void cancel_reader(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct flow *f = flow_open();
	int ep = epoll_create1(0);
	pthread_t t;

	for (int i = 0; i < 4; i++) {
		pthread_create(&t, NULL, read_one, f);
		cancel(t);
		flow_exchange(f, 1000);
		if (i & 1)
			flow_to_hw(f);
		else
			flow_to_kernel(f);
	}
	epoll_ctl(ep, EPOLL_CTL_ADD, f->fd, &ev);
	pthread_create(&t, NULL, wait_epoll, (void *)(intptr_t)ep);
	cancel(t);
	flow_again(f, "after cancelled readers");
	flow_end(f);
}

/* Blocked, on either path; then the stream's end is torn, but moves and locks work. */
static void cancel_writer(void)
{
	struct flow *f = flow_open();
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		flow_choke(f);
		pthread_create(&t, NULL, write_some, f);
		cancel(t);
		flow_to_kernel(f);
		pthread_create(&t, NULL, write_some, f);
		cancel(t);
		flow_to_hw(f);
	}
	close(f->fd);
	flow_fresh("after cancelled writers");
}

static void *cancelled_send(void *arg)
{
	static const char some[100];

	pthread_cancel(pthread_self());
	while (send((int)(intptr_t)arg, some, sizeof(some), MSG_NOSIGNAL) > 0)
		usleep(1000);
	return NULL;
}

/* Pending when the call begins: nothing stays counted or locked. */
static void cancel_pending(void)
{
	struct flow *f = flow_open();
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		if (!i)
			flow_to_kernel(f);
		pthread_create(&t, NULL, cancelled_send, (void *)(intptr_t)f->fd);
		pthread_join(t, NULL);
		flow_again(f, "after a cancelled sender");
	}
	flow_end(f);
}

static const struct flow_case cases[] = {
	{ "sig-plain", sig_plain },
	{ "sig-restart", sig_restart },
	{ "sig-once", sig_once },
	{ "sig-stopped", sig_stopped },
	{ "sig-writer", sig_writer },
	{ "cancel-reader", cancel_reader },
	{ "cancel-writer", cancel_writer },
	{ "cancel-pending", cancel_pending },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return flow_main(argc, argv, cases);
}
