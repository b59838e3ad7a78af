/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rings and checksum: copies over chunk boundaries, commits against a freezing daemon. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/csum.h"
#include "lib/ring.h"

#define ORDER	1
#define CHUNKS	(1U << ORDER)
#define TOTAL	(4U << 20)

static uint8_t mem[2 * CHUNKS * TOE_CHUNK_SIZE] __attribute__((aligned(64)));
static uint8_t page[TOE_CTL_SIZE] __attribute__((aligned(64)));

static uint8_t pat(uint32_t seq)
{
	return seq * 2654435761U >> 11;
}

static struct ring make(uint32_t rcv, uint32_t snd)
{
	struct ring r = { .rx = mem, .tx = mem + CHUNKS * TOE_CHUNK_SIZE, .rx_size = CHUNKS * TOE_CHUNK_DATA,
			  .tx_size = CHUNKS * TOE_CHUNK_DATA, .tx_most = CHUNKS * TOE_CHUNK_DATA };

	memset(mem, 0, sizeof(mem));
	memset(page, 0, sizeof(page));
	r.ctl = (struct toe_ring_ctl *)page;
	r.ctl->rcv_nxt = r.ctl->rx_read = rcv;
	r.ctl->snd_una = r.ctl->snd_nxt = r.ctl->tx_filled = snd;
	return r;
}

static void place(const struct ring *r, uint32_t seq, size_t len)
{
	size_t n;

	for (; len; seq += n, len -= n) {
		uint8_t *p = rx_piece(r, seq, len, &n);

		for (size_t i = 0; i < n; i++)
			p[i] = pat(seq + i);
	}
}

static void test_take(void **state)
{
	static const uint32_t starts[] = { 0, 65530, 131070, 0xfffffff0, 0x7fffffff };
	uint8_t a[7], b[40];
	struct iovec iov[3] = { { a, 7 }, { NULL, 0 }, { b, 40 } };
	size_t i, k;

	(void)state;
	for (i = 0; i < NR(starts); i++) {
		uint32_t s = starts[i];
		struct ring r = make(s, 0);

		assert_int_equal(ring_take(&r, iov, 3, 0, 47, false, false), 0);
		place(&r, s, 30);
		st_rel(&r.ctl->rcv_nxt, s + 30);
		assert_int_equal(ring_take(&r, iov, 3, 0, 47, true, false), 30);
		assert_int_equal(ring_take(&r, iov, 3, 2, 10, false, false), 10);
		for (k = 0; k < 10; k++)
			assert_int_equal(k < 5 ? a[k + 2] : b[k - 5], pat(s + k));
		assert_int_equal(ring_take(&r, iov, 3, 0, 5, false, true), 5);
		assert_int_equal(ring_take(&r, iov, 3, 7, 40, false, false), 15);
		assert_int_equal(b[0], pat(s + 15));
		assert_int_equal(b[14], pat(s + 29));
		assert_int_equal(r.ctl->rx_read, (__u64)(s + 30));
		r.ctl->rcv_nxt = s + 30 + r.rx_size + 1;	/* nonsense */
		assert_int_equal(ring_take(&r, iov, 3, 0, 47, false, false), 0);
	}
}

static void test_put(void **state)
{
	static uint8_t big[3 * TOE_CHUNK_DATA];
	struct iovec iov = { big, sizeof(big) };
	struct ring r = make(0, 0xffffff00);
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = pat(i);
	assert_int_equal(ring_put(&r, &iov, 1, 0, sizeof(big)), r.tx_size);
	assert_int_equal(ring_put(&r, &iov, 1, 0, 1), 0);
	assert_ptr_equal(tx_piece(&r, 0xffffff00, 1000, &n), ring_hot_tx(r.ctl));	/* it was empty: it starts over */
	assert_int_equal(n, 1000);
	assert_int_equal(*tx_piece(&r, 0, 1000, &n), pat(0x100));
	assert_int_equal(*tx_piece(&r, 0xffffff00 + TOE_CHUNK_DATA - 7, 1000, &n), pat(TOE_CHUNK_DATA - 7));
	assert_int_equal(n, 7);
	r.ctl->snd_una += 10;
	assert_int_equal(ring_put(&r, &iov, 1, r.tx_size, 100), 10);
	assert_int_equal(*tx_piece(&r, 0xffffff00, 1, &n), pat(r.tx_size));
	r.ctl->tx_filled |= TOE_FROZEN;
	r.ctl->snd_una += 10;
	assert_int_equal(ring_put(&r, &iov, 1, 0, 1), -ESTALE);
	r.ctl->rx_read |= TOE_FROZEN;
	assert_int_equal(ring_take(&r, &iov, 1, 0, 1, false, false), -ESTALE);
}

/* The first bytes of both rings stand behind the control block, what follows them where their units are. */
static void test_hot(void **state)
{
	static uint8_t big[3000];
	struct iovec iov = { big, sizeof(big) };
	struct ring r = make(700, 0xffffff00);
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = pat(i);
	assert_int_equal(ring_put(&r, &iov, 1, 0, sizeof(big)), sizeof(big));
	assert_memory_equal(page + 256 + TOE_HOT, big, TOE_HOT);
	assert_memory_equal(r.tx + TOE_HOT, big + TOE_HOT, sizeof(big) - TOE_HOT);
	assert_ptr_equal(tx_piece(&r, 0xffffff00, 2000, &n), page + 256 + TOE_HOT);
	assert_int_equal(n, TOE_HOT);
	r.ctl->rx_base = 700;
	assert_ptr_equal(rx_piece(&r, 700, 2000, &n), page + 256);
	assert_int_equal(n, TOE_HOT);
	assert_ptr_equal(rx_piece(&r, 700 + TOE_HOT, 700, &n), r.rx + TOE_HOT);
	assert_int_equal(n, 700);
}

/* A byte that is still there keeps the ring from starting over. */
static void test_start_over(void **state)
{
	uint8_t buf[100];
	struct iovec iov = { buf, sizeof(buf) };
	struct ring r = make(0, 5000);
	size_t n;

	(void)state;
	assert_int_equal(ring_put(&r, &iov, 1, 0, 100), 100);
	r.ctl->snd_una = 5099;
	assert_int_equal(ring_put(&r, &iov, 1, 0, 100), 100);
	assert_ptr_equal(tx_piece(&r, 5100, 1, &n), (uint8_t *)ring_hot_tx(r.ctl) + 100);
	r.ctl->snd_una = 5200;
	assert_int_equal(ring_put(&r, &iov, 1, 0, 100), 100);
	assert_ptr_equal(tx_piece(&r, 5200, 1, &n), ring_hot_tx(r.ctl));
	r.ctl->snd_una = 5300;
	r.ctl->tx_filled |= TOE_FROZEN;
	assert_int_equal(ring_put(&r, &iov, 1, 0, 100), -ESTALE);
	assert_ptr_equal(tx_piece(&r, 5200, 1, &n), ring_hot_tx(r.ctl));
}

/* SO_SNDBUF holds all that is kept, TCP_NOTSENT_LOWAT what has not left. */
static void test_limits(void **state)
{
	static uint8_t big[3 * TOE_CHUNK_DATA];
	struct iovec iov = { big, sizeof(big) };
	struct ring r = make(0, 0xffffff00);

	(void)state;
	r.tx_most = 5000;
	assert_int_equal(ring_put(&r, &iov, 1, 0, sizeof(big)), 5000);
	assert_int_equal(ring_put(&r, &iov, 1, 0, 1), 0);
	r.tx_most = 3000;	/* smaller than what is there */
	assert_int_equal(ring_space(&r, (uint32_t)r.ctl->tx_filled), 0);
	r.tx_most = r.tx_size;
	r.ctl->snd_nxt = 0xffffff00 + 4000;
	r.unsent_most = 1000;
	assert_int_equal(ring_put(&r, &iov, 1, 0, 1), 0);
	r.ctl->snd_nxt++;
	assert_true(ring_unsent_low(&r, (uint32_t)r.ctl->tx_filled, false));
	assert_false(ring_unsent_low(&r, (uint32_t)r.ctl->tx_filled, true));	/* sleepers: at half of it */
	assert_int_equal(ring_put(&r, &iov, 1, 0, sizeof(big)), 1000 + 16384);
	assert_int_equal(ring_put(&r, &iov, 1, 0, 1), 0);
	r.ctl->snd_nxt = (uint32_t)r.ctl->tx_filled - 499;
	assert_true(ring_unsent_low(&r, (uint32_t)r.ctl->tx_filled, true));
}

static struct ring shared;
static uint32_t stop;

/* Freezes both positions again and again, as uploads do: while frozen they do not move. */
static void *freezer(void *arg)
{
	__u64 *pos[2] = { &shared.ctl->rx_read, &shared.ctl->tx_filled };
	unsigned long *times = arg;

	while (!ld(&stop)) {
		for (int i = 0; i < 2; i++) {
			__u64 v = __atomic_or_fetch(pos[i], TOE_FROZEN, __ATOMIC_SEQ_CST);

			for (int k = 0; k < 50; k++)
				if (ld_acq(pos[i]) != v)
					abort();
			__atomic_and_fetch(pos[i], ~TOE_FROZEN, __ATOMIC_SEQ_CST);
		}
		++*times;
		usleep(20);
	}
	return NULL;
}

/* What the library fills, checked and acknowledged, comes back in the rx ring. */
static void *engine(void *arg)
{
	uint32_t snd = shared.ctl->snd_una, rcv = shared.ctl->rcv_nxt, filled, n, room;
	size_t a;

	while (!ld(&stop)) {
		filled = (uint32_t)ld_acq(&shared.ctl->tx_filled);
		n = filled - snd;
		room = shared.rx_size - (rcv - (uint32_t)ld_acq(&shared.ctl->rx_read));
		n = n < room ? n : room;
		if (n && room == shared.rx_size)	/* as the RX engine does */
			st(&shared.ctl->rx_base, rcv);
		while (n) {
			uint8_t *p = tx_piece(&shared, snd, n, &a), *q;

			q = rx_piece(&shared, rcv, a, &a);
			memcpy(q, p, a);
			rcv += a;
			snd += a;
			n -= a;
			st_sc(&shared.ctl->rcv_nxt, rcv);
			st_sc(&shared.ctl->snd_una, snd);
		}
	}
	return arg;
}

static void *writer(void *arg)
{
	static uint8_t buf[3001];
	struct iovec iov = { buf, 0 };
	uint32_t off = 0;
	ssize_t n;

	while (off < TOTAL) {
		iov.iov_len = 1 + off % 3001;
		for (size_t i = 0; i < iov.iov_len; i++)
			buf[i] = pat(off + i);
		n = ring_put(&shared, &iov, 1, 0, iov.iov_len);
		if (n > 0)
			off += n;
	}
	return arg;
}

static void test_threads(void **state)
{
	static uint8_t buf[5000];
	struct iovec iov = { buf, sizeof(buf) };
	unsigned long frozen = 0;
	pthread_t e, f, w;
	uint32_t off = 0;
	ssize_t n;

	(void)state;
	shared = make(0xfffff000, 0x12345678);
	shared.rx_size = 96 << 10;
	shared.ctl->rx_base = 0xfffff000;
	pthread_create(&e, NULL, engine, NULL);
	pthread_create(&f, NULL, freezer, &frozen);
	pthread_create(&w, NULL, writer, NULL);
	while (off < TOTAL) {
		n = ring_take(&shared, &iov, 1, 0, sizeof(buf), false, false);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pat(off + i))
				abort();	/* not assert: the threads use this stack */
		if (n > 0)
			off += n;
	}
	pthread_join(w, NULL);
	st(&stop, 1);
	pthread_join(e, NULL);
	pthread_join(f, NULL);
	assert_true(frozen > 0);
}

static uint16_t naive(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	uint8_t two[2];
	uint16_t w;

	for (size_t i = 0; i < len; i += 2) {
		two[0] = p[i];
		two[1] = i + 1 < len ? p[i + 1] : 0;
		memcpy(&w, two, 2);
		sum += w;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void test_csum(void **state)
{
	uint8_t buf[4000];
	size_t len, cut;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		len = random() % 3500;
		for (size_t i = 0; i < len + 8; i++)
			buf[i] = round % 3 ? random() : 0xff;
		uint8_t *p = buf + round % 8;

		cut = len ? random() % len : 0;
		assert_int_equal(csum_partial(p, len), naive(p, len));
		assert_int_equal(csum_join(csum_partial(p, cut), csum_partial(p + cut, len - cut), cut),
				 naive(p, len));
	}
}

/* The wake block: a bit set by the engine is taken once, armed is seen. */
static void test_wake(void **state)
{
	static struct toe_qp_wake w;

	(void)state;
	assert_false(wake_pending(&w));
	wake_arm(&w);
	assert_int_equal(w.armed, 1);
	w.words[70] = 1ULL << 63;
	w.summary[1] = 1ULL << 6;
	assert_true(wake_pending(&w));
	assert_int_equal(wake_take(&w.summary[1]), 1ULL << 6);
	assert_int_equal(wake_take(&w.words[70]), 1ULL << 63);
	assert_int_equal(wake_take(&w.words[70]), 0);
	assert_false(wake_pending(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take), cmocka_unit_test(test_put), cmocka_unit_test(test_hot),
		cmocka_unit_test(test_start_over), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_csum),
		cmocka_unit_test(test_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
