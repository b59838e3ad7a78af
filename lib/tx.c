/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdatomic.h>
#include "qp.h"
#include "sys.h"
#include "tx.h"

static __thread char self, self_alone;	/* owner of a lock: with its mutex; without, as the process has one thread */
/* Whose lock this thread is about to take or to give back: between the mutex and its owner's name there are
 * instructions at which a signal handler would find a lock of nobody's, and wait for the code that it interrupts. */
static __thread struct sonode *at;

static struct sonode *at_lock(struct sonode *sn)
{
	struct sonode *before = ld(&at);	/* the handler's is within that of what it has interrupted */

	st(&at, sn);
	atomic_signal_fence(memory_order_seq_cst);
	return before;
}

static void at_rest(struct sonode *before)
{
	atomic_signal_fence(memory_order_seq_cst);
	st(&at, before);
}

/* Whoever has it is this thread. */
static bool lock_alone(struct sonode *sn)
{
	if (ld(&sn->wowner))
		return false;
	st(&sn->wowner, (void *)&self_alone);
	atomic_signal_fence(memory_order_seq_cst);
	return true;
}

static inline bool lock_by(struct sonode *sn, int (*lock)(pthread_mutex_t *))
{
	struct sonode *before;
	bool got;

	if (sys_alone())
		return lock_alone(sn);
	if (ld(&sn->wowner) == &self || ld(&sn->wowner) == &self_alone || ld(&at) == sn)
		return false;
	before = at_lock(sn);
	got = !lock(&sn->wlock);
	if (got)
		st(&sn->wowner, (void *)&self);
	at_rest(before);
	return got;
}

bool tx_lock(struct sonode *sn)
{
	return lock_by(sn, pthread_mutex_lock);
}

bool tx_trylock(struct sonode *sn)
{
	return lock_by(sn, pthread_mutex_trylock);
}

void tx_unlock(struct sonode *sn)
{
	struct sonode *before;

	if (ld(&sn->wowner) == &self_alone) {
		atomic_signal_fence(memory_order_seq_cst);
		st(&sn->wowner, NULL);
		return;
	}
	before = at_lock(sn);
	st(&sn->wowner, NULL);
	pthread_mutex_unlock(&sn->wlock);
	at_rest(before);
}

/* RFC 9293 3.7.4 with Minshall's change, as Linux: a short segment waits only for a short one. */
static bool nagle_holds(const struct sonode *sn, uint32_t una, uint32_t nxt, bool more)
{
	if (more || ld(&sn->cork))
		return true;
	/* small_end may be of an earlier stay in hardware: it counts inside (una, nxt] */
	return !ld(&sn->nodelay) && sn->small_end - una - 1 < nxt - una;
}

/* Payload bytes of the next segment, 0: nothing may leave now. *seq: where it begins, which is the snd_nxt that
 * the length was computed from: the daemon may pump meanwhile, and bytes beyond filled must never leave. */
static uint32_t next_len(const struct sonode *sn, const struct ring *r, uint32_t filled,
			 bool more, bool force, uint32_t *seq)
{
	uint32_t una = ld_acq(&r->ctl->snd_una), nxt = *seq = ld_acq(&r->ctl->snd_nxt);
	uint32_t rest = filled - nxt, len = rest < r->mss ? rest : r->mss;
	int32_t room = ld(&r->ctl->snd_edge) - nxt;

	if (!rest || rest > r->tx_size || room <= 0)
		return 0;
	/* RFC 9293 3.8.6.2.1: a window smaller than the segment is used only when nothing is in flight */
	if (len > (uint32_t)room)
		return nxt == una ? (uint32_t)room : 0;
	if (len < r->mss && !force && nagle_holds(sn, una, nxt, more))
		return 0;
	return len;
}

uint32_t tx_single(const struct sonode *sn, const struct ring *r, uint32_t *seq)
{
	uint32_t filled, len;

	if (!pos_load(&r->ctl->tx_filled, &filled))
		return 0;
	len = next_len(sn, r, filled, false, false, seq);
	return *seq + len == filled ? len : 0;
}

uint32_t tx_take(struct sonode *sn, const struct ring *r, uint32_t most, uint32_t *seq)
{
	uint32_t len = tx_single(sn, r, seq);

	if (len > most)
		return 0;
	if (len && len < r->mss)
		sn->small_end = *seq + len;
	return len;
}

#define SOLO	256	/* segments until a train is tried again that was refused */

/* How many segments may leave together with the one in desc: nr, and the length of the last. */
static void next_train(const struct sonode *sn, const struct ring *r, uint32_t filled, bool more, bool force,
		       struct toe_desc *desc)
{
	uint32_t una = ld_acq(&r->ctl->snd_una), rest = filled - desc->seq, room = ld(&r->ctl->snd_edge) - desc->seq;
	uint32_t fits = room < rest ? room : rest, nr = fits / r->mss, last = rest - nr * r->mss;

	if (desc->len < r->mss || r->mss < TOE_TRAIN_MSS || sn->solo)
		return;
	desc->last = r->mss;
	if (nr >= TOE_MAX_TRAIN) {
		nr = TOE_MAX_TRAIN;
	} else if (fits == rest && last && (force || !nagle_holds(sn, una, desc->seq, more))) {
		desc->last = last;
		nr++;
	}
	if (nr)			/* snd_edge was read again */
		desc->nr = nr;
}

/* Counted: the segments leave behind the engine's verdict, and made of what the ring holds; the connection moves on, and its
 * ring to another one, only when all have left. */
static void write_train(struct sonode *sn, const struct ring *r, struct qp *qp, const struct toe_desc *desc)
{
	struct toe_sonode *sh = ld_acq(&sn->sh);

	if (!users_enter(sh, r->word))
		return;
	qp_train(qp, r, desc);
	users_leave(sh, r->word);
}

/* One write. False: the engine did not take it. */
static bool push_one(struct sonode *sn, const struct ring *r, struct qp *qp, uint32_t filled, struct toe_desc *desc)
{
	bool train = desc->nr > 1;
	uint32_t last = train ? desc->last : desc->len;
	uint32_t end = desc->seq + (desc->nr - 1) * desc->len + last;

	desc->op = train ? TOE_OP_TRAIN : TOE_OP_DATA;
	desc->flags = end == filled ? TOE_DESC_PSH : 0;
	if (train)
		write_train(sn, r, qp, desc);
	else
		qp_write(qp, r, desc);
	if (ld_acq(&r->ctl->snd_nxt) == desc->seq)
		return false;
	if (last < r->mss)
		sn->small_end = end;
	sn->solo -= !!sn->solo;
	return true;
}

#define PUSH_TRIES	16

/* Refused, and nothing in flight whose acknowledgement would bring this thread or toed back to it: the entry was locked
 * for long. (Or it is held, for a move that sees to the rest.) */
static bool push_again(struct sonode *sn, const struct ring *r, uint32_t seq, int *tries)
{
	return ld_acq(&r->ctl->snd_una) == seq && ++*tries < PUSH_TRIES && sonode_word(sn) == r->word;
}

void tx_push(struct sonode *sn, const struct ring *r, bool more, bool force)
{
	struct toe_desc desc = { .nr = 1 };
	uint32_t filled, len, seq;
	struct qp *qp;
	int tries = 0;

	if (!pos_load(&r->ctl->tx_filled, &filled) || !next_len(sn, r, filled, more, force, &seq))
		return;
	qp = qp_bind(sn, r);
	while (qp && (len = next_len(sn, r, filled, more, force, &seq))) {
		desc = (struct toe_desc){ .seq = seq, .len = len, .nr = 1 };
		next_train(sn, r, filled, more, force, &desc);
		if (push_one(sn, r, qp, filled, &desc))
			continue;
		/* if not even one segment leaves, it is not for want of trains */
		sn->solo = desc.nr > 1 ? SOLO : 0;
		if (desc.nr == 1 && !push_again(sn, r, seq, &tries))
			break;
	}
	if (qp)
		tx_left(sn, r);
}

void tx_left(struct sonode *sn, const struct ring *r)
{
	if (ring_stale(r))	/* the control block may be another connection's */
		return;
	__atomic_exchange_n(&r->ctl->tx_left, ld_acq(&r->ctl->snd_nxt), __ATOMIC_SEQ_CST);
	if (ld(&r->ctl->ack_due) >= TOE_ACK_URGENT)
		tx_ack(sn, r);
}

bool tx_settle(struct sonode *sn, const struct ring *r, uint32_t seq)
{
	bool taken = ld_acq(&r->ctl->snd_nxt) != seq;

	if (!taken)
		tx_push(sn, r, false, false);
	tx_left(sn, r);
	tx_unlock(sn);
	return taken;
}

static bool hw_ring(struct sonode *sn, struct ring *r)
{
	uint32_t word = sonode_word(sn);

	return word_path(word) == TOE_PATH_HW && !sonode_ring(sn, word, r);
}

/* As at most wake-ups of a connection that answers requests. */
static bool nothing_waits(struct sonode *sn)
{
	const struct toe_ring_ctl *ctl = sonode_ctl(sn, sonode_word(sn));
	uint32_t filled;

	return ctl && pos_load(&ctl->tx_filled, &filled) && filled == ld_acq(&ctl->snd_nxt);
}

void tx_kick(struct sonode *sn)
{
	uint32_t filled;
	struct ring r;

	if (nothing_waits(sn) || !hw_ring(sn, &r) || !pos_load(&r.ctl->tx_filled, &filled) ||
	    filled == ld_acq(&r.ctl->snd_nxt) || !tx_lock(sn))
		return;
	tx_push(sn, &r, false, false);
	tx_unlock(sn);
}

void tx_flush(struct sonode *sn)
{
	struct ring r;

	if (!hw_ring(sn, &r) || !tx_lock(sn))
		return;
	tx_push(sn, &r, false, true);
	tx_unlock(sn);
}

void tx_ack(struct sonode *sn, const struct ring *r)
{
	struct toe_desc desc = { .op = TOE_OP_ACK };
	struct qp *qp = qp_bind(sn, r);

	if (qp)
		qp_write(qp, r, &desc);
}

void tx_quickack(struct sonode *sn)
{
	struct ring r;

	if (hw_ring(sn, &r) && ld(&r.ctl->ack_due))
		tx_ack(sn, &r);
}
