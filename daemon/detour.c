/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <net/if.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "detour.h"
#include "log.h"
#include "netns.h"
#include "nl.h"

#define MARK		0x746f6564	/* "toed", also the number of the table */
#define PRIORITY	1		/* behind the rule for local addresses */
#define LO		1		/* ifindex of the loopback device in every namespace */

bool detour_helps(int err)
{
	switch (err) {
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
	case -EINVAL:		/* what fib lookups say for a source address that is not local */
	case -EACCES:		/* a prohibit route */
	case -EPERM:
		return true;
	}
	return false;
}

static int rule(struct mnl_socket *nl, uint16_t type, uint16_t flags, uint8_t family)
{
	char buf[128];
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct fib_rule_hdr *r = nl_begin(buf, type, NLM_F_ACK | flags, sizeof(*r));

	r->family = family;
	r->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_TABLE, MARK);
	mnl_attr_put_u32(nlh, FRA_FWMARK, MARK);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, PRIORITY);
	return nl_do(nl, nlh);
}

static int route(struct mnl_socket *nl, uint16_t type, uint16_t flags, uint8_t family)
{
	char buf[128];
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct rtmsg *r = nl_begin(buf, type, NLM_F_ACK | flags, sizeof(*r));

	r->rtm_family = family;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_scope = type == RTM_NEWROUTE ? RT_SCOPE_HOST : RT_SCOPE_NOWHERE;
	r->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(nlh, RTA_TABLE, MARK);
	mnl_attr_put_u32(nlh, RTA_OIF, LO);
	return nl_do(nl, nlh);
}

/* In the socket's namespace. EEXIST: left by a toed that was killed here. */
static int set_up(struct mnl_socket *nl, uint8_t family)
{
	int err = route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family);

	if (!err)
		err = rule(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family);
	return err == -EEXIST ? 0 : err;
}

static void tear_down(struct mnl_socket *nl, uint8_t family)
{
	rule(nl, RTM_DELRULE, 0, family);
	route(nl, RTM_DELROUTE, 0, family);	/* also makes the socket look for its route anew */
}

struct foreign {		/* options of the socket that allow it what it needs */
	int level, transparent;
	int was_transparent, was_mark;
};

static int get_int(int sock, int level, int opt)
{
	int val = 0;
	socklen_t len = sizeof(val);

	getsockopt(sock, level, opt, &val, &len);
	return val;
}

static int set_int(int sock, int level, int opt, int val)
{
	return setsockopt(sock, level, opt, &val, sizeof(val)) ? -errno : 0;
}

static int allow(int sock, struct foreign *f, bool v6_socket)
{
	int err;

	f->level = v6_socket ? IPPROTO_IPV6 : IPPROTO_IP;
	f->transparent = v6_socket ? IPV6_TRANSPARENT : IP_TRANSPARENT;
	f->was_transparent = get_int(sock, f->level, f->transparent);
	f->was_mark = get_int(sock, SOL_SOCKET, SO_MARK);
	err = set_int(sock, f->level, f->transparent, 1);
	return err ? err : set_int(sock, SOL_SOCKET, SO_MARK, MARK);
}

static void disallow(int sock, const struct foreign *f)
{
	set_int(sock, SOL_SOCKET, SO_MARK, f->was_mark);
	set_int(sock, f->level, f->transparent, f->was_transparent);
}

static uint8_t wire_family(const struct sockaddr_storage *peer)
{
	const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)peer;

	return peer->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->sin6_addr) ? AF_INET6 : AF_INET;
}

static int enter_netns_of(int sock)
{
	int err, fd = ioctl(sock, SIOCGSKNS);

	if (fd < 0)
		return -errno;
	err = netns_enter(fd);
	close(fd);
	return err;
}

/* An IPv4 route over it can be had even when it is down. */
static bool lo_is_up(int sock)
{
	struct ifreq r = { .ifr_name = "lo" };

	return !ioctl(sock, SIOCGIFFLAGS, &r) && r.ifr_flags & IFF_UP;
}

bool detour_is_own(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg))
		if (mnl_attr_get_type(attr) == RTA_TABLE && !mnl_attr_validate(attr, MNL_TYPE_U32))
			return mnl_attr_get_u32(attr) == MARK;
	return false;
}

void detour_close(struct detour *d)
{
	if (!d->open)
		return;
	d->open = false;
	if (d->raw >= 0)
		close(d->raw);
	if (d->nl) {
		tear_down(d->nl, d->family);
		mnl_socket_close(d->nl);
	}
	netns_leave();
}

/* -ENETDOWN: the loopback device is down, nothing would be delivered. */
static int open_by(struct detour *d, int sock, uint8_t family)
{
	int err = lo_is_up(sock) ? enter_netns_of(sock) : -ENETDOWN;

	if (err)
		return err;
	*d = (struct detour){ .open = true, .nl = nl_open(NETLINK_ROUTE, 0), .raw = -1, .family = family };
	err = d->nl ? set_up(d->nl, family) : -errno;
	if (err)
		detour_close(d);
	return err;
}

static int open_raw(struct detour *d)
{
	int err;

	d->raw = socket(d->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (d->raw < 0)
		return -errno;
	err = set_int(d->raw, SOL_SOCKET, SO_MARK, MARK);
	if (!err)
		return 0;
	close(d->raw);
	d->raw = -1;
	return err;
}

int detour_deliver(struct detour *d, const void *packet, size_t len)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	bool v4 = d->family == AF_INET;
	const char *p = packet;
	int err = d->raw < 0 ? open_raw(d) : 0;

	if (err)
		return err;
	memcpy(&to4.sin_addr, p + offsetof(struct iphdr, daddr), sizeof(to4.sin_addr));
	if (!v4)
		memcpy(&to6.sin6_addr, p + offsetof(struct ip6_hdr, ip6_dst), sizeof(to6.sin6_addr));
	if (sendto(d->raw, packet, len, MSG_DONTWAIT, v4 ? (void *)&to4 : (void *)&to6,
		   v4 ? sizeof(to4) : sizeof(to6)) < 0)
		return -errno;
	return 0;
}

void detour_forget(int sock)
{
	if (get_int(sock, SOL_SOCKET, SO_MARK) == MARK)
		set_int(sock, SOL_SOCKET, SO_MARK, 0);
}

int detour_connect(struct detour *d, int sock, const struct sockaddr_storage *local, socklen_t local_len,
		   const struct sockaddr_storage *peer, socklen_t peer_len)
{
	struct foreign f;
	int err = open_by(d, sock, wire_family(peer));

	if (err)
		return err;
	err = allow(sock, &f, peer->ss_family == AF_INET6);
	if (!err) {
		if (bind(sock, (const struct sockaddr *)local, local_len) && errno != EINVAL)
			err = -errno;
		if (!err && connect(sock, (const struct sockaddr *)peer, peer_len))
			err = -errno;
		disallow(sock, &f);
	}
	if (err)
		detour_close(d);
	log_debug("a socket without a route was rebuilt by detour: %s", strerror(-err));
	return err;
}
