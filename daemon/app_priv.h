/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What app*.c share. */
#ifndef APP_PRIV_H
#define APP_PRIV_H

#include <stdint.h>
#include <systemd/sd-event.h>
#include "app.h"
#include "slab.h"

#define APP_MAX_QPS	64	/* of one application */

struct app_qp {
	uint16_t qp;		/* 0: unused */
	struct toe_ring_ref wake;	/* run of one chunk */
};

struct app_priv {
	int sock;
	int memfd;
	sd_event_source *sock_source;
	sd_event_source *pid_source;
	struct slab *slabs;
	unsigned int nr_slabs;
	struct app_qp qps[APP_MAX_QPS];
};

/* app.c */
struct app *app_new(int sock);		/* takes sock; not yet in the table */
int app_hello(struct app *app);		/* table, eventfd, number */
void app_destroy(struct app *app);	/* uploads what it owns, frees everything */
struct slab *app_slab(const struct app *app, unsigned int index);	/* NULL: not its own */
void app_add_slab(struct app *app, struct slab *slab);	/* nobody's yet */
int app_qp_open(struct app *app, struct toe_msg *msg);	/* TAP descriptor or -errno */

void app_close_fd(int fd);
void app_read_comm(struct app *app);	/* the process's name */
int app_map_table(struct app *app);	/* from memfd */
struct app *app_shell(void);		/* all descriptors -1 */
int app_enter(struct app *app, unsigned int id);	/* under a number; 0: choose */
struct app_qp *app_qp_slot(struct app *app);	/* a free one, or NULL */

/* app_adopt.c: a record of each application in RUNDIR, for the toed after this one */
void app_record(struct app *app);
int app_record_slab(const struct app *app, const struct slab *slab);	/* before it is used */
void app_forget(struct app *app);
void app_adopt_all(void);
int app_start_time(int pid, unsigned long long *out);	/* clock ticks since boot; the process, with its number */
/* The adopted application of the same process as a newcomer, without a socket yet; NULL: none. */
struct app *app_adopted(const struct app *newcomer);

/* app_pin.c */
int app_pin(struct app *app, int fd);	/* -1: all of this process off again */
void app_unpin_all(void);		/* as toed ends: the records stay */
void app_pins_adopt(void);

/* app_msg.c */
int app_listen(void);
void app_unlisten(void);
int app_watch(struct app *app);		/* socket (if any) and pidfd into the loop */

#endif
