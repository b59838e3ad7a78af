// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a loop of requests and answers comes to: sets whose connections are all looked at anyway, for which no doorbell is needed
 * (lib/epoll.c), and reads of what lies in one piece (lib/io.c). */
#include <sys/epoll.h>
#include <sys/single_threaded.h>
#include "lib_peer.h"

#define LOOKS	16	/* QUEUED_LOOKS of lib/epoll.c */

static struct peer a, b;
static int ep;

static void add(struct peer *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };

	dial_echo(p);
	to_hw(p);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev), 0);
}

static bool bell(struct peer *p)
{
	const struct fake_conn *c = fake_find(p->fd);

	return ld_sc(&fake_wake_block(c->qp)->words[c->connid / 64]) >> (c->connid % 64) & 1;
}

static bool has(struct peer *p, uint32_t bytes)
{
	const struct toe_ring_ctl *ctl = fake_find(p->fd)->r.ctl;

	return ld_sc(&ctl->rcv_nxt) - (uint32_t)ld_sc(&ctl->rx_read) >= bytes;
}

static void expect_bells(void)
{
	while (!bell(&a) || !bell(&b))
		usleep(100);
}

/* The answer is there, and was rung for. */
static void ask(void)
{
	assert_int_equal(send(a.fd, "a", 1, 0), 1);
	assert_int_equal(send(b.fd, "b", 1, 0), 1);
	while (!has(&a, 1) || !has(&b, 1))
		usleep(100);
	expect_bells();
}

static void told_of_both(void)
{
	struct epoll_event ev[4];

	assert_int_equal(epoll_wait(ep, ev, 4, 0), 2);
	assert_true(ev[0].data.ptr != ev[1].data.ptr);
}

static void begin(void)
{
	ep = epoll_create1(0);
	add(&a);
	add(&b);
	ask();
	told_of_both();
}

static void end(void)
{
	close(ep);
	hang_up(&a);
	hang_up(&b);
}

/* With everybody in the queue the bits stay; not for more than so many looks, as there may be others' as well. */
static void test_looks(void **state)
{
	int i;

	(void)state;
	begin();
	for (i = 0; i < LOOKS; i++) {
		expect_back(&a, "a");
		expect_back(&b, "b");
		ask();
		told_of_both();
		assert_true(bell(&a) && bell(&b));
	}
	told_of_both();
	assert_false(bell(&a) || bell(&b));
	end();
}

/* Who waits for room to send is rung for when there is some, so its bell is answered. */
static void test_unsent(void **state)
{
	(void)state;
	begin();
	expect_back(&a, "a");
	ask();
	pthread_mutex_lock(&fake.lock);		/* no engine takes it */
	assert_int_equal(send(a.fd, "+", 1, 0), 1);
	told_of_both();
	assert_true(bell(&a) && bell(&b));
	told_of_both();
	assert_false(bell(&a) || bell(&b));
	pthread_mutex_unlock(&fake.lock);
	expect_back(&a, "a+");
	end();
}

/* One that has nothing to read leaves the queue: what comes for it is not waited for until the others are served. */
static void test_one_leaves(void **state)
{
	struct epoll_event ev[4];

	(void)state;
	begin();
	expect_back(&b, "b");
	assert_int_equal(epoll_wait(ep, ev, 4, 0), 1);
	assert_ptr_equal(ev[0].data.ptr, &a);
	assert_int_equal(send(b.fd, "b", 1, 0), 1);
	while (!has(&b, 1) || !bell(&b))
		usleep(100);
	told_of_both();
	end();
}

/* By the only thread: each byte once, in its order, over the ends of the ring's pieces. */
static void test_take(void **state)
{
	uint8_t out[1000], in[700];
	unsigned int sent = 0, got = 0, i;
	char alone = __libc_single_threaded;
	ssize_t n;

	(void)state;
	dial_echo(&a);
	to_hw(&a);
	__libc_single_threaded = 1;
	while (sent < 600000) {
		for (i = 0; i < sizeof(out); i++)
			out[i] = (uint8_t)((sent + i) * 31 >> 3);
		assert_int_equal(send(a.fd, out, sizeof(out), 0), sizeof(out));
		sent += sizeof(out);
		while (!has(&a, sizeof(out)))	/* so that some reads cross an end */
			usleep(20);
		while (got < sent) {
			n = read(a.fd, in, got % sizeof(in) + 1);
			assert_true(n > 0);
			for (i = 0; i < n; i++, got++)
				assert_int_equal(in[i], (uint8_t)(got * 31 >> 3));
		}
	}
	assert_int_equal(recv(a.fd, in, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	__libc_single_threaded = alone;
	hang_up(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_unsent),
		cmocka_unit_test(test_one_leaves),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
