/* SPDX-License-Identifier: GPL-2.0-or-later */
/* toectl: what its parts share. */
#ifndef TOECTL_H
#define TOECTL_H

#include <json-c/json.h>
#include <stdbool.h>

enum {				/* exit codes */
	EXIT_OK = 0,
	EXIT_USAGE = 1,
	EXIT_REFUSED = 2,
	EXIT_NO_TOED = 3,
};

extern const char *rundir;
extern bool as_json;

/* One request, one reply; if there is none, an error in its form. fd: a descriptor to pass along, or -1.
 * status: the exit code. */
struct json_object *toed_ask(struct json_object *req, int fd, int *status);
bool toed_alive(void);

int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int cmd_help(int argc, char **argv);

/* toectl_run.c: does not return if the program could be started. */
int cmd_run(int argc, char **argv);

/* toectl_show.c */
void show_list(struct json_object *reply);
void show_entry(struct json_object *reply);
void show_stats(struct json_object *reply);
void show_features(struct json_object *reply);
void show_moves(struct json_object *reply, const char *verb);

/* Members; 0, "" or NULL if missing. */
int64_t get_int(struct json_object *o, const char *key);
const char *get_str(struct json_object *o, const char *key);
bool get_bool(struct json_object *o, const char *key);
struct json_object *get(struct json_object *o, const char *key);

#endif
