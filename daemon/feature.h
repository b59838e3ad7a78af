/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What toed needs of the kernel, each found out by doing it. */
#ifndef FEATURE_H
#define FEATURE_H

#include <stdbool.h>

struct feature {
	const char *name;
	const char *needed_by;
	const char *since;		/* Linux version */
	int (*probe)(void);		/* 0 or -errno */
	bool at_start;			/* toed does not start without; cheap */
};
extern const struct feature features[];
extern const unsigned int nr_features;

/* Probe those that toed cannot start without; names what is missing. 0 or -errno. */
int feature_check(void);

#endif
