/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <string.h>
#include "tests/helpers/link_judge.h"
#include "tests/helpers/pattern.h"

#define NR_FLOWS	32768U		/* a flow that finds no place takes the place of another */
#define NR_HOLES	64
#define NR_REPEATS	64
#define MAX_PROBES	16

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

struct span {
	uint32_t start, end;
};

struct repeat {			/* bytes sent again */
	struct span span;
	uint32_t tsval;		/* of the first such segment */
	bool timed, needed;	/* acknowledged as if they had not come before */
};

struct side {			/* what one end has shown */
	bool known, scaled, offered, timed;
	uint8_t wscale, nr_holes, nr_repeats;
	uint32_t end;			/* its segments reach as far as this */
	uint32_t ack;			/* highest acknowledgement */
	uint32_t edge;			/* right edge of the window it offers */
	uint32_t wl1;			/* end of the segment that said so */
	uint32_t tsval;
	struct span holes[NR_HOLES];	/* below end, not come yet */
	struct repeat repeats[NR_REPEATS];	/* in doubt, oldest first */
};

struct flow {
	uint64_t key;			/* 0: free */
	struct side side[2];
};

struct tcp {			/* a segment */
	uint64_t key;
	uint32_t seq, ack, tsval, tsecr;
	size_t len;
	struct span sack;		/* the first block, or empty */
	uint16_t window;
	uint8_t flags, wscale;
	bool has_ts, has_wscale, csum_ok;
};

struct judge_counts judged[2];
static struct flow flows[NR_FLOWS];

static uint32_t be16(const unsigned char *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const unsigned char *p) { return be16(p) << 16 | be16(p + 2); }

static int32_t seq_diff(uint32_t a, uint32_t b) { return (int32_t)(a - b); }

static uint32_t sum16(const unsigned char *p, size_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += be16(p);
	if (len)
		sum += (uint32_t)*p << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The same for both directions of a connection. */
static uint64_t flow_key(const unsigned char *addrs, size_t addr_len, const unsigned char *ports, int from)
{
	uint64_t end[2] = { 0, 0 };

	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < addr_len; at += 4)
			end[i] = mix64(end[i] ^ be32(addrs + (size_t)i * addr_len + at));
		end[i] = mix64(end[i] ^ be16(ports + 2 * i));
	}
	return mix64(end[from] + 3 * end[!from]) | 1;
}

static void read_options(const unsigned char *p, const unsigned char *end, struct tcp *t)
{
	while (p < end && *p) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (p + 2 > end || p[1] < 2 || p + p[1] > end)
			return;
		if (p[0] == 8 && p[1] == 10) {
			t->has_ts = true;
			t->tsval = be32(p + 2);
			t->tsecr = be32(p + 6);
		} else if (p[0] == 5 && p[1] >= 10) {
			t->sack = (struct span){ be32(p + 2), be32(p + 6) };
		} else if (p[0] == 3 && p[1] == 3) {
			t->has_wscale = true;
			t->wscale = p[2];
		}
		p += p[1];
	}
}

static bool read_segment(const unsigned char *data, size_t len, int from, struct tcp *t)
{
	const unsigned char *ip = data + 14, *tcp;
	bool v6 = len > 14 && ip[0] >> 4 == 6;
	size_t ihl, total, hdr, addr_len = v6 ? 16 : 4;
	uint32_t sum;

	if (len < 14 + 40 || be16(data + 12) != (v6 ? 0x86dd : 0x0800))
		return false;
	ihl = v6 ? 40 : (ip[0] & 15U) * 4;
	total = v6 ? 40 + be16(ip + 4) : be16(ip + 2);
	if (ip[v6 ? 6 : 9] != 6 || total < ihl + 20 || 14 + total > len)
		return false;
	tcp = ip + ihl;
	hdr = (tcp[12] >> 4) * 4U;
	if (hdr < 20 || ihl + hdr > total)
		return false;
	sum = sum16(ip + (v6 ? 8 : 12), 2 * addr_len, 6 + (uint32_t)(total - ihl));
	*t = (struct tcp){ .key = flow_key(ip + (v6 ? 8 : 12), addr_len, tcp, from), .seq = be32(tcp + 4),
			   .ack = be32(tcp + 8), .len = total - ihl - hdr, .window = (uint16_t)be16(tcp + 14),
			   .flags = tcp[13] };
	t->csum_ok = sum16(tcp, total - ihl, sum) == 0xffff && (v6 || sum16(ip, ihl, 0) == 0xffff);
	read_options(tcp + 20, tcp + hdr, t);
	return true;
}

static struct flow *find_flow(const struct tcp *t, int from)
{
	struct flow *f = NULL, *first = &flows[mix64(t->key) % NR_FLOWS];

	for (unsigned int i = 0; i < MAX_PROBES; i++) {
		f = &flows[(mix64(t->key) + i) % NR_FLOWS];
		if (f->key == t->key || !f->key)
			break;
	}
	if (f->key && f->key != t->key)
		f = first;
	if (f->key != t->key || (t->flags & (SYN | ACK)) == SYN) {
		*f = (struct flow){ .key = t->key };
		if (!(t->flags & SYN))		/* seen from the middle on: its scales are unknown */
			return f;
	}
	if (t->flags & SYN)
		f->side[from] = (struct side){ .scaled = true, .wscale = t->has_wscale ? t->wscale : 0 };
	return f;
}

/* What both have. */
static struct span common(struct span a, struct span b)
{
	struct span both = { seq_diff(a.start, b.start) > 0 ? a.start : b.start,
			     seq_diff(a.end, b.end) < 0 ? a.end : b.end };

	if (seq_diff(both.end, both.start) <= 0)
		both.end = both.start;
	return both;
}

/* [start, end) comes: what of it fills holes? */
static uint32_t fill_holes(struct side *s, uint32_t start, uint32_t end)
{
	uint32_t filled = 0;

	for (int i = s->nr_holes - 1; i >= 0; i--) {
		struct span *h = &s->holes[i], old = *h;
		struct span hit = common(old, (struct span){ start, end });

		if (hit.start == hit.end)
			continue;
		filled += hit.end - hit.start;
		*h = (struct span){ old.start, hit.start };
		if (hit.start == old.start)
			*h = (struct span){ hit.end, old.end };
		else if (hit.end != old.end && s->nr_holes < NR_HOLES)
			s->holes[s->nr_holes++] = (struct span){ hit.end, old.end };
		if (h->start == h->end)
			*h = s->holes[--s->nr_holes];
	}
	return filled;
}

static void drop_repeat(struct side *s, int i)
{
	s->nr_repeats--;
	memmove(&s->repeats[i], &s->repeats[i + 1], (size_t)(s->nr_repeats - i) * sizeof(s->repeats[0]));
}

/* Beyond NR_REPEATS the oldest is given up: needed, for all that is known. */
static void add_repeat(struct side *s, struct repeat r, struct judge_counts *n)
{
	struct repeat *last = s->nr_repeats ? &s->repeats[s->nr_repeats - 1] : NULL;

	if (last && !last->needed && !r.needed && last->timed == r.timed && last->span.end == r.span.start) {
		last->span.end = r.span.end;
		return;
	}
	if (s->nr_repeats == NR_REPEATS) {
		if (!s->repeats[0].needed)
			n->needed += s->repeats[0].span.end - s->repeats[0].span.start;
		drop_repeat(s, 0);
	}
	s->repeats[s->nr_repeats++] = r;
}

/* What of [seq, end) had been sent before is sent again: did the other end have it? Its acknowledgement may have passed. */
static void note_repeat(struct side *s, const struct side *peer, const struct tcp *t, uint32_t end,
			struct judge_counts *n)
{
	struct repeat r = { { t->seq, end }, .tsval = t->tsval, .timed = t->has_ts };

	if (peer->offered && seq_diff(peer->ack, t->seq) > 0)
		r.span.start = peer->ack;
	if (seq_diff(r.span.end, r.span.start) > 0)
		add_repeat(s, r, n);
}

/* The acknowledgement t covers repeats of s. Those that its timestamp does not explain by the original are needed, until a
 * duplicate is reported. */
static void judge_repeats(struct side *s, const struct tcp *t, struct judge_counts *n)
{
	for (int i = s->nr_repeats - 1; i >= 0; i--) {
		struct repeat *r = &s->repeats[i], rest = *r;
		struct span hit = common(r->span, (struct span){ r->span.start, t->ack });

		if (r->needed || hit.start == hit.end)
			continue;
		rest.span.start = hit.end;
		r->span.end = hit.end;
		r->needed = !r->timed || !t->has_ts || seq_diff(t->tsecr, r->tsval) >= 0;
		if (r->needed)
			n->needed += hit.end - hit.start;
		else
			drop_repeat(s, i);
		if (rest.span.start != rest.span.end)
			add_repeat(s, rest, n);
	}
}

/* A report of a duplicate: below the acknowledgement. */
static void judge_duplicate(struct side *s, const struct tcp *t, struct judge_counts *n)
{
	if (t->sack.start == t->sack.end || seq_diff(t->sack.start, t->ack) >= 0)
		return;
	for (int i = s->nr_repeats - 1; i >= 0; i--) {
		struct repeat *r = &s->repeats[i], rest = *r;
		struct span hit = common(r->span, t->sack);

		if (!r->needed || hit.start == hit.end)
			continue;
		n->needed -= hit.end - hit.start;
		rest.span.start = hit.end;
		r->span.end = hit.start;
		if (r->span.start == r->span.end)
			drop_repeat(s, i);
		if (rest.span.start != rest.span.end)
			add_repeat(s, rest, n);
	}
}

/* True: a bare acknowledgement that stands behind what has not come yet. It overtook that, from another CPU; its receiver
 * takes what it acknowledges and offers, but not its timestamp (RFC 7323 section 4.3). */
static bool judge_ahead(const struct side *s, const struct tcp *t, struct judge_counts *n)
{
	if (!s->known || t->len || (t->flags & (SYN | FIN)) || seq_diff(t->seq, s->end) <= 0)
		return false;
	n->ahead++;
	return true;
}

static void judge_seq(struct side *s, const struct side *peer, const struct tcp *t, struct judge_counts *n)
{
	uint32_t end = t->seq + (uint32_t)t->len + !!(t->flags & SYN) + !!(t->flags & FIN), filled;
	uint32_t old = 0;

	if (!s->known) {
		s->known = true;
		s->end = t->seq;
	}
	if (seq_diff(t->seq, s->end) > 0) {
		n->skipped += t->seq - s->end;
		n->missing += t->seq - s->end;
		if (s->nr_holes < NR_HOLES)
			s->holes[s->nr_holes++] = (struct span){ s->end, t->seq };
		s->end = t->seq;
	}
	if (seq_diff(t->seq, s->end) < 0) {
		old = (seq_diff(end, s->end) < 0 ? end : s->end) - t->seq;
		filled = fill_holes(s, t->seq, t->seq + old);
		n->late += filled;
		n->missing -= filled;
		n->again += old - filled;
		if (old > filled)
			note_repeat(s, peer, t, t->seq + old, n);
	}
	if (seq_diff(end, s->end) > 0)
		s->end = end;
	n->bytes += t->len > old ? t->len - old : 0;
}

/* A segment that an end's own stack reordered carries an older acknowledgement, or the same with an older sequence number, and behind data
 * that of the data is older: it says nothing of windows (RFC 9293 3.10.7.4, SND.WL1; Linux's tcp_may_update_window()). */
static bool says_window(const struct side *s, const struct tcp *t)
{
	if (!(t->flags & ACK))
		return false;
	return !s->offered || seq_diff(t->ack, s->ack) > 0 || (t->ack == s->ack && seq_diff(t->seq, s->wl1) >= 0);
}

static void judge_window(struct side *s, const struct tcp *t, struct judge_counts *n)
{
	uint32_t edge = t->ack + ((uint32_t)t->window << (t->flags & SYN ? 0 : s->wscale));
	int32_t back = seq_diff(s->edge, edge);

	if (says_window(s, t)) {
		n->zero_wnd += !t->window;
		s->ack = t->ack;
		s->wl1 = t->seq + (uint32_t)t->len;
		if (s->offered && s->scaled && back > 0)
			*(back >> s->wscale ? &n->shrunk : &n->rounded) += 1;
	} else if (!(t->flags & ACK) || t->ack != s->ack) {
		return;
	}
	if (!s->offered || back < 0)	/* that is an offer in any order */
		s->edge = edge;
	s->offered = true;
}

static void judge_time(struct side *s, const struct tcp *t, struct judge_counts *n)
{
	if (!t->has_ts)
		return;
	if (s->timed && seq_diff(t->tsval, s->tsval) < 0)
		n->ts_back++;
	else
		s->tsval = t->tsval;
	s->timed = true;
}

void judge_frame(const unsigned char *data, size_t len, int from)
{
	struct judge_counts *n = &judged[from];
	struct side *me, *peer;
	struct flow *f;
	uint32_t end;
	struct tcp t;

	if (!read_segment(data, len, from, &t))
		return;
	n->segs++;
	if (!t.csum_ok) {
		n->bad_csum++;
		return;
	}
	if (t.flags & RST) {
		n->resets++;
		return;
	}
	f = find_flow(&t, from);
	me = &f->side[from];
	peer = &f->side[!from];
	end = t.seq + (uint32_t)t.len;
	if (t.len && peer->offered && peer->scaled && seq_diff(end, peer->edge) > 0)
		n->beyond += (uint32_t)seq_diff(end, peer->edge) < t.len ? (uint32_t)seq_diff(end, peer->edge) : t.len;
	if ((t.flags & ACK) && peer->known && seq_diff(t.ack, peer->end) > 0)
		n->bad_ack++;
	if (t.flags & ACK) {
		judge_repeats(peer, &t, &judged[!from]);
		judge_duplicate(peer, &t, &judged[!from]);
	}
	judge_window(me, &t, n);
	if (judge_ahead(me, &t, n))
		return;
	judge_seq(me, peer, &t, n);
	judge_time(me, &t, n);
}
