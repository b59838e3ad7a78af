/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tests' link: its judge on segments with known faults, its path on known odds. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/test.h"
#include "tests/helpers/link_judge.c"
#include "tests/helpers/link_path.c"

struct step {			/* from end 0, unless back; seq and ack from 1000 and 5000 on */
	uint32_t seq, len, ack, tsval, tsecr;
	uint32_t dsack, dsack_end;	/* reported as come twice, if any; of the other end */
	uint16_t window;
	uint8_t flags;
	bool back, damaged;
	uint8_t wscale;		/* in a SYN, plus 1 */
};

static void put16(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 8);
	p[1] = (unsigned char)v;
}

static void put32(unsigned char *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static size_t build(unsigned char *f, const struct step *s)
{
	unsigned char *ip = f + 14, *tcp = ip + 20;
	uint32_t hdr = 20 + (s->dsack ? 24 : s->wscale ? 16 : 12), l4_len = hdr + s->len, wire = 0xfffff000U;

	memset(f, 0, 14 + 20 + l4_len);
	put16(f + 12, 0x0800);
	put32(ip, 0x45000000 + 20 + l4_len);
	put32(ip + 8, 0x40060000);
	put32(ip + 12, s->back ? 2 : 1);
	put32(ip + 16, s->back ? 1 : 2);
	put16(ip + 10, ~sum16(ip, 20, 0));
	put32(tcp, s->back ? 0x00500400 : 0x04000050);
	put32(tcp + 4, s->seq + (s->back ? 5000 : wire));	/* over the wrap */
	put32(tcp + 8, s->ack + (s->back ? wire : 5000));
	put16(tcp + 12, hdr / 4 << 12 | (s->flags ? s->flags : ACK));
	put16(tcp + 14, s->window ? s->window : 1000);
	put32(tcp + 20, 0x0101080a);
	put32(tcp + 24, s->tsval);
	put32(tcp + 28, s->tsecr);
	if (s->wscale)
		put32(tcp + 32, 0x01030300U + s->wscale - 1);
	if (s->dsack) {
		put32(tcp + 32, 0x0101050a);
		put32(tcp + 36, s->dsack + (s->back ? wire : 5000));
		put32(tcp + 40, s->dsack_end + (s->back ? wire : 5000));
	}
	put16(tcp + 16, ~sum16(tcp, l4_len, sum16(ip + 12, 8, 6 + l4_len)));
	f[14 + 20 + l4_len - 1] ^= s->damaged;
	return 14 + 20 + l4_len;
}

static void play(const struct step *steps, size_t nr)
{
	unsigned char f[8192];

	memset(judged, 0, sizeof(judged));
	memset(flows, 0, sizeof(flows));
	for (size_t i = 0; i < nr; i++)
		judge_frame(f, build(f, &steps[i]), steps[i].back);
}
#define PLAY(...) do { const struct step s_[] = { __VA_ARGS__ }; play(s_, NR(s_)); } while (0)

#define SHAKE { .flags = SYN, .wscale = 1 }, { .flags = SYN | ACK, .back = true, .ack = 1, .wscale = 3, \
	.window = 4000 }, { .seq = 1, .ack = 1 }

static void faultless(void **state)
{
	static const struct judge_counts zero;

	(void)state;
	PLAY(SHAKE, { .seq = 1, .len = 3000, .ack = 1, .tsval = 5 }, { .seq = 3001, .len = 1000, .ack = 1, .tsval = 5 },
	     { .back = true, .seq = 1, .ack = 4001, .window = 1000 },
	     { .seq = 4001, .len = 1500, .ack = 1, .tsval = 6 },
	     { .seq = 4001, .len = 0, .ack = 1, .tsval = 6 }, { .seq = 4000, .ack = 1, .tsval = 6 },	/* probe */
	     { .seq = 5501, .flags = FIN | ACK, .ack = 1, .tsval = 6 });
	assert_int_equal(judged[0].segs, 8);
	assert_int_equal(judged[0].bytes, 5500);
	judged[0].segs = judged[0].bytes = judged[1].segs = 0;
	assert_memory_equal(judged, &zero, sizeof(zero));
	assert_memory_equal(&judged[1], &zero, sizeof(zero));
}

static void holes(void **state)
{
	(void)state;
	PLAY(SHAKE, { .seq = 1, .len = 100, .ack = 1 }, { .seq = 1001, .len = 100, .ack = 1 });
	assert_int_equal(judged[0].skipped, 900);
	assert_int_equal(judged[0].missing, 900);
	PLAY(SHAKE, { .seq = 1001, .len = 100, .ack = 1 }, { .seq = 301, .len = 200, .ack = 1 },
	     { .seq = 201, .len = 400, .ack = 1 }, { .seq = 1, .len = 100, .ack = 1 },
	     { .seq = 1, .len = 1200, .ack = 1 });
	assert_int_equal(judged[0].skipped, 1000);
	assert_int_equal(judged[0].late, 1000);
	assert_int_equal(judged[0].missing, 0);
	assert_int_equal(judged[0].again, 200 + 100 + 400 + 100);
	assert_int_equal(judged[0].bytes, 100 + 100);
}

/* An acknowledgement that overtook data says nothing of holes or times, but what it acknowledges counts. */
static void ahead(void **state)
{
	(void)state;
	PLAY(SHAKE, { .seq = 1, .len = 100, .ack = 1, .tsval = 5 }, { .seq = 301, .ack = 99, .tsval = 7 },
	     { .seq = 101, .len = 200, .ack = 1, .tsval = 6 }, { .seq = 301, .ack = 1, .tsval = 7 });
	assert_int_equal(judged[0].ahead, 1);
	assert_int_equal(judged[0].skipped, 0);
	assert_int_equal(judged[0].ts_back, 0);
	assert_int_equal(judged[0].bad_ack, 1);
	PLAY(SHAKE, { .seq = 1, .len = 100, .ack = 1 }, { .seq = 301, .ack = 1, .flags = FIN | ACK });
	assert_int_equal(judged[0].ahead, 0);
	assert_int_equal(judged[0].skipped, 200);
}

static void retransmissions(void **state)
{
	(void)state;
	PLAY(SHAKE, { .seq = 1, .len = 100, .ack = 1 }, { .seq = 1, .len = 100, .ack = 1 },
	     { .seq = 51, .len = 100, .ack = 1 });
	assert_int_equal(judged[0].again, 150);
	assert_int_equal(judged[0].skipped, 0);
	assert_int_equal(judged[0].bytes, 150);
}

#define ONCE_AND_AGAIN SHAKE, { .seq = 1, .len = 300, .ack = 1, .tsval = 5 }, \
	{ .seq = 1, .len = 100, .ack = 1, .tsval = 9 }, { .seq = 101, .len = 100, .ack = 1, .tsval = 9 }

/* Of what was sent twice: which end had it? */
static void repeats(void **state)
{
	(void)state;
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 301, .tsecr = 5 });
	assert_int_equal(judged[0].needed, 0);
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 301, .tsecr = 9 });
	assert_int_equal(judged[0].needed, 200);
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 151, .tsecr = 5 },
	     { .back = true, .seq = 1, .ack = 301, .tsecr = 9 });
	assert_int_equal(judged[0].needed, 50);
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 151, .tsecr = 9 },
	     { .back = true, .seq = 1, .ack = 301, .tsecr = 9 });
	assert_int_equal(judged[0].needed, 200);
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 301, .tsecr = 9, .dsack = 41, .dsack_end = 61 });
	assert_int_equal(judged[0].needed, 180);
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 301, .tsecr = 9, .dsack = 41, .dsack_end = 61 },
	     { .back = true, .seq = 1, .ack = 301, .tsecr = 9, .dsack = 61, .dsack_end = 201 },
	     { .back = true, .seq = 1, .ack = 301, .tsecr = 9, .dsack = 1, .dsack_end = 51 });
	assert_int_equal(judged[0].needed, 0);
	PLAY(ONCE_AND_AGAIN, { .back = true, .seq = 1, .ack = 301, .tsecr = 9, .dsack = 401, .dsack_end = 501 });
	assert_int_equal(judged[0].needed, 200);		/* above: a SACK */
	PLAY(SHAKE, { .seq = 1, .len = 300, .ack = 1, .tsval = 5 }, { .back = true, .seq = 1, .ack = 301 },
	     { .seq = 1, .len = 100, .ack = 1, .tsval = 9 }, { .back = true, .seq = 1, .ack = 301, .tsecr = 9 });
	assert_int_equal(judged[0].needed, 0);			/* acknowledged before */
}

/* More repeats than can be remembered: the oldest, of which nothing is known, are needed. */
static void many_repeats(void **state)
{
	struct step steps[4 + 70] = { SHAKE, { .seq = 1, .len = 3000, .ack = 1, .tsval = 5 } };

	(void)state;
	for (uint32_t i = 0; i < 70; i++)
		steps[4 + i] = (struct step){ .seq = 1 + 20 * i, .len = 10, .ack = 1, .tsval = 9 };
	play(steps, 4 + 64);
	assert_int_equal(judged[0].needed, 0);
	play(steps, NR(steps));
	assert_int_equal(judged[0].needed, 6 * 10);
}

static void windows(void **state)
{
	(void)state;
	PLAY(SHAKE, { .back = true, .seq = 1, .ack = 1, .window = 1000 }, { .seq = 3900, .len = 200, .ack = 1 });
	assert_int_equal(judged[0].beyond, 99);
	PLAY(SHAKE, { .back = true, .seq = 1, .ack = 1, .window = 1000 },
	     { .back = true, .seq = 1, .ack = 1, .window = 999 });
	assert_int_equal(judged[1].shrunk, 1);
	PLAY(SHAKE, { .back = true, .seq = 1, .ack = 1, .window = 1000 }, { .seq = 1, .len = 3, .ack = 1 },
	     { .back = true, .seq = 1, .ack = 2, .window = 999 });
	assert_int_equal(judged[1].shrunk, 0);
	assert_int_equal(judged[1].rounded, 1);
	PLAY(SHAKE, { .seq = 1, .len = 8, .ack = 1 }, { .back = true, .seq = 1, .ack = 9, .window = 1000 },
	     { .back = true, .seq = 1, .ack = 1, .window = 900 });		/* older, reordered */
	assert_int_equal(judged[1].shrunk, 0);
	PLAY(SHAKE, { .back = true, .seq = 9, .len = 8, .ack = 1, .window = 1000 }, { .back = true, .seq = 17, .ack = 1, .window = 900 });
	assert_int_equal(judged[1].shrunk, 1);
	for (uint32_t seq = 1; seq <= 9; seq += 8) {		/* made before, overtaken */
		PLAY(SHAKE, { .back = true, .seq = 9, .len = 8, .ack = 1, .window = 1000 }, { .back = true, .seq = seq, .ack = 1, .window = 900 });
		assert_int_equal(judged[1].shrunk, 0);
	}
	PLAY(SHAKE, { .back = true, .seq = 9, .len = 8, .ack = 1, .window = 1000 },
	     { .back = true, .seq = 9, .ack = 1, .window = 1010 },		/* overtaken, too, but it offers more */
	     { .seq = 3900, .len = 141, .ack = 1 });
	assert_int_equal(judged[0].beyond, 0);
	PLAY(SHAKE, { .back = true, .seq = 9, .len = 8, .ack = 1, .window = 1000 }, { .seq = 1, .len = 3, .ack = 1 },
	     { .back = true, .seq = 1, .len = 8, .ack = 4, .window = 900 });	/* sent again, but it acknowledges more */
	assert_int_equal(judged[1].shrunk, 1);
}

static void acks_and_times(void **state)
{
	(void)state;
	PLAY(SHAKE, { .seq = 1, .len = 100, .ack = 1, .tsval = 9 }, { .back = true, .seq = 1, .ack = 102 });
	assert_int_equal(judged[1].bad_ack, 1);
	assert_int_equal(judged[0].ts_back, 0);
	PLAY(SHAKE, { .seq = 1, .len = 100, .ack = 1, .tsval = 9 }, { .seq = 101, .len = 100, .ack = 1, .tsval = 8 });
	assert_int_equal(judged[0].ts_back, 1);
}

static void checksums(void **state)
{
	(void)state;
	PLAY(SHAKE, { .seq = 1, .len = 101, .ack = 1, .damaged = true }, { .seq = 1, .len = 101, .ack = 1 });
	assert_int_equal(judged[0].bad_csum, 1);
	assert_int_equal(judged[0].bytes, 101);
	PLAY(SHAKE, { .seq = 1, .flags = RST | ACK, .ack = 1 });
	assert_int_equal(judged[0].resets, 1);
}

static struct path new_path(void)
{
	return (struct path){ .seed = 7, .burst_len = 5, .gap_ns = 1000, .delay_ns = 100 };
}

/* Runs n frames of 1000 bytes, us apart; returns how many were delivered. */
static unsigned int drive(struct path *p, unsigned int n, uint64_t apart_ns, uint64_t *last)
{
	unsigned char data[1000] = { [12] = 8, [14] = 0x45, [15] = 2 };
	unsigned int out = 0;
	uint64_t due[2];
	size_t damage[2];

	for (unsigned int i = 0; i < n; i++) {
		int nr = path_take(p, i * apart_ns, data, sizeof(data), due, damage);

		data[15] = 2;
		out += (unsigned int)nr;
		for (int k = 0; k < nr; k++) {
			assert_true(due[k] >= i * apart_ns + p->delay_ns);
			assert_true(damage[k] < sizeof(data) * 8);
			*last = due[k];
		}
	}
	return out;
}

static void odds(void **state)
{
	struct path p = new_path();
	uint64_t last;

	(void)state;
	assert_int_equal(drive(&p, 1000, 1000, &last), 1000);
	assert_int_equal(last, 999 * 1000 + 100);
	p.loss = 0.1, p.dup = 0.05, p.reorder = 0.02, p.corrupt = 0.03, p.mark = 0.04;
	drive(&p, 100000, 1000, &last);
	assert_in_range(p.nr.lost, 9500, 10500);
	assert_in_range(p.nr.duplicated, 4200, 4800);
	assert_in_range(p.nr.reordered, 1700, 2100);
	assert_in_range(p.nr.damaged, 2600, 3000);
	assert_in_range(p.nr.marked, 3300, 3900);
	p = new_path();
	p.burst = 0.01;
	drive(&p, 100000, 1000, &last);
	assert_in_range(p.nr.burst, 4200, 5400);
}

static void same_seed_same_fate(void **state)
{
	struct path a = new_path(), b = new_path();
	uint64_t last_a, last_b;

	(void)state;
	a.loss = b.loss = a.dup = b.dup = 0.1;
	a.jitter_ns = b.jitter_ns = 5000;
	assert_int_equal(drive(&a, 5000, 1000, &last_a), drive(&b, 5000, 1000, &last_b));
	assert_int_equal(last_a, last_b);
	b = new_path();
	b.loss = b.dup = 0.1;
	b.seed++;
	drive(&b, 5000, 1000, &last_b);
	assert_int_not_equal(a.nr.lost, b.nr.lost);
}

static void bottleneck(void **state)
{
	struct path p = new_path();
	uint64_t last;

	(void)state;
	p.bits_s = 8192000000ULL / 10;		/* 1024 bytes with preamble and gap: 10 us */
	p.limit = 20;
	assert_int_equal(drive(&p, 1000, 10000, &last), 1000);
	assert_int_equal(last, 999 * 10000 + 10000 + 100);
	free(p.leaves);
	p = new_path();
	p.bits_s = 8192000000ULL / 10;
	p.limit = 20;
	p.mark_at = 5;
	assert_in_range(drive(&p, 1000, 5000, &last), 500 + 18, 500 + 22);
	assert_in_range(p.nr.full, 478, 482);
	assert_true(p.nr.marked > 400);
	free(p.leaves);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(faultless), cmocka_unit_test(holes), cmocka_unit_test(ahead),
		cmocka_unit_test(retransmissions), cmocka_unit_test(repeats),
		cmocka_unit_test(many_repeats),
		cmocka_unit_test(windows), cmocka_unit_test(acks_and_times), cmocka_unit_test(checksums),
		cmocka_unit_test(odds), cmocka_unit_test(same_seed_same_fate), cmocka_unit_test(bottleneck),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
