/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections whose peer has been silent for too long. */
#ifndef EXPIRE_H
#define EXPIRE_H

#include "conn.h"

/* How long a rebuilt socket takes to end the connection: its first timeout, of a path whose round trip time
 * is not known (RFC 6298 5.7). */
#define EXPIRE_MS 3000

/* Upload it; the kernel is to end it, with the error that it has for that. */
void expire_conn(struct conn *c);
/* Now and then: did a peer answer after all? At the end of time (UINT64_MAX) nothing is pending any more. */
void expire_scan(uint64_t now_ns);
bool expire_pending(void);

#endif
