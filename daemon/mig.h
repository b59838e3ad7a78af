/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two moves. See doc/architecture.md section 6 for the steps. */
#ifndef MIG_H
#define MIG_H

#include "conn.h"

/* c has app, fd, sock, flow, cookie. 0: on the hardware path. -errno and *why: it is on the kernel
 * path as before. */
int mig_offload(struct conn *c, enum toe_why *why);

/* 0: on the kernel path. mig_stays(error): on the hardware path as before, for there is no way to the peer
 * (-EHOSTUNREACH), or the kernel would not rebuild the socket (-EAGAIN). Other errors: what could be saved is; the
 * socket carries the error. */
int mig_upload(struct conn *c, enum toe_why why);
bool mig_stays(int err);
/* The end of one that stays when toed must go: its application reads a reset. */
void mig_abort(struct conn *c);

/* New next hop after a neighbour or route change. */
int mig_relink(struct conn *c);

/* The engines' copy of socket options, anew from the socket. */
int mig_options(struct conn *c);

/* Larger rings for a connection in hardware. 0, or -errno: it goes on with what it has (or, if the
 * entry was lost meanwhile, on the kernel path). */
int mig_grow(struct conn *c, unsigned int rx_order, unsigned int tx_order);

/*
 * After a toed that died in the middle of a move (mig_recover.c).
 */

/* The entry is in HOLD and has TOE_NEXT_PARKED: before mig_upload(). */
int mig_recover_parked(struct conn *c);
/* In HOLD without it: the socket is whole, and goes on. */
int mig_recover_whole(struct conn *c);
/* SONODEs of app that wait for the end of a move that nobody makes any more. */
void mig_recover_sonodes(struct app *app);
/* Entry of a connection whose application is gone as well: the peer gets a reset. */
void mig_recover_orphan(const struct toe_flow *flow, const struct hw_conn *e);

#endif
