/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <linux/if_ether.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <string.h>
#include "frame.h"

uint32_t frame_sum(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t s = sum;
	uint16_t w;

	for (; len >= 2; len -= 2, p += 2) {
		memcpy(&w, p, 2);
		s += w;
	}
	if (len) {
		w = 0;
		memcpy(&w, p, 1);
		s += w;
	}
	while (s >> 32)
		s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

uint16_t frame_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Backwards. */
uint8_t *frame_link(const struct hw_conn *e, uint8_t *packet)
{
	const uint16_t type = htons(e->min.flow.family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	uint32_t vlan = e->vlan, word;
	uint8_t *p = packet - sizeof(type);

	memcpy(p, &type, sizeof(type));
	for (; vlan; vlan >>= TOE_VLAN_BITS) {
		word = htonl(toe_vlan_word(vlan & TOE_VLAN_TAG));
		p -= sizeof(word);
		memcpy(p, &word, sizeof(word));
	}
	p -= 12;
	memcpy(p, e->src_mac, 6);
	memcpy(p + 6, e->dst_mac, 6);
	return p;
}

static uint8_t *put_ip4(const struct hw_conn *e, uint8_t *p, size_t tcp_len)
{
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
		.tot_len = htons((uint16_t)(sizeof(ip) + tcp_len)), .frag_off = htons(IP_DF),
		.saddr = e->min.flow.raddr[3], .daddr = e->min.flow.laddr[3],
	};

	ip.check = (uint16_t)~frame_fold(frame_sum(0, &ip, sizeof(ip)));
	memcpy(p, &ip, sizeof(ip));
	return p + sizeof(ip);
}

static uint8_t *put_ip6(const struct hw_conn *e, uint8_t *p, size_t tcp_len)
{
	struct ip6_hdr ip = { .ip6_flow = htonl(6U << 28), .ip6_plen = htons((uint16_t)tcp_len),
			      .ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64 };

	memcpy(&ip.ip6_src, e->min.flow.raddr, 16);
	memcpy(&ip.ip6_dst, e->min.flow.laddr, 16);
	memcpy(p, &ip, sizeof(ip));
	return p + sizeof(ip);
}

static uint32_t pseudo_sum(const struct toe_flow *f, size_t tcp_len)
{
	int words = f->family == AF_INET ? 1 : 4;
	uint32_t sum = frame_sum(0, &f->laddr[4 - words], 4 * (size_t)words);

	sum = frame_sum(sum, &f->raddr[4 - words], 4 * (size_t)words);
	return sum + htons((uint16_t)tcp_len) + htons(IPPROTO_TCP);
}

size_t frame_from_peer(const struct hw_conn *e, uint32_t tsecr, uint32_t seq, const void *payload, size_t len,
		       uint8_t *frame)
{
	const struct min_tcp *min = &e->min;
	int ts = min->opts & TOE_OPT_TS;
	uint32_t wnd = min->snd_wnd >> min->snd_wscale;
	size_t hdr_len = sizeof(struct tcphdr) + (ts ? 16 : 4), tcp_len = hdr_len + len;
	struct tcphdr th = {
		.source = min->flow.rport, .dest = min->flow.lport,
		.seq = htonl(seq), .ack_seq = htonl(min->snd_una), .ack = 1,
		.doff = (uint16_t)(hdr_len / 4), .window = htons(wnd > 65535 ? 65535 : (uint16_t)wnd),
	};
	uint32_t opts[4] = { htonl(0x01010101), htonl(0x0101080a), htonl(min->ts_recent), htonl(tsecr) };
	uint8_t *p = frame + sizeof(struct ethhdr) + toe_vlan_len(e->vlan);

	frame_link(e, p);
	p = min->flow.family == AF_INET ? put_ip4(e, p, tcp_len) : put_ip6(e, p, tcp_len);
	memcpy(p, &th, sizeof(th));
	memcpy(p + sizeof(th), opts, hdr_len - sizeof(th));
	if (len)
		memcpy(p + hdr_len, payload, len);
	th.check = (uint16_t)~frame_fold(frame_sum(pseudo_sum(&min->flow, tcp_len), p, tcp_len));
	memcpy(p + offsetof(struct tcphdr, check), &th.check, 2);
	return (size_t)(p - frame) + tcp_len;
}

/* Of the Ethernet header and its tags. */
static size_t eth_len(const uint8_t *frame, size_t len)
{
	size_t n = 14;

	while (n + 4 <= len && ((frame[n - 2] == 0x81 && !frame[n - 1]) ||
				(frame[n - 2] == 0x88 && frame[n - 1] == 0xa8)))
		n += 4;
	return n;
}

/* Where TCP begins and how long it is, from an Ethernet frame without extension headers, and the sum of its
 * pseudo header. */
static bool find_tcp(const uint8_t *frame, size_t len, size_t *off, size_t *tcp_len, uint32_t *pseudo)
{
	size_t hdr, total, eth = eth_len(frame, len);
	const uint8_t *ip = frame + eth;

	if (len < eth + 20 + 20)
		return false;
	if (ip[0] >> 4 == 4) {
		hdr = (ip[0] & 15) * 4U;
		total = (size_t)ip[2] << 8 | ip[3];
		*pseudo = frame_sum(0, ip + 12, 8);
	} else {
		hdr = 40;
		total = 40 + ((size_t)ip[4] << 8 | ip[5]);
		if (len < eth + 40 + 20)
			return false;
		*pseudo = frame_sum(0, ip + 8, 32);
	}
	if (hdr < 20 || total < hdr + 20 || eth + total > len || ip[ip[0] >> 4 == 4 ? 9 : 6] != IPPROTO_TCP)
		return false;
	*off = eth + hdr;
	*tcp_len = total - hdr;
	*pseudo += htons((uint16_t)*tcp_len) + htons(IPPROTO_TCP);
	return true;
}

void frame_complete(uint8_t *frame, size_t len)
{
	size_t off, tcp_len;
	uint32_t pseudo;
	uint16_t check;
	uint8_t *field;

	if (!find_tcp(frame, len, &off, &tcp_len, &pseudo))
		return;
	field = frame + off + offsetof(struct tcphdr, check);
	memcpy(&check, field, 2);
	if (check != frame_fold(pseudo))
		return;
	/* the field already holds the pseudo header's sum */
	check = (uint16_t)~frame_fold(frame_sum(0, frame + off, tcp_len));
	memcpy(field, &check, 2);
}
