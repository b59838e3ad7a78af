/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What no arriving frame gives the occasion for: the first requests, and those that a timeout sends again. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tcpgen.h"

static int sock = -1;

struct frame {
	uint8_t data[ETH_HLEN + 40 + 32 + GEN_MAX_SEGMENT];
	uint32_t len;
};

int frame_open(void)
{
	struct timeval patience = { .tv_sec = 1 };
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_ifindex = (int)opt.ifindex };

	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);	/* protocol 0: it receives nothing */
	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    bind(sock, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	return 0;
}

void frame_close(void)
{
	if (sock >= 0)
		close(sock);
	sock = -1;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Returns the sum of the pseudo header. */
static uint32_t put_ipv4(uint8_t *p, uint32_t l4_len)
{
	const struct sockaddr_in *from = (void *)&opt.local, *to = (void *)&opt.server;
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tot_len = htons((uint16_t)(sizeof(ip) + l4_len)),
		.frag_off = htons(IP_DF), .ttl = 64, .protocol = IPPROTO_TCP,
		.saddr = from->sin_addr.s_addr, .daddr = to->sin_addr.s_addr,
	};

	ip.check = (uint16_t)~fold(text_sum((uint8_t *)&ip, sizeof(ip), 0));
	memcpy(p, &ip, sizeof(ip));
	return text_sum((uint8_t *)&ip.saddr, 8, htons(IPPROTO_TCP) + htons((uint16_t)l4_len));
}

static uint32_t put_ipv6(uint8_t *p, uint32_t l4_len)
{
	const struct sockaddr_in6 *from = (void *)&opt.local, *to = (void *)&opt.server;
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6U << 28), .ip6_plen = htons((uint16_t)l4_len),
		.ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64,
		.ip6_src = from->sin6_addr, .ip6_dst = to->sin6_addr,
	};

	memcpy(p, &ip, sizeof(ip));
	return text_sum((uint8_t *)&ip.ip6_src, 32, htons(IPPROTO_TCP) + htons((uint16_t)l4_len));
}

static uint32_t put_timestamps(uint8_t *p, const struct gen_conn *c)
{
	uint32_t w[3] = {
		htonl(0x0101080a), htonl((uint32_t)(now_ns() / NS_PER_MS) + c->ts_off), htonl(c->ts_recent)
	};

	if (!c->has_ts)
		return 0;
	memcpy(p, w, sizeof(w));
	return sizeof(w);
}

/* payload: len bytes of the request text from offset at on. */
static void build(struct frame *f, const struct gen_conn *c, uint32_t seq, uint32_t at, uint32_t len)
{
	bool v6 = opt.server.ss_family == AF_INET6;
	uint32_t l3_len = v6 ? 40 : 20, l4_len = (c->has_ts ? 32 : 20) + len, sum;
	uint8_t *ip = f->data + ETH_HLEN, *l4 = ip + l3_len, *p = l4 + sizeof(struct tcphdr);
	uint16_t proto = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
	struct tcphdr th = {
		.source = htons(c->port), .dest = ((struct sockaddr_in *)&opt.server)->sin_port,
		.seq = htonl(seq), .ack_seq = htonl(c->rcv_nxt), .doff = c->has_ts ? 8 : 5,
		.ack = 1, .psh = !!len, .window = htons(c->window),
	};

	memcpy(f->data, bpf_macs(), 12);
	memcpy(f->data + 12, &proto, 2);
	sum = v6 ? put_ipv6(ip, l4_len) : put_ipv4(ip, l4_len);
	memcpy(l4, &th, sizeof(th));
	p += put_timestamps(p, c);
	memcpy(p, opt.text->request + at, len);
	th.check = (uint16_t)~fold(text_sum(l4, l4_len, sum));
	memcpy(l4, &th, sizeof(th));
	f->len = ETH_HLEN + l3_len + l4_len;
}

/* What finds no room is lost, as any frame may be: it is sent again after the timeout. */
static int transmit(const struct frame *f)
{
	if (send(sock, f->data, f->len, 0) == (ssize_t)f->len || errno == ENOBUFS || errno == EAGAIN || errno == EINTR)
		return 0;
	return -errno;
}

/* len bytes that end at snd_nxt or before, from seq on. snd_nxt always lies between two requests. */
int frame_requests(const struct gen_conn *c, uint32_t seq, uint32_t len)
{
	uint32_t back = (c->snd_nxt - seq) % opt.request_len;
	uint32_t at = back ? opt.request_len - back : 0;
	struct frame f;

	build(&f, c, seq, at, len < opt.mss ? len : opt.mss);
	return transmit(&f);
}

/* RFC 9293 3.8.4: an empty segment left of the window, which has to be answered. */
int frame_probe(const struct gen_conn *c)
{
	struct frame f;

	build(&f, c, c->snd_una - 1, 0, 0);
	return transmit(&f);
}
