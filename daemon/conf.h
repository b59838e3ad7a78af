/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings: the configuration file, then the command line over it. */
#ifndef CONF_H
#define CONF_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "toe/limits.h"

#ifndef CONF_FILE
#define CONF_FILE "/etc/toed.conf"
#endif
#define CONF_MAX_PORTS 256

struct conf_if {
	char name[IFNAMSIZ];
	bool generic;		/* generic XDP allowed */
};

struct conf {
	char bpffs[128];
	char rundir[80];	/* a socket's path must fit sun_path */
	struct conf_if ifs[TOE_MAX_NICS];
	unsigned int nr_ifs;
	uint16_t ports[CONF_MAX_PORTS];	/* none: every port */
	unsigned int nr_ports;
	unsigned int max_conns;
	unsigned int max_slabs;	/* of one application */
	bool give_back;		/* stop as soon as started: what another toed left goes back to the kernel */
	bool policy_auto;	/* offload what can be as soon as it is seen */
	unsigned int bulk_limit; /* MB/s of a connection that policy auto leaves to the kernel; 0: none */
};
extern struct conf conf;

/* All return 0 or -errno and log what is wrong with the value. */
int conf_read(const char *path, bool must_exist);
int conf_set(const char *name, const char *value);	/* a key of section [toed] */
int conf_add_interface(const char *name, bool generic);

#endif
