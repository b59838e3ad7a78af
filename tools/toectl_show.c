/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies of toed as people read them. */
#include <stdio.h>
#include <string.h>
#include "toe/maps.h"
#include "toectl.h"

/* ---- aligned tables ---- */

#define MAX_COLS	16
#define CELL		64

struct table {
	size_t nr_cols, nr_rows;
	const char *const *heads;
	const char *right;	/* per column: 'r' numbers, 'l' words */
	char (*cells)[CELL];
	size_t width[MAX_COLS];
};

static bool table_init(struct table *t, const char *const *heads, const char *right, size_t rows)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	t->heads = heads;
	t->right = right;
	t->nr_cols = strlen(right);
	t->cells = calloc(rows * t->nr_cols + 1, CELL);
	for (i = 0; i < t->nr_cols; i++)
		t->width[i] = strlen(heads[i]);
	return t->cells;
}

static char *table_cell(struct table *t, size_t row, size_t col)
{
	return t->cells[row * t->nr_cols + col];
}

/* Cells of a row in order; numbers below zero show as "-". */
static void table_str(struct table *t, size_t *col, const char *value)
{
	char *cell = table_cell(t, t->nr_rows, *col);
	size_t len;

	snprintf(cell, CELL, "%s", *value ? value : "-");
	len = strlen(cell);
	if (len > t->width[*col])
		t->width[*col] = len;
	(*col)++;
}

static void table_int(struct table *t, size_t *col, int64_t value)
{
	char text[24] = "";

	if (value >= 0)
		snprintf(text, sizeof(text), "%lld", (long long)value);
	table_str(t, col, text);
}

static void print_cell(const struct table *t, size_t col, const char *text)
{
	int width = (int)t->width[col];
	bool last = col + 1 == t->nr_cols;

	if (t->right[col] == 'r')
		printf("%*s%s", width, text, last ? "\n" : "  ");
	else if (last)
		printf("%s\n", text);
	else
		printf("%-*s  ", width, text);
}

static void table_print(struct table *t)
{
	size_t row, col;

	for (col = 0; col < t->nr_cols; col++)
		print_cell(t, col, t->heads[col]);
	for (row = 0; row < t->nr_rows; row++)
		for (col = 0; col < t->nr_cols; col++)
			print_cell(t, col, table_cell(t, row, col));
	free(t->cells);
}

/* ---- connections ---- */

static void list_row(struct table *t, struct json_object *c)
{
	size_t col = 0;

	table_str(t, &col, get_str(c, "id"));
	table_int(t, &col, get_int(c, "pid") ? get_int(c, "pid") : -1);
	table_str(t, &col, get_str(c, "comm"));
	table_int(t, &col, get_int(c, "fd"));
	table_str(t, &col, get_str(c, "local"));
	table_str(t, &col, get_str(c, "remote"));
	table_str(t, &col, get_str(c, "path"));
	table_int(t, &col, get(c, "rx_bytes") ? get_int(c, "rx_bytes") : -1);
	table_int(t, &col, get(c, "tx_bytes") ? get_int(c, "tx_bytes") : -1);
	table_int(t, &col, get_int(c, "rtt_us"));
	table_int(t, &col, get_int(c, "cwnd"));
	table_str(t, &col, get_str(c, "why"));
	t->nr_rows++;
}

void show_list(struct json_object *reply)
{
	static const char *const heads[] = { "ID", "PID", "PROCESS", "FD", "LOCAL", "REMOTE", "PATH",
		"BYTES IN", "BYTES OUT", "RTT US", "CWND", "WHY" };
	struct json_object *list = get(reply, "connections");
	size_t i, n = json_object_array_length(list);
	struct table t;

	if (!table_init(&t, heads, "rrlrlllrrrrl", n))
		return;
	for (i = 0; i < n; i++)
		list_row(&t, json_object_array_get_idx(list, i));
	table_print(&t);
}

static void print_members(struct json_object *o, const char *indent)
{
	json_object_object_foreach(o, key, value) {
		if (json_object_is_type(value, json_type_object)) {
			printf("%s%s\n", indent, key);
			print_members(value, "    ");
		} else {
			printf("%s%-*s %s\n", indent, 16 - (int)strlen(indent), key,
			       value ? json_object_get_string(value) : "-");
		}
	}
}

void show_entry(struct json_object *reply)
{
	struct json_object *list = get(reply, "connections");
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		if (i)
			printf("\n");
		print_members(json_object_array_get_idx(list, i), "");
	}
}

void show_moves(struct json_object *reply, const char *verb)
{
	struct json_object *reasons = get(reply, "reasons");
	size_t i;

	printf("%lld %s, %lld refused", (long long)get_int(reply, "moved"), verb,
	       (long long)get_int(reply, "refused"));
	if (get_int(reply, "gone"))
		printf(", %lld closed meanwhile", (long long)get_int(reply, "gone"));
	if (get_int(reply, "foreign"))
		printf(", %lld of processes that do not run under toectl run",
		       (long long)get_int(reply, "foreign"));
	printf("\n");
	for (i = 0; i < json_object_array_length(reasons); i++) {
		struct json_object *r = json_object_array_get_idx(reasons, i);

		printf("  c%lld: %s (%s)\n", (long long)get_int(r, "cookie"), get_str(r, "why"),
		       strerror((int)get_int(r, "errno")));
	}
}

/* ---- figures ---- */

static void show_hold(struct json_object *hist)
{
	size_t i, n = json_object_array_length(hist);

	for (i = 0; i < n; i++) {
		int64_t count = json_object_get_int64(json_object_array_get_idx(hist, i));

		if (count)
			printf("%14lld  holds shorter than %llu us\n", (long long)count, 1ULL << i);
	}
}

static void show_interfaces(struct json_object *list)
{
	static const char *const heads[] = { "NIC", "INTERFACE", "IFINDEX", "NAMESPACE", "MTU", "MODE", "LINK" };
	size_t i, n = json_object_array_length(list);
	struct table t;

	if (!table_init(&t, heads, "rlrrrll", n))
		return;
	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		size_t col = 0;

		table_int(&t, &col, get_int(o, "nic"));
		table_str(&t, &col, get_str(o, "name"));
		table_int(&t, &col, get_int(o, "ifindex"));
		table_int(&t, &col, get_int(o, "net"));
		table_int(&t, &col, get_int(o, "mtu"));
		table_str(&t, &col, get_bool(o, "generic") ? "generic" : "native");
		table_str(&t, &col, get_bool(o, "up") ? "up" : "down");
		t.nr_rows++;
	}
	printf("\n");
	table_print(&t);
}

void show_stats(struct json_object *reply)
{
	struct json_object *counters = get(reply, "counters"), *moves = get(reply, "moves");

#define X(sym, text) printf("%14lld  %s\n", (long long)get_int(counters, #sym), text);
	TOE_STATS(X)
#undef X
	printf("\n%14lld  connections on the hardware path\n", (long long)get_int(reply, "hardware"));
	printf("%14lld  applications\n", (long long)get_int(reply, "applications"));
	printf("%14lld  offloads\n", (long long)get_int(moves, "offloads"));
	printf("%14lld  uploads\n", (long long)get_int(moves, "uploads"));
	printf("%14lld  refused\n", (long long)get_int(moves, "refused"));
	printf("%14lld  failed\n", (long long)get_int(moves, "failed"));
	show_hold(get(moves, "hold_hist_us_log2"));
	show_interfaces(get(reply, "interfaces"));
}

void show_features(struct json_object *reply)
{
	static const char *const heads[] = { "FEATURE", "HERE", "NEEDED FOR", "SINCE LINUX", "ERROR" };
	struct json_object *list = get(reply, "features");
	size_t i, n = json_object_array_length(list);
	struct table t;

	if (!table_init(&t, heads, "lllll", n))
		return;
	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		size_t col = 0;

		table_str(&t, &col, get_str(o, "name"));
		table_str(&t, &col, get_bool(o, "ok") ? "yes" : "no");
		table_str(&t, &col, get_str(o, "needed_by"));
		table_str(&t, &col, get_str(o, "since"));
		table_str(&t, &col, get_str(o, "error"));
		t.nr_rows++;
	}
	table_print(&t);
}
