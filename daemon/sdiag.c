/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "array.h"
#include "net.h"
#include "netns.h"
#include "nl.h"
#include "sdiag.h"

#define SDIAG_BUF	32768
#define STATE_ESTABLISHED 1

static int find_info(const struct nlattr *attr, void *arg)
{
	const struct nlattr **info = arg;

	if (mnl_attr_get_type(attr) == INET_DIAG_INFO)
		*info = attr;
	return MNL_CB_OK;
}

/* An older kernel's tcp_info is shorter, a newer one's longer. */
static int on_sock(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *d = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr = NULL;
	struct tcp_info info = { 0 };
	struct sdiag *s = arg;
	struct sdiag_sock *more;
	size_t len;

	if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY || mnl_nlmsg_get_payload_len(nlh) < sizeof(*d))
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*d), find_info, &attr);
	more = attr ? array_room(s->socks, s->nr, &s->max, sizeof(*more)) : NULL;
	if (!more)
		return MNL_CB_OK;
	s->socks = more;
	len = mnl_attr_get_payload_len(attr);
	memcpy(&info, mnl_attr_get_payload(attr), len < sizeof(info) ? len : sizeof(info));
	s->socks[s->nr++] = (struct sdiag_sock){
		.cookie = (uint64_t)d->id.idiag_cookie[1] << 32 | d->id.idiag_cookie[0],
		.received = info.tcpi_bytes_received,
		.sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans,
		.rtt_us = info.tcpi_rtt,
		.cwnd = info.tcpi_snd_cwnd * info.tcpi_snd_mss,
	};
	return MNL_CB_OK;
}

static int request(struct mnl_socket *nl, uint8_t family)
{
	char buf[256];
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct inet_diag_req_v2 *r = nl_begin(buf, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(*r));

	r->sdiag_family = family;
	r->sdiag_protocol = IPPROTO_TCP;
	r->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	r->idiag_states = 1 << STATE_ESTABLISHED;
	return mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

static int dump(struct mnl_socket *nl, uint8_t family, struct sdiag *out)
{
	static char buf[SDIAG_BUF];
	int err = request(nl, family), more = 1;
	ssize_t n;

	while (!err && more > 0) {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		more = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(nl), on_sock, out);
		if (more < 0)
			err = -errno;
	}
	return err;
}

static struct mnl_socket *open_in(const struct net *net)
{
	struct mnl_socket *nl;

	if (netns_enter(net->fd))
		return NULL;
	nl = nl_open(NETLINK_SOCK_DIAG, 0);
	netns_leave();
	return nl;
}

static int by_cookie(const void *a, const void *b)
{
	const struct sdiag_sock *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

int sdiag_read(struct sdiag *out)
{
	struct net *net;
	int err = 0;

	memset(out, 0, sizeof(*out));
	for (net = net_next(NULL); net; net = net_next(net)) {
		struct mnl_socket *nl = open_in(net);
		int err4 = nl ? dump(nl, AF_INET, out) : -EIO;
		int err6 = nl ? dump(nl, AF_INET6, out) : -EIO;

		if (nl)
			mnl_socket_close(nl);
		err = err4 ? err4 : err6 ? err6 : err;
	}
	if (out->nr)
		qsort(out->socks, out->nr, sizeof(*out->socks), by_cookie);
	return err;
}

void sdiag_free(struct sdiag *s)
{
	free(s->socks);
	memset(s, 0, sizeof(*s));
}

const struct sdiag_sock *sdiag_find(const struct sdiag *s, uint64_t cookie)
{
	const struct sdiag_sock key = { .cookie = cookie };

	return s->nr ? bsearch(&key, s->socks, s->nr, sizeof(key), by_cookie) : NULL;
}
