/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libtoe.so exports the calls of lib/calls.h, all of them and nothing else. */
#include "test.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "lib/calls.h"

static const char *const listed[] = {
#define X(type, name, params, args, ours) #name,
	TOE_CALLS(X)
#undef X
#define V(type, name, first) #name,
	TOE_CALLS_VA(V)
#undef V
};

static char lib[4096];

static void test_exports(void **state)
{
	char cmd[5000], addr[64], type, name[256];
	unsigned char seen[NR(listed)] = { 0 };
	size_t i;
	FILE *f;

	(void)state;
	if (access(lib, R_OK) || access("/usr/bin/nm", X_OK))
		skip();
	snprintf(cmd, sizeof(cmd), "nm -D --defined-only '%s'", lib);
	f = popen(cmd, "r");
	assert_non_null(f);
	while (fscanf(f, "%63s %c %255s", addr, &type, name) == 3) {
		for (i = 0; i < NR(listed); i++)
			if (!strcmp(listed[i], name))
				break;
		if (i == NR(listed))
			fail_msg("%s exports %s, which is not in lib/calls.h", lib, name);
		seen[i] = 1;
	}
	pclose(f);
	for (i = 0; i < NR(listed); i++)
		if (!seen[i])
			fail_msg("%s does not export %s", lib, listed[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_exports) };
	char self[4096];

	/* BUILD/tests/unit/lib_calls */
	snprintf(self, sizeof(self), "%s", argc > 1 ? argv[1] : argv[0]);
	snprintf(lib, sizeof(lib), "%.3900s/../../libtoe.so", dirname(self));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
