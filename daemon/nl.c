/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "nl.h"

#define NL_BUF		8192
#define NDA_FLAGS_EXT_ATTR 15	/* NDA_FLAGS_EXT and NTF_EXT_MANAGED, Linux 5.16 */
#define EXT_MANAGED	1U
#define NUD_VALID	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

struct mnl_socket *nl_open(int bus, unsigned int groups)
{
	const struct timeval patience = { .tv_sec = 2 };
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);

	if (!nl)
		return NULL;
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID))
		return nl;
	mnl_socket_close(nl);
	return NULL;
}

void *nl_begin(char *buf, uint16_t type, uint16_t flags, size_t len)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return mnl_nlmsg_put_extra_header(nlh, len);
}

/* One request, one answer or acknowledgement, or all there is. */
static int nl_talk(struct mnl_socket *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	static unsigned int seq;
	char buf[NL_BUF];
	ssize_t n;
	int ret;

	nlh->nlmsg_seq = ++seq;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, mnl_socket_get_portid(nl), cb, arg);
		/* EPROTO: the rest of an answer to an earlier request that timed out */
	} while (ret < 0 ? errno == EPROTO : ret > MNL_CB_STOP && (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP);
	return ret < 0 ? -errno : 0;
}

int nl_do(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	return nl_talk(nl, nlh, NULL, NULL);
}

/* ---- attributes ---- */

struct nl_attrs {
	const struct nlattr *tb[64];
};

static int nl_attr_cb(const struct nlattr *attr, void *arg)
{
	struct nl_attrs *a = arg;

	if (mnl_attr_get_type(attr) < 64)
		a->tb[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static void nl_attrs(const struct nlmsghdr *nlh, unsigned int offset, struct nl_attrs *out)
{
	memset(out, 0, sizeof(*out));
	mnl_attr_parse(nlh, offset, nl_attr_cb, out);
}

static void nl_nested(const struct nlattr *nest, struct nl_attrs *out)
{
	memset(out, 0, sizeof(*out));
	mnl_attr_parse_nested(nest, nl_attr_cb, out);
}

static bool nl_addr(const struct nlattr *attr, uint8_t out[16])
{
	uint16_t len = attr ? mnl_attr_get_payload_len(attr) : 0;

	if (len != 4 && len != 16)
		return false;
	memset(out, 0, 16);
	memcpy(out, mnl_attr_get_payload(attr), len);
	return true;
}

static unsigned int addr_len(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

/* ---- routes ---- */

static unsigned int route_mtu(const struct nlattr *metrics)
{
	struct nl_attrs m;

	if (!metrics)
		return 0;
	nl_nested(metrics, &m);
	return m.tb[RTAX_MTU] ? mnl_attr_get_u32(m.tb[RTAX_MTU]) : 0;
}

static int route_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct nl_hop *out = arg;
	const struct rtvia *via;
	struct nl_attrs a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	nl_attrs(nlh, sizeof(*rtm), &a);
	if (!a.tb[RTA_OIF])
		return MNL_CB_OK;
	out->mtu = route_mtu(a.tb[RTA_METRICS]);
	nl_addr(a.tb[RTA_GATEWAY], out->addr);
	if (a.tb[RTA_VIA] && mnl_attr_get_payload_len(a.tb[RTA_VIA]) == sizeof(*via) + 16) {
		via = mnl_attr_get_payload(a.tb[RTA_VIA]);
		out->family = (uint8_t)via->rtvia_family;
		memcpy(out->addr, via->rtvia_addr, 16);
	}
	out->ifindex = (int)mnl_attr_get_u32(a.tb[RTA_OIF]);
	return MNL_CB_OK;
}

/* IPv4 addresses stand in the last word of a flow's (IPv4-mapped) addresses. */
static const void *flow_addr(const struct toe_flow *flow, const __be32 addr[4])
{
	return flow->family == AF_INET ? &addr[3] : &addr[0];
}

int nl_route(struct mnl_socket *nl, const struct toe_flow *flow, int oif, struct nl_hop *out)
{
	unsigned int len = addr_len((uint8_t)flow->family);
	char buf[256];
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct rtmsg *rtm = nl_begin(buf, RTM_GETROUTE, 0, sizeof(*rtm));
	int err;

	rtm->rtm_family = (unsigned char)flow->family;
	rtm->rtm_dst_len = rtm->rtm_src_len = (unsigned char)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, flow_addr(flow, flow->raddr));
	mnl_attr_put(nlh, RTA_SRC, len, flow_addr(flow, flow->laddr));
	if (oif)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)oif);
	memset(out, 0, sizeof(*out));
	out->family = (uint8_t)flow->family;
	memcpy(out->addr, flow_addr(flow, flow->raddr), len);
	err = nl_talk(nl, nlh, route_cb, out);
	if (err)
		return err;
	return out->ifindex ? 0 : -ENETUNREACH;
}

/* ---- neighbours ---- */

bool nl_neigh_valid(const struct nl_neigh *n)
{
	return n->state & NUD_VALID;
}

int nl_neigh_parse(const struct nlmsghdr *nlh, struct nl_neigh *out)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct nl_attrs a;
	uint32_t ext = 0;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ndm))
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	nl_attrs(nlh, sizeof(*ndm), &a);
	if (!nl_addr(a.tb[NDA_DST], out->addr))
		return -EINVAL;
	out->ifindex = ndm->ndm_ifindex;
	out->family = ndm->ndm_family;
	out->state = ndm->ndm_state;
	if (a.tb[NDA_FLAGS_EXT_ATTR])
		ext = mnl_attr_get_u32(a.tb[NDA_FLAGS_EXT_ATTR]);
	out->kept = (ndm->ndm_state & (NUD_PERMANENT | NUD_NOARP)) || (ndm->ndm_flags & NTF_EXT_LEARNED) ||
		    (ext & EXT_MANAGED);
	if (a.tb[NDA_LLADDR] && mnl_attr_get_payload_len(a.tb[NDA_LLADDR]) == 6)
		memcpy(out->mac, mnl_attr_get_payload(a.tb[NDA_LLADDR]), 6);
	else
		out->state &= (uint16_t)~NUD_VALID;
	return 0;
}

static int neigh_cb(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == RTM_NEWNEIGH && !nl_neigh_parse(nlh, arg))
		return MNL_CB_OK;
	errno = EINVAL;
	return MNL_CB_ERROR;
}

static struct nlmsghdr *neigh_request(char *buf, const struct nl_neigh *n, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct ndmsg *ndm = nl_begin(buf, type, flags, sizeof(*ndm));

	ndm->ndm_family = n->family;
	ndm->ndm_ifindex = n->ifindex;
	mnl_attr_put(nlh, NDA_DST, addr_len(n->family), n->addr);
	return nlh;
}

int nl_neigh_get(struct mnl_socket *nl, struct nl_neigh *n)
{
	char buf[128];
	struct nlmsghdr *nlh = neigh_request(buf, n, RTM_GETNEIGH, 0);

	return nl_talk(nl, nlh, neigh_cb, n);
}

int nl_neigh_use(struct mnl_socket *nl, const struct nl_neigh *n)
{
	char buf[128];
	struct nlmsghdr *nlh = neigh_request(buf, n, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK);
	struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);

	ndm->ndm_flags = NTF_USE;
	return nl_do(nl, nlh);
}

/* ---- links ---- */

/* VID 0 is no VLAN to the engines. A device of another namespace is not below one of ours. */
static void link_vlan(const struct nl_attrs *a, struct nl_link *out)
{
	struct nl_attrs info, data;
	unsigned int vid;

	if (!a->tb[IFLA_LINKINFO] || !a->tb[IFLA_LINK] || a->tb[IFLA_LINK_NETNSID])
		return;
	nl_nested(a->tb[IFLA_LINKINFO], &info);
	if (!info.tb[IFLA_INFO_KIND] || !info.tb[IFLA_INFO_DATA] ||
	    strcmp(mnl_attr_get_str(info.tb[IFLA_INFO_KIND]), "vlan"))
		return;
	nl_nested(info.tb[IFLA_INFO_DATA], &data);
	vid = data.tb[IFLA_VLAN_ID] ? mnl_attr_get_u16(data.tb[IFLA_VLAN_ID]) : 0;
	if (!vid)
		return;
	out->lower = (int)mnl_attr_get_u32(a->tb[IFLA_LINK]);
	out->vlan = toe_vlan_push(0, vid, data.tb[IFLA_VLAN_PROTOCOL] &&
				  mnl_attr_get_u16(data.tb[IFLA_VLAN_PROTOCOL]) == htons(ETH_P_8021AD));
}

int nl_link_parse(const struct nlmsghdr *nlh, struct nl_link *out)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct nl_attrs a, xdp;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi) || ifi->ifi_family != AF_UNSPEC)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	nl_attrs(nlh, sizeof(*ifi), &a);
	out->ifindex = ifi->ifi_index;
	out->flags = ifi->ifi_flags;
	if (a.tb[IFLA_MTU])
		out->mtu = mnl_attr_get_u32(a.tb[IFLA_MTU]);
	if (a.tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(a.tb[IFLA_ADDRESS]) == 6)
		memcpy(out->mac, mnl_attr_get_payload(a.tb[IFLA_ADDRESS]), 6);
	link_vlan(&a, out);
	if (!a.tb[IFLA_XDP])
		return 0;
	nl_nested(a.tb[IFLA_XDP], &xdp);
	out->has_xdp = xdp.tb[IFLA_XDP_ATTACHED] != NULL;
	if (xdp.tb[IFLA_XDP_PROG_ID])
		out->xdp_id = mnl_attr_get_u32(xdp.tb[IFLA_XDP_PROG_ID]);
	return 0;
}

bool nl_link_up(const struct nl_link *link)
{
	return (link->flags & IFF_UP) && (link->flags & IFF_RUNNING);
}

struct each_link {
	void (*each)(const struct nl_link *link, void *arg);
	void *arg;
};

static int links_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct each_link *e = arg;
	struct nl_link link;

	if (nlh->nlmsg_type == RTM_NEWLINK && !nl_link_parse(nlh, &link))
		e->each(&link, e->arg);
	return MNL_CB_OK;
}

int nl_links(struct mnl_socket *nl, void (*each)(const struct nl_link *link, void *arg), void *arg)
{
	struct each_link e = { each, arg };
	char buf[128];

	nl_begin(buf, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	return nl_talk(nl, (struct nlmsghdr *)buf, links_cb, &e);
}

int nl_link_delete(int ifindex)
{
	struct mnl_socket *nl = nl_open(NETLINK_ROUTE, 0);
	char buf[128];
	struct ifinfomsg *ifi;
	int err;

	if (!nl)
		return -errno;
	ifi = nl_begin(buf, RTM_DELLINK, NLM_F_ACK, sizeof(*ifi));
	ifi->ifi_index = ifindex;
	err = nl_do(nl, (struct nlmsghdr *)buf);
	mnl_socket_close(nl);
	return err;
}
