/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLAN devices over attached interfaces: connections over one leave by the interface below, with tags. rtnetlink tells
 * which there are; the engines know them by map nets.
 */
#ifndef VLAN_H
#define VLAN_H

#include "nic.h"
#include "nl.h"

struct net;

/* All devices of the namespace anew: after an interface was attached, or messages were lost. */
void vlan_scan(struct net *net);
/* A message of the kernel. */
void vlan_heard(struct net *net, const struct nl_link *link, bool gone);
/* An interface was detached. */
void vlan_sync(struct net *net);
void vlan_forget(struct net *net);
/* Entries of nets that a toed before this one left, of devices that are gone. After vlan_scan(). */
void vlan_purge(const struct net *net, const struct nic *nic);

/* The way by a VLAN device: nic, vlan, src_mac, mtu of out. -ENETUNREACH: it is none of ours. -EPROTONOSUPPORT: its
 * interface takes tags off, and the RX engine could not tell its frames. */
int vlan_path(const struct net *net, int ifindex, struct nic_path *out);
/* The attached interface below a VLAN device; another device itself. */
int vlan_base(const struct net *net, int ifindex);
/* The VLAN device with these tags over the interface; 0: none. */
int vlan_ifindex(const struct nic *nic, uint32_t vlan);

#endif
