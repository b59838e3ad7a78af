/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include "app_priv.h"
#include "conf.h"
#include "log.h"
#include "qp.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77			/* Linux 6.5 */
#endif

#define TABLE_SIZE	((size_t)TOE_TABLE_SIZE)

static struct app *apps[TOE_MAX_APPS];
static unsigned int next_id = 1;

struct app *app_get(unsigned int id)
{
	return id < TOE_MAX_APPS ? apps[id] : NULL;
}

struct app *app_next(struct app *prev)
{
	unsigned int id = prev ? prev->id + 1 : 1;

	while (id < TOE_MAX_APPS && !apps[id])
		id++;
	return app_get(id);
}

/* ---- life ---- */

void app_read_comm(struct app *app)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", app->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, app->comm, sizeof(app->comm) - 1);
	if (fd >= 0)
		close(fd);
	app->comm[n > 0 ? n : 0] = 0;
	app->comm[strcspn(app->comm, "\n")] = 0;
}

static int open_process(struct app *app)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(app->priv->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	app->pid = cred.pid;
	len = sizeof(app->pidfd);
	if (getsockopt(app->priv->sock, SOL_SOCKET, SO_PEERPIDFD, &app->pidfd, &len))
		app->pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	return app->pidfd < 0 ? -errno : 0;
}

struct app *app_shell(void)
{
	struct app *app = calloc(1, sizeof(*app));
	struct app_priv *priv = calloc(1, sizeof(*priv));

	if (!app || !priv) {
		free(app);
		free(priv);
		return NULL;
	}
	app->priv = priv;
	app->pidfd = app->efd = priv->memfd = priv->sock = -1;
	return app;
}

struct app *app_new(int sock)
{
	struct app *app = app_shell();
	int err;

	if (!app) {
		close(sock);
		return NULL;
	}
	app->priv->sock = sock;
	err = open_process(app);
	if (!err)
		err = app_watch(app);
	if (!err)
		return app;
	app_destroy(app);
	return NULL;
}

static struct toe_moved *moved_log(struct app *app)
{
	return (struct toe_moved *)(app->sonodes + TOE_SONODES);
}

int app_map_table(struct app *app)
{
	void *mem = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, app->priv->memfd, 0);

	if (mem == MAP_FAILED)
		return -errno;
	app->sonodes = mem;
	app->nr_moved = moved_log(app)->head;	/* of a toed before this one */
	return 0;
}

/* Sealed: an application that shrank it would kill the daemon with SIGBUS. */
static int make_table(struct app *app)
{
	int fd = memfd_create("toe-sonodes", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	app->priv->memfd = fd;
	if (ftruncate(fd, TABLE_SIZE) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return app_map_table(app);
}

int app_enter(struct app *app, unsigned int id)
{
	unsigned int i;

	for (i = 1; !id && i < APP_DAEMON; i++) {
		if (!apps[next_id])
			id = next_id;
		next_id = next_id + 1 == APP_DAEMON ? 1 : next_id + 1;
	}
	if (!id || id >= APP_DAEMON || apps[id])
		return -ENOSPC;
	apps[id] = app;
	app->id = id;
	return 0;
}

int app_hello(struct app *app)
{
	int err;

	if (app->id)
		return -EALREADY;
	if (!app->sonodes) {
		err = make_table(app);
		if (err)
			return err;
	}
	if (app->efd < 0)
		app->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (app->efd < 0)
		return -errno;
	app_read_comm(app);
	err = app_enter(app, 0);
	if (err)
		return err;
	app_record(app);
	log_debug("application %u: process %d (%s)", app->id, app->pid, app->comm);
	return 0;
}

static void free_qps(struct app *app)
{
	struct app_qp *slot;

	for (slot = app->priv->qps; slot < app->priv->qps + APP_MAX_QPS; slot++) {
		if (!slot->qp)
			continue;
		qp_tap_close(slot->qp, -1);
		app_ring_free(app, slot->wake);
		qp_free(slot->qp);
		slot->qp = 0;
	}
}

static void free_slabs(struct app *app)
{
	struct slab *s, *next;

	for (s = app->priv->slabs; s; s = next) {
		next = s->next;
		slab_delete(s);
	}
	app->priv->slabs = NULL;
}

void app_close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void app_destroy(struct app *app)
{
	struct app_priv *priv = app->priv;

	sd_event_source_disable_unref(priv->sock_source);
	sd_event_source_disable_unref(priv->pid_source);
	if (app->id) {
		conn_app_gone(app);
		app_forget(app);
		log_debug("application %u: gone", app->id);
	}
	free_qps(app);
	free_slabs(app);
	if (app->id)
		apps[app->id] = NULL;
	if (app->sonodes)
		munmap(app->sonodes, TABLE_SIZE);
	app_close_fd(app->efd);
	app_close_fd(app->pidfd);
	app_close_fd(priv->memfd);
	app_close_fd(priv->sock);
	free(priv);
	free(app);
}

/* ---- ring memory ---- */

struct slab *app_slab(const struct app *app, unsigned int index)
{
	struct slab *s = slab_at(index);

	return s && s->owner == app ? s : NULL;
}

void app_add_slab(struct app *app, struct slab *s)
{
	s->owner = app;
	s->next = app->priv->slabs;
	app->priv->slabs = s;
	app->priv->nr_slabs++;
}

static int take_run(struct slab *s, unsigned int order, struct toe_ring_ref *out)
{
	int unit = slab_take(s, order);

	if (unit < 0)
		return unit;
	*out = (struct toe_ring_ref){ .slab = s->index, .unit = (uint16_t)(unit & 0xfff), .order = order & 15 };
	if (order >= TOE_ORDER_64)	/* a smaller one is no rx ring, and others may be in its chunk */
		memset(slab_ctl(s, *out), 0, sizeof(struct toe_ring_ctl));
	return 0;
}

int app_ring_alloc(struct app *app, unsigned int order, struct toe_ring_ref *out)
{
	struct app_priv *priv = app->priv;
	struct slab *s;
	int err;

	if (order > TOE_MAX_ORDER)
		return -EINVAL;
	for (s = priv->slabs; s; s = s->next)
		if (!take_run(s, order, out))
			return 0;
	if (priv->nr_slabs >= conf.max_slabs)
		return -ENOSPC;
	s = slab_new();
	if (!s)
		return -errno;
	err = app_record_slab(app, s);
	if (err) {
		slab_delete(s);
		return err;
	}
	app_add_slab(app, s);
	return take_run(s, order, out);
}

void app_ring_free(struct app *app, struct toe_ring_ref ref)
{
	struct slab *s = app_slab(app, ref.slab);

	if (s)
		slab_give(s, ref);
}

void *app_ring_chunk(struct app *app, struct toe_ring_ref ref, unsigned int index)
{
	return slab_chunk(app_slab(app, ref.slab), ref.unit / TOE_CHUNK_UNITS + index);
}

struct toe_ring_ctl *app_ring_ctl(struct app *app, struct toe_ring_ref rx)
{
	return slab_ctl(app_slab(app, rx.slab), rx);
}

/* ---- queue pairs ---- */

struct app_qp *app_qp_slot(struct app *app)
{
	unsigned int i;

	for (i = 0; i < APP_MAX_QPS; i++)
		if (!app->priv->qps[i].qp)
			return &app->priv->qps[i];
	return NULL;
}

static int qp_make(struct app *app, unsigned int qp, struct app_qp *slot)
{
	struct toe_qp owner = { .app = (__u16)app->id };
	int err, tap = qp_tap_open(qp);

	if (tap < 0)
		return tap;
	err = app_ring_alloc(app, TOE_ORDER_64, &slot->wake);
	if (err)
		goto close_tap;
	memset(app_ring_chunk(app, slot->wake, 0), 0, sizeof(struct toe_qp_wake));
	owner.slab = slot->wake.slab;
	owner.chunk = slot->wake.unit / TOE_CHUNK_UNITS;
	err = qp_assign(qp, &owner);
	if (!err)
		return tap;
	app_ring_free(app, slot->wake);
close_tap:
	qp_tap_close(qp, tap);
	return err;
}

int app_qp_open(struct app *app, struct toe_msg *msg)
{
	struct app_qp *slot = app_qp_slot(app);
	int qp, tap;

	if (!slot)
		return -EMFILE;
	qp = qp_alloc();
	if (qp < 0)
		return qp;
	tap = qp_make(app, (unsigned int)qp, slot);
	if (tap < 0) {
		qp_free((unsigned int)qp);
		return tap;
	}
	slot->qp = (uint16_t)qp;
	msg->qp = (uint16_t)qp;
	msg->slab = slot->wake.slab;
	msg->chunk = slot->wake.unit / TOE_CHUNK_UNITS;
	return tap;
}

/* ---- waking ---- */

static void on_alarm(int sig)
{
	(void)sig;
}

/* The application can make its eventfd blocking and full. A write that would hang is interrupted. */
void app_kick(struct app *app)
{
	const struct itimerval on = { .it_value = { .tv_usec = 20000 }, .it_interval = { .tv_usec = 20000 } };
	const struct itimerval off = { 0 };
	struct pollfd p = { .fd = app->efd, .events = POLLOUT };
	uint64_t one = 1;

	if (poll(&p, 1, 0) != 1)
		return;		/* full: its readers have been told already */
	setitimer(ITIMER_REAL, &on, NULL);
	if (write(app->efd, &one, sizeof(one)) < 0)
		log_debug("eventfd: %m");
	setitimer(ITIMER_REAL, &off, NULL);
}

void app_wake(struct app *app, struct toe_sonode *sonode)
{
	struct toe_moved *log = moved_log(app);

	log->fd[app->nr_moved % TOE_MOVED_RING] = (int)(sonode - app->sonodes);
	__atomic_store_n(&log->head, ++app->nr_moved, __ATOMIC_RELEASE);
	syscall(SYS_futex, &sonode->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	app_kick(app);
}

/* ---- start and stop ---- */

int app_init(void)
{
	const struct sigaction alarm = { .sa_handler = on_alarm };	/* no SA_RESTART */

	sigaction(SIGALRM, &alarm, NULL);
	app_adopt_all();
	app_pins_adopt();
	slab_sweep();
	return app_listen();
}

void app_exit(void)
{
	struct app *app, *next;

	app_unlisten();
	for (app = app_next(NULL); app; app = next) {
		next = app_next(app);
		__atomic_store_n(&moved_log(app)->left, 1, __ATOMIC_RELEASE);	/* nobody is to wait for another toed */
		app_destroy(app);
	}
	app_unpin_all();
}
