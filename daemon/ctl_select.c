/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "conn.h"
#include "ctl.h"
#include "ctl_select.h"

/* "17": HW_CONNID. "c17": a cookie. */
static int parse_id(const char *text, struct ctl_select *out)
{
	bool cookie = *text == 'c';
	const char *digits = text + cookie;
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(digits, &end, 10);
	if (errno || end == digits || *end || *digits == '-' || !n)
		return -EINVAL;
	if (cookie)
		out->cookie = n;
	else if (n < TOE_MAX_CONNS)
		out->hw_connid = (uint32_t)n;
	else
		return -EINVAL;
	return 0;
}

static int parse_addr(const char *text, struct ctl_select *out)
{
	struct in_addr v4;

	out->has_addr = true;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		out->addr[0] = out->addr[1] = 0;
		out->addr[2] = htonl(0xffff);
		out->addr[3] = v4.s_addr;
		return 0;
	}
	return inet_pton(AF_INET6, text, out->addr) == 1 ? 0 : -EINVAL;
}

static struct json_object *parse_numbers(struct json_object *req, struct ctl_select *out)
{
	int64_t n;

	if (ctl_int(req, "port", &n)) {
		if (n < 1 || n > 65535)
			return ctl_error(EINVAL, "a port is a number from 1 to 65535");
		out->port = (uint16_t)n;
	}
	if (ctl_int(req, "pid", &n)) {
		if (n < 1)
			return ctl_error(EINVAL, "not a process number");
		out->pid = n;
	}
	return NULL;
}

struct json_object *ctl_select_parse(struct json_object *req, struct ctl_select *out)
{
	const char *text;
	struct json_object *error;

	memset(out, 0, sizeof(*out));
	out->all = ctl_bool(req, "all");
	if (ctl_str(req, "id", &text) && parse_id(text, out))
		return ctl_error(EINVAL, "'%.64s' is not a connection: N (HW_CONNID, below 65536) or cN (socket cookie)", text);
	if (ctl_str(req, "addr", &text) && parse_addr(text, out))
		return ctl_error(EINVAL, "'%.64s' is not an IPv4 or IPv6 address", text);
	error = parse_numbers(req, out);
	if (error)
		return error;
	if (!out->all && !out->hw_connid && !out->cookie && !out->has_addr && !out->port && !out->pid)
		return ctl_error(EINVAL, "which connections? id, addr, port, pid or all");
	return NULL;
}

static void find_owner(const struct hw_conn *conn, struct app **app, int *fd)
{
	struct conn *c = conn_by_cookie(conn->cookie);

	*app = NULL;
	*fd = -1;
	if (c) {
		*app = c->app;
		*fd = c->fd;
	} else {
		app_find(conn->cookie, 0, app, fd);
	}
}

bool ctl_select_match(const struct ctl_select *sel, const struct toe_flow *flow,
		      const struct hw_conn *conn, struct app **app, int *fd)
{
	if (sel->hw_connid && conn->hw_connid != sel->hw_connid)
		return false;
	if (sel->cookie && conn->cookie != sel->cookie)
		return false;
	if (sel->port && ntohs(flow->lport) != sel->port && ntohs(flow->rport) != sel->port)
		return false;
	if (sel->has_addr && memcmp(sel->addr, flow->laddr, 16) && memcmp(sel->addr, flow->raddr, 16))
		return false;
	find_owner(conn, app, fd);
	return !sel->pid || (*app && (*app)->pid == sel->pid);
}
