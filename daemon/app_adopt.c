/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Applications of a toed that died. Its record in RUNDIR names the process, by number and start time,
 * and the inode of the SONODE table and the id of the eventfd, which the process still has: both are
 * fetched from there. Queue pairs, slabs and rings stand in the pinned maps. The record also names the
 * application's slabs: the library has them mapped by index, whether or not a ring is in use there at the moment, so
 * no index may come to mean other memory while the process lives.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "app_priv.h"
#include "conf.h"
#include "engine.h"
#include "log.h"
#include "qp.h"

struct record {
	int pid;
	unsigned long long start;	/* clock ticks since boot */
	unsigned long long table;	/* inode */
	int efd;			/* eventfd-id */
};

static void record_path(unsigned int id, char *out, size_t len)
{
	snprintf(out, len, "%s/app-%u", conf.rundir, id);
}

static int read_file(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	app_close_fd(fd);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return 0;
}

int app_start_time(int pid, unsigned long long *out)
{
	char path[64], buf[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, buf, sizeof(buf)))
		return -ESRCH;
	p = strrchr(buf, ')');		/* comm may contain anything */
	if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			 "%*d %*d %llu", out) != 1)
		return -EINVAL;
	return 0;
}

static int eventfd_id(int pid, const char *fd, int *out)
{
	char path[64], buf[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, fd);
	if (read_file(path, buf, sizeof(buf)))
		return -ENOENT;
	p = strstr(buf, "eventfd-id:");
	return p && sscanf(p, "eventfd-id: %d", out) == 1 ? 0 : -ENOENT;
}

void app_record(struct app *app)
{
	struct record r = { .pid = app->pid };
	char path[128], fd[16], text[128];
	struct stat st;
	int len, file;

	snprintf(fd, sizeof(fd), "%d", app->efd);
	if (app_start_time(app->pid, &r.start) || fstat(app->priv->memfd, &st) ||
	    eventfd_id(getpid(), fd, &r.efd))
		return;
	len = snprintf(text, sizeof(text), "%d %llu %llu %d\n", r.pid, r.start,
		       (unsigned long long)st.st_ino, r.efd);
	record_path(app->id, path, sizeof(path));
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0 || write(file, text, (size_t)len) != len)
		log_warn("%s: %m", path);
	app_close_fd(file);
}

int app_record_slab(const struct app *app, const struct slab *slab)
{
	char path[128], text[64];
	int len, file, err = 0;

	len = snprintf(text, sizeof(text), "slab %u %u\n", slab->index, slab->id);
	record_path(app->id, path, sizeof(path));
	file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (file < 0 || write(file, text, (size_t)len) != len) {
		err = errno ? -errno : -EIO;
		log_warn("%s: %s", path, strerror(-err));
	}
	app_close_fd(file);
	return err;
}

void app_forget(struct app *app)
{
	char path[128];

	record_path(app->id, path, sizeof(path));
	unlink(path);
}

static int read_record(unsigned int id, struct record *r)
{
	char path[128], buf[128];

	record_path(id, path, sizeof(path));
	if (read_file(path, buf, sizeof(buf)))
		return -ENOENT;
	return sscanf(buf, "%d %llu %llu %d", &r->pid, &r->start, &r->table, &r->efd) == 4 ? 0 : -EINVAL;
}

/* ---- what the process still has ---- */

static int fetch_table(struct app *app, unsigned long long inode)
{
	char path[96], line[512], range[64];
	unsigned long long ino;
	struct stat st;
	int seals, fd = -1;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", app->pid);
	maps = fopen(path, "re");
	while (maps && fd < 0 && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%63s %*s %*s %*s %llu", range, &ino) != 2 || ino != inode)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%s", app->pid, range);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (maps)
		fclose(maps);
	if (fd < 0)
		return -ENOENT;
	app->priv->memfd = fd;
	/* inode numbers repeat between file systems: only our table is sealed and so large */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || fstat(fd, &st) || st.st_size != (off_t)TOE_TABLE_SIZE ||
	    !(seals & F_SEAL_SHRINK))
		return -EINVAL;
	return app_map_table(app);
}

static int fetch_efd(struct app *app, int id)
{
	char path[64];
	struct dirent *e;
	int got;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", app->pid);
	d = opendir(path);
	while (d && app->efd < 0 && (e = readdir(d)))
		if (!eventfd_id(app->pid, e->d_name, &got) && got == id)
			app->efd = (int)syscall(SYS_pidfd_getfd, app->pidfd, atoi(e->d_name), 0);
	if (d)
		closedir(d);
	return app->efd < 0 ? -ENOENT : 0;
}

/* The pidfd first: what is read of /proc afterwards is of that process if it has not ended. */
static int fetch(struct app *app, const struct record *r)
{
	unsigned long long start;
	int err;

	app->pid = r->pid;
	app->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (app->pidfd < 0)
		return -errno;
	if (app_start_time(r->pid, &start) || start != r->start)
		return -ESRCH;
	app_read_comm(app);
	err = fetch_table(app, r->table);
	if (!err)
		err = fetch_efd(app, r->efd);
	return err ? err : app_watch(app);
}

static void adopt_app(unsigned int id)
{
	struct record r;
	struct app *app;
	char path[128];
	int err = read_record(id, &r);

	if (err == -ENOENT)
		return;
	app = err ? NULL : app_shell();
	if (app)
		err = fetch(app, &r);
	if (app && !err)
		err = app_enter(app, id);
	if (app && !err) {
		log_info("application %u: found again, process %d (%s)", id, app->pid, app->comm);
		return;
	}
	log_info("application %u of a toed before this one is gone", id);
	if (app)
		app_destroy(app);
	record_path(id, path, sizeof(path));
	unlink(path);
}

/* ---- what stands in the maps ---- */

static struct slab *adopt_slab(struct app *app, unsigned int index)
{
	struct slab *s = app_slab(app, index);

	if (s)
		return s;
	s = slab_adopt(index);
	if (s)
		app_add_slab(app, s);
	return s;
}

static void adopt_recorded(struct app *app)
{
	unsigned int index, id;
	char path[128], line[128];
	struct slab *s;
	FILE *file;

	record_path(app->id, path, sizeof(path));
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "slab %u %u", &index, &id) != 2 || slab_id(index) != id)
			continue;
		s = adopt_slab(app, index);
		if (!s)
			log_warn("application %u: its ring memory %u is not there", app->id, index);
	}
	if (file)
		fclose(file);
}

static int adopt_run(struct app *app, struct toe_ring_ref ref)
{
	struct slab *s = adopt_slab(app, ref.slab);

	return s ? slab_claim(s, ref) : -ENOENT;
}

static void adopt_qp(unsigned int qp, const struct toe_qp *was)
{
	struct app *app = app_get(was->app);
	struct app_qp *slot = app ? app_qp_slot(app) : NULL;
	struct toe_ring_ref wake = { .slab = was->slab, .order = TOE_ORDER_64,
				     .unit = (uint16_t)(was->chunk * TOE_CHUNK_UNITS & 0xfff) };

	if (!slot || adopt_run(app, wake)) {
		qp_tap_close(qp, -1);
		return;
	}
	qp_claim(qp);
	slot->qp = (uint16_t)qp;
	slot->wake = wake;
}

/* Rings of connections on the hardware path; conn.c finds their applications by number. */
static int adopt_rings(const struct toe_flow *flow, const struct hw_conn *conn, void *arg)
{
	struct app *app = app_get(conn->app);

	(void)flow;
	(void)arg;
	if (!conn->hw_connid || conn->state == TOE_KERNEL || !app)
		return 0;
	if (adopt_run(app, conn->rx) || adopt_run(app, conn->tx))
		log_warn("connection %u: its rings are not there", conn->hw_connid);
	return 0;
}

void app_adopt_all(void)
{
	struct toe_qp was;
	struct app *app;
	__u32 i;

	for (i = 1; i < APP_DAEMON; i++)
		adopt_app(i);
	for (app = app_next(NULL); app; app = app_next(app))
		adopt_recorded(app);
	for (i = TOE_QP_DAEMON + 1; i < TOE_MAX_QPS; i++)
		if (!bpf_map_lookup_elem(engine.qps, &i, &was) && was.app)
			adopt_qp(i, &was);
	engine_walk(adopt_rings, NULL);
}

struct app *app_adopted(const struct app *newcomer)
{
	struct app *app;

	for (app = app_next(NULL); app; app = app_next(app))
		if (app->pid == newcomer->pid && app->priv->sock < 0)
			return app;
	return NULL;
}
