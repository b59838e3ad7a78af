/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which segments leave, and when: Nagle's algorithm, TCP_CORK, MSG_MORE, PSH, silly windows. The queue pair is played. */
#include "test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>
#include "lib/qp.h"
#include "lib/tx.h"
#include "tests/unit/lib_alone.h"

#define MSS	1000U
#define SEQ0	0xfffffa00U	/* wraps soon */
#define EVERYTHING 60000

static struct toe_ring_ctl ctl;
static struct toe_sonode shared = { .word = TOE_PATH_HW };
static struct sonode sn;
static struct ring ring;
static char sent[400];		/* "1000 500P ": lengths, P: with PSH */

struct qp *qp_bind(struct sonode *s, const struct ring *r)
{
	(void)s;
	(void)r;
	return (struct qp *)&ctl;	/* not looked into here */
}

/* What toe_tx would do. */
void qp_write(struct qp *qp, const struct ring *r, const struct toe_desc *d)
{
	(void)qp;
	assert_int_equal(d->op, TOE_OP_DATA);
	assert_int_equal(d->seq, r->ctl->snd_nxt);
	assert_true(d->seq + d->len - r->ctl->snd_nxt <= r->ctl->snd_edge - r->ctl->snd_nxt);
	sprintf(sent + strlen(sent), "%u%s ", d->len, d->flags & TOE_DESC_PSH ? "P" : "");
	r->ctl->snd_nxt += d->len;
}

/* And toe_train: which segments leave together is lib_train's to know. */
void qp_train(struct qp *qp, const struct ring *r, const struct toe_desc *d)
{
	struct toe_desc one = { .op = TOE_OP_DATA, .seq = d->seq };

	assert_int_equal(d->op, TOE_OP_TRAIN);
	for (unsigned int i = 1; i <= d->nr; i++, one.seq += one.len) {
		one.len = i == d->nr ? d->last : d->len;
		one.flags = i == d->nr ? d->flags : 0;
		qp_write(qp, r, &one);
	}
}

int sonode_ring(struct sonode *s, uint32_t word, struct ring *r)
{
	(void)s;
	(void)word;
	*r = ring;
	return 0;
}

static int start(void **state)
{
	(void)state;
	memset(&ctl, 0, sizeof(ctl));
	memset(&sn, 0, sizeof(sn));
	sn.sh = &shared;
	pthread_mutex_init(&sn.wlock, NULL);
	ctl.snd_una = ctl.snd_nxt = SEQ0;
	ctl.tx_filled = SEQ0;
	ctl.snd_edge = SEQ0 + EVERYTHING;
	sn.small_end = SEQ0;
	ring = (struct ring){ .ctl = &ctl, .tx_size = 65536, .mss = MSS };
	return 0;
}

/* The application writes n bytes. What leaves then? */
static void wrote(uint32_t n, bool more, const char *want)
{
	ctl.tx_filled = (uint32_t)ctl.tx_filled + n;
	*sent = 0;
	tx_push(&sn, &ring, more, false);
	assert_string_equal(sent, want);
	assert_true(!*want || ctl.tx_left == ctl.snd_nxt);
}

/* The peer acknowledges n bytes and offers wnd from there. */
static void acked(uint32_t n, uint32_t wnd, const char *want)
{
	ctl.snd_una += n;
	ctl.snd_edge = ctl.snd_una + wnd;
	*sent = 0;
	tx_kick(&sn);
	assert_string_equal(sent, want);
}

static void flushed(const char *want)
{
	*sent = 0;
	tx_flush(&sn);
	assert_string_equal(sent, want);
}

/* RFC 9293 3.7.4: small segments wait for small ones only (Minshall), and grow meanwhile. */
static void nagle(void **state)
{
	(void)state;
	wrote(10, false, "10P ");
	wrote(20, false, "");
	wrote(30, false, "");
	acked(10, EVERYTHING, "50P ");
	wrote(MSS, false, "1000P ");	/* a full one need not wait */
	wrote(7, false, "");		/* the 50 are still out */
	acked(50, EVERYTHING, "7P ");
	acked(MSS + 7, EVERYTHING, "");
	wrote(2 * MSS, false, "1000 1000P ");
	wrote(5, false, "5P ");		/* none but full ones is out */
	wrote(5, false, "");
	wrote(MSS - 5, false, "1000P ");	/* full by now */
}

static void nodelay(void **state)
{
	(void)state;
	sn.nodelay = 1;
	wrote(10, false, "10P ");
	wrote(20, false, "20P ");
	wrote(MSS + 1, false, "1000 1P ");
}

/* Switched off while bytes wait: they go (tcp(7)). */
static void nodelay_set(void **state)
{
	(void)state;
	wrote(10, false, "10P ");
	wrote(20, false, "");
	sn.nodelay = 1;
	flushed("20P ");
	flushed("");
}

static void cork(void **state)
{
	(void)state;
	sn.cork = sn.nodelay = 1;	/* the cork is stronger */
	wrote(10, false, "");
	wrote(MSS, false, "1000 ");
	acked(MSS, EVERYTHING, "");	/* not even with nothing in flight */
	wrote(100, false, "");
	sn.cork = 0;
	flushed("110P ");
}

static void msg_more(void **state)
{
	(void)state;
	wrote(10, true, "");
	wrote(2 * MSS, true, "1000 1000 ");
	wrote(15, false, "25P ");
	sn.nodelay = 1;
	wrote(10, true, "");
	wrote(10, false, "20P ");
}

/* RFC 9293 3.9.1.2: where the application's data ends for now, and nowhere else. */
static void push(void **state)
{
	(void)state;
	wrote(3 * MSS, false, "1000 1000 1000P ");
	wrote(2 * MSS + 500, false, "1000 1000 500P ");
	acked(5 * MSS + 500, 1400, "");
	wrote(1500, false, "1000 ");
	acked(MSS, MSS, "500P ");
}

/* RFC 9293 3.8.6.2.1: a window smaller than what there is to send is used only when nothing is in flight. */
static void silly_window(void **state)
{
	(void)state;
	sn.nodelay = 1;
	acked(0, 1500, "");
	wrote(5 * MSS, false, "1000 ");
	acked(200, 1300, "");		/* 800 out, room for 500 */
	acked(800, 300, "300 ");	/* all is acknowledged: better than nothing */
	acked(100, 400, "");
	acked(200, 0, "");
	acked(0, 1, "1 ");
	acked(1, 3 * MSS, "1000 1000 1000 ");
	acked(3 * MSS, 699, "699P ");	/* what is left fits */
}

/* A window beyond what is written is none; a position that makes no sense sends nothing. */
static void edges(void **state)
{
	(void)state;
	wrote(MSS, false, "1000P ");
	acked(MSS, EVERYTHING, "");
	ctl.snd_edge = ctl.snd_nxt - 1;	/* taken back */
	wrote(10, false, "");
	ctl.snd_edge = ctl.snd_nxt + EVERYTHING;
	wrote(70000, false, "");
}

/* ---- a signal handler that writes to the same socket, at any instruction of the lock's ---- */

static bool interrupting;
static int nr_held;		/* it found the lock taken by the thread that it has interrupted */

static void on_signal(void)
{
	bool got;

	if (!interrupting)
		return;
	interrupting = false;		/* the handler's own calls are not interrupted */
	got = tx_lock(&sn);
	if (got)
		tx_unlock(&sn);
	nr_held += !got;
	interrupting = true;
}

static int between(const char *name, pthread_mutex_t *m)
{
	int (*fn)(pthread_mutex_t *) = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, name), rc;

	on_signal();
	rc = fn(m);
	on_signal();
	return rc;
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
	return between("pthread_mutex_lock", m);
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
	return between("pthread_mutex_unlock", m);
}

static void handler_between(void **state)
{
	char alone = __libc_single_threaded;

	(void)state;
	__libc_single_threaded = 0;
	alarm(10);			/* it would wait for itself */
	nr_held = 0;
	interrupting = true;
	assert_true(tx_lock(&sn));
	assert_int_equal(nr_held, 2);
	on_signal();
	assert_int_equal(nr_held, 3);
	tx_unlock(&sn);
	assert_int_equal(nr_held, 5);
	on_signal();			/* free again */
	assert_int_equal(nr_held, 5);
	interrupting = false;
	alarm(0);
	__libc_single_threaded = alone;
}

/* The only thread needs no mutex, but a handler of its own may not have the lock either. A thread that came later finds it free. */
static void handler_alone(void **state)
{
	char alone = __libc_single_threaded;

	(void)state;
	__libc_single_threaded = 1;
	nr_held = 0;
	interrupting = true;
	assert_true(tx_lock(&sn));
	on_signal();
	assert_int_equal(nr_held, 1);
	__libc_single_threaded = 0;
	on_signal();
	assert_int_equal(nr_held, 2);
	tx_unlock(&sn);
	on_signal();
	assert_int_equal(nr_held, 2);
	interrupting = false;
	__libc_single_threaded = alone;
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nagle), CASE(nodelay), CASE(nodelay_set), CASE(cork), CASE(msg_more), CASE(push),
		CASE(silly_window),
		CASE(edges), CASE(handler_between), CASE(handler_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
