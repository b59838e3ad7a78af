/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets that a process took along when it became another program, which may have no library: they stay
 * on the kernel path, whoever else claims them, while that process lives.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "app_priv.h"
#include "array.h"
#include "conf.h"
#include "log.h"
#include "loop.h"

#define MAX_HOLDERS	4096
#define MAX_PINS	TOE_MAX_CONNS	/* of one process */

struct holder {
	LIST_ENTRY(holder) list;
	pid_t pid;
	int pidfd;
	sd_event_source *source;
	uint64_t *cookies;
	size_t nr, max;
};

static LIST_HEAD(, holder) holders = LIST_HEAD_INITIALIZER(holders);
static unsigned int nr_holders;

static void holder_free(struct holder *h)
{
	LIST_REMOVE(h, list);
	nr_holders--;
	sd_event_source_disable_unref(h->source);
	close(h->pidfd);
	free(h->cookies);
	free(h);
}

/* ---- the record of each in RUNDIR: when the process started, then a cookie a line ---- */

static void record_path(pid_t pid, char *out, size_t len)
{
	snprintf(out, len, "%s/pin-%d", conf.rundir, (int)pid);
}

static void forget(const struct holder *h)
{
	char path[128];

	record_path(h->pid, path, sizeof(path));
	unlink(path);
}

static void record(pid_t pid, unsigned long long number)
{
	char path[128], text[32];
	int fd, len = snprintf(text, sizeof(text), "%llu\n", number);

	record_path(pid, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		log_warn("%s: %m: the toed after this one will not know the socket", path);
	app_close_fd(fd);
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	forget(arg);
	holder_free(arg);
	return 0;
}

static struct holder *holder_find(pid_t pid)
{
	struct holder *h;

	LIST_FOREACH(h, &holders, list)
		if (h->pid == pid)
			break;
	return h;
}

static struct holder *holder_new(pid_t pid, int pidfd)
{
	struct holder *h = nr_holders < MAX_HOLDERS ? calloc(1, sizeof(*h)) : NULL;

	if (!h)
		return NULL;
	h->pid = pid;
	h->pidfd = dup(pidfd);
	if (h->pidfd < 0 || sd_event_add_io(loop, &h->source, h->pidfd, EPOLLIN, on_exit_of, h) < 0) {
		app_close_fd(h->pidfd);
		free(h);
		return NULL;
	}
	LIST_INSERT_HEAD(&holders, h, list);
	nr_holders++;
	return h;
}

static bool has_cookie(const struct holder *h, uint64_t cookie)
{
	size_t i;

	for (i = 0; i < h->nr; i++)
		if (h->cookies[i] == cookie)
			return true;
	return false;
}

/* 0: it was there. 1: it is new. */
static int add_cookie(struct holder *h, uint64_t cookie)
{
	uint64_t *more;

	if (has_cookie(h, cookie))	/* asked for again */
		return 0;
	more = h->nr < MAX_PINS ? array_room(h->cookies, h->nr, &h->max, sizeof(*more)) : NULL;

	if (!more)
		return -ENOMEM;
	h->cookies = more;
	h->cookies[h->nr++] = cookie;
	return 1;
}

static uint64_t cookie_of(const struct app *app, int fd)
{
	int sock = (int)syscall(SYS_pidfd_getfd, app->pidfd, fd, 0);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	if (sock < 0)
		return 0;
	if (getsockopt(sock, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		cookie = 0;
	close(sock);
	return cookie;
}

static struct holder *holder_recorded(const struct app *app)
{
	struct holder *h = holder_new(app->pid, app->pidfd);
	unsigned long long start;

	if (h && !app_start_time(app->pid, &start))
		record(app->pid, start);
	return h;
}

int app_pin(struct app *app, int fd)
{
	struct holder *h = holder_find(app->pid);
	uint64_t cookie;
	int n;

	if (fd < 0) {
		if (h) {
			forget(h);
			holder_free(h);
		}
		return 0;
	}
	cookie = cookie_of(app, fd);
	if (!cookie)
		return -ENOTSOCK;
	if (!h)
		h = holder_recorded(app);
	n = h ? add_cookie(h, cookie) : -ENOMEM;
	if (n > 0)
		record(app->pid, cookie);
	return n < 0 ? n : 0;
}

/* A record whose process has ended goes. */
static void adopt(pid_t pid)
{
	unsigned long long start, now, cookie;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct holder *h = NULL;
	char path[128];
	FILE *file;

	record_path(pid, path, sizeof(path));
	file = fopen(path, "re");
	if (file && pidfd >= 0 && fscanf(file, "%llu", &start) == 1 && !app_start_time(pid, &now) && now == start)
		h = holder_new(pid, pidfd);
	while (h && fscanf(file, "%llu", &cookie) == 1)
		add_cookie(h, cookie);
	if (file)
		fclose(file);
	app_close_fd(pidfd);
	if (!h)
		unlink(path);
}

void app_pins_adopt(void)
{
	DIR *d = opendir(conf.rundir);
	struct dirent *e;
	int pid, end;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "pin-%d%n", &pid, &end) == 1 && !e->d_name[end] && !holder_find(pid))
			adopt(pid);
	if (d)
		closedir(d);
}

bool app_pinned(uint64_t cookie, const struct app *claimant)
{
	struct holder *h;

	LIST_FOREACH(h, &holders, list)
		if (h->pid != claimant->pid && has_cookie(h, cookie))
			return true;
	return false;
}

void app_unpin_all(void)
{
	while (!LIST_EMPTY(&holders))
		holder_free(LIST_FIRST(&holders));
}
