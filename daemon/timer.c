/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engines leave to the daemon: the retransmission timer (RFC 6298), the tail loss probe (RFC 8985
 * section 7), putting payload into the segments that the engines want sent again, zero-window probes (RFC 9293
 * 3.8.6.1), delayed acknowledgements, sending what a newly opened window allows, and uploads that an engine asked
 * for. hw_dirty names the connections to look at; one stays in `watch` while anything about it is pending.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include "conn.h"
#include "engine.h"
#include "expire.h"
#include "frame.h"
#include "ksock.h"
#include "log.h"
#include "loop.h"
#include "mig.h"
#include "qp.h"
#include "rings.h"

#define WORDS		(TOE_MAX_CONNS / 64)
#define MS		1000000ULL
#define DELACK_NS	(25 * MS)	/* with a tick of 5 ms: an ACK waits 30 ms, 40 at most */
#define DELACK_SEVERAL_NS (2 * MS)	/* TOE_ACK_SEVERAL, where the reader went to sleep in a call that is not libtoe's */
#define RTO_MIN_NS	(200 * MS)	/* as Linux's TCP_RTO_MIN, over the smoothed RTT */
#define RTO_INIT_NS	(1000 * MS)	/* RFC 6298 2.1 */
#define RTO_MAX_NS	(120000 * MS)
#define PTO_MIN_NS	(20 * MS)	/* of a tail loss probe: a peer on this host that waits for its processor */
#define WC_DELACK_NS	(200 * MS)	/* RFC 8985 WCDelAckT */
#define PUMP_NS		(5 * MS)	/* grace for an application to send for itself */
#define LEAVE_NS	(50 * MS)	/* and for one whose write has begun: what was sent here would overtake it */
#define CORK_NS		(200 * MS)	/* Linux's limit for corked bytes */
#define KEEP_SCAN_NS	(250 * MS)
#define KEEP_LOOK	4U
#define GROW_NS		(25 * MS)
#define GROW_ORDER	TOE_MAX_ORDER	/* rings grow to 8 MiB */
#define MAX_PROBES	15		/* window probes without any answer, and timeouts: as Linux's tcp_retries2 */
#define MAX_BACKOFF	15

static uint64_t watch[WORDS];

static unsigned int hdr_len(const struct conn *c, const struct min_tcp *min)
{
	return TOE_HDR_LEN(c->flow.family, min->opts & TOE_OPT_TS);
}

static void send_empty(struct conn *c, const struct min_tcp *min, enum toe_op op)
{
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = (uint16_t)op, .hw_connid = c->hw_connid,
			      .gen = c->gen };

	qp_send(&d, hdr_len(c, min), NULL, 0, NULL, 0);
}

void conn_send_ack(struct conn *c, const struct min_tcp *min)
{
	send_empty(c, min, TOE_OP_ACK);
}

static int send_bytes(struct conn *c, const struct min_tcp *min, enum toe_op op, uint16_t flags, uint32_t seq,
		      uint32_t len)
{
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = (uint16_t)op, .flags = flags,
			      .hw_connid = c->hw_connid, .gen = c->gen, .seq = seq, .len = (uint16_t)len };
	struct iovec iov[RINGS_IOV] = { 0 };
	uint8_t buf[TOE_MAX_PAYLOAD];
	int nr = rings_iov(c->app, rings_tx(c), seq, len, iov), err;
	size_t off = 0;

	/* copied once, so that what is summed is what is sent */
	for (int i = 0; i < nr; i++) {
		memcpy(buf + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	d.csum = frame_fold(frame_sum(0, buf, len));
	err = qp_send(&d, hdr_len(c, min), buf, len, NULL, 0);
	if (!err && op == TOE_OP_DATA)
		__atomic_store_n(&app_ring_ctl(c->app, c->rx)->tx_left, seq + len, __ATOMIC_RELEASE);
	return err;
}

/* PSH where the application's data ends for now. */
static uint16_t psh(uint32_t end, uint32_t filled)
{
	return end == filled ? TOE_DESC_PSH : 0;
}

static int read_entry(struct conn *c, struct toe_cmd *cmd)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->op = TOE_CMD_READ;
	cmd->flow = c->flow;
	return engine_cmd(cmd);
}

static uint64_t rto_ns(const struct conn *c, const struct min_tcp *min)
{
	uint64_t var = 4000ULL * min->rttvar_us, rto = RTO_INIT_NS;

	if (min->srtt_us)
		rto = 1000ULL * min->srtt_us + (var > RTO_MIN_NS ? var : RTO_MIN_NS);
	rto <<= c->backoff;
	return rto < RTO_MAX_NS ? rto : RTO_MAX_NS;
}

/* What the engine's answer names, and what it names next, as far as a burst may go. */
static void send_lost(struct conn *c, struct toe_cmd *cmd)
{
	for (unsigned int n = 0; cmd->nr_rtx && n < TOE_MAX_BURST; n += TOE_CMD_RTX) {
		for (unsigned int i = 0; i < cmd->nr_rtx && i < TOE_CMD_RTX; i++) {
			uint32_t seq = cmd->rtx[i].start;

			send_bytes(c, &cmd->conn.min, TOE_OP_RTX, TOE_DESC_PSH, seq, cmd->rtx[i].end - seq);
			if (seq == cmd->conn.min.snd_una)
				c->rtx_at = loop_clock_ns();
		}
		cmd->op = TOE_CMD_NEXT;
		if (cmd->nr_rtx < TOE_CMD_RTX || engine_cmd(cmd))
			break;
	}
}

static void on_rtx(struct conn *c)
{
	struct toe_cmd cmd = { .op = TOE_CMD_NEXT, .flow = c->flow, .conn.cookie = c->cookie };

	if (!engine_cmd(&cmd))
		send_lost(c, &cmd);
}

/* A timeout: TCP_USER_TIMEOUT counts from the first one without progress on, as in Linux's retransmits_timed_out()
 * and tcp_probe_timer() (RFC 9293 3.8.3: R2 in the application's hands). */
static void stalled(struct conn *c)
{
	if (!c->stall_at)
		c->stall_at = loop_clock_ns();
	c->user_ms = (uint32_t)ksock_tcp_int(c->sock, TCP_USER_TIMEOUT);
}

static bool stalled_too_long(const struct conn *c, uint64_t now)
{
	return c->stall_at && c->user_ms && now + EXPIRE_MS * MS >= c->stall_at + c->user_ms * MS;
}

/* A peer without room for what is in flight, that says so each time, lives (RFC 9293 3.8.6.1). */
static bool answers(struct conn *c, const struct min_tcp *min)
{
	uint32_t heard = engine.clock[c->hw_connid].last_rx_ms, before = c->probe_rx_ms;

	c->probe_rx_ms = heard;
	return !min->snd_wnd && heard != before;
}

/* RFC 6298 section 5. */
static bool on_rto(struct conn *c, struct toe_cmd *cmd)
{
	bool alive = answers(c, &cmd->conn.min);

	stalled(c);
	if (c->backoff >= MAX_BACKOFF && !c->user_ms && !alive)
		return false;
	if (c->backoff < MAX_BACKOFF)
		c->backoff++;
	cmd->op = TOE_CMD_RTO;
	cmd->conn.backoff = c->backoff;
	if (!engine_cmd(cmd))
		send_lost(c, cmd);
	c->rtx_at = loop_clock_ns();
	return true;
}

/* An application is in the middle of a write: not all of [snd_una, snd_nxt) has left. Its processor may be put aside there,
 * by the host of a virtual machine or by interrupts; one that was stopped or killed behind it has no claim to more. */
static bool still_leaving(const struct conn *c, const struct hw_clock *k, uint64_t waited)
{
	return waited < LEAVE_NS && __atomic_load_n(&app_ring_ctl(c->app, c->rx)->tx_left, __ATOMIC_ACQUIRE) != k->snd_nxt;
}

/* RFC 8985 section 7.2; never later than the retransmission timer. */
static uint64_t pto_ns(const struct conn *c, const struct min_tcp *min)
{
	uint64_t pto = min->srtt_us ? 2000ULL * min->srtt_us : RTO_INIT_NS, rto = rto_ns(c, min);

	/* less than two full segments: the peer may put its acknowledgement off */
	if (min->snd_nxt - min->snd_una < 2U * min->snd_mss)
		pto += WC_DELACK_NS;
	return pto < rto ? pto : rto;
}

/* RFC 8985 section 7.3: new data if there is any and the peer's window takes it, else the last segment again. */
static void send_tlp(struct conn *c, const struct min_tcp *min)
{
	uint32_t filled = rings_tx_filled(c, min->snd_una, min->snd_nxt), len = filled - min->snd_nxt;
	uint32_t flight = min->snd_nxt - min->snd_una;

	c->tlp_done = true;
	c->rtx_at = loop_clock_ns();
	if (len > min->snd_mss)
		len = min->snd_mss;
	if (len && flight + len <= min->snd_wnd &&
	    !send_bytes(c, min, TOE_OP_DATA, TOE_DESC_TLP | psh(min->snd_nxt + len, filled), min->snd_nxt, len))
		return;
	len = flight < min->snd_mss ? flight : min->snd_mss;
	/* not beyond a window that was taken back, as Linux's tcp_retransmit_skb() */
	if (len && flight <= min->snd_wnd)
		send_bytes(c, min, TOE_OP_RTX, TOE_DESC_TLP | TOE_DESC_PSH, min->snd_nxt - len, len);
}

static bool may_probe(const struct conn *c, const struct hw_conn *e)
{
	return !c->tlp_done && !c->backoff && (e->min.opts & TOE_OPT_SACK) && e->ca_state == TOE_CA_OPEN &&
	       !(e->rec & (TOE_REC_TLP | TOE_REC_BOARD));
}

/* Bytes are in flight since `from`, when snd_una last moved or something was sent again. False: given up. */
static bool in_flight(struct conn *c, const struct hw_clock *k, uint64_t from, uint64_t now)
{
	bool probe = !c->tlp_done && now - from >= c->pto_ns && now - from >= PTO_MIN_NS;
	struct toe_cmd cmd;

	if (stalled_too_long(c, now))
		return false;
	if (now <= from || (!probe && now - from < RTO_MIN_NS) || read_entry(c, &cmd))
		return true;
	if (may_probe(c, &cmd.conn)) {
		c->pto_ns = pto_ns(c, &cmd.conn.min);
		if (now - from >= c->pto_ns && now - from >= PTO_MIN_NS && !still_leaving(c, k, now - from))
			send_tlp(c, &cmd.conn.min);
		return true;
	}
	c->tlp_done = true;	/* nothing to ask again before snd_una moves */
	return now - from < rto_ns(c, &cmd.conn.min) || on_rto(c, &cmd);
}

/* What the window allows of what the application left in the ring. partial: also a short last segment. */
static void pump(struct conn *c, const struct min_tcp *min, uint32_t edge, uint32_t filled, bool partial)
{
	uint32_t seq = min->snd_nxt;

	/* filled may be older than min */
	for (unsigned int n = 0; n < TOE_MAX_BURST && (int32_t)(filled - seq) > 0; n++) {
		uint32_t len = filled - seq < min->snd_mss ? filled - seq : min->snd_mss;

		if ((int32_t)(seq + len - edge) > 0) {
			/* RFC 9293 3.8.6.2.1: a smaller window is used only when nothing is in flight */
			if (seq != min->snd_una || !partial)
				break;
			len = edge - seq;
		}
		if (len < min->snd_mss && !partial)
			break;
		if (send_bytes(c, min, TOE_OP_DATA, psh(seq + len, filled), seq, len))
			break;
		seq += len;
	}
}

/* The peer's window is closed, nothing is in flight: ask for it, at growing intervals, for as long as the
 * peer answers (RFC 9293 3.8.6.1). False: it does not; the kernel decides what is to be done. */
static bool persist(struct conn *c, const struct hw_clock *k, const struct min_tcp *min, uint64_t now)
{
	if (!c->rtx_at)
		c->rtx_at = now;
	if (stalled_too_long(c, now))
		return false;
	if (now - c->rtx_at < rto_ns(c, min))
		return true;
	stalled(c);
	if (k->last_rx_ms != c->probe_rx_ms)
		c->probes = 0;
	else if (++c->probes >= MAX_PROBES)
		return false;
	c->probe_rx_ms = k->last_rx_ms;
	c->persisting = true;
	send_empty(c, min, TOE_OP_PROBE);
	c->rtx_at = now;
	if (c->backoff < MAX_BACKOFF)
		c->backoff++;
	return true;
}

/* The window has opened: what is sent now begins with a timer of its own, as in Linux's tcp_ack_probe(). */
static void persist_end(struct conn *c)
{
	c->persisting = false;
	c->backoff = 0;
	c->probes = 0;
	c->rtx_at = 0;
	c->stall_at = 0;
}

/* The parked socket remembers. (Of MSG_MORE only the library knows: that is pumped at the next tick.) */
static bool corked(const struct conn *c)
{
	return ksock_tcp_int(c->sock, TCP_CORK);
}

/* False: given up. */
static bool unsent_work(struct conn *c, const struct hw_clock *k, uint32_t filled, uint64_t now)
{
	struct toe_cmd cmd;
	const struct min_tcp *min = &cmd.conn.min;
	uint64_t idle;

	if (!c->unsent_since || c->unsent_nxt != k->snd_nxt) {
		c->unsent_since = now;
		c->unsent_nxt = k->snd_nxt;
	}
	idle = now - c->unsent_since;
	if (idle < PUMP_NS || still_leaving(c, k, idle))
		return true;
	if (read_entry(c, &cmd))
		return true;
	if (k->snd_una == k->snd_nxt && (int32_t)(k->snd_edge - k->snd_nxt) <= 0)
		return persist(c, k, min, now);
	/* Nagle: not while anything is in flight. Corked bytes wait for Linux's 200 ms. */
	pump(c, min, k->snd_edge, filled, k->snd_una == k->snd_nxt && (idle >= CORK_NS || !corked(c)));
	return true;
}

#define SLOW_RTT_US	5000

static unsigned int larger(uint32_t size, bool rx)
{
	return rings_order(size < RINGS_MOST / 4 ? size * 4 : RINGS_MOST, rx);
}

/* Has more than an eighth of the rx ring come in a round trip, so that half of it may come in the next but one? got: bytes in
 * dt ns, which is a whole period or the beginning of one. */
static bool rx_fills(struct conn *c, uint64_t got, uint64_t dt, bool whole)
{
	uint64_t rx = ring_size(c->rx), us = dt / 1000;
	struct toe_cmd cmd;

	if (got < (whole ? rx / 32 : rx / 8) || dt >= 2 * GROW_NS || c->rx.order >= GROW_ORDER || !us ||
	    read_entry(c, &cmd) || cmd.conn.min.wnd_limit)
		return false;
	return (!whole && us <= cmd.conn.min.srtt_us) || got * cmd.conn.min.srtt_us / us >= rx / 8;
}

/* Does the application keep the tx ring full, and is more than half of it in flight while the path would take more? Where slow
 * start lasts for more than a tick or two it is to hold what will be in flight two round trips later: a window that grows behind
 * a ring that does not leaves in one piece when that has grown, past the point where its growth should have ended. */
static bool tx_fills(struct conn *c, const struct hw_clock *k, bool whole)
{
	const struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);
	uint32_t tx = ring_size(c->tx), una = k->snd_una, flight = k->snd_nxt - una, wnd = k->snd_edge - una;
	uint32_t kept = rings_tx_filled(c, una, k->snd_nxt) - una;

	if (c->tx.order >= GROW_ORDER)
		return false;
	if (whole && flight >= tx / 2 && wnd >= tx && kept >= tx / 4 * 3)
		return true;
	return flight >= tx / 8 && wnd >= tx / 4 && kept > wnd && ctl->cwnd < ctl->ssthresh && ctl->srtt_us >= SLOW_RTT_US;
}

/*
 * Rings grow when they are what limits a bulk transfer, as the kernel's buffers do. They are looked at each time, so
 * that a slow start never fills them. False: the connection is gone (uploaded).
 */
static bool grow(struct conn *c, const struct hw_clock *k, uint64_t now)
{
	uint64_t dt = now - c->grow_at, got = k->rx_bytes - c->grow_rx, cookie = c->cookie;
	unsigned int rx_order = c->rx.order, tx_order = c->tx.order;
	bool whole = dt >= GROW_NS;

	if (rx_fills(c, got, dt, whole))
		rx_order = larger(ring_size(c->rx), true);
	if (tx_fills(c, k, whole))
		tx_order = larger(ring_size(c->tx), false);
	if (whole || rx_order != c->rx.order || tx_order != c->tx.order) {
		c->grow_at = now;
		c->grow_rx = k->rx_bytes;
	}
	if (rx_order == c->rx.order && tx_order == c->tx.order)
		return true;
	if (!mig_grow(c, rx_order, tx_order))
		log_debug("connection %u: rings of %u and %u KiB", c->hw_connid, ring_units(rx_order) << 4,
			  ring_units(tx_order) << 4);
	return conn_by_cookie(cookie) != NULL;
}

static bool ack_waited(const struct conn *c, uint64_t since, uint64_t now)
{
	bool several = __atomic_load_n(&app_ring_ctl(c->app, c->rx)->ack_due, __ATOMIC_RELAXED) == TOE_ACK_SEVERAL;

	return now > since && now - since >= (several ? DELACK_SEVERAL_NS : DELACK_NS);
}

/* Everything that may be due for one connection. False: nothing is pending any more. */
static bool service(struct conn *c, uint64_t now)
{
	struct hw_clock *k = &engine.clock[c->hw_connid];
	uint32_t flags = __atomic_exchange_n(&k->flags, 0, __ATOMIC_SEQ_CST), filled;
	uint64_t rtx_since = k->rtx_since, ack_since = k->ack_since;
	bool pending = false;
	struct toe_cmd cmd;

	if (c->una_seen != k->snd_una) {
		c->una_seen = k->snd_una;
		c->backoff = 0;
		c->rtx_at = 0;
		c->stuck_us = 0;
		c->stall_at = 0;
		c->tlp_done = false;
	}
	if (c->persisting && (k->snd_una != k->snd_nxt || (int32_t)(k->snd_edge - k->snd_nxt) > 0))
		persist_end(c);
	if (flags & TOE_CLK_UPLOAD) {
		enum toe_why why = read_entry(c, &cmd) ? TOE_WHY_ERROR : cmd.conn.why;

		log_debug("connection %u: engine asks for an upload, reason %d", c->hw_connid, why);
		conn_upload(c->cookie, why);
		return false;
	}
	if ((flags & TOE_CLK_RTX) || engine.rec[c->hw_connid].open)
		on_rtx(c);
	if (rtx_since && k->snd_una != k->snd_nxt) {
		uint64_t from = c->rtx_at > rtx_since ? c->rtx_at : rtx_since;

		if (c->stuck_us && !c->rtx_at)
			from = now - 1000ULL * (uint32_t)((uint32_t)(now / 1000) - c->stuck_us);
		pending = true;
		if (!in_flight(c, k, from, now))
			goto give_up;
	}
	if (!grow(c, k, now))
		return false;
	filled = rings_tx_filled(c, k->snd_una, k->snd_nxt);
	if (filled == k->snd_nxt)
		c->unsent_since = 0;
	else if (unsent_work(c, k, filled, now))
		pending = true;
	else
		goto give_up;
	if (ack_since) {
		pending = true;
		if (((flags & TOE_CLK_SACK) || ack_waited(c, ack_since, now)) && !read_entry(c, &cmd))
			send_empty(c, &cmd.conn.min, TOE_OP_ACK);
	}
	return pending;
give_up:
	expire_conn(c);
	return false;
}

/* ---- what no frame tells of ---- */

/* An application that writes into a window that is closed already calls nobody: the persist timer is to run. */
static void look_unsent(const struct conn *c)
{
	const struct hw_clock *k = &engine.clock[c->hw_connid];

	if (rings_tx_filled(c, k->snd_una, k->snd_nxt) != k->snd_nxt)
		watch[c->hw_connid / 64] |= 1ULL << (c->hw_connid & 63);
}

static void wake_again(struct conn *c)
{
	struct toe_cmd cmd = { .op = TOE_CMD_WAKE, .flow = c->flow, .conn.cookie = c->cookie };

	engine_cmd(&cmd);	/* on its way elsewhere, it is not the ring that tells */
}

/* A doorbell is a frame, and frames get lost: no memory, its TAP is down; some take the wake bit along (bpf/rx_reply.h). Who has not moved
 * since the last look though something is there may sleep, and is woken once more. */
static void look_unheard(struct conn *c)
{
	if (!rings_unheard(c, &c->heard))
		return;
	wake_again(c);
	c->app->unheard = true;
}

/* Once each application, when all wake bits are set. */
static void kick_unheard(void)
{
	struct app *app;

	for (app = app_next(NULL); app; app = app_next(app)) {
		if (app->unheard)
			app_kick(app);
		app->unheard = false;
	}
}

/* ---- keepalive: RFC 9293 3.8.4, as Linux's tcp_keepalive_timer() ---- */

/* One that sets it anew is uploaded, so that it is asked for once. */
static bool keeps_alive(struct conn *c)
{
	struct toe_cmd cmd;

	if (!c->keep_known && !read_entry(c, &cmd) && cmd.conn.state == TOE_HW) {
		c->keepalive = cmd.conn.sk_flags & TOE_SK_KEEPALIVE;
		c->keep_known = true;
	}
	return c->keepalive;
}

static void keep_look_up(struct conn *c)
{
	c->keep_idle = 0;
	if (!keeps_alive(c))
		return;
	c->keep_idle = (uint32_t)ksock_tcp_int(c->sock, TCP_KEEPIDLE);
	c->keep_intvl = (uint32_t)ksock_tcp_int(c->sock, TCP_KEEPINTVL);
	c->keep_cnt = (uint32_t)ksock_tcp_int(c->sock, TCP_KEEPCNT);
	c->user_ms = (uint32_t)ksock_tcp_int(c->sock, TCP_USER_TIMEOUT);
}

/* Probes were not answered: as many as the application said, or for as long as TCP_USER_TIMEOUT says. */
static bool keep_over(const struct conn *c, uint32_t silent_ms)
{
	return c->keep_nr && (c->user_ms ? silent_ms >= c->user_ms : c->keep_nr >= c->keep_cnt);
}

/* A peer that does not answer is the kernel's to give up: upload. */
static void keep_alive(struct conn *c, uint32_t now_ms)
{
	const struct hw_clock *k = &engine.clock[c->hw_connid];
	uint32_t due = k->last_rx_ms + 1000 * c->keep_idle;
	struct toe_cmd cmd;

	if (k->last_rx_ms != c->keep_rx_ms) {
		c->keep_rx_ms = k->last_rx_ms;
		c->keep_nr = 0;
	}
	if (c->keep_nr)
		due = c->keep_sent_ms + 1000 * c->keep_intvl;
	if ((int32_t)(now_ms - due) < 0 || k->snd_una != k->snd_nxt ||
	    rings_tx_filled(c, k->snd_una, k->snd_nxt) != k->snd_nxt)
		return;
	if (keep_over(c, now_ms - k->last_rx_ms)) {
		expire_conn(c);
		return;
	}
	c->keep_nr++;
	c->keep_sent_ms = now_ms;
	if (!read_entry(c, &cmd))
		send_empty(c, &cmd.conn.min, TOE_OP_PROBE);
}

/* Once in KEEP_SCAN_NS; what the application set is looked up every KEEP_LOOK times. */
static void keep_scan(uint64_t now)
{
	static uint64_t next;
	static unsigned int turn;
	struct conn *c, *then;

	if (now < next)
		return;
	next = now + KEEP_SCAN_NS;
	turn++;
	expire_scan(now);
	conn_recover();
	for (c = conn_next(NULL); c; c = then) {
		then = conn_next(c);
		if (c->has_rings) {
			look_unsent(c);
			look_unheard(c);
		}
		if ((turn + c->hw_connid) % KEEP_LOOK == 0) {
			keep_look_up(c);
			if (c->sock < 0)
				conn_ask_upload(c);	/* its application is gone: once more */
		}
		if (c->keep_idle)
			keep_alive(c, (uint32_t)(now / MS));
	}
	kick_unheard();
}

void conn_service(void)
{
	uint64_t now = loop_clock_ns();

	for (unsigned int w = 0; w < WORDS; w++) {
		uint64_t bits = watch[w], bit;

		if (engine.dirty[w])
			bits |= __atomic_exchange_n(&engine.dirty[w], 0, __ATOMIC_SEQ_CST);
		watch[w] = bits;
		for (; bits; bits &= bits - 1) {
			struct conn *c = conn_by_id(w * 64 + (unsigned int)__builtin_ctzll(bits));

			bit = bits & -bits;
			if (!c || !service(c, now))
				watch[w] &= ~bit;
		}
	}
	keep_scan(now);
}
