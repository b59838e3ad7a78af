/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/missing.h"
#include "tests/unit/test.h"

#define MS	1000000ULL

static void same_for_long(void **state)
{
	uint64_t t = 1000 * MS;

	(void)state;
	assert_false(missing_long(1, 100, 200, t));
	assert_false(missing_long(1, 100, 200, t + 49 * MS));
	assert_true(missing_long(1, 100, 200, t + 50 * MS));
	assert_true(missing_long(1, 100, 200, t + 5000 * MS));
}

static void something_came(void **state)
{
	uint64_t t = 10000 * MS;

	(void)state;
	assert_false(missing_long(2, 100, 200, t));
	assert_false(missing_long(2, 150, 200, t + 60 * MS));
	assert_false(missing_long(2, 150, 250, t + 120 * MS));
	assert_false(missing_long(2, 150, 250, t + 160 * MS));
	assert_true(missing_long(2, 150, 250, t + 170 * MS));
}

/* Tries come every 5 ms, for a second, for all in turn: whoever shares a place has a turn of its own within that. */
static void many_in_one_place(void **state)
{
	bool long_ago[8] = { false };
	uint64_t t = 20000 * MS;

	(void)state;
	for (unsigned int turn = 0; turn < 200; turn++, t += 5 * MS)
		for (unsigned int i = 0; i < 8; i++)
			long_ago[i] = long_ago[i] || missing_long(3 + 256 * i, 7, 8, t + i);
	for (unsigned int i = 0; i < 8; i++)
		assert_true(long_ago[i]);
}

static void nothing_of_others(void **state)
{
	uint64_t t = 30000 * MS;

	(void)state;
	assert_false(missing_long(4, 1, 2, t));
	assert_false(missing_long(4 + 256, 1, 2, t + 60 * MS));
	assert_false(missing_long(4 + 512, 1, 2, t + 61 * MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_for_long),
		cmocka_unit_test(something_came),
		cmocka_unit_test(many_in_one_place),
		cmocka_unit_test(nothing_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
