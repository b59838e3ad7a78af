/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Applications: processes whose libtoe has said hello, their SONODE table, slabs, queue pairs. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "toe/app.h"
#include "toe/maps.h"
#include "toe/ring.h"

struct app {
	unsigned int id;		/* 1.. */
	pid_t pid;
	int pidfd;
	int efd;			/* announces completed moves */
	char comm[16];
	struct toe_sonode *sonodes;	/* shared, hostile */
	uint32_t nr_moved;		/* entries written to what stands behind them */
	bool unheard;			/* keep_scan() wakes it: a doorbell may have been lost */
	uint64_t wait_from, waited_ns;	/* mig_wait_users(): in the second since then */
	/* private to app.c */
	struct app_priv *priv;
};

/* Listen on RUNDIR/app.sock; and the reverse. */
int app_init(void);
void app_exit(void);

struct app *app_get(unsigned int id);		/* NULL: none */
struct app *app_next(struct app *prev);		/* iterate, NULL starts */

/* A run of that order in the application's slabs; makes a slab if needed (slow: do it
 * before HOLD). 0, -ENOSPC, -ENOMEM. The run's control block is zeroed. */
int app_ring_alloc(struct app *app, unsigned int order, struct toe_ring_ref *out);
void app_ring_free(struct app *app, struct toe_ring_ref ref);

/* Address in the daemon's mapping of chunk `index` (0 ..) of those that a run lies in. */
void *app_ring_chunk(struct app *app, struct toe_ring_ref ref, unsigned int index);
struct toe_ring_ctl *app_ring_ctl(struct app *app, struct toe_ring_ref rx);

/* Wake everything that waits in the application: futex on word, eventfd. */
void app_wake(struct app *app, struct toe_sonode *sonode);
/* All its threads that sleep look again. */
void app_kick(struct app *app);

/* The daemon's own slab: owner of queue pair TOE_QP_DAEMON. */
#define APP_DAEMON	(TOE_MAX_APPS - 1)

/* Next descriptor >= fd whose SONODE is in use; -1: none. Visits only pages of the table that were
 * ever written, and allocates none. */
int app_next_fd(struct app *app, int fd);

/* The nth (0..) table entry that claims to be the socket with this cookie. Tables are hostile: fetch
 * the descriptor and compare before believing, and try the next one. -ENOENT: no more. The index
 * behind it is rebuilt at most every few ms, so that looking up many cookies costs one pass. */
int app_find(uint64_t cookie, unsigned int nth, struct app **app, int *fd);
/* A claim was made that the index may not know yet: it is rebuilt at the next look-up. */
void app_claimed(void);
/* A process other than the claimant's took this socket along when it became another program. */
bool app_pinned(uint64_t cookie, const struct app *claimant);

/* Called by app.c; implemented in conn.c: */
int conn_msg_upload(struct app *app, int fd, enum toe_why why);
int conn_msg_option(struct app *app, int fd);
int conn_msg_info(struct app *app, int fd);
int conn_msg_offload(struct app *app, int fd, enum toe_why *why);
void conn_app_gone(struct app *app);	/* before its rings are freed: upload everything it owns */

#endif
