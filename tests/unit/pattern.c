/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stream test's own tools: if these were wrong it would prove nothing. */
#include <string.h>
#include "tests/helpers/pattern.h"
#include "tests/unit/test.h"

static void partition(void **state)
{
	unsigned char whole[5000], part[5000];
	struct stream_hash a, b;
	uint64_t rnd = 9;

	(void)state;
	pattern_fill(77, 123, whole, sizeof(whole));
	hash_init(&a);
	hash_add(&a, whole, sizeof(whole));
	for (int run = 0; run < 200; run++) {
		hash_init(&b);
		for (size_t at = 0, n; at < sizeof(whole); at += n) {
			n = rnd_size(&rnd, sizeof(whole) - at);
			pattern_fill(77, 123 + at, part + at, n);
			assert_int_equal(pattern_check(77, 123 + at, part + at, n), n);
			hash_add(&b, part + at, n);
		}
		assert_memory_equal(whole, part, sizeof(whole));
		assert_int_equal(hash_end(&a), hash_end(&b));
	}
}

static void damage(void **state)
{
	unsigned char buf[5000];
	struct stream_hash a, b;
	uint64_t rnd = 10;

	(void)state;
	for (int run = 0; run < 500; run++) {
		size_t at = rnd_below(&rnd, sizeof(buf));

		pattern_fill(run, 1, buf, sizeof(buf));
		hash_init(&a);
		hash_add(&a, buf, sizeof(buf));
		buf[at] ^= 1U << rnd_below(&rnd, 8);
		hash_init(&b);
		hash_add(&b, buf, sizeof(buf));
		assert_int_equal(pattern_check(run, 1, buf, sizeof(buf)), at);
		assert_int_not_equal(hash_end(&a), hash_end(&b));
		assert_true(pattern_check(run, 2, buf, sizeof(buf)) < 3);	/* one byte missing */
	}
}

static void sizes(void **state)
{
	unsigned int ones = 0, large = 0;
	uint64_t rnd = 11;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		size_t n = rnd_size(&rnd, 1000000);

		assert_in_range(n, 1, 1000000);
		ones += n == 1;
		large += n > 100000;
	}
	assert_in_range(ones, 100, 2000);
	assert_in_range(large, 500, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partition), cmocka_unit_test(damage), cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
