/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jsonget NAME: the number under key NAME, in any depth and case, of the JSON on standard input.
 * jsonget --count KEY VALUE: how many objects have KEY equal to VALUE.
 * jsonget --list KEY: every value of KEY, one a line.
 * Nothing and status 1 if there is no such key, no JSON or an error: a zero would look like an answer.
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *key, *value;
static int nr;

/* With each object, the outer ones first. True: enough. */
static bool walk(struct json_object *o, bool (*fn)(struct json_object *o))
{
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (walk(json_object_array_get_idx(o, i), fn))
				return true;
		return false;
	}
	if (!json_object_is_type(o, json_type_object))
		return false;
	if (fn(o))
		return true;
	json_object_object_foreach(o, name, v) {
		(void)name;
		if (walk(v, fn))
			return true;
	}
	return false;
}

static bool number(struct json_object *o)
{
	json_object_object_foreach(o, name, v) {
		struct json_object *in = v;

		if (strcasecmp(name, key))
			continue;
		if (json_object_is_type(v, json_type_object) && !json_object_object_get_ex(v, "value", &in))
			in = NULL;
		puts(in ? json_object_get_string(in) : "0");
		nr++;
		return true;
	}
	return false;
}

static bool matches(struct json_object *o)
{
	struct json_object *v;

	nr += json_object_object_get_ex(o, key, &v) && v && !strcmp(json_object_get_string(v), value);
	return false;
}

static bool list(struct json_object *o)
{
	struct json_object *v;

	if (json_object_object_get_ex(o, key, &v))
		puts(v ? json_object_get_string(v) : "null");
	return false;
}

static bool is_error(struct json_object *o)
{
	struct json_object *ok;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, "ok", &ok) && !json_object_get_boolean(ok);
}

static int answer(struct json_object *o, int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--count")) {
		key = argv[2];
		value = argv[3];
		walk(o, matches);
		printf("%d\n", nr);
	} else if (argc == 3 && !strcmp(argv[1], "--list")) {
		key = argv[2];
		walk(o, list);
	} else if (argc == 2) {
		key = argv[1];
		walk(o, number);
		return !nr;
	} else {
		fprintf(stderr, "usage: jsonget NAME | --count KEY VALUE | --list KEY\n");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct json_object *o = json_object_from_fd(STDIN_FILENO);
	int status = !o || is_error(o) ? 1 : answer(o, argc, argv);

	json_object_put(o);
	return status;
}
