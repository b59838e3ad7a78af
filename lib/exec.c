/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that take this one's place or start beside it and get descriptors of ours. What they do with
 * them is not seen here: the connection is on the kernel path before, and stays there.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "daemon.h"
#include "exec.h"
#include "real.h"
#include "sonode.h"

extern char **environ;

static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int in_system;

static bool kept(const struct sonode *sn)
{
	int flags;

	if (!sonode_get(sn->fd))
		return false;
	flags = real.fcntl(sn->fd, F_GETFD);
	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void stay_shared(struct sonode *sn)
{
	if (kept(sn))
		sonode_stay(sn, STAY_SHARED);
}

static void stay_system(struct sonode *sn)
{
	if (kept(sn))
		sonode_stay(sn, STAY_SYSTEM);
}

static void go_system(struct sonode *sn)
{
	if (sonode_get(sn->fd) && sn->stay & STAY_SYSTEM)
		sonode_may_go(sn, STAY_SYSTEM);
}

static void pin(struct sonode *sn)
{
	int i;

	if (!kept(sn) || !daemon_ready())
		return;
	if (ld(&sn->inherit) != SN_INHERITED)
		sonode_stay(sn, STAY_EXEC);
	or_sc(&sn->stay, STAY_EXEC);
	/* What has no route now, and so stays in hardware, perhaps has one in a moment. Other failures leave it on the
	 * kernel path, though not pinned there: a process that has the socket, too, might have it moved. */
	for (i = 0; i < 100 && daemon_pin(sn->fd) == -EHOSTUNREACH; i++)
		usleep(1000);
}

static void unpin(struct sonode *sn)
{
	if (!(sn->stay & STAY_EXEC))
		return;
	if (ld(&sn->inherit) == SN_INHERITED)
		and_sc(&sn->stay, ~STAY_EXEC);
	else
		sonode_may_go(sn, STAY_EXEC);
}

/* A child of vfork() acts in its parent's memory: the parent's connections stay for good. */
void exec_begin(void)
{
	int err = errno;

	if (ld(&toe_proc->live))
		sonode_each(sonode_other_table() ? stay_shared : pin);
	errno = err;
}

void exec_failed(void)
{
	int err = errno;

	if (ld(&toe_proc->live) && !sonode_other_table()) {
		if (daemon_sock() >= 0)
			daemon_pin(-1);
		sonode_each(unpin);
	}
	errno = err;
}

#define EXEC(call) ({			\
	int rc_;			\
	exec_begin();			\
	rc_ = call;			\
	exec_failed();			\
	rc_;				\
})

int toe_execve(const char *path, char *const argv[], char *const envp[])
{
	return EXEC(real.execve(path, argv, envp));
}

int toe_execv(const char *path, char *const argv[])
{
	return EXEC(real.execv(path, argv));
}

int toe_execvp(const char *file, char *const argv[])
{
	return EXEC(real.execvp(file, argv));
}

int toe_execvpe(const char *file, char *const argv[], char *const envp[])
{
	return EXEC(real.execvpe(file, argv, envp));
}

int toe_fexecve(int fd, char *const argv[], char *const envp[])
{
	return EXEC(real.fexecve(fd, argv, envp));
}

int toe_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	return EXEC(real.execveat(dir, path, argv, envp, flags));
}

/* The arguments up to NULL, as a vector on the caller's stack; ap stands behind the NULL then. */
static int count_args(va_list *ap)
{
	va_list probe;
	int n = 1;

	va_copy(probe, *ap);
	while (va_arg(probe, char *))
		n++;
	va_end(probe);
	return n;
}

static void fill_args(char **argv, const char *first, va_list *ap)
{
	int i = 0;

	argv[i++] = (char *)(uintptr_t)first;
	while ((argv[i] = va_arg(*ap, char *)))
		i++;
}

int exec_list(enum exec_list kind, const char *file, const char *first, va_list *ap)
{
	char *argv[(first ? count_args(ap) : 0) + 1], **envp = environ;

	argv[0] = NULL;
	if (first)
		fill_args(argv, first, ap);
	if (kind == EXEC_LE)
		envp = va_arg(*ap, char **);
	return kind == EXEC_LP ? toe_execvp(file, argv) : toe_execve(file, argv, envp);
}

int toe_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
		    const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	sonode_each(stay_shared);
	return real.posix_spawn(pid, path, fa, attr, argv, envp);
}

int toe_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
		     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	sonode_each(stay_shared);
	return real.posix_spawnp(pid, file, fa, attr, argv, envp);
}

int toe_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *fa, int fd, int new)
{
	struct sonode *sn = sonode_get(fd);

	if (sn)
		sonode_stay(sn, STAY_SHARED);
	return real.posix_spawn_file_actions_adddup2(fa, fd, new);
}

FILE *toe_popen(const char *cmd, const char *mode)
{
	sonode_each(stay_shared);
	return real.popen(cmd, mode);
}

/* Over when it returns, but for what the command leaves in the background. */
int toe_system(const char *cmd)
{
	int rc, err;

	pthread_mutex_lock(&system_lock);
	in_system++;
	sonode_each(stay_system);
	pthread_mutex_unlock(&system_lock);
	rc = real.system(cmd);
	err = errno;
	pthread_mutex_lock(&system_lock);
	if (!--in_system)
		sonode_each(go_system);
	pthread_mutex_unlock(&system_lock);
	errno = err;
	return rc;
}

void exec_forked(void)
{
	pthread_mutex_init(&system_lock, NULL);
	in_system = 0;
}
