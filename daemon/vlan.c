/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "engine.h"
#include "log.h"
#include "net.h"
#include "vlan.h"

#define SCANS		3	/* the kernel says when devices came or went meanwhile */

struct vlan_key {
	uint32_t net;
	int32_t ifindex;
};

struct vlan_dev {
	struct vlan_key key;
	struct nl_link link;		/* as heard last */
	struct toe_netval known;	/* what nets says of it; nic 0: nothing */
	bool seen;			/* in a scan */
	UT_hash_handle hh;
};

static struct vlan_dev *devs;

static struct vlan_dev *find(unsigned int net, int ifindex)
{
	struct vlan_key key = { .net = net, .ifindex = ifindex };
	struct vlan_dev *d;

	HASH_FIND(hh, devs, &key, sizeof(key), d);
	return d;
}

/* Down to an attached interface: the tags of the way, the top device's innermost. */
static struct nic *below(unsigned int net, const struct vlan_dev *d, uint32_t *vlan, bool *up)
{
	struct nic *nic = NULL;

	*vlan = 0;
	*up = true;
	for (unsigned int n = 0; d && !nic && n < TOE_MAX_VLANS; n++) {
		*vlan |= d->link.vlan << n * TOE_VLAN_BITS;
		*up &= nl_link_up(&d->link);
		nic = nic_by_ifindex(net, d->link.lower);
		d = find(net, d->link.lower);
	}
	return nic;
}

/* ---- what the engines know ---- */

static void tell(const struct net *net, struct vlan_dev *d)
{
	struct toe_netdev key = { .netns_cookie = net->cookie, .ifindex = (__u32)d->key.ifindex };
	struct toe_netval val = { .net = (__u16)net->number };
	bool up, attached = nic_by_ifindex(net->number, d->key.ifindex);	/* itself: its own entry */
	uint32_t vlan;
	struct nic *nic = attached ? NULL : below(net->number, d, &vlan, &up);

	val.nic = nic ? (__u16)nic->id : 0;
	val.vlan = nic ? vlan : 0;
	if (!memcmp(&val, &d->known, sizeof(val)) || (!val.nic && !d->known.nic))
		return;
	if (!nic && !attached)
		bpf_map_delete_elem(engine.nets, &key);
	else if (nic && bpf_map_update_elem(engine.nets, &key, &val, BPF_ANY))
		log_warn("%s: connections over VLAN device %d stay in the kernel: %s", nic->name, d->key.ifindex,
			 strerror(errno));
	d->known = val;
}

void vlan_sync(struct net *net)
{
	struct vlan_dev *d, *tmp;

	HASH_ITER(hh, devs, d, tmp)
		if (d->key.net == net->number)
			tell(net, d);
}

void vlan_purge(const struct net *net, const struct nic *nic)
{
	struct toe_netdev key, *prev = NULL, last;
	struct toe_netval val;

	while (!bpf_map_get_next_key(engine.nets, prev, &key)) {
		struct vlan_dev *d = find(net->number, (int)key.ifindex);
		bool stale = !bpf_map_lookup_elem(engine.nets, &key, &val) && val.nic == nic->id && val.vlan &&
			     key.netns_cookie == net->cookie && (!d || memcmp(&val, &d->known, sizeof(val)));

		if (stale && !bpf_map_delete_elem(engine.nets, &key)) {
			prev = NULL;		/* the walk begins anew */
			continue;
		}
		last = key;
		prev = &last;
	}
}

/* ---- what rtnetlink tells ---- */

static void drop(struct net *net, struct vlan_dev *d)
{
	d->link.lower = 0;
	tell(net, d);
	HASH_DEL(devs, d);
	free(d);
}

static struct vlan_dev *make(struct net *net, int ifindex)
{
	struct vlan_dev *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->key = (struct vlan_key){ .net = net->number, .ifindex = ifindex };
	HASH_ADD(hh, devs, key, sizeof(d->key), d);
	return d;
}

/* Does it matter to connections over the device? A carrier that is lost loses frames, as the kernel's. */
static bool differs(const struct nl_link *a, const struct nl_link *b)
{
	return ((a->flags ^ b->flags) & IFF_UP) || a->mtu != b->mtu || memcmp(a->mac, b->mac, 6) ||
	       a->lower != b->lower || a->vlan != b->vlan;
}

static void hear(struct net *net, const struct nl_link *link, bool gone)
{
	struct vlan_dev *d = find(net->number, link->ifindex);
	bool is_one = link->lower && !gone, changed = d && (!is_one || differs(&d->link, link));

	if (!d && !is_one)
		return;
	if (changed)		/* where the kernel sends next, a look at the routes tells */
		nic_changed(net->number, vlan_base(net, link->ifindex), NIC_EV_ROUTE);
	if (!is_one) {
		drop(net, d);
		return;
	}
	if (!d)
		d = make(net, link->ifindex);
	if (!d)
		return;
	d->link = *link;
	d->seen = true;
}

void vlan_heard(struct net *net, const struct nl_link *link, bool gone)
{
	if (!link->lower && !find(net->number, link->ifindex))
		return;
	hear(net, link, gone);
	vlan_sync(net);		/* one above it may have come first */
}

static void scanned(const struct nl_link *link, void *arg)
{
	hear(arg, link, false);
}

void vlan_scan(struct net *net)
{
	struct vlan_dev *d, *tmp;
	int tries = SCANS, err;

	HASH_ITER(hh, devs, d, tmp)
		if (d->key.net == net->number)
			d->seen = false;
	do {
		err = nl_links(net->ask, scanned, net);
	} while (err == -EINTR && --tries);
	if (err)
		log_warn("network namespace %u: VLAN devices: %s", net->number, strerror(-err));
	HASH_ITER(hh, devs, d, tmp)
		if (!err && d->key.net == net->number && !d->seen)
			hear(net, &d->link, true);
	vlan_sync(net);
}

void vlan_forget(struct net *net)
{
	struct vlan_dev *d, *tmp;

	HASH_ITER(hh, devs, d, tmp)
		if (d->key.net == net->number)
			drop(net, d);
}

/* ---- answers ---- */

/* Behind an interface's MTU the kernel's redirection allows for one tag. */
static unsigned int room(const struct nic *nic, uint32_t vlan)
{
	unsigned int tags = toe_vlan_len(vlan), wire = nic->mtu + TOE_VLAN_LEN;

	return (wire < NIC_MAX_MTU ? wire : NIC_MAX_MTU) - tags;
}

int vlan_path(const struct net *net, int ifindex, struct nic_path *out)
{
	const struct vlan_dev *d = find(net->number, ifindex);
	unsigned int most;
	bool up;

	out->nic = d ? below(net->number, d, &out->vlan, &up) : NULL;
	if (!out->nic || !up || !out->nic->up || out->nic->mtu > NIC_MAX_MTU)
		return -ENETUNREACH;
	if (out->nic->strips & (toe_vlan_outer(out->vlan) & TOE_VLAN_AD ? NIC_STRIPS_AD : NIC_STRIPS_Q))
		return -EPROTONOSUPPORT;
	most = room(out->nic, out->vlan);
	out->mtu = d->link.mtu < most ? d->link.mtu : most;
	memcpy(out->src_mac, d->link.mac, 6);
	return 0;
}

int vlan_base(const struct net *net, int ifindex)
{
	const struct vlan_dev *d = find(net->number, ifindex);
	struct nic *nic;
	uint32_t vlan;
	bool up;

	nic = d ? below(net->number, d, &vlan, &up) : NULL;
	return nic ? nic->ifindex : ifindex;
}

int vlan_ifindex(const struct nic *nic, uint32_t vlan)
{
	struct vlan_dev *d, *tmp;

	HASH_ITER(hh, devs, d, tmp)
		if (d->known.nic == nic->id && d->known.vlan == vlan)
			return d->key.ifindex;
	return 0;
}
