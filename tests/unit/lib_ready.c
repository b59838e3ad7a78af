// SPDX-License-Identifier: LGPL-2.1-or-later
/* The queue of woken members (lib/ready.c) against a plain list, over the end of its array and of its counters. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/test.h"
#include "lib/ready.c"

#define MEMBERS	100

static struct sonode slot[MEMBERS];
static struct member m[MEMBERS];
static struct ready q;
static int list[MEMBERS], nr;	/* numbers of members, in order */

static void list_add(int i)
{
	for (int k = 0; k < nr; k++)
		if (list[k] == i)
			return;
	list[nr++] = i;
}

static void list_del(int i)
{
	int kept = 0;

	for (int k = 0; k < nr; k++)
		if (list[k] != i)
			list[kept++] = list[k];
	nr = kept;
}

static void same(void)
{
	const struct ready_item *it;
	uint32_t n;
	int k = 0;

	assert_int_equal(q.nr, nr);
	assert_true(q.tail - q.head <= q.room);
	assert_ptr_equal(ready_first(&q), nr ? &m[list[0]] : NULL);
	for (n = 0; n < q.tail - q.head; n++) {
		it = ready_ahead(&q, n);
		if (!it)
			continue;
		assert_ptr_equal(it->m, &m[list[k]]);
		assert_ptr_equal(it->sn, &slot[list[k]]);
		k++;
	}
	assert_int_equal(k, nr);
	assert_null(ready_ahead(&q, n));
}

static void add(int i)
{
	ready_add(&q, &m[i]);
	list_add(i);
	same();
}

static void del(int i)
{
	ready_del(&q, &m[i]);
	list_del(i);
	same();
}

static int begin(void **state)
{
	(void)state;
	memset(m, 0, sizeof(m));
	for (int i = 0; i < MEMBERS; i++)
		m[i].sn = &slot[i];
	nr = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	ready_free(&q);
	return q.at || q.room;
}

static void test_order(void **state)
{
	(void)state;
	assert_null(ready_first(&q));
	assert_true(ready_room(&q, 5));
	for (int i = 0; i < 5; i++)
		add(i);
	add(2);				/* is there */
	del(1);
	del(0);				/* and with it the gap behind it */
	assert_int_equal(q.tail - q.head, 3);
	del(0);				/* is not there */
	add(0);
	del(4);
	del(2);
	del(3);
	assert_ptr_equal(ready_first(&q), &m[0]);
	del(0);
	assert_null(ready_first(&q));
}

/* The same few again and again behind one that stays: gaps fill the array. */
static void test_gaps(void **state)
{
	(void)state;
	assert_true(ready_room(&q, 4));
	add(0);
	for (int i = 0; i < 1000; i++) {
		add(1 + i % 3);
		add(1 + (i + 1) % 3);
		del(1 + i % 3);
	}
	assert_int_equal(q.room, LEAST);
}

static void test_grows(void **state)
{
	(void)state;
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(ready_room(&q, i + 1));
		assert_true(q.room >= 2 * (uint32_t)(i + 1));
		add(i);
		if (i % 3 == 1)
			del(i - 1);
	}
}

static void test_random(void **state)
{
	(void)state;
	assert_true(ready_room(&q, MEMBERS));
	q.head = q.tail = 0xfffffff0;
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		int k = (int)(random() % MEMBERS);

		if (random() % 16 < (i / 1000 % 2 ? 7 : 9))
			add(k);
		else
			del(nr && random() % 2 ? list[0] : k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, begin, end),
		cmocka_unit_test_setup_teardown(test_gaps, begin, end),
		cmocka_unit_test_setup_teardown(test_grows, begin, end),
		cmocka_unit_test_setup_teardown(test_random, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
