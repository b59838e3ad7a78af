/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop itself runs in the XDP program; here it is started, watched, measured, stopped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tcpgen.h"

#define SLICE_MS 2

static void sleep_ms(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000 * NS_PER_MS) };

	nanosleep(&t, NULL);
}

/* Nothing is outstanding, so the entry is ours until the frame leaves. */
static int start(struct gen *g, uint32_t i)
{
	struct gen_conn *c = &g->conns[i];
	uint32_t seq = c->snd_nxt, nr = opt.mss / opt.request_len;
	uint64_t now = now_ns();

	if (nr > opt.depth)
		nr = opt.depth;
	for (uint32_t n = 0; n < nr; n++)
		g->sent[(uint64_t)i * opt.depth + (c->replies + n) % opt.depth] = now;
	c->progress_ns = g->resent_ns[i] = now;
	c->pos = 0;
	c->owed = (uint16_t)(opt.depth - nr);
	c->outstanding = (uint16_t)nr;
	__atomic_store_n(&c->snd_nxt, seq + nr * opt.request_len, __ATOMIC_RELEASE);
	return frame_requests(c, seq, nr * opt.request_len);
}

static int start_all(struct gen *g)
{
	int err = 0;

	if (!bpf_macs()) {
		complain("no frame of the server came in by %s", opt.dev);
		return -ENETUNREACH;
	}
	bpf_let_go(true);
	for (uint32_t i = 0; i < opt.nr_conns && !err; i++)
		if (g->conns[i].state == GEN_ACTIVE && !g->conns[i].outstanding)
			err = start(g, i);
	if (err)
		complain("%s: cannot send: %s", opt.dev, strerror(-err));
	return err;
}

/* The program may change the entry at any moment; what is sent late is only a duplicate. */
static void resend(struct gen *g, uint32_t i, uint64_t now)
{
	struct gen_conn c = g->conns[i];
	uint32_t len = c.snd_nxt - c.snd_una;

	g->resent_ns[i] = now;
	if (!len) {
		if (!c.outstanding && c.owed)
			frame_probe(&c);
		return;
	}
	g->nr_resent++;
	if (len > opt.depth * opt.request_len)
		return;
	for (uint32_t off = 0; off < len; off += opt.mss)
		frame_requests(&c, c.snd_una + off, len - off);
}

static void watch(struct gen *g, uint32_t i, uint64_t now, bool stopped)
{
	const struct gen_conn *c = &g->conns[i];
	uint64_t since = c->progress_ns, timeout = opt.timeout_ms * NS_PER_MS;

	if (c->state != GEN_ACTIVE || g->given_up[i] || !(c->outstanding || (c->owed && !stopped)))
		return;
	if (now < since + timeout || now < g->resent_ns[i] + timeout)
		return;
	if (now > since + opt.give_up_ms * NS_PER_MS) {
		g->given_up[i] = true;
		g->nr_stuck++;
		return;
	}
	resend(g, i, now);
}

static void watch_all(struct gen *g, bool stopped)
{
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < opt.nr_conns; i++)
		watch(g, i, now, stopped);
}

/* Rates of short slices: on a machine that others use, too, the faster ones are those that nobody disturbed. */
struct slices {
	double *rates;
	size_t nr, room;
	uint64_t at_ns, replies;
};

static void slice(struct slices *s)
{
	uint64_t now, replies;
	struct gen_stats st;

	if (s->nr == s->room || bpf_stats(&st))
		return;
	now = now_ns();
	replies = st.nr[GEN_REPLIES];
	if (s->at_ns)
		s->rates[s->nr++] = (double)(replies - s->replies) * 1e9 / (double)(now - s->at_ns);
	s->at_ns = now;
	s->replies = replies;
}

static int by_rate(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double peak(struct slices *s)
{
	if (!s->nr)
		return 0;
	qsort(s->rates, s->nr, sizeof(*s->rates), by_rate);
	return s->rates[s->nr * 9 / 10];
}

/* s: NULL while nothing is measured. */
static void watch_for(struct gen *g, uint64_t ns, struct slices *s)
{
	uint64_t end = now_ns() + ns, step = s ? SLICE_MS : opt.timeout_ms / 4 + 1, now, left, watched = 0;

	while ((now = now_ns()) < end && !interrupted) {
		left = (end - now + NS_PER_MS - 1) / NS_PER_MS;
		sleep_ms(left < step ? left : step);
		if (s)
			slice(s);
		if (now < watched + opt.timeout_ms * NS_PER_MS / 4)
			continue;
		watch_all(g, false);
		watched = now;
	}
}

static bool drained(const struct gen *g)
{
	for (uint32_t i = 0; i < opt.nr_conns; i++)
		if (g->conns[i].state == GEN_ACTIVE && g->conns[i].outstanding && !g->given_up[i])
			return false;
	return true;
}

/* Every outstanding request is answered or given up, and the last acknowledgements are out. */
static void drain(struct gen *g)
{
	bpf_let_go(false);
	while (!drained(g)) {
		sleep_ms(5);
		watch_all(g, true);
	}
	sleep_ms(5);
}

static void subtract(struct gen_stats *a, const struct gen_stats *b)
{
	for (size_t i = 0; i < sizeof(*a) / sizeof(__u64); i++)
		((__u64 *)a)[i] -= ((const __u64 *)b)[i];
}

int run_measure(struct gen *g, double seconds, uint32_t warm_ms, struct gen_result *r)
{
	struct gen_stats before, begin;
	struct slices s = { .room = (size_t)(seconds * 1000) / SLICE_MS + 1 };
	uint64_t resent = g->nr_resent, stuck = g->nr_stuck, t0;
	int err;

	s.rates = calloc(s.room, sizeof(*s.rates));
	err = s.rates ? bpf_stats(&before) : -ENOMEM;
	if (!err)
		err = start_all(g);
	if (!err) {
		watch_for(g, warm_ms * NS_PER_MS, NULL);
		err = bpf_stats(&begin);
	}
	t0 = now_ns();
	if (!err) {
		watch_for(g, (uint64_t)(seconds * NS_PER_S), &s);
		err = bpf_stats(&r->measured);
	}
	r->ns = now_ns() - t0;
	r->peak = peak(&s);
	free(s.rates);
	drain(g);
	if (!err)
		err = bpf_stats(&r->all);
	if (err)
		return err;
	subtract(&r->measured, &begin);
	subtract(&r->all, &before);
	r->resent = g->nr_resent - resent;
	r->stuck = g->nr_stuck - stuck;
	return 0;
}
