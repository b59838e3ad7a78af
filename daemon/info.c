/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <linux/tcp.h>
#include "engine.h"
#include "info.h"
#include "loop.h"
#include "rings.h"
#include "toe/cmd.h"
#include "toe/desc.h"
#include "toe/sieve.h"

#define ETH_LEN		14U
#define DELACK_US	40000U

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
	return mss ? (bytes + mss - 1) / mss : 0;
}

/* Its far part, toe/sieve.h. v: a copy */
static void from_sieve(struct toe_info *o, const struct toe_sieve *v, uint32_t mss)
{
	const struct toe_hole *h = &v->hole;

	if (sieve_empty(v))
		return;
	o->lost += segments(sieve_missing(v, h->start, v->lost), mss);
	o->retrans += segments(sieve_missing(v, h->start, h->rxt), mss);
}

/* The scoreboard changes meanwhile: a figure of it may be of a moment ago. */
static void from_board(struct toe_info *o, const struct hw_conn *e, const struct hw_rec *r)
{
	uint32_t lost = 0, again = 0;
	struct toe_sieve sieve;

	for (int i = 0; e->rec & TOE_REC_BOARD && i < TOE_NR_HOLES; i++) {
		const struct toe_hole *h = &r->hole[i];

		if (r->lost & 1U << i)
			lost += segments(h->end - h->start, e->min.snd_mss);
		again += segments(h->rxt - h->start, e->min.snd_mss);
	}
	o->sacked = segments(e->sacked, e->min.snd_mss);
	o->lost = lost;
	o->retrans = again;
	memcpy(&sieve, &r->sieve, sizeof(sieve));
	if (e->rec & TOE_REC_BOARD)
		from_sieve(o, &sieve, e->min.snd_mss);
}

static uint8_t ca_state(const struct hw_conn *e)
{
	static const uint8_t kernel[] = {
		[TOE_CA_OPEN] = 0, [TOE_CA_RECOVERY] = 3, [TOE_CA_LOSS] = 4, [TOE_CA_CWR] = 2,
	};
	bool disorder = e->ca_state == TOE_CA_OPEN && (e->rec & TOE_REC_BOARD || e->dupacks);

	return disorder ? 1 : kernel[e->ca_state & 3];
}

static uint8_t options(const struct hw_conn *e)
{
	uint8_t opts = e->min.opts, o = 0;

	o |= opts & TOE_OPT_TS ? TCPI_OPT_TIMESTAMPS : 0;
	o |= opts & TOE_OPT_SACK ? TCPI_OPT_SACK : 0;
	o |= opts & TOE_OPT_WSCALE ? TCPI_OPT_WSCALE : 0;
	return o | (opts & TOE_OPT_ECN ? TCPI_OPT_ECN : 0);
}

/* The engines' time may be ahead (hw_conn.stamped_ms). */
static uint32_t ms_since(uint32_t now_ms, uint32_t ms)
{
	return seq_before(now_ms, ms) ? 0 : now_ms - ms;
}

static void from_clock(struct toe_info *o, const struct hw_conn *e, const struct hw_clock *k, uint32_t now_ms)
{
	o->bytes_received = k->rx_bytes;
	o->bytes_acked = k->tx_bytes - (e->min.snd_nxt - e->min.snd_una);
	o->bytes_retrans = (uint64_t)k->rtx_segs * e->min.snd_mss;
	o->bytes_sent = k->tx_bytes + o->bytes_retrans;
	o->segs_in = k->rx_segs;
	o->data_segs_out = o->segs_out = k->tx_segs + k->rtx_segs;
	o->total_retrans = k->rtx_segs;
	o->last_recv = ms_since(now_ms, k->last_rx_ms);
	o->last_data_sent = ms_since(now_ms, e->last_tx_ms);
}

int info_write(struct conn *c)
{
	struct toe_cmd cmd = { .op = TOE_CMD_READ, .flow = c->flow };
	const struct hw_conn *e = &cmd.conn;
	struct toe_info o = { 0 };
	int err = engine_cmd(&cmd);

	if (!err && e->state != TOE_HW)
		err = -EAGAIN;
	if (err)
		return err;
	from_clock(&o, e, &engine.clock[c->hw_connid], (uint32_t)(loop_clock_ns() / 1000000));
	from_board(&o, e, &engine.rec[c->hw_connid]);
	o.min_rtt = e->min.min_rtt_us;
	o.rcv_mss = e->min.rcv_mss;
	o.rcv_wnd = e->min.rcv_adv - e->min.rcv_nxt;
	o.ato = DELACK_US;
	o.pmtu = e->min.snd_mss + TOE_HDR_LEN(c->flow.family, e->min.opts & TOE_OPT_TS) - ETH_LEN;
	o.ca_state = ca_state(e);
	o.retransmits = c->backoff;
	o.probes = c->probes ? c->probes : (uint8_t)c->keep_nr;
	o.backoff = c->backoff;
	o.options = options(e);
	o.snd_wscale = e->min.snd_wscale;
	o.rcv_wscale = e->min.rcv_wscale;
	memcpy((char *)app_ring_ctl(c->app, c->rx) + TOE_INFO_OFF, &o, sizeof(o));
	return 0;
}
