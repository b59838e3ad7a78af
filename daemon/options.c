/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "conf.h"
#include "log.h"
#include "options.h"

enum { OPT_BPFFS = 256, OPT_RUNDIR, OPT_GENERIC, OPT_POLICY, OPT_GIVE_BACK };

const char *argp_program_version = "toed " TOE_VERSION;

static const struct argp_option options[] = {
	{ "config",	'c', "FILE", 0, "Settings (default " CONF_FILE ")", 0 },
	{ "interface",	'i', "DEV", 0, "Attach to DEV; may be repeated", 0 },
	{ "generic",	OPT_GENERIC, "DEV", 0, "Attach to DEV in generic mode (driver without native XDP)", 0 },
	{ "port",	'p', "PORT", 0, "Only connections with this local or remote port; may be repeated", 0 },
	{ "policy",	OPT_POLICY, "WHAT", 0, "manual (default): move when toectl asks; auto: move what can be", 0 },
	{ "bpffs",	OPT_BPFFS, "DIR", 0, "Pins of maps and programs (default " TOE_BPFFS ")", 0 },
	{ "rundir",	OPT_RUNDIR, "DIR", 0, "Sockets and lock (default " TOE_RUNDIR ")", 0 },
	{ "give-back",	OPT_GIVE_BACK, NULL, 0,
	  "Take over from a toed that died, bring its connections back to the kernel, end", 0 },
	{ "foreground",	'f', NULL, 0, "Stay in the foreground (always so)", 0 },
	{ "verbose",	'v', NULL, 0, "Say more, also what libbpf says", 0 },
	{ 0 },
};

/* The file is read first, so two passes: the first finds the file, the second applies the rest. */
struct pass {
	const char *file;
	int first;
	int err;
};

static const char *conf_name(int key)
{
	switch (key) {
	case 'i': return "interface";
	case 'p': return "port";
	case OPT_GENERIC: return "generic";
	case OPT_POLICY: return "policy";
	case OPT_BPFFS: return "bpffs";
	case OPT_RUNDIR: return "rundir";
	default: return NULL;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pass *pass = state->input;
	const char *name = conf_name(key);

	if (name) {
		if (!pass->first && !pass->err)
			pass->err = conf_set(name, arg);
		return 0;
	}
	switch (key) {
	case 'c':
		pass->file = arg;
		return 0;
	case 'v':
		log_level = 7;
		return 0;
	case OPT_GIVE_BACK:
		conf.give_back = true;
		return 0;
	case 'f':
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int options_parse(int argc, char **argv)
{
	const struct argp argp = {
		.options = options, .parser = parse,
		.doc = "toed: moves TCP connections into XDP programs and back.",
	};
	struct pass pass = { .first = 1 };
	int err;

	argp_err_exit_status = 1;
	err = argp_parse(&argp, argc, argv, 0, NULL, &pass);
	if (!err)
		err = -conf_read(pass.file ? pass.file : CONF_FILE, pass.file != NULL);
	pass.first = 0;
	if (!err)
		err = argp_parse(&argp, argc, argv, 0, NULL, &pass);
	return err ? -err : pass.err;
}
