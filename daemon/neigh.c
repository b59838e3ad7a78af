/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "neigh.h"
#include "net.h"

#define NEIGH_MAX	8192	/* beyond this, every lookup asks the kernel */
#define TURNS		2	/* of neigh_use_all(): the second one without use ends a hop */

struct neigh_key {
	uint32_t net;
	int32_t ifindex;
	uint32_t family;
	uint8_t addr[16];
};

struct neigh {
	struct neigh_key key;
	struct net *net;
	struct nl_neigh n;
	unsigned int number;	/* in numbered[] */
	unsigned int turns;	/* left to live */
	UT_hash_handle hh;
};

static struct neigh *hops;
static struct neigh *numbered[NEIGH_MAX + 1];	/* 0: none */

static struct neigh_key key_of(const struct net *net, const struct nl_neigh *n)
{
	struct neigh_key key = { .net = net->number, .ifindex = n->ifindex, .family = n->family };

	memcpy(key.addr, n->addr, sizeof(key.addr));
	return key;
}

static struct neigh *find(const struct net *net, const struct nl_neigh *n)
{
	struct neigh_key key = key_of(net, n);
	struct neigh *e;

	HASH_FIND(hh, hops, &key, sizeof(key), e);
	return e;
}

static unsigned int free_number(void)
{
	static unsigned int last;
	unsigned int i;

	for (i = 0; i < NEIGH_MAX; i++) {
		last = last % NEIGH_MAX + 1;
		if (!numbered[last])
			return last;
	}
	return 0;
}

static struct neigh *remember(struct net *net, const struct nl_neigh *n)
{
	unsigned int number = free_number();
	struct neigh *e = number ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return NULL;
	e->key = key_of(net, n);
	e->net = net;
	e->n = *n;
	e->number = number;
	numbered[number] = e;
	HASH_ADD(hh, hops, key, sizeof(e->key), e);
	return e;
}

static void drop(struct neigh *e)
{
	numbered[e->number] = NULL;
	HASH_DEL(hops, e);
	free(e);
}

static void used(struct neigh *e, unsigned int *number)
{
	*number = e ? e->number : 0;
	if (e)
		e->turns = TURNS;
}

int neigh_lookup(struct net *net, const struct nl_hop *hop, uint8_t mac[6], unsigned int *number)
{
	struct nl_neigh n = { .ifindex = hop->ifindex, .family = hop->family };
	struct neigh *e;

	memcpy(n.addr, hop->addr, sizeof(n.addr));
	e = find(net, &n);
	if (e && nl_neigh_valid(&e->n)) {
		used(e, number);
		memcpy(mac, e->n.mac, 6);
		return 0;
	}
	if (nl_neigh_get(net->ask, &n) || !nl_neigh_valid(&n)) {
		if (!n.kept)
			nl_neigh_use(net->ask, &n);
		/* a device without link addresses answers at once */
		if (nl_neigh_get(net->ask, &n) || !nl_neigh_valid(&n))
			return -EHOSTUNREACH;
	}
	if (e)
		e->n = n;
	else
		e = remember(net, &n);
	used(e, number);
	memcpy(mac, n.mac, 6);
	return 0;
}

/* The kernel forgets idle neighbours: that alone says nothing about the address we have. */
bool neigh_update(struct net *net, const struct nl_neigh *n, bool deleted)
{
	struct neigh *e = find(net, n);
	bool failed = n->state & NUD_FAILED;

	if (e && deleted)
		e->n.kept = false;
	if (!e || deleted || (!nl_neigh_valid(n) && !failed))
		return false;
	e->n.state = n->state;
	e->n.kept = n->kept;
	if (failed)
		return true;
	if (!memcmp(e->n.mac, n->mac, 6))
		return false;
	memcpy(e->n.mac, n->mac, 6);
	return true;
}

void neigh_in_use(unsigned int number)
{
	if (number <= NEIGH_MAX && numbered[number])
		numbered[number]->turns = TURNS;
}

void neigh_use_all(void)
{
	struct neigh *e, *tmp;

	HASH_ITER(hh, hops, e, tmp) {
		if (!e->turns--)
			drop(e);
		else if (!e->n.kept)
			nl_neigh_use(e->net->ask, &e->n);
	}
}

void neigh_forget(struct net *net)
{
	struct neigh *e, *tmp;

	HASH_ITER(hh, hops, e, tmp) {
		if (net && e->net != net)
			continue;
		drop(e);
	}
}
