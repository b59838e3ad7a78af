// SPDX-License-Identifier: LGPL-2.1-or-later
/* What of a small message leaves in the caller's own system call (lib/small.c), and what goes another way. */
#include <string.h>
#include "tests/unit/test.h"
#include "lib/tx.c"
#include "lib/small.c"
#include "tests/unit/lib_alone.h"

#define MSS	1448U
#define START	0xfffffff0U		/* sequence numbers wrap */

__thread struct batch batch __attribute__((tls_model("initial-exec")));
static struct toe_ring_ctl ctl;
static struct sonode sn;
static struct toe_sonode shared;
static struct qp qp_here = { .fd = 77 };
static struct small msg;
static uint32_t room, nr_frames, nr_written;
static bool batches, has_qp, engine_takes;

struct qp *qp_bind(struct sonode *s, const struct ring *r)
{
	(void)s;
	(void)r;
	return has_qp ? &qp_here : NULL;
}

static void engine(const struct toe_desc *d)
{
	assert_int_equal(d->seq, ctl.snd_nxt);
	if (engine_takes)
		ctl.snd_nxt += d->len;
}

size_t qp_frame(uint8_t *frame, const struct ring *r, const struct toe_desc *d)
{
	assert_int_equal(d->op, TOE_OP_DATA);
	assert_int_equal(d->flags, TOE_DESC_PSH);
	assert_int_equal(d->nr, 1);
	assert_true(d->len && d->len <= QP_SMALL);
	nr_frames++;
	*(struct toe_desc *)frame = *d;
	return r->hdr_len + d->len;
}

void qp_write(struct qp *qp, const struct ring *r, const struct toe_desc *d)
{
	(void)qp;
	(void)r;
	nr_written++;
	engine(d);
}

void qp_train(struct qp *qp, const struct ring *r, const struct toe_desc *d)
{
	(void)qp;
	(void)r;
	nr_written++;
	assert_int_equal(d->seq, ctl.snd_nxt);
	ctl.snd_nxt += (d->nr - 1U) * d->len + d->last;
}

bool batch_put(struct sonode *s, const struct ring *r)
{
	(void)s;
	(void)r;
	return batches;
}

void batch_send(void)
{
	fail();
}

ssize_t ring_put(const struct ring *r, const struct iovec *iov, int niov, size_t skip, size_t len)
{
	uint32_t n = len < room ? (uint32_t)len : room;

	assert_int_equal(niov, 1);
	assert_int_equal(skip, 0);
	assert_int_equal(iov->iov_len, len);
	assert_int_equal(shared.users, 1);
	r->ctl->tx_filled = (uint32_t)(r->ctl->tx_filled + n);
	room -= n;
	return n;
}

int sonode_ring(struct sonode *s, uint32_t word, struct ring *r)
{
	(void)s;
	if (word != shared.word)
		return -ESTALE;
	*r = (struct ring){ .ctl = &ctl, .word = word, .mss = MSS, .hdr_len = 66, .tx_size = 65536 };
	return 0;
}

static int start(void **state)
{
	(void)state;
	memset(&sn, 0, sizeof(sn));
	pthread_mutex_init(&sn.wlock, NULL);
	shared = (struct toe_sonode){ .word = 5 * TOE_EPOCH + TOE_PATH_HW };
	sn.sh = &shared;
	sn.nodelay = 1;
	ctl = (struct toe_ring_ctl){ .snd_una = START, .snd_nxt = START, .tx_filled = START, .snd_edge = START + 20000,
				     .tx_left = START };
	room = 20000;
	nr_frames = nr_written = 0;
	batches = false;
	has_qp = engine_takes = true;
	return 0;
}

static bool locked(void)
{
	bool got = tx_trylock(&sn);

	if (got)
		tx_unlock(&sn);
	return !got;
}

/* As toe_write() does. */
static size_t put(size_t len)
{
	static char text[4096];
	size_t n = small_put(&sn, 5 * TOE_EPOCH + TOE_PATH_HW, text, len, &msg);

	assert_int_equal(!!msg.frame_len, locked());
	if (msg.frame_len) {
		assert_int_equal(msg.fd, 77);
		engine((struct toe_desc *)msg.frame);
		tx_settle(&sn, &msg.r, msg.seq);
		assert_false(locked());
	}
	assert_int_equal(shared.users, 0);
	return n;
}

static void sent(uint32_t frames, uint32_t written)
{
	assert_int_equal(nr_frames, frames);
	assert_int_equal(nr_written, written);
	if (engine_takes) {
		assert_int_equal(ctl.snd_nxt, (uint32_t)ctl.tx_filled);
		assert_int_equal(ctl.tx_left, ctl.snd_nxt);
	}
}

static void test_one(void **state)
{
	(void)state;
	assert_int_equal(put(64), 64);
	assert_int_equal(msg.frame_len, 66 + 64);
	assert_int_equal(put(QP_SMALL), QP_SMALL);
	sent(2, 0);
	assert_int_equal(sn.small_end, START + 64 + QP_SMALL);
}

static void test_not_small(void **state)
{
	(void)state;
	assert_int_equal(put(QP_SMALL + 1), 0);
	assert_int_equal(put(0), 0);
	sent(0, 0);
}

/* Nothing is taken; the long way sees to the writer that waits, to the new path, to the handler's own lock. */
static void test_long_way(void **state)
{
	(void)state;
	ctl.want_write = 1;
	assert_int_equal(put(64), 0);
	ctl.want_write = 0;
	shared.word += TOE_EPOCH;
	assert_int_equal(put(64), 0);
	shared.word -= TOE_EPOCH;
	assert_true(tx_lock(&sn));
	assert_int_equal(small_put(&sn, shared.word, "x", 1, &msg), 0);
	assert_int_equal(msg.frame_len, 0);
	tx_unlock(&sn);
	assert_int_equal(ctl.tx_filled, START);
	sent(0, 0);
}

/* What there is room for leaves, the caller sees to the rest. */
static void test_no_room(void **state)
{
	(void)state;
	room = 40;
	assert_int_equal(put(64), 40);
	sent(1, 0);
	assert_int_equal(put(64), 0);
	sent(1, 0);
}

/* With what has not left before it is more than one small segment. */
static void test_more(void **state)
{
	(void)state;
	ctl.tx_filled = (uint32_t)(START + 1000);
	assert_int_equal(put(500), 500);
	assert_int_equal(msg.frame_len, 0);
	sent(0, 1);
	ctl.tx_filled = (uint32_t)(ctl.tx_filled + 500);
	assert_int_equal(put(500), 500);
	assert_int_equal(((struct toe_desc *)msg.frame)->len, 1000);
	sent(1, 1);
}

static void test_nagle(void **state)
{
	(void)state;
	sn.nodelay = 0;
	assert_int_equal(put(64), 64);
	assert_int_equal(put(64), 64);		/* waits for the acknowledgement of the first */
	assert_int_equal(msg.frame_len, 0);
	assert_int_equal(ctl.snd_nxt, START + 64);
	assert_int_equal(nr_frames + nr_written, 1);
}

static void test_batched(void **state)
{
	(void)state;
	batches = true;
	assert_int_equal(put(64), 64);
	assert_int_equal(ctl.tx_filled, (uint32_t)(START + 64));
	assert_int_equal(nr_frames + nr_written, 0);
}

/* Refused, as where the entry was locked: it leaves as always, with tries of its own. */
static void test_refused(void **state)
{
	(void)state;
	engine_takes = false;
	assert_int_equal(put(64), 64);
	sent(1, PUSH_TRIES);
	engine_takes = true;
	assert_int_equal(put(64), 64);
	sent(2, PUSH_TRIES);
	has_qp = false;
	assert_int_equal(put(64), 64);
	assert_int_equal(ctl.snd_nxt, START + 128);
	assert_int_equal(ctl.tx_filled, (uint32_t)(START + 192));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one, start),
		cmocka_unit_test_setup(test_not_small, start),
		cmocka_unit_test_setup(test_long_way, start),
		cmocka_unit_test_setup(test_no_room, start),
		cmocka_unit_test_setup(test_more, start),
		cmocka_unit_test_setup(test_nagle, start),
		cmocka_unit_test_setup(test_batched, start),
		cmocka_unit_test_setup(test_refused, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
