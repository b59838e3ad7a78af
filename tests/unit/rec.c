/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sender's loss recovery against a simulated peer and path: SACK and D-SACK as a receiver makes them, loss,
 * reordering, delay, timers, all from a seed. And the rules one by one.
 */
#include <stdbool.h>
#include <string.h>
#include "tests/helpers/pattern.h"
#include "tests/unit/test.h"
#include "toe/ival.h"
#include "toe/rec.h"

#define MSS	1000U
#define RTT	20000U			/* us */
#define ISS	0xfff00000U
#define NR_SEGS	600U

struct pkt {				/* on its way */
	uint64_t at, order;
	bool ack, used;
	uint32_t seq, len, tsval;	/* data */
	uint32_t una, tsecr;		/* acknowledgement */
	struct toe_ival sack[4];
	unsigned int nr_sack;
	bool dsack;
};

struct sim {
	struct hw_conn c;
	struct hw_rec r;
	struct pkt net[4096];
	size_t top;		/* of net, all behind it are free */
	uint64_t now, rnd, rtx_since, order;
	unsigned int sent, rtx, lost, timeouts, drop_nth;
	unsigned int burst_from, burst_to;	/* of the first transmissions of these, one of burst_of arrives */
	unsigned int burst_of, far;		/* far: times that the sieve was in use */
	double loss, reorder;
	bool sack, ts, drop_rtx;
	/* the peer */
	uint32_t rcv_nxt, ts_recent;
	struct toe_ival recent[4];	/* of what it has beyond rcv_nxt, the latest first */
	bool got[NR_SEGS];
};

static bool chance(struct sim *s, double p)
{
	return p > 0 && (double)(rnd_next(&s->rnd) >> 11) * 0x1p-53 < p;
}

static struct pkt *post(struct sim *s, uint64_t delay)
{
	for (size_t i = 0; i < NR(s->net); i++) {
		struct pkt *p = &s->net[i];

		if (p->used)
			continue;
		s->top = i >= s->top ? i + 1 : s->top;
		*p = (struct pkt){ .used = true, .at = s->now + delay, .order = s->order++ };
		return p;
	}
	fail_msg("more than %zu packets on their way", NR(s->net));
	return NULL;
}

static uint32_t ts_now(const struct sim *s)
{
	return (uint32_t)(s->now / 1000);
}

static void transmit(struct sim *s, uint32_t seq, uint32_t len, bool again)
{
	uint32_t nth = (seq - ISS) / MSS;
	struct pkt *p;

	s->sent++;
	s->rtx += again;
	if (!again && nth >= s->burst_from && nth < s->burst_to && nth % s->burst_of) {
		s->lost++;
		return;
	}
	if (chance(s, s->loss) || s->sent == s->drop_nth || (again && s->drop_rtx)) {
		s->lost++;
		if (again)
			s->drop_rtx = false;
		return;
	}
	p = post(s, RTT / 2 + (chance(s, s->reorder) ? RTT / 5 : 0));
	p->seq = seq;
	p->len = len;
	p->tsval = ts_now(s);
}

/* Segment nth has come, out of order: the run that it is in comes first, RFC 2018 section 4. */
static void tell(struct sim *s, unsigned int nth)
{
	struct toe_ival run, next;
	unsigned int from = nth, to = nth + 1;

	while (s->got[from - 1])
		from--;
	while (to < NR_SEGS && s->got[to])
		to++;
	run = (struct toe_ival){ ISS + from * MSS, ISS + to * MSS };
	for (size_t i = 0; i < NR(s->recent); i++) {
		next = s->recent[i];
		s->recent[i] = run;
		if (ival_empty(&next) || (seq_geq(next.start, s->recent[0].start) && seq_leq(next.end, s->recent[0].end)))
			return;
		run = next;
	}
}

/* RFC 2018, RFC 2883: what a receiver answers. It keeps all that comes. */
static void receive(struct sim *s, const struct pkt *d)
{
	unsigned int nth = (d->seq - ISS) / MSS;
	struct pkt *a = post(s, RTT / 2);
	bool dup = s->got[nth];

	if (seq_leq(d->seq, s->rcv_nxt))
		s->ts_recent = d->tsval;
	if (dup && s->sack) {
		a->sack[a->nr_sack++] = (struct toe_ival){ d->seq, d->seq + d->len };
		a->dsack = true;
	}
	s->got[nth] = true;
	if (!dup && d->seq != s->rcv_nxt)
		tell(s, nth);
	while (s->rcv_nxt != ISS + NR_SEGS * MSS && s->got[(s->rcv_nxt - ISS) / MSS])
		s->rcv_nxt += MSS;
	for (size_t i = 0; s->sack && i < NR(s->recent) && a->nr_sack < 3; i++)
		if (seq_after(s->recent[i].start, s->rcv_nxt))
			a->sack[a->nr_sack++] = s->recent[i];
	a->ack = true;
	a->una = s->rcv_nxt;
	a->tsecr = s->ts_recent;
}

/* Is the byte at q one that the scoreboard says to be missing? */
static bool missing(const struct hw_rec *r, uint32_t q)
{
	const struct toe_sieve *v = &r->sieve;
	bool hole = !sieve_empty(v) && seq_leq(v->hole.start, q) && seq_before(q, v->hole.end) &&
		    !(v->came[(q - v->base) / MSS / 64 % (TOE_SIEVE_BITS / 64)] >> (q - v->base) / MSS % 64 & 1);

	for (int i = 0; i < TOE_NR_HOLES; i++)
		hole |= seq_leq(r->hole[i].start, q) && seq_before(q, r->hole[i].end);
	return hole;
}

/* What every state must satisfy. */
static void check(const struct sim *s)
{
	const struct min_tcp *m = &s->c.min;
	uint32_t sum = 0;

	for (int i = 0; i < TOE_NR_HOLES; i++) {
		const struct toe_hole *h = &s->r.hole[i];

		if (hole_empty(h))
			continue;
		assert_true(seq_before(h->start, h->end));
		assert_true(seq_geq(h->start, m->snd_una) && seq_leq(h->end, m->snd_nxt));
		assert_true(seq_geq(h->rxt, h->start) && seq_leq(h->rxt, h->end));
		for (int j = 0; j < i; j++) {
			const struct toe_hole *o = &s->r.hole[j];

			assert_true(hole_empty(o) || seq_leq(o->end, h->start) || seq_geq(o->start, h->end));
		}
		assert_true(sieve_empty(&s->r.sieve) || seq_leq(h->end, s->r.sieve.hole.start));
	}
	if (s->sack && s->c.rec & TOE_REC_BOARD) {
		/* a byte that is not missing was SACKed, so the peer has it */
		for (uint32_t q = m->snd_una; q != s->r.high_sack; q += MSS) {
			assert_true(missing(&s->r, q) || s->got[(q - ISS) / MSS]);
			sum += missing(&s->r, q) ? MSS : 0;
		}
		assert_int_equal(s->c.sacked, s->r.high_sack - m->snd_una - sum);
	}
	assert_true(sieve_empty(&s->r.sieve) || (seq_leq(s->r.sieve.hole.start, s->r.sieve.hole.rxt) &&
		seq_leq(s->r.sieve.hole.rxt, s->r.sieve.lost) && seq_leq(s->r.sieve.lost, s->r.sieve.soon) &&
		seq_leq(s->r.sieve.soon, s->r.sieve.hole.end)));
	assert_true(s->c.sacked <= cc_flight(&s->c));
	assert_true(m->cwnd >= MSS && m->ssthresh >= 2 * MSS);
}

static void resend(struct sim *s)
{
	uint32_t room = rec_look(&s->c, &s->r, (uint32_t)s->now), seq = s->c.min.snd_una, len;

	while (room >= MSS && (len = sack_next(&s->r, seq, MSS, &seq))) {
		assert_int_equal(rec_sent(&s->c, &s->r, seq, len, 0, (uint32_t)s->now, ts_now(s)), 0);
		assert_int_equal(rec_sent(&s->c, &s->r, seq, len, 0, (uint32_t)s->now, ts_now(s)), -1);
		transmit(s, seq, len, true);
		seq += len;
		room -= len;
	}
}

static void acked(struct sim *s, const struct pkt *a)
{
	struct min_tcp *m = &s->c.min;
	struct rec_ack k = { .now_us = (uint32_t)s->now, .tsecr = s->ts ? a->tsecr : 0, .rtt_us = ~0U };

	if (seq_before(a->una, m->snd_una))
		return;
	k.acked = a->una - m->snd_una;
	k.dup = !k.acked && cc_flight(&s->c);
	k.dsack = a->dsack;
	k.dsack_end = a->sack[0].end;
	m->snd_una = a->una;
	if (k.acked)
		s->rtx_since = s->now;
	rec_begin(&s->c, &s->r, &k);
	for (unsigned int i = a->dsack; i < a->nr_sack; i++) {
		uint32_t from = seq_max(a->sack[i].start, m->snd_una);

		if (seq_before(from, a->sack[i].end))
			k.told |= (uint8_t)sack_block(&s->r, from, a->sack[i].end, k.now_us, m->min_rtt_us);
	}
	rec_acked(&s->c, &s->r, &k);
	s->far += !sieve_empty(&s->r.sieve);
	check(s);
	resend(s);
}

static void send_new(struct sim *s)
{
	while (s->c.min.snd_nxt != ISS + NR_SEGS * MSS &&
	       seq_leq(s->c.min.snd_nxt + MSS, cc_snd_edge(&s->c))) {
		transmit(s, s->c.min.snd_nxt, MSS, false);
		s->c.min.snd_nxt += MSS;
		cc_sent(&s->c);
	}
}

static bool sooner(const struct pkt *a, const struct pkt *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void deliver(struct sim *s)
{
	for (;;) {
		struct pkt *first = NULL, p;

		for (size_t i = 0; i < s->top; i++)
			if (s->net[i].used && s->net[i].at <= s->now && (!first || sooner(&s->net[i], first)))
				first = &s->net[i];
		if (!first)
			return;
		p = *first;
		first->used = false;
		if (p.ack)
			acked(s, &p);
		else
			receive(s, &p);
	}
}

static void sim_start(struct sim *s, uint64_t seed)
{
	*s = (struct sim){ .rnd = seed, .now = 1000000, .sack = true, .ts = true, .rcv_nxt = ISS };
	s->c.min = (struct min_tcp){ .snd_una = ISS, .snd_nxt = ISS, .snd_wnd = 1 << 24, .snd_mss = MSS,
		.cwnd = 10 * MSS, .ssthresh = 64 * MSS, .srtt_us = RTT, .min_rtt_us = RTT };
	s->c.recover = ISS;
}

static void run(struct sim *s)
{
	s->c.min.opts = s->sack ? TOE_OPT_SACK : 0;
	cc_init(&s->c, &s->r);
	s->rtx_since = s->now;
	for (int tick = 0; s->c.min.snd_una != ISS + NR_SEGS * MSS; tick++, s->now += 200) {
		if (tick > 500000)
			fail_msg("stuck at segment %u", (s->c.min.snd_una - ISS) / MSS);
		deliver(s);
		resend(s);
		send_new(s);
		if (s->now - s->rtx_since > 250000) {
			rec_rto(&s->c, &s->r, (uint32_t)s->now);
			check(s);
			resend(s);
			s->timeouts++;
			s->rtx_since = s->now;
		}
	}
	for (unsigned int i = 0; i < NR_SEGS; i++)
		assert_true(s->got[i]);
}

static struct sim sim;

static void clean_path(void **state)
{
	(void)state;
	sim_start(&sim, 1);
	run(&sim);
	assert_int_equal(sim.rtx + sim.timeouts, 0);
	assert_int_equal(sim.sent, NR_SEGS);
	assert_true(sim.c.min.cwnd > 50 * MSS);
}

/* Every loss is repaired once, few of them by a timeout (those of the last segments, lost retransmissions). */
static void random_loss(void **state)
{
	unsigned int lost = 0, rtx = 0, timeouts = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		sim_start(&sim, seed);
		sim.loss = seed % 4 * 0.02 + 0.01;
		run(&sim);
		lost += sim.lost;
		rtx += sim.rtx;
		timeouts += sim.timeouts;
	}
	print_message("          %u lost, %u sent again, %u timeouts\n", lost, rtx, timeouts);
	assert_true(rtx >= lost && rtx < lost + lost / 8);
	assert_true(timeouts < lost / 10);
}

static void random_loss_without_sack(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		sim_start(&sim, seed);
		sim.sack = false;
		sim.ts = seed & 1;
		sim.loss = seed % 4 * 0.02 + 0.01;
		run(&sim);
		assert_true(sim.rtx >= sim.lost);
	}
}

/* Reordering by a fifth of the round trip: RFC 8985 waits a quarter once it has seen it, and undoes what it did before. */
static void reordering(void **state)
{
	unsigned int rtx = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		sim_start(&sim, seed);
		sim.reorder = seed % 2 ? 0.01 : 0.1;
		run(&sim);
		rtx += sim.rtx;
		assert_int_equal(sim.timeouts, 0);
		assert_true(sim.c.min.cwnd >= 60 * MSS);
		assert_true(sim.r.flags & TOE_REC_REO);
	}
	print_message("          %u segments sent again of %u\n", rtx, 40 * NR_SEGS);
	assert_true(rtx < 40 * 6);
}

static void loss_and_reordering(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		sim_start(&sim, seed);
		sim.loss = 0.05;
		sim.reorder = 0.05;
		sim.sack = seed % 3;
		sim.c.cc_alg = seed % TOE_NR_CC;
		run(&sim);
	}
}

/* A retransmission that is lost too is found by what was sent after it, before the timer. */
static void lost_retransmission(void **state)
{
	(void)state;
	sim_start(&sim, 1);
	sim.drop_nth = 100;
	sim.drop_rtx = true;
	run(&sim);
	assert_int_equal(sim.lost, 2);
	assert_int_equal(sim.rtx, 2);
	assert_int_equal(sim.timeouts, 0);
}

/* ---- rules, one by one ---- */

static struct hw_conn flight(uint32_t segs)
{
	struct hw_conn c = { .min = { .snd_una = ISS, .snd_nxt = ISS + segs * MSS, .snd_wnd = 1 << 24,
		.snd_mss = MSS, .cwnd = segs * MSS, .ssthresh = ~0U, .srtt_us = RTT, .min_rtt_us = RTT,
		.opts = TOE_OPT_SACK }, .recover = ISS };

	memset(&sim.r, 0, sizeof(sim.r));
	cc_init(&c, &sim.r);
	return c;
}

static int hear(struct hw_conn *c, uint32_t una, uint32_t s, uint32_t e, uint32_t now, uint32_t tsecr)
{
	struct rec_ack a = { .acked = una - c->min.snd_una, .now_us = now, .rtt_us = ~0U, .tsecr = tsecr };

	c->min.snd_una = una;
	rec_begin(c, &sim.r, &a);
	if (s != e)
		a.told = (uint8_t)sack_block(&sim.r, s, e, now, c->min.min_rtt_us);
	return rec_acked(c, &sim.r, &a);
}

#define SEG(n) (ISS + (n) * MSS)

/* RFC 6675: the third SACKed segment, not the second; only the hole is sent. */
static void dupthresh(void **state)
{
	struct hw_conn c = flight(10);
	uint32_t seq;

	(void)state;
	assert_int_equal(hear(&c, ISS, SEG(1), SEG(2), 100, 0), 0);
	assert_int_equal(cc_snd_edge(&c), SEG(11));		/* RFC 3042 */
	assert_int_equal(hear(&c, ISS, SEG(1), SEG(3), 110, 0), 0);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_int_equal(hear(&c, ISS, SEG(1), SEG(4), 120, 0), 1);
	assert_int_equal(c.ca_state, TOE_CA_RECOVERY);
	assert_int_equal(c.recover, SEG(10));
	assert_int_equal(c.min.cwnd, 7 * MSS);
	assert_int_equal(sack_next(&sim.r, ISS, 5 * MSS, &seq), MSS);
	assert_int_equal(seq, ISS);
}

/* What may leave is sent: again, then for the first time. Segments. */
static uint32_t send_all(struct hw_conn *c, uint32_t now)
{
	uint32_t n = 0, seq, len;

	while (rec_look(c, &sim.r, now) >= MSS && (len = sack_next(&sim.r, ISS, MSS, &seq))) {
		assert_int_equal(rec_sent(c, &sim.r, seq, len, 0, now, 1), 0);
		n++;
	}
	while (seq_leq(c->min.snd_nxt + MSS, cc_snd_edge(c))) {
		c->min.snd_nxt += MSS;
		n++;
	}
	return n;
}

/* RFC 6937: seven segments leave for ten that arrived. */
static void prr_spread(void **state)
{
	struct hw_conn c = flight(100);
	uint32_t sent;

	(void)state;
	hear(&c, ISS, SEG(1), SEG(4), 100, 0);
	assert_int_equal(c.ca_state, TOE_CA_RECOVERY);
	assert_int_equal(c.min.ssthresh, 70 * MSS);
	sent = send_all(&c, 100);
	assert_int_equal(sent, 1);
	for (uint32_t n = 5; n < 100; n++) {
		hear(&c, ISS, SEG(1), SEG(n), 100 + n, 0);
		sent += send_all(&c, 100 + n);
		assert_in_range(sent, (n - 4) * 7 / 10, (n - 4) * 7 / 10 + 3);
	}
	hear(&c, SEG(100), 0, 0, 300, 0);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_int_equal(c.min.cwnd, 70 * MSS);
}

/* Most of a window is missing: what comes again are not 70 segments at once, but as many as arrived, and one more
 * for each acknowledgement that moves. */
static void prr_many_lost(void **state)
{
	struct hw_conn c = flight(100);

	(void)state;
	hear(&c, ISS, SEG(80), SEG(83), 100, 0);
	assert_int_equal(c.ca_state, TOE_CA_RECOVERY);
	assert_in_range(send_all(&c, 100), 1, 2);
	hear(&c, ISS, SEG(80), SEG(90), 110, 0);
	assert_in_range(send_all(&c, 110), 6, 8);
	for (uint32_t n = 1; n < 8; n++) {
		hear(&c, SEG(n), SEG(80), SEG(90), 2000 + n, 0);
		assert_in_range(send_all(&c, 2000 + n), 1, 2);
	}
}

/* RFC 8985: what was sent again is lost, too, when what was sent later has arrived, whatever the round trip was
 * taken for before. */
static void lost_again(void **state)
{
	struct hw_conn c = flight(10);
	uint32_t seq;

	(void)state;
	c.min.srtt_us = 50 * RTT;
	hear(&c, ISS, SEG(1), SEG(6), 100, 0);
	assert_int_equal(send_all(&c, 100), 3);		/* the first, and two new ones: cwnd is 7 */
	hear(&c, ISS, SEG(1), SEG(10), 200, 0);
	assert_int_equal(sack_next(&sim.r, ISS, MSS, &seq), 0);
	hear(&c, ISS, SEG(1), SEG(11), 210, 0);
	assert_int_equal(sack_next(&sim.r, ISS, MSS, &seq), MSS);
	assert_int_equal(seq, ISS);
}

/* RFC 8985 6.2 step 4: one SACKed segment is enough when a quarter of the round trip has passed. */
static void reo_timer(void **state)
{
	struct hw_conn c = flight(3);

	(void)state;
	hear(&c, ISS, SEG(1), SEG(2), 100, 0);
	assert_int_equal(rec_detect(&c, &sim.r, 0, 100 + RTT / 4 - 1), 0);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_true(rec_detect(&c, &sim.r, 0, 100 + RTT / 4) >= MSS);
	assert_int_equal(c.ca_state, TOE_CA_RECOVERY);
}

static struct hw_conn recovering(uint32_t ts)
{
	struct hw_conn c = flight(10);

	hear(&c, ISS, SEG(1), SEG(4), 100, 0);
	assert_int_equal(hear(&c, ISS, SEG(1), SEG(5), 100, 0), 1);
	assert_int_equal(rec_sent(&c, &sim.r, ISS, MSS, 0, 200, ts), 0);
	return c;
}

/* RFC 3522: the acknowledgement echoes a time before the retransmission. */
static void undo_by_timestamp(void **state)
{
	struct hw_conn c = recovering(5000);

	(void)state;
	hear(&c, SEG(5), 0, 0, 300, 5000);
	assert_int_equal(c.ca_state, TOE_CA_RECOVERY);
	assert_int_equal(c.min.cwnd, 7 * MSS);
	c = recovering(5000);
	hear(&c, SEG(5), 0, 0, 300, 4999);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_true(c.min.cwnd >= 10 * MSS);
	assert_int_equal(c.min.ssthresh, ~0U);
}

/* RFC 3708: as many D-SACKs as retransmissions. */
static void undo_by_dsack(void **state)
{
	struct hw_conn c = recovering(5000);
	struct rec_ack a = { .now_us = 400, .rtt_us = ~0U, .dsack = 1, .dsack_end = SEG(1), .tsecr = 5000 };

	(void)state;
	hear(&c, SEG(5), 0, 0, 300, 5000);
	hear(&c, SEG(10), 0, 0, 300, 5000);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_int_equal(c.min.cwnd, 7 * MSS);
	rec_acked(&c, &sim.r, &a);
	assert_int_equal(c.min.cwnd, 10 * MSS);
	assert_int_equal(sim.r.reo_mult, 2);
	rec_acked(&c, &sim.r, &a);
	assert_int_equal(c.min.cwnd, 10 * MSS);
}

static void undo_of_timeout(void **state)
{
	struct hw_conn c = flight(10);

	(void)state;
	rec_rto(&c, &sim.r, 100);
	assert_int_equal(c.min.cwnd, MSS);
	assert_int_equal(rec_detect(&c, &sim.r, 0, 100), MSS);
	rec_sent(&c, &sim.r, ISS, MSS, 0, 100, 5000);
	hear(&c, SEG(1), 0, 0, 300, 4000);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_true(c.min.cwnd >= 10 * MSS);
	assert_int_equal(rec_detect(&c, &sim.r, 0, 100000), 0);	/* and nothing else is sent again */
}

/* RFC 6298 5.5, RFC 6675 5.1: what was SACKed is not sent again, unless the peer reneged. */
static void timeout(void **state)
{
	struct hw_conn c = flight(10);
	uint32_t seq, ssthresh;

	(void)state;
	hear(&c, ISS, SEG(1), SEG(3), 100, 0);
	rec_rto(&c, &sim.r, 500000);
	ssthresh = c.min.ssthresh;
	assert_int_equal(ssthresh, 7 * MSS);
	assert_int_equal(c.sacked, 2 * MSS);
	assert_int_equal(sack_next(&sim.r, ISS, ~0U, &seq), MSS);
	assert_int_equal(sack_next(&sim.r, SEG(1), ~0U, &seq), 7 * MSS);
	assert_int_equal(seq, SEG(3));
	rec_rto(&c, &sim.r, 900000);				/* the same bytes */
	assert_int_equal(c.min.ssthresh, ssthresh);
	c = flight(10);
	hear(&c, SEG(0), SEG(1), SEG(3), 100, 0);
	hear(&c, SEG(1), 0, 0, 110, 0);				/* not SEG(3) */
	rec_rto(&c, &sim.r, 500000);
	assert_int_equal(c.sacked, 0);
	assert_int_equal(sack_next(&sim.r, SEG(1), ~0U, &seq), 9 * MSS);
}

/* RFC 8985 7.4.2 */
static void tail_loss_probe(void **state)
{
	static const struct { uint32_t dsack_end; uint32_t cwnd; } t[] = { { 0, 7 }, { SEG(10), 10 } };

	(void)state;
	for (size_t i = 0; i < NR(t); i++) {
		struct hw_conn c = flight(10);
		struct rec_ack a = { .now_us = 500, .rtt_us = ~0U };

		rec_sent(&c, &sim.r, SEG(9), MSS, 1, 100, 1);
		assert_int_equal(sim.r.tlp_high, SEG(10));
		hear(&c, SEG(10), 0, 0, 300, 0);
		assert_true(c.rec & TOE_REC_TLP);
		a.dsack = t[i].dsack_end != 0;
		a.dsack_end = t[i].dsack_end;
		if (a.dsack)
			rec_acked(&c, &sim.r, &a);		/* both copies have arrived */
		c.min.snd_nxt += MSS;
		hear(&c, SEG(11), 0, 0, 600, 0);
		assert_false(c.rec & TOE_REC_TLP);
		assert_int_equal(c.min.cwnd, t[i].cwnd * MSS);
	}
}

/* RFC 3168 6.1.2 */
static void ecn_echo(void **state)
{
	struct hw_conn c = flight(10);
	struct rec_ack a = { .acked = MSS, .now_us = 500, .rtt_us = ~0U, .ece = 1 };

	(void)state;
	c.min.opts |= TOE_OPT_ECN;
	for (int i = 0; i < 9; i++) {
		c.min.snd_una += MSS;
		rec_begin(&c, &sim.r, &a);
		rec_acked(&c, &sim.r, &a);
		assert_int_equal(c.min.cwnd, 7 * MSS);		/* once a round trip */
		assert_int_equal(c.ca_state, TOE_CA_CWR);
		assert_true(c.ecn & TOE_ECN_CWR);
	}
	c.min.snd_nxt += 5 * MSS;
	c.min.snd_una += 2 * MSS;
	rec_begin(&c, &sim.r, &a);
	rec_acked(&c, &sim.r, &a);
	assert_int_equal(c.min.cwnd, 7 * MSS * 7 / 10);
}

/* What duplicates tell of ends with the bytes that they tell of, also while cwnd is reduced for an ECN echo. */
static void dup_in_cwr(void **state)
{
	struct rec_ack ece = { .acked = MSS, .now_us = 500, .rtt_us = ~0U, .ece = 1 };
	struct rec_ack dup = { .now_us = 600, .rtt_us = ~0U, .dup = 1 };
	struct hw_conn c = flight(10);

	(void)state;
	c.min.opts = TOE_OPT_ECN;
	c.min.snd_una += MSS;
	rec_begin(&c, &sim.r, &ece);
	rec_acked(&c, &sim.r, &ece);
	rec_begin(&c, &sim.r, &dup);
	rec_acked(&c, &sim.r, &dup);
	assert_int_equal(c.ca_state, TOE_CA_CWR);
	assert_int_equal(c.sacked, MSS);
	hear(&c, c.min.snd_nxt, 0, 0, 700, 0);
	assert_int_equal(c.sacked, 0);
}

/* A slow start that overran a queue: of 400 segments every second, third or fourth arrives. Each is sent again once, and
 * without a timeout; also if a twentieth of those is lost as well. */
static void overrun(void **state)
{
	(void)state;
	for (unsigned int of = 2; of <= 5; of++) {
		sim_start(&sim, of);
		sim.burst_from = 50 + of;
		sim.burst_to = 450;
		sim.burst_of = of;
		sim.c.min.cwnd = 500 * MSS;
		run(&sim);
		assert_true(sim.far > 10 && sim.lost >= 196);
		assert_int_equal(sim.rtx, sim.lost);
		assert_int_equal(sim.timeouts, 0);
		sim_start(&sim, of);
		sim.loss = 0.05;
		sim.burst_from = 50;
		sim.burst_to = 450;
		sim.burst_of = of;
		sim.c.min.cwnd = 500 * MSS;
		run(&sim);
		assert_true(sim.rtx < sim.lost + sim.lost / 8 && sim.timeouts < 3);
	}
}

/* Of what it cannot hold in holes it knows each segment; what is whole first. */
static void too_many_holes(void **state)
{
	struct hw_conn c = flight(200);
	uint32_t seq;

	(void)state;
	for (uint32_t i = 1; i < 199; i += 2)
		hear(&c, ISS, SEG(i), SEG(i + 1), 100, 0);
	assert_int_equal(c.sacked, 99 * MSS);
	assert_int_equal(sim.r.high_sack, SEG(198));
	assert_int_equal(sim.r.sieve.hole.start, SEG(32));
	assert_int_equal(sim.r.sieve.hole.end, SEG(197));
	assert_int_equal(sack_next(&sim.r, SEG(33), 9 * MSS, &seq), MSS);
	assert_int_equal(seq, SEG(34));
	hear(&c, ISS, SEG(34), SEG(35), 100, 0);		/* known as arrived then */
	assert_int_equal(sack_next(&sim.r, SEG(33), 9 * MSS, &seq), MSS);
	assert_int_equal(seq, SEG(36));
	assert_true(sim.r.flags & TOE_REC_REO);
	hear(&c, ISS, SEG(2), SEG(3), 100, 0);			/* a hole is free: takes the first one */
	assert_int_equal(sim.r.sieve.hole.start, SEG(36));
	assert_int_equal(c.sacked, 101 * MSS);
	hear(&c, SEG(60), 0, 0, 100, 0);
	assert_int_equal(c.sacked, 198 * MSS - SEG(60) + ISS - 69 * MSS);
	assert_int_equal(rec_sent(&c, &sim.r, SEG(61), MSS, 0, 100, 0), -1);
	hear(&c, SEG(200), 0, 0, 100, 0);
	assert_true(sieve_empty(&sim.r.sieve));
}

/* Segments of other lengths: what a unit does not know for sure is missing, never the other way round. Some blocks come
 * late, snd_una moves now and then. */
static void uneven(uint64_t seed)
{
	static bool told[200 * MSS];
	struct hw_conn c = flight(200);
	uint32_t at = 0, una = 0, missed = 0, sum, seq, len;

	sim.rnd = mix64(seed);
	memset(told, 0, sizeof(told));
	while (at + 4 * MSS < sizeof(told)) {
		uint32_t s = at + 1 + (uint32_t)rnd_below(&sim.rnd, MSS), e = s + 1 + (uint32_t)rnd_below(&sim.rnd, 2 * MSS);

		if (rnd_below(&sim.rnd, 6) == 0 && missed > una) {	/* one that had been left out */
			s = missed;
			e = missed + 1 + (uint32_t)rnd_below(&sim.rnd, MSS);
		} else if (rnd_below(&sim.rnd, 6) == 0) {
			missed = s;
			at = e;
			continue;
		} else {
			at = e;
		}
		memset(told + s, true, e - s);
		for (una += (uint32_t)rnd_below(&sim.rnd, MSS / 2); told[una]; una++)
			;
		if (rnd_below(&sim.rnd, 40) == 0)
			una += (uint32_t)rnd_below(&sim.rnd, at - una);
		hear(&c, ISS + una, seq_max(ISS + una, ISS + s), seq_max(ISS + una, ISS + e), 100, 0);
		sum = sim.r.high_sack - c.min.snd_una;
		for (uint32_t q = una; q < sim.r.high_sack - ISS; q += 7)	/* bytes, but not all of them */
			assert_true(told[q] || missing(&sim.r, ISS + q));
		for (uint32_t q = una; q < sim.r.high_sack - ISS; q++)
			sum -= missing(&sim.r, ISS + q);
		assert_int_equal(c.sacked, sum);
		sim.far += !sieve_empty(&sim.r.sieve);
	}
	for (seq = ISS + una, len = 0; (len = sack_next(&sim.r, seq, MSS, &seq)); seq += len)
		assert_int_equal(rec_sent(&c, &sim.r, seq, len, 0, 200, 1), 0);
	assert_int_equal(sack_next(&sim.r, ISS + una, MSS, &seq), 0);
	assert_int_equal(rec_detect(&c, &sim.r, 0, 300), 0);
}

static void uneven_segments(void **state)
{
	(void)state;
	sim.far = 0;
	for (uint64_t seed = 1; seed <= 12; seed++)
		uneven(seed);
	assert_true(sim.far > 300);
}

/* 2,048 units are not enough for ever: what leads further is not remembered, until the first holes are closed. */
static void too_long(void **state)
{
	struct hw_conn c = flight(6000);

	(void)state;
	for (uint32_t i = 1; i < 5999; i += 2)
		hear(&c, ISS, SEG(i), SEG(i + 1), 100, 0);
	assert_in_range(sim.r.high_sack - ISS, 1950 * MSS, 2048 * MSS);
	for (uint32_t i = (sim.r.high_sack - ISS) / MSS; i < 5999; i += 2) {
		hear(&c, SEG(i - 1950), SEG(i + 1), SEG(i + 2), 100, 0);
		assert_int_equal(sim.r.high_sack, SEG(i + 2));
		assert_in_range(c.sacked, 970 * MSS, 980 * MSS);
	}
}

/* A timeout: all of it, but for what has arrived; and undo. */
static void sieve_timeout(void **state)
{
	struct hw_conn c = flight(100);
	uint32_t seq = ISS, n = 0, len;

	(void)state;
	for (uint32_t i = 1; i < 90; i += 2)
		hear(&c, ISS, SEG(i), SEG(i + 1), 100, 0);
	rec_sent(&c, &sim.r, ISS, MSS, 0, 200, 5000);
	rec_rto(&c, &sim.r, 500000);
	assert_int_equal(c.sacked, 45 * MSS);
	for (; (len = sack_next(&sim.r, seq, MSS, &seq)); seq += len, n++)
		assert_int_equal(rec_sent(&c, &sim.r, seq, len, 0, 500000, 5000), 0);
	assert_int_equal(n, 55);
}

/* Every second segment from the first to the last has come; the far part begins at 32. */
static void hear_halves(struct hw_conn *c, uint32_t first, uint32_t last, uint32_t now)
{
	for (uint32_t i = first | 1; i < last; i += 2)
		hear(c, c->min.snd_una, SEG(i), SEG(i + 1), now, 0);
}

/* RFC 8985 6.2 step 5, of the far part: a quarter of the round trip after what is behind it came. */
static void sieve_waits(void **state)
{
	struct hw_conn c = flight(200);
	uint32_t seq, now = 100;

	(void)state;
	sim.r.flags = TOE_REC_REO;
	hear_halves(&c, 0, 60, now);
	now += RTT / 4 - 1;
	hear_halves(&c, 60, 80, now);
	assert_int_equal(sack_next(&sim.r, SEG(32), MSS, &seq), 0);
	rec_detect(&c, &sim.r, 0, ++now);
	assert_int_equal(sack_next(&sim.r, SEG(32), MSS, &seq), MSS);
	assert_int_equal(sack_next(&sim.r, SEG(59), MSS, &seq), 0);
	hear(&c, SEG(10), 0, 0, now, 0);			/* five holes are free: they take 32, 34, ... */
	hear(&c, SEG(58), 0, 0, now, 0);
	for (int i = 0; i < 8; i++)
		rec_detect(&c, &sim.r, 0, now);
	assert_true(seq_geq(sim.r.sieve.hole.start, SEG(74)));
	assert_int_equal(sack_next(&sim.r, SEG(58), MSS, &seq), 0);	/* nor does a hole that took it wait less */
	rec_detect(&c, &sim.r, 0, now + RTT / 4 - 1);
	assert_int_equal(sack_next(&sim.r, SEG(58), MSS, &seq), MSS);
	assert_int_equal(seq, SEG(58));
	assert_int_equal(sack_next(&sim.r, SEG(77), MSS, &seq), MSS);
}

/* RFC 3522, and a peer that reneged: nothing is left of the far part. */
static void sieve_forgotten(void **state)
{
	struct hw_conn c = flight(100);
	uint32_t seq;

	(void)state;
	hear_halves(&c, 0, 80, 100);
	rec_sent(&c, &sim.r, ISS, MSS, 0, 200, 5000);
	hear(&c, SEG(2), 0, 0, 300, 4000);
	assert_int_equal(c.ca_state, TOE_CA_OPEN);
	assert_int_equal(sack_next(&sim.r, ISS, MSS, &seq), 0);
	c = flight(100);
	hear_halves(&c, 0, 80, 100);
	hear(&c, SEG(1), 0, 0, 110, 0);				/* not SEG(2) */
	rec_rto(&c, &sim.r, 500000);
	assert_int_equal(c.sacked, 0);
	assert_int_equal(sack_next(&sim.r, ISS, ~0U, &seq), 99 * MSS);
	assert_true(sieve_empty(&sim.r.sieve));
}

/* It never ends, for more than 4 GB: the units are counted anew. */
static void sieve_goes_on(void **state)
{
	struct hw_conn c = flight(0);
	uint32_t mss = 60000, at = ISS;

	(void)state;
	c.min.snd_mss = (uint16_t)mss;
	for (unsigned int i = 0; i < 100000; i++, at += 2 * mss) {
		c.min.snd_nxt = at + 2 * mss;
		hear(&c, i < 100 ? ISS : at - 200 * mss, at + mss, at + 2 * mss, i, 0);
		assert_int_equal(c.sacked, (i < 100 ? i + 1 : 101) * mss);
		assert_true(i < TOE_NR_HOLES || !sieve_empty(&sim.r.sieve));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_path), cmocka_unit_test(random_loss),
		cmocka_unit_test(random_loss_without_sack), cmocka_unit_test(reordering),
		cmocka_unit_test(loss_and_reordering), cmocka_unit_test(lost_retransmission),
		cmocka_unit_test(dupthresh), cmocka_unit_test(prr_spread), cmocka_unit_test(prr_many_lost),
		cmocka_unit_test(lost_again), cmocka_unit_test(reo_timer), cmocka_unit_test(undo_by_timestamp),
		cmocka_unit_test(undo_by_dsack), cmocka_unit_test(undo_of_timeout), cmocka_unit_test(timeout),
		cmocka_unit_test(tail_loss_probe), cmocka_unit_test(ecn_echo), cmocka_unit_test(dup_in_cwr),
		cmocka_unit_test(too_many_holes), cmocka_unit_test(overrun), cmocka_unit_test(uneven_segments),
		cmocka_unit_test(too_long), cmocka_unit_test(sieve_timeout), cmocka_unit_test(sieve_waits),
		cmocka_unit_test(sieve_forgotten), cmocka_unit_test(sieve_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
