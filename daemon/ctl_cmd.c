/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "app.h"
#include "conf.h"
#include "conn.h"
#include "ctl.h"
#include "engine.h"
#include "feature.h"
#include "netns.h"
#include "nic.h"

static struct json_object *do_ping(struct ctl_client *client, struct json_object *req)
{
	struct json_object *o = ctl_ok();

	(void)client;
	(void)req;
	ctl_add_str(o, "version", TOE_VERSION);
	return o;
}

/* ---- stats ---- */

static struct json_object *counters(void)
{
	static const char *const names[] = {
#define X(sym, text) #sym,
		TOE_STATS(X)
#undef X
	};
	struct json_object *o = json_object_new_object();
	int i;

	for (i = 0; i < TOE_NR_STATS; i++)
		ctl_add_int(o, names[i], (int64_t)engine_stat(i));
	return o;
}

static struct json_object *moves(void)
{
	struct json_object *o = json_object_new_object(), *hist = json_object_new_array();
	size_t i;

	ctl_add_int(o, "offloads", (int64_t)conn_moves.offloads);
	ctl_add_int(o, "uploads", (int64_t)conn_moves.uploads);
	ctl_add_int(o, "refused", (int64_t)conn_moves.refused);
	ctl_add_int(o, "failed", (int64_t)conn_moves.failed);
	for (i = 0; i < sizeof(conn_moves.hold_hist) / sizeof(conn_moves.hold_hist[0]); i++)
		json_object_array_add(hist, json_object_new_int64((int64_t)conn_moves.hold_hist[i]));
	json_object_object_add(o, "hold_hist_us_log2", hist);
	return o;
}

static struct json_object *do_stats(struct ctl_client *client, struct json_object *req)
{
	struct json_object *o = ctl_ok(), *nics = json_object_new_array();
	unsigned int nr_apps = 0;
	struct app *app;
	struct nic *nic;

	(void)client;
	(void)req;
	for (app = app_next(NULL); app; app = app_next(app))
		nr_apps++;
	for (nic = nic_next(NULL); nic; nic = nic_next(nic)) {
		struct json_object *n = json_object_new_object();

		ctl_add_int(n, "nic", nic->id);
		ctl_add_str(n, "name", nic->name);
		ctl_add_int(n, "ifindex", nic->ifindex);
		ctl_add_int(n, "net", nic->net);
		ctl_add_int(n, "mtu", nic->mtu);
		ctl_add_bool(n, "up", nic->up);
		ctl_add_bool(n, "generic", nic->generic);
		json_object_array_add(nics, n);
	}
	json_object_object_add(o, "counters", counters());
	json_object_object_add(o, "moves", moves());
	ctl_add_int(o, "hardware", conn_count());
	ctl_add_int(o, "applications", nr_apps);
	ctl_add_str(o, "policy", conf.policy_auto ? "auto" : "manual");
	json_object_object_add(o, "interfaces", nics);
	return o;
}

/* ---- features ---- */

static struct json_object *feature(const char *name, const char *needed_by, const char *since, int err)
{
	struct json_object *o = json_object_new_object();

	ctl_add_str(o, "name", name);
	ctl_add_str(o, "needed_by", needed_by);
	ctl_add_str(o, "since", since);
	ctl_add_bool(o, "ok", !err);
	if (err)
		ctl_add_str(o, "error", strerror(-err));
	return o;
}

static struct json_object *do_features(struct ctl_client *client, struct json_object *req)
{
	struct json_object *o = ctl_ok(), *list = json_object_new_array();
	struct nic *nic;
	unsigned int i;
	char name[64];

	(void)client;
	(void)req;
	for (i = 0; i < nr_features; i++)
		json_object_array_add(list, feature(features[i].name, features[i].needed_by,
						    features[i].since, features[i].probe()));
	for (nic = nic_next(NULL); nic; nic = nic_next(nic)) {
		snprintf(name, sizeof(name), "native XDP on %s", nic->name);
		json_object_array_add(list, feature(name, "RX engine", "driver",
						    nic->generic ? -EOPNOTSUPP : 0));
	}
	json_object_object_add(o, "features", list);
	return o;
}

/* ---- interfaces ---- */

static struct json_object *attach(struct ctl_client *client, struct json_object *req, bool on)
{
	int fd = ctl_passed_fd(client), err;
	const char *dev;
	char text[256] = "";

	if (!ctl_str(req, "dev", &dev))
		return ctl_error(EINVAL, "no interface given");
	if (fd < 0)
		fd = netns_home();
	if (on)
		err = nic_attach(fd, dev, ctl_bool(req, "generic"), text, sizeof(text));
	else
		err = nic_detach(fd, dev, text, sizeof(text));
	return err ? ctl_error(err, "%s", text[0] ? text : strerror(-err)) : ctl_ok();
}

static struct json_object *do_attach(struct ctl_client *client, struct json_object *req)
{
	return attach(client, req, true);
}

static struct json_object *do_detach(struct ctl_client *client, struct json_object *req)
{
	return attach(client, req, false);
}

const struct ctl_cmd ctl_cmds[] = {
	{ "ping",	do_ping },
	{ "list",	ctl_list },
	{ "show",	ctl_show },
	{ "offload",	ctl_offload },
	{ "upload",	ctl_upload },
	{ "stats",	do_stats },
	{ "features",	do_features },
	{ "attach",	do_attach },
	{ "detach",	do_detach },
	{ NULL,		NULL },
};
