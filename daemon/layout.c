/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands in pinned maps can be read by the build that made them and by others of the same layout. A toed keeps its
 * own program beside its sockets; one of another layout, which finds the maps of a toed that died, has that program take
 * the connections back to the kernel before it makes its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "conf.h"
#include "layout.h"
#include "log.h"

/* Raised with every change of what is pinned or of how it is understood. */
#ifndef TOE_LAYOUT
#define TOE_LAYOUT 10
#endif

#define GIVE_BACK_MS	60000	/* systemd waits 90 s for a start */

static void program_path(char *out, size_t len, unsigned int layout)
{
	snprintf(out, len, "%s/toed-layout-%u", conf.rundir, layout);
}

static int copy(int from, int to)
{
	off_t pos = 0, size = lseek(from, 0, SEEK_END);

	if (size <= 0)
		return size ? -errno : -ENOEXEC;
	while (pos < size)
		if (sendfile(to, from, &pos, (size_t)(size - pos)) <= 0)
			return -EIO;
	return 0;
}

/* Complete under its name, or not there. */
void layout_keep(void)
{
	char path[128], part[136];
	int from, to, err;

	program_path(path, sizeof(path), TOE_LAYOUT);
	snprintf(part, sizeof(part), "%s.part", path);
	from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	err = from < 0 || to < 0 ? -errno : copy(from, to);
	if (!err && rename(part, path))
		err = -errno;
	if (err)
		log_warn("%s: %s: a toed of another version could not take over from this one", path, strerror(-err));
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
}

void layout_forget(void)
{
	char path[128];

	program_path(path, sizeof(path), TOE_LAYOUT);
	unlink(path);
}

unsigned int layout_other(void)
{
	DIR *d = opendir(conf.rundir);
	unsigned int layout, found = 0;
	struct dirent *e;
	int end;

	while (d && !found && (e = readdir(d)))
		if (sscanf(e->d_name, "toed-layout-%u%n", &layout, &end) == 1 && !e->d_name[end] &&
		    layout != TOE_LAYOUT)
			found = layout;
	if (d)
		closedir(d);
	return found;
}

static bool ends_in_time(pid_t pid)
{
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int n = 1;

	if (end.fd >= 0) {
		n = poll(&end, 1, GIVE_BACK_MS);
		close(end.fd);
	}
	return n;	/* an error: waited for without limit */
}

/* Run from memory: RUNDIR may be mounted noexec. It is nobody's main process to systemd. */
static int run(int program)
{
	char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	char path[32], *argv[] = { "toed", "--give-back", "--config", "/dev/null", "--rundir", conf.rundir,
				   "--bpffs", conf.bpffs, NULL };
	pid_t pid;
	int err, status;
	bool late;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", program);
	err = posix_spawn(&pid, path, NULL, NULL, argv, env);
	if (err)
		return -err;
	late = !ends_in_time(pid);
	if (late)
		kill(pid, SIGKILL);	/* what it has not given back stays as it is, for the next try */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return late ? -ETIMEDOUT : status ? -EIO : 0;
}

static int in_memory(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), mem = fd < 0 ? -1 : memfd_create("toed", 0);
	int err = mem < 0 ? -errno : copy(fd, mem);

	if (fd >= 0)
		close(fd);
	if (err && mem >= 0)
		close(mem);
	return err ? err : mem;
}

int layout_settle(unsigned int layout)
{
	char path[128];
	int fd, err;

	program_path(path, sizeof(path), layout);
	log_info("connections of a toed of layout %u go back to the kernel before this one, of layout %u, starts",
		 layout, TOE_LAYOUT);
	fd = in_memory(path);
	err = fd < 0 ? fd : run(fd);
	if (fd >= 0)
		close(fd);
	if (err)
		log_err("%s, which knows the maps under %s, cannot give its connections back: %s", path, conf.bpffs,
			strerror(-err));
	else
		unlink(path);
	return err;
}
