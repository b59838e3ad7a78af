/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Offloaded connections as the daemon knows them: SONODE <-> HW_CONNID <-> CONN_T. */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stdint.h>
#include "app.h"
#include "toe/hw_conn.h"

struct conn {
	uint32_t hw_connid;
	uint32_t gen;
	struct toe_flow flow;
	uint64_t cookie;		/* CONN_T */
	int sock;			/* the daemon's duplicate of the kernel socket */
	int fd;				/* descriptor in the application */
	struct app *app;
	struct toe_ring_ref rx, tx;
	uint64_t hold_ns;		/* length of the last hold */
	struct conn *next_by_cookie;	/* private */
	/* timers, see timer.c */
	uint64_t rto_at, probe_at;
	uint8_t backoff, probes;
};

int conn_init(void);
struct conn *conn_by_id(uint32_t hw_connid);
struct conn *conn_by_cookie(uint64_t cookie);
unsigned int conn_count(void);

/* Moves, by the kernel's socket cookie. 0 or -errno; *why gets the reason of a refusal. */
int conn_offload(uint64_t cookie, enum toe_why *why);
int conn_upload(uint64_t cookie, enum toe_why why);
/* Upload everything (nic == 0: all, else those on one NIC). Returns how many failed. */
int conn_upload_all(unsigned int nic, enum toe_why why);

/* The daemon's doorbell rang or the tick came: uploads that the engines asked for, retransmissions, pumping, timers. */
void conn_service(void);		/* look at flags and timers of dirty connections now */
#define CONN_TICK_MS 5

/* Figures of moves, for toectl stats. */
struct conn_move_stats {
	uint64_t offloads, uploads, refused, failed;
	uint64_t hold_hist[24];		/* bucket i: hold time < 2^i us */
};
extern struct conn_move_stats conn_moves;

#endif
