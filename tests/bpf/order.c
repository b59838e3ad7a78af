// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RX engine, by enumeration: all 120 orders of five segments and all overlaps of two, with the data and every SACK
 * block checked against a plain model; RST and SYN at every place of the window (RFC 5961 sections 3 and 4).
 */
#include "tests/bpf/frames.h"
#include "toe/seq.h"

#define PIECES	10
#define LEN	300U			/* of a piece */

static bool have[PIECES];		/* the model: which pieces have come */
static bool had[PIECES];		/* before the last segment */

static __u32 first_missing(void)
{
	__u32 n = 0;

	while (n < PIECES && have[n])
		n++;
	return n;
}

/* RFC 2883 section 4: the first block may tell of bytes that had come before, below the acknowledgement or inside
 * of the next block. */
static bool is_dsack(const struct seg *a)
{
	__u32 from = (a->sack[0][0] - RCV0) / LEN, to = (a->sack[0][1] - RCV0) / LEN;

	if (seq_after(a->sack[0][1], a->ack) &&
	    (a->nr_sack < 2 || seq_before(a->sack[0][0], a->sack[1][0]) || seq_after(a->sack[0][1], a->sack[1][1])))
		return false;
	assert_true(from < to && to <= PIECES);
	for (__u32 i = from; i < to; i++)
		assert_true(had[i]);
	return true;
}

/* Blocks of an acknowledgement: each is a maximal run beyond the hole, none twice, the newest first (RFC 2018 4). */
static void check_sack(const struct seg *a, __u32 newest)
{
	__u32 first = first_missing(), runs = 0;
	bool seen[PIECES] = { false };

	for (__u32 i = first; i < PIECES; i++)
		runs += have[i] && !have[i - 1];
	for (int b = 0; b < a->nr_sack; b++) {
		__u32 from = (a->sack[b][0] - RCV0) / LEN, to = (a->sack[b][1] - RCV0) / LEN;

		if (!b && is_dsack(a))
			continue;
		assert_int_equal((a->sack[b][0] - RCV0) % LEN, 0);
		assert_int_equal((a->sack[b][1] - RCV0) % LEN, 0);
		assert_true(from > first && from < to && to <= PIECES);
		for (__u32 i = from; i < to; i++) {
			assert_true(have[i]);
			assert_false(seen[i]);
			seen[i] = true;
		}
		assert_false(have[from - 1]);
		assert_false(to < PIECES && have[to]);
	}
	assert_true(a->nr_sack >= (runs < 3 ? runs : 3));
	if (newest > first && newest < PIECES)
		assert_true(a->nr_sack && (seen[newest]));
	if (newest > first && newest < PIECES) {
		const __u32 *b = a->sack[is_dsack(a)];

		assert_true(seq_leq(b[0], RCV0 + newest * LEN) && seq_after(b[1], RCV0 + newest * LEN));
	}
}

static bool all(const bool *set, __u32 from, __u32 to)
{
	while (from < to && set[from])
		from++;
	return from == to;
}

/* Pieces [from, to) arrive. */
static void arrive(__u32 from, __u32 to)
{
	struct seg s = plain(RCV0 + from * LEN, (to - from) * LEN), a;
	__u32 before = first_missing(), after;
	int verdict = rx(&s);

	memcpy(had, have, sizeof(had));
	for (__u32 i = from; i < to; i++)
		have[i] = true;
	after = first_missing();
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + after * LEN);
	check_ring(RCV0, RCV0 + after * LEN);
	for (__u32 i = after; i < PIECES; i++)
		if (have[i])
			check_ring(RCV0 + i * LEN, RCV0 + (i + 1) * LEN);
	if (from > before || to <= before)		/* out of order, or nothing new: at once, RFC 5681 4.2 */
		assert_int_equal(verdict, XDP_TX);
	if (verdict != XDP_TX)
		return;
	a = dissect(&out);
	assert_int_equal(a.ack, RCV0 + after * LEN);
	assert_int_equal(a.seq, SND0);
	check_sack(&a, from > before ? from : PIECES);
	if (from > before && all(had, from, to)) {	/* nothing new, out of order: RFC 2883 section 4.1.3 */
		assert_int_equal(a.sack[0][0], s.seq);
		assert_int_equal(a.sack[0][1], s.seq + s.len);
	}
}

static void begin(void)
{
	make_hw(test_conn());
	memset(have, 0, sizeof(have));
	memset(had, 0, sizeof(had));
}

static void orders(__u32 nr, __u32 *order, bool *used, unsigned int *runs)
{
	if (nr == 5) {
		begin();
		for (int i = 0; i < 5; i++)
			arrive(order[i], order[i] + 1);
		assert_int_equal(conn()->nr_ooo, 0);
		++*runs;
		return;
	}
	for (__u32 i = 0; i < 5; i++) {
		if (used[i])
			continue;
		used[i] = true;
		order[nr] = i;
		orders(nr + 1, order, used, runs);
		used[i] = false;
	}
}

static void all_orders(void **state)
{
	bool used[5] = { false };
	unsigned int runs = 0;
	__u32 order[5];

	(void)state;
	orders(0, order, used, &runs);
	assert_int_equal(runs, 120);
}

/* Two segments over six pieces in every position to each other and to the hole before them, then what is missing. */
static void all_overlaps(void **state)
{
	unsigned int runs = 0;

	(void)state;
	for (__u32 a = 0; a < 6; a++)
		for (__u32 b = a + 1; b <= 6; b++)
			for (__u32 c = 0; c < 6; c++)
				for (__u32 d = c + 1; d <= 6; d++) {
					begin();
					arrive(a, b);
					arrive(c, d);
					arrive(0, 6);
					assert_int_equal(conn()->min.rcv_nxt, RCV0 + 6 * LEN);
					assert_int_equal(conn()->nr_ooo, 0);
					runs++;
				}
	assert_int_equal(runs, 21 * 21);
}

/* ---- RST and SYN ---- */

enum { NOTHING, UPLOAD, ANSWER };	/* an ANSWER is one by us, or by the kernel after an upload */

struct place {
	const char *name;
	__s32 off;			/* from rcv_nxt, or, if edge, from the right edge */
	bool edge;
	int rst, syn;
};

static const struct place places[] = {
	{ "far left", -100000, false, NOTHING, ANSWER },
	{ "left of the window", -1, false, NOTHING, ANSWER },
	{ "left edge", 0, false, UPLOAD, ANSWER },
	{ "inside", 1000, false, ANSWER, ANSWER },
	{ "last byte", -1, true, ANSWER, ANSWER },
	{ "right edge", 0, true, NOTHING, ANSWER },
	{ "right of the window", 1, true, NOTHING, ANSWER },
	{ "far right", 100000, true, NOTHING, ANSWER },
};

static void at_place(const struct place *p, __u8 flag, int want)
{
	struct seg s = plain(0, 0);
	struct min_tcp was;
	int verdict;

	make_hw(test_conn());
	was = conn()->min;
	s.seq = (p->edge ? was.rcv_adv : was.rcv_nxt) + (__u32)p->off;
	s.flags = flag;
	verdict = rx(&s);
	if (want == UPLOAD || (want == ANSWER && verdict == XDP_DROP)) {	/* the kernel's code is to see it */
		if (conn()->state != TOE_HOLD || env_drain() != 1)
			fail_msg("flag %u, %s: not held for the kernel", flag, p->name);
		assert_true(conn()->why);
		return;
	}
	if (conn()->state != TOE_HW)
		fail_msg("flag %u, %s: uploaded", flag, p->name);
	if (verdict != (want == NOTHING ? XDP_DROP : XDP_TX))
		fail_msg("flag %u, %s: verdict %d", flag, p->name, verdict);
	assert_int_equal(conn()->min.rcv_nxt, was.rcv_nxt);
	assert_int_equal(conn()->min.snd_una, was.snd_una);
	if (verdict == XDP_TX) {
		struct seg a = dissect(&out);

		assert_int_equal(a.seq, was.snd_nxt);
		assert_int_equal(a.ack, was.rcv_nxt);
		assert_int_equal(a.flags, ACK);
	}
}

static void rst_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(places); i++)
		at_place(&places[i], RST, places[i].rst);
}

static void syn_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(places); i++)
		at_place(&places[i], SYN, places[i].syn);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(all_orders), cmocka_unit_test(all_overlaps),
		cmocka_unit_test(rst_places), cmocka_unit_test(syn_places),
	};

	env_open();
	return on_all_links(cases, NR(cases));
}
