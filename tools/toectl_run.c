/* SPDX-License-Identifier: GPL-2.0-or-later */
/* toectl run: start a program with libtoe.so preloaded. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "toectl.h"

/* In the build tree toectl and libtoe.so lie in one directory; an installed tree may have been moved. */
static bool find_lib(char *out, size_t len)
{
	const char *env = getenv("TOE_LIB");
	char exe[PATH_MAX];
	ssize_t n;

	if (env && *env) {
		snprintf(out, len, "%s", env);
		return !access(out, R_OK);
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		const char *dir;

		exe[n] = 0;
		dir = dirname(exe);
		snprintf(out, len, "%s/libtoe.so", dir);
		if (!access(out, R_OK))
			return true;
		snprintf(out, len, "%s/../lib/toed/libtoe.so", dir);
		if (!access(out, R_OK))
			return true;
	}
	snprintf(out, len, "%s/libtoe.so", TOE_LIBDIR);
	return !access(out, R_OK);
}

static int set_preload(const char *lib)
{
	const char *old = getenv("LD_PRELOAD");
	char *value;
	int ret;

	if (!old || !*old)
		return setenv("LD_PRELOAD", lib, 1);
	if (asprintf(&value, "%s:%s", lib, old) < 0)
		return -1;
	ret = setenv("LD_PRELOAD", value, 1);
	free(value);
	return ret;
}

static int prepare(bool require)
{
	char lib[PATH_MAX + 32];

	if (!toed_alive()) {
		fprintf(stderr, "toectl: toed is not running (%s)%s\n", rundir,
			require ? "" : "; the program runs on the kernel path");
		return require ? EXIT_NO_TOED : EXIT_OK;
	}
	if (!find_lib(lib, sizeof(lib))) {
		fprintf(stderr, "toectl: cannot read %s; set TOE_LIB\n", lib);
		return EXIT_NO_TOED;
	}
	/* the dynamic linker splits LD_PRELOAD at both */
	if (strpbrk(lib, ": ")) {
		fprintf(stderr, "toectl: '%s' cannot be preloaded: colon or space in its path\n", lib);
		return EXIT_NO_TOED;
	}
	if (set_preload(lib) || setenv("TOE_RUNDIR", rundir, 1)) {
		fprintf(stderr, "toectl: %s\n", strerror(errno));
		return EXIT_NO_TOED;
	}
	return EXIT_OK;
}

int cmd_run(int argc, char **argv)
{
	bool require = false;
	int i = 1, ret;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "--help"))
			return cmd_help(argc, argv);
		if (strcmp(argv[i], "--require"))
			return usage("run: unknown option '%s'", argv[i]);
		require = true;
	}
	if (i >= argc)
		return usage("run: which program?");
	ret = prepare(require);
	if (ret)
		return ret;
	execvp(argv[i], &argv[i]);
	fprintf(stderr, "toectl: %s: %s\n", argv[i], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
