/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include "conf.h"
#include "conn.h"
#include "engine.h"
#include "expire.h"
#include "log.h"
#include "loop.h"
#include "neigh.h"
#include "qp.h"
#include "slab.h"
#include "work.h"

#define TICK_US		(CONN_TICK_MS * 1000)

static sd_event_source *doorbell, *tick, *confirm, *after, *term, *intr;
static bool ticking;

static int set_timer(sd_event_source *source, uint64_t in_us)
{
	sd_event_source_set_time(source, loop_clock_us() + in_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Arm before looking: a request made after the look rings, one made before is seen. */
static void service(void)
{
	__atomic_store_n(&qp_daemon_wake()->armed, 1, __ATOMIC_SEQ_CST);
	conn_service();
}

static int on_doorbell(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	(void)arg;
	service();
	return 0;
}

static bool has_work(void)
{
	return conn_count() || expire_pending() || conn_recovering();
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)usec;
	(void)arg;
	service();
	ticking = has_work();
	if (!ticking)
		return 0;
	return set_timer(source, TICK_US);
}

/* Offloaded traffic does not keep the kernel's neighbour entries alive. */
static int on_confirm(sd_event_source *source, uint64_t usec, void *arg)
{
	struct conn *c;

	(void)usec;
	(void)arg;
	for (c = conn_next(NULL); c; c = conn_next(c))
		neigh_in_use(c->hop);
	if (conn_count())
		neigh_use_all();
	else
		neigh_forget(NULL);
	slab_tidy();
	return set_timer(source, NEIGH_USE_S * 1000000ULL);
}

/* After any other event: what it did may have given the timers something to do. */
static int on_after(sd_event_source *source, void *arg)
{
	(void)source;
	(void)arg;
	if (!ticking && has_work()) {
		ticking = true;
		set_timer(tick, TICK_US);
	}
	return 0;
}

static int ports_init(void)
{
	__u16 key, *prev = NULL;
	__u8 on = 1;
	unsigned int i;

	while (!bpf_map_get_next_key(engine.ports, prev, &key))
		bpf_map_delete_elem(engine.ports, &key);
	for (i = 0; i < conf.nr_ports; i++) {
		key = conf.ports[i];
		if (bpf_map_update_elem(engine.ports, &key, &on, BPF_ANY))
			return -errno;
	}
	key = 0;	/* the filter is on */
	if (conf.nr_ports && bpf_map_update_elem(engine.ports, &key, &on, BPF_ANY))
		return -errno;
	return 0;
}

static int timer_add(sd_event_source **source, sd_event_time_handler_t fn, uint64_t accuracy_us)
{
	int err = sd_event_add_time(loop, source, CLOCK_MONOTONIC, 0, accuracy_us, fn, NULL);

	return err < 0 ? err : sd_event_source_set_enabled(*source, SD_EVENT_OFF);
}

static int signals_init(void)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	err = sd_event_add_signal(loop, &term, SIGTERM, NULL, NULL);	/* NULL: leave the loop */
	if (err >= 0)
		err = sd_event_add_signal(loop, &intr, SIGINT, NULL, NULL);
	return err;
}

int work_init(void)
{
	int err = ports_init();

	if (!err)
		err = sd_event_add_io(loop, &doorbell, qp_daemon_fd(), EPOLLIN | EPOLLET, on_doorbell, NULL);
	if (err >= 0)
		err = timer_add(&tick, on_tick, 500);
	if (err >= 0)
		err = timer_add(&confirm, on_confirm, 1000000);
	if (err >= 0)
		err = sd_event_add_post(loop, &after, on_after, NULL);
	if (err >= 0)
		err = signals_init();
	if (err < 0)
		return err;
	sd_event_set_watchdog(loop, true);
	set_timer(confirm, NEIGH_USE_S * 1000000ULL);
	ticking = true;
	set_timer(tick, 0);
	return 0;
}

void work_exit(void)
{
	expire_scan(UINT64_MAX);
	doorbell = sd_event_source_disable_unref(doorbell);
	tick = sd_event_source_disable_unref(tick);
	confirm = sd_event_source_disable_unref(confirm);
	after = sd_event_source_disable_unref(after);
	term = sd_event_source_disable_unref(term);
	intr = sd_event_source_disable_unref(intr);
}
