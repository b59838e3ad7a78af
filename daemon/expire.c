/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel ends a connection whose peer is silent, but its timers begin anew with a rebuilt socket. What the
 * application set was waited for by toed already, so the socket gets short times: the first timeout or probe
 * without an answer ends it. A peer that answers in that last moment gets the application's times back, from the next
 * toed if this one is killed before: a record in RUNDIR names the socket by its cookie, and holds them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "conf.h"
#include "expire.h"
#include "fault.h"
#include "ksock.h"
#include "log.h"
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
	uint64_t cookie;
	bool idle;			/* nothing was on its way: any answer counts */
	int old[NR_OPTS];
	uint64_t since_ns, acked;
};

static struct expiring *expiring;

static void record_path(uint64_t cookie, char *out, size_t len)
{
	snprintf(out, len, "%s/expire-%llu", conf.rundir, (unsigned long long)cookie);
}

static void record(const struct expiring *e)
{
	char path[128];
	FILE *file;
	int n = -1;

	record_path(e->cookie, path, sizeof(path));
	file = fopen(path, "we");
	if (file)
		n = fprintf(file, "%d %d %d\n", e->old[USER_TIMEOUT], e->old[KEEPIDLE], e->old[KEEPINTVL]);
	if (!file || fclose(file) || n < 0)
		log_warn("%s: %m: the toed after this one will not know the socket's times", path);
}

static void put_back(int sock, const int old[NR_OPTS], uint64_t cookie)
{
	char path[128];

	for (int i = 0; i < NR_OPTS; i++)
		setsockopt(sock, IPPROTO_TCP, opts[i].opt, &old[i], sizeof(old[i]));
	record_path(cookie, path, sizeof(path));
	unlink(path);
}

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
	}
	record(e);
	for (int i = 0; i < NR_OPTS; i++)
		setsockopt(e->sock, IPPROTO_TCP, opts[i].opt, &opts[i].hasty, sizeof(opts[i].hasty));
	fault_point(FAULT_UPLOAD, 11);
	e->next = expiring;
	expiring = e;
}

void expire_conn(struct conn *c)
{
	struct expiring *e = calloc(1, sizeof(*e));
	int err;

	if (e) {
		e->cookie = c->cookie;
		e->sock = c->sock < 0 ? -1 : fcntl(c->sock, F_DUPFD_CLOEXEC, 0);
	}
	err = conn_upload(c->cookie, TOE_WHY_TIMEOUT);
	if (mig_stays(err)) {
		/* no way to the peer: in hardware as before, and no new attempt before the next timeout */
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

static void over(struct expiring *e)
{
	put_back(e->sock, e->old, e->cookie);
	close(e->sock);
	free(e);
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
		*p = e->next;
		over(e);
	}
}

/* What a toed that was killed left. The application may have ended, or closed the socket. */
static void adopt(uint64_t cookie)
{
	int old[NR_OPTS], sock = conn_fetch(cookie);
	char path[128];
	FILE *file;

	record_path(cookie, path, sizeof(path));
	file = fopen(path, "re");
	if (file && sock >= 0 && fscanf(file, "%d %d %d", &old[0], &old[1], &old[2]) == NR_OPTS)
		put_back(sock, old, cookie);
	if (file)
		fclose(file);
	if (sock >= 0)
		close(sock);
	unlink(path);
}

void expire_init(void)
{
	unsigned long long cookie;
	struct dirent *d;
	DIR *dir = opendir(conf.rundir);
	int end;

	while (dir && (d = readdir(dir)))
		if (sscanf(d->d_name, "expire-%llu%n", &cookie, &end) == 1 && !d->d_name[end])
			adopt(cookie);
	if (dir)
		closedir(dir);
}
