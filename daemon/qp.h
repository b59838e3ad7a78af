/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: TAPs in toed's own network namespace. */
#ifndef QP_H
#define QP_H

#include <stdbool.h>
#include "toe/desc.h"
#include "toe/maps.h"
#include "toe/ring.h"

/* Make a TAP for queue pair id, attach toe_tx, enter it in qp_dev and qps. Returns its descriptor or -errno. */
int qp_tap_open(unsigned int qp);
void qp_tap_close(unsigned int qp, int fd);

/* toed's own network namespace, made or found again at RUNDIR/netns. */
int qp_init(void);
void qp_exit(void);			/* the namespace goes with its TAPs */

/* Numbers of queue pairs; an application's come from 2 on. -ENOSPC: none free. */
int qp_alloc(void);
void qp_free(unsigned int qp);
void qp_claim(unsigned int qp);		/* in use since a toed before this one */
/* Tell the engines who owns queue pair qp and where its wake block lies. app 0: nobody. */
int qp_assign(unsigned int qp, const struct toe_qp *owner);

/* The daemon's own queue pair (TOE_QP_DAEMON). Its wake block lies in a slab of the daemon. */
int qp_daemon_open(void);
void qp_daemon_close(void);
int qp_daemon_fd(void);				/* its TAP: add to epoll edge-triggered, never read */
struct toe_qp_wake *qp_daemon_wake(void);

/* Write one frame to the daemon's TAP: desc, zero padding up to hdr_len, payload in up to two pieces.
 * 0 or -errno of the write (a frame that toe_tx drops is not an error). */
int qp_send(const struct toe_desc *desc, unsigned int hdr_len, const void *p1, unsigned int n1, const void *p2,
	    unsigned int n2);

#endif
