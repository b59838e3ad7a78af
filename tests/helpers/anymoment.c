/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moves at awkward moments, each both ways: whatever is queued, in flight, missing or being closed, each byte comes
 * once and in order, and the ends are what they would have been. The peer's socket is this process's as well, made in
 * the namespace TOE_PEER_NS; LINK_PID is the link, which some cases stop for a while. One case a run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/helpers/flow_conn.h"
#include "tests/helpers/pattern.h"

enum { OUT, IN };			/* from the application to the peer, and back */

struct way {
	uint64_t seed, tx, rx;
};

static struct flow *flow;
static int peer;
static struct way way[2];

static void nap(unsigned int ms)
{
	usleep(ms * 1000);
}

/* ---- a connection, both ends ours ---- */

struct listener {
	struct sockaddr_in6 addr;
	int fd;
};

/* A thread of its own, since a namespace is a thread's. */
static void *listen_there(void *arg)
{
	struct listener *l = arg;
	socklen_t len = sizeof(l->addr);
	int small = 100000, ns = open(getenv("TOE_PEER_NS") ?: "", O_RDONLY | O_CLOEXEC);

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		die("TOE_PEER_NS: %s", strerror(errno));
	close(ns);
	l->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	l->addr = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	if (bind(l->fd, (struct sockaddr *)&l->addr, len) || listen(l->fd, 1) ||
	    getsockname(l->fd, (struct sockaddr *)&l->addr, &len))
		die("peer: %s", strerror(errno));
	return NULL;
}

static void pair_open(bool hw)
{
	struct listener l;
	pthread_t t;

	pthread_create(&t, NULL, listen_there, &l);
	pthread_join(t, NULL);
	flow_peer_port = ntohs(l.addr.sin6_port);
	flow_rcvbuf = 300000;	/* a full queue can move: no window outgrows the largest ring */
	flow = flow_make();
	flow_dial(flow, 0);
	peer = accept(l.fd, NULL, NULL);
	close(l.fd);
	for (int i = 0; i < 2; i++)
		way[i] = (struct way){ .seed = mix64(flow->seed + (uint64_t)i) };
	if (hw)
		flow_to_hw(flow);
}

/* As much as goes at once, at most n. */
static size_t put(int dir, size_t n)
{
	unsigned char buf[16384];
	struct way *w = &way[dir];
	size_t done = 0;

	while (done < n) {
		size_t len = n - done < sizeof(buf) ? n - done : sizeof(buf);
		ssize_t k;

		pattern_fill(w->seed, w->tx, buf, len);
		k = send(dir == OUT ? flow->fd : peer, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k < 0 && errno != EAGAIN)
			die("send: %s", strerror(errno));
		if (k <= 0)
			break;
		w->tx += (uint64_t)k;
		done += (size_t)k;
	}
	return done;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info ti = { 0 };
	socklen_t len = sizeof(ti);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len);
	return ti;
}

/* What toed and the peer's stack know of a connection that stands still. */
static void show_both(void)
{
	static char reply[65536];
	struct tcp_info ti = info_of(peer);
	char request[64];

	snprintf(request, sizeof(request), "{\"cmd\":\"show\",\"port\":%u}\n", flow->port);
	ctl_request(request, reply, sizeof(reply));
	printf("%s\npeer: ca_state %u, unacked %u, sacked %u, lost %u, notsent %u, acked %llu, received %llu, snd_wnd %u, "
	       "rto %u us, backoff %u, retransmitted %u, sent %u ms ago, heard %u ms ago\n", reply, ti.tcpi_ca_state,
	       ti.tcpi_unacked, ti.tcpi_sacked, ti.tcpi_lost, ti.tcpi_notsent_bytes,
	       (unsigned long long)ti.tcpi_bytes_acked, (unsigned long long)ti.tcpi_bytes_received, ti.tcpi_snd_wnd,
	       ti.tcpi_rto, ti.tcpi_backoff, ti.tcpi_total_retrans, ti.tcpi_last_data_sent, ti.tcpi_last_ack_recv);
}

/* All that was sent; or until the end that is expected: 0 end of file, an errno. */
static void get(int dir, int end)
{
	unsigned char buf[16384];
	struct way *w = &way[dir];
	struct pollfd p = { dir == OUT ? peer : flow->fd, POLLIN, 0 };
	int rc, error;
	ssize_t n;

	while (w->rx < w->tx || end >= 0) {
		rc = poll(&p, 1, 15000);
		if (rc != 1) {
			error = rc ? errno : 0;
			rc = poll(&p, 1, 0);
			show_both();
			die("stands still at %llu of %llu bytes %s: %s, looked at once more: %d", (unsigned long long)w->rx,
			    (unsigned long long)w->tx, dir == OUT ? "out" : "in", error ? strerror(error) : "timeout", rc);
		}
		n = recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			die("said readable, was not: events %#x", p.revents);
		if (n <= 0 && end >= 0 && (n ? errno : 0) == end && (end || w->rx == w->tx))
			return;
		if (n <= 0)
			die("receive %s: %s at %llu of %llu", dir == OUT ? "out" : "in", n ? strerror(errno) :
			    "end of file", (unsigned long long)w->rx, (unsigned long long)w->tx);
		if (pattern_check(w->seed, w->rx, buf, (size_t)n) < (size_t)n)
			die("wrong byte near %llu", (unsigned long long)w->rx);
		w->rx += (uint64_t)n;
	}
}

static void nothing_left(void)
{
	struct pollfd p[2] = { { peer, POLLIN, 0 }, { flow->fd, POLLIN, 0 } };

	if (poll(p, 2, 0))
		die("events %#x, %#x where nothing is left to read", p[0].revents, p[1].revents);
}

static void both(size_t n)
{
	for (int i = 0; i < 2; i++) {
		for (size_t left = n; left; get(i, -1))
			left -= put(i, left);
	}
}

static void move_it(bool up)
{
	if (up)
		flow_to_kernel(flow);
	else
		flow_to_hw(flow);
}

static void finish(void)
{
	nothing_left();
	both(50000);
	nothing_left();
	shutdown(flow->fd, SHUT_WR);
	get(OUT, 0);
	close(peer);
	get(IN, 0);
	close(flow->fd);
}

/* ---- what is queued and in flight ---- */

static void idle(bool up)
{
	(void)up;
}

/* Until nothing more goes: both queues are full and the window is closed. */
static void stuff(int dir)
{
	for (int still = 0; still < 10; nap(10))
		still = put(dir, 1 << 20) ? 0 : still + 1;
}

static void rx_full(bool up)
{
	(void)up;
	stuff(IN);
}

static void tx_full(bool up)
{
	(void)up;
	stuff(OUT);
}

static void both_full(bool up)
{
	(void)up;
	stuff(IN);
	stuff(OUT);
}

static void in_flight(bool up)
{
	(void)up;
	put(OUT, 60000);
	put(IN, 60000);
}

static void each_way(void (*arrange)(bool up))
{
	for (int i = 0; i < 4; i++) {
		pair_open(i & 1);
		both(20000);
		arrange(i & 1);
		move_it(i & 1);
		if (i & 2)	/* and back at once */
			move_it(!(i & 1));
		get(OUT, -1);
		get(IN, -1);
		finish();
	}
}

static void case_idle(void) { each_way(idle); }
static void case_rx_full(void) { each_way(rx_full); }
static void case_tx_full(void) { each_way(tx_full); }
static void case_both_full(void) { each_way(both_full); }
static void case_in_flight(void) { each_way(in_flight); }

/* ---- timers, loss ---- */

static void link_signal(int sig)
{
	const char *pid = getenv("LINK_PID");

	if (!pid || kill(atoi(pid), sig))
		die("LINK_PID");
}

static unsigned int shown(const char *key)
{
	static char reply[65536];
	char request[64], quoted[64], *p;

	snprintf(request, sizeof(request), "{\"cmd\":\"show\",\"port\":%u}\n", flow->port);
	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	ctl_request(request, reply, sizeof(reply));
	p = strstr(reply, quoted);
	return p ? (p[strlen(quoted)] == '"' ? strncmp(p + strlen(quoted), "\"open", 5) != 0 :
		    (unsigned int)atoi(p + strlen(quoted))) : 0;
}

static void until(bool (*there)(bool hw), bool hw, const char *what)
{
	uint64_t end = now_ms() + 10000;

	while (!there(hw)) {
		if (now_ms() > end)
			die("%s was not seen on the %s path", what, hw ? "hardware" : "kernel");
		usleep(200);
	}
}

static bool backed_off(bool hw)
{
	return (hw ? shown("backoff") : info_of(flow->fd).tcpi_backoff) >= 2;
}

static void backoff(bool up)
{
	link_signal(SIGSTOP);
	put(OUT, 5000);
	until(backed_off, up, "a second retransmission timeout");
}

static void case_backoff(void)
{
	for (int up = 0; up < 2; up++) {
		pair_open(up);
		both(20000);
		backoff(up);
		move_it(up);
		nap(50);
		link_signal(SIGCONT);
		get(OUT, -1);
		finish();
	}
}

static volatile bool pouring;
static int pour_dir;

static void *pour(void *arg)
{
	(void)arg;
	while (pouring) {
		put(pour_dir, 100000);
		usleep(500);
	}
	return NULL;
}

static bool repairing(bool hw)
{
	return hw ? shown("ca_state") : info_of(flow->fd).tcpi_ca_state >= 3;
}

static bool holds_ooo(bool hw)
{
	static uint32_t seen;
	uint32_t now;

	if (hw)
		return shown("nr_ooo");
	now = info_of(flow->fd).tcpi_rcv_ooopack;
	hw = now != seen && now;
	seen = now;
	return hw;
}

static void *swallow(void *arg)
{
	int dir = *(int *)arg;

	while (pouring || way[dir].rx < way[dir].tx) {
		get(dir, -1);
		usleep(200);
	}
	return NULL;
}

static void lossy(int dir, bool (*there)(bool hw), const char *what)
{
	pthread_t t, r;

	for (int i = 0; i < 4; i++) {
		pair_open(i & 1);
		pour_dir = dir;
		pouring = true;
		pthread_create(&t, NULL, pour, NULL);
		pthread_create(&r, NULL, swallow, &pour_dir);
		until(there, i & 1, what);
		move_it(i & 1);
		pouring = false;
		pthread_join(t, NULL);
		pthread_join(r, NULL);
		finish();
	}
}

static void case_hole(void) { lossy(OUT, repairing, "a recovery"); }
static void case_ooo(void) { lossy(IN, holds_ooo, "data out of order"); }

/* ---- the end ---- */

static void try_move(bool up)
{
	char request[64], reply[4096];

	snprintf(request, sizeof(request), "{\"cmd\":\"%s\",\"port\":%u}\n", up ? "upload" : "offload", flow->port);
	ctl_request(request, reply, sizeof(reply));
}

static void case_shutdown(void)
{
	for (int i = 0; i < 4; i++) {
		bool up = i & 1, after = i & 2;

		pair_open(up);
		both(20000);
		put(OUT, 30000);
		if (!after)
			try_move(up);
		shutdown(flow->fd, SHUT_WR);
		if (after)
			try_move(up);
		get(OUT, 0);
		put(IN, 30000);
		close(peer);
		get(IN, 0);
		close(flow->fd);
	}
}

/* Half closed by the application for reading: it reads the end of file, on whatever path. */
static void case_shut_rd(void)
{
	char c;

	for (int up = 0; up < 2; up++) {
		pair_open(up);
		both(20000);
		shutdown(flow->fd, SHUT_RD);
		try_move(up);
		try_move(!up);
		if (recv(flow->fd, &c, 1, MSG_DONTWAIT) != 0)
			die("no end of file after SHUT_RD: %s", strerror(errno));
		put(OUT, 30000);
		get(OUT, -1);
		close(flow->fd);
		get(OUT, 0);
		close(peer);
	}
}

static void case_fin(void)
{
	for (int i = 0; i < 4; i++) {
		bool up = i & 1;

		pair_open(up);
		both(20000);
		put(IN, 30000);
		if (i & 2)
			try_move(up);
		shutdown(peer, SHUT_WR);
		if (!(i & 2))
			try_move(up);
		get(IN, 0);
		put(OUT, 30000);
		get(OUT, -1);
		close(flow->fd);
		get(OUT, 0);
		close(peer);
	}
}

static void case_rst(void)
{
	struct linger now = { .l_onoff = 1 };

	for (int i = 0; i < 4; i++) {
		bool up = i & 1;

		pair_open(up);
		both(20000);
		put(IN, 30000);
		get(IN, -1);
		setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		if (i & 2)
			try_move(up);
		close(peer);
		if (!(i & 2))
			try_move(up);
		get(IN, ECONNRESET);
		close(flow->fd);
	}
}

static void *close_soon(void *arg)
{
	usleep((useconds_t)(uintptr_t)arg);
	close(flow->fd);
	return NULL;
}

/* Another thread closes while the connection moves: the peer gets what was sent, and the end. */
static void case_closing(void)
{
	pthread_t t;

	for (unsigned int i = 0; i < 40; i++) {
		pair_open(i & 1);
		both(3000);
		put(OUT, 30000);
		pthread_create(&t, NULL, close_soon, (void *)(uintptr_t)(i / 2 * 40));
		try_move(i & 1);
		pthread_join(t, NULL);
		get(OUT, 0);
		close(peer);
	}
}

static const struct flow_case cases[] = {
	{ "idle", case_idle },
	{ "rx-full", case_rx_full },
	{ "tx-full", case_tx_full },
	{ "both-full", case_both_full },
	{ "in-flight", case_in_flight },
	{ "shutdown", case_shutdown },
	{ "shut-rd", case_shut_rd },
	{ "fin", case_fin },
	{ "rst", case_rst },
	{ "closing", case_closing },
	{ "backoff", case_backoff },
	{ "hole", case_hole },
	{ "ooo", case_ooo },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return flow_main(argc, argv, cases);
}
