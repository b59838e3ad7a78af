/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "csum.h"
#include "daemon.h"
#include "epset.h"
#include "intfd.h"
#include "qp.h"
#include "quiet.h"
#include "real.h"
#include "sys.h"
#include "tx.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* pool, and which is bound; signal handlers send, too */
static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER; /* outside of lock: one asks for a queue pair */
static struct qp pool[QP_MAX];
static unsigned int nr_qps;
static int32_t conn_fd[TOE_MAX_CONNS];	/* HW_CONNID -> descriptor + 1 */
static uint32_t fork_gen = 1;
static uint32_t pool_fresh;		/* daemon_fresh() that the pool belongs to */

static __thread struct qp *mine;
static __thread uint32_t mine_gen;

/* As toed gives it. */
struct new_qp {
	struct toe_qp_wake *wake;
	uint32_t id, fresh;	/* fresh: which toed */
	int fd;
};

static int ask_once(struct new_qp *new)
{
	struct toe_msg msg = { .type = TOE_MSG_QP };
	int n = 1, rc;
	uint8_t *slab;

	new->fd = -1;
	rc = daemon_request(&msg, &new->fd, &n);
	if (rc || n != 1)
		goto fail;
	slab = daemon_slab(msg.slab);
	if (!slab || msg.chunk >= TOE_SLAB_CHUNKS)
		goto fail;
	new->wake = (struct toe_qp_wake *)(slab + (size_t)msg.chunk * TOE_CHUNK_SIZE);
	new->id = msg.qp;
	return 0;
fail:
	if (n == 1 && new->fd >= 0)
		real.close(new->fd);
	return -EIO;
}

/* Again if another toed came meanwhile: it is not known whose this one is. */
static int ask(struct new_qp *new)
{
	int i;

	for (i = 0; i < 3; i++) {
		new->fresh = daemon_fresh();
		if (ask_once(new))
			break;
		if (new->fresh == daemon_fresh())
			return 0;
		real.close(new->fd);
	}
	return -EIO;
}

/* Caller holds the lock. */
static struct qp *pool_add(const struct new_qp *new)
{
	struct qp *qp = &pool[nr_qps];

	if (new->fresh != pool_fresh) {
		real.close(new->fd);
		return NULL;
	}
	qp->wake = new->wake;
	qp->id = new->id;
	qp->idx = nr_qps;
	qp->threads = 0;
	if (intfd_adopt(&qp->fd, new->fd))
		return NULL;
	st_rel(&nr_qps, nr_qps + 1);
	return qp;
}

/* Caller holds the lock. */
static void pool_check(void)
{
	if (pool_fresh == daemon_fresh())
		return;
	pool_fresh = daemon_fresh();
	while (nr_qps) {
		st_rel(&nr_qps, nr_qps - 1);
		intfd_close(&pool[nr_qps].fd);
	}
	st(&fork_gen, fork_gen + 1);
}

static struct qp *least_used(void)
{
	struct qp *best = NULL;
	unsigned int i;

	for (i = 0; i < nr_qps; i++)
		if (!best || pool[i].threads < best->threads)
			best = &pool[i];
	return best;
}

static bool want_more(void)
{
	const struct qp *qp = least_used();

	return (!qp || qp->threads) && nr_qps < QP_MAX;
}

/* The request may take half a minute, when there is no toed: those who only use the pool go on meanwhile. */
static void pool_grow(void)
{
	struct new_qp new;
	bool more;
	sigset_t old;

	pthread_mutex_lock(&growing);
	quiet_lock(&lock, &old);
	pool_check();
	more = want_more();
	quiet_unlock(&lock, &old);
	if (more && !ask(&new)) {
		quiet_lock(&lock, &old);
		pool_check();
		pool_add(&new);
		quiet_unlock(&lock, &old);
	}
	pthread_mutex_unlock(&growing);
}

static void choose(void)
{
	struct qp *qp;
	sigset_t old;

	quiet_lock(&lock, &old);
	pool_check();
	if (want_more()) {
		quiet_unlock(&lock, &old);
		pool_grow();
		quiet_lock(&lock, &old);
		pool_check();
	}
	qp = least_used();
	if (qp)
		qp->threads++;
	mine = qp;
	mine_gen = fork_gen;
	quiet_unlock(&lock, &old);
}

struct qp *qp_mine(void)
{
	int cancel;

	if (mine && mine_gen == ld(&fork_gen) && ld(&pool_fresh) == daemon_fresh())
		return mine;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);	/* the locks would stay behind */
	choose();
	pthread_setcancelstate(cancel, NULL);
	return mine;
}

void qp_thread_gone(void)
{
	sigset_t old;

	if (!mine || mine_gen != fork_gen)
		return;
	quiet_lock(&lock, &old);
	mine->threads--;
	quiet_unlock(&lock, &old);
	mine = NULL;
}

struct qp *qp_at(unsigned int idx)
{
	return idx < ld_acq(&nr_qps) ? &pool[idx] : NULL;
}

static bool rings(const struct ring *r, const struct qp *qp)
{
	return ld(&r->ctl->qp) == qp->id;
}

/* The engine refuses what comes while the entry is locked for long, or held: so again with each use until it is there. */
struct qp *qp_bind(struct sonode *sn, const struct ring *r)
{
	struct toe_desc desc = { .op = TOE_OP_BIND };
	struct qp *qp;
	sigset_t old;

	if (ld_acq(&sn->qp_word) == r->word) {
		qp = ld(&sn->qp);
		if (rings(r, qp))
			return qp;
	}
	qp = qp_mine();
	if (!qp || r->connid >= TOE_MAX_CONNS)
		return NULL;
	quiet_lock(&lock, &old);
	if (sn->qp_word != r->word) {
		if (ring_stale(r)) {	/* a thread that comes late: others sleep on what rings now */
			quiet_unlock(&lock, &old);
			return qp;
		}
		st(&conn_fd[r->connid], sn->fd + 1);
		st(&sn->qp, qp);
		st_rel(&sn->qp_word, r->word);
	}
	qp = sn->qp;
	if (!rings(r, qp))
		qp_write(qp, r, &desc);
	quiet_unlock(&lock, &old);
	return qp;
}

#define BIND_TRIES	8
#define BIND_PAUSE_NS	1000000

struct qp *qp_bind_sure(struct sonode *sn, const struct ring *r)
{
	const struct timespec pause = { .tv_nsec = BIND_PAUSE_NS };
	struct qp *qp;
	int i;

	for (i = 0; i < BIND_TRIES; i++) {
		qp = qp_bind(sn, r);
		if (!qp || rings(r, qp) || sonode_word(sn) != r->word)
			return qp;
		sys3(SYS_nanosleep, (long)&pause, NULL, 0);
	}
	return NULL;
}

/* Straight to where it is written from: read back in other pieces than it was stored in, it would cost a stall. */
static void desc_put(uint8_t *room, const struct ring *r, const struct toe_desc *desc, uint16_t csum)
{
	*(struct toe_desc *)room = (struct toe_desc){
		.magic = TOE_DESC_MAGIC, .op = desc->op, .flags = desc->flags, .hw_connid = r->connid, .gen = r->gen,
		.seq = desc->seq, .len = desc->len, .csum = csum, .nr = desc->nr, .last = desc->last,
	};
}

/* One piece, and what the sum is taken of is what leaves. */
size_t qp_frame(uint8_t *frame, const struct ring *r, const struct toe_desc *desc)
{
	uint8_t *payload = frame + r->hdr_len, *from;
	size_t len = desc->len, at, n;

	memset(frame, 0, TOE_HDR_MAX);
	for (at = 0; at < len; at += n) {
		from = tx_piece(r, desc->seq + at, len - at, &n);
		memcpy(payload + at, from, n);
	}
	desc_put(frame, r, desc, csum_partial(payload, len));
	return r->hdr_len + len;
}

static void write_small(const struct qp *qp, const struct ring *r, const struct toe_desc *desc)
{
	_Alignas(struct toe_desc) uint8_t frame[QP_FRAME];

	sys3(SYS_write, ld(&qp->fd), frame, qp_frame(frame, r, desc));
}

/* The ring's end, its first bytes, what follows them. */
#define PIECES	3

/* From where it lies. */
static void write_vector(const struct qp *qp, const struct ring *r, const struct toe_desc *desc)
{
	_Alignas(struct toe_desc) uint8_t room[TOE_HDR_MAX] = { 0 };
	struct iovec iov[1 + PIECES] = { { room, r->hdr_len } }, *v = iov;
	size_t at = 0, len = desc->len;
	uint16_t csum = 0;

	while (at < len && v < iov + PIECES) {
		v++;
		v->iov_base = tx_piece(r, desc->seq + at, len - at, &v->iov_len);
		csum = csum_join(csum, csum_partial(v->iov_base, v->iov_len), at);
		at += v->iov_len;
	}
	desc_put(room, r, desc, csum);
	sys3(SYS_writev, ld(&qp->fd), iov, v - iov + 1);
}

/* The frame is as long as a segment. Behind the header room it may hold what it likes. */
void qp_train(struct qp *qp, const struct ring *r, const struct toe_desc *desc)
{
	_Alignas(struct toe_desc) uint8_t room[TOE_HDR_MAX] = { 0 };
	struct iovec iov[2] = { { room, r->hdr_len }, { r->tx, desc->len } };

	desc_put(room, r, desc, 0);
	sys3(SYS_writev, ld(&qp->fd), iov, 2);
}

/* Not by libc's calls: those are cancellation points, and the write lock is held. */
void qp_write(struct qp *qp, const struct ring *r, const struct toe_desc *desc)
{
	if (desc->len > QP_SMALL)
		write_vector(qp, r, desc);
	else
		write_small(qp, r, desc);
}

static struct sonode *conn_sonode(uint32_t connid)
{
	struct sonode *sn = slot_get(ld(&conn_fd[connid]) - 1);
	struct toe_sonode *sh = sn ? ld_acq(&sn->sh) : NULL;

	if (!sh || word_path(ld_acq(&sh->word)) != TOE_PATH_HW || sh->hw_connid != connid)
		return NULL;
	return sn;
}

/* In two steps, as where the rings are stands in the SONODE. */
static void prefetch_word(unsigned int w, uint64_t bits)
{
	struct sonode *sn[64];
	int i, n = 0;

	for (; bits; bits &= bits - 1) {
		sn[n] = slot_get(ld(&conn_fd[w * 64 + __builtin_ctzll(bits)]) - 1);
		if (sn[n])
			sonode_prefetch(sn[n++]);
	}
	for (i = 0; i < n; i++)
		sonode_prefetch_rings(sn[i]);
}

static void service_word(struct qp *qp, unsigned int w, struct epset *self)
{
	uint64_t bits = wake_take(&qp->wake->words[w]);
	struct sonode *woken[64], *sn;
	bool watched = false;
	int i, n = 0;

	if (bits & (bits - 1))
		prefetch_word(w, bits);
	for (; bits; bits &= bits - 1) {
		sn = conn_sonode(w * 64 + __builtin_ctzll(bits));
		if (sn)
			woken[n++] = sn;
	}
	for (i = 0; i < n; i++) {
		tx_kick(woken[i]);
		watched |= !!ld(&woken[i]->members);
	}
	if (watched)		/* else all threads of a program without epoll would meet in its lock */
		epset_events(woken, n, self);
}

static void service_four(struct qp *qp, unsigned int first, struct epset *self)
{
	uint64_t sum;
	unsigned int i;

	for (i = first; i < first + 4; i++) {
		sum = wake_take(&qp->wake->summary[i]);
		for (; sum; sum &= sum - 1)
			service_word(qp, i * 64 + __builtin_ctzll(sum), self);
	}
}

/* Most of them are zero. */
static void service(struct qp *qp, struct epset *self)
{
	const __u64 *sum = qp->wake->summary;
	unsigned int i;

	_Static_assert(TOE_QP_SUMMARY % 4 == 0, "in fours");
	for (i = 0; i < TOE_QP_SUMMARY; i += 4)
		if (ld(&sum[i]) | ld(&sum[i + 1]) | ld(&sum[i + 2]) | ld(&sum[i + 3]))
			service_four(qp, i, self);
}

void qp_service(uint32_t qps, struct epset *self)
{
	struct qp *qp;

	if (epset_busy())	/* what it takes could not be noted */
		return;
	for (; qps; qps &= qps - 1) {
		qp = qp_at(__builtin_ctz(qps));
		if (qp)		/* else of a toed that is gone */
			service(qp, self);
	}
}

/* The child has no queue pairs: their wake blocks are not mapped there. */
void qp_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_mutex_init(&growing, NULL);
	nr_qps = 0;
	fork_gen++;
}
