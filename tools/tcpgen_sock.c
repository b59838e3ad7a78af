/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections are opened and closed by the kernel. In between their sockets are parked in repair mode,
 * in which the kernel sends nothing, and at the end they are rebuilt with the sequence numbers of then.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "tcpgen.h"

#ifndef TCP_REPAIR_OFF_NO_WP
#define TCP_REPAIR_OFF_NO_WP -1
#endif
enum { NO_QUEUE, RECV_QUEUE, SEND_QUEUE };
enum { OPT_MSS = 2, OPT_WSCALE = 3, OPT_SACK = 4, OPT_TIMESTAMP = 8 };	/* option kinds */

#define FIRST_BYTE_MS	3000	/* a server that has not answered by then does not */
#define QUIET_MS	150	/* a reply is over when nothing has come for so long */

static int set_int(int sock, int level, int name, int val)
{
	return setsockopt(sock, level, name, &val, sizeof(val)) ? -errno : 0;
}

static int dial(void)
{
	int err, sock = socket(opt.server.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	if (sock < 0)
		return -errno;
	err = set_int(sock, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err && opt.dev[0] && setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, opt.dev, sizeof(opt.dev)))
		err = -errno;
	if (!err && connect(sock, (struct sockaddr *)&opt.server, opt.addr_len))
		err = -errno;
	if (!err)
		return sock;
	close(sock);
	return err;
}

/* ---- learning ---- */

static int resolve(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int err = getaddrinfo(opt.host, opt.service, &hints, &ai);

	if (err) {
		complain("%s port %s: %s", opt.host, opt.service, gai_strerror(err));
		return -EINVAL;
	}
	memcpy(&opt.server, ai->ai_addr, ai->ai_addrlen);
	opt.addr_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

static bool same_addr(const struct sockaddr *a)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)&opt.local;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)&opt.local;

	if (!a || a->sa_family != opt.local.ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr));
}

/* The interface that carries our own address, if none was named. */
static int find_dev(int sock)
{
	socklen_t len = sizeof(opt.local);
	struct ifaddrs *all, *i;

	if (getsockname(sock, (struct sockaddr *)&opt.local, &len))
		return -errno;
	if (!opt.dev[0]) {
		if (getifaddrs(&all))
			return -errno;
		for (i = all; i && !same_addr(i->ifa_addr); i = i->ifa_next)
			;
		if (i)
			strncpy(opt.dev, i->ifa_name, sizeof(opt.dev) - 1);
		freeifaddrs(all);
	}
	opt.ifindex = if_nametoindex(opt.dev);
	if (opt.ifindex)
		return 0;
	complain("no interface%s%s; name one with -i", opt.dev[0] ? " " : "", opt.dev);
	return -ENODEV;
}

/* One reply: until it is as long as it should be, or else until it is quiet. Returns its length. */
static ssize_t read_reply(int sock, uint8_t *buf)
{
	size_t want = opt.reply_len ? opt.reply_len : GEN_MAX_REPLY + 1, n = 0;
	struct pollfd p = { .fd = sock, .events = POLLIN };
	uint8_t spare;
	ssize_t got;

	while (n < want) {
		int ready = poll(&p, 1, opt.reply_len || !n ? FIRST_BYTE_MS : QUIET_MS);

		if (ready < 0)
			return -errno;
		if (!ready)
			return n && !opt.reply_len ? (ssize_t)n : -ETIMEDOUT;
		got = n < GEN_MAX_REPLY ? recv(sock, buf + n, GEN_MAX_REPLY - n, 0) : recv(sock, &spare, 1, 0);
		if (got <= 0)
			return got ? -errno : -ECONNRESET;
		n += (size_t)got;
	}
	return n > GEN_MAX_REPLY ? -EMSGSIZE : (ssize_t)n;
}

static ssize_t exchange(int sock, uint8_t *reply)
{
	ssize_t n = send(sock, opt.text->request, opt.request_len, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return n == (ssize_t)opt.request_len ? read_reply(sock, reply) : -EIO;
}

static int learn_reply(int sock)
{
	static uint8_t again[GEN_MAX_REPLY];
	ssize_t n = exchange(sock, opt.text->reply), m;

	if (n < 0)
		return (int)n;
	m = exchange(sock, again);
	if (m < 0)
		return (int)m;
	if (n != m) {
		complain("the reply has no fixed length: %zd and %zd bytes", n, m);
		return -EPROTO;
	}
	opt.reply_len = (uint32_t)n;
	if (!opt.any_content && memcmp(opt.text->reply, again, (size_t)n)) {
		complain("replies differ in content; only their length is checked");
		opt.any_content = true;
	}
	return 0;
}

static int learn_mss(int sock)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -errno;
	opt.mss = info.tcpi_snd_mss < GEN_MAX_SEGMENT ? info.tcpi_snd_mss : GEN_MAX_SEGMENT;
	if (opt.request_len <= opt.mss)
		return 0;
	complain("the request of %u bytes does not fit a segment of %u", opt.request_len, opt.mss);
	return -EMSGSIZE;
}

int sock_learn(void)
{
	int sock, err = resolve();

	if (err)
		return err;
	sock = dial();
	if (sock < 0) {
		complain("cannot connect to %s port %s: %s", opt.host, opt.service, strerror(-sock));
		return sock;
	}
	err = find_dev(sock);
	if (!err)
		err = learn_mss(sock);
	if (!err) {
		err = learn_reply(sock);
		if (err)
			complain("no reply to learn from: %s", strerror(-err));
	}
	close(sock);
	return err;
}

/* ---- opening ---- */

static void allow_files(uint32_t nr)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur >= nr)
		return;
	lim.rlim_cur = nr;
	if (lim.rlim_max < nr)
		lim.rlim_max = nr;
	setrlimit(RLIMIT_NOFILE, &lim);
}

int sock_open_all(struct gen *g)
{
	allow_files(opt.nr_conns + 64);
	for (uint32_t i = 0; i < opt.nr_conns; i++) {
		if (interrupted)
			return -EINTR;
		g->socks[i] = dial();
		if (g->socks[i] >= 0)
			continue;
		complain("connection %u of %u: %s", i + 1, opt.nr_conns, strerror(-g->socks[i]));
		return g->socks[i];
	}
	return 0;
}

/* ---- parking ---- */

static int get_seq(int sock, int queue, uint32_t *seq)
{
	socklen_t len = sizeof(*seq);
	int err = set_int(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	if (!err && getsockopt(sock, IPPROTO_TCP, TCP_QUEUE_SEQ, seq, &len))
		err = -errno;
	return err;
}

static int get_window(int sock, struct gen_conn *c, const struct tcp_info *info)
{
	struct tcp_repair_window win;
	socklen_t len = sizeof(win);
	uint32_t adv;

	if (getsockopt(sock, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, &len))
		return -errno;
	adv = (win.rcv_wup + win.rcv_wnd - c->rcv_nxt) >> info->tcpi_rcv_wscale;
	c->window = (uint16_t)(adv < 65535 ? adv : 65535);
	c->snd_wnd = win.snd_wnd;
	c->snd_wscale = info->tcpi_options & TCPI_OPT_WSCALE ? info->tcpi_snd_wscale : 0;
	return 0;
}

/* The lowest bit of the kernel's answer is a flag (6.7); ours may never go backwards. */
static int get_timestamp(int sock, struct gen_conn *c)
{
	uint32_t ts;
	socklen_t len = sizeof(ts);

	if (getsockopt(sock, IPPROTO_TCP, TCP_TIMESTAMP, &ts, &len))
		return -errno;
	c->ts_off = ts + 1 - (uint32_t)(now_ns() / NS_PER_MS);
	return 0;
}

static uint16_t local_port(int sock)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(sock, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(((struct sockaddr_in *)&a)->sin_port);	/* sin6_port lies at the same place */
}

static int park(struct gen *g, uint32_t i)
{
	struct gen_conn *c = &g->conns[i];
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int err, sock = g->socks[i];

	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -errno;
	err = set_int(sock, IPPROTO_TCP, TCP_REPAIR, 1);
	if (!err)
		err = get_seq(sock, SEND_QUEUE, &c->snd_nxt);
	if (!err)
		err = get_seq(sock, RECV_QUEUE, &c->rcv_nxt);
	if (!err)
		err = set_int(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, NO_QUEUE);
	if (!err)
		err = get_window(sock, c, &info);
	c->has_ts = !!(info.tcpi_options & TCPI_OPT_TIMESTAMPS);
	if (!err && c->has_ts)
		err = get_timestamp(sock, c);
	if (err)
		return err;
	c->snd_una = c->snd_nxt;
	c->port = local_port(sock);
	c->ts_recent = g->ports[c->port].tsval;
	c->progress_ns = now_ns();
	g->ports[c->port].conn = i + 1;
	__atomic_store_n(&c->state, GEN_ACTIVE, __ATOMIC_RELEASE);
	return 0;
}

int sock_park_all(struct gen *g)
{
	int err = 0;

	for (uint32_t i = 0; i < opt.nr_conns && !err; i++)
		err = park(g, i);
	if (err)
		complain("cannot take a connection over (TCP_REPAIR): %s", strerror(-err));
	return err;
}

/* ---- giving back ---- */

static int set_seq(int sock, int queue, uint32_t seq)
{
	int err = set_int(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return err ? err : set_int(sock, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)seq);
}

static int restore_options(int sock, const struct gen_conn *c, const struct tcp_info *info)
{
	struct tcp_repair_opt opts[4];
	int nr = 0;

	opts[nr++] = (struct tcp_repair_opt){ OPT_MSS, opt.mss + (c->has_ts ? 12 : 0) };
	if (info->tcpi_options & TCPI_OPT_WSCALE)
		opts[nr++] = (struct tcp_repair_opt){ OPT_WSCALE,
			info->tcpi_snd_wscale | (__u32)info->tcpi_rcv_wscale << 16 };
	if (info->tcpi_options & TCPI_OPT_SACK)
		opts[nr++] = (struct tcp_repair_opt){ OPT_SACK, 0 };
	if (c->has_ts)
		opts[nr++] = (struct tcp_repair_opt){ OPT_TIMESTAMP, 0 };
	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts,
			  (socklen_t)nr * sizeof(opts[0])) ? -errno : 0;
}

static int restore_window(int sock, const struct gen_conn *c, const struct tcp_info *info)
{
	struct tcp_repair_window win = {
		.snd_wl1 = c->rcv_nxt,
		.snd_wnd = c->snd_wnd,
		.max_window = c->snd_wnd,
		.rcv_wnd = (__u32)c->window << info->tcpi_rcv_wscale,
		.rcv_wup = c->rcv_nxt,
	};

	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) ? -errno : 0;
}

/* Disconnect and connect again in repair mode: nothing goes out. */
static int rebuild(int sock, const struct gen_conn *c)
{
	struct sockaddr_storage local;
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info), local_len = sizeof(local);
	uint32_t ts = (uint32_t)(now_ns() / NS_PER_MS) + c->ts_off + 2;
	int err = 0;

	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	    getsockname(sock, (struct sockaddr *)&local, &local_len) ||
	    connect(sock, &unspec, sizeof(unspec)))
		return -errno;
	err = set_seq(sock, SEND_QUEUE, c->snd_nxt);
	if (!err)
		err = set_seq(sock, RECV_QUEUE, c->rcv_nxt);
	if (!err)
		err = set_int(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, NO_QUEUE);
	if (!err && bind(sock, (struct sockaddr *)&local, local_len))
		err = -errno;
	if (!err && connect(sock, (struct sockaddr *)&opt.server, opt.addr_len))
		err = -errno;
	if (!err)
		err = restore_options(sock, c, &info);
	if (!err && c->has_ts)
		err = set_int(sock, IPPROTO_TCP, TCP_TIMESTAMP, (int)(ts & ~1U));
	if (!err)
		err = restore_window(sock, c, &info);
	return err;
}

/*
 * First the program lets go of them all, then they are closed. Leaving repair mode sends a window probe; its answer
 * brings the server's timestamp. A connection that lost its last replies is reset instead, for what the
 * server still has to send nobody would take.
 */
void sock_give_back_all(struct gen *g)
{
	for (uint32_t i = 0; i < opt.nr_conns && g->socks[i] >= 0; i++) {
		struct linger reset = { 1, 0 };
		bool busy = g->conns && g->conns[i].outstanding;
		bool parked = g->conns && __atomic_exchange_n(&g->conns[i].state, GEN_IDLE, __ATOMIC_ACQ_REL);

		if (parked && rebuild(g->socks[i], &g->conns[i]))
			busy = true;
		if (busy)
			setsockopt(g->socks[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		set_int(g->socks[i], IPPROTO_TCP, TCP_REPAIR, busy ? TCP_REPAIR_OFF_NO_WP : 0);
	}
	for (uint32_t i = 0; i < opt.nr_conns && g->socks[i] >= 0; i++)
		close(g->socks[i]);
}
