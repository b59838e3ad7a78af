/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SONODE, the library's part: one slot a descriptor number, made when first
 * needed and never freed, so that a pointer to one is good for ever.
 */
#ifndef SONODE_H
#define SONODE_H

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include "daemon.h"
#include "ring.h"

struct epset;
struct sonode;
struct qp;

enum sonode_inherit {
	SN_OWN = 0,
	SN_INHERITED = 1,	/* known from before fork(), not yet used here */
	SN_SHARED = 2,		/* used here, another process may move it */
};

/* Why a connection stays on the kernel path: others have its descriptor and libc's calls only. */
enum sonode_stay {
	STAY_SHARED = 1,	/* duplicated, passed on */
	STAY_SYSTEM = 2,	/* while system() runs */
	STAY_EXEC = 4,		/* this process is about to become another program */
	STAY_URING = TOE_STAY_URING,
};

struct intfd_id {
	uint64_t inode;
	uint32_t name;		/* what /proc says; 0: nothing */
};

/* Registration of a descriptor in an epoll instance. Under epset.c's lock. */
struct member {
	struct epset *set;		/* NULL: not in use */
	struct sonode *sn;		/* slot of the descriptor */
	struct member *next_of_fd;	/* the same descriptor in other sets */
	LIST_ENTRY(member) in_set;
	struct epoll_event ev;		/* as the application gave it */
	uint32_t word;			/* that on_hw was decided by */
	uint32_t place;			/* in the set's queue, if ready */
	uint8_t on_hw;
	uint8_t ready;			/* in the set's queue: look at its rings */
	uint8_t disabled;		/* EPOLLONESHOT has fired */
};
_Static_assert(sizeof(struct member) <= 64, "one line of the cache");

/*
 * What each request looks at comes first, in four lines of the cache: with many connections a slot is in none.
 */
struct sonode {
	_Alignas(64) struct toe_sonode *sh;	/* NULL: never tracked */
	int fd;
	uint8_t tracked;	/* mirror of sh->word, readable after fork */
	uint8_t inherit;	/* enum sonode_inherit */
	uint8_t stay;		/* enum sonode_stay; nonzero: sh->stay is set */
	/* options that the ring path needs, valid while opts_word == word */
	uint8_t nonblock, nodelay, cork, inq;
	uint32_t opts_word;
	uint32_t lowat, sndbuf, unsent_most;	/* 0: none */
	/* queue pair that the connection rings, valid while qp_word == word */
	uint32_t qp_word;
	struct qp *qp;
	struct member *members;	/* sets that hold this descriptor; under epset.c's lock */

	/* the rings as last computed, valid while ring_word == word */
	uint32_t ring_word, ring_fresh;
	struct ring ring;
	pthread_mutex_t wlock;	/* writers of the tx ring */
	void *wowner;		/* thread holding it, for calls from signal handlers */
	uint32_t small_end;	/* end of the last short segment sent, see tx.c */
	uint32_t solo;		/* segments to be sent one by one before a train is tried again */
	struct member member;	/* the first of members, so that it lies here */

	uint32_t wwait;		/* threads that wait for room in the tx ring */
	uint32_t asleep;	/* threads asleep in a call on the rings */
	uint32_t opts_seq;
	int64_t rcvtimeo_ns, sndtimeo_ns;	/* 0: none */
	struct epset *ep;	/* this descriptor is an epoll instance; under epset.c's lock, as the next */
	struct epset *ep_old;	/* it was one: memory for the next */
	struct sonode *ep_alias; /* ring of the descriptors of one instance, which share ep; NULL: the only one */
	uint8_t closed;		/* by a signal handler, when it could not be said here */
	int *internal;		/* this descriptor is the library's; where its number is kept */
	struct intfd_id internal_id;	/* of what was opened under it */
	struct toe_sonode local; /* sh points here while there is no shared table */
};

/* Wiped in a child by the kernel, however it was made: then nothing is ours. */
struct toe_proc {
	uint32_t live;
	int32_t pid;		/* 0: wiped */
	struct toe_sonode *table;
};
extern struct toe_proc *toe_proc;

#define SLOT_SHIFT	8
#define SLOT_BLOCK	(1U << SLOT_SHIFT)
extern struct sonode *slot_blocks[TOE_SONODES / SLOT_BLOCK];

static inline struct sonode *slot_get(int fd)
{
	struct sonode *block;

	if ((unsigned int)fd >= TOE_SONODES)
		return NULL;
	block = ld_acq(&slot_blocks[(unsigned int)fd >> SLOT_SHIFT]);
	return block ? &block[fd & (SLOT_BLOCK - 1)] : NULL;
}

bool sonode_revive(void);	/* not live: perhaps a child that we do not know of yet */

/* Tracked socket, or NULL: this call is libc's. */
static inline struct sonode *sonode_get(int fd)
{
	struct sonode *sn = slot_get(fd);
	struct toe_sonode *sh;

	if (!sn || (!ld(&toe_proc->live) && !sonode_revive()))
		return NULL;
	sh = ld_acq(&sn->sh);
	return sh && word_path(ld(&sh->word)) != TOE_PATH_NONE ? sn : NULL;
}

void proc_init(void);
struct sonode *slot_make(int fd);		/* NULL: no memory or out of range */
int slot_busy(int fd);				/* anything of ours hangs on this number */

/* A socket became connected or connecting: track it if it is TCP and toed is there. */
void sonode_track(int fd);
/* Stop tracking, on the kernel path. Nothing to do with descriptors that are not tracked. */
void sonode_untrack(struct sonode *sn, enum toe_why why);
/* It is about to be closed: those who sleep on its rings have been woken, and see to it that they keep it. */
void sonode_wait_asleep(struct sonode *sn);
/* To the kernel path and not from there again; and the reverse. */
void sonode_stay(struct sonode *sn, enum sonode_stay reason);
void sonode_may_go(struct sonode *sn, enum sonode_stay reason);
/* To the kernel path; 0 or -EIO when toed cannot be reached. */
int sonode_upload(struct sonode *sn, enum toe_why why);
int sonode_in_rights(const struct msghdr *m);	/* passes a tracked descriptor */
void sonode_put_rights(const struct msghdr *m);	/* those stay on the kernel path */
void sonode_take_rights(struct msghdr *m);	/* received: track connections among them */
void sonode_found(int fd);			/* open before we knew of it: track it if it is connected */

/*
 * Enter a call: waits while MOVING. The word returned has path KERNEL (users was
 * raised in *sh: users_leave(*sh, word) must follow), HW, NONE, or MOVING: no toed for
 * half a minute.
 */
uint32_t sonode_enter(struct sonode *sn, struct toe_sonode **sh);
/* As enter, but raises nothing (and sonode_word() below does not wait). For poll and epoll. */
uint32_t sonode_settled(struct sonode *sn);

/* The rings at this word, with the options made valid; -ESTALE when it has changed, -errno when they cannot be mapped. */
int sonode_ring(struct sonode *sn, uint32_t word, struct ring *r);
void sonode_opts_read(struct sonode *sn, uint32_t word);
void sonode_opts_stale(struct sonode *sn);

void sonode_adopt(struct sonode *sn);	/* first use of a descriptor that was there before fork() */

static inline uint32_t sonode_word(struct sonode *sn)
{
	struct toe_sonode *sh;

	if (ld(&sn->inherit) == SN_INHERITED && ld(&sn->tracked))
		sonode_adopt(sn);
	sh = ld_acq(&sn->sh);
	return sh ? ld_acq(&sh->word) : TOE_PATH_NONE;
}

/* Of the connection that the number stands for now; 0: none that is tracked. Read behind its word. */
static inline uint64_t sonode_cookie(const struct sonode *sn)
{
	const struct toe_sonode *sh = ld_acq(&sn->sh);

	return sh ? ld(&sh->cookie) : 0;
}

/* Make the cached options valid. */
static inline void sonode_opts(struct sonode *sn, uint32_t word)
{
	if (ld_acq(&sn->opts_word) != word)
		sonode_opts_read(sn, word);
}

/* The control block of the rings at this word, if they were looked up before; for a look at first sight. */
static inline const struct toe_ring_ctl *sonode_ctl(const struct sonode *sn, uint32_t word)
{
	const struct toe_ring_ctl *ctl;

	if (ld_acq(&sn->ring_word) != word || ld_acq(&sn->ring_fresh) != daemon_fresh())
		return NULL;
	ctl = ld(&sn->ring.ctl);
	fence_acq();
	return ld(&sn->ring_word) == word ? ctl : NULL;
}

/* For a look at the rings that will follow: the slot, and then what is found by way of it. */
static inline void sonode_prefetch(const struct sonode *sn)
{
	fetch(sn);
	fetch(&sn->ring);
	fetch(&sn->wowner);
	fetch(&sn->member);
}

static inline void sonode_prefetch_rings(const struct sonode *sn)
{
	const struct toe_ring_ctl *ctl = ld(&sn->ring.ctl);

	fetch(ld(&sn->sh));
	if (ctl) {
		fetch(ctl);
		fetch(&ctl->rx_read);
	}
}

void sonode_all_stay(void);	/* all that there are and all that come */
/* A child of vfork() has our memory but descriptors of its own: what it closes is not what we track. */
bool sonode_other_table(void);

void sonode_each(void (*fn)(struct sonode *sn));

#endif
