/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Congestion control: what every algorithm shares, and the table of algorithms. Windows in bytes, appropriate
 * byte counting (RFC 3465). Pure; the caller holds the entry. Which segments are lost is
 * decided in toe/rec.h, which calls what stands at the end here.
 */
#ifndef TOE_CC_H
#define TOE_CC_H

#include "toe/hw_rec.h"
#include "toe/seq.h"

#define CC_MAX_CWND	(1U << 30)
#define CC_INITIAL	10U	/* segments, RFC 6928 */
#define CC_INFINITE	0x7fffffffU	/* ssthresh not yet set: at least this */

/* hw_conn.cc[]: what was sent before this sequence number was held back by cwnd */
#define CC_LIMITED	0
/*       bytes acknowledged since cwnd last grew, congestion avoidance of RFC 5681 */
#define CC_ACKED	1
/*       from here on the algorithm's own */
#define CC_OWN		2

TOE_PURE __u32 cc_flight(const struct hw_conn *c)
{
	return c->min.snd_nxt - c->min.snd_una;
}

/* How far snd_nxt may go, toe_ring_ctl.snd_edge. What has left the network (RFC 6675 "pipe", or
 * duplicate ACKs: RFC 3042, RFC 6582) makes room. */
TOE_PURE __u32 cc_snd_edge(const struct hw_conn *c)
{
	__u32 wnd = c->min.cwnd + c->sacked;

	return c->min.snd_una + (c->min.snd_wnd < wnd ? c->min.snd_wnd : wnd);
}

TOE_PURE int cc_slow(const struct hw_conn *c)
{
	return c->min.cwnd < c->min.ssthresh;
}

/* snd_nxt has moved. RFC 7661: an unused cwnd says nothing about the path, so
 * it grows only for bytes sent while it was what held the sender back. */
TOE_PURE void cc_sent(struct hw_conn *c)
{
	__u32 flight = cc_flight(c) - c->sacked;

	if (flight + c->min.snd_mss > c->min.cwnd || (cc_slow(c) && flight >= c->min.cwnd / 2))
		c->cc[CC_LIMITED] = c->min.snd_nxt;
}

/* RFC 3465 2.1, RFC 9406 4.2: L, after a timeout 2. Of a peer that joins segments (GRO, LRO) one acknowledgement stands for
 * up to 64 KiB: with the 8 segments of those who do not pace the window would take two or three round trips to double. Linux has
 * no limit; the bursts that it is meant against are limited where they leave (bpf/ring.bpf.h shown_edge()). */
#define CC_SLOW_MOST	64U	/* segments */

TOE_PURE __u32 cc_slow_start(const struct hw_conn *c, __u32 acked)
{
	__u32 most = (c->ca_state == TOE_CA_LOSS ? 2U : CC_SLOW_MOST) * c->min.snd_mss;

	return acked < most ? acked : most;
}

TOE_PURE void cc_set(struct hw_conn *c, __u32 cwnd)
{
	__u32 low = c->min.snd_mss;

	c->min.cwnd = cwnd > CC_MAX_CWND ? CC_MAX_CWND : cwnd < low ? low : cwnd;
}

TOE_PURE __u32 cc_at_least(__u32 v, __u32 low)
{
	return v > low ? v : low;
}

#include "toe/cc_reno.h"
#include "toe/cc_cubic.h"
#include "toe/cc_dctcp.h"

/*
 * The table. X(symbol, name, init, acked, lost, rto)
 *   name:  of the kernel's algorithm that it stands for; cubic stands for all others too
 *   init:  before the first segment; the entry's cwnd and ssthresh are kept
 *   acked: bytes were acknowledged outside of recovery; limited: sent while cwnd held the sender back
 *   lost:  a segment was lost, or (ecn) the peer echoes a CE mark; returns the new ssthresh, at least 2 segments
 *   rto:   the same, for a retransmission timeout
 */
#define CC_ALGS(X) \
	X(CUBIC, "cubic", cubic_init, cubic_acked, cubic_lost, cubic_lost) \
	X(RENO, "reno", reno_init, reno_acked, reno_lost, reno_lost) \
	X(DCTCP, "dctcp", dctcp_init, dctcp_acked, dctcp_lost, dctcp_lost)

TOE_PURE void cc_alg_init(struct hw_conn *c, struct hw_rec *r)
{
	switch (c->cc_alg) {
#define X(sym, name, init, acked, lost, rto) case TOE_CC_##sym: init(c, r); break;
	CC_ALGS(X)
#undef X
	}
}

TOE_PURE void cc_alg_acked(struct hw_conn *c, struct hw_rec *r, const struct cc_ack *a)
{
	switch (c->cc_alg) {
#define X(sym, name, init, acked, lost, rto) case TOE_CC_##sym: acked(c, r, a); break;
	CC_ALGS(X)
#undef X
	}
}

TOE_PURE __u32 cc_alg_lost(struct hw_conn *c, struct hw_rec *r, __u8 ecn)
{
	switch (c->cc_alg) {
#define X(sym, name, init, acked, lost, rto) case TOE_CC_##sym: return lost(c, r, ecn);
	CC_ALGS(X)
#undef X
	}
	return 2U * c->min.snd_mss;
}

TOE_PURE __u32 cc_alg_rto(struct hw_conn *c, struct hw_rec *r)
{
	switch (c->cc_alg) {
#define X(sym, name, init, acked, lost, rto) case TOE_CC_##sym: return rto(c, r, 0);
	CC_ALGS(X)
#undef X
	}
	return 2U * c->min.snd_mss;
}

/* Before the first segment. */
TOE_PURE void cc_init(struct hw_conn *c, struct hw_rec *r)
{
	for (int i = 0; i < 10; i++)
		c->cc[i] = 0;
	c->cc[CC_LIMITED] = c->min.snd_una;
	if (c->cc_alg >= TOE_NR_CC)
		c->cc_alg = TOE_CC_CUBIC;
	if (c->min.cwnd < c->min.snd_mss)
		c->min.cwnd = c->min.snd_mss;
	cc_alg_init(c, r);
}

/* The last `acked` bytes before snd_una: were they held back by cwnd? A mark beyond snd_nxt is an old
 * one, from before sequence numbers wrapped. */
TOE_PURE int cc_limited(const struct hw_conn *c, __u32 acked)
{
	return seq_before(c->min.snd_una - acked, c->cc[CC_LIMITED]) &&
	       seq_leq(c->cc[CC_LIMITED], c->min.snd_nxt);
}

/* RFC 5681 4.1, as Linux's tcp_cwnd_restart(): idle for longer than a timeout, cwnd halves for each of them,
 * not below the initial window. For CUBIC time in which nothing was sent does not count (RFC 9438 5.8). */
TOE_PURE void cc_idle(struct hw_conn *c, __u32 idle_ms)
{
	__u32 rto_ms = (c->min.srtt_us + cc_at_least(4 * c->min.rttvar_us, 200000)) / 1000;
	__u32 cwnd = c->min.cwnd, low = CC_INITIAL * c->min.snd_mss;

	if (c->cc_alg == TOE_CC_CUBIC)
		cubic_idle(c, idle_ms);
	if (idle_ms <= rto_ms || cwnd <= low)
		return;
	c->min.ssthresh = cc_at_least(c->min.ssthresh, cwnd / 4 * 3);
	for (int i = 0; i < 30 && idle_ms > rto_ms && cwnd > low; i++) {
		cwnd /= 2;
		idle_ms -= rto_ms;
	}
	c->min.cwnd = cc_at_least(cwnd, low);
	if (c->cc_alg == TOE_CC_CUBIC)
		c->cc[CUBIC_EPOCH] = 0;
}

#endif
