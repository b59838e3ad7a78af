/* SPDX-License-Identifier: GPL-2.0-or-later */
/* toed's command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

/* Reads the configuration file, then lays the options over it. 0 or -errno. */
int options_parse(int argc, char **argv);

#endif
