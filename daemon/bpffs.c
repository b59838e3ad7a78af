/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "bpffs.h"
#include "log.h"

#define BPFFS_MOUNT "/sys/fs/bpf"

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

static int bpffs_mount(void)
{
	if (on_bpffs(BPFFS_MOUNT))
		return 0;
	if (mount("bpf", BPFFS_MOUNT, "bpf", 0, "mode=0700")) {
		int err = -errno;

		log_err("cannot mount the BPF file system at " BPFFS_MOUNT ": %s", strerror(-err));
		return err;
	}
	return 0;
}

static void bpffs_parent(const char *dir, char *out, size_t len)
{
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", dir);
	snprintf(out, len, "%s", dirname(copy));
}

int bpffs_open(const char *dir)
{
	char parent[256];
	int err;

	if (!strncmp(dir, BPFFS_MOUNT "/", sizeof(BPFFS_MOUNT))) {
		err = bpffs_mount();
		if (err)
			return err;
	}
	bpffs_parent(dir, parent, sizeof(parent));
	if (!on_bpffs(parent)) {
		log_err("%s is not on a BPF file system; choose another --bpffs, or: mount -t bpf bpf %s",
			parent, parent);
		return -ENOTDIR;
	}
	if (mkdir(dir, 0700) && errno != EEXIST) {
		err = -errno;
		log_err("cannot make %s: %s", dir, strerror(-err));
		return err;
	}
	return 0;
}

void bpffs_remove(const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	if (rmdir(dir) && errno != ENOENT)
		log_warn("cannot remove %s: %m", dir);
}

int cgroup2_root(char *out, size_t len)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	int err = -ENOENT;

	while (f && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2"))
			continue;
		snprintf(out, len, "%s", m->mnt_dir);
		err = 0;
		break;
	}
	if (f)
		endmntent(f);
	return err;
}
