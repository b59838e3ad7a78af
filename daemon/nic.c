/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf.h"
#include "conn.h"
#include "engine.h"
#include "log.h"
#include "loop.h"
#include "neigh.h"
#include "net.h"
#include "netns.h"
#include "nic.h"
#include "nic_dev.h"
#include "nic_xdp.h"
#include "nl.h"
#include "train.h"
#include "vlan.h"

#define EVENT_DELAY_US	2000	/* several changes at once are told as one */
#define ROUTE_DELAY_US	50000	/* routing daemons change many routes in a row */

static struct nic *nics[TOE_MAX_NICS];
static sd_event_source *tell_source;
static uint64_t lost;	/* numbers of NICs that a toed before this one had: entries may still name them */

static void nic_event(struct nic *nic, enum nic_event event);

struct nic *nic_get(unsigned int id)
{
	return id < TOE_MAX_NICS ? nics[id] : NULL;
}

int nic_ifindex(unsigned int id, uint32_t vlan)
{
	const struct nic *nic = nic_get(id);

	return !nic ? 0 : vlan ? vlan_ifindex(nic, vlan) : nic->ifindex;
}

struct nic *nic_next(struct nic *prev)
{
	unsigned int id = prev ? prev->id + 1 : 1;

	while (id < TOE_MAX_NICS && !nics[id])
		id++;
	return nic_get(id);
}

struct nic *nic_by_ifindex(unsigned int net, int ifindex)
{
	struct nic *nic;

	for (nic = nic_next(NULL); nic; nic = nic_next(nic))
		if (nic->net == net && nic->ifindex == ifindex)
			break;
	return nic;
}

int nic_enter(const struct nic *nic)
{
	return netns_enter(nic->netns_fd);
}

void nic_leave(void)
{
	netns_leave();
}

static int device_check(struct nic *nic, char *err, size_t err_len)
{
	int ret = nic_dev_read(nic);

	if (ret == -ENODEV) {
		nic_say(err, err_len, "%s: no such interface in this network namespace", nic->name);
	} else if (ret == -EAFNOSUPPORT) {
		nic_say(err, err_len, "%s: not an Ethernet interface", nic->name);
	} else if (ret) {
		nic_say(err, err_len, "%s: %s", nic->name, strerror(-ret));
	} else if (nic->mtu > NIC_MAX_MTU) {
		nic_say(err, err_len, "%s: MTU %u is more than the engines take; "
			"ip link set dev %s mtu %u or less", nic->name, nic->mtu, nic->name, NIC_MAX_MTU);
		ret = -EMSGSIZE;
	} else if (nic_by_ifindex(nic->net, nic->ifindex)) {
		nic_say(err, err_len, "%s: already attached", nic->name);
		ret = -EEXIST;
	}
	return ret;
}

/* ---- what the engines know ---- */

/* In the NIC's namespace. Without trains every segment is a frame of its own: a NIC in generic mode has no other
 * way. */
static void enter_trains(struct nic *nic)
{
	int err = train_enter(nic->id, nic->ifindex);

	if (!err)
		nic->flags |= TOE_NIC_TRAINS;
	else
		log_warn("%s: no trains of segments: %s", nic->name, strerror(-err));
}

/* In the NIC's namespace: a devmap entry names a device of the caller's. nets last, it lets
 * sockops make entries. */
static int enter_maps(const struct nic *nic)
{
	struct toe_nic val = {
		.ifindex = (__u32)nic->ifindex, .net = (__u16)nic->net, .flags = nic->flags,
	};
	struct bpf_devmap_val reply = {
		.ifindex = (__u32)nic->ifindex, .bpf_prog.fd = nic->flags & TOE_NIC_TRAINS ? engine.train_prog : 0,
	};
	struct toe_netdev dev = { .netns_cookie = nic->in->cookie, .ifindex = (__u32)nic->ifindex };
	struct toe_netval where = { .net = (__u16)nic->net, .nic = (__u16)nic->id };
	__u32 key = nic->id, ifindex = (__u32)nic->ifindex;

	if (bpf_map_update_elem(engine.nics, &key, &val, BPF_ANY) ||
	    bpf_map_update_elem(engine.nic_dev, &key, &ifindex, BPF_ANY) ||
	    bpf_map_update_elem(engine.nic_reply, &key, &reply, BPF_ANY) ||
	    bpf_map_update_elem(engine.nets, &dev, &where, BPF_ANY))
		return -errno;
	return 0;
}

static void leave_maps(const struct nic *nic)
{
	struct toe_netdev dev = { .netns_cookie = nic->in->cookie, .ifindex = (__u32)nic->ifindex };
	struct toe_nic none = { 0 };
	__u32 key = nic->id;

	bpf_map_delete_elem(engine.nets, &dev);
	bpf_map_delete_elem(engine.nic_dev, &key);
	bpf_map_delete_elem(engine.nic_reply, &key);
	train_leave(nic->id);
	bpf_map_update_elem(engine.nics, &key, &none, BPF_ANY);
}

/* ---- attach and detach ---- */

/* A toed that comes after a crash finds the namespace here. */
static void keep_path(const struct nic *nic, char *out, size_t len)
{
	snprintf(out, len, "%s/nic-%u", conf.rundir, nic->id);
}

static struct nic *nic_new(const char *dev, unsigned int id)
{
	struct nic *nic = calloc(1, sizeof(*nic));

	if (!nic)
		return NULL;
	nic->id = id;
	snprintf(nic->name, sizeof(nic->name), "%s", dev);
	nic->rx_prog = nic->replay_prog = -1;
	return nic;
}

static void nic_set_net(struct nic *nic, struct net *net)
{
	nic->in = net;
	nic->net = net->number;
	nic->netns_fd = net->fd;
}

static int attach_here(struct nic *nic, char *err, size_t err_len)
{
	int ret;

	if (!nic->generic)
		enter_trains(nic);
	ret = nic_xdp_attach(nic, err, err_len);
	if (ret) {
		train_leave(nic->id);
		return ret;
	}
	ret = enter_maps(nic);
	if (!ret)
		return 0;
	nic_say(err, err_len, "%s: cannot tell the engines: %s", nic->name, strerror(-ret));
	leave_maps(nic);
	nic_xdp_detach(nic);
	return ret;
}

static unsigned int free_id(void)
{
	unsigned int id = 1;

	while (id < TOE_MAX_NICS && (nics[id] || lost >> id & 1))
		id++;
	return id;
}

static int attach_in(struct nic *nic, char *err, size_t err_len)
{
	char path[128];
	int ret = nic_enter(nic);

	if (ret) {
		nic_say(err, err_len, "cannot enter the network namespace: %s", strerror(-ret));
		return ret;
	}
	ret = device_check(nic, err, err_len);
	if (!ret)
		ret = attach_here(nic, err, err_len);
	nic_leave();
	if (ret)
		return ret;
	keep_path(nic, path, sizeof(path));
	if (netns_keep(nic->netns_fd, path))
		log_warn("%s: cannot keep its namespace at %s; a crash of toed would lose it", nic->name, path);
	return 0;
}

int nic_attach(int netns_fd, const char *dev, bool generic, char *err, size_t err_len)
{
	unsigned int id = free_id();
	struct net *net;
	struct nic *nic;
	int ret;

	if (id == TOE_MAX_NICS || strlen(dev) >= IFNAMSIZ) {
		nic_say(err, err_len, "%.*s: %s", IFNAMSIZ, dev, id == TOE_MAX_NICS ?
			"too many interfaces" : "no such interface");
		return id == TOE_MAX_NICS ? -ENOSPC : -ENODEV;
	}
	ret = net_get(netns_fd, 0, &net);
	if (ret) {
		nic_say(err, err_len, "not a network namespace: %s", strerror(-ret));
		return ret;
	}
	nic = nic_new(dev, id);
	if (!nic) {
		net_put(net);
		return -ENOMEM;
	}
	nic_set_net(nic, net);
	nic->generic = generic;
	ret = attach_in(nic, err, err_len);
	if (ret) {
		nic_xdp_close(nic);
		net_put(net);
		free(nic);
		return ret;
	}
	nics[id] = nic;
	vlan_scan(net);
	log_info("%s: attached%s, ifindex %d, namespace %u", nic->name, generic ? " in generic mode" : "",
		 nic->ifindex, nic->net);
	return 0;
}

static void nic_drop(struct nic *nic, bool detach)
{
	char path[128];

	if (detach && !nic_enter(nic)) {
		nic_xdp_detach(nic);
		nic_leave();
	}
	leave_maps(nic);
	nic_xdp_close(nic);
	keep_path(nic, path, sizeof(path));
	netns_unkeep(path);
	nics[nic->id] = NULL;
	vlan_sync(nic->in);
	log_info("%s: detached", nic->name);
	net_put(nic->in);
	free(nic);
}

int nic_detach(int netns_fd, const char *dev, char *err, size_t err_len)
{
	uint64_t cookie = 0;
	struct nic *nic;
	int ret = netns_cookie(netns_fd, &cookie);

	for (nic = ret ? NULL : nic_next(NULL); nic; nic = nic_next(nic))
		if (nic->in->cookie == cookie && !strcmp(nic->name, dev))
			break;
	if (!nic) {
		nic_say(err, err_len, "%.*s: not attached", IFNAMSIZ, dev);
		return -ENOENT;
	}
	conn_upload_all(nic->id, TOE_WHY_DETACH);
	nic_drop(nic, true);
	return 0;
}

/* ---- after a crash ---- */

static int nets_number(unsigned int nic_id, unsigned int *number)
{
	struct toe_netdev key, *prev = NULL;
	struct toe_netval val;

	while (!bpf_map_get_next_key(engine.nets, prev, &key)) {
		if (!bpf_map_lookup_elem(engine.nets, &key, &val) && val.nic == nic_id) {
			*number = val.net;
			return 0;
		}
		prev = &key;
	}
	return -ENOENT;
}

static int adopt_in(struct nic *nic, const struct toe_nic *was)
{
	int ret = nic_enter(nic);

	if (ret)
		return ret;
	if (if_indextoname(was->ifindex, nic->name))
		ret = nic_dev_read(nic);
	else
		ret = -ENODEV;
	if (!ret)
		ret = nic_xdp_adopt(nic);
	if (!ret && (was->flags & TOE_NIC_TRAINS)) {
		enter_trains(nic);
		nic->flags |= TOE_NIC_TRAINS;	/* the RX program that runs there was told so: it writes notes */
	}
	if (!ret)
		ret = enter_maps(nic);
	nic_leave();
	return ret;
}

static int adopt(struct nic *nic, const struct toe_nic *was, int fd)
{
	unsigned int number;
	struct net *net;
	int ret = nets_number(nic->id, &number);

	if (!ret)
		ret = net_get(fd, number, &net);
	if (ret)
		return ret;
	nic_set_net(nic, net);
	ret = adopt_in(nic, was);
	if (ret) {
		leave_maps(nic);
		net_put(net);
		return ret;
	}
	nic->adopted = true;
	nics[nic->id] = nic;
	vlan_scan(net);
	vlan_purge(net, nic);
	nic_event(nic, NIC_EV_ROUTE);	/* whatever changed while nobody looked, and the neighbours in use */
	log_info("%s: found attached, ifindex %d, namespace %u", nic->name, nic->ifindex, nic->net);
	return 0;
}

static void adopt_id(unsigned int id, const struct toe_nic *was)
{
	struct toe_nic none = { 0 };
	struct nic *nic = nic_new("?", id);
	char path[128];
	int fd, ret;

	if (!nic)
		return;
	keep_path(nic, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 ? -errno : adopt(nic, was, fd);
	if (fd >= 0)
		close(fd);
	if (!ret)
		return;
	log_warn("NIC %u (ifindex %u) of a toed before this one is gone", id, was->ifindex);
	lost |= 1ULL << id;
	nic_xdp_close(nic);
	netns_unkeep(path);
	bpf_map_update_elem(engine.nics, &id, &none, BPF_ANY);
	free(nic);
}

void nic_adopt_all(void)
{
	struct toe_nic was;
	__u32 id;

	for (id = 1; id < TOE_MAX_NICS; id++)
		if (!bpf_map_lookup_elem(engine.nics, &id, &was) && was.ifindex)
			adopt_id(id, &was);
}

/* ---- routes ---- */

static int path_by(const struct net *net, int ifindex, struct nic_path *out)
{
	out->nic = nic_by_ifindex(net->number, ifindex);
	if (!out->nic)
		return vlan_path(net, ifindex, out);
	if (!out->nic->up || out->nic->mtu > NIC_MAX_MTU)
		return -ENETUNREACH;
	out->vlan = 0;
	out->mtu = out->nic->mtu;
	memcpy(out->src_mac, out->nic->mac, 6);
	return 0;
}

int nic_route(const struct toe_flow *flow, int oif, struct nic_path *out)
{
	struct net *net = net_by_number(flow->net);
	struct nl_hop hop;
	int err;

	if (!net || nl_route(net->ask, flow, oif, &hop))
		return -ENETUNREACH;
	err = path_by(net, hop.ifindex, out);
	if (err)
		return err;
	if (hop.mtu && hop.mtu < out->mtu)
		out->mtu = hop.mtu;
	return neigh_lookup(net, &hop, out->dst_mac, &out->hop);
}

/* ---- changes ---- */

/*
 * The events, with a look at the device. A notification may be older than the attachment: one of a device that has just been
 * made says "no program". Which features there are none says.
 */
static uint32_t looked(struct nic *nic)
{
	uint32_t pending = nic->pending;

	nic->pending = 0;
	if (!(pending & (1U << NIC_EV_XDP | 1U << NIC_EV_LINK)) || nic_enter(nic))
		return pending;
	if (pending >> NIC_EV_XDP & 1 && nic_xdp_attached(nic))
		pending &= ~(1U << NIC_EV_XDP);
	if (nic_dev_strips(nic))
		pending |= 1U << NIC_EV_ROUTE;
	nic_leave();
	return pending;
}

static int tell(sd_event_source *source, uint64_t usec, void *arg)
{
	struct nic *nic, *next;
	int ev;

	(void)source;
	(void)usec;
	(void)arg;
	for (nic = nic_next(NULL); nic; nic = next) {
		uint32_t pending = looked(nic);

		next = nic_next(nic);
		for (ev = NIC_EV_NEIGH; ev <= NIC_EV_XDP; ev++)
			if (pending >> ev & 1)
				conn_link_event(nic->id, ev);
		if (pending & (1U << NIC_EV_GONE | 1U << NIC_EV_XDP))
			nic_drop(nic, false);
	}
	return 0;
}

static void nic_event(struct nic *nic, enum nic_event event)
{
	uint64_t at = loop_now_us() + (event == NIC_EV_ROUTE ? ROUTE_DELAY_US : EVENT_DELAY_US), set;
	int enabled = SD_EVENT_OFF;

	nic->pending |= 1U << event;
	sd_event_source_get_enabled(tell_source, &enabled);
	if (enabled == SD_EVENT_ONESHOT && !sd_event_source_get_time(tell_source, &set) && set <= at)
		return;
	sd_event_source_set_time(tell_source, at);
	sd_event_source_set_enabled(tell_source, SD_EVENT_ONESHOT);
}

void nic_changed(unsigned int net, int ifindex, enum nic_event event)
{
	struct nic *nic;

	for (nic = nic_next(NULL); nic; nic = nic_next(nic))
		if (nic->net == net && (!ifindex || nic->ifindex == ifindex))
			nic_event(nic, event);
}

void nic_link_changed(unsigned int net, const struct nl_link *link, bool gone)
{
	struct nic *nic = nic_by_ifindex(net, link->ifindex);
	bool up = nl_link_up(link);

	if (!nic)
		return;
	nic_event(nic, NIC_EV_LINK);
	if (gone)
		nic_event(nic, NIC_EV_GONE);
	if (nic->up && !up)
		nic_event(nic, NIC_EV_DOWN);
	if (link->mtu && link->mtu != nic->mtu)
		nic_event(nic, NIC_EV_MTU);
	if (memcmp(link->mac, nic->mac, 6))
		nic_event(nic, NIC_EV_NEIGH);
	if (link->has_xdp && link->xdp_id != nic->xdp_id)
		nic_event(nic, NIC_EV_XDP);
	nic->up = up;
	if (link->mtu)
		nic->mtu = link->mtu;
	memcpy(nic->mac, link->mac, 6);
}

/* After lost notifications: compare with what the device says now. */
void nic_refresh(unsigned int net)
{
	struct nic *nic;

	for (nic = nic_next(NULL); nic; nic = nic_next(nic)) {
		unsigned int mtu = nic->mtu;
		bool up = nic->up;
		int ret;

		if (nic->net != net || nic_enter(nic))
			continue;
		ret = nic_dev_read(nic);
		nic_leave();
		nic_event(nic, NIC_EV_NEIGH);
		if (ret)
			nic_event(nic, NIC_EV_GONE);
		if (up && !nic->up)
			nic_event(nic, NIC_EV_DOWN);
		if (mtu != nic->mtu)
			nic_event(nic, NIC_EV_MTU);
	}
}

int nic_init(void)
{
	int err = sd_event_add_time(loop, &tell_source, CLOCK_MONOTONIC, 0, 0, tell, NULL);

	return err < 0 ? err : sd_event_source_set_enabled(tell_source, SD_EVENT_OFF);
}

void nic_exit(void)
{
	struct nic *nic, *next;

	for (nic = nic_next(NULL); nic; nic = next) {
		next = nic_next(nic);
		nic_drop(nic, true);
	}
	tell_source = sd_event_source_disable_unref(tell_source);
}
