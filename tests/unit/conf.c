/* SPDX-License-Identifier: GPL-2.0-or-later */
/* toed.conf: what is accepted, what is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/conf.h"
#include "tests/unit/test.h"

static int read_text(const char *text)
{
	char path[] = "/tmp/toed-conf-XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");
	int rc;

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	rc = conf_read(path, true);
	unlink(path);
	return rc;
}

static void good(void **state)
{
	(void)state;
	assert_int_equal(read_text("; comment\n[toed]\ninterface = eth0 eth1\ngeneric = eth2\n"
				   "port = 6379, 11211\nport = 80\npolicy = auto\nmax-connections = 100\nbulk-limit = 7\n"
				   "bpffs = /sys/fs/bpf/x\nrundir = /run/x\n"), 0);
	assert_int_equal(conf.nr_ifs, 3);
	assert_string_equal(conf.ifs[1].name, "eth1");
	assert_false(conf.ifs[1].generic);
	assert_true(conf.ifs[2].generic);
	assert_int_equal(conf.nr_ports, 3);
	assert_int_equal(conf.ports[2], 80);
	assert_true(conf.policy_auto);
	assert_int_equal(conf.max_conns, 100);
	assert_int_equal(conf.bulk_limit, 7);
	assert_string_equal(conf.bpffs, "/sys/fs/bpf/x");
	assert_string_equal(conf.rundir, "/run/x");
}

static void bad(void **state)
{
	static const char *const texts[] = {
		"[other]\nport = 1\n", "[toed]\nfrobnicate = 1\n", "[toed]\nport = 0\n", "[toed]\nport = 65536\n",
		"[toed]\nport = -1\n", "[toed]\nport = 80x\n", "[toed]\npolicy = maybe\n", "[toed]\nbulk-limit = some\n",
		"[toed]\ninterface = a-name-much-too-long\n", "[toed]\nmax-connections = 0\n",
		"[toed]\nmax-connections = 99999999999999999999\n", "[toed]\nbpffs = relative/path\n",
		"[toed]\nrundir = /0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789\n",
		"[toed]\nwithout a sign\n", "[toed]\ninterface =\n", "[toed]\nport = , ,\n",
	};

	(void)state;
	for (size_t i = 0; i < NR(texts); i++)
		assert_true(read_text(texts[i]) < 0);
}

static void missing(void **state)
{
	(void)state;
	assert_int_equal(conf_read("/nosuch/toed.conf", false), 0);
	assert_true(conf_read("/nosuch/toed.conf", true) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good), cmocka_unit_test(bad), cmocka_unit_test(missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
