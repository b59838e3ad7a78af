// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which segments the library lets leave together (lib/tx.c), before an engine that answers at once. */
#include <string.h>
#include "tests/unit/test.h"
#include "lib/tx.c"
#include "tests/unit/lib_alone.h"

#define MSS	1448U
#define START	0xffffe000U		/* sequence numbers wrap */

static struct toe_ring_ctl ctl;
static struct ring r;
static struct sonode sn;
static struct toe_sonode shared;
static struct qp qp_here;
static struct toe_desc sent[600];
static unsigned int nr_sent, nr_acks;
static bool has_trains, has_room;
static int locked;		/* so many writes to come meet a locked entry */

struct qp *qp_bind(struct sonode *s, const struct ring *ring)
{
	(void)s;
	(void)ring;
	return &qp_here;
}

static void engine(const struct toe_desc *d, uint32_t bytes, bool takes)
{
	assert_true(nr_sent < NR(sent));
	sent[nr_sent++] = *d;
	if (locked)
		locked--;
	else if (takes && has_room)
		ctl.snd_nxt = d->seq + bytes;
}

void qp_write(struct qp *qp, const struct ring *ring, const struct toe_desc *d)
{
	(void)qp;
	(void)ring;
	if (d->op == TOE_OP_ACK)
		nr_acks++;
	else
		engine(d, d->len, true);
}

void qp_train(struct qp *qp, const struct ring *ring, const struct toe_desc *d)
{
	(void)qp;
	assert_int_equal(d->op, TOE_OP_TRAIN);
	assert_int_equal(d->len, ring->mss);
	assert_int_equal(shared.users, 1);
	engine(d, (d->nr - 1U) * d->len + d->last, has_trains);
}

int sonode_ring(struct sonode *s, uint32_t word, struct ring *ring)
{
	(void)s;
	(void)word;
	(void)ring;
	return -ESTALE;
}

static int start(void **state)
{
	(void)state;
	memset(&sn, 0, sizeof(sn));
	memset(&shared, 0, sizeof(shared));
	sn.sh = &shared;
	sn.small_end = START;
	r = (struct ring){ .ctl = &ctl, .mss = MSS, .tx_size = 2U << 20 };
	ctl = (struct toe_ring_ctl){ .snd_una = START, .snd_nxt = START, .tx_filled = START,
				     .snd_edge = START + (1U << 20) };
	nr_sent = nr_acks = 0;
	has_trains = has_room = true;
	locked = 0;
	return 0;
}

static void fill(uint32_t bytes)
{
	ctl.tx_filled = (uint32_t)(ctl.snd_nxt + bytes);
}

static void one(unsigned int i, uint16_t op, uint16_t nr, uint16_t last, bool psh)
{
	assert_true(i < nr_sent);
	assert_int_equal(sent[i].op, op);
	if (op == TOE_OP_TRAIN)
		assert_int_equal(sent[i].nr, nr);
	assert_int_equal(op == TOE_OP_TRAIN ? sent[i].last : sent[i].len, last);
	assert_int_equal(!!(sent[i].flags & TOE_DESC_PSH), psh);
}

static void long_write(void **state)
{
	(void)state;
	fill(65536);
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 2);
	one(0, TOE_OP_TRAIN, TOE_MAX_TRAIN, MSS, false);
	one(1, TOE_OP_TRAIN, 14, 65536 % MSS, true);
	assert_int_equal(sn.small_end, START + 65536);
}

static void short_writes(void **state)
{
	(void)state;
	fill(MSS);
	tx_push(&sn, &r, false, false);
	one(0, TOE_OP_DATA, 1, MSS, true);
	fill(MSS + 1);
	tx_push(&sn, &r, false, false);
	one(1, TOE_OP_TRAIN, 2, 1, true);
	fill(2 * MSS);
	tx_push(&sn, &r, false, false);
	one(2, TOE_OP_TRAIN, 2, MSS, true);
	assert_int_equal(nr_sent, 3);
}

/* A short segment waits for a short one, for more, for the cork; the full ones before it do not. */
static void held_back(void **state)
{
	(void)state;
	fill(10);
	tx_push(&sn, &r, false, false);
	one(0, TOE_OP_DATA, 1, 10, true);
	fill(3 * MSS + 5);
	tx_push(&sn, &r, false, false);
	one(1, TOE_OP_TRAIN, 3, MSS, false);
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 2);
	ctl.snd_una = ctl.snd_nxt;
	fill(2 * MSS + 5);
	tx_push(&sn, &r, true, false);
	one(2, TOE_OP_TRAIN, 2, MSS, false);
	tx_push(&sn, &r, false, true);
	one(3, TOE_OP_DATA, 1, 5, true);
	sn.cork = 1;
	fill(2 * MSS + 5);
	tx_push(&sn, &r, false, false);
	one(4, TOE_OP_TRAIN, 2, MSS, false);
	fill(2 * MSS + 5);
	tx_push(&sn, &r, false, true);
	one(5, TOE_OP_TRAIN, 3, 5, true);
	assert_int_equal(nr_sent, 6);
}

static void window(void **state)
{
	(void)state;
	fill(65536);
	ctl.snd_edge = START + 3 * MSS + 100;
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 1);
	one(0, TOE_OP_TRAIN, 3, MSS, false);
	ctl.snd_edge = START + 5 * MSS - 1;
	tx_push(&sn, &r, false, false);
	one(1, TOE_OP_DATA, 1, MSS, false);
	assert_int_equal(nr_sent, 2);
}

static void without_trains(void **state)
{
	(void)state;
	has_trains = false;
	fill(400 * MSS);
	tx_push(&sn, &r, false, false);
	assert_int_equal(ctl.snd_nxt, START + 400 * MSS);
	assert_int_equal(nr_sent, 402);			/* one in 256 is tried in vain */
	one(0, TOE_OP_TRAIN, TOE_MAX_TRAIN, MSS, false);
	one(1, TOE_OP_DATA, 1, MSS, false);
	one(257, TOE_OP_TRAIN, TOE_MAX_TRAIN, MSS, false);
}

/* It is not for want of trains, and nothing is written for ever. */
static void without_room(void **state)
{
	(void)state;
	has_room = false;
	ctl.snd_una = START - MSS;
	fill(400 * MSS);
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 2);
	has_room = true;
	tx_push(&sn, &r, false, false);
	one(2, TOE_OP_TRAIN, TOE_MAX_TRAIN, MSS, false);
}

/* Nothing in flight: no acknowledgement will come and give another try. */
static void without_flight(void **state)
{
	(void)state;
	fill(MSS / 2);
	locked = 3;
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 4);
	one(3, TOE_OP_DATA, 1, MSS / 2, true);
	ctl.snd_una = ctl.snd_nxt;
	fill(MSS / 2);
	locked = 1000;
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 20);
}

static void tiny_segments(void **state)
{
	(void)state;
	r.mss = TOE_TRAIN_MSS - 1;
	fill(10 * r.mss);
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 10);
}

/* Put off while the train left. */
static void acknowledges(void **state)
{
	(void)state;
	fill(3 * MSS);
	ctl.ack_due = TOE_ACK_ONE;
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_acks, 0);
	fill(3 * MSS);
	ctl.ack_due = TOE_ACK_URGENT;
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(nr_acks, 1);
}

/* The connection is being moved: no segment of a train would find its ring again. */
static void on_the_move(void **state)
{
	(void)state;
	fill(3 * MSS);
	shared.word = TOE_EPOCH | TOE_PATH_MOVING;
	has_room = false;	/* HOLD */
	tx_push(&sn, &r, false, false);
	assert_int_equal(nr_sent, 1);
	one(0, TOE_OP_DATA, 1, MSS, false);
	assert_int_equal(shared.users, 0);
	shared.word = 0;
	has_room = true;
	tx_push(&sn, &r, false, false);
	one(1, TOE_OP_TRAIN, 3, MSS, true);
	assert_int_equal(shared.users, 0);
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(long_write), CASE(short_writes), CASE(held_back), CASE(window), CASE(without_trains),
		CASE(without_room), CASE(without_flight), CASE(tiny_segments), CASE(acknowledges), CASE(on_the_move),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
