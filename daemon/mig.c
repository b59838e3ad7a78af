/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine.h"
#include "frame.h"
#include "hold.h"
#include "ksock.h"
#include "log.h"
#include "loop.h"
#include "mig.h"
#include "nic.h"
#include "rings.h"

#define CLAIM_WAIT_NS	20000000	/* threads inside a send: it does not sleep, but may be preempted */
#define SETTLE_WAIT_NS	1000000		/* frames on their way up the stack */
#define RX_RING_MAX	(TOE_CHUNK_DATA << TOE_MAX_ORDER)
#define CLAMPED_WINDOW	((4U << 20) - 65536)	/* with its rounding less than 4 MiB */
#define SND_PEEK_MAX	(8U << 20)

struct move {
	struct conn *c;
	struct toe_sonode *sonode;
	struct nic_path path;
	struct toe_cmd cmd;
	struct ksock_seqs seqs;
	uint32_t snd_base;		/* of the shadow */
	struct ksock_progress before;	/* repair mode */
	uint32_t write_seq;		/* then */
	uint8_t sk_flags;
	bool parked;		/* and MIN_TCP_T captured */
	bool loaded;
	uint32_t snd_nxt;	/* at the parking: how far was really sent */
	uint64_t hold_start;
	enum toe_why why;
};

static unsigned int order_for(uint32_t bytes)
{
	unsigned int order = 0;

	while (order <= TOE_MAX_ORDER && (TOE_CHUNK_DATA << order) < bytes)
		order++;
	return order;
}

static void count_hold(struct move *m)
{
	uint64_t us = (loop_clock_ns() - m->hold_start) / 1000;
	unsigned int b = 0;

	m->c->hold_ns = loop_clock_ns() - m->hold_start;
	while (b < 23 && us >> b)
		b++;
	conn_moves.hold_hist[b]++;
}

/* ---- commands to the engine ---- */

static int run_cmd(struct move *m, enum toe_cmd_op op)
{
	int err, tries = 3;

	do {
		m->cmd.op = op;
		m->cmd.flow = m->c->flow;
		err = engine_cmd(&m->cmd);
	} while (err == -EBUSY && --tries);
	return err;
}

static int hold(struct move *m, enum toe_state next)
{
	memset(&m->cmd.conn, 0, sizeof(m->cmd.conn));
	m->cmd.conn.cookie = m->c->cookie;
	m->cmd.next = next;
	m->cmd.why = m->why;
	return run_cmd(m, TOE_CMD_HOLD);
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

static int finish(struct move *m, enum toe_state next)
{
	int err;

	for (;;) {
		if (replay(m, next))
			return 1;
		m->cmd.next = next;
		m->cmd.conn.nr_held = m->c->nr_held;
		err = run_cmd(m, TOE_CMD_FINISH);
		if (err != -EAGAIN)
			break;
		/* frames counted but not there were taken by a toed that died: lost on the wire */
		hold_drain();
		if (!m->c->held)
			m->c->nr_held = m->cmd.conn.nr_held;
	}
	if (!err)
		m->c->nr_held = 0;
	return err;
}

/* ---- the SONODE's path word ---- */

static int sonode_claim(struct toe_sonode *s, enum toe_path from)
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

/* The table is the application's to write: touch the entry only while it still names this socket. */
static void sonode_set(struct move *m, enum toe_path path)
{
	uint32_t word = __atomic_load_n(&m->sonode->word, __ATOMIC_SEQ_CST);

	if (m->sonode->cookie != m->c->cookie)
		return;
	m->sonode->why = (uint8_t)m->why;
	__atomic_store_n(&m->sonode->word, ((word & ~TOE_PATH_MASK) + TOE_EPOCH) | path, __ATOMIC_SEQ_CST);
	app_wake(m->c->app, m->sonode);
}

/* A thread inside a send could put its bytes into a queue that is selected for reading. Readers are
 * harmless: they get an error, and sleepers are thrown out when the socket is parked. */
static int wait_users(struct toe_sonode *s)
{
	uint64_t end = loop_clock_ns() + CLAIM_WAIT_NS;

	while (__atomic_load_n(&s->users, __ATOMIC_SEQ_CST)) {
		if (loop_clock_ns() > end)
			return -EBUSY;
		sched_yield();
	}
	return 0;
}

/* ---- offload ---- */

/* window: what the peer may send until told otherwise and what of it waits unread. The ring holds all of it: a
 * promise is kept to the byte. A window too large for any ring is clamped, so that it shrinks as data
 * arrives, and the move is refused for now; before the queues are read its size is a guess. */
static int alloc_rings(struct move *m, uint32_t window, uint32_t tx_need, bool guess)
{
	struct conn *c = m->c;
	uint32_t rx_need = window + (1U << m->cmd.conn.min.rcv_wscale);
	unsigned int rx, tx = order_for(tx_need);
	int err;

	if (rx_need > RX_RING_MAX) {
		if (!guess) {
			ksock_clamp_window(c->sock, CLAMPED_WINDOW);
			m->why = TOE_WHY_WINDOW;
			return -EAGAIN;
		}
		rx_need = RX_RING_MAX;
	}
	rx = order_for(rx_need);
	if (tx > TOE_MAX_ORDER || rx > TOE_MAX_ORDER) {
		m->why = TOE_WHY_QUEUE;
		return -EOPNOTSUPP;
	}
	if (c->has_rings && c->rx.order >= rx && c->tx.order >= tx)
		return 0;
	if (c->has_rings) {
		app_ring_free(c->app, c->rx);
		app_ring_free(c->app, c->tx);
		c->has_rings = false;
	}
	m->why = TOE_WHY_NO_SLAB;
	err = app_ring_alloc(c->app, rx, &c->rx);
	if (err)
		return err;
	err = app_ring_alloc(c->app, tx, &c->tx);
	if (err) {
		app_ring_free(c->app, c->rx);
		return err;
	}
	c->has_rings = true;
	return 0;
}

/* Steps 1 and 2, before anything is disturbed. */
static int prepare(struct move *m)
{
	struct hw_connid id = { .flow = m->c->flow, .gen = m->c->gen };
	struct conn *c = m->c;
	uint32_t key = c->hw_connid;
	int err;

	err = ksock_eligible(c->sock, &m->why);
	if (err)
		return err;
	err = nic_route(&c->flow, &m->path);
	if (err) {
		m->why = err == -EHOSTUNREACH ? TOE_WHY_NO_NEIGH : TOE_WHY_NO_NIC;
		return err;
	}
	c->nic = m->path.nic->id;
	m->why = TOE_WHY_ERROR;
	err = run_cmd(m, TOE_CMD_READ);
	if (err)
		return err;
	if (m->cmd.conn.min.opts & TOE_OPT_ACCECN) {
		m->why = TOE_WHY_ECN;
		return -EOPNOTSUPP;
	}
	if (m->cmd.conn.min.snd_mss > TOE_MAX_PAYLOAD) {
		m->why = TOE_WHY_MTU;
		return -EOPNOTSUPP;
	}
	err = alloc_rings(m, m->cmd.conn.min.rcv_adv - m->cmd.conn.min.copied_seq, 1, true);
	if (err)
		return err;
	m->sk_flags = ksock_flags(c->sock);
	if (bpf_map_update_elem(engine.hw_connid, &key, &id, BPF_ANY))
		return -errno;
	return 0;
}

/* Step 5: what passed the RX engine before HOLD arrives at the socket, which still takes it. A hole in
 * the stream does not close while frames are held: then this is no moment to move, for what the socket
 * holds out of order cannot be taken along, and the peer would send it again only after a timeout.
 * Not in repair mode: an acknowledgement that arrives while its send queue is selected would make the
 * kernel count everything unsent as sent. */
static int settle(struct move *m)
{
	const struct hw_conn *e = &m->cmd.conn;
	uint64_t end = loop_clock_ns() + SETTLE_WAIT_NS;
	struct ksock_progress p;
	bool hole, late;
	int err;

	for (;;) {
		err = ksock_progress(m->c->sock, &p);
		if (err)
			return err;
		hole = (int32_t)(e->rcv_base + p.received - e->seen_end) < 0;
		late = (int32_t)(e->snd_base + p.acked - e->seen_ack) < 0;
		if ((!hole && !late) || loop_clock_ns() > end)
			break;
		sched_yield();
	}
	hole = hole && ksock_holds_data(m->c->sock);	/* else it reached, and was refused */
	m->why = hole ? TOE_WHY_HOLE : TOE_WHY_ERROR;
	return hole ? -EAGAIN : 0;
}

/* Step 6. */
static int freeze(struct move *m)
{
	int err = ksock_deafen(m->c->sock);

	m->snd_base = m->cmd.conn.snd_base;
	if (!err)
		err = ksock_progress(m->c->sock, &m->before);
	if (!err)
		err = ksock_repair_on(m->c->sock);
	if (!err)
		err = ksock_read_seqs(m->c->sock, m->snd_base, &m->seqs);
	m->write_seq = m->seqs.write_seq;
	return err;
}

/* How far the socket really sent. Its own snd_nxt may be beyond: pacing or a small queue's completion
 * may have run while the send queue was selected, and in repair mode that counts as sent what is not. */
static uint32_t really_sent(struct move *m, const struct ksock_progress *now)
{
	return m->write_seq - m->before.notsent + (now->sent - m->before.sent);
}

static int copy_rcv(struct move *m)
{
	struct iovec iov[RINGS_IOV];
	uint32_t len = m->seqs.rcv_nxt - m->seqs.copied_seq;
	int nr = rings_iov(m->c->app, m->c->rx, m->seqs.copied_seq, len, iov);
	ssize_t n = len ? ksock_peek_rcv(m->c->sock, iov, nr) : 0;

	return n < 0 ? (int)n : n == (ssize_t)len ? 0 : -EIO;
}

/* The first buffer of the send queue may begin before snd_una: the last bytes count. */
static int copy_snd(struct move *m)
{
	struct iovec iov[RINGS_IOV];
	uint32_t len = m->seqs.write_seq - m->seqs.snd_una, write_seq = m->seqs.write_seq;
	int nr = rings_iov(m->c->app, m->c->tx, m->seqs.snd_una, len, iov);
	char *buf, *p;
	ssize_t n;

	if (!len)
		return 0;
	buf = malloc(SND_PEEK_MAX);
	if (!buf)
		return -ENOMEM;
	n = ksock_peek_snd(m->c->sock, buf, SND_PEEK_MAX, &write_seq);
	if (n >= 0 && write_seq != m->seqs.write_seq)
		n = -EIO;
	if (n >= (ssize_t)len) {
		p = buf + (size_t)n - len;
		for (int i = 0; i < nr; i++) {
			memcpy(iov[i].iov_base, p, iov[i].iov_len);
			p += iov[i].iov_len;
		}
	}
	free(buf);
	return n < 0 ? (int)n : n >= (ssize_t)len ? 0 : -EIO;
}

static int copy_once(struct move *m, uint32_t edge)
{
	int err = alloc_rings(m, edge - m->seqs.copied_seq, m->seqs.write_seq - m->seqs.snd_una, false);

	if (!err)
		err = copy_rcv(m);
	return err ? err : copy_snd(m);
}

/* Step 7. A thread that slipped in while a queue was selected shows in the lengths; looking at the receive queue
 * can make the kernel advertise a larger window (tcp_cleanup_rbuf()): once more. */
static int copy_queues(struct move *m)
{
	struct ksock_seqs before;
	uint32_t edge, now = 0;
	int err, tries = 4;

	do {
		before = m->seqs;
		err = ksock_rcv_edge(m->c->sock, &edge);
		if (!err)
			err = copy_once(m, edge);
		if (!err)
			err = ksock_read_seqs(m->c->sock, m->snd_base, &m->seqs);
		if (!err)
			err = ksock_rcv_edge(m->c->sock, &now);
	} while (!err && (edge != now || memcmp(&before, &m->seqs, sizeof(before))) && --tries);
	return err ? err : tries ? 0 : -EBUSY;
}

/* Step 8 and 9. The sockops program has written MIN_TCP_T by the time connect(AF_UNSPEC) returns. */
static int park(struct move *m)
{
	struct min_tcp *min = &m->cmd.conn.min;
	struct ksock_progress now = m->before;
	int err, err2;

	ksock_progress(m->c->sock, &now);
	err = ksock_park(m->c->sock, &m->seqs);
	err2 = run_cmd(m, TOE_CMD_READ);
	if (err || err2)
		return err ? err : err2;
	/* a reader that was past the kernel's check may have taken bytes since: they stay read */
	if (min->copied_seq - m->seqs.copied_seq <= m->seqs.rcv_nxt - m->seqs.copied_seq)
		m->seqs.copied_seq = min->copied_seq;
	if (min->snd_una != m->seqs.snd_una || min->write_seq != m->seqs.write_seq ||
	    min->rcv_nxt != m->seqs.rcv_nxt || min->copied_seq != m->seqs.copied_seq) {
		log_warn("connection %u: parked without its MIN_TCP_T", m->c->hw_connid);
		return -EIO;
	}
	m->parked = true;
	m->snd_nxt = really_sent(m, &now);
	if (m->snd_nxt - min->snd_una > min->snd_nxt - min->snd_una)
		m->snd_nxt = min->snd_nxt;
	if (min->rcv_adv - min->copied_seq <= rings_size(m->c->rx))
		return 0;
	m->why = TOE_WHY_WINDOW;	/* the delayed-ACK timer has run meanwhile */
	return -EAGAIN;
}

/* A retransmission timer that each move started anew would never end under moves that come often. */
static void stuck_save(struct conn *c, struct hw_conn *e)
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

static void stuck_restore(struct conn *c, const struct hw_conn *e)
{
	c->stuck_una = e->min.snd_una;
	c->stuck_us = e->rtt_seq == e->min.snd_una && e->min.snd_una != e->min.snd_nxt ? e->rtt_start_us : 0;
}

/* Step 10. */
static int load(struct move *m)
{
	struct hw_conn *e = &m->cmd.conn;
	struct conn *c = m->c;
	int ttl = 64, tos = 0, err;
	socklen_t len = sizeof(int);

	if (c->flow.family == AF_INET) {
		getsockopt(c->sock, IPPROTO_IP, IP_TTL, &ttl, &len);
		getsockopt(c->sock, IPPROTO_IP, IP_TOS, &tos, &len);
	} else {
		getsockopt(c->sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, &len);
		getsockopt(c->sock, IPPROTO_IPV6, IPV6_TCLASS, &tos, &len);
	}
	e->hw_connid = c->hw_connid;
	e->gen = c->gen;
	e->nic = (uint8_t)c->nic;
	e->why = TOE_WHY_NEW;
	e->sonode = (uint64_t)c->app->id << 32 | (uint32_t)c->fd;
	e->rx = c->rx;
	e->tx = c->tx;
	e->qp = 0;
	e->app = (uint16_t)c->app->id;
	e->ttl = (uint8_t)(ttl > 0 ? ttl : 64);
	e->tos = (uint8_t)(tos & ~3);
	e->sk_flags = m->sk_flags;
	e->recover = e->min.snd_una;
	e->dupacks = e->ca_state = e->nr_ooo = e->unacked_segs = e->backoff = 0;
	stuck_restore(c, e);
	e->rtt_start_us = 0;
	e->cc_alg = ksock_cc(c->sock, e->min.opts);
	memcpy(e->dst_mac, m->path.dst_mac, 6);
	memcpy(e->src_mac, m->path.src_mac, 6);
	e->min.snd_nxt = m->snd_nxt;
	rings_start(c, e->min.copied_seq, e->min.write_seq);
	err = run_cmd(m, TOE_CMD_LOAD);
	m->loaded = !err;
	return err;
}

static void publish(struct move *m)
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
	sonode_set(m, TOE_PATH_HW);
}

/* Has the kernel counted bytes as sent that were not, while its send queue was selected? */
static bool sent_untrue(struct move *m)
{
	struct ksock_progress now;

	return m->seqs.write_seq && !ksock_progress(m->c->sock, &now) &&
	       m->seqs.write_seq - now.notsent != really_sent(m, &now);
}

/* Before the socket was parked: it goes on as if nothing had been. */
static void back_out(struct move *m)
{
	ksock_hear(m->c->sock);
	ksock_repair_off(m->c->sock);
	if (m->sk_flags & TOE_SK_REUSEADDR)
		setsockopt(m->c->sock, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (!hold(m, TOE_KERNEL))
		finish(m, TOE_KERNEL);
	sonode_set(m, TOE_PATH_KERNEL);
}

static int rebuild(struct move *m);

/* After the socket was taken apart: put it together again from what is known. */
static int salvage(struct move *m)
{
	struct hw_conn *e = &m->cmd.conn;
	int err = hold(m, TOE_KERNEL);

	if (err)
		return err;
	e->sk_flags = m->sk_flags;
	if (!m->parked) {
		e->min.snd_una = m->seqs.snd_una;
		m->snd_nxt = e->min.write_seq = m->seqs.write_seq;
		e->min.rcv_nxt = e->min.last_ack = m->seqs.rcv_nxt;
		e->min.copied_seq = m->seqs.copied_seq;
	}
	if (!m->loaded) {
		e->min.snd_nxt = m->snd_nxt;
		rings_start(m->c, m->seqs.copied_seq, m->seqs.write_seq);
	}
	return rebuild(m);
}

int mig_offload(struct conn *c, enum toe_why *why)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd] };
	int err = prepare(&m), err2;

	if (!err && sonode_claim(m.sonode, TOE_PATH_KERNEL)) {
		err = -EBUSY;
		m.why = TOE_WHY_NO_FD;
	}
	if (err)
		goto out;
	m.why = TOE_WHY_BUSY;
	err = wait_users(m.sonode);
	if (err) {
		sonode_set(&m, TOE_PATH_KERNEL);
		goto out;
	}
	m.why = TOE_WHY_ERROR;
	m.hold_start = loop_clock_ns();
	err = hold(&m, TOE_HW);
	if (!err)
		err = settle(&m);
	if (!err)
		err = freeze(&m);
	if (!err)
		err = copy_queues(&m);
	if (err && !sent_untrue(&m)) {
		back_out(&m);
		goto out;
	}
	err2 = park(&m);
	err = err ? err : err2;
	if (!err)
		err = load(&m);
	if (!err)
		err = finish(&m, TOE_HW);
	if (err) {		/* < 0: failure; 1: a frame for the kernel came meanwhile */
		err2 = salvage(&m);
		err = err2 ? err2 : err > 0 ? -EAGAIN : err;
		goto out;
	}
	count_hold(&m);
	if (engine.clock[c->hw_connid].ack_since || m.cmd.conn.min.last_ack != m.cmd.conn.min.rcv_nxt)
		conn_send_ack(c, &m.cmd.conn.min);
	c->una_seen = m.cmd.conn.min.snd_una;
	publish(&m);
	conn_moves.offloads++;
out:
	*why = m.why;
	return err;
}

/* ---- upload ---- */

/* Unread, unacknowledged and unsent bytes, and the state to go on from. */
static void take_image(struct move *m, struct ksock_image *im, struct iovec iov[3][RINGS_IOV])
{
	struct conn *c = m->c;
	struct min_tcp *min = &m->cmd.conn.min;
	uint32_t filled;

	memset(im, 0, sizeof(*im));
	im->min = *min;
	im->sk_flags = m->cmd.conn.sk_flags;
	im->unread = iov[0];
	im->unacked = iov[1];
	im->unsent = iov[2];
	im->rx_read = min->rcv_nxt;
	if (!c->has_rings)
		return;
	im->rx_read = rings_rx_read(c, min);
	im->window = rings_size(c->rx) - (1U << min->rcv_wscale);
	filled = rings_tx_filled(c, min->snd_una, min->snd_nxt);
	im->nr_unread = rings_iov(c->app, c->rx, im->rx_read, min->rcv_nxt - im->rx_read, iov[0]);
	im->nr_unacked = rings_iov(c->app, c->tx, min->snd_una, min->snd_nxt - min->snd_una, iov[1]);
	im->nr_unsent = rings_iov(c->app, c->tx, min->snd_nxt, filled - min->snd_nxt, iov[2]);
}

static void replay_from_peer(struct move *m, uint32_t seq, const void *payload, size_t len)
{
	uint8_t frame[FRAME_HDR_MAX + FRAME_DATA_MAX];
	size_t n = frame_from_peer(&m->cmd.conn, seq, payload, len, frame);

	engine_replay(m->c->nic, frame, n, true);
}

/* What was received out of order was reported to the peer (SACK), who sends it again only after a
 * timeout: hand it to the rebuilt socket as if it came once more. */
static void replay_ooo(struct move *m, struct toe_ival ival)
{
	uint32_t len = ival.end - ival.start, room = m->cmd.conn.min.rcv_adv - ival.start;
	struct iovec iov[RINGS_IOV];
	int nr;

	if (!m->c->has_rings || !len || len > room || len > rings_size(m->c->rx))
		return;
	nr = rings_iov(m->c->app, m->c->rx, ival.start, len, iov);
	for (int i = 0; i < nr; i++) {
		const char *p = iov[i].iov_base;

		for (size_t left = iov[i].iov_len, n; left; left -= n, p += n, ival.start += n) {
			n = left < FRAME_DATA_MAX ? left : FRAME_DATA_MAX;
			replay_from_peer(m, ival.start, p, n);
		}
	}
}

/* What a rebuilt socket lacks and only frames can bring: ts_recent, a header prediction that knows the peer's
 * window (restore_window() in ksock.c), and the out-of-order queue. */
static void replay_state(struct move *m)
{
	const struct hw_conn *e = &m->cmd.conn;
	struct nic *nic = nic_get(m->c->nic);

	if (!nic || nic_enter(nic))
		return;
	replay_from_peer(m, e->min.rcv_nxt, NULL, 0);
	for (int i = 0; e->nr_ooo && i < TOE_NR_OOO; i++)
		replay_ooo(m, engine.rec[m->c->hw_connid].ooo[i]);
	nic_leave();
}

/* For the next offload's step 5. */
static void note_reach(struct hw_conn *e)
{
	e->seen_ack = e->min.snd_una;
	e->seen_end = e->min.rcv_nxt;
	for (int i = 0; e->nr_ooo && i < TOE_NR_OOO; i++)
		if (e->ooo[i].end - e->min.rcv_nxt < 1U << 31 &&
		    e->ooo[i].end - e->min.rcv_nxt > e->seen_end - e->min.rcv_nxt)
			e->seen_end = e->ooo[i].end;
}

/* In HOLD with next = KERNEL and the entry in cmd: socket, frames, SONODE. */
static int rebuild(struct move *m)
{
	static struct iovec iov[3][RINGS_IOV];
	struct conn *c = m->c;
	struct ksock_image im;
	int err, err2;

	rings_freeze(c);
	take_image(m, &im, iov);
	err = ksock_unpark(c->sock, &im);
	if (err)
		log_err("connection %u (cookie %llu): cannot be given back to the kernel: %s",
			c->hw_connid, (unsigned long long)c->cookie, strerror(-err));
	else
		replay_state(m);
	stuck_save(c, &m->cmd.conn);
	note_reach(&m->cmd.conn);
	m->cmd.conn.nr_ooo = 0;
	m->cmd.conn.snd_base = im.min.snd_una;	/* the rebuilt socket counts from here */
	m->cmd.conn.rcv_base = im.rx_read;
	m->cmd.conn.hw_connid = 0;
	m->cmd.conn.qp = 0;
	err2 = run_cmd(m, TOE_CMD_LOAD);
	if (!err2)
		err2 = finish(m, TOE_KERNEL);
	if (err2)
		log_err("connection %u: entry lost during upload: %s", c->hw_connid, strerror(-err2));
	count_hold(m);
	if (!err) {
		err = ksock_send_rest(c->sock, &im);
		if (err)
			log_err("connection %u: unsent bytes cannot be given back to the kernel: %s",
				c->hw_connid, strerror(-err));
	}
	sonode_set(m, TOE_PATH_KERNEL);
	return err ? err : err2;
}

int mig_upload(struct conn *c, enum toe_why why)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd], .why = why };
	int err;

	if (sonode_claim(m.sonode, TOE_PATH_HW))
		log_debug("connection %u: SONODE was not on the hardware path", c->hw_connid);
	m.hold_start = loop_clock_ns();
	err = hold(&m, TOE_KERNEL);
	if (err) {
		log_err("connection %u: no entry to upload from: %s", c->hw_connid, strerror(-err));
		return err;
	}
	err = rebuild(&m);
	if (err)
		conn_moves.failed++;
	else
		conn_moves.uploads++;
	return err;
}

int mig_relink(struct conn *c)
{
	struct move m = { .c = c };
	int err = nic_route(&c->flow, &m.path);

	if (err)
		return err;
	err = run_cmd(&m, TOE_CMD_READ);
	if (err)
		return err;
	m.cmd.conn.nic = (uint8_t)m.path.nic->id;
	memcpy(m.cmd.conn.dst_mac, m.path.dst_mac, 6);
	memcpy(m.cmd.conn.src_mac, m.path.src_mac, 6);
	c->nic = m.path.nic->id;
	return run_cmd(&m, TOE_CMD_LINK);
}
