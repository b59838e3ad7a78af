/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Next hops: kept fresh while connections use them, dropped when none does. rtnetlink is played here. */
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>
#include "daemon/neigh.h"
#include "daemon/net.h"
#include "tests/unit/test.h"

static unsigned int nr_got, nr_used;
static bool all_valid = true, all_kept;

bool nl_neigh_valid(const struct nl_neigh *n)
{
	return n->state & NUD_REACHABLE;
}

int nl_neigh_get(struct mnl_socket *nl, struct nl_neigh *n)
{
	(void)nl;
	nr_got++;
	n->state = all_valid ? NUD_REACHABLE : NUD_INCOMPLETE;
	n->kept = all_kept;
	memcpy(n->mac, n->addr, 6);
	return 0;
}

int nl_neigh_use(struct mnl_socket *nl, const struct nl_neigh *n)
{
	(void)nl;
	(void)n;
	nr_used++;
	return 0;
}

static struct net net = { .number = 1 };

static int look(unsigned int host, unsigned int *number)
{
	struct nl_hop hop = { .ifindex = 3, .family = 2 };
	uint8_t mac[6];
	int err;

	memcpy(hop.addr, &host, sizeof(host));
	err = neigh_lookup(&net, &hop, mac, number);
	if (!err)
		assert_memory_equal(mac, &host, sizeof(host));
	return err;
}

/* How many are confirmed in a turn. */
static unsigned int turn(const unsigned int *in_use, unsigned int nr)
{
	nr_used = 0;
	while (nr)
		neigh_in_use(in_use[--nr]);
	neigh_use_all();
	return nr_used;
}

static void kept_and_dropped(void **state)
{
	unsigned int number[3], again, i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(look(100 + i, &number[i]), 0);
	assert_int_equal(nr_got, 3);
	assert_int_equal(look(101, &again), 0);		/* known: the kernel is not asked */
	assert_int_equal(again, number[1]);
	assert_int_equal(nr_got, 3);
	for (i = 0; i < 10; i++)
		assert_int_equal(turn(number, 3), 3);
	assert_int_equal(turn(number, 2), 3);		/* the third connection is gone */
	for (i = 0; i < 10; i++)
		assert_int_equal(turn(number, 2), 2);
	assert_int_equal(look(101, &again), 0);
	assert_int_equal(nr_got, 3);
	assert_int_equal(look(102, &again), 0);		/* dropped: asked for anew */
	assert_int_equal(nr_got, 4);
	neigh_forget(NULL);
	assert_int_equal(turn(number, 3), 0);
}

static void unresolved(void **state)
{
	unsigned int number;

	(void)state;
	all_valid = false;
	nr_used = 0;
	assert_int_equal(look(7, &number), -EHOSTUNREACH);
	assert_int_equal(nr_used, 1);			/* resolution was asked for */
	assert_int_equal(turn(NULL, 0), 0);
	all_valid = true;
}

/* An entry that somebody else keeps is not used: that would make it one like any other. */
static void kept_by_others(void **state)
{
	struct nl_neigh n = { .ifindex = 3, .family = 2, .state = NUD_REACHABLE };
	unsigned int number, host = 300;

	(void)state;
	all_kept = true;
	assert_int_equal(look(host, &number), 0);
	assert_int_equal(turn(&number, 1), 0);
	memcpy(n.addr, &host, sizeof(host));
	memcpy(n.mac, &host, sizeof(host));
	assert_false(neigh_update(&net, &n, false));	/* not any more */
	assert_int_equal(turn(&number, 1), 1);
	n.kept = true;
	assert_false(neigh_update(&net, &n, false));
	assert_int_equal(turn(&number, 1), 0);
	assert_false(neigh_update(&net, &n, true));	/* taken away */
	assert_int_equal(turn(&number, 1), 1);
	all_valid = false;
	nr_used = 0;
	assert_int_equal(look(host + 1, &number), -EHOSTUNREACH);
	assert_int_equal(nr_used, 0);
	all_valid = true;
	all_kept = false;
	neigh_forget(NULL);
}

/* More next hops than are kept: every lookup asks the kernel, and what was dropped makes room. */
static void full(void **state)
{
	unsigned int i, number, first, got;

	(void)state;
	assert_int_equal(look(1000, &first), 0);
	for (i = 1; i < 8192; i++) {
		assert_int_equal(look(1000 + i, &number), 0);
		assert_true(number);
	}
	got = nr_got;
	assert_int_equal(look(10000, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(look(10000, &number), 0);
	assert_int_equal(nr_got, got + 2);
	neigh_in_use(number);				/* names none */
	for (i = 0; i < 4; i++)
		turn(&first, 1);
	assert_int_equal(nr_used, 1);
	assert_int_equal(look(10000, &number), 0);
	assert_true(number);
	neigh_forget(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_and_dropped),
		cmocka_unit_test(unresolved),
		cmocka_unit_test(kept_by_others),
		cmocka_unit_test(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
