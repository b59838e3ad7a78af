// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which connections' segments the library lets leave together (lib/batch.c), before an engine that answers at once. */
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include "tests/unit/test.h"

#define SYS_H		/* system calls end here */
static long sys3(long nr, long fd, const void *buf, long len);
static bool sys_alone(void) { return false; }

static uint64_t clock_now;
#define batch_clock()	(clock_now++)
#define SLOW		1000

#include "lib/tx.c"
#include "lib/batch.c"
#include "tests/unit/lib_alone.h"

struct waitctx *wait_ctx(void)
{
	static struct waitctx mine;

	return &mine;
}

#define CONNS	20
#define MSS	1448U

static struct toe_ring_ctl ctl[CONNS];
static struct sonode sn[CONNS];
static struct toe_sonode sh[CONNS];
static struct ring ring[CONNS];
static struct qp qp_here = { .fd = 77 };
static struct toe_proc proc = { .pid = 1 };
struct toe_proc *toe_proc = &proc;
static unsigned int nr_batches, nr_items, nr_single, refuses;

static void taken(uint32_t connid, uint32_t seq, uint32_t len)
{
	assert_int_equal(ctl[connid].snd_nxt, seq);
	ctl[connid].snd_nxt += len;
}

static long sys3(long nr, long fd, const void *buf, long len)
{
	const struct toe_desc *d = buf;
	const struct toe_batch_item *it = (const void *)((const char *)buf + TOE_BATCH_OFF);

	assert_int_equal(nr, SYS_write);
	assert_int_equal(fd, 77);
	assert_int_equal(d->op, TOE_OP_BATCH);
	assert_in_range(d->nr, 2, TOE_MAX_BATCH);
	assert_int_equal(d->hw_connid, it[0].hw_connid);
	nr_batches++;
	for (unsigned int i = 0; i < d->nr; i++) {
		assert_true(len >= (long)(ring[it[i].hw_connid].hdr_len + it[i].len));
		if (it[i].hw_connid == refuses)
			continue;
		taken(it[i].hw_connid, it[i].seq, it[i].len);
		nr_items++;
	}
	return len;
}

struct qp *qp_mine(void)
{
	return &qp_here;
}

struct qp *qp_bind(struct sonode *s, const struct ring *r)
{
	(void)s;
	(void)r;
	return &qp_here;
}

void qp_write(struct qp *qp, const struct ring *r, const struct toe_desc *d)
{
	(void)qp;
	assert_int_equal(d->op, TOE_OP_DATA);
	nr_single++;
	taken(r->connid, d->seq, d->len);
}

void qp_train(struct qp *qp, const struct ring *r, const struct toe_desc *d)
{
	(void)qp;
	nr_single++;
	taken(r->connid, d->seq, (d->nr - 1U) * d->len + d->last);
}

int sonode_ring(struct sonode *s, uint32_t word, struct ring *r)
{
	(void)word;
	*r = ring[s - sn];
	return 0;
}

static int start(void **state)
{
	(void)state;
	batch_forked();
	batch.solo = 0;
	memset(sn, 0, sizeof(sn));
	nr_batches = nr_items = nr_single = 0;
	refuses = CONNS;
	for (unsigned int i = 0; i < CONNS; i++) {
		uint32_t at = i * 1000 - 3000;

		pthread_mutex_init(&sn[i].wlock, NULL);
		sh[i].word = 5 * TOE_EPOCH + TOE_PATH_HW;
		sn[i].sh = &sh[i];
		sn[i].nodelay = 1;
		ctl[i] = (struct toe_ring_ctl){ .snd_una = at, .snd_nxt = at, .tx_filled = at, .snd_edge = at + 100000,
						   .tx_left = at };
		ring[i] = (struct ring){ .ctl = &ctl[i], .word = sh[i].word, .connid = i, .gen = 9, .mss = MSS, .hdr_len = 66,
					 .tx_size = 65536 };
	}
	return 0;
}

/* As tx_pass() does. True: put off. */
static bool answer(unsigned int i, uint32_t len)
{
	bool off;

	ctl[i].tx_filled = (uint32_t)(ctl[i].tx_filled + len);
	assert_true(tx_lock(&sn[i]));
	off = batch_put(&sn[i], &ring[i]);
	if (!off)
		tx_push(&sn[i], &ring[i], false, false);
	tx_unlock(&sn[i]);
	batch_check();
	return off;
}

static void all_sent(void)
{
	for (unsigned int i = 0; i < CONNS; i++) {
		assert_int_equal(ctl[i].snd_nxt, (uint32_t)ctl[i].tx_filled);
		assert_int_equal(ctl[i].tx_left, ctl[i].snd_nxt);	/* acknowledgements need not wait any more */
	}
	assert_int_equal(batch.nr, 0);
}

/* A thread that was told of one socket, or of none, sends at once. */
static void alone(void **state)
{
	(void)state;
	assert_false(answer(0, 10));
	batch_begin(1);
	assert_false(answer(1, 10));
	assert_int_equal(nr_single, 2);
	all_sent();
}

static void together(void **state)
{
	(void)state;
	batch_begin(3);
	assert_true(answer(0, 10));
	assert_true(answer(1, MSS));
	assert_int_equal(nr_batches, 0);
	assert_true(answer(2, 1));			/* the last of them */
	assert_int_equal(nr_batches, 1);
	assert_int_equal(nr_items, 3);
	assert_int_equal(sn[0].small_end, (uint32_t)ctl[0].snd_nxt);
	assert_int_equal(sn[1].small_end, 0);
	all_sent();
	batch_begin(CONNS);
	for (unsigned int i = 0; i < TOE_MAX_BATCH; i++)
		assert_true(answer(i, 100));
	assert_int_equal(nr_batches, 2);
	assert_true(answer(17, 100));
	assert_true(answer(18, 100));
	batch_end();					/* it waits for something else */
	assert_int_equal(nr_batches, 3);
	assert_int_equal(nr_single, 0);
	all_sent();
	batch_begin(CONNS);
	assert_true(answer(3, 100));
	batch_end();					/* a batch of one is none */
	assert_int_equal(nr_batches, 3);
	assert_int_equal(nr_single, 1);
	all_sent();
}

/* What is written in pieces leaves in one; what does not fit a segment does not wait. */
static void pieces(void **state)
{
	(void)state;
	batch_begin(5);
	assert_true(answer(0, 10));
	assert_true(answer(0, 20));
	assert_true(answer(1, 20));
	assert_false(answer(2, MSS + 1));
	batch_end();
	assert_int_equal(nr_items, 2);
	assert_int_equal(nr_single, 1);
	batch_begin(5);
	ctl[3].snd_edge = ctl[3].snd_nxt;		/* no window */
	assert_false(answer(3, 10));
	ctl[3].snd_edge += 1000;
	assert_true(answer(0, 10));
	assert_false(answer(0, MSS));			/* with what was there it is too long: all leaves now */
	assert_true(answer(1, 10));
	batch_end();
	tx_push(&sn[3], &ring[3], false, false);
	all_sent();
}

/* Refused, or sent by somebody else: what is left goes alone, and no more are put off for a while. */
static void refused(void **state)
{
	(void)state;
	refuses = 1;
	batch_begin(3);
	answer(0, 10);
	answer(1, 10);
	answer(2, 10);
	assert_int_equal(nr_items, 2);
	assert_int_equal(nr_single, 1);
	all_sent();
	batch_begin(300);
	for (unsigned int i = 0; i < BATCH_SOLO; i++)
		assert_false(answer(i % CONNS, 10));
	assert_true(answer(0, 10));
	ctl[0].snd_nxt = ctl[0].tx_left += 10;		/* toed was quicker */
	batch_end();
	assert_int_equal(batch.solo, BATCH_SOLO);
	all_sent();
}

static void slow_thread(void **state)
{
	(void)state;
	batch_begin(9);
	assert_true(answer(0, 10));
	clock_now += SLOW + 1;
	assert_true(answer(1, 10));			/* and both leave */
	all_sent();
	assert_int_equal(batch.solo, BATCH_SOLO);
	assert_false(answer(2, 10));
	all_sent();
}

/* A connection that was moved is nothing to send for; one that another thread writes to is that thread's. */
static void others(void **state)
{
	(void)state;
	batch_begin(4);
	answer(0, 10);
	answer(1, 10);
	answer(2, 10);
	sh[1].word = 6 * TOE_EPOCH + TOE_PATH_KERNEL;
	pthread_mutex_lock(&sn[2].wlock);
	batch_end();
	pthread_mutex_unlock(&sn[2].wlock);
	assert_int_equal(ctl[0].snd_nxt, (uint32_t)ctl[0].tx_filled);
	assert_int_equal(ctl[1].snd_nxt + 10, (uint32_t)ctl[1].tx_filled);
	assert_int_equal(ctl[2].snd_nxt + 10, (uint32_t)ctl[2].tx_filled);
	assert_int_equal(batch.nr, 0);
}

/* A child has its parent's memory, but nothing to send. */
static void forked(void **state)
{
	(void)state;
	batch_begin(4);
	answer(0, 10);
	answer(1, 10);
	proc.pid = 0;
	batch_end();
	proc.pid = 1;
	assert_int_equal(nr_batches + nr_single, 0);
	assert_int_equal(batch.nr, 0);
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(alone), CASE(together), CASE(pieces), CASE(refused), CASE(slow_thread), CASE(others), CASE(forked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
