/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections whose peer has been silent for too long. */
#ifndef EXPIRE_H
#define EXPIRE_H

#include "conn.h"

/* How long a rebuilt socket takes at least to end the connection: its first timeout, Linux's TCP_RTO_MIN. */
#define EXPIRE_MS 200

/* Upload it; the kernel is to end it, with the error that it has for that. */
void expire_conn(struct conn *c);
/* What a toed that was killed had under way. After conn_init(). */
void expire_init(void);
/* Now and then: did a peer answer after all? At the end of time (UINT64_MAX) nothing is pending any more. */
void expire_scan(uint64_t now_ns);
bool expire_pending(void);

#endif
