/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the moves share: mig.c (both), mig_offload.c, mig_upload.c, mig_recover.c. */
#ifndef MIG_INT_H
#define MIG_INT_H

#include "conn.h"
#include "engine.h"
#include "ksock.h"
#include "nic.h"
#include "toe/cmd.h"

struct move {
	struct conn *c;
	struct toe_sonode *sonode;
	struct nic_path path;
	struct toe_cmd cmd;		/* its conn: the entry as last read */
	struct ksock_seqs seqs;
	uint32_t snd_base;		/* of the shadow */
	struct ksock_progress before;	/* repair mode */
	uint32_t write_seq;		/* then */
	uint32_t snd_nxt;		/* at the parking: how far was really sent */
	struct ksock_opts opts;		/* of the socket */
	uint8_t sk_flags, cc_alg;
	bool parked;			/* and MIN_TCP_T captured */
	bool loaded;			/* the engine counts the bytes */
	bool own_sock;			/* toed's, in the place of one that is gone */
	struct detour *detour;		/* for replays; NULL: they come in by the device */
	uint64_t hold_start;
	enum toe_why why;
};

/* A command to the engines for this connection, from m->cmd; tried again when the entry is locked. */
int mig_cmd(struct move *m, enum toe_cmd_op op);
int mig_hold(struct move *m, unsigned int next);	/* enum toe_state, TOE_NEXT_CLOSED */

/* Replay what was held and leave HOLD. 1: among it was a frame that only the kernel can handle; it and all behind
 * it are still held. */
int mig_finish(struct move *m, enum toe_state next);

void mig_count_hold(struct move *m);

/* The segments of the entry in m->cmd fit the path. */
bool mig_fits(const struct move *m);

/* m->opts into the entry in m->cmd and, for the library, into the SONODE. */
void mig_options_to(struct move *m);

/* The SONODE's path word: from -> MOVING, or -EBUSY; MOVING -> path, and wake. */
int mig_claim(struct toe_sonode *s, enum toe_path from);
void mig_publish(struct move *m, enum toe_path path);

/* For the threads that the SONODE counts; -EBUSY: some are still inside. It is the application that says so, and the others wait
 * meanwhile: so there is an end to it in each second, for all its sockets together. */
#define USERS_WAIT_MS	20		/* what they do does not sleep, but they may be preempted */
#define USERS_SHARE_MS	40		/* of each second */
int mig_wait_users(struct move *m, unsigned int ms);

/* The SONODE is claimed, so none begins any more, and nothing is held yet: lets a train leave that is being written. It would be
 * lost with its ring, and what the kernel sends would overtake it. */
void mig_let_leave(struct move *m);

/* The same to HW, with what the library needs to use the rings, from the entry in m->cmd. */
void mig_enter_hw(struct move *m);

/* Since when snd_una stands still, over the moves: a retransmission timer that each started anew would never end. */
void mig_stuck_save(struct conn *c, struct hw_conn *e);
void mig_stuck_restore(struct conn *c, const struct hw_conn *e);

/* There is nothing to go on from, not even an entry: both ends are told, nobody waits. Returns what the move is to. */
int mig_lost(struct move *m, int err);

/* In HOLD with next = KERNEL and the entry in m->cmd: a socket that goes on from the entry and the rings, held frames,
 * SONODE. May be begun again from the start as long as FINISH was not reached. */
int mig_rebuild(struct move *m);

#endif
