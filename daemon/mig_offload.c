/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Offload: from the kernel's socket to the engines. The steps are those of doc/architecture.md section 6. */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include "fault.h"
#include "log.h"
#include "loop.h"
#include "mig.h"
#include "mig_int.h"
#include "missing.h"
#include "rings.h"

#define SETTLE_WAIT_NS	1000000		/* frames on their way up the stack */
#define SND_PEEK_MAX	(8U << 20)

/* What a ring must hold for a window of so many bytes: the edge is rounded up to a unit of the scale, more than once. */
static uint32_t rx_bytes(const struct move *m, uint32_t window)
{
	return window + (2U << m->cmd.conn.min.rcv_wscale);
}

/* Does the ring hold what the peer may send and what of it waits unread? The largest does: a promise is kept to the
 * byte, and what comes of it beyond that ring is the kernel's (bpf/rx_check.h seg_beyond_ring()). */
static bool ring_holds(const struct move *m, uint32_t bytes)
{
	return m->c->rx.order == TOE_MAX_ORDER || bytes <= ring_size(m->c->rx);
}

/* window: what the peer may send until told otherwise and what of it waits unread; before the queues are read a guess. */
static int alloc_rings(struct move *m, uint32_t window, uint32_t tx_need)
{
	struct conn *c = m->c;
	uint32_t rx_need = rx_bytes(m, window);
	unsigned int rx = rx_need < RINGS_MOST ? rings_order(rx_need, true) : TOE_MAX_ORDER;
	unsigned int tx = rings_order(tx_need, false);
	int err;

	if (tx > TOE_MAX_ORDER) {
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

/* The shadow knows the window of the handshake. One that grew since is not to have its ring made while frames wait. */
static uint32_t window_guess(const struct move *m)
{
	const struct min_tcp *min = &m->cmd.conn.min;
	uint32_t first = min->rcv_adv - min->copied_seq, now = ksock_window(m->c->sock);

	return now > first ? now : first;
}

/* What only socket options tell. */
static void ask_sock(struct move *m)
{
	int sock = m->c->sock;

	ksock_options(sock, m->c->flow.family, &m->opts);
	m->cc_alg = ksock_cc(sock, m->cmd.conn.min.opts);
	m->sk_flags = ksock_flags(sock);
}

/* A connection over a VLAN is moved only after the RX engine saw a frame with its tags: what a device or its peer keeps
 * beside the frame (veth: if the peer has txvlan on) shows nowhere else. And none is moved if the last frame had others:
 * frames may come by another VLAN than they leave by. In hardware it would not get them. */
static int check_tags(struct move *m)
{
	const struct hw_conn *e = &m->cmd.conn;
	int err;

	if (m->path.vlan && !mig_fits(m)) {
		m->why = TOE_WHY_TAG_ROOM;
		return -EMSGSIZE;
	}
	if (e->vlan == m->path.vlan && (m->path.vlan ? e->tagged == TOE_TAGS_RIGHT : e->tagged != TOE_TAGS_OTHER))
		return 0;
	m->why = TOE_WHY_UNTAGGED;
	if (e->vlan == m->path.vlan)
		return -EAGAIN;
	err = mig_hold(m, TOE_KERNEL);		/* the route has changed: the entry shall look for these */
	if (!err)
		err = mig_finish(m, TOE_KERNEL);
	m->why = TOE_WHY_UNTAGGED;
	return err < 0 ? err : -EAGAIN;
}

/* Steps 1 and 2, before anything is disturbed. */
static int prepare(struct move *m)
{
	struct hw_connid id = { .flow = m->c->flow, .gen = m->c->gen };
	struct conn *c = m->c;
	uint32_t key = c->hw_connid;
	int err;

	m->why = TOE_WHY_ERROR;
	err = ksock_ready();
	if (err)
		return err;
	err = ksock_eligible(c->sock, &m->why);
	if (err)
		return err;
	err = nic_route(&c->flow, ksock_bound_dev(c->sock), &m->path);
	if (err) {
		m->why = err == -EHOSTUNREACH ? TOE_WHY_NO_NEIGH :
			 err == -EPROTONOSUPPORT ? TOE_WHY_STRIPPED : TOE_WHY_NO_NIC;
		return err;
	}
	c->nic = m->path.nic->id;
	c->hop = m->path.hop;
	m->why = TOE_WHY_ERROR;
	err = mig_cmd(m, TOE_CMD_READ);
	if (err)
		return err;
	if (m->cmd.conn.min.opts & TOE_OPT_SECURED) {
		m->why = TOE_WHY_SECURED;
		return -EOPNOTSUPP;
	}
	if (m->cmd.conn.min.opts & TOE_OPT_ACCECN) {
		m->why = TOE_WHY_ECN;
		return -EOPNOTSUPP;
	}
	if (m->cmd.conn.min.snd_mss > TOE_MAX_PAYLOAD) {
		m->why = TOE_WHY_MTU;
		return -EOPNOTSUPP;
	}
	err = check_tags(m);
	if (err)
		return err;
	err = alloc_rings(m, window_guess(m), 1);
	if (err)
		return err;
	ask_sock(m);
	if (bpf_map_update_elem(engine.hw_connid, &key, &id, BPF_ANY))
		return -errno;
	return 0;
}

/* The socket is not waiting for what is missing: it has refused it, or that is still on its way. A socket that is deaf by then would
 * drop it, so it counts as refused only when this is not the first try that finds the same missing. */
static bool was_refused(const struct move *m, uint32_t received)
{
	return missing_long(m->c->cookie, received, m->cmd.conn.seen_end, loop_clock_ns());
}

/* The socket has got what the RX engine has not seen. In hardware it would get none of that. */
static bool bypassed(const struct hw_conn *e, const struct ksock_progress *p)
{
	return (int32_t)(e->rcv_base + p->received - e->seen_end) > 0 || (int32_t)(e->snd_base + p->acked - e->seen_ack) > 0;
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
	m->why = TOE_WHY_BYPASS;
	if (bypassed(e, &p))
		return -EAGAIN;
	hole = hole && (ksock_holds_data(m->c->sock) || !was_refused(m, p.received));
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
static uint32_t really_sent(const struct move *m, uint32_t sent)
{
	return m->write_seq - m->before.notsent + (sent - m->before.sent);
}

static int copy_rcv(struct move *m)
{
	struct iovec iov[RINGS_IOV];
	uint32_t len = m->seqs.rcv_nxt - m->seqs.copied_seq;
	int nr = rings_iov(m->c->app, rings_rx(m->c), m->seqs.copied_seq, len, iov);
	ssize_t n = len ? ksock_peek_rcv(m->c->sock, iov, nr) : 0;

	return n < 0 ? (int)n : n == (ssize_t)len ? 0 : -EIO;
}

/* The first buffer of the send queue may begin before snd_una: the last bytes count. (No allocation: frames wait.) */
static int copy_snd(struct move *m)
{
	static char buf[SND_PEEK_MAX];
	struct iovec iov[RINGS_IOV];
	uint32_t len = m->seqs.write_seq - m->seqs.snd_una, write_seq = m->seqs.write_seq;
	int nr = rings_iov(m->c->app, rings_tx(m->c), m->seqs.snd_una, len, iov);
	char *p;
	ssize_t n;

	if (!len)
		return 0;
	n = ksock_peek_snd(m->c->sock, buf, sizeof(buf), &write_seq);
	if (n >= 0 && write_seq != m->seqs.write_seq)
		n = -EIO;
	if (n >= (ssize_t)len) {
		p = buf + (size_t)n - len;
		for (int i = 0; i < nr; i++) {
			memcpy(iov[i].iov_base, p, iov[i].iov_len);
			p += iov[i].iov_len;
		}
	}
	return n < 0 ? (int)n : n >= (ssize_t)len ? 0 : -EIO;
}

static int copy_once(struct move *m, uint32_t edge)
{
	int err = alloc_rings(m, edge - m->seqs.copied_seq, m->seqs.write_seq - m->seqs.snd_una);

	if (!err && m->seqs.rcv_nxt - m->seqs.copied_seq > ring_size(m->c->rx)) {
		m->why = TOE_WHY_QUEUE;		/* until it is read */
		err = -EAGAIN;
	}
	if (err)
		return err;
	rings_base(m->c, m->seqs.copied_seq, m->seqs.snd_una);
	err = copy_rcv(m);
	return err ? err : copy_snd(m);
}

/* Step 7. A thread that slipped in while a queue was selected shows in the lengths; looking at the receive queue
 * can make the kernel advertise a larger window than fits (tcp_cleanup_rbuf()): once more. */
static int copy_queues(struct move *m)
{
	struct ksock_seqs before;
	uint32_t edge;
	int err, tries = 4;

	err = ksock_rcv_edge(m->c->sock, &edge);
	while (!err && tries--) {
		before = m->seqs;
		err = copy_once(m, edge);
		if (!err)
			err = ksock_read_seqs(m->c->sock, m->snd_base, &m->seqs);
		if (!err)
			err = ksock_rcv_edge(m->c->sock, &edge);
		if (!err && ring_holds(m, rx_bytes(m, edge - m->seqs.copied_seq)) &&
		    !memcmp(&before, &m->seqs, sizeof(before)))
			return 0;
	}
	return err ? err : -EBUSY;
}

/* Step 8. From here on the entry and the rings are enough to go on from, also for another toed. */
static int claim(struct move *m)
{
	struct hw_conn *e = &m->cmd.conn;
	struct conn *c = m->c;
	int err;

	e->hw_connid = c->hw_connid;
	e->gen = c->gen;
	e->nic = (uint8_t)c->nic;
	e->vlan = m->path.vlan;
	e->fd = (uint32_t)c->fd;
	e->app = (uint16_t)c->app->id;
	e->rx = c->rx;
	e->tx = c->tx;
	mig_options_to(m);
	e->sk_flags = m->sk_flags;
	memcpy(e->dst_mac, m->path.dst_mac, 6);
	memcpy(e->src_mac, m->path.src_mac, 6);
	rings_start(c, m->seqs.copied_seq, m->seqs.write_seq);
	err = mig_cmd(m, TOE_CMD_CLAIM);
	fault_point(FAULT_OFFLOAD, 8);
	return err;
}

/* Steps 9 and 10. The sockops program has written MIN_TCP_T by the time connect(AF_UNSPEC) returns, and what the socket has
 * sent until then: whatever is asked here before is older, if another processor holds an acknowledgement. */
static int park(struct move *m)
{
	struct min_tcp *min = &m->cmd.conn.min;
	uint64_t tx_base = m->cmd.conn.tx_base;
	int err, err2;

	fault_point(FAULT_OFFLOAD, 9);
	err = ksock_park(m->c->sock, &m->c->flow, nic_ifindex(m->c->nic, m->path.vlan), &m->seqs);
	fault_point(FAULT_OFFLOAD, 10);
	err2 = mig_cmd(m, TOE_CMD_READ);
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
	m->why = min->snd_mss < KSOCK_LEAST_MSS ? TOE_WHY_MTU : TOE_WHY_WINDOW;
	m->snd_nxt = really_sent(m, (uint32_t)(m->cmd.conn.tx_base - tx_base));
	if (m->snd_nxt - min->snd_una > min->snd_nxt - min->snd_una)
		m->snd_nxt = min->snd_nxt;
	if (m->why == TOE_WHY_MTU || !ring_holds(m, min->rcv_adv - min->copied_seq))
		return -EAGAIN;		/* the delayed-ACK timer has run meanwhile, or the route has gone */
	m->why = TOE_WHY_ERROR;
	return 0;
}

/* The counts of bytes go with the connection. Of an entry in HOLD nobody else writes the clock. */
static void bytes_to_engine(struct move *m, uint64_t rx, uint64_t tx)
{
	struct hw_clock *k = &engine.clock[m->c->hw_connid];

	k->rx_bytes = rx;
	k->tx_bytes = tx;
	m->loaded = true;
}

/* Step 11. The rest of the entry: what the socket knew came with the parking. */
static int load(struct move *m)
{
	struct hw_conn *e = &m->cmd.conn;
	uint64_t rx = e->rx_base, tx = e->tx_base;
	struct conn *c = m->c;
	int err;

	e->why = TOE_WHY_NEW;
	e->qp = 0;
	e->unacked_segs = e->backoff = 0;	/* the rest begins with LOAD, cmd_start() */
	mig_stuck_restore(c, e);
	e->cc_alg = m->cc_alg;
	e->min.snd_nxt = m->snd_nxt;
	rings_start(c, e->min.copied_seq, e->min.write_seq);
	err = mig_cmd(m, TOE_CMD_LOAD);
	if (!err)
		bytes_to_engine(m, rx, tx);
	return err;
}

/* Has the kernel counted bytes as sent that were not, while its send queue was selected? */
static bool sent_untrue(struct move *m)
{
	struct ksock_progress now;

	return m->seqs.write_seq && !ksock_progress(m->c->sock, &now) &&
	       m->seqs.write_seq - now.notsent != really_sent(m, now.sent);
}

/* Before the socket was parked: it goes on as if nothing had been. */
static void back_out(struct move *m)
{
	ksock_resume(m->c->sock);
	if (m->sk_flags & TOE_SK_REUSEADDR)
		setsockopt(m->c->sock, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (!mig_hold(m, TOE_KERNEL))
		mig_finish(m, TOE_KERNEL);
	mig_publish(m, TOE_PATH_KERNEL);
}

/* After the socket was taken apart: put it together again from what is known. */
static int salvage(struct move *m)
{
	struct hw_conn *e = &m->cmd.conn;
	int err = mig_hold(m, TOE_KERNEL);

	if (err)
		return mig_lost(m, err);
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
	return mig_rebuild(m);
}

/* Steps 4 to 7. */
static int take(struct move *m)
{
	int err = mig_hold(m, TOE_HW);

	fault_point(FAULT_OFFLOAD, 4);
	if (!err)
		err = settle(m);
	fault_point(FAULT_OFFLOAD, 5);
	if (!err)
		err = freeze(m);
	fault_point(FAULT_OFFLOAD, 6);
	if (!err)
		err = copy_queues(m);
	fault_point(FAULT_OFFLOAD, 7);
	if (err == -ENOTCONN)	/* what was on its way until now was the connection's end: it is the kernel's */
		m->why = TOE_WHY_NOT_ESTAB;
	return err;
}

/* Until this move ends nobody begins to send, and nobody is at it. Else the SONODE is as it was. */
static int claim_sonode(struct move *m)
{
	int err = 0;

	m->why = TOE_WHY_NO_FD;
	if (mig_claim(m->sonode, TOE_PATH_KERNEL))
		return -EBUSY;
	m->why = TOE_WHY_FORK;	/* shared with another descriptor or process while all was made ready */
	if (__atomic_load_n(&m->sonode->stay, __ATOMIC_SEQ_CST))
		err = -EBUSY;
	/* A thread inside a send could put its bytes into a queue that is selected for reading. Readers are
	 * harmless: they get an error, and sleepers are thrown out when the socket is parked. */
	if (!err) {
		m->why = TOE_WHY_BUSY;
		err = mig_wait_users(m, USERS_WAIT_MS);
	}
	if (!err)	/* once more, now that nobody is in a call that sets an option */
		err = ksock_eligible(m->c->sock, &m->why);
	if (err)
		mig_publish(m, TOE_PATH_KERNEL);
	return err;
}

int mig_offload(struct conn *c, enum toe_why *why)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd] };
	int err = prepare(&m), err2;

	fault_point(FAULT_OFFLOAD, 2);
	if (!err)
		err = claim_sonode(&m);
	if (err)
		goto out;
	m.why = TOE_WHY_ERROR;
	fault_point(FAULT_OFFLOAD, 3);
	m.hold_start = loop_clock_ns();
	err = take(&m);
	if (err && !sent_untrue(&m)) {
		back_out(&m);
		goto out;
	}
	err2 = claim(&m);
	if (!err2)
		err2 = park(&m);
	err = err ? err : err2;
	if (!err)
		err = load(&m);
	fault_point(FAULT_OFFLOAD, 11);
	if (!err)
		err = mig_finish(&m, TOE_HW);
	fault_point(FAULT_OFFLOAD, 12);
	if (err) {		/* < 0: failure; 1: a frame for the kernel came meanwhile */
		err2 = salvage(&m);
		if (mig_stays(err2))	/* it cannot go back, and needs not */
			err2 = err = 0;
		err = err2 ? err2 : err > 0 ? -EAGAIN : err;
		goto out;
	}
	mig_count_hold(&m);
	if (engine.clock[c->hw_connid].ack_since || m.cmd.conn.min.last_ack != m.cmd.conn.min.rcv_nxt)
		conn_send_ack(c, &m.cmd.conn.min);
	c->una_seen = m.cmd.conn.min.snd_una;
	mig_enter_hw(&m);
	fault_point(FAULT_OFFLOAD, 13);
	conn_moves.offloads++;
out:
	*why = m.why;
	return err;
}

