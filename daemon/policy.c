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

struct attempt {
	uint64_t cookie;
	uint64_t next_us;
	uint64_t delay_us;
	uint64_t seen;			/* number of the scan that last saw it */
	UT_hash_handle hh;
};

struct scan {
	struct {
		struct toe_flow flow;
		uint64_t cookie;
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

static int visit(const struct toe_flow *flow, const struct hw_conn *conn, void *arg)
{
	struct scan *s = arg;
	struct attempt *a;
	struct app *app;
	int fd;

	if (app_find(conn->cookie, 0, &app, &fd))
		return 0;
	a = attempt_get(conn->cookie);
	if (!a)
		return 0;
	a->seen = scan_nr;
	if (conn->state != TOE_KERNEL || a->next_us > s->now || s->nr == MAX_MOVES)
		return 0;
	a->next_us = s->now + a->delay_us;
	a->delay_us = a->delay_us < RETRY_MAX_US / 2 ? a->delay_us * 2 : RETRY_MAX_US;
	s->due[s->nr].flow = *flow;
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
	for (i = 0; i < s.nr; i++)
		conn_offload_flow(s.due[i].cookie, &s.due[i].flow, &why);
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
