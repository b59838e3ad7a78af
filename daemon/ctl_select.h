/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which connections a request means. */
#ifndef CTL_SELECT_H
#define CTL_SELECT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include "app.h"
#include "toe/hw_conn.h"

struct ctl_select {
	bool all;
	uint32_t hw_connid;	/* 0: any */
	uint64_t cookie;	/* 0: any */
	uint16_t port;		/* host order; local or remote; 0: any */
	int64_t pid;		/* 0: any */
	bool has_addr;
	__be32 addr[4];		/* local or remote */
};

/* From members id, addr, port, pid, all of a request. NULL, or the error to reply. */
struct json_object *ctl_select_parse(struct json_object *req, struct ctl_select *out);

/* The process is looked up only if the rest fits. *app is NULL if nobody claims the connection. */
bool ctl_select_match(const struct ctl_select *sel, const struct toe_flow *flow,
		      const struct hw_conn *conn, struct app **app, int *fd);

#endif
