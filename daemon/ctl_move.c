/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that move connections, a slice of them a turn so that timers and others have theirs. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "array.h"
#include "conn.h"
#include "ctl.h"
#include "ctl_select.h"
#include "engine.h"
#include "loop.h"
#include "mig.h"

#define SLICE		50
#define RETRY_US	5000		/* offloads that found a bad moment */
#define RETRY_FOR_US	1000000
#define MAX_REASONS	1000	/* listed one by one; all are counted */

struct item {
	uint64_t cookie;
	struct toe_flow flow;
};

struct job {
	struct ctl_client *client;
	struct ctl_select select;
	sd_event_source *source;
	bool up;
	struct item *items;
	size_t nr_items, max_items, pos;
	size_t nr_again;		/* items[0 .. nr_again): tried, to be tried again */
	uint64_t give_up_us;
	unsigned int moved, refused, gone, foreign;
	struct json_object *reasons;
};

static void job_free(struct job *job)
{
	sd_event_source_disable_unref(job->source);
	json_object_put(job->reasons);
	free(job->items);
	free(job);
}

static void job_cancel(void *arg)
{
	job_free(arg);
}

static int job_add(struct job *job, const struct toe_flow *flow, uint64_t cookie)
{
	struct item *more = array_room(job->items, job->nr_items, &job->max_items, sizeof(*more));

	if (!more)
		return -ENOMEM;
	job->items = more;
	job->items[job->nr_items++] = (struct item){ .cookie = cookie, .flow = *flow };
	return 0;
}

/* Connections that nobody under toectl run owns are not meant unless named. */
static int select_one(const struct toe_flow *flow, const struct hw_conn *conn, void *arg)
{
	struct job *job = arg;
	struct app *app;
	int fd;

	if (job->up ? conn->state == TOE_KERNEL : conn->state != TOE_KERNEL)
		return 0;
	if (!ctl_select_match(&job->select, flow, conn, &app, &fd))
		return 0;
	if (!app && !job->select.cookie && !job->up) {
		job->foreign++;
		return 0;
	}
	return job_add(job, flow, conn->cookie);
}

static void refused(struct job *job, const struct item *it, int err, enum toe_why why)
{
	struct json_object *o;

	job->refused++;
	if (json_object_array_length(job->reasons) >= MAX_REASONS)
		return;
	o = json_object_new_object();
	ctl_add_int(o, "cookie", (int64_t)it->cookie);
	ctl_add_int(o, "errno", -err);
	ctl_add_str(o, "why", ctl_why(why));
	json_object_array_add(job->reasons, o);
}

/* Closed since it was selected: no refusal. */
static bool is_gone(const struct item *it)
{
	struct hw_conn e;

	return bpf_map_lookup_elem(engine.hw_conn_t, &it->flow, &e) || e.cookie != it->cookie;
}

static void move_one(struct job *job, size_t pos)
{
	const struct item *it = &job->items[pos];
	enum toe_why why = TOE_WHY_ERROR;
	int err;

	if (job->up) {
		err = conn_upload(it->cookie, TOE_WHY_ASKED);
		why = err == -EHOSTUNREACH ? TOE_WHY_NO_ROUTE : why;
	} else {
		err = conn_offload_flow(it->cookie, &it->flow, &why);
	}
	if (!err)
		job->moved++;
	else if (is_gone(it))
		job->gone++;
	else if (!job->up && conn_may_retry(why) && loop_clock_us() < job->give_up_us)
		job->items[job->nr_again++] = *it;
	else
		refused(job, it, err, why);
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = ctl_ok();

	ctl_add_int(o, "moved", job->moved);
	ctl_add_int(o, "refused", job->refused);
	ctl_add_int(o, "gone", job->gone);
	ctl_add_int(o, "foreign", job->foreign);
	json_object_object_add(o, "reasons", json_object_get(job->reasons));
	return o;
}

static int again_in(struct job *job, uint64_t us)
{
	sd_event_source_set_time(job->source, loop_clock_us() + us);
	return sd_event_source_set_enabled(job->source, SD_EVENT_ONESHOT);
}

static int slice(sd_event_source *source, uint64_t usec, void *arg)
{
	struct job *job = arg;
	size_t end = job->pos + SLICE;
	struct ctl_client *client = job->client;
	struct json_object *o;

	(void)source;
	(void)usec;
	while (job->pos < job->nr_items && job->pos < end)
		move_one(job, job->pos++);
	if (job->pos < job->nr_items)
		return again_in(job, 0);
	if (job->nr_again) {
		job->nr_items = job->nr_again;
		job->nr_again = job->pos = 0;
		return again_in(job, RETRY_US);
	}
	o = result(job);
	job_free(job);
	ctl_reply(client, o);
	return 0;
}

static struct json_object *start(struct job *job, struct json_object *req)
{
	struct json_object *error = ctl_select_parse(req, &job->select);
	int err;

	if (error)
		return error;
	err = engine_walk(select_one, job);
	if (err)
		return ctl_error(err, "cannot read hw_conn_t: %s", strerror(-err));
	if (!job->nr_items && (job->select.cookie || job->select.hw_connid))
		return ctl_error(ENOENT, "no such connection on the %s path",
				 job->up ? "hardware" : "kernel");
	job->give_up_us = loop_clock_us() + RETRY_FOR_US;
	err = sd_event_add_time(loop, &job->source, CLOCK_MONOTONIC, 0, 1, slice, job);
	return err < 0 ? ctl_error(err, "%s", strerror(-err)) : NULL;
}

static struct json_object *move(struct ctl_client *client, struct json_object *req, bool up)
{
	struct job *job = calloc(1, sizeof(*job));
	struct json_object *error;

	if (!job)
		return ctl_error(ENOMEM, "out of memory");
	job->client = client;
	job->up = up;
	job->reasons = json_object_new_array();
	error = start(job, req);
	if (error)
		job_free(job);
	else
		ctl_set_job(client, job, job_cancel);
	return error;
}

struct json_object *ctl_offload(struct ctl_client *client, struct json_object *req)
{
	return move(client, req, false);
}

struct json_object *ctl_upload(struct ctl_client *client, struct json_object *req)
{
	return move(client, req, true);
}
