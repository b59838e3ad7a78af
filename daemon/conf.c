/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf.h"
#include "log.h"

struct conf conf = {
	.bpffs = TOE_BPFFS,
	.rundir = TOE_RUNDIR,
	.max_conns = TOE_MAX_CONNS - 1,
	.max_slabs = TOE_MAX_SLABS / 2,
	.bulk_limit = 50,
};

int conf_add_interface(const char *name, bool generic)
{
	struct conf_if *i;

	if (!*name || strlen(name) >= IFNAMSIZ) {
		log_err("'%s' is not the name of an interface", name);
		return -EINVAL;
	}
	if (conf.nr_ifs == TOE_MAX_NICS - 1) {
		log_err("more than %d interfaces", TOE_MAX_NICS - 1);
		return -E2BIG;
	}
	i = &conf.ifs[conf.nr_ifs++];
	strcpy(i->name, name);
	i->generic = generic;
	return 0;
}

static int conf_number(const char *value, unsigned long min, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || *out < min || *out > max) {
		log_err("'%s' is not a number from %lu to %lu", value, min, max);
		return -EINVAL;
	}
	return 0;
}

static int conf_path(const char *value, char *out, size_t len)
{
	if (*value != '/' || strlen(value) >= len) {
		log_err("'%s' is not an absolute path of less than %zu bytes", value, len);
		return -EINVAL;
	}
	strcpy(out, value);
	return 0;
}

static int set_interface(const char *value)
{
	return conf_add_interface(value, false);
}

static int set_generic(const char *value)
{
	return conf_add_interface(value, true);
}

static int set_port(const char *value)
{
	unsigned long port;

	if (conf_number(value, 1, 65535, &port))
		return -EINVAL;
	if (conf.nr_ports == CONF_MAX_PORTS) {
		log_err("more than %d ports", CONF_MAX_PORTS);
		return -E2BIG;
	}
	conf.ports[conf.nr_ports++] = port;
	return 0;
}

static int set_bpffs(const char *value)
{
	return conf_path(value, conf.bpffs, sizeof(conf.bpffs));
}

static int set_rundir(const char *value)
{
	return conf_path(value, conf.rundir, sizeof(conf.rundir));
}

static int set_max_conns(const char *value)
{
	unsigned long n;

	if (conf_number(value, 1, TOE_MAX_CONNS - 1, &n))
		return -EINVAL;
	conf.max_conns = n;
	return 0;
}

static int set_max_slabs(const char *value)
{
	unsigned long n;

	if (conf_number(value, 1, TOE_MAX_SLABS, &n))
		return -EINVAL;
	conf.max_slabs = n;
	return 0;
}

static int set_policy(const char *value)
{
	if (strcmp(value, "auto") && strcmp(value, "manual")) {
		log_err("policy is 'auto' or 'manual', not '%s'", value);
		return -EINVAL;
	}
	conf.policy_auto = !strcmp(value, "auto");
	return 0;
}

static int set_bulk_limit(const char *value)
{
	unsigned long n;

	if (conf_number(value, 0, 1000000, &n))
		return -EINVAL;
	conf.bulk_limit = n;
	return 0;
}

static const struct conf_key {
	const char *name;
	int (*set)(const char *value);
	bool list;		/* several values in one line, or several lines */
} keys[] = {
	{ "interface",	set_interface,	true },
	{ "generic",	set_generic,	true },
	{ "port",	set_port,	true },
	{ "bpffs",	set_bpffs,	false },
	{ "rundir",	set_rundir,	false },
	{ "max-connections", set_max_conns, false },
	{ "max-slabs",	set_max_slabs,	false },
	{ "policy",	set_policy,	false },
	{ "bulk-limit",	set_bulk_limit,	false },
};

static int conf_set_list(const struct conf_key *key, const char *value)
{
	char copy[1024], *save, *word;
	int err = 0;

	if (!value[strspn(value, " \t,")] || strlen(value) >= sizeof(copy)) {
		log_err("no value, or a too long one, for '%s'", key->name);
		return -EINVAL;
	}
	strcpy(copy, value);
	for (word = strtok_r(copy, " \t,", &save); word && !err; word = strtok_r(NULL, " \t,", &save))
		err = key->set(word);
	return err;
}

int conf_set(const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!strcmp(keys[i].name, name))
			return keys[i].list ? conf_set_list(&keys[i], value) : keys[i].set(value);
	}
	log_err("unknown setting '%s'", name);
	return -EINVAL;
}

static int conf_handler(void *arg, const char *section, const char *name, const char *value)
{
	if (*section && strcmp(section, "toed")) {
		log_err("%s: unknown section [%s]", (const char *)arg, section);
		return 0;
	}
	return conf_set(name, value) == 0;
}

int conf_read(const char *path, bool must_exist)
{
	int line;

	if (!must_exist && access(path, F_OK))
		return 0;
	line = ini_parse(path, conf_handler, (void *)path);
	if (line == -1) {
		log_err("cannot read %s: %m", path);
		return -EIO;
	}
	if (line) {
		log_err("%s: line %d is not a valid setting", path, line);
		return -EINVAL;
	}
	return 0;
}
