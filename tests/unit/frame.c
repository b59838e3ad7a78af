/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums, and the acknowledgement that the daemon replays into a rebuilt socket. */
#include <arpa/inet.h>
#include <string.h>
#include "daemon/frame.h"
#include "tests/helpers/pattern.h"
#include "tests/unit/test.h"

static uint16_t naive_sum(const uint8_t *p, size_t len)		/* RFC 1071, big-endian words */
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void sums(void **state)
{
	uint8_t buf[4000];
	uint64_t rnd = 3;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		size_t len = rnd_below(&rnd, sizeof(buf)), cut = rnd_below(&rnd, len + 1) & ~1ULL;

		pattern_fill(i, 0, buf, len);
		assert_int_equal(ntohs(frame_fold(frame_sum(0, buf, len))), naive_sum(buf, len));
		assert_int_equal(frame_fold(frame_sum(frame_sum(0, buf, cut), buf + cut, len - cut)),
				 frame_fold(frame_sum(0, buf, len)));
	}
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(frame_fold(frame_sum(0, buf, sizeof(buf))), 0xffff);
}

static uint16_t tcp_sum(const uint8_t *ip, size_t addrs, size_t addr_len, const uint8_t *tcp, size_t tcp_len)
{
	uint8_t all[200] = { 0 };
	size_t n = 2 * addr_len;

	memcpy(all, ip + addrs, n);
	all[n + 2] = (uint8_t)(tcp_len >> 8);
	all[n + 3] = (uint8_t)tcp_len;
	all[n + 5] = 6;
	memcpy(all + n + 6, tcp, tcp_len);
	return naive_sum(all, n + 6 + tcp_len);
}

static struct hw_conn entry(uint16_t family, uint8_t opts)
{
	struct hw_conn e = { .min = { .flow = { .lport = htons(80), .rport = htons(4242), .family = family },
		.rcv_nxt = 0x01020304, .snd_una = 0xf1f2f3f4, .snd_wnd = 0x12340, .snd_wscale = 4,
		.ts_recent = 0xaabbccdd, .opts = opts },
		.src_mac = { 1, 2, 3, 4, 5, 6 }, .dst_mac = { 7, 8, 9, 10, 11, 12 } };

	for (int i = 0; i < 4; i++) {
		e.min.flow.laddr[i] = htonl(0xfd000001 + i);
		e.min.flow.raddr[i] = htonl(0xfd000101 + i);
	}
	return e;
}

static void peer_ack(void **state)
{
	static const struct { uint16_t family; uint8_t opts; size_t len; uint32_t vlan; const char *tags; } cases[] = {
		{ 2, 0, 58, 0, "" }, { 2, TOE_OPT_TS, 70, 0, "" }, { 10, 0, 78, 0, "" }, { 10, TOE_OPT_TS, 90, 0, "" },
		{ 2, TOE_OPT_TS, 74, 0xabc, "\x81\x00\x0a\xbc" }, { 10, 0, 82, 0x1005, "\x88\xa8\x00\x05" },
		{ 10, TOE_OPT_TS, 98, 0x1005 << 13 | 7, "\x88\xa8\x00\x05\x81\x00\x00\x07" },
	};

	(void)state;
	for (size_t i = 0; i < NR(cases); i++) {
		struct hw_conn e = entry(cases[i].family, cases[i].opts);
		size_t tags = cases[i].vlan > 0x1fff ? 8 : cases[i].vlan ? 4 : 0;
		size_t l3 = 14 + tags, l4 = l3 + (cases[i].family == 2 ? 20 : 40), len;
		uint8_t f[FRAME_HDR_MAX];

		e.vlan = cases[i].vlan;
		len = frame_from_peer(&e, 0, e.min.rcv_nxt, NULL, 0, f);
		assert_int_equal(len, cases[i].len);
		assert_memory_equal(f, e.src_mac, 6);		/* as the peer sends it */
		assert_memory_equal(f + 6, e.dst_mac, 6);
		assert_memory_equal(f + 12, cases[i].tags, tags);
		assert_memory_equal(f + l3 - 2, cases[i].family == 2 ? "\x08\x00" : "\x86\xdd", 2);
		assert_memory_equal(f + l4, "\x10\x92\x00\x50\x01\x02\x03\x04\xf1\xf2\xf3\xf4", 12);
		assert_int_equal(f[l4 + 13], 0x10);		/* ACK */
		assert_memory_equal(f + l4 + 14, "\x12\x34", 2);
		if (cases[i].family == 2) {
			assert_int_equal(naive_sum(f + l3, 20), 0xffff);
			assert_int_equal(tcp_sum(f + l3, 12, 4, f + l4, len - l4), 0xffff);
		} else {
			assert_int_equal(tcp_sum(f + l3, 8, 16, f + l4, len - l4), 0xffff);
		}
		if (cases[i].opts)
			assert_memory_equal(f + l4 + 24, "\x01\x01\x08\x0a\xaa\xbb\xcc\xdd", 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sums), cmocka_unit_test(peer_ack) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
