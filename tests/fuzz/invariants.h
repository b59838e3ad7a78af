/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold of a connection in hardware after every frame, whatever came: the fuzzers of tests/fuzz and
 * tests/bpf check it after each one. Written without any code of the engines: it reads frames by itself. Every
 * function returns NULL, or what is violated.
 */
#ifndef INVARIANTS_H
#define INVARIANTS_H

#include "toe/hw_conn.h"
#include "toe/desc.h"
#if __has_include("toe/hw_rec.h")
#include "toe/hw_rec.h"
#define INV_REC
#endif

/* All that is compared. The caller fills it before and after. */
struct inv_state {
	struct hw_conn c;
	struct toe_ival ooo[TOE_NR_OOO];
#ifdef INV_REC
	struct hw_rec rec;
#endif
	__u32 rx_read;			/* as the library wrote it, low 32 bits */
	__u32 rx_base;			/* where the rx ring begins */
	int partial_ok;			/* bare pseudo header sums are right */
	int live;			/* the engines handle frames: HW, or HOLD before HW and this is a replay */
};

struct inv_frame {			/* a TCP segment, read independently */
	const __u8 *payload;
	__u32 seq, ack, len, window, tsval, tsecr, nr_sack, sack[4][2];
	__u8 flags, has_ts, csum_ok, ecn, v6;
	const __u8 *addrs, *ports, *macs;
	__u32 addr_len;
	__u32 nr_tags, nr_vlans, vlan[2];	/* vlan: those that are not 0, the outer first, as 0x8100 or 0x88a8 << 16 | VID */
};

#define INV(cond, text) do { if (!(cond)) return (text); } while (0)
#define INV_PURE static inline __attribute__((unused))

INV_PURE int inv_leq(__u32 a, __u32 b) { return (__s32)(b - a) >= 0; }
INV_PURE int inv_in(__u32 lo, __u32 v, __u32 hi) { return inv_leq(lo, v) && inv_leq(v, hi); }
INV_PURE __u32 inv_min(__u32 a, __u32 b) { return inv_leq(a, b) ? a : b; }
INV_PURE __u32 inv_max(__u32 a, __u32 b) { return inv_leq(a, b) ? b : a; }
INV_PURE __u32 inv_ring(struct toe_ring_ref r)
{
	static const __u32 kib[] = { 16, 32, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192 };

	return kib[r.order] << 10;
}
INV_PURE __u32 inv_be16(const __u8 *p) { return (__u32)p[0] << 8 | p[1]; }
INV_PURE __u32 inv_be32(const __u8 *p) { return inv_be16(p) << 16 | inv_be16(p + 2); }

INV_PURE __u32 inv_sum(const __u8 *p, __u32 len, __u32 sum)
{
	for (__u32 i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (__u32)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Are these VLANs those of the connection's link? */
INV_PURE int inv_link(__u32 link, const struct inv_frame *f)
{
	__u32 want[2] = { link >> 13 ? link >> 13 : link, link >> 13 ? link & 0x1fff : 0 };

	for (int i = 0; i < 2; i++) {
		__u32 w = want[i] ? (want[i] & 0x1000 ? 0x88a80000 : 0x81000000) | (want[i] & 0xfff) : 0;

		if (f->vlan[i] != w)
			return 0;
	}
	return 1;
}

INV_PURE void inv_options(const __u8 *p, const __u8 *end, struct inv_frame *f)
{
	while (p < end && *p) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p)
			return;
		if (p[0] == 8 && p[1] == 10) {
			f->has_ts = 1;
			f->tsval = inv_be32(p + 2);
			f->tsecr = inv_be32(p + 6);
		} else if (p[0] == 5) {
			for (f->nr_sack = 0; f->nr_sack < 4 && 10U + 8 * f->nr_sack <= p[1]; f->nr_sack++) {
				f->sack[f->nr_sack][0] = inv_be32(p + 2 + 8 * f->nr_sack);
				f->sack[f->nr_sack][1] = inv_be32(p + 6 + 8 * f->nr_sack);
			}
		}
		p += p[1];
	}
}

/* A whole, plain TCP segment behind at most two VLAN tags? 0: no; then of f only the tags are right. */
INV_PURE int inv_read(const __u8 *d, __u32 len, int partial_ok, struct inv_frame *f)
{
	__u32 off = 14, ip_len, total, hdr, sum;
	const __u8 *ip, *tcp;

	while (off <= 18 && len >= off + 4 && (inv_be16(d + off - 2) == 0x8100 || inv_be16(d + off - 2) == 0x88a8)) {
		if (inv_be16(d + off) & 0xfff)
			f->vlan[f->nr_vlans++] = inv_be16(d + off - 2) << 16 | (inv_be16(d + off) & 0xfff);
		f->nr_tags++;
		off += 4;
	}
	if (len < off + 40)
		return 0;
	ip = d + off;
	f->v6 = inv_be16(ip - 2) == 0x86dd;
	if (inv_be16(ip - 2) != (f->v6 ? 0x86dd : 0x0800) || ip[0] >> 4 != (f->v6 ? 6 : 4))
		return 0;
	ip_len = f->v6 ? 40 : (ip[0] & 15U) * 4;
	total = f->v6 ? 40 + inv_be16(ip + 4) : inv_be16(ip + 2);
	if (ip[f->v6 ? 6 : 9] != 6 || (!f->v6 && (ip_len != 20 || (inv_be16(ip + 6) & 0x3fff))) ||
	    total < ip_len + 20 ||
	    off + total > len)
		return 0;
	tcp = ip + ip_len;
	hdr = (tcp[12] >> 4) * 4U;
	if (hdr < 20 || ip_len + hdr > total)
		return 0;
	f->macs = d;
	f->addrs = ip + (f->v6 ? 8 : 12);
	f->addr_len = f->v6 ? 16 : 4;
	f->ports = tcp;
	f->seq = inv_be32(tcp + 4);
	f->ack = inv_be32(tcp + 8);
	f->flags = tcp[13];
	f->window = inv_be16(tcp + 14);
	f->ecn = (f->v6 ? ip[1] >> 4 : ip[1]) & 3;
	f->payload = tcp + hdr;
	f->len = total - ip_len - hdr;
	sum = inv_sum(f->addrs, 2 * f->addr_len, 6 + total - ip_len);
	f->csum_ok = inv_sum(tcp, total - ip_len, sum) == 0xffff || (partial_ok && inv_be16(tcp + 16) == sum);
	inv_options(tcp + 20, tcp + hdr, f);
	return 1;
}

/* ---- the entry by itself ---- */

INV_PURE const char *inv_intervals(const struct inv_state *s)
{
	const struct min_tcp *m = &s->c.min;
	unsigned int nr = 0;

	for (int i = 0; i < TOE_NR_OOO; i++) {
		const struct toe_ival *v = &s->ooo[i];

		if (v->start == v->end)
			continue;
		nr++;
		INV(inv_leq(v->start, v->end), "an interval's end lies before its start");
		INV(!inv_leq(v->start, m->rcv_nxt), "an interval is not beyond rcv_nxt");
		INV(v->end - m->rcv_nxt <= inv_ring(s->c.rx), "an interval does not fit the ring");
		INV(inv_leq(v->end, m->rcv_adv), "an interval is outside the window");
		for (int k = i + 1; k < TOE_NR_OOO; k++)
			INV(s->ooo[k].start == s->ooo[k].end || !inv_leq(v->start, s->ooo[k].end) ||
			    !inv_leq(s->ooo[k].start, v->end), "two intervals touch");
	}
	INV(nr == s->c.nr_ooo, "nr_ooo is not the number of intervals");
	return NULL;
}

#ifdef INV_REC
INV_PURE const char *inv_sieve(const struct inv_state *s)
{
	const struct toe_sieve *v = &s->rec.sieve;
	const struct toe_hole *h = &v->hole;

	if (h->start == h->end)
		return NULL;
	INV(inv_in(s->c.min.snd_una, h->start, h->end) && inv_leq(h->end, s->rec.high_sack), "the sieve is outside");
	INV(inv_in(h->start, h->rxt, v->lost) && inv_in(v->lost, v->soon, h->end),
	    "more of the sieve was sent again than is lost");
	INV(h->end - h->start <= (TOE_SIEVE_BITS - 64) * v->unit, "the sieve is too long");
	INV(h->start - v->base < TOE_SIEVE_BITS * v->unit, "the sieve begins before its first unit");
	for (int k = 0; k < TOE_NR_HOLES; k++)
		INV(s->rec.hole[k].start == s->rec.hole[k].end || inv_leq(s->rec.hole[k].end, h->start),
		    "a hole is above the sieve's beginning");
	return NULL;
}

/* The scoreboard: what is said to be missing was sent and not acknowledged. */
INV_PURE const char *inv_holes(const struct inv_state *s)
{
	const struct min_tcp *m = &s->c.min;

	INV(s->c.sacked <= m->snd_nxt - m->snd_una, "more has left the network than is in flight");
	if (!(s->c.rec & TOE_REC_BOARD))
		return NULL;
	INV(inv_in(m->snd_una, s->rec.high_sack, m->snd_nxt), "high_sack is outside of what was sent");
	for (int i = 0; i < TOE_NR_HOLES; i++) {
		const struct toe_hole *h = &s->rec.hole[i];

		if (h->start == h->end)
			continue;
		INV(inv_in(m->snd_una, h->start, h->end) && inv_leq(h->end, s->rec.high_sack), "a hole is outside");
		INV(inv_in(h->start, h->rxt, h->end), "more of a hole was sent again than it has");
		for (int k = i + 1; k < TOE_NR_HOLES; k++)
			INV(s->rec.hole[k].start == s->rec.hole[k].end || inv_leq(s->rec.hole[k].end, h->start) ||
			    inv_leq(h->end, s->rec.hole[k].start), "two holes overlap");
	}
	return inv_sieve(s);
}
#endif

INV_PURE const char *inv_entry(const struct inv_state *s)
{
	const struct hw_conn *c = &s->c;
	const struct min_tcp *m = &c->min;

	INV(!c->lock, "the lock stayed taken");
	INV(c->state <= TOE_HW, "state is none");
	if (c->state != TOE_HW)
		return NULL;
	INV(inv_leq(m->snd_una, m->snd_nxt), "snd_una is beyond snd_nxt");
	INV(m->snd_nxt - m->snd_una <= inv_ring(c->tx), "more in flight than the tx ring holds");
	INV(inv_leq(m->rcv_nxt, m->rcv_adv), "rcv_nxt is beyond the window");
	INV(inv_leq(m->last_ack, m->rcv_nxt), "last_ack is beyond rcv_nxt");
	INV(m->cwnd >= m->snd_mss, "cwnd is less than a segment");
	INV(m->cwnd <= 1U << 31, "cwnd without bound");
	INV(m->ssthresh >= 2U * m->snd_mss || !m->ssthresh, "ssthresh is less than two segments");
	INV(inv_leq(c->recover, m->snd_nxt), "recover is beyond snd_nxt");
	INV(m->srtt_us <= 120000000, "srtt is more than two minutes");
#ifdef INV_REC
	if (inv_holes(s))
		return inv_holes(s);
#endif
	return inv_intervals(s);
}

/* ---- what a frame may change ---- */

INV_PURE int inv_bytes_equal(const void *a, const void *b, unsigned long n)
{
	return !__builtin_memcmp(a, b, n);
}

/* Whose connection it is, and where its bytes lie. */
INV_PURE const char *inv_identity(const struct inv_state *b, const struct inv_state *a)
{
	INV(inv_bytes_equal(&b->c.min.flow, &a->c.min.flow, sizeof(a->c.min.flow)), "the flow changed");
	INV(b->c.hw_connid == a->c.hw_connid && b->c.gen == a->c.gen, "HW_CONNID or generation changed");
	INV(b->c.cookie == a->c.cookie && b->c.fd == a->c.fd && b->c.app == a->c.app, "the owner changed");
	INV(inv_bytes_equal(&b->c.rx, &a->c.rx, 4) && inv_bytes_equal(&b->c.tx, &a->c.tx, 4), "a ring moved");
	INV(b->c.nic == a->c.nic && b->c.vlan == a->c.vlan && b->c.ttl == a->c.ttl && b->c.tos == a->c.tos, "the way out changed");
	INV(inv_bytes_equal(b->c.dst_mac, a->c.dst_mac, 12), "the hardware addresses changed");
	INV(b->c.min.snd_mss == a->c.min.snd_mss && b->c.min.opts == a->c.min.opts, "what was negotiated changed");
	return NULL;
}

/* How far bytes that arrive may reach. */
INV_PURE __u32 inv_edge(const struct inv_state *b)
{
	return inv_min(b->c.min.rcv_adv, b->rx_read + inv_ring(b->c.rx));
}

INV_PURE const char *inv_rx_fields(const struct inv_state *b, const struct inv_state *a, const struct inv_frame *f)
{
	const struct min_tcp *x = &b->c.min, *y = &a->c.min;

	INV(x->snd_nxt == y->snd_nxt, "a frame from the peer moved snd_nxt");
	INV(y->snd_una == x->snd_una || (f && y->snd_una == f->ack && inv_in(x->snd_una, f->ack, x->snd_nxt)),
	    "snd_una moved to what was not acknowledged");
	INV(inv_in(x->rcv_nxt, y->rcv_nxt, inv_max(inv_edge(b), x->rcv_nxt)), "rcv_nxt went back or left the window");
	INV(inv_leq(x->rcv_adv, y->rcv_adv), "the window was taken back");
	/* a promise beyond the ring is the kernel's: it stays, rounded up by the scale */
	INV(y->rcv_adv == x->rcv_adv || inv_leq(y->rcv_adv, b->rx_read + inv_ring(a->c.rx)) ||
	    (!inv_leq(x->rcv_adv, b->rx_read + inv_ring(a->c.rx)) &&
	     y->rcv_adv - x->rcv_adv < 1U << (x->rcv_wscale & 15)),
	    "the window was opened beyond the ring");
	INV(y->last_ack == x->last_ack || y->last_ack == y->rcv_nxt, "last_ack is neither old nor rcv_nxt");
	INV(y->snd_wnd == x->snd_wnd || (f && y->snd_wnd == f->window << x->snd_wscale),
	    "snd_wnd is not the segment's");
	INV(y->ts_recent == x->ts_recent || (f && f->has_ts && y->ts_recent == f->tsval &&
	    (!x->ts_recent || inv_leq(x->ts_recent, f->tsval))), "ts_recent went back or is not the segment's");
	return NULL;
}

/* Every byte that is promised, by rcv_nxt or in an interval, and was not before, is in this frame and in the ring. */
INV_PURE const char *inv_promised(const struct inv_state *b, __u32 from, __u32 to, const struct inv_frame *f,
				  const struct inv_state *a, const __u8 *ring)
{
	__u32 size = inv_ring(b->c.rx);

	for (__u32 s = from; s != to; s++) {
		int held = 0;

		for (int i = 0; i < TOE_NR_OOO; i++)
			if (b->ooo[i].start != b->ooo[i].end && s - b->ooo[i].start < b->ooo[i].end - b->ooo[i].start) {
				held = 1;
				s = inv_min(b->ooo[i].end, to) - 1;
				break;
			}
		if (held)
			continue;
		INV(f && f->csum_ok && s - f->seq < f->len, "a byte that never came is acknowledged");
		INV(ring[(s - a->rx_base) % size] == f->payload[s - f->seq], "the ring does not hold what the frame carried");
	}
	return NULL;
}

/* What was SACKed stays: RFC 2018 section 8 allows to renege, these engines do not. */
INV_PURE const char *inv_kept(const struct inv_state *b, const struct inv_state *a)
{
	for (int i = 0; i < TOE_NR_OOO; i++) {
		int kept = b->ooo[i].start == b->ooo[i].end || inv_leq(b->ooo[i].end, a->c.min.rcv_nxt);

		for (int k = 0; k < TOE_NR_OOO; k++)
			kept |= a->ooo[k].start != a->ooo[k].end && inv_leq(a->ooo[k].start, b->ooo[i].start) &&
				inv_leq(b->ooo[i].end, a->ooo[k].end);
		INV(kept, "bytes that were SACKed are forgotten");
	}
	return NULL;
}

/* old, now: the whole rx ring before and after. A byte may change only inside the window, to what this frame has there. */
INV_PURE const char *inv_ring_change(const struct inv_state *b, const struct inv_state *a, const struct inv_frame *f,
				     const __u8 *old, const __u8 *now)
{
	__u32 size = inv_ring(b->c.rx), edge = inv_edge(b), at, nxt = (b->c.min.rcv_nxt - a->rx_base) % size;

	if (inv_bytes_equal(old, now, size))
		return NULL;
	INV(f && f->csum_ok, "a frame that is damaged or no segment changed the ring");
	for (at = 0; at < size; at++) {
		__u32 seq = b->c.min.rcv_nxt + (at + size - nxt) % size;

		if (!(at & 63) && inv_bytes_equal(old + at, now + at, 64)) {
			at += 63;
			continue;
		}
		if (old[at] == now[at])
			continue;
		INV(seq - b->c.min.rcv_nxt < edge - b->c.min.rcv_nxt, "a byte outside the window entered the ring");
		INV(seq - f->seq < f->len, "a byte changed that the frame does not carry");
		INV(now[at] == f->payload[seq - f->seq], "a byte of the ring is not the frame's");
	}
	return NULL;
}

/* A frame from the wire has been through the RX engine. frame, len: as it was before. */
INV_PURE const char *inv_rx(const struct inv_state *b, const struct inv_state *a, const __u8 *frame, __u32 len,
			    const __u8 *old, const __u8 *now)
{
	struct inv_frame fr = { 0 }, *f = inv_read(frame, len, b->partial_ok, &fr) ? &fr : NULL;
	const char *bad = inv_entry(a);

	if (!inv_link(b->c.vlan, &fr)) {
		f = NULL;
		INV(inv_bytes_equal(&b->c, &a->c, sizeof(a->c)), "a frame of another link changed the entry");
	}
	if (!bad)
		bad = inv_identity(b, a);
	if (!bad)
		bad = inv_ring_change(b, a, f, old, now);
	if (bad)
		return bad;
	if (!b->live || a->c.state != b->c.state) {
		INV(inv_bytes_equal(old, now, inv_ring(b->c.rx)), "the ring changed though the engines do not own it");
		INV(inv_bytes_equal(&b->c.min, &a->c.min, sizeof(a->c.min)), "MIN_TCP_T changed though they do not");
		INV(a->c.state == b->c.state || (a->c.state == TOE_HOLD && a->c.why),
		    "a state was left without reason");
		return NULL;
	}
	if (f && !f->csum_ok)
		INV(inv_bytes_equal(&b->c.min, &a->c.min, sizeof(a->c.min)), "a damaged frame changed MIN_TCP_T");
	bad = inv_rx_fields(b, a, f);
	if (!bad)
		bad = inv_promised(b, b->c.min.rcv_nxt, a->c.min.rcv_nxt, f, a, now);
	for (int i = 0; i < TOE_NR_OOO && !bad; i++)
		bad = inv_promised(b, a->ooo[i].start, a->ooo[i].end, f, a, now);
	return bad ? bad : inv_kept(b, a);
}

/* A frame of queue pair `app` has been through the TX engine. */
INV_PURE const char *inv_tx(const struct inv_state *b, const struct inv_state *a, const struct toe_desc *d,
			    int owner, int priv, const __u8 *old, const __u8 *now)
{
	const struct min_tcp *x = &b->c.min, *y = &a->c.min;
	const char *bad = inv_entry(a);

	if (!bad)
		bad = inv_identity(b, a);
	if (bad)
		return bad;
	INV(a->c.state == b->c.state, "a descriptor changed the state");
	INV(inv_bytes_equal(old, now, inv_ring(b->c.rx)), "a descriptor changed the rx ring");
	INV(x->rcv_nxt == y->rcv_nxt && x->snd_una == y->snd_una && x->ts_recent == y->ts_recent,
	    "a descriptor changed what only the peer may");
	INV(inv_leq(x->rcv_adv, y->rcv_adv), "a descriptor took the window back");
	if (!owner && !priv) {
		INV(inv_bytes_equal(x, y, sizeof(*x)), "a foreign queue pair changed MIN_TCP_T");
		INV(b->c.qp == a->c.qp, "a foreign queue pair was bound");
	}
	if (x->snd_nxt == y->snd_nxt)
		return NULL;
	INV(d->seq == x->snd_nxt, "snd_nxt moved from elsewhere");
	INV(d->op == TOE_OP_DATA ? y->snd_nxt == d->seq + d->len :
	    d->op == TOE_OP_TRAIN && d->nr >= 2 && d->nr <= TOE_MAX_TRAIN && d->last && d->last <= d->len &&
	    y->snd_nxt == d->seq + (d->nr - 1U) * d->len + d->last, "snd_nxt moved otherwise");
	INV(d->gen == b->c.gen && d->hw_connid == b->c.hw_connid, "a stale descriptor moved snd_nxt");
	INV(y->snd_nxt - y->snd_una <= y->snd_wnd, "sent beyond the peer's window");
	INV(d->len <= y->snd_mss, "a segment larger than the MSS left");
	return NULL;
}

/* ---- what leaves ---- */

INV_PURE const char *inv_sack(const struct inv_state *a, const struct inv_frame *f)
{
	for (__u32 i = 0; i < f->nr_sack; i++) {
		__u32 s = f->sack[i][0], e = f->sack[i][1];
		int known = 0;

		INV(s != e && inv_leq(s, e), "an empty SACK block");
		for (int k = 0; k < TOE_NR_OOO; k++)
			known |= a->ooo[k].start != a->ooo[k].end && a->ooo[k].start == s && a->ooo[k].end == e;
		/* RFC 2883 section 4: only the first may tell of a duplicate */
		INV(known || (!i && (inv_leq(e, a->c.min.rcv_nxt) || (f->nr_sack > 1 && inv_leq(f->sack[1][0], s) &&
		    inv_leq(e, f->sack[1][1])))), "a SACK block of bytes that are not there");
	}
	return NULL;
}

/* A frame that an engine sends for the connection; a: the state after it. data: with payload of the application. */
INV_PURE const char *inv_out(const struct inv_state *a, const __u8 *frame, __u32 len, int csum_known)
{
	const struct min_tcp *m = &a->c.min;
	struct inv_frame f = { 0 };
	__u32 edge;

	INV(inv_read(frame, len, 0, &f), "what leaves is no TCP segment");
	INV(inv_link(a->c.vlan, &f) && f.nr_tags == f.nr_vlans, "what leaves has other tags than the link's");
	INV(f.csum_ok || !csum_known, "what leaves has a wrong checksum");
	INV(f.v6 || inv_sum(f.addrs - 12, 20, 0) == 0xffff, "what leaves has a wrong IP checksum");
	INV(inv_bytes_equal(f.macs, a->c.dst_mac, 6) && inv_bytes_equal(f.macs + 6, a->c.src_mac, 6),
	    "hardware addresses");
	INV(inv_bytes_equal(f.addrs, f.v6 ? m->flow.laddr : m->flow.laddr + 3, f.addr_len) &&
	    inv_bytes_equal(f.addrs + f.addr_len, f.v6 ? m->flow.raddr : m->flow.raddr + 3, f.addr_len), "addresses");
	INV(inv_bytes_equal(f.ports, &m->flow.lport, 4), "ports");
	INV((f.flags & 0x10) && !(f.flags & 0x27), "flags other than ACK, PSH, ECE, CWR");
	INV(f.ack == m->rcv_nxt, "the acknowledgement is not rcv_nxt");
	INV(inv_in(m->snd_una - 1, f.seq, m->snd_nxt), "sequence number outside of what was sent");
	INV(inv_leq(f.seq + f.len, m->snd_nxt), "bytes beyond snd_nxt leave");
	edge = f.ack + (f.window << m->rcv_wscale);
	INV(inv_leq(edge, m->rcv_adv), "the window on the wire is beyond rcv_adv");
	INV(f.has_ts == !!(m->opts & TOE_OPT_TS), "timestamps on every segment or on none");
	INV(!f.has_ts || f.tsecr == m->ts_recent, "TSecr is not TS.Recent");
	INV(!f.nr_sack || (m->opts & TOE_OPT_SACK), "SACK was not negotiated");
	return inv_sack(a, &f);
}

#endif
