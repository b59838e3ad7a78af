/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both moves are made of: commands to the engines, held frames, the SONODE's path word. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/bpf.h>
#include "frame.h"
#include "hold.h"
#include "log.h"
#include "loop.h"
#include "mig.h"
#include "mig_int.h"
#include "rings.h"
#include "toe/desc.h"
#include "toe/wnd.h"

void mig_count_hold(struct move *m)
{
	uint64_t us;
	unsigned int b = 0;

	m->c->hold_ns = loop_clock_ns() - m->hold_start;
	us = m->c->hold_ns / 1000;
	while (b < 23 && us >> b)
		b++;
	conn_moves.hold_hist[b]++;
}

/* ---- commands to the engine ---- */

#define LOCKED_NS	1000000000ULL	/* whoever holds the entry comes back: a move cannot end half done for want of patience */
#define LOCKED_PAUSE_US	200

int mig_cmd(struct move *m, enum toe_cmd_op op)
{
	uint64_t until = 0;
	int err;

	for (;;) {
		m->cmd.op = op;
		m->cmd.flow = m->c->flow;
		err = engine_cmd(&m->cmd);
		if (err != -EBUSY)
			return err;
		if (!until)
			until = loop_clock_ns() + LOCKED_NS;
		if (loop_clock_ns() > until)
			return err;
		usleep(LOCKED_PAUSE_US);
	}
}

int mig_hold(struct move *m, unsigned int next)
{
	memset(&m->cmd.conn, 0, sizeof(m->cmd.conn));
	m->cmd.conn.cookie = m->c->cookie;
	m->cmd.conn.vlan = m->path.vlan;
	m->cmd.next = (uint8_t)next;
	m->cmd.why = m->why;
	return mig_cmd(m, TOE_CMD_HOLD);
}

/* Hand held frames to their new owner in order of arrival. Returns 1 if a frame for the hardware turned
 * out to be one for the kernel; it and all behind it are still held. */
static int replay(struct move *m, enum toe_state next)
{
	struct nic *nic = NULL;
	struct held *h;
	int ret = 0;

	hold_drain();
	while (!ret && (h = hold_pop(m->c))) {
		nic = nic_get(h->nic);
		if (!nic || (next == TOE_KERNEL && nic_enter(nic))) {
			free(h);
			continue;
		}
		if (next == TOE_KERNEL)
			frame_complete(h->frame, h->len);
		ret = engine_replay(h->nic, h->frame, h->len, next == TOE_KERNEL);
		if (next == TOE_KERNEL)
			nic_leave();
		if (ret < 0)
			log_warn("connection %u: a held frame could not be replayed: %s",
				 m->c->hw_connid, strerror(-ret));
		ret = next == TOE_HW && ret == XDP_PASS;
		if (ret)
			hold_push_front(m->c, h);
		else
			free(h);
	}
	return ret;
}

#define HELD_WAIT_NS	20000000ULL	/* for a processor in the middle of writing to the hold ring, which may be put aside */

/* Frames are counted, but not there: they stand behind one of another connection that is just being written. Or a toed that died took
 * them out: then they are lost on the wire. */
static void held_wait(const struct move *m)
{
	uint64_t until = loop_clock_ns() + HELD_WAIT_NS;

	hold_drain();
	while (m->c->nr_held < m->cmd.conn.nr_held && loop_clock_ns() < until) {
		sched_yield();
		hold_drain();
	}
}

int mig_finish(struct move *m, enum toe_state next)
{
	int err;

	for (;;) {
		if (replay(m, next))
			return 1;
		m->cmd.next = (uint8_t)next;
		m->cmd.conn.nr_held = m->c->nr_held;
		err = mig_cmd(m, TOE_CMD_FINISH);
		if (err != -EAGAIN)
			break;
		held_wait(m);
		if (!m->c->held)
			m->c->nr_held = m->cmd.conn.nr_held;
	}
	if (!err)
		m->c->nr_held = 0;
	return err;
}

/* ---- the SONODE's path word ---- */

int mig_claim(struct toe_sonode *s, enum toe_path from)
{
	uint32_t word = __atomic_load_n(&s->word, __ATOMIC_SEQ_CST);

	do {
		if ((word & TOE_PATH_MASK) != from)
			return -EBUSY;
	} while (!__atomic_compare_exchange_n(&s->word, &word,
			((word & ~TOE_PATH_MASK) + TOE_EPOCH) | TOE_PATH_MOVING, false,
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return 0;
}

static bool has_users(const struct move *m)
{
	return __atomic_load_n(&m->sonode->users, __ATOMIC_SEQ_CST);
}

/* What is left of an application's share of this second. */
static uint64_t patience_ns(struct app *app, uint64_t now)
{
	if (now - app->wait_from >= 1000000000ULL) {
		app->wait_from = now;
		app->waited_ns = 0;
	}
	return app->waited_ns < USERS_SHARE_MS * 1000000ULL ? USERS_SHARE_MS * 1000000ULL - app->waited_ns : 0;
}

int mig_wait_users(struct move *m, unsigned int ms)
{
	uint64_t start = loop_clock_ns(), now = start, most = ms * 1000000ULL, left = patience_ns(m->c->app, start);
	bool inside = has_users(m);

	if (most > left)
		most = left;
	while (inside && now - start < most) {
		sched_yield();
		inside = has_users(m);
		now = loop_clock_ns();
	}
	m->c->app->waited_ns += now - start;
	return inside ? -EBUSY : 0;
}

/* An application that has not sent for so long is not waited for, whatever its table says. */
void mig_let_leave(struct move *m)
{
	int32_t ago;

	if (!has_users(m) || mig_cmd(m, TOE_CMD_READ))
		return;
	ago = (int32_t)((uint32_t)(loop_clock_ns() / 1000000) - m->cmd.conn.last_tx_ms);
	if (ago < USERS_WAIT_MS)
		mig_wait_users(m, USERS_WAIT_MS - (ago > 0 ? ago : 0));
}

/* The table is the application's to write: touch the entry only while it still names this socket. */
void mig_publish(struct move *m, enum toe_path path)
{
	uint32_t word = __atomic_load_n(&m->sonode->word, __ATOMIC_SEQ_CST);

	if (m->sonode->cookie != m->c->cookie)
		return;
	m->sonode->why = (uint8_t)m->why;
	__atomic_store_n(&m->sonode->word, ((word & ~TOE_PATH_MASK) + TOE_EPOCH) | path, __ATOMIC_SEQ_CST);
	app_wake(m->c->app, m->sonode);
}

/* A retransmission timer that each move started anew would never end under moves that come often. */
void mig_stuck_save(struct conn *c, struct hw_conn *e)
{
	const struct hw_clock *k = &engine.clock[c->hw_connid];
	uint64_t since = c->rtx_at > k->rtx_since ? c->rtx_at : k->rtx_since;

	e->rtt_seq = e->min.snd_una;
	e->rtt_start_us = 0;
	if (e->min.snd_una == e->min.snd_nxt)
		return;
	e->rtt_start_us = (uint32_t)(since / 1000);
	if (c->stuck_us && c->stuck_una == e->min.snd_una && !c->rtx_at)
		e->rtt_start_us = c->stuck_us;
}

void mig_stuck_restore(struct conn *c, const struct hw_conn *e)
{
	c->stuck_una = e->min.snd_una;
	c->stuck_us = e->rtt_seq == e->min.snd_una && e->min.snd_una != e->min.snd_nxt ? e->rtt_start_us : 0;
}

/* ---- socket options of which the engines have a copy ---- */

void mig_options_to(struct move *m)
{
	struct hw_conn *e = &m->cmd.conn;
	uint32_t ring = ring_size(e->rx), part = ring >> 8, parts = (m->opts.rcvbuf + part - 1) / part;

	e->ttl = m->opts.ttl;
	e->tos = m->opts.tos;
	e->min.wnd_limit = parts < 256 ? (uint8_t)parts : 0;
	m->sonode->rx_most = e->min.wnd_limit ? wnd_most(1U << e->min.rcv_wscale, ring, e->min.wnd_limit) : 0;
}

int mig_options(struct conn *c)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd] };
	int err = mig_cmd(&m, TOE_CMD_READ);

	if (err)
		return err;
	ksock_options(c->sock, c->flow.family, &m.opts);
	mig_options_to(&m);
	return mig_cmd(&m, TOE_CMD_LINK);
}

void mig_enter_hw(struct move *m)
{
	const struct hw_conn *e = &m->cmd.conn;
	struct toe_sonode *s = m->sonode;

	s->hw_connid = m->c->hw_connid;
	s->gen = m->c->gen;
	s->rx = m->c->rx;
	s->tx = m->c->tx;
	s->mss = e->min.snd_mss;
	s->family = (uint8_t)m->c->flow.family;
	s->opts = e->min.opts;
	s->rcv_wscale = e->min.rcv_wscale;
	s->sk_flags = e->sk_flags;
	mig_publish(m, TOE_PATH_HW);
}

/* ---- a new next hop ---- */

bool mig_fits(const struct move *m)
{
	const struct min_tcp *min = &m->cmd.conn.min;

	return min->snd_mss + TOE_HDR_LEN(m->c->flow.family, min->opts & TOE_OPT_TS) - 14U <= m->path.mtu;
}

int mig_relink(struct conn *c)
{
	struct move m = { .c = c };
	int err = nic_route(&c->flow, ksock_bound_dev(c->sock), &m.path);

	if (err)
		return err;
	err = mig_cmd(&m, TOE_CMD_READ);
	if (err)
		return err;
	/* whether the peer changes to that VLAN as well, frames that reach the kernel will show */
	if (m.cmd.conn.vlan != m.path.vlan)
		return -EXDEV;
	/* the kernel makes smaller segments then, and knows how */
	if (!mig_fits(&m))
		return -EMSGSIZE;
	m.cmd.conn.nic = (uint8_t)m.path.nic->id;
	memcpy(m.cmd.conn.dst_mac, m.path.dst_mac, 6);
	memcpy(m.cmd.conn.src_mac, m.path.src_mac, 6);
	c->nic = m.path.nic->id;
	c->hop = m.path.hop;
	return mig_cmd(&m, TOE_CMD_LINK);
}
