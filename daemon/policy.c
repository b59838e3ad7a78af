/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "app.h"
#include "conf.h"
#include "conn.h"
#include "engine.h"
#include "log.h"
#include "loop.h"
#include "policy.h"

#define SCAN_US		50000
#define SCAN_SHARE	20		/* a scan may take 1/20 of the time */
#define RETRY_MIN_US	1000000		/* after a refusal or an upload; doubles */
#define RETRY_MAX_US	60000000
#define MAX_MOVES	50		/* in one scan */
#define BULK_SCANS	2		/* in a row: a burst is no bulk transfer */

struct amount {				/* counts that wrap */
	uint32_t bytes, segs;
};

struct attempt {
	uint64_t cookie;
	uint64_t next_us;
	uint64_t delay_us;
	uint64_t seen;			/* number of the scan that last saw it */
	/* what it had sent and received when it was last looked at, on the path that it was on */
	uint64_t at_us;
	struct amount sent, got;
	uint8_t state;			/* enum toe_state */
	uint8_t bulk;			/* scans in a row that found it in bulk, one way or both */
	UT_hash_handle hh;
};

struct scan {
	struct {
		struct toe_flow flow;
		uint64_t cookie;
		bool up;		/* upload: it is in bulk */
	} due[MAX_MOVES];
	unsigned int nr;
	uint64_t now;
};

static struct attempt *attempts;
static sd_event_source *timer;
static uint64_t scan_nr;

static struct attempt *attempt_get(uint64_t cookie)
{
	struct attempt *a;

	HASH_FIND(hh, attempts, &cookie, sizeof(cookie), a);
	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->cookie = cookie;
	a->delay_us = RETRY_MIN_US;
	HASH_ADD(hh, attempts, cookie, sizeof(a->cookie), a);
	return a;
}

/*
 * On the kernel path frames tell, which all pass the RX engine: what they reach to was received, what they acknowledge sent. Of
 * segments there is no count there.
 */
static void amounts(const struct hw_conn *conn, struct amount *sent, struct amount *got)
{
	const struct hw_clock *k = &engine.clock[conn->hw_connid];

	if (conn->state == TOE_HW) {
		*sent = (struct amount){ (uint32_t)k->tx_bytes, k->tx_segs };
		*got = (struct amount){ (uint32_t)k->rx_bytes, k->rx_segs };
	} else {
		*sent = (struct amount){ conn->seen_ack, 0 };
		*got = (struct amount){ conn->seen_end, 0 };
	}
}

/* Small messages in great number are no bulk. (Megabytes a second are bytes a microsecond.) */
static bool in_bulk(struct amount now, struct amount before, uint32_t mss, uint64_t us)
{
	uint32_t bytes = now.bytes - before.bytes, segs = now.segs - before.segs;

	return bytes >= conf.bulk_limit * us && bytes >= (uint64_t)segs * mss / 2;
}

static void observe(struct attempt *a, const struct hw_conn *conn, uint64_t now)
{
	struct amount sent, got;
	bool bulk = false;

	amounts(conn, &sent, &got);
	if (a->at_us && a->state == conn->state && conf.bulk_limit)
		bulk = in_bulk(sent, a->sent, conn->min.snd_mss, now - a->at_us) ||
		       in_bulk(got, a->got, conn->min.rcv_mss, now - a->at_us);
	if (!bulk)
		a->bulk = 0;
	else if (a->bulk < BULK_SCANS)
		a->bulk++;
	a->at_us = now;
	a->sent = sent;
	a->got = got;
	a->state = conn->state;
}

/* Not before the delay is over again. */
static void put_off(struct attempt *a, uint64_t now)
{
	a->next_us = now + a->delay_us;
	a->delay_us = a->delay_us < RETRY_MAX_US / 2 ? a->delay_us * 2 : RETRY_MAX_US;
}

static int visit(const struct toe_flow *flow, const struct hw_conn *conn, void *arg)
{
	struct scan *s = arg;
	struct attempt *a;
	struct app *app;
	bool up;
	int fd;

	if (app_find(conn->cookie, 0, &app, &fd))
		return 0;
	a = attempt_get(conn->cookie);
	if (!a)
		return 0;
	a->seen = scan_nr;
	if (conn->state == TOE_HOLD)
		return 0;
	observe(a, conn, s->now);
	up = conn->state == TOE_HW;
	if (!up && conn->vlan && conn->tagged != TOE_TAGS_RIGHT)	/* would be refused: not yet */
		return 0;
	if (s->nr == MAX_MOVES || (up ? a->bulk < BULK_SCANS : a->next_us > s->now))
		return 0;
	put_off(a, s->now);
	if (!up && a->bulk)
		return 0;
	s->due[s->nr].flow = *flow;
	s->due[s->nr].up = up;
	s->due[s->nr++].cookie = conn->cookie;
	return 0;
}

static void forget_closed(void)
{
	struct attempt *a, *tmp;

	HASH_ITER(hh, attempts, a, tmp) {
		if (a->seen == scan_nr)
			continue;
		HASH_DEL(attempts, a);
		free(a);
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct scan s = { .now = loop_clock_us() };
	enum toe_why why;
	uint64_t took;
	unsigned int i;

	(void)usec;
	(void)arg;
	scan_nr++;
	if (app_next(NULL))
		engine_walk(visit, &s);
	forget_closed();
	took = loop_clock_us() - s.now;
	for (i = 0; i < s.nr; i++) {
		if (s.due[i].up)
			conn_upload(s.due[i].cookie, TOE_WHY_BULK);
		else
			conn_offload_flow(s.due[i].cookie, &s.due[i].flow, &why);
	}
	sd_event_source_set_time(source, loop_clock_us() + SCAN_US + SCAN_SHARE * took);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int policy_init(void)
{
	int err;

	if (!conf.policy_auto)
		return 0;
	err = sd_event_add_time(loop, &timer, CLOCK_MONOTONIC, 0, 1000, on_timer, NULL);
	return err < 0 ? err : 0;
}

void policy_exit(void)
{
	timer = sd_event_source_disable_unref(timer);
	scan_nr++;
	forget_closed();
}
