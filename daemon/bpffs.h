/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places outside the process that the daemon needs: the BPF file system, the cgroup v2 root. */
#ifndef BPFFS_H
#define BPFFS_H

#include <stddef.h>

/* Mount the BPF file system if it is not mounted, make directory dir in it. */
int bpffs_open(const char *dir);
/* Remove everything in dir, and dir. */
void bpffs_remove(const char *dir);

/* Where the cgroup v2 hierarchy is mounted. 0 or -ENOENT. */
int cgroup2_root(char *out, size_t len);

#endif
