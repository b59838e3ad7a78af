/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attached interfaces, their network namespaces, routes and neighbours (rtnetlink). */
#ifndef NIC_H
#define NIC_H

#include <stdbool.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include "toe/hw_conn.h"
#include "toe/maps.h"

struct nic {
	unsigned int id;	/* index into nics, 1.. */
	unsigned int net;	/* number of its network namespace */
	int netns_fd;
	int ifindex;		/* inside that namespace */
	char name[IFNAMSIZ];
	unsigned char mac[6];
	unsigned int mtu;
	bool up;
	bool generic;
	int rx_prog;		/* toe_rx of this NIC */
	int replay_prog;	/* the same with replay = 1 */
	/* private to nic.c and nic_xdp.c */
	struct net *in;
	uint32_t xdp_id;	/* of what is attached: toe_rx or a dispatcher */
	uint32_t pending;	/* events to tell conn.c, bit per enum nic_event */
	uint8_t flags;		/* TOE_NIC_*, for the engines */
	uint8_t strips;		/* NIC_STRIPS_* */
	bool adopted;		/* attached by a toed before this one */
};

/* Takes the outermost VLAN tag off arriving frames, if it is one of 802.1Q, of 802.1ad: XDP does not see it. */
#define NIC_STRIPS_Q	1
#define NIC_STRIPS_AD	2

struct nic_path {		/* where frames of a flow leave */
	struct nic *nic;
	uint32_t vlan;		/* with these tags, toe/vlan.h */
	unsigned char src_mac[6], dst_mac[6];
	unsigned int mtu;
	unsigned int hop;	/* the next hop's number, neigh.h */
};

/* netns_fd: the namespace that DEV lives in (not consumed). generic: allow generic mode.
 * err (may be NULL): a message for the person who asked. */
int nic_attach(int netns_fd, const char *dev, bool generic, char *err, size_t err_len);
int nic_detach(int netns_fd, const char *dev, char *err, size_t err_len);
/* The device with these tags over it, or itself; 0: none. */
int nic_ifindex(unsigned int id, uint32_t vlan);
struct nic *nic_by_ifindex(unsigned int net, int ifindex);	/* attached itself; NULL: not */
struct nic *nic_get(unsigned int id);		/* NULL: none */
struct nic *nic_next(struct nic *prev);		/* iterate, NULL starts */

/* Route and neighbour of flow; oif: the device that its socket is bound to, or 0. 0, -ENETUNREACH (no attached NIC),
 * -EPROTONOSUPPORT (a VLAN's, of which no tags are seen), -EHOSTUNREACH (neighbour unresolved; resolution was asked for,
 * try again later). */
int nic_route(const struct toe_flow *flow, int oif, struct nic_path *out);

/* Enter / leave the namespace of a NIC (setns of the calling thread). */
int nic_enter(const struct nic *nic);
void nic_leave(void);

/* Largest MTU: a full frame must fit a live-frames test run, which keeps bookkeeping in the same page. */
#define NIC_MAX_MTU 3390

int nic_init(void);
/* Take over what a toed that died left attached. */
void nic_adopt_all(void);
/* Detach everything. Only after its connections are uploaded. */
void nic_exit(void);

/* From net.c: what rtnetlink told. ifindex 0: every NIC of the namespace. */
struct nl_link;
void nic_link_changed(unsigned int net, const struct nl_link *link, bool gone);
void nic_refresh(unsigned int net);

enum nic_event { NIC_EV_NEIGH, NIC_EV_ROUTE, NIC_EV_DOWN, NIC_EV_GONE, NIC_EV_MTU, NIC_EV_XDP,
		 NIC_EV_LINK };		/* nic.c's own: some message about the device */
/* Implemented in conn.c. */
void conn_link_event(unsigned int nic, int kind);
/* Note an event of the NICs; conn.c hears of it a moment later, several of a kind as one. */
void nic_changed(unsigned int net, int ifindex, enum nic_event event);

#endif
