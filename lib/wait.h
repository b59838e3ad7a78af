/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a thread that blocks outside epoll sleeps: an epoll instance of its own
 * that holds, edge-triggered, the process's eventfd and app.sock and the TAPs
 * of the queue pairs its connections ring. It is pollable itself.
 */
#ifndef WAIT_H
#define WAIT_H

#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>
#include "qp.h"

struct waitctx {
	int epfd;
	uint32_t fork_gen, daemon_gen;
	uint32_t qps;		/* bit per pool index: its TAP is in epfd */
};

struct waitctx *wait_ctx(void);		/* this thread's; NULL: no descriptor or memory */
/* Bind, hold the TAP, arm: after this look again, then sleep. 0 or -errno. */
int wait_watch(struct waitctx *c, struct sonode *sn, const struct ring *r);
/* Sleep until a wake-up or the deadline (CLOCK_MONOTONIC ns, 0: none). 0 or -EINTR, -errno. */
int wait_sleep(struct waitctx *c, int64_t deadline_ns);
void wait_drain(struct waitctx *c);	/* epfd was seen readable in a poll */

/* Blocked calls: a signal came. True if every handler there is says SA_RESTART. */
bool wait_restarts(void);
int64_t wait_now(void);			/* ns */
/* ns: -1 for none or beyond any clock. False: what the kernel calls EINVAL, and errno says so. */
bool wait_timespec(const struct timespec *ts, int64_t *ns);
int64_t wait_deadline(int64_t timeo_ns);	/* 0 stays 0 */
int wait_ms(int64_t deadline_ns);	/* until then, rounded up; -1 for 0 */
/* The same, but short while toed is away, so that it is looked for. */
int wait_ms_lost(int64_t deadline_ns);

/* Add the eventfd and app.sock, and TAPs. Data is what wait_marker() knows. */
void wait_add_daemon(int epfd);
bool wait_add_qp(int epfd, const struct qp *qp);	/* false: there is no room for it */
/* Is this event one of ours? What it asks for is noted in qps and *moved. */
bool wait_marker(const struct epoll_event *ev, uint32_t *qps, bool *moved);
void wait_forked(void);

#endif
