/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel ends a connection whose peer is silent, but its timers begin anew with a rebuilt socket. What the
 * application set was waited for by toed already, so the socket gets short times: the first timeout or probe
 * without an answer ends it. A peer that answers in that last moment gets the application's times back.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "expire.h"
#include "ksock.h"
#include "loop.h"
#include "mig.h"

#define LAST_NS		10000000000ULL	/* ended by then, or never */

enum { USER_TIMEOUT, KEEPIDLE, KEEPINTVL, NR_OPTS };

static const struct {
	int opt, hasty;
} opts[NR_OPTS] = {
	[USER_TIMEOUT] = { TCP_USER_TIMEOUT, 1 },	/* ms */
	[KEEPIDLE] = { TCP_KEEPIDLE, 1 },		/* s */
	[KEEPINTVL] = { TCP_KEEPINTVL, 1 },
};

struct expiring {
	struct expiring *next;
	int sock;			/* a duplicate */
	bool idle;			/* nothing was on its way: any answer counts */
	int old[NR_OPTS];
	uint64_t since_ns, acked;
};

static struct expiring *expiring;

static void hasten(struct expiring *e)
{
	struct tcp_info ti;
	socklen_t len;

	e->since_ns = loop_clock_ns();
	if (!ksock_info(e->sock, &ti)) {
		e->idle = !ti.tcpi_unacked && !ti.tcpi_notsent_bytes;
		e->acked = ti.tcpi_bytes_acked;
	}
	for (int i = 0; i < NR_OPTS; i++) {
		len = sizeof(e->old[i]);
		getsockopt(e->sock, IPPROTO_TCP, opts[i].opt, &e->old[i], &len);
		setsockopt(e->sock, IPPROTO_TCP, opts[i].opt, &opts[i].hasty, sizeof(opts[i].hasty));
	}
	e->next = expiring;
	expiring = e;
}

void expire_conn(struct conn *c)
{
	struct expiring *e = calloc(1, sizeof(*e));
	int err;

	if (e)
		e->sock = c->sock < 0 ? -1 : fcntl(c->sock, F_DUPFD_CLOEXEC, 0);
	err = conn_upload(c->cookie, TOE_WHY_TIMEOUT);
	if (mig_stays(err)) {	/* no way to the peer: in hardware as before, and no new attempt before the next timeout */
		c->stall_at = c->rtx_at = loop_clock_ns();
		c->probes = 0;
		c->keep_nr = 0;
	}
	if (e && e->sock >= 0 && !err) {
		hasten(e);
		return;
	}
	if (e && e->sock >= 0)
		close(e->sock);
	free(e);
}

/* Whether the socket has ended, or lives again. */
static bool decided(const struct expiring *e, uint64_t now)
{
	uint64_t age = now - e->since_ns;
	struct tcp_info ti;

	if (age >= LAST_NS || ksock_info(e->sock, &ti) || ti.tcpi_state != TCP_STATE_ESTABLISHED)
		return true;
	/* a window probe that is answered with a closed window is no progress */
	return ti.tcpi_bytes_acked != e->acked || (e->idle && ti.tcpi_last_ack_recv * 1000000ULL + 100000000 < age);
}

bool expire_pending(void)
{
	return expiring;
}

void expire_scan(uint64_t now)
{
	struct expiring **p = &expiring, *e;

	while ((e = *p)) {
		if (!decided(e, now)) {
			p = &e->next;
			continue;
		}
		for (int i = 0; i < NR_OPTS; i++)
			setsockopt(e->sock, IPPROTO_TCP, opts[i].opt, &e->old[i], sizeof(e->old[i]));
		close(e->sock);
		*p = e->next;
		free(e);
	}
}
