/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Offloaded connections as the daemon knows them: SONODE <-> HW_CONNID <-> CONN_T. */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>
#include "app.h"
#include "toe/hw_conn.h"

struct held;				/* hold.c */

struct rings_heard {		/* of rings_unheard(): as of the last look, and what the application was told of */
	uint32_t read, filled, told_rcv, told_una;
};

struct conn {
	uint32_t hw_connid;
	uint32_t gen;
	struct toe_flow flow;
	uint64_t cookie;		/* CONN_T */
	int sock;			/* the daemon's duplicate of the kernel socket */
	int fd;				/* descriptor in the application */
	struct app *app;
	unsigned int nic, hop;		/* the way out: nic.h, neigh.h */
	struct toe_ring_ref rx, tx;
	bool has_rings;
	bool locked;			/* so said already: its entry was, at the last try to upload it */
	bool keep_known, keepalive;	/* what the application had said of keepalive when the connection came */
	/* keepalive: seconds, as last looked up; 0: off */
	uint32_t keep_idle, keep_intvl, keep_cnt, keep_nr, keep_rx_ms, keep_sent_ms;
	uint64_t grow_at, grow_rx;	/* timer.c: when growth was last considered, hw_clock.rx_bytes then */
	uint64_t hold_ns;		/* length of the last hold */
	/* frames taken from the hold ring and not yet replayed (hold.c) */
	struct held *held, **held_tail;
	uint16_t nr_held;		/* taken since this HOLD began */
	/* timers (timer.c); times CLOCK_MONOTONIC ns */
	uint32_t una_seen;		/* snd_una when backoff was last reset */
	struct rings_heard heard;
	uint64_t rtx_at;		/* last retransmission or probe */
	/* unacknowledged since (us, low 32 bits; 0: unset), carried across moves, while snd_una stays */
	uint32_t stuck_us, stuck_una;
	uint64_t stall_at;		/* first timeout or window probe since progress was made, 0: none */
	uint32_t user_ms;		/* TCP_USER_TIMEOUT, as last looked up; 0: none */
	uint8_t backoff;
	uint8_t probes;
	bool persisting;		/* backoff and probes are those of a closed window */
	bool tlp_done;			/* a tail loss probe was sent since snd_una last moved */
	uint64_t pto_ns;		/* when one is due, as last looked up */
	uint32_t probe_rx_ms;		/* hw_clock.last_rx_ms at the last window probe */
	uint64_t unsent_since;		/* bytes wait behind unsent_nxt since then */
	uint32_t unsent_nxt;
	UT_hash_handle hh;		/* by cookie */
};

int conn_init(void);
struct conn *conn_by_id(uint32_t hw_connid);
struct conn *conn_by_cookie(uint64_t cookie);
unsigned int conn_count(void);

/* A connection object with a fresh HW_CONNID; its hw_connid map entry is written by the move. NULL: none free. */
struct conn *conn_new(uint64_t cookie, const struct toe_flow *flow);
void conn_free(struct conn *c);		/* rings, id, duplicate descriptor */
/* Of the rings that come next. */
uint32_t conn_next_gen(const struct conn *c);
/* The entry has these rings and this generation; those before are free as soon as no thread copies into them. */
void conn_swap_rings(struct conn *c, struct toe_ring_ref rx, struct toe_ring_ref tx, uint32_t gen);
struct conn *conn_next(struct conn *prev);

/* Moves, by the kernel's socket cookie. 0 or -errno; *why gets the reason of a refusal. */
int conn_offload(uint64_t cookie, enum toe_why *why);
int conn_offload_flow(uint64_t cookie, const struct toe_flow *flow, enum toe_why *why);	/* key known */
/* A refusal that may not stand a few milliseconds later. */
bool conn_may_retry(enum toe_why why);
int conn_upload(uint64_t cookie, enum toe_why why);
/* Upload everything (nic == 0: all, else those on one NIC). Returns how many failed. */
int conn_upload_all(unsigned int nic, enum toe_why why);
/* What is left after that, when the engines go: reset. */
void conn_abort_all(void);

/* A duplicate of the application's socket, or -errno. */
int conn_fetch(uint64_t cookie);
bool conn_is_short(int err);		/* of descriptors or memory: try again */

/* Moves of a toed before this one that could not be undone yet: tried again. */
bool conn_recovering(void);
bool conn_is_cut_off(uint64_t cookie);	/* by one of those */
void conn_recover(void);

/* conn_service() is to upload it soon, as if an engine had asked. */
void conn_ask_upload(struct conn *c);

/* The daemon's doorbell rang or the tick came: uploads that the engines asked for, retransmissions, pumping, timers. */
void conn_service(void);		/* look at flags and timers of dirty connections now */
/* Acknowledge now what an engine has received. */
void conn_send_ack(struct conn *c, const struct min_tcp *min);
#define CONN_TICK_MS 5

/* Figures of moves, for toectl stats. */
struct conn_move_stats {
	uint64_t offloads, uploads, refused, failed;
	uint64_t hold_hist[24];		/* bucket i: hold time < 2^i us */
};
extern struct conn_move_stats conn_moves;

#endif
