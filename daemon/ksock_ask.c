/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel socket says of itself: nothing here changes it. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include "ksock.h"

#define RCVBUF_LOCKED	2	/* of SO_BUF_LOCK: set by the application */
#define TCPI_USEC_TS	64	/* TCPI_OPT_USEC_TS of Linux 6.7, by a route's feature: the engines' clock counts milliseconds */

int ksock_get_int(int sock, int level, int opt, int *val)
{
	socklen_t len = sizeof(*val);

	return getsockopt(sock, level, opt, val, &len) ? -errno : 0;
}

int ksock_tcp_int(int sock, int opt)
{
	int val = 0;

	ksock_get_int(sock, IPPROTO_TCP, opt, &val);
	return val;
}

int ksock_info(int sock, struct tcp_info *out)
{
	socklen_t len = sizeof(*out);

	memset(out, 0, sizeof(*out));
	return getsockopt(sock, IPPROTO_TCP, TCP_INFO, out, &len) ? -errno : 0;
}

static int refuse(enum toe_why *why, enum toe_why reason)
{
	*why = reason;
	return -EOPNOTSUPP;
}

static bool is_set(int sock, int opt)
{
	int val;

	return !ksock_get_int(sock, SOL_SOCKET, opt, &val) && val;
}

static bool has_timestamps(int sock)
{
	static const int which[] = {
		SO_TIMESTAMPING, SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW,
	};

	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++)
		if (is_set(sock, which[i]))
			return true;
	return false;
}

/* MSG_PEEK goes on where the last one ended: Linux 6.9. */
static bool peeks_on(int sock)
{
	int off;

	return !ksock_get_int(sock, SOL_SOCKET, SO_PEEK_OFF, &off) && off >= 0;
}

/* What has come through more routers than the application allows (RFC 5082) is dropped, which no engine does. */
static bool has_least_ttl(int sock)
{
	int least;

	return (!ksock_get_int(sock, IPPROTO_IP, IP_MINTTL, &least) && least) ||
	       (!ksock_get_int(sock, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least) && least);
}

/* SIGIO is of the kernel's own socket. */
static bool sends_signals(int sock)
{
	int flags = fcntl(sock, F_GETFL);

	return flags >= 0 && flags & O_ASYNC;
}

/* They stand in each packet: as the application set them, or for IPv4 as the peer's SYN brought them. */
static bool has_ip_options(int sock)
{
	static const struct { int level, opt; } which[] = {
		{ IPPROTO_IP, IP_OPTIONS }, { IPPROTO_IPV6, IPV6_HOPOPTS }, { IPPROTO_IPV6, IPV6_RTHDRDSTOPTS },
		{ IPPROTO_IPV6, IPV6_RTHDR }, { IPPROTO_IPV6, IPV6_DSTOPTS },
	};
	char buf[64];
	socklen_t len;

	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		len = sizeof(buf);
		if (!getsockopt(sock, which[i].level, which[i].opt, buf, &len) && len)
			return true;
	}
	return false;
}

static bool is_paced(int sock)
{
	unsigned long rate;
	socklen_t len = sizeof(rate);

	return !getsockopt(sock, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len) && rate != (len == sizeof(rate) ? ~0UL : ~0U);
}

int ksock_eligible(int sock, enum toe_why *why)
{
	struct pollfd end = { .fd = sock, .events = POLLRDHUP };
	struct tcp_info info;
	char ulp[16] = "";
	socklen_t len = sizeof(ulp);
	int proto = 0;

	if (ksock_get_int(sock, SOL_SOCKET, SO_PROTOCOL, &proto) || proto != IPPROTO_TCP)
		return refuse(why, TOE_WHY_MPTCP);
	if (ksock_info(sock, &info) || info.tcpi_state != TCP_STATE_ESTABLISHED)
		return refuse(why, TOE_WHY_NOT_ESTAB);
	if (poll(&end, 1, 0) == 1)
		return refuse(why, TOE_WHY_NOT_ESTAB);	/* and a move would lose what shutdown(SHUT_RD) left */
	if (info.tcpi_options & TCPI_OPT_TIMESTAMPS && info.tcpi_options & TCPI_USEC_TS)
		return refuse(why, TOE_WHY_USEC_TS);
	if (info.tcpi_snd_mss < KSOCK_LEAST_MSS)
		return refuse(why, TOE_WHY_MTU);
	if (!getsockopt(sock, IPPROTO_TCP, TCP_ULP, ulp, &len) && len && ulp[0])
		return refuse(why, TOE_WHY_ULP);
	/* what the error queue brings, the parked socket would keep to itself; the library makes no control data */
	if (is_set(sock, SO_ZEROCOPY) || has_timestamps(sock))
		return refuse(why, TOE_WHY_SOCKOPT);
	if (peeks_on(sock) || has_least_ttl(sock) || sends_signals(sock))
		return refuse(why, TOE_WHY_SOCKOPT);
	/* a mark asks for rules and queues of its own, the engines have the route that all take; nor do they pace */
	if (is_set(sock, SO_MARK) || is_paced(sock) || has_ip_options(sock))
		return refuse(why, TOE_WHY_SOCKOPT);
	/* with length 0 the kernel answers with the number of instructions; of an eBPF program: EACCES */
	len = 0;
	if (getsockopt(sock, SOL_SOCKET, SO_GET_FILTER, NULL, &len) ? errno == EACCES : len)
		return refuse(why, TOE_WHY_FILTER);
	return 0;
}

void ksock_options(int sock, unsigned int family, struct ksock_opts *out)
{
	int ttl = 64, tos = 0, rcvbuf = 0, lock = 0;

	if (family == AF_INET) {
		ksock_get_int(sock, IPPROTO_IP, IP_TTL, &ttl);
		ksock_get_int(sock, IPPROTO_IP, IP_TOS, &tos);
	} else {
		ksock_get_int(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl);
		ksock_get_int(sock, IPPROTO_IPV6, IPV6_TCLASS, &tos);
	}
	ksock_get_int(sock, SOL_SOCKET, SO_BUF_LOCK, &lock);
	ksock_get_int(sock, SOL_SOCKET, SO_RCVBUF, &rcvbuf);
	out->ttl = (uint8_t)(ttl > 0 ? ttl : 64);
	out->tos = (uint8_t)(tos & ~3);
	/* the kernel doubles what it is given: half is for its own, as in tcp_win_from_space() */
	out->rcvbuf = lock & RCVBUF_LOCKED && rcvbuf > 0 ? (uint32_t)rcvbuf / 2 : 0;
}

uint8_t ksock_flags(int sock)
{
	uint8_t flags = 0;
	int val = 0;

	if (!ksock_get_int(sock, SOL_SOCKET, SO_KEEPALIVE, &val) && val)
		flags |= TOE_SK_KEEPALIVE;
	val = 0;
	if (!ksock_get_int(sock, SOL_SOCKET, SO_REUSEADDR, &val) && val)
		flags |= TOE_SK_REUSEADDR;
	return flags;
}

int ksock_bound_dev(int sock)
{
	int ifindex;

	return sock < 0 || ksock_get_int(sock, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex) ? 0 : ifindex;
}

uint8_t ksock_cc(int sock, uint8_t opts)
{
	char name[16] = "";
	socklen_t len = sizeof(name) - 1;

	if (getsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, name, &len))
		return TOE_CC_CUBIC;
	if (!strcmp(name, "dctcp"))	/* which without ECN is Reno in the kernel, too */
		return opts & TOE_OPT_ECN ? TOE_CC_DCTCP : TOE_CC_RENO;
	return strcmp(name, "reno") ? TOE_CC_CUBIC : TOE_CC_RENO;
}

int ksock_progress(int sock, struct ksock_progress *out)
{
	struct tcp_info info;
	int err = ksock_info(sock, &info);

	if (err)
		return err;
	out->established = info.tcpi_state == TCP_STATE_ESTABLISHED;
	out->acked = (uint32_t)info.tcpi_bytes_acked;
	out->received = (uint32_t)info.tcpi_bytes_received;
	out->sent = (uint32_t)(info.tcpi_bytes_sent - info.tcpi_bytes_retrans);
	out->notsent = info.tcpi_notsent_bytes;
	return 0;
}

uint32_t ksock_window(int sock)
{
	struct tcp_info info;

	return ksock_info(sock, &info) ? 0 : info.tcpi_rcv_ssthresh;
}

bool ksock_holds_data(int sock)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	return getsockopt(sock, SOL_SOCKET, SO_MEMINFO, mem, &len) || mem[SK_MEMINFO_RMEM_ALLOC];
}
