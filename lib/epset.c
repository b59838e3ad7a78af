/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include "daemon.h"
#include "epset.h"
#include "intfd.h"
#include "io.h"
#include "member.h"
#include "real.h"
#include "sys.h"
#include "user.h"
#include "wait.h"

#define MAX_DEPTH	4	/* sets in sets: the kernel takes no more */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool inside;	/* between the first thought of the lock and the last */
static __thread bool late;	/* a handler that came there has closed something */

/* toed's log of moves, how far it was followed, and how often it was not */
static pthread_mutex_t moved_lock = PTHREAD_MUTEX_INITIALIZER;
static struct toe_moved *moved_log, *moved_of;	/* of: that moved_tail stands in */
static uint32_t moved_tail, moved_missed;

void epset_lock(void)
{
	st(&inside, true);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	pthread_mutex_lock(&lock);
}

static void closed_late(struct sonode *sn);

void epset_unlock(void)
{
	for (;;) {
		if (__builtin_expect(ld(&late), 0)) {
			st(&late, false);
			sonode_each(closed_late);
		}
		pthread_mutex_unlock(&lock);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		st(&inside, false);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (!ld(&late))
			return;
		epset_lock();	/* it came behind the look at that */
	}
}

bool epset_busy(void)
{
	return ld(&inside);
}

/* A toed that does not know this process: the TAPs that the instance held are no more. */
static void unbind(struct epset *set)
{
	struct member *m;

	set->daemon_fresh = daemon_fresh();
	st(&set->qps, 0);
	LIST_FOREACH(m, &set->members, in_set)
		if (m->on_hw)
			m->word = TOE_PATH_NONE;
}

/* One that knows it left all as it was: members whose word has not changed are not bound again. */
static void activate(struct epset *set)
{
	if (set->active && set->daemon_gen == daemon_gen())
		return;
	set->daemon_gen = daemon_gen();
	if (set->daemon_fresh != daemon_fresh())
		unbind(set);
	st(&set->rescan, 1);
	st_sc(&set->active, 1);		/* before it: who is woken by the eventfd looks for events that are ours */
	wait_add_daemon(set->slot->fd);
}

bool epset_behind(const struct epset *set)
{
	return ld(&set->rescan) || (ld(&set->active) && (ld(&set->missed) != ld(&moved_missed) ||
							 ld(&set->daemon_gen) != daemon_gen()));
}

struct sonode *epset_rescan(struct epset *set)
{
	struct sonode *stuck = NULL;
	struct member *m, *next;

	st(&set->rescan, 0);
	st(&set->missed, ld(&moved_missed));
	if (set->active)
		activate(set);
	for (m = LIST_FIRST(&set->members); m; m = next) {
		next = LIST_NEXT(m, in_set);
		if (ld(&m->sn->sh) && member_sync(m) && m->on_hw && m->word != sonode_word(m->sn))
			stuck = m->sn;
	}
	return stuck;
}

static uint32_t ring_events(const struct member *m)
{
	uint32_t want = m->ev.events, got = 0;
	struct ring r;

	if (sonode_ring(m->sn, m->word, &r))
		return 0;
	if ((uint32_t)ld(&r.ctl->tx_filled) != ld(&r.ctl->snd_nxt))
		st(&m->set->unsent, 1);
	if (want & (EPOLLIN | EPOLLRDNORM) && io_readable(m->sn, &r)) {
		got |= EPOLLIN | EPOLLRDNORM;
		ring_prefetch(&r);
	}
	if (want & (EPOLLOUT | EPOLLWRNORM) && io_writable(m->sn, &r))
		got |= EPOLLOUT | EPOLLWRNORM;
	return ring_stale(&r) ? 0 : got & want;	/* frozen positions look ready */
}

/* Nonzero: report it. The member leaves the queue unless it is level-triggered and ready. */
static uint32_t member_look(struct member *m)
{
	uint32_t got;

	if (sonode_word(m->sn) != m->word || !m->on_hw) {
		if (member_sync(m) && sonode_word(m->sn) != m->word)
			member_ready_del(m);
		return 0;
	}
	got = ring_events(m);
	member_ready_del(m);
	if (!got)
		return 0;
	if (m->ev.events & EPOLLONESHOT)
		m->disabled = 1;
	else if (!(m->ev.events & EPOLLET))
		member_ready_add(m);
	return got;
}

#define AHEAD	8	/* members, from each step to the next */

/* With many connections nothing that a look needs is in a cache. It is fetched in two steps, as where the rings are
 * stands in the slot. */
static void fetch_slot(const struct ready *q, uint32_t n)
{
	const struct ready_item *it = ready_ahead(q, n);

	if (it)
		sonode_prefetch(it->sn);
}

static void fetch_rings(const struct ready *q, uint32_t n)
{
	const struct ready_item *it = ready_ahead(q, n);

	if (it)
		sonode_prefetch_rings(it->sn);
}

/* What the first looks need; fetch_ahead() goes on from there. */
static void fetch_first(const struct ready *q)
{
	uint32_t i, n = q->tail - q->head;

	for (i = 0; i < 2 * AHEAD && i < n; i++)
		fetch_slot(q, i);
	for (i = 0; i < AHEAD && i < n; i++)
		fetch_rings(q, i);
}

static void fetch_ahead(const struct ready *q)
{
	fetch_slot(q, 2 * AHEAD);
	fetch_rings(q, AHEAD);
}

int epset_collect(struct epset *set, struct epoll_event *out, int max)
{
	unsigned int look = set->ready.nr;
	struct epoll_event ev;
	struct member *m;
	int n = 0;

	if (look > 1)
		fetch_first(&set->ready);
	while (look-- && n < max && (m = ready_first(&set->ready))) {
		fetch_ahead(&set->ready);
		ev.data = m->ev.data;
		ev.events = member_look(m);
		if (ev.events)
			out[n++] = ev;
	}
	return n;
}

bool epset_has_ready(struct epset *set)
{
	const struct ready_item *it;
	uint32_t n;

	for (n = 0; n < set->ready.tail - set->ready.head; n++) {
		it = ready_ahead(&set->ready, n);
		if (it && it->m->on_hw && sonode_word(it->sn) == it->m->word && ring_events(it->m))
			return true;
	}
	return false;
}

int epset_nested(struct epset *set, struct nested *out, int max)
{
	struct member *m;
	int n = 0;

	if (set->nr_nested)
		LIST_FOREACH(m, &set->members, in_set)
			if (m->sn->ep && m->ev.events & EPOLLIN && n < max)
				out[n++] = (struct nested){ m->sn->ep, m->ev.data };
	return n;
}

/*
 * An error or hang-up event: real, or the instant in which a move closes the
 * socket? Registrations share data only if the application made them so. True: real, and *events is what
 * the socket says; false: what is left of them.
 */
static bool member_confirm(struct member *m, uint32_t *events)
{
	struct pollfd p = { .fd = m->sn->fd, .events = POLLIN | POLLOUT | POLLRDHUP };
	uint32_t path = word_path(sonode_settled(m->sn)), now;
	const struct timespec at_once = { 0 };
	int rc;

	if (path == TOE_PATH_HW || path == TOE_PATH_MOVING) {
		*events &= ~(EPOLLERR | EPOLLHUP | EPOLLRDHUP);
		return false;
	}
	/* what the socket says now: that instant's hang-up came without the bytes and the FIN that were the move's cause */
	rc = (int)sys6(SYS_ppoll, (long)&p, 1, (long)&at_once, 0, 0, 0);
	now = (uint32_t)p.revents & (m->ev.events | EPOLLERR | EPOLLHUP);
	if (rc == 1 && p.revents & (POLLERR | POLLHUP | POLLRDHUP | POLLNVAL) && now) {
		*events = now;
		return true;
	}
	/* an edge that is not handed on must be able to come again */
	member_ask(m, m->disabled ? EPOLLONESHOT : m->ev.events);
	*events &= m->ev.events & EPOLLONESHOT ? 0 : ~(EPOLLERR | EPOLLHUP | EPOLLRDHUP);
	return false;
}

uint32_t epset_confirm(struct epset *set, const struct epoll_event *ev)
{
	uint32_t left = ev->events, one;
	struct member *m, *next;

	for (m = LIST_FIRST(&set->members); m; m = next) {
		next = LIST_NEXT(m, in_set);
		if ((m->ev.data.u64 != ev->data.u64 && member_data(m).u64 != ev->data.u64) ||
		    !ld(&m->sn->tracked))
			continue;
		one = ev->events;
		if (member_confirm(m, &one))
			return one;
		if (m->on_hw)
			one &= ~(uint32_t)(EPOLLIN | EPOLLOUT);
		left &= one;
		if (member_sync(m) && m->on_hw)
			member_ready_add(m);
	}
	return left;
}

static bool member_claim(struct epset *set, struct sonode *sn, struct epoll_event *ev)
{
	struct member *m = sn ? member_find(sn, set) : NULL;

	/* came to the rings meanwhile and was reported from there */
	if (!m || (m->disabled && !set->inherited))
		return false;
	m->disabled = 1;
	member_ready_del(m);
	ev->data = m->ev.data;
	return true;
}

bool epset_claim(struct epset *set, struct epoll_event *ev)
{
	int fd = member_marked(ev->data.ptr);
	bool ok;

	if (fd < 0)
		return true;
	epset_lock();
	ok = member_claim(set, slot_get(fd), ev);
	epset_unlock();
	return ok;
}

static bool slept_in(const struct epset *set, int depth)
{
	const struct sonode *slot = set->slot;
	const struct member *m;

	if (ld_sc(&set->sleepers))
		return true;
	do {
		for (m = slot->members; m && depth; m = m->next_of_fd)
			if (slept_in(m->set, depth - 1))
				return true;
		slot = slot->ep_alias;
	} while (slot && slot != set->slot);
	return false;
}

bool epset_slept_in(const struct epset *set)
{
	return slept_in(set, MAX_DEPTH);
}

static bool wake_others(struct epset *set, const struct epset *self)
{
	return set != self && epset_slept_in(set);
}

/* Lock held. True: somebody else is to be told. */
static bool event(struct sonode *sn, struct epset *self)
{
	struct member *m, *next;
	bool kick = false;

	for (m = sn->members; m; m = next) {
		next = m->next_of_fd;
		if (!member_sync(m) || !m->on_hw)
			continue;
		member_ready_add(m);
		kick |= wake_others(m->set, self);
	}
	return kick;
}

void epset_events(struct sonode *const *sn, int n, struct epset *self)
{
	bool kick = false;

	if (epset_busy())
		return;
	epset_lock();
	for (int i = 0; i < n; i++)
		kick |= event(sn[i], self);
	epset_unlock();
	if (kick)
		daemon_kick();
}

void epset_tracked(struct sonode *sn)
{
	struct member *m, *next;
	bool fixed = false;

	if (!ld(&sn->members))
		return;
	epset_lock();
	closed_late(sn);
	for (m = sn->members; m; m = next) {
		next = m->next_of_fd;
		fixed |= m->ev.events & EPOLLEXCLUSIVE;
		activate(m->set);
		member_start(m);
	}
	epset_unlock();
	if (fixed)	/* the kernel takes no change of these */
		sonode_untrack(sn, TOE_WHY_CALL);
}

void epset_sync(struct sonode *sn)
{
	struct member *m, *next;

	if (!ld(&sn->members) || epset_busy())	/* then it is done by those whom the eventfd tells of the move */
		return;
	epset_lock();
	for (m = sn->members; m; m = next) {
		next = m->next_of_fd;
		member_sync(m);
	}
	epset_unlock();
}

/* Without the lock: who holds that may be asking toed for something, and this is said in between. */
void epset_new_log(struct toe_moved *new)
{
	st_rel(&moved_log, new);
	add_sc(&moved_missed, 1);
}

/* Whoever comes second waits until the first has brought all sets in line, its own among them. */
void epset_moved(void)
{
	struct toe_moved *log;
	struct sonode *sn;
	uint32_t head;

	pthread_mutex_lock(&moved_lock);
	log = ld_acq(&moved_log);
	head = log ? ld_acq(&log->head) : 0;
	/* the rest of the ring is room for what is written meanwhile */
	if (log != moved_of || head - moved_tail > TOE_MOVED_RING / 2) {
		moved_of = log;
		moved_tail = head;
		add_sc(&moved_missed, 1);
	}
	for (; moved_tail != head; moved_tail++) {
		sn = slot_get(ld(&log->fd[moved_tail % TOE_MOVED_RING]));
		if (sn && ld(&sn->sh))
			epset_sync(sn);
	}
	pthread_mutex_unlock(&moved_lock);
}

static struct epset *epset_make(struct sonode *slot)
{
	struct epset *set = slot->ep;
	struct member *m;

	if (set)
		return set;
	set = slot->ep_old ? slot->ep_old : calloc(1, sizeof(*set));
	if (!set)
		return NULL;
	memset(&set->members, 0, sizeof(*set) - offsetof(struct epset, members));	/* a thread may still be in epset_wait() */
	set->slot = slot;
	for (m = slot->members; m; m = m->next_of_fd)
		st(&m->set->nr_nested, m->set->nr_nested + 1);
	LIST_INIT(&set->members);
	st_rel(&slot->ep, set);
	return set;
}

void epset_new(struct sonode *sn)
{
	epset_lock();
	epset_make(sn);
	epset_unlock();
}

/* True: who is asleep in the set is to look, and to arm: the kernel says nothing of a parked socket. */
static bool note_add(struct sonode *slot, struct sonode *sn, const struct epoll_event *ev)
{
	struct epset *set = epset_make(slot);
	struct member *m = set ? member_find(sn, set) : NULL;

	if (m)			/* closed where we did not see it, and registered anew */
		member_free(m);
	m = set ? member_new(set, sn) : NULL;
	if (!m)
		return false;
	m->ev = *ev;
	if (!sonode_get(sn->fd))
		return false;
	activate(set);
	member_start(m);
	return set->nr_hw && epset_slept_in(set);
}

/* On the hardware path the kernel's registration stays as it is. */
static bool mod_hw(struct sonode *slot, struct sonode *sn, const struct epoll_event *ev, bool *kick)
{
	struct member *m = slot->ep ? member_find(sn, slot->ep) : NULL;
	epoll_data_t old;

	if (!m || !sonode_get(sn->fd) || !member_sync(m) || !m->on_hw)
		return false;
	old = member_data(m);
	m->ev = *ev;
	m->disabled = 0;
	if (member_data(m).u64 != old.u64)
		member_ask(m, EPOLLET);
	member_ready_add(m);
	*kick = epset_slept_in(m->set);
	return true;
}

static void note(struct sonode *slot, struct sonode *sn, int op, const struct epoll_event *ev, bool *kick)
{
	struct member *m = slot->ep ? member_find(sn, slot->ep) : NULL;

	if (op == EPOLL_CTL_ADD) {
		*kick = note_add(slot, sn, ev);
	} else if (m && op == EPOLL_CTL_MOD) {
		m->ev = *ev;
		m->disabled = 0;
		member_sync(m);
	} else if (m && op == EPOLL_CTL_DEL) {
		member_free(m);
	}
}

/* As the application asks for it, but see member_mark(). */
static int kernel_ctl(struct sonode *slot, struct sonode *sn, int op, struct epoll_event *ev)
{
	struct epoll_event ours;

	if (op != EPOLL_CTL_DEL && ev->events & EPOLLONESHOT && sonode_get(sn->fd) &&
	    (op == EPOLL_CTL_ADD || (slot->ep && member_find(sn, slot->ep)))) {
		ours.events = ev->events;
		ours.data.ptr = member_mark(sn->fd);
		ev = &ours;
	}
	return real.epoll_ctl(slot->fd, op, sn->fd, ev);
}

int epset_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct sonode *slot = slot_make(epfd), *sn = slot_make(fd);
	bool kick = false;
	int rc = 0;

	if (!slot || !sn || (op != EPOLL_CTL_DEL && no_memory(ev, sizeof(*ev))))
		return real.epoll_ctl(epfd, op, fd, ev);
	if (sonode_get(fd) && op == EPOLL_CTL_ADD && ev->events & EPOLLEXCLUSIVE)
		sonode_untrack(sn, TOE_WHY_CALL);	/* cannot be modified later */
	if (sonode_get(fd))
		sonode_word(sn);	/* inherited: taken over now, not under the lock */
	epset_lock();
	closed_late(slot);
	closed_late(sn);
	if (op != EPOLL_CTL_MOD || !mod_hw(slot, sn, ev, &kick)) {
		rc = kernel_ctl(slot, sn, op, ev);
		if (!rc)
			note(slot, sn, op, ev, &kick);
	}
	epset_unlock();
	if (kick)
		daemon_kick();
	return rc;
}

void epset_alias(int fd, int copy)
{
	struct sonode *from = slot_get(fd), *to = from && ld(&from->ep) ? slot_make(copy) : NULL;
	struct member *m;

	if (!to || to == from || epset_busy())
		return;
	intfd_given(copy);
	epset_closed(to, false);	/* what it was, and was closed where we did not see it */
	epset_lock();
	if (from->ep) {
		to->ep_alias = from->ep_alias ? from->ep_alias : from;
		from->ep_alias = to;
		for (m = to->members; m; m = m->next_of_fd)
			st(&m->set->nr_nested, m->set->nr_nested + 1);
		st_rel(&to->ep, from->ep);
	}
	epset_unlock();
}

/* One of several descriptors of an instance goes. */
static void alias_free(struct sonode *slot)
{
	struct sonode *prev = slot;
	struct member *m;

	while (prev->ep_alias != slot)
		prev = prev->ep_alias;
	prev->ep_alias = slot->ep_alias == prev ? NULL : slot->ep_alias;
	slot->ep_alias = NULL;
	if (slot->ep->slot == slot)
		st(&slot->ep->slot, prev);
	for (m = slot->members; m; m = m->next_of_fd)
		st(&m->set->nr_nested, m->set->nr_nested - 1);
	st(&slot->ep, NULL);
}

static void set_free(struct sonode *slot)
{
	struct epset *set = slot->ep;
	struct member *m;

	if (!set)
		return;
	if (slot->ep_alias) {
		alias_free(slot);
		return;
	}
	while ((m = LIST_FIRST(&set->members)))
		member_free(m);
	ready_free(&set->ready);
	for (m = slot->members; m; m = m->next_of_fd)
		st(&m->set->nr_nested, m->set->nr_nested - 1);
	st(&set->closed, set->closed + 1);
	st(&slot->ep, NULL);
	slot->ep_old = set;
}

/* The number may be another file's by now: nothing is said to the kernel. */
static void closed_late(struct sonode *sn)
{
	if (!ld(&sn->closed))
		return;
	st(&sn->closed, 0);
	set_free(sn);
	while (sn->members)
		member_free(sn->members);
}

void epset_closed(struct sonode *sn, bool tracked)
{
	struct member *m;

	if (!ld(&sn->members) && !ld(&sn->ep))
		return;
	if (epset_busy()) {
		st(&sn->closed, 1);
		st(&late, true);
		return;
	}
	epset_lock();
	st(&sn->closed, 0);
	set_free(sn);
	while ((m = sn->members)) {
		if (tracked && !m->set->inherited)	/* toed may hold a duplicate for a moment longer */
			real.epoll_ctl(m->set->slot->fd, EPOLL_CTL_DEL, sn->fd, NULL);
		member_free(m);
	}
	epset_unlock();
}

/* Taken over without the lock, which that needs itself; each call of the loop finds another one. */
void epset_claim_all(struct epset *set)
{
	struct sonode *sn;
	struct member *m;

	do {
		sn = NULL;
		epset_lock();
		LIST_FOREACH(m, &set->members, in_set)
			if (ld(&m->sn->tracked) && ld(&m->sn->inherit) == SN_INHERITED)
				sn = m->sn;
		epset_unlock();
		if (sn)
			sonode_word(sn);
	} while (sn);
	st(&set->unclaimed, 0);
}

/* The instances are shared with the parent, which also decides what they ask of the kernel until the sockets
 * are claimed here. */
static void set_forked(struct sonode *sn)
{
	struct epset *set = sn->ep;
	struct member *m;

	if (!set)
		return;
	LIST_FOREACH(m, &set->members, in_set)
		member_ready_del(m);
	set->qps = set->sleepers = set->daemon_gen = 0;
	set->inherited = set->unclaimed = 1;
}

void epset_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_mutex_init(&moved_lock, NULL);
	moved_log = moved_of = NULL;
	moved_tail = 0;
	sonode_each(set_forked);
}
