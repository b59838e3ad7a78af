/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "log.h"
#include "netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int home = -1;

int netns_init(void)
{
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return home < 0 ? -errno : 0;
}

int netns_home(void)
{
	return home;
}

int netns_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) ? -errno : 0;
}

void netns_leave(void)
{
	if (setns(home, CLONE_NEWNET))
		log_err("cannot return to the network namespace toed was started in: %m");
}

int netns_cookie(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);
	int err, sock;

	err = netns_enter(fd);
	if (err)
		return err;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		err = -errno;
	netns_leave();
	if (err)
		return err;
	if (getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len))
		err = -errno;
	close(sock);
	return err;
}

int netns_keep(int fd, const char *path)
{
	char self[32];
	int file;

	file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	close(file);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (mount(self, path, NULL, MS_BIND, NULL)) {
		int err = -errno;

		unlink(path);
		return err;
	}
	return 0;
}

void netns_unkeep(const char *path)
{
	umount2(path, MNT_DETACH);
	unlink(path);
}

static int netns_new(void)
{
	int err = 0, fd;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err = -errno;
	netns_leave();
	return err ? err : fd;
}

int netns_open_kept(const char *path, int *made)
{
	struct statfs fs;
	int err, fd;

	*made = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !fstatfs(fd, &fs) && fs.f_type == NSFS_MAGIC)
		return fd;
	if (fd >= 0)
		close(fd);
	unlink(path);
	fd = netns_new();
	if (fd < 0)
		return fd;
	err = netns_keep(fd, path);
	if (err) {
		close(fd);
		return err;
	}
	*made = 1;
	return fd;
}
