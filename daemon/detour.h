/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A socket is rebuilt with bind() and connect(), which want its address to be there and a route to the peer. When
 * those are gone (link down, device deleted) its connection is not: the kernel would go on trying. So the two
 * calls are made over a route that exists for this mark only and for this moment. So are packets delivered that only
 * the peer could send: by the device's way in, an address that is gone or a reverse path filter would stop them.
 */
#ifndef DETOUR_H
#define DETOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Is this failure of bind() or connect() one that a detour avoids? */
bool detour_helps(int err);
/* A toed that was killed in a detour has left the socket its mark: off with it, or the socket would stay on that route. */
void detour_forget(int sock);

struct detour {			/* all 0: closed */
	bool open;
	uint8_t family;		/* on the wire */
	int raw;		/* a raw socket, or -1 */
	struct mnl_socket *nl;
};

/* bind() and connect() without address or route. 0: it is open until detour_close(), and so long the network namespace of sock is
 * entered. -errno: it is closed; -ENETDOWN: no loopback device either. */
int detour_connect(struct detour *d, int sock, const struct sockaddr_storage *local, socklen_t local_len,
		   const struct sockaddr_storage *peer, socklen_t peer_len);
/* An IP packet to the address and port that it says, in this namespace. 0 or -errno */
int detour_deliver(struct detour *d, const void *packet, size_t len);
void detour_close(struct detour *d);

struct nlmsghdr;
/* Is this route message of a detour's own route? It tells nothing of the way of any connection. */
bool detour_is_own(const struct nlmsghdr *nlh);

#endif
