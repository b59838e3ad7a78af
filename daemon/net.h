/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces with an attached NIC: their numbers, and what rtnetlink tells about them. */
#ifndef NET_H
#define NET_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct mnl_socket;

struct net {
	struct net *next;
	uint64_t cookie;
	unsigned int number;	/* flow.net, 1.. */
	unsigned int users;	/* NICs */
	int fd;
	struct mnl_socket *ask;	/* requests */
	struct mnl_socket *hear;	/* notifications */
	sd_event_source *source;
	int icmp[2];		/* IPv4 and IPv6, net_icmp.c */
	sd_event_source *icmp_source[2];
};

/* Number 0: the one it had before, or a new one. Errors: -errno. */
int net_get(int netns_fd, unsigned int number, struct net **out);
void net_put(struct net *net);
struct net *net_by_cookie(uint64_t cookie);
struct net *net_by_number(unsigned int number);
struct net *net_next(struct net *prev);		/* iterate, NULL starts */

#endif
