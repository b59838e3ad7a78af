/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
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
#include "nic.h"
#include "toe/cc.h"
#include "toe/place.h"
#include "sdiag.h"

static const char *const paths[] = {
	[TOE_KERNEL] = "kernel", [TOE_HOLD] = "moving", [TOE_HW] = "hardware",
};

static void endpoint(struct json_object *o, const char *key, const struct toe_flow *flow,
		     const __be32 addr[4], __be16 port)
{
	char ip[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];

	if (flow->family == AF_INET) {
		inet_ntop(AF_INET, &addr[3], ip, sizeof(ip));
		snprintf(text, sizeof(text), "%s:%u", ip, ntohs(port));
	} else {
		inet_ntop(AF_INET6, addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), "[%s]:%u", ip, ntohs(port));
	}
	ctl_add_str(o, key, text);
}

/* A threshold that was never set and a minimum of no samples are all ones. */
static void add_known(struct json_object *o, const char *key, uint32_t value)
{
	if (value == ~0U)
		json_object_object_add(o, key, NULL);
	else
		ctl_add_int(o, key, value);
}

static void add_owner(struct json_object *o, const struct hw_conn *conn, struct app *app, int fd)
{
	enum toe_why why = TOE_WHY_NO_LIB;

	ctl_add_int(o, "pid", app ? app->pid : 0);
	ctl_add_str(o, "comm", app ? app->comm : NULL);
	ctl_add_int(o, "fd", fd);
	if (conn->state != TOE_KERNEL) {
		ctl_add_str(o, "why", NULL);
		return;
	}
	if (app)
		why = app->sonodes[fd].why;
	ctl_add_str(o, "why", ctl_why(why));
}

/* Bytes are the connection's, of its stays on both paths; segments are the engines' in this stay. */
static void add_traffic(struct json_object *o, const struct hw_conn *conn)
{
	const struct hw_clock *k = &engine.clock[conn->hw_connid % TOE_MAX_CONNS];
	bool hw = conn->state != TOE_KERNEL && conn->hw_connid;

	json_object_object_add(o, "rx_bytes", NULL);
	json_object_object_add(o, "tx_bytes", NULL);
	if (hw) {
		ctl_add_int(o, "rx_bytes", (int64_t)k->rx_bytes);
		ctl_add_int(o, "tx_bytes", (int64_t)k->tx_bytes);
	}
	ctl_add_int(o, "rx_segs", hw ? k->rx_segs : 0);
	ctl_add_int(o, "tx_segs", hw ? k->tx_segs : 0);
	ctl_add_int(o, "rtx_segs", hw ? k->rtx_segs : 0);
	ctl_add_int(o, "rtt_us", conn->min.srtt_us);
	ctl_add_int(o, "cwnd", conn->min.cwnd);
}

/* As "5", or of two "5.7", the outer one first. */
static void add_vlan(struct json_object *o, uint32_t vlan)
{
	uint32_t outer = toe_vlan_outer(vlan) & TOE_VLAN_VID, inner = toe_vlan_inner(vlan) & TOE_VLAN_VID;
	char text[16];

	snprintf(text, sizeof(text), inner ? "%u.%u" : "%u", outer, inner);
	ctl_add_str(o, "vlan", vlan ? text : NULL);
}

static struct json_object *entry(const struct toe_flow *flow, const struct hw_conn *conn,
				 struct app *app, int fd)
{
	struct json_object *o = json_object_new_object();
	struct nic *nic = conn->state == TOE_KERNEL ? NULL : nic_get(conn->nic);
	char id[24];

	if (conn->hw_connid)
		snprintf(id, sizeof(id), "%u", conn->hw_connid);
	else
		snprintf(id, sizeof(id), "c%llu", (unsigned long long)conn->cookie);
	ctl_add_str(o, "id", id);
	ctl_add_int(o, "hw_connid", conn->hw_connid);
	ctl_add_int(o, "gen", conn->gen);
	ctl_add_int(o, "cookie", (int64_t)conn->cookie);
	ctl_add_str(o, "path", conn->state <= TOE_HW ? paths[conn->state] : "?");
	add_owner(o, conn, app, fd);
	endpoint(o, "local", flow, flow->laddr, flow->lport);
	endpoint(o, "remote", flow, flow->raddr, flow->rport);
	ctl_add_int(o, "net", flow->net);
	ctl_add_str(o, "interface", nic ? nic->name : NULL);
	add_vlan(o, nic ? conn->vlan : 0);
	add_traffic(o, conn);
	return o;
}

/* On the kernel path the kernel knows more than the shadow. */
static void add_kernel_traffic(struct json_object *o, const struct hw_conn *conn, const struct sdiag *diag)
{
	const struct sdiag_sock *k = sdiag_find(diag, conn->cookie);

	if (!k)
		return;
	ctl_add_int(o, "rx_bytes", (int64_t)(conn->rx_base + k->received));
	ctl_add_int(o, "tx_bytes", (int64_t)(conn->tx_base + k->sent));
	ctl_add_int(o, "rtt_us", k->rtt_us);
	ctl_add_int(o, "cwnd", k->cwnd);
}

static void mac(struct json_object *o, const char *key, const __u8 m[6])
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	ctl_add_str(o, key, text);
}

/* Sequence numbers, windows, options: MIN_TCP_T. */
static void add_min_tcp(struct json_object *o, const struct min_tcp *m)
{
	const struct {
		const char *key;
		uint32_t value;
	} fields[] = {
		{ "snd_una", m->snd_una }, { "snd_nxt", m->snd_nxt }, { "snd_wnd", m->snd_wnd },
		{ "snd_max_wnd", m->snd_max_wnd }, { "rcv_nxt", m->rcv_nxt }, { "rcv_adv", m->rcv_adv },
		{ "last_ack", m->last_ack }, { "ts_recent", m->ts_recent }, { "ts_off", m->ts_off },
		{ "rttvar_us", m->rttvar_us }, { "snd_mss", m->snd_mss }, { "rcv_mss", m->rcv_mss },
		{ "snd_wscale", m->snd_wscale }, { "rcv_wscale", m->rcv_wscale },
	};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		ctl_add_int(o, fields[i].key, fields[i].value);
	add_known(o, "min_rtt_us", m->min_rtt_us);
	add_known(o, "ssthresh", m->ssthresh);
	ctl_add_bool(o, "timestamps", m->opts & TOE_OPT_TS);
	ctl_add_bool(o, "sack", m->opts & TOE_OPT_SACK);
	ctl_add_bool(o, "window_scale", m->opts & TOE_OPT_WSCALE);
	ctl_add_bool(o, "ecn", m->opts & TOE_OPT_ECN);
}

static void add_ring(struct json_object *o, const char *key, struct toe_ring_ref ref)
{
	struct json_object *r = json_object_new_object();

	ctl_add_int(r, "slab", ref.slab);
	ctl_add_int(r, "unit", ref.unit);
	ctl_add_int(r, "bytes", ring_size(ref));
	json_object_object_add(o, key, r);
}

static void add_whole(struct json_object *o, const struct hw_conn *conn)
{
	static const char *const ca[] = { "open", "recovery", "loss", "cwr" };
	static const char *const cc[] = {
#define X(sym, name, init, acked, lost, rto) [TOE_CC_##sym] = name,
		CC_ALGS(X)
#undef X
	};
	struct conn *c = conn_by_id(conn->hw_connid);

	add_min_tcp(o, &conn->min);
	if (conn->state == TOE_KERNEL)
		return;
	mac(o, "dst_mac", conn->dst_mac);
	mac(o, "src_mac", conn->src_mac);
	add_ring(o, "rx_ring", conn->rx);
	add_ring(o, "tx_ring", conn->tx);
	ctl_add_int(o, "qp", conn->qp);
	ctl_add_int(o, "app", conn->app);
	ctl_add_int(o, "ttl", conn->ttl);
	ctl_add_int(o, "tos", conn->tos);
	ctl_add_int(o, "nr_held", conn->nr_held);
	ctl_add_int(o, "nr_ooo", conn->nr_ooo);
	ctl_add_int(o, "dupacks", conn->dupacks);
	ctl_add_str(o, "ca_state", conn->ca_state < 4 ? ca[conn->ca_state] : "?");
	ctl_add_str(o, "congestion_control", cc[conn->cc_alg < TOE_NR_CC ? conn->cc_alg : 0]);
	ctl_add_int(o, "backoff", conn->backoff);
	ctl_add_int(o, "last_hold_us", c ? (int64_t)(c->hold_ns / 1000) : 0);
}

/* ---- which ones, then a few each turn ---- */

#define PIECE	64		/* connections: half a millisecond */

struct name {
	struct toe_flow flow;
	uint64_t cookie;
};

struct list {
	struct ctl_select select;
	bool whole;		/* all there is, not a line */
	bool shadows;		/* some are on the kernel path */
	struct name *names;
	size_t nr, max;
	size_t at;		/* so many have been looked at */
	bool any, closed;	/* of the text so far */
	struct sdiag diag;
};

static void list_free(void *job)
{
	struct list *l = job;

	sdiag_free(&l->diag);
	free(l->names);
	free(l);
}

static int visit(const struct toe_flow *flow, const struct hw_conn *conn, void *arg)
{
	struct list *l = arg;
	struct name *more;
	struct app *app;
	int fd;

	if (!ctl_select_match(&l->select, flow, conn, &app, &fd))
		return 0;
	more = array_room(l->names, l->nr, &l->max, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->names = more;
	l->names[l->nr++] = (struct name){ .flow = *flow, .cookie = conn->cookie };
	l->shadows |= conn->state == TOE_KERNEL;
	return 0;
}

/* In the order the connections were made. */
static int by_cookie(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* NULL: it is gone, or has changed so that it is not meant any more. */
static struct json_object *look(const struct list *l, const struct name *name)
{
	struct json_object *o;
	struct hw_conn conn;
	struct app *app;
	int fd;

	if (bpf_map_lookup_elem(engine.hw_conn_t, &name->flow, &conn) || conn.cookie != name->cookie ||
	    !ctl_select_match(&l->select, &name->flow, &conn, &app, &fd))
		return NULL;
	o = entry(&name->flow, &conn, app, fd);
	if (conn.state == TOE_KERNEL)
		add_kernel_traffic(o, &conn, &l->diag);
	if (l->whole)
		add_whole(o, &conn);
	return o;
}

static void write_entry(FILE *f, struct list *l, const struct name *name)
{
	struct json_object *o = look(l, name);

	if (!o)
		return;
	fprintf(f, "%s%s", l->any ? "," : "", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	l->any = true;
	json_object_put(o);
}

static void write_piece(FILE *f, struct list *l)
{
	size_t end = l->nr - l->at < PIECE ? l->nr : l->at + PIECE;

	if (!l->at)
		fprintf(f, "{\"ok\":true,\"connections\":[");
	while (l->at < end)
		write_entry(f, l, &l->names[l->at++]);
	l->closed = l->at == l->nr;
	if (l->closed)
		fprintf(f, "]}\n");
}

static bool piece(void *job, char **text, size_t *len)
{
	struct list *l = job;
	FILE *f;

	*text = NULL;
	if (l->closed)
		return true;
	f = open_memstream(text, len);
	if (!f)
		return false;
	write_piece(f, l);
	if (!fclose(f))
		return true;
	free(*text);
	*text = NULL;
	return false;
}

static struct json_object *start(struct ctl_client *client, struct json_object *req, bool whole)
{
	struct list *l = calloc(1, sizeof(*l));
	struct json_object *error;
	int err;

	if (!l)
		return ctl_error(ENOMEM, "no memory");
	l->whole = whole;
	error = ctl_select_parse(req, &l->select);
	err = error ? 0 : engine_walk(visit, l);
	if (err)
		error = ctl_error(err, "cannot read hw_conn_t: %s", strerror(-err));
	else if (!error && whole && !l->nr)
		error = ctl_error(ENOENT, "no such connection");
	if (error) {
		list_free(l);
		return error;
	}
	if (l->shadows)		/* all sockets in one question */
		sdiag_read(&l->diag);
	if (l->nr)
		qsort(l->names, l->nr, sizeof(l->names[0]), by_cookie);
	ctl_stream(client, l, piece, list_free);
	return NULL;
}

struct json_object *ctl_list(struct ctl_client *client, struct json_object *req)
{
	json_object_object_add(req, "all", json_object_new_boolean(true));
	return start(client, req, false);
}

struct json_object *ctl_show(struct ctl_client *client, struct json_object *req)
{
	return start(client, req, true);
}
