/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUNDIR/ctl.sock: JSON objects over a stream, one request, one reply, for toectl.
 * Request: {"cmd": NAME, ...}. Reply: {"ok": true, ...} or {"ok": false, "errno": N, "error": TEXT}.
 */
#ifndef CTL_H
#define CTL_H

#include <json-c/json.h>
#include <stdbool.h>

struct ctl_client;

int ctl_init(void);
void ctl_exit(void);

/* A command returns its reply, or NULL: it will call ctl_reply() later. */
typedef struct json_object *ctl_cmd_fn(struct ctl_client *client, struct json_object *req);

struct ctl_cmd {
	const char *name;
	ctl_cmd_fn *run;
};
extern const struct ctl_cmd ctl_cmds[];		/* ctl_cmd.c; ends with a NULL name */

void ctl_reply(struct ctl_client *client, struct json_object *reply);	/* takes reply */
struct json_object *ctl_ok(void);
struct json_object *ctl_error(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The descriptor that came with the request, or -1. Stays the client's. */
int ctl_passed_fd(const struct ctl_client *client);

/* A command that goes on over several turns; cancel is called if the client goes away. */
void ctl_set_job(struct ctl_client *client, void *job, void (*cancel)(void *job));

/* A reply that would take toed's time from everybody else if it were made at once: as a job whose piece() is called once a turn. It sets
 * *text, which becomes ctl.c's to free, to NULL behind the last piece. False: no memory. end is called in any case. */
typedef bool ctl_piece_fn(void *job, char **text, size_t *len);
void ctl_stream(struct ctl_client *client, void *job, ctl_piece_fn *piece, void (*end)(void *job));

/* Members of a request: false if missing or of another type. */
bool ctl_str(struct json_object *req, const char *key, const char **out);
bool ctl_int(struct json_object *req, const char *key, int64_t *out);
bool ctl_bool(struct json_object *req, const char *key);

/* Shorter to write. */
void ctl_add_int(struct json_object *o, const char *key, int64_t value);
void ctl_add_str(struct json_object *o, const char *key, const char *value);
void ctl_add_bool(struct json_object *o, const char *key, bool value);
const char *ctl_why(unsigned int why);		/* enum toe_why, perhaps an application's, in words */

ctl_cmd_fn ctl_list, ctl_show;			/* ctl_list.c */
ctl_cmd_fn ctl_offload, ctl_upload;		/* ctl_move.c */

#endif
