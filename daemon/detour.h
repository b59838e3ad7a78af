/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A socket is rebuilt with bind() and connect(), which want its address to be there and a route to the peer. When
 * those are gone (link down, device deleted) its connection is not: the kernel would go on trying. So the two
 * calls are made over a route that exists for this mark only and for this moment.
 */
#ifndef DETOUR_H
#define DETOUR_H

#include <stdbool.h>
#include <sys/socket.h>

/* Is this failure of bind() or connect() one that a detour avoids? */
bool detour_helps(int err);
/* A toed that was killed in a detour has left the socket its mark: off with it, or the socket would stay on that route. */
void detour_forget(int sock);
/* bind() and connect() without address or route. 0 or -errno; -ENETDOWN: no loopback device either. */
int detour_connect(int sock, const struct sockaddr_storage *local, socklen_t local_len,
		   const struct sockaddr_storage *peer, socklen_t peer_len);

#endif
