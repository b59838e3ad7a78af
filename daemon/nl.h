/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions to the kernel by rtnetlink, answered at once. */
#ifndef NL_H
#define NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "toe/hw_conn.h"

struct mnl_socket;
struct nlmsghdr;

struct nl_hop {			/* where a flow leaves */
	int ifindex;
	uint8_t family;		/* of addr */
	uint8_t addr[16];	/* next hop: gateway or the peer itself */
	unsigned int mtu;	/* of the route; 0: the device's */
};

struct nl_neigh {
	int ifindex;
	uint8_t family;
	uint8_t addr[16];
	uint16_t state;		/* NUD_* */
	uint8_t mac[6];		/* valid if state is one of NUD_VALID */
	bool kept;		/* by the administrator or a program: permanent, externally learned or managed */
};

/* A socket in the network namespace the caller is in, for NETLINK_ROUTE or another bus; groups: RTMGRP_* bits. */
struct mnl_socket *nl_open(int bus, unsigned int groups);

/* oif: the device that the socket is bound to; 0: none. 0; -ENETUNREACH: no unicast route. */
int nl_route(struct mnl_socket *nl, const struct toe_flow *flow, int oif, struct nl_hop *out);

/* n: ifindex, family, addr in; state and mac out. -ENOENT: the kernel knows no such neighbour. */
int nl_neigh_get(struct mnl_socket *nl, struct nl_neigh *n);
/* Make the kernel resolve or confirm a neighbour, as if it had something to send to it. Not one that is kept: the
 * request takes that from the entry, which the kernel then resolves and forgets like any other. */
int nl_neigh_use(struct mnl_socket *nl, const struct nl_neigh *n);
bool nl_neigh_valid(const struct nl_neigh *n);
int nl_neigh_parse(const struct nlmsghdr *nlh, struct nl_neigh *out);

struct nl_link {
	int ifindex;
	unsigned int flags;	/* IFF_* */
	unsigned int mtu;
	uint8_t mac[6];
	bool has_xdp;		/* xdp_id was in the message */
	uint32_t xdp_id;	/* program or dispatcher attached; 0: none */
	int lower;		/* a VLAN device: the one below it, in the same namespace; else 0 */
	uint32_t vlan;		/*   and its tag, toe/vlan.h */
};
int nl_link_parse(const struct nlmsghdr *nlh, struct nl_link *out);
bool nl_link_up(const struct nl_link *link);
/* All links of the namespace. -EINTR: some came or went meanwhile. */
int nl_links(struct mnl_socket *nl, void (*each)(const struct nl_link *link, void *arg), void *arg);

/* Begin a request in buf, NLM_F_REQUEST is added to flags. Returns its family's header of len bytes, all 0. */
void *nl_begin(char *buf, uint16_t type, uint16_t flags, size_t len);
/* One request with NLM_F_ACK. 0 or the kernel's -errno. */
int nl_do(struct mnl_socket *nl, struct nlmsghdr *nlh);

/* Delete a device of the namespace the caller is in. */
int nl_link_delete(int ifindex);

#endif
