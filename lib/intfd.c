/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "intfd.h"
#include "quiet.h"
#include "real.h"
#include "sonode.h"
#include "sys.h"

/* Calls that a signal handler may make come here, too. */
static pthread_mutex_t intfd_lock = PTHREAD_MUTEX_INITIALIZER;

static int intfd_base(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur < 64)
		return 3;
	if (rl.rlim_cur <= 1024)
		return rl.rlim_cur * 3 / 4;
	return 900;
}

static int intfd_dup(int fd)
{
	int new = real.fcntl(fd, F_DUPFD_CLOEXEC, (void *)(long)intfd_base());

	if (new < 0)
		new = real.fcntl(fd, F_DUPFD_CLOEXEC, (void *)3L);
	return new < 0 ? -errno : new;
}

/* Not by libc's call, a cancellation point: who calls holds locks. */
static void shut(int fd)
{
	sys3(SYS_close, fd, NULL, 0);
}

static uint32_t hash(const char *s, uint32_t h)
{
	while (*s)
		h = (h ^ (unsigned char)*s++) * 16777619;	/* FNV-1a */
	return h;
}

/* The first line of /proc/self/fdinfo/FD that names the one eventfd or TAP among all; nothing without /proc. */
static void name_line(int fd, char *line, size_t room)
{
	static const char *const keys[] = { "\neventfd-id:", "\niff:" };
	char path[48], text[1024], *p = NULL;
	ssize_t n = -1;
	unsigned int i;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = sys3(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (info >= 0) {
		n = sys3(SYS_read, info, text, sizeof(text) - 1);
		shut(info);
	}
	text[n < 0 ? 0 : n] = 0;
	for (i = 0; i < 2 && !p; i++)
		p = strstr(text, keys[i]);
	snprintf(line, room, "%.*s", p ? (int)strcspn(p + 1, "\n") : 0, p ? p + 1 : "");
}

/*
 * Numbers of ours may have been closed behind our back and mean something of the application's now. All anonymous
 * inodes are one and the same, and so are all TAPs: what kind it is and which says more. (One epoll instance is
 * like another: those that the application makes are told to intfd_given().)
 */
static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino ^ st.st_dev << 32 ^ st.st_rdev << 16;
}

static uint32_t name_of(int fd)
{
	char path[48], text[128];
	uint32_t name;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	name = hash(text, 2166136261);
	name_line(fd, text, sizeof(text));
	return hash(text, name);
}

static bool is_still(int fd, struct intfd_id id)
{
	uint32_t name;

	if (inode_of(fd) != id.inode)
		return false;
	name = id.name ? name_of(fd) : 0;
	return !name || name == id.name;
}

/* named: one like it has the same inode. */
static int intfd_place(int *where, int fd, bool named)
{
	struct sonode *sn;
	int new = intfd_dup(fd);

	if (new < 0)
		return new;
	sn = slot_make(new);
	if (!sn) {
		shut(new);
		return -ENOMEM;
	}
	sn->internal_id = (struct intfd_id){ inode_of(new), named ? name_of(new) : 0 };
	st_rel(&sn->internal, where);
	st(where, new);
	return 0;
}

int intfd_adopt(int *where, int fd)
{
	sigset_t old;
	int rc;

	quiet_lock(&intfd_lock, &old);
	rc = intfd_place(where, fd, true);
	quiet_unlock(&intfd_lock, &old);
	shut(fd);
	return rc;
}

int intfd_hold(int *where, int fd)
{
	sigset_t old;
	int rc;

	quiet_lock(&intfd_lock, &old);
	rc = intfd_place(where, fd, false);
	quiet_unlock(&intfd_lock, &old);
	return rc;
}

void intfd_close(int *where)
{
	struct sonode *sn;
	sigset_t old;

	quiet_lock(&intfd_lock, &old);
	sn = *where >= 0 ? slot_get(*where) : NULL;
	if (sn && sn->internal == where) {
		st(&sn->internal, NULL);
		if (is_still(*where, sn->internal_id))
			shut(*where);
	}
	st(where, -1);
	quiet_unlock(&intfd_lock, &old);
}

bool intfd_is(int fd)
{
	struct sonode *sn = slot_get(fd);

	if (!sn || !ld(&sn->internal) || !ld(&toe_proc->live))
		return false;
	if (is_still(fd, sn->internal_id))
		return true;
	st(&sn->internal, NULL);
	return false;
}

void intfd_given(int fd)
{
	struct sonode *sn = slot_get(fd);
	sigset_t old;

	if (!sn || !ld(&sn->internal))
		return;
	quiet_lock(&intfd_lock, &old);
	if (sn->internal)
		st(sn->internal, -1);
	st(&sn->internal, NULL);
	quiet_unlock(&intfd_lock, &old);
}

int intfd_evade(int fd)
{
	struct sonode *sn = slot_get(fd);
	sigset_t old;
	int rc = 0;

	quiet_lock(&intfd_lock, &old);
	if (sn && sn->internal) {
		rc = intfd_place(sn->internal, fd, sn->internal_id.name);
		if (!rc) {
			st(&sn->internal, NULL);
			shut(fd);
		}
	}
	quiet_unlock(&intfd_lock, &old);
	return rc;
}

int intfd_next(unsigned int lo, unsigned int hi)
{
	unsigned int fd, b;

	for (b = lo >> SLOT_SHIFT; b < TOE_SONODES / SLOT_BLOCK; b++) {
		if (!ld_acq(&slot_blocks[b]))
			continue;
		fd = b << SLOT_SHIFT;
		for (fd = fd < lo ? lo : fd; fd >> SLOT_SHIFT == b; fd++) {
			if (fd > hi)
				return -1;
			if (intfd_is(fd))
				return fd;
		}
	}
	return -1;
}

static void intfd_drop(struct sonode *sn)
{
	if (!sn->internal)
		return;
	*sn->internal = -1;
	sn->internal = NULL;
	shut(sn->fd);
}

void intfd_forked(void)
{
	pthread_mutex_init(&intfd_lock, NULL);
	sonode_each(intfd_drop);
}
