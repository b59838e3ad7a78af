/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the application's epoll instances hold. Every registration is noted,
 * tracked or not (a socket may be registered before it connects); a set comes
 * to life (active) when it holds a tracked socket. All of it under one lock.
 *
 * While a member is on the hardware path its kernel registration asks for
 * nothing, since the parked socket polls writable; readiness comes from the rings.
 *
 * One-shot registrations of tracked sockets give the kernel data of ours, by which
 * an event is known to have disabled the member, whatever path it is on by then.
 */
#ifndef EPSET_H
#define EPSET_H

#include <signal.h>
#include "qp.h"
#include "ready.h"
#include "sonode.h"

struct epset {
	struct sonode *slot;		/* of the epoll descriptor, or one of them */
	unsigned int sleepers;		/* threads in the kernel's epoll_wait, or in poll() of it; atomic */
	uint32_t closed;		/* how often; these three stay when the number is an instance again */
	LIST_HEAD(, member) members;
	struct ready ready;		/* look at their rings */
	unsigned int nr_members, nr_hw, nr_nested;
	unsigned int work;		/* done since the kernel was asked, see epoll.c */
	uint32_t qps;			/* pool indices whose TAP the instance holds */
	uint32_t daemon_gen;		/* of the eventfd it holds */
	uint32_t daemon_fresh;		/* of the TAPs it holds */
	uint8_t queued_looks;		/* in which no doorbell was looked at, see epoll.c */
	uint8_t unsent;			/* a member was seen that has more to send than may leave */
	uint8_t active;
	uint8_t inherited;		/* made before fork(): the kernel's set is the parent's as well */
	uint8_t unclaimed;		/* ... and its members were not yet asked for */
	uint8_t rescan;			/* look at all members: paths may have changed */
	uint32_t missed;		/* moved_missed when it last did */
};

static inline struct epset *epset_get(int fd)
{
	struct sonode *sn = slot_get(fd);

	return sn ? ld_acq(&sn->ep) : NULL;
}

/* This is a signal handler that has interrupted its thread where the lock may be that one's: what would take it is put off, or left out. */
bool epset_busy(void);

void epset_new(struct sonode *sn);	/* the descriptor is an epoll instance that was just made */
/* The second is a new descriptor of what the first is: if that is an epoll instance, both have one set. */
void epset_alias(int fd, int copy);
int epset_ctl(int epfd, int op, int fd, struct epoll_event *ev);
void epset_tracked(struct sonode *sn);	/* became tracked */
void epset_sync(struct sonode *sn);	/* its path changed */
void epset_moved(void);			/* the eventfd said so: look at those that have moved */
void epset_new_log(struct toe_moved *log);	/* of a toed that did not know this process */
/* Their wake bits were taken. */
void epset_events(struct sonode *const *sn, int n, struct epset *self);
void epset_closed(struct sonode *sn, bool tracked);	/* the descriptor is about to be closed */
void epset_forked(void);

void epset_claim_all(struct epset *set);	/* inherited: waited for, so it is used here */

/* For epoll.c, which holds the lock around them: */
void epset_lock(void);
void epset_unlock(void);
/* After a move. Returns one whose connection cannot be served here and must be uploaded, or NULL. */
struct sonode *epset_rescan(struct epset *set);
/* The members that are epoll instances themselves. Good without the lock, too: a set that was closed is empty, and never freed. */
struct nested {
	struct epset *set;
	epoll_data_t data;
};
int epset_nested(struct epset *set, struct nested *out, int max);
/* Report what is ready on the hardware path. */
int epset_collect(struct epset *set, struct epoll_event *out, int max);
/* What is left of an event with EPOLLERR or EPOLLHUP when a move was its cause. */
uint32_t epset_confirm(struct epset *set, const struct epoll_event *ev);
/* The set itself must be looked at anew: moves were missed, or another toed is there. */
bool epset_behind(const struct epset *set);
bool epset_has_ready(struct epset *set);
/* The lock held. A thread is asleep in it, or in a set that holds it. */
bool epset_slept_in(const struct epset *set);

/* The lock not held. A one-shot event of the kernel's: puts the application's data in. False: it
 * is not to be handed on. */
bool epset_claim(struct epset *set, struct epoll_event *ev);

/* epoll.c */
int epset_wait(struct epset *set, struct epoll_event *out, int max, int64_t timeout_ns,
	       const sigset_t *mask);
bool epset_poll(struct epset *set);	/* polled itself: has something on the hardware path */
/* Arm and look once more. True: may sleep, epset_woken() must follow. */
bool epset_sleep(struct epset *set);
void epset_woken(struct epset *set);

#endif
