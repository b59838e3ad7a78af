/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moves that a toed before this one did not finish. Where it was shows in the entry: not in HOLD: only the SONODE's
 * word is left to be set; in HOLD, socket not parked: the socket goes on; parked: the entry and the rings are the
 * connection, and an upload makes a socket of them. What was held is lost, as on the wire.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "log.h"
#include "mig.h"
#include "mig_int.h"
#include "rings.h"

/* Cut off on its way down, the application has not seen the rings yet, and its toed may have died before it set their
 * positions right: what is unread and unsent is what the socket said at the parking. */
int mig_recover_parked(struct conn *c)
{
	struct move m = { .c = c };
	int err = mig_cmd(&m, TOE_CMD_READ);

	if (!err && m.cmd.conn.state == TOE_HOLD && (m.cmd.conn.next & TOE_NEXT_STATE) == TOE_HW)
		rings_start(c, m.cmd.conn.min.copied_seq, m.cmd.conn.min.write_seq);
	return err;
}

int mig_recover_whole(struct conn *c)
{
	struct move m = { .c = c, .sonode = &c->app->sonodes[c->fd], .why = TOE_WHY_ERROR };
	int err;

	ksock_resume(c->sock);
	/* repair mode may have taken it; whether it was set is not known any more, and does no harm */
	setsockopt(c->sock, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	err = mig_hold(&m, TOE_KERNEL);
	if (!err)
		err = mig_finish(&m, TOE_KERNEL);
	mig_publish(&m, TOE_PATH_KERNEL);
	log_info("connection with cookie %llu: a move that was cut off is undone", (unsigned long long)c->cookie);
	return err;
}

void mig_recover_sonodes(struct app *app)
{
	for (int fd = app_next_fd(app, 0); fd >= 0; fd = app_next_fd(app, fd + 1)) {
		struct toe_sonode *s = &app->sonodes[fd];
		uint32_t word = __atomic_load_n(&s->word, __ATOMIC_SEQ_CST);
		struct conn *c = conn_by_cookie(s->cookie);

		if (conn_is_cut_off(s->cookie))
			continue;
		if ((word & TOE_PATH_MASK) == TOE_PATH_MOVING && c && c->app == app)
			conn_ask_upload(c);	/* which sets it */
		else if ((word & TOE_PATH_MASK) == TOE_PATH_MOVING ||
			 ((word & TOE_PATH_MASK) == TOE_PATH_HW && !c)) {
			__atomic_store_n(&s->word, ((word & ~TOE_PATH_MASK) + TOE_EPOCH) | TOE_PATH_KERNEL,
					 __ATOMIC_SEQ_CST);
			app_wake(app, s);
		}
	}
	app_kick(app);		/* the toed before may have died between a word and its eventfd */
}

void mig_recover_orphan(const struct toe_flow *flow, const struct hw_conn *e)
{
	struct linger reset = { .l_onoff = 1 };
	struct ksock_image im = { .min = e->min, .rx_read = e->min.rcv_nxt,
				  .scope = nic_ifindex(e->nic, e->vlan) };
	struct nic *nic = nic_get(e->nic);
	int sock;

	im.min.snd_una = im.min.snd_nxt;
	bpf_map_delete_elem(engine.hw_conn_t, flow);
	if (!nic || nic_enter(nic))
		return;
	sock = ksock_open(flow);
	if (sock >= 0 && !ksock_unpark(sock, &im)) {
		detour_close(&im.detour);
		setsockopt(sock, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	if (sock >= 0)
		close(sock);
	nic_leave();
}
