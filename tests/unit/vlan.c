/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VLAN devices over attached interfaces, whatever the order in which they come and go. rtnetlink, the interfaces and the
 * engines' map are played here. */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include "daemon/engine.h"
#include "daemon/net.h"
#include "daemon/vlan.h"
#include "tests/unit/test.h"

#define COOKIE	99
#define ETH0	2

struct engine engine;
static struct net net = { .number = 3, .cookie = COOKIE };
static struct nic eth0, other;
static bool attached;
static struct { struct toe_netdev key; struct toe_netval val; } map[16];
static unsigned int nr_map, nr_events;
static struct nl_link listed[8];
static unsigned int nr_listed;

struct nic *nic_by_ifindex(unsigned int number, int ifindex)
{
	if (number == net.number && attached && ifindex == eth0.ifindex)
		return &eth0;
	return number == net.number && other.id && ifindex == other.ifindex ? &other : NULL;
}

void nic_changed(unsigned int number, int ifindex, enum nic_event event)
{
	assert_int_equal(number, net.number);
	assert_int_equal(event, NIC_EV_ROUTE);
	nr_events += ifindex == ETH0;
}

bool nl_link_up(const struct nl_link *link)
{
	return link->flags & IFF_UP;
}

int nl_links(struct mnl_socket *nl, void (*each)(const struct nl_link *link, void *arg), void *arg)
{
	(void)nl;
	for (unsigned int i = 0; i < nr_listed; i++)
		each(&listed[i], arg);
	return 0;
}

static int at(const void *key)
{
	for (unsigned int i = 0; i < nr_map; i++)
		if (!memcmp(&map[i].key, key, sizeof(map[i].key)))
			return (int)i;
	return -1;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	int i = at(key);

	(void)fd;
	(void)flags;
	if (i < 0)
		i = (int)nr_map++;
	memcpy(&map[i].key, key, sizeof(map[i].key));
	memcpy(&map[i].val, value, sizeof(map[i].val));
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	int i = at(key);

	(void)fd;
	if (i < 0)
		return -1;
	map[i] = map[--nr_map];
	return 0;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	int i = at(key);

	(void)fd;
	if (i >= 0)
		memcpy(value, &map[i].val, sizeof(map[i].val));
	return i < 0 ? -1 : 0;
}

int bpf_map_get_next_key(int fd, const void *prev, void *next)
{
	unsigned int i = prev ? (unsigned int)at(prev) + 1 : 0;

	(void)fd;
	if (i >= nr_map)
		return -1;
	memcpy(next, &map[i].key, sizeof(map[i].key));
	return 0;
}

/* ---- */

static uint32_t known(int ifindex)	/* tags, by the map; ~0: not there */
{
	struct toe_netdev key = { .netns_cookie = COOKIE, .ifindex = (__u32)ifindex };
	int i = at(&key);

	if (i < 0)
		return ~0U;
	assert_int_equal(map[i].val.net, net.number);
	assert_int_equal(map[i].val.nic, 7);
	return map[i].val.vlan;
}

static struct nl_link dev(int ifindex, int lower, uint32_t vlan)
{
	return (struct nl_link){ .ifindex = ifindex, .lower = lower, .vlan = vlan, .flags = IFF_UP, .mtu = 1400,
				 .mac = { 2, 0, 0, 0, 0, (uint8_t)ifindex } };
}

static void add(int ifindex, int lower, uint32_t vlan)
{
	struct nl_link l = dev(ifindex, lower, vlan);

	vlan_heard(&net, &l, false);
}

static void del(int ifindex)
{
	struct nl_link l = dev(ifindex, 0, 0);

	vlan_heard(&net, &l, true);
}

static int start(void **state)
{
	(void)state;
	vlan_forget(&net);
	eth0 = (struct nic){ .id = 7, .net = 3, .ifindex = ETH0, .mtu = 1500, .up = true };
	other = (struct nic){ 0 };
	attached = true;
	nr_map = nr_events = nr_listed = 0;
	return 0;
}

static void one_and_two(void **state)
{
	struct nic_path p;

	(void)state;
	add(10, ETH0, 5);
	add(11, 10, 7);
	add(12, 11, 8);			/* three are too many */
	assert_int_equal(known(10), 5);
	assert_int_equal(known(11), 5 << 13 | 7);
	assert_int_equal(known(12), ~0U);
	assert_int_equal(vlan_path(&net, 11, &p), 0);
	assert_ptr_equal(p.nic, &eth0);
	assert_int_equal(p.vlan, 5 << 13 | 7);
	assert_int_equal(p.mtu, 1400);
	assert_int_equal(p.src_mac[5], 11);
	assert_int_equal(vlan_path(&net, 12, &p), -ENETUNREACH);
	assert_int_equal(vlan_base(&net, 11), ETH0);
	assert_int_equal(vlan_base(&net, 44), 44);
	assert_int_equal(vlan_ifindex(&eth0, 5 << 13 | 7), 11);
	assert_int_equal(vlan_ifindex(&eth0, 7), 0);
}

static void any_order(void **state)
{
	(void)state;
	add(11, 10, 7);
	assert_int_equal(nr_map, 0);
	add(10, ETH0, 5);
	assert_int_equal(known(11), 5 << 13 | 7);
	del(10);
	assert_int_equal(nr_map, 0);
	add(10, ETH0, 6);
	assert_int_equal(known(11), 6 << 13 | 7);
	attached = false;
	vlan_sync(&net);
	assert_int_equal(nr_map, 0);
	attached = true;
	vlan_sync(&net);
	assert_int_equal(nr_map, 2);
	add(11, 0, 0);			/* its number is another kind of device's now */
	assert_int_equal(nr_map, 1);
}

/* Only what matters makes somebody look at the routes again. */
static void events(void **state)
{
	struct nl_link l = dev(10, ETH0, 5);

	(void)state;
	vlan_heard(&net, &l, false);
	vlan_heard(&net, &l, false);
	l.flags |= IFF_RUNNING;
	vlan_heard(&net, &l, false);
	assert_int_equal(nr_events, 0);
	l.mtu = 1300;
	vlan_heard(&net, &l, false);
	assert_int_equal(nr_events, 1);
	l.mac[3] = 9;
	vlan_heard(&net, &l, false);
	l.flags = 0;
	vlan_heard(&net, &l, false);
	assert_int_equal(nr_events, 3);
	vlan_heard(&net, &l, true);
	assert_int_equal(nr_events, 4);
	del(10);
	assert_int_equal(nr_events, 4);
}

static void refused(void **state)
{
	struct nl_link l = dev(10, ETH0, 0x1005);
	struct nic_path p;

	(void)state;
	add(9, ETH0, 5);
	l.flags = 0;
	vlan_heard(&net, &l, false);
	assert_int_equal(vlan_path(&net, 10, &p), -ENETUNREACH);
	add(10, ETH0, 0x1005);
	assert_int_equal(vlan_path(&net, 10, &p), 0);
	eth0.up = false;
	assert_int_equal(vlan_path(&net, 10, &p), -ENETUNREACH);
	eth0.up = true;
	eth0.strips = NIC_STRIPS_Q;
	assert_int_equal(vlan_path(&net, 10, &p), 0);
	assert_int_equal(vlan_path(&net, 9, &p), -EPROTONOSUPPORT);
	eth0.strips = NIC_STRIPS_AD;
	assert_int_equal(vlan_path(&net, 9, &p), 0);
	assert_int_equal(vlan_path(&net, 10, &p), -EPROTONOSUPPORT);
}

/* What leaves is at most 4 bytes longer than a frame without tags, and never longer than the engines take. */
static void room(void **state)
{
	static const struct { unsigned int nic, dev, one, two; } cases[] = {
		{ 1500, 1500, 1500, 1496 }, { 1500, 1496, 1496, 1496 }, { 1504, 1500, 1500, 1500 },
		{ NIC_MAX_MTU, NIC_MAX_MTU, NIC_MAX_MTU - 4, NIC_MAX_MTU - 8 },
	};
	struct nic_path p;

	(void)state;
	for (size_t i = 0; i < NR(cases); i++) {
		struct nl_link a = dev(10, ETH0, 5), b = dev(11, 10, 7);

		eth0.mtu = cases[i].nic;
		a.mtu = b.mtu = cases[i].dev;
		vlan_heard(&net, &a, false);
		vlan_heard(&net, &b, false);
		assert_int_equal(vlan_path(&net, 10, &p), 0);
		assert_int_equal(p.mtu, cases[i].one);
		assert_int_equal(vlan_path(&net, 11, &p), 0);
		assert_int_equal(p.mtu, cases[i].two);
	}
}

/* A device that is attached itself (generic XDP) has an entry of its own. */
static void attached_itself(void **state)
{
	struct toe_netdev key = { .netns_cookie = COOKIE, .ifindex = 10 };
	struct toe_netval own = { .net = 3, .nic = 8 };

	(void)state;
	add(10, ETH0, 5);
	other = (struct nic){ .id = 8, .ifindex = 10 };
	bpf_map_update_elem(0, &key, &own, 0);
	vlan_sync(&net);
	assert_memory_equal(&map[at(&key)].val, &own, sizeof(own));
	del(10);
	assert_memory_equal(&map[at(&key)].val, &own, sizeof(own));
}

/* After a start: what is listed is there, what a toed before this one knew and is not, goes. */
static void found(void **state)
{
	struct toe_netdev key = { .netns_cookie = COOKIE, .ifindex = 10 };
	struct toe_netval val = { .net = 3, .nic = 7, .vlan = 4 };

	(void)state;
	bpf_map_update_elem(0, &key, &val, 0);		/* another one now */
	key.ifindex = 20;
	bpf_map_update_elem(0, &key, &val, 0);		/* gone */
	key.ifindex = ETH0;
	val.vlan = 0;
	bpf_map_update_elem(0, &key, &val, 0);		/* the interface itself */
	add(21, ETH0, 9);				/* heard once, and gone */
	listed[0] = dev(10, ETH0, 5);
	listed[1] = dev(30, 0, 0);
	nr_listed = 2;
	vlan_scan(&net);
	vlan_purge(&net, &eth0);
	assert_int_equal(nr_map, 2);
	assert_int_equal(known(10), 5);
	assert_int_equal(known(ETH0), 0);
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_and_two), CASE(any_order), CASE(events), CASE(refused), CASE(room), CASE(attached_itself), CASE(found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
