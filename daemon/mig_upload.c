/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Upload: from the engines to the kernel's socket. The steps are those of doc/architecture.md section 6. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "detour.h"
#include "fault.h"
#include "frame.h"
#include "hold.h"
#include "log.h"
#include "loop.h"
#include "mig.h"
#include "mig_int.h"
#include "restore.h"
#include "rings.h"

#define REBUILD_TRIES	3

static uint32_t stamped_ms(const struct move *m)
{
	const struct hw_conn *e = &m->cmd.conn;
	uint32_t heard = engine.clock[m->c->hw_connid].last_rx_ms;

	if (!m->loaded)
		return e->stamped_ms;
	return seq_after(heard, e->last_tx_ms) ? heard : e->last_tx_ms;
}

/* Unread, unacknowledged and unsent bytes, and the state to go on from. */
static void take_image(struct move *m, struct ksock_image *im, struct iovec iov[3][RINGS_IOV])
{
	struct conn *c = m->c;
	struct min_tcp *min = &m->cmd.conn.min;
	uint32_t filled;

	memset(im, 0, sizeof(*im));
	im->min = *min;
	im->sk_flags = m->cmd.conn.sk_flags;
	im->stamped_ms = stamped_ms(m);
	im->scope = nic_ifindex(c->nic, m->cmd.conn.vlan);
	im->unread = iov[0];
	im->unacked = iov[1];
	im->unsent = iov[2];
	im->rx_read = min->rcv_nxt;
	if (!c->has_rings)
		return;
	im->rx_read = rings_rx_read(c, min);
	im->seed_rtt = min->opts & TOE_OPT_TS && min->srtt_us;
	filled = rings_tx_filled(c, min->snd_una, min->snd_nxt);
	im->nr_unread = rings_iov(c->app, rings_rx(c), im->rx_read, min->rcv_nxt - im->rx_read, iov[0]);
	im->nr_unacked = rings_iov(c->app, rings_tx(c), min->snd_una, min->snd_nxt - min->snd_una, iov[1]);
	im->nr_unsent = rings_iov(c->app, rings_tx(c), min->snd_nxt, filled - min->snd_nxt, iov[2]);
}

static void replay_from_peer(struct move *m, uint32_t tsecr, uint32_t seq, const void *payload, size_t len)
{
	uint8_t frame[FRAME_HDR_MAX + FRAME_DATA_MAX];
	size_t n = frame_from_peer(&m->cmd.conn, tsecr, seq, payload, len, frame);
	size_t link = sizeof(struct ethhdr) + toe_vlan_len(m->cmd.conn.vlan);

	if (m->detour && detour_deliver(m->detour, frame + link, n - link))
		m->detour = NULL;
	if (!m->detour)
		engine_replay(m->c->nic, frame, n, true);
}

/* What was received out of order was reported to the peer (SACK), who sends it again only after a
 * timeout: hand it to the rebuilt socket as if it came once more. */
static void replay_ooo(struct move *m, struct toe_ival ival)
{
	uint32_t len = ival.end - ival.start, room = m->cmd.conn.min.rcv_adv - ival.start;
	struct iovec iov[RINGS_IOV];
	int nr;

	if (!m->c->has_rings || !len || len > room || len > ring_size(m->c->rx))
		return;
	nr = rings_iov(m->c->app, rings_rx(m->c), ival.start, len, iov);
	for (int i = 0; i < nr; i++) {
		const char *p = iov[i].iov_base;

		for (size_t left = iov[i].iov_len, n; left; left -= n, p += n, ival.start += n) {
			n = left < FRAME_DATA_MAX ? left : FRAME_DATA_MAX;
			replay_from_peer(m, 0, ival.start, p, n);
		}
	}
}

#define DUP_MOST	65536U

/* The peer has not been told yet that this came twice (RFC 2883): the socket tells it, and takes none of it. */
static void replay_dup(struct move *m, struct toe_ival ival)
{
	static const char any[FRAME_DATA_MAX];
	uint32_t rcv_nxt = m->cmd.conn.min.rcv_nxt, n;

	if (ival.end - ival.start > DUP_MOST || rcv_nxt - ival.end > DUP_MOST)
		return;
	for (; ival.start != ival.end; ival.start += n) {
		n = ival.end - ival.start < FRAME_DATA_MAX ? ival.end - ival.start : FRAME_DATA_MAX;
		replay_from_peer(m, 0, ival.start, any, n);
	}
}

/* What a rebuilt socket lacks and only frames can bring: ts_recent, a header prediction that knows the peer's
 * window (restore_window() in ksock.c), the round-trip time, and the out-of-order queue. And what it is still to tell. */
static void replay_state(struct move *m, const struct ksock_image *im)
{
	const struct hw_conn *e = &m->cmd.conn;
	uint32_t tsecr = im->seed_rtt ? ksock_tsval(m->c->sock) - e->min.srtt_us / 1000 : 0;

	replay_from_peer(m, tsecr, e->min.rcv_nxt, NULL, 0);
	/* the reader's window update may have been lost to this move, and with nothing to read the socket has no cause to say more */
	if (im->rx_read == e->min.rcv_nxt && e->min.rcv_adv - e->min.rcv_nxt < e->min.snd_mss)
		replay_from_peer(m, 0, e->min.last_ack - 1, NULL, 0);	/* as a keepalive, which is answered (RFC 9293 3.8.4) */
	if (e->rec & TOE_REC_DSACK)
		replay_dup(m, engine.rec[m->c->hw_connid].dsack);
	for (int i = 0; e->nr_ooo && i < TOE_NR_OOO; i++)
		replay_ooo(m, engine.rec[m->c->hw_connid].ooo[i]);
}

/* By the device, or as the socket was rebuilt; one that is bound to a device takes nothing that comes by lo. */
static void replay(struct move *m, struct ksock_image *im)
{
	struct nic *nic = nic_get(m->c->nic);

	if (im->detour.open && !ksock_bound_dev(m->c->sock)) {
		m->detour = &im->detour;
		replay_state(m, im);
		m->detour = NULL;
		detour_close(&im->detour);
		return;
	}
	detour_close(&im->detour);
	if (nic && !nic_enter(nic)) {
		replay_state(m, im);
		nic_leave();
	}
}

/* For the next offload's step 5. */
static void note_reach(struct conn *c, struct hw_conn *e)
{
	const struct toe_ival *ooo = engine.rec[c->hw_connid].ooo;

	e->seen_ack = e->min.snd_una;
	e->seen_end = e->min.rcv_nxt;
	e->tagged = e->vlan && engine.clock[c->hw_connid].rx_segs ? TOE_TAGS_RIGHT : 0;
	for (int i = 0; e->nr_ooo && i < TOE_NR_OOO; i++)
		if (ooo[i].start != ooo[i].end && ooo[i].end - e->min.rcv_nxt < 1U << 31 &&
		    ooo[i].end - e->min.rcv_nxt > e->seen_end - e->min.rcv_nxt)
			e->seen_end = ooo[i].end;
}

/* The application's socket is gone, and toed was away then: another one takes its place, so that the peer
 * gets what is still to be sent, and the end of the connection. */
static int replace_sock(struct move *m)
{
	struct nic *nic = nic_get(m->c->nic);
	int err = nic ? nic_enter(nic) : -ENODEV;

	if (err)
		return err;
	m->c->sock = fault_error(3) ? -EMFILE : ksock_open(&m->c->flow);
	nic_leave();
	m->own_sock = m->c->sock >= 0;
	return m->own_sock ? 0 : m->c->sock;
}

/* There is nothing to go on from: the application and, if the socket can still speak, the peer are told. */
static int lose(struct move *m, int err)
{
	if (m->c->sock >= 0)
		ksock_abort(m->c->sock);
	log_err("connection %u (cookie %llu) is lost", m->c->hw_connid, (unsigned long long)m->c->cookie);
	return mig_stays(err) ? -ECONNABORTED : err;
}

int mig_lost(struct move *m, int err)
{
	if (m->c->has_rings)
		rings_freeze(m->c);
	if (err != -ESTALE)	/* else it is another one's */
		bpf_map_delete_elem(engine.hw_conn_t, &m->c->flow);
	err = lose(m, err);
	mig_publish(m, TOE_PATH_KERNEL);
	return err;
}

/* The kernel does not take the connection at the moment, as there is no way to the peer or no memory: the engines keep
 * what they have. */
static int stay(struct move *m, const struct ksock_image *im, enum toe_why why)
{
	const struct min_tcp *min = &im->min;
	struct held *h;
	int err;

	if (m->own_sock) {
		close(m->c->sock);
		m->c->sock = -1;
	}
	rings_start(m->c, im->rx_read, rings_tx_filled(m->c, min->snd_una, min->snd_nxt));
	m->why = why;
	err = mig_hold(m, TOE_HW);
	while (!err && (err = mig_finish(m, TOE_HW)) == 1) {
		h = hold_pop(m->c);	/* only the kernel can handle it: as if lost on the wire */
		free(h);
		err = 0;
	}
	mig_count_hold(m);
	if (err == -EBUSY)	/* its word says MOVING until the next try */
		conn_ask_upload(m->c);
	else if (err)
		return mig_lost(m, err);
	else
		mig_enter_hw(m);
	if (!err && min->rcv_adv - min->rcv_nxt < min->snd_mss)
		conn_send_ack(m->c, min);	/* the reader's window update may have met HOLD */
	return 0;
}

bool mig_stays(int err)
{
	return err == -EHOSTUNREACH || err == -EAGAIN;
}

/* What is put into the rebuilt socket's receive queue, the kernel counts again. */
static void bytes_to_kernel(const struct move *m, struct hw_conn *e, uint32_t rx_read)
{
	const struct hw_clock *k = &engine.clock[m->c->hw_connid];
	const struct toe_ival *ooo = engine.rec[m->c->hw_connid].ooo;
	uint64_t rx = m->loaded ? k->rx_bytes : e->rx_base, tx = m->loaded ? k->tx_bytes : e->tx_base;

	rx -= e->min.rcv_nxt - rx_read;
	for (int i = 0; e->nr_ooo && i < TOE_NR_OOO; i++)
		rx -= ooo[i].end - ooo[i].start;
	e->rx_base = rx;
	e->tx_base = tx;
}

/* The socket lives; the entry becomes its shadow, and what waited gets to it. */
static int hand_over(struct move *m, struct ksock_image *im)
{
	struct hw_conn *e = &m->cmd.conn;
	struct conn *c = m->c;
	int err, err2;

	replay(m, im);
	err = restore_apply(c->sock);
	if (err && err != -EOPNOTSUPP)
		log_debug("connection %u: congestion state: %s", c->hw_connid, strerror(-err));
	mig_stuck_save(c, e);
	note_reach(c, e);
	bytes_to_kernel(m, e, im->rx_read);
	e->snd_base = im->min.snd_una - im->seed_rtt;	/* the rebuilt socket counts from here */
	e->rcv_base = im->rx_read;
	e->qp = 0;
	err2 = mig_cmd(m, TOE_CMD_LOAD);
	fault_point(FAULT_UPLOAD, 7);
	err = ksock_send_rest(c->sock, im);
	if (err) {	/* what the application sends next would follow a gap */
		log_err("connection %u: unsent bytes cannot be given back to the kernel: %s",
			c->hw_connid, strerror(-err));
		err = lose(m, err);
	}
	fault_point(FAULT_UPLOAD, 8);
	return err2 ? err2 : err;
}

/* -EHOSTUNREACH: no way to the peer. -EAGAIN: something else was refused, several times. */
static int unpark(struct move *m, struct ksock_image *im)
{
	struct conn *c = m->c;
	int err = c->sock < 0 ? replace_sock(m) : 0;

	if (err)	/* no descriptor, no memory, no interface: the next try may find them */
		return -EAGAIN;
	for (int tries = 0; tries < REBUILD_TRIES; tries++) {
		err = ksock_unpark(c->sock, im);
		if (!err || err == -EHOSTUNREACH)
			return err;
		ksock_give_up(c->sock);
	}
	log_err("connection %u (cookie %llu): cannot be given back to the kernel: %s",
		c->hw_connid, (unsigned long long)c->cookie, strerror(-err));
	return -EAGAIN;
}

int mig_rebuild(struct move *m)
{
	static struct iovec iov[3][RINGS_IOV];
	struct conn *c = m->c;
	struct ksock_image im;
	int err, err2;

	rings_freeze(c);
	fault_point(FAULT_UPLOAD, 3);
	take_image(m, &im, iov);
	err = unpark(m, &im);
	fault_point(FAULT_UPLOAD, 6);
	if (mig_stays(err) && m->loaded) {
		err2 = stay(m, &im, err == -EAGAIN ? TOE_WHY_ERROR : TOE_WHY_NO_ROUTE);
		return err2 ? err2 : err;
	}
	err = err ? lose(m, err) : hand_over(m, &im);	/* lost: an offload had not come so far */
	err2 = mig_finish(m, TOE_KERNEL);
	fault_point(FAULT_UPLOAD, 9);
	if (err2)
		log_err("connection %u: entry lost during upload: %s", c->hw_connid, strerror(-err2));
	mig_count_hold(m);
	mig_publish(m, TOE_PATH_KERNEL);
	fault_point(FAULT_UPLOAD, 10);
	return err ? err : err2;
}

/* Locked for too long: all is as it was, until the next try. Else the entry is gone, and the connection with it. */
static int no_entry(struct move *m, int err, bool claimed)
{
	if (!m->c->locked || err != -EBUSY)
		log_err("connection %u: no entry to upload from: %s", m->c->hw_connid, strerror(-err));
	m->c->locked = true;
	conn_moves.failed++;
	if (err != -EBUSY) {
		mig_lost(m, err);
		return -ECONNABORTED;
	}
	if (claimed)
		mig_publish(m, TOE_PATH_HW);
	conn_ask_upload(m->c);
	return -EAGAIN;
}

int mig_upload(struct conn *c, enum toe_why why)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd], .why = why, .loaded = true };
	bool claimed = !mig_claim(m.sonode, TOE_PATH_HW);
	int err;

	if (!claimed)
		log_debug("connection %u: SONODE was not on the hardware path", c->hw_connid);
	if (c->sock < 0)	/* toed may have had no descriptor left when it started */
		c->sock = conn_fetch(c->cookie);
	fault_point(FAULT_UPLOAD, 1);
	mig_let_leave(&m);
	m.hold_start = loop_clock_ns();
	err = mig_hold(&m, c->sock < 0 ? TOE_KERNEL | TOE_NEXT_CLOSED : TOE_KERNEL);
	fault_point(FAULT_UPLOAD, 2);
	if (!err)
		err = fault_error(1) ? -EBUSY : fault_error(2) ? -ENOENT : 0;
	if (err)
		return no_entry(&m, err, claimed);
	c->locked = false;
	err = mig_rebuild(&m);
	if (err)
		conn_moves.failed++;
	else
		conn_moves.uploads++;
	return err;
}

void mig_abort(struct conn *c)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd], .why = TOE_WHY_ERROR };

	mig_claim(m.sonode, TOE_PATH_HW);
	mig_hold(&m, TOE_KERNEL | TOE_NEXT_CLOSED);
	mig_lost(&m, 0);
}
