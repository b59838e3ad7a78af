/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attached interfaces, their network namespaces, routes and neighbours (rtnetlink). */
#ifndef NIC_H
#define NIC_H

#include <stdbool.h>
#include <net/if.h>
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
};

struct nic_path {		/* where frames of a flow leave */
	struct nic *nic;
	unsigned char src_mac[6], dst_mac[6];
	unsigned int mtu;
};

/* netns_fd: the namespace that DEV lives in (not consumed). generic: allow generic mode.
 * err (may be NULL): a message for the person who asked. */
int nic_attach(int netns_fd, const char *dev, bool generic, char *err, size_t err_len);
int nic_detach(int netns_fd, const char *dev, char *err, size_t err_len);
struct nic *nic_get(unsigned int id);		/* NULL: none */
struct nic *nic_next(struct nic *prev);		/* iterate, NULL starts */

/* Route and neighbour of flow. 0, -ENETUNREACH (no attached NIC), -EHOSTUNREACH (neighbour
 * unresolved; resolution was asked for, try again later). */
int nic_route(const struct toe_flow *flow, struct nic_path *out);

/* Enter / leave the namespace of a NIC (setns of the calling thread). */
int nic_enter(const struct nic *nic);
void nic_leave(void);

#endif
