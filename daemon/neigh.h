/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Next hops in use: their link addresses, kept fresh. Offloaded traffic does not pass the kernel's
 * neighbour table, which would forget them and miss a change.
 */
#ifndef NEIGH_H
#define NEIGH_H

#include "nl.h"

#define NEIGH_USE_S	20	/* seconds between confirmations asked for */

struct net;

/* Link address of a next hop, and the number to name it by in neigh_in_use(). 0; -EHOSTUNREACH: resolution was
 * asked for. */
int neigh_lookup(struct net *net, const struct nl_hop *hop, uint8_t mac[6], unsigned int *number);
/* A message of the kernel. True if a next hop in use has a new address or none. */
bool neigh_update(struct net *net, const struct nl_neigh *n, bool deleted);
/* Once for each connection before neigh_use_all(). A number that has passed to another hop since only keeps that one. */
void neigh_in_use(unsigned int number);
/* Ask the kernel to confirm all next hops in use; the second call in a row that finds one unused
 * drops it. */
void neigh_use_all(void);
void neigh_forget(struct net *net);	/* NULL: all */

#endif
