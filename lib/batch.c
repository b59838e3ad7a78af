/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include "batch.h"
#include "qp.h"
#include "sys.h"
#include "toe/desc.h"
#include "tx.h"
#include "wait.h"

/* Between two answers: others are not to wait for a thread that takes so long, some 20 us. */
#ifndef batch_clock
#ifdef __x86_64__
#define batch_clock()	__builtin_ia32_rdtsc()
#define SLOW		60000
#else
#define batch_clock()	((uint64_t)wait_now())
#define SLOW		20000
#endif
#endif
#define BATCH_SOLO	256	/* answers until that is tried again */

__thread struct batch batch __attribute__((tls_model("initial-exec")));

/* The items as they are sent: what was in flight then, to see what the engine took. */
struct out {
	struct ring r;
	uint32_t seq;
};

static bool no_batches;

void batch_init(void)
{
	const char *env = secure_getenv("TOE_BATCH");

	no_batches = env && !strcmp(env, "no");
}

/* For the thread's own signal handlers. */
static void busy(unsigned int on)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	st(&batch.busy, on);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static bool slow(void)
{
	uint64_t was = batch.last;

	batch.last = batch_clock();
	return batch.last - was > SLOW;
}

void batch_begin(int nr)
{
	batch.expected = nr > 1 ? nr : 0;
}

static bool known(const struct sonode *sn)
{
	for (unsigned int i = 0; i < batch.nr; i++)
		if (batch.sn[i] == sn)
			return true;
	return false;
}

bool batch_put(struct sonode *sn, const struct ring *r)
{
	uint32_t seq;

	if (!batch.expected || batch.busy || no_batches)
		return false;
	batch.expected--;
	if (batch.solo) {
		batch.solo--;
		return false;
	}
	/* wait_ctx(): its end sends what the thread leaves */
	if (batch.nr == TOE_MAX_BATCH || !tx_single(sn, r, &seq) || !qp_bind(sn, r) || !wait_ctx())
		return false;
	busy(1);
	if (slow() && batch.nr)
		batch.solo = BATCH_SOLO;
	if (!known(sn))
		batch.sn[batch.nr++] = sn;
	busy(0);
	return true;
}

/* What of this connection can leave now, in one segment; then its write lock stays taken. What cannot leaves as always. Who
 * holds the lock meanwhile sends it: waiting for one lock with another held could be for ever. */
static bool item(struct sonode *sn, struct toe_batch_item *it, struct out *o)
{
	uint32_t len, word = sonode_word(sn);

	if (word_path(word) != TOE_PATH_HW || sonode_ring(sn, word, &o->r) || !tx_trylock(sn))
		return false;
	len = tx_take(sn, &o->r, TOE_MAX_PAYLOAD, &o->seq);
	if (!len) {
		tx_push(sn, &o->r, false, false);
		tx_unlock(sn);
		return false;
	}
	*it = (struct toe_batch_item){ o->r.connid, o->r.gen, o->seq, len, TOE_DESC_PSH };
	return true;
}

static void write_batch(const struct qp *qp, uint8_t *frame, size_t len, unsigned int nr)
{
	struct toe_batch_item *first = (struct toe_batch_item *)(frame + TOE_BATCH_OFF);
	size_t least = TOE_BATCH_OFF + nr * sizeof(*first);

	*(struct toe_desc *)frame = (struct toe_desc){
		.magic = TOE_DESC_MAGIC, .op = TOE_OP_BATCH, .hw_connid = first->hw_connid, .gen = first->gen, .nr = nr,
	};
	sys3(SYS_write, ld(&qp->fd), frame, len < least ? least : len);
}

/* Those that the engine did not take, and acknowledgements that were put off so as not to overtake the batch. */
static unsigned int rest(struct sonode *const *sn, const struct out *out, unsigned int nr)
{
	unsigned int i, left = 0;

	for (i = 0; i < nr; i++)
		left += !tx_settle(sn[i], &out[i].r, out[i].seq);
	return left;
}

static void send_all(struct sonode *const *all, unsigned int n)
{
	_Alignas(struct toe_desc) uint8_t frame[TOE_HDR_MAX + TOE_MAX_PAYLOAD];
	struct toe_batch_item *it = (struct toe_batch_item *)(frame + TOE_BATCH_OFF);
	struct sonode *sn[TOE_MAX_BATCH];
	struct out out[TOE_MAX_BATCH];
	struct qp *qp;
	unsigned int i, nr = 0;
	size_t len = 0;

	memset(frame, 0, TOE_BATCH_OFF);
	for (i = 0; i < n; i++) {
		if (!item(all[i], &it[nr], &out[nr]))
			continue;
		if (out[nr].r.hdr_len + it[nr].len > len)
			len = out[nr].r.hdr_len + it[nr].len;
		sn[nr++] = all[i];
	}
	qp = nr > 1 ? qp_bind(sn[0], &out[0].r) : NULL;	/* bound before: toed is not asked with the locks held */
	if (qp)
		write_batch(qp, frame, len, nr);
	/* refused, or gone before: the thread stayed away for so long that somebody else sent it */
	if ((rest(sn, out, nr) && nr > 1) || nr < n)
		batch.solo = BATCH_SOLO;
}

void batch_send(void)
{
	unsigned int nr = batch.nr;
	int err = errno;

	if (batch.busy)
		return;
	busy(1);
	batch.nr = 0;
	if (ld(&toe_proc->pid))		/* else a child's copy of what its parent is to send */
		send_all(batch.sn, nr);
	busy(0);
	errno = err;
}

void batch_send_acks(void)
{
	unsigned int nr = batch.nr_owed;
	int err = errno;

	batch.nr_owed = 0;
	for (unsigned int i = 0; i < nr && ld(&toe_proc->pid); i++)
		tx_quickack(batch.owed[i]);
	errno = err;
}

void batch_forked(void)
{
	batch.nr = batch.expected = batch.busy = batch.nr_owed = 0;
}
