/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "detour.h"
#include "engine.h"
#include "log.h"
#include "loop.h"
#include "neigh.h"
#include "net.h"
#include "net_icmp.h"
#include "netns.h"
#include "nic.h"
#include "vlan.h"

#define NL_BUF		32768	/* one datagram of the kernel's */
#define NET_TURN	64	/* datagrams handled before others have their turn */

static struct net *nets;

struct net *net_by_cookie(uint64_t cookie)
{
	struct net *n = nets;

	while (n && n->cookie != cookie)
		n = n->next;
	return n;
}

struct net *net_by_number(unsigned int number)
{
	struct net *n = nets;

	while (n && n->number != number)
		n = n->next;
	return n;
}

struct net *net_next(struct net *prev)
{
	return prev ? prev->next : nets;
}

/*
 * A namespace keeps its number while this toed runs, and no other gets it: sockets that were seen before their
 * interface was detached go by it, and an entry must never be taken for that of a namespace that came later.
 */
struct number {
	struct number *next;
	uint64_t cookie;
	unsigned int number;
};

static struct number *numbers;

static unsigned int number_for(uint64_t cookie, unsigned int number)
{
	struct number *n = numbers;
	unsigned int top = 0;

	for (; n && n->cookie != cookie; n = n->next)
		top = n->number > top ? n->number : top;
	if (n)
		return n->number;
	if (!number)
		number = top + 1;
	if (number > UINT16_MAX)
		return 0;
	n = malloc(sizeof(*n));
	if (!n)
		return 0;
	*n = (struct number){ .next = numbers, .cookie = cookie, .number = number };
	numbers = n;
	return number;
}

static int forget_shadow(const struct toe_flow *flow, const struct hw_conn *conn, void *arg)
{
	const struct net *net = arg;

	if (flow->net == net->number && conn->state == TOE_KERNEL)
		bpf_map_delete_elem(engine.hw_conn_t, flow);
	return 0;
}

/* ---- notifications ---- */

static int hear_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct net *net = arg;
	struct nl_neigh neigh;
	struct nl_link link;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (nl_link_parse(nlh, &link))
			break;
		nic_link_changed(net->number, &link, nlh->nlmsg_type == RTM_DELLINK);
		vlan_heard(net, &link, nlh->nlmsg_type == RTM_DELLINK);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (!nl_neigh_parse(nlh, &neigh) &&
		    neigh_update(net, &neigh, nlh->nlmsg_type == RTM_DELNEIGH))
			nic_changed(net->number, vlan_base(net, neigh.ifindex), NIC_EV_NEIGH);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (detour_is_own(nlh))
			break;
		/* fall through */
	case RTM_NEWADDR:
	case RTM_DELADDR:
		nic_changed(net->number, 0, NIC_EV_ROUTE);
		break;
	}
	return MNL_CB_OK;
}

/* What was said is lost: look at everything again. */
static void hear_resync(struct net *net)
{
	log_warn("network namespace %u: notifications lost, looking at all links again", net->number);
	neigh_forget(net);
	nic_refresh(net->number);
	vlan_scan(net);
	nic_changed(net->number, 0, NIC_EV_ROUTE);
}

static int hear(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	static char buf[NL_BUF];
	struct net *net = arg;
	ssize_t n = 0;
	int turn;

	(void)source;
	(void)events;
	for (turn = 0; turn < NET_TURN; turn++) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n <= 0)
			break;
		mnl_cb_run(buf, (size_t)n, 0, 0, hear_cb, net);
	}
	if (n < 0 && errno == ENOBUFS)
		hear_resync(net);
	return 0;
}

/* ---- life ---- */

static void net_close(struct net *net)
{
	sd_event_source_disable_unref(net->source);
	net_icmp_close(net);
	if (net->hear)
		mnl_socket_close(net->hear);
	if (net->ask)
		mnl_socket_close(net->ask);
	if (net->fd >= 0)
		close(net->fd);
	free(net);
}

static int net_sockets(struct net *net)
{
	unsigned int groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE |
			      RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
	int err = netns_enter(net->fd);

	if (err)
		return err;
	net->ask = nl_open(NETLINK_ROUTE, 0);
	net->hear = net->ask ? nl_open(NETLINK_ROUTE, groups) : NULL;
	if (!net->hear)
		err = -errno;
	if (!err)
		err = net_icmp_open(net);
	netns_leave();
	return err ? err : sd_event_add_io(loop, &net->source, mnl_socket_get_fd(net->hear), EPOLLIN,
					   hear, net);
}

int net_get(int netns_fd, unsigned int number, struct net **out)
{
	uint64_t cookie;
	struct net *net;
	int err = netns_cookie(netns_fd, &cookie);

	if (err)
		return err;
	*out = net_by_cookie(cookie);
	if (*out) {
		(*out)->users++;
		return 0;
	}
	net = calloc(1, sizeof(*net));
	if (!net)
		return -ENOMEM;
	net->cookie = cookie;
	net->number = number_for(cookie, number);
	net->users = 1;
	net->icmp[0] = net->icmp[1] = -1;
	net->fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 3);
	err = net->fd < 0 ? -errno : net->number ? net_sockets(net) : -ENOSPC;
	if (err) {
		net_close(net);
		return err;
	}
	net->next = nets;
	nets = net;
	*out = net;
	return 0;
}

void net_put(struct net *net)
{
	struct net **p;

	if (--net->users)
		return;
	for (p = &nets; *p; p = &(*p)->next) {
		if (*p == net) {
			*p = net->next;
			break;
		}
	}
	neigh_forget(net);
	vlan_forget(net);
	/* nothing keeps them true any more; sockops makes them anew when an interface is attached again */
	engine_walk(forget_shadow, net);
	net_close(net);
}
