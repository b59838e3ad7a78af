/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Path MTU discovery for offloaded connections. A "fragmentation needed" or "packet too big" message for one
 * reaches a parked socket, whose sequence numbers are old: the kernel ignores it. It is heard here too, the
 * connection is uploaded, and the message is given to the kernel once more.
 */
#ifndef NET_ICMP_H
#define NET_ICMP_H

#include "net.h"

/* In the network namespace of net: its two sockets into the loop. 0 or -errno. */
int net_icmp_open(struct net *net);
void net_icmp_close(struct net *net);

#endif
