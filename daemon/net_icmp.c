/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "conn.h"
#include "engine.h"
#include "frame.h"
#include "log.h"
#include "loop.h"
#include "net_icmp.h"
#include "nic.h"
#include "toe/desc.h"
#include "toe/seq.h"

#define MSG_MAX		1280	/* RFC 4443 2.4 (c); RFC 1812 4.3.2.3 says 576 */
#define TURN		16	/* messages handled before others have their turn */
#define ICMP_FILTER	1	/* linux/icmp.h, which clashes with netinet/ip_icmp.h */

struct quoted {			/* what the message quotes of the segment that was too big */
	struct toe_flow flow;
	uint32_t seq;
	unsigned int mtu;	/* of the next hop; 0: an old router that does not say */
};

/* Ports and sequence number: the eight bytes of TCP that every message quotes. */
static int quote_tcp(struct quoted *q, const uint8_t *tcp, size_t len)
{
	if (len < 8)
		return -EINVAL;
	memcpy(&q->flow.lport, tcp, 2);
	memcpy(&q->flow.rport, tcp + 2, 2);
	memcpy(&q->seq, tcp + 4, 4);
	q->seq = ntohl(q->seq);
	return 0;
}

/* RFC 1191 section 4. icmp: from the ICMP header on. */
static int quote4(struct quoted *q, const uint8_t *icmp, size_t len)
{
	const size_t off = offsetof(struct icmphdr, un) + sizeof(((struct icmphdr *)0)->un);
	struct icmphdr h;
	struct iphdr ip;

	if (len < off + sizeof(ip))
		return -EINVAL;
	memcpy(&h, icmp, sizeof(h));
	memcpy(&ip, icmp + off, sizeof(ip));
	if (h.type != ICMP_DEST_UNREACH || h.code != ICMP_FRAG_NEEDED || ip.version != 4 || ip.ihl < 5 ||
	    ip.protocol != IPPROTO_TCP || len < off + ip.ihl * 4U)
		return -EINVAL;
	q->mtu = ntohs(h.un.frag.mtu);
	q->flow.family = AF_INET;
	q->flow.laddr[2] = q->flow.raddr[2] = htonl(0xffff);
	q->flow.laddr[3] = ip.saddr;
	q->flow.raddr[3] = ip.daddr;
	return quote_tcp(q, icmp + off + ip.ihl * 4U, len - off - ip.ihl * 4U);
}

/* RFC 8201 section 4; segments of the engines have no extension headers. */
static int quote6(struct quoted *q, const uint8_t *icmp, size_t len)
{
	struct icmp6_hdr h;
	struct ip6_hdr ip;

	if (len < sizeof(h) + sizeof(ip))
		return -EINVAL;
	memcpy(&h, icmp, sizeof(h));
	memcpy(&ip, icmp + sizeof(h), sizeof(ip));
	if (h.icmp6_type != ICMP6_PACKET_TOO_BIG || ip.ip6_nxt != IPPROTO_TCP)
		return -EINVAL;
	q->mtu = ntohl(h.icmp6_mtu);
	q->flow.family = AF_INET6;
	memcpy(q->flow.laddr, &ip.ip6_src, 16);
	memcpy(q->flow.raddr, &ip.ip6_dst, 16);
	return quote_tcp(q, icmp + sizeof(h) + sizeof(ip), len - sizeof(h) - sizeof(ip));
}

/* RFC 5927: only a message that quotes bytes in flight, and only if it changes anything. */
static bool is_believed(const struct quoted *q, const struct hw_conn *e)
{
	unsigned int need = e->min.snd_mss + TOE_HDR_LEN(q->flow.family, e->min.opts & TOE_OPT_TS) - 14U;

	return e->state == TOE_HW && seq_leq(e->min.snd_una, q->seq) && seq_before(q->seq, e->min.snd_nxt) &&
	       q->mtu < need;
}

/* packet: the message from its IP header on, behind room for the link's. */
static void handle(struct net *net, struct quoted *q, uint8_t *packet, size_t len)
{
	struct hw_conn e;
	uint8_t *frame;
	struct nic *nic;

	q->flow.net = (uint16_t)net->number;
	if (bpf_map_lookup_elem(engine.hw_conn_t, &q->flow, &e) || !is_believed(q, &e))
		return;
	nic = nic_get(e.nic);
	log_debug("connection %u: path MTU is %u", e.hw_connid, q->mtu);
	if (conn_upload(e.cookie, TOE_WHY_PMTU) || !nic || nic_enter(nic))
		return;
	frame = frame_link(&e, packet);
	if (engine_replay(nic->id, frame, (size_t)(packet - frame) + len, true) < 0)
		log_debug("connection %u: cannot repeat the message", e.hw_connid);
	nic_leave();
}

/* A raw IPv4 socket gives the IP header, too. */
static int on_icmp4(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	uint8_t room[FRAME_LINK_MAX + MSG_MAX], *packet = room + FRAME_LINK_MAX;

	(void)source;
	(void)events;
	for (int i = 0; i < TURN; i++) {
		ssize_t n = recv(fd, packet, MSG_MAX, MSG_DONTWAIT | MSG_TRUNC);
		struct quoted q = { 0 };
		size_t hdr = (packet[0] & 15) * 4U;

		if (n < 0)
			break;
		if (n <= MSG_MAX && (size_t)n > hdr && hdr >= sizeof(struct iphdr) &&
		    !quote4(&q, packet + hdr, (size_t)n - hdr))
			handle(arg, &q, packet, (size_t)n);
	}
	return 0;
}

static ssize_t recv6(int fd, void *icmp, struct ip6_hdr *ip)
{
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} ctl = { 0 };
	struct sockaddr_in6 from;
	struct iovec iov = { icmp, MSG_MAX - sizeof(*ip) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &ctl, .msg_controllen = sizeof(ctl) };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	if (n < 0)
		return -errno;
	if (!c || c->cmsg_type != IPV6_PKTINFO || m.msg_flags & MSG_TRUNC)
		return 0;
	*ip = (struct ip6_hdr){ .ip6_flow = htonl(6U << 28), .ip6_nxt = IPPROTO_ICMPV6, .ip6_hlim = 255 };
	ip->ip6_plen = htons((uint16_t)n);
	ip->ip6_src = from.sin6_addr;
	ip->ip6_dst = ((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr;
	return n;
}

static int on_icmp6(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	uint8_t room[FRAME_LINK_MAX + MSG_MAX], *packet = room + FRAME_LINK_MAX, *icmp = packet + sizeof(struct ip6_hdr);

	(void)source;
	(void)events;
	for (int i = 0; i < TURN; i++) {
		struct quoted q = { 0 };
		struct ip6_hdr ip;
		ssize_t n = recv6(fd, icmp, &ip);

		if (n < 0)
			break;
		memcpy(packet, &ip, sizeof(ip));
		if (n && !quote6(&q, icmp, (size_t)n))
			handle(arg, &q, packet, sizeof(ip) + (size_t)n);
	}
	return 0;
}

static int open4(void)
{
	const uint32_t blocked = ~(1U << ICMP_DEST_UNREACH);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);

	if (fd >= 0)
		setsockopt(fd, SOL_RAW, ICMP_FILTER, &blocked, sizeof(blocked));
	return fd;
}

static int open6(void)
{
	struct icmp6_filter f;
	int one = 1, fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);

	if (fd < 0)
		return fd;
	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &f);
	setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	return fd;
}

/* A host without IPv6 has no such socket. */
int net_icmp_open(struct net *net)
{
	const sd_event_io_handler_t handlers[2] = { on_icmp4, on_icmp6 };
	int (*const open_one[2])(void) = { open4, open6 };
	int err;

	for (int i = 0; i < 2; i++) {
		net->icmp[i] = open_one[i]();
		if (net->icmp[i] < 0 && i == 1 && errno == EAFNOSUPPORT)
			break;
		if (net->icmp[i] < 0)
			return -errno;
		err = sd_event_add_io(loop, &net->icmp_source[i], net->icmp[i], EPOLLIN, handlers[i], net);
		if (err < 0)
			return err;
	}
	return 0;
}

void net_icmp_close(struct net *net)
{
	for (int i = 0; i < 2; i++) {
		sd_event_source_disable_unref(net->icmp_source[i]);
		if (net->icmp[i] >= 0)
			close(net->icmp[i]);
	}
}
