/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From hardware to hardware: larger rings. */
#include <errno.h>
#include <string.h>
#include "fault.h"
#include "loop.h"
#include "mig.h"
#include "mig_int.h"
#include "rings.h"

static void copy_ring(struct app *app, struct rings_at from, struct rings_at to, uint32_t seq, uint32_t len)
{
	static struct iovec src[RINGS_IOV], dst[RINGS_IOV];
	int nr = rings_iov(app, from, seq, len, src), nr_dst = rings_iov(app, to, seq, len, dst), d = 0;

	for (int s = 0; s < nr; s++) {
		while (src[s].iov_len && d < nr_dst) {
			size_t n = src[s].iov_len < dst[d].iov_len ? src[s].iov_len : dst[d].iov_len;

			memcpy(dst[d].iov_base, src[s].iov_base, n);
			src[s].iov_base = (char *)src[s].iov_base + n;
			src[s].iov_len -= n;
			dst[d].iov_base = (char *)dst[d].iov_base + n;
			dst[d].iov_len -= n;
			d += !dst[d].iov_len;
		}
	}
}

/* In HOLD: the library commits nothing more to the old rings; what they hold goes over. They are the connection's until the
 * entry has the new ones. */
static int change_rings(struct move *m, struct toe_ring_ref rx, struct toe_ring_ref tx)
{
	struct conn *c = m->c;
	struct hw_conn *e = &m->cmd.conn;
	const struct toe_ival *ooo = engine.rec[c->hw_connid].ooo;
	uint32_t read, filled, gen, una = e->min.snd_una;
	struct rings_at old_rx, new_rx, old_tx, new_tx;
	int err = fault_error(6);

	rings_freeze(c);
	read = rings_rx_read(c, &e->min);
	filled = rings_tx_filled(c, una, e->min.snd_nxt);
	old_rx = rings_rx(c);
	old_tx = rings_tx(c);
	new_rx = rings_at_rx(c->app, rx, read);
	new_tx = rings_at_tx(c->app, rx, tx, una);
	copy_ring(c->app, old_rx, new_rx, read, e->min.rcv_nxt - read);
	for (int i = 0; e->nr_ooo && i < TOE_NR_OOO; i++)
		if (ooo[i].end - read <= ring_size(c->rx) && ooo[i].end - ooo[i].start <= ooo[i].end - read)
			copy_ring(c->app, old_rx, new_rx, ooo[i].start, ooo[i].end - ooo[i].start);
	copy_ring(c->app, old_tx, new_tx, una, filled - una);
	rings_prepare(c->app, rx, read, una, filled);
	gen = e->gen = conn_next_gen(c);
	e->rx = rx;
	e->tx = tx;
	e->min.copied_seq = read;
	e->min.write_seq = filled;
	mig_options_to(m);
	fault_point(FAULT_GROW, 3);
	if (!err)
		err = mig_cmd(m, TOE_CMD_RINGS);
	fault_point(FAULT_GROW, 4);
	if (!err)
		conn_swap_rings(c, rx, tx, gen);
	return err;
}

int mig_grow(struct conn *c, unsigned int rx_order, unsigned int tx_order)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd], .why = TOE_WHY_NEW };
	struct toe_ring_ref rx, tx;
	int err = app_ring_alloc(c->app, rx_order, &rx);

	if (err)
		return err;
	err = app_ring_alloc(c->app, tx_order, &tx);
	if (!err && mig_claim(m.sonode, TOE_PATH_HW)) {
		app_ring_free(c->app, tx);
		err = -EBUSY;
	}
	if (err) {
		app_ring_free(c->app, rx);
		return err;
	}
	ksock_options(c->sock, c->flow.family, &m.opts);
	fault_point(FAULT_GROW, 1);
	mig_let_leave(&m);
	m.hold_start = loop_clock_ns();
	err = mig_hold(&m, TOE_KERNEL);	/* until the new rings are in the entry an upload would be right */
	fault_point(FAULT_GROW, 2);
	if (!err)
		err = change_rings(&m, rx, tx);
	if (err) {
		app_ring_free(c->app, rx);
		app_ring_free(c->app, tx);
	}
	if (!err)
		err = mig_hold(&m, TOE_HW);
	fault_point(FAULT_GROW, 5);
	if (!err)
		err = mig_finish(&m, TOE_HW);
	fault_point(FAULT_GROW, 6);
	if (err) {	/* 1: a frame for the kernel was held meanwhile */
		conn_upload(c->cookie, TOE_WHY_ERROR);
		return err < 0 ? err : -EAGAIN;
	}
	mig_count_hold(&m);
	mig_enter_hw(&m);
	fault_point(FAULT_GROW, 7);
	conn_send_ack(c, &m.cmd.conn.min);	/* the window is larger now */
	return 0;
}
