/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qp.h"
#include "tx.h"

static __thread char self;

bool tx_lock(struct sonode *sn)
{
	if (ld(&sn->wowner) == &self)
		return false;
	pthread_mutex_lock(&sn->wlock);
	st(&sn->wowner, (void *)&self);
	return true;
}

void tx_unlock(struct sonode *sn)
{
	st(&sn->wowner, NULL);
	pthread_mutex_unlock(&sn->wlock);
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

void tx_push(struct sonode *sn, const struct ring *r, bool more, bool force)
{
	struct toe_desc desc = { .op = TOE_OP_DATA };
	uint32_t filled, len, seq;
	struct qp *qp;

	if (!pos_load(&r->ctl->tx_filled, &filled) || !next_len(sn, r, filled, more, force, &seq))
		return;
	qp = qp_bind(sn, r);
	while (qp && (len = next_len(sn, r, filled, more, force, &seq))) {
		desc.seq = seq;
		desc.len = len;
		desc.flags = desc.seq + len == filled ? TOE_DESC_PSH : 0;
		qp_write(qp, r, &desc);
		if (ld_acq(&r->ctl->snd_nxt) == desc.seq)
			break;
		if (len < r->mss)
			sn->small_end = desc.seq + len;
	}
}

static bool hw_ring(struct sonode *sn, struct ring *r)
{
	uint32_t word = sonode_word(sn);

	if (word_path(word) != TOE_PATH_HW || sonode_ring(sn, word, r))
		return false;
	sonode_opts(sn, word);
	return true;
}

void tx_kick(struct sonode *sn)
{
	uint32_t filled;
	struct ring r;

	if (!hw_ring(sn, &r) || !pos_load(&r.ctl->tx_filled, &filled) ||
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
