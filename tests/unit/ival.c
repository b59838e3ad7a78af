/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The out-of-order set against a model that remembers every byte. */
#include <stdbool.h>
#include <string.h>
#include "tests/helpers/pattern.h"
#include "tests/unit/test.h"
#include "toe/ival.h"

#define SPACE 200

struct model {
	bool has[SPACE];
};

static unsigned int model_runs(const struct model *m)
{
	unsigned int n = 0;

	for (int i = 0; i < SPACE; i++)
		n += m->has[i] && (i == 0 || !m->has[i - 1]);
	return n;
}

static void check(const struct toe_ival *set, const struct model *m, uint32_t base)
{
	bool has[SPACE] = { false };

	for (int i = 0; i < TOE_NR_OOO; i++)
		for (uint32_t s = set[i].start; s != set[i].end; s++) {
			assert_true(s - base < SPACE);
			assert_false(has[s - base]);
			has[s - base] = true;
		}
	assert_memory_equal(has, m->has, sizeof(has));
	for (int i = 1; i < TOE_NR_OOO; i++)		/* none behind a free slot */
		assert_true(ival_empty(&set[i]) || !ival_empty(&set[i - 1]));
	assert_int_equal(ival_count(set), model_runs(m));
}

static void add(struct toe_ival *set, struct model *m, uint32_t base, uint32_t s, uint32_t e)
{
	struct model next = *m;
	struct toe_ival common;
	uint32_t from = s, to;

	while (from < e && !m->has[from])
		from++;
	for (to = from; to < e && m->has[to];)
		to++;
	assert_int_equal(ival_common(set, base + s, base + e, &common), from < e);
	if (from < e) {
		assert_int_equal(common.start, base + from);
		assert_int_equal(common.end, base + to);
	}
	memset(next.has + s, true, e - s);
	if (ival_add(set, base + s, base + e)) {
		assert_int_equal(ival_count(set), TOE_NR_OOO);
		assert_true(model_runs(&next) > TOE_NR_OOO);
	} else {
		*m = next;
		assert_true(ival_holds(&set[0], base + s, base + e));	/* RFC 2018: most recent first */
	}
	check(set, m, base);
}

static uint32_t take(struct toe_ival *set, struct model *m, uint32_t base, uint32_t to)
{
	uint32_t got = ival_take(set, base + to) - base;

	memset(m->has, false, to);
	for (; to < SPACE && m->has[to]; to++)
		m->has[to] = false;
	assert_int_equal(got, to);
	check(set, m, base);
	return to;
}

static void random_sets(void **state)
{
	uint64_t rnd = 42;

	(void)state;
	for (int run = 0; run < 6000; run++) {
		struct toe_ival set[TOE_NR_OOO] = { 0 };
		struct model m = { 0 };
		uint32_t base = run & 1 ? (uint32_t)-20 : (uint32_t)rnd_next(&rnd), nxt = 0;

		for (int step = 0; step < 60 && nxt < SPACE - 1; step++) {
			uint32_t s = nxt + 1 + (uint32_t)rnd_below(&rnd, SPACE - nxt - 1);
			uint32_t e = s + 1 + (uint32_t)rnd_below(&rnd, run & 2 ? 9 : 1);

			add(set, &m, base, s, e < SPACE ? e : SPACE);
			if (rnd_below(&rnd, 4) == 0) {
				nxt += (uint32_t)rnd_below(&rnd, 6);
				nxt = take(set, &m, base, nxt < SPACE ? nxt : SPACE);
			}
		}
	}
}

static void order_of_sack_blocks(void **state)
{
	struct toe_ival set[TOE_NR_OOO] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < TOE_NR_OOO; i++)
		assert_int_equal(ival_add(set, 100 * i + 100, 100 * i + 150), 0);
	for (uint32_t i = 0; i < TOE_NR_OOO; i++)
		assert_int_equal(set[i].start, 100 * (TOE_NR_OOO - i));
	assert_int_equal(ival_add(set, 9000, 9010), -1);
	assert_int_equal(set[0].start, 100 * TOE_NR_OOO);
	assert_int_equal(ival_add(set, 150, 160), 0);	/* grows an old one: it moves to the front */
	assert_int_equal(set[0].start, 100);
	assert_int_equal(set[0].end, 160);
	assert_int_equal(set[1].start, 100 * TOE_NR_OOO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sets), cmocka_unit_test(order_of_sack_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
