/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "conf.h"
#include "conn.h"
#include "engine.h"
#include "fault.h"
#include "hold.h"
#include "info.h"
#include "log.h"
#include "mig.h"
#include "nic.h"

struct conn_move_stats conn_moves;

static struct conn *by_id[TOE_MAX_CONNS];
static struct conn *by_cookie;
static uint32_t gens[TOE_MAX_CONNS];
static uint16_t free_ids[TOE_MAX_CONNS];	/* FIFO: an id rests as long as possible */
static unsigned int free_head, nr_free;

struct conn *conn_by_id(uint32_t hw_connid)
{
	return hw_connid < TOE_MAX_CONNS ? by_id[hw_connid] : NULL;
}

struct conn *conn_by_cookie(uint64_t cookie)
{
	struct conn *c;

	HASH_FIND(hh, by_cookie, &cookie, sizeof(cookie), c);
	return c;
}

unsigned int conn_count(void)
{
	return HASH_COUNT(by_cookie);
}

struct conn *conn_next(struct conn *prev)
{
	return prev ? prev->hh.next : by_cookie;
}

static uint32_t next_gen(uint32_t id)
{
	if (!++gens[id])
		gens[id] = 1;
	return gens[id];
}

static struct conn *conn_make(uint32_t id, uint32_t gen, uint64_t cookie, const struct toe_flow *flow)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->hw_connid = id;
	c->gen = gen;
	c->cookie = cookie;
	c->flow = *flow;
	c->sock = -1;
	c->held_tail = &c->held;
	by_id[id] = c;
	HASH_ADD(hh, by_cookie, cookie, sizeof(c->cookie), c);
	return c;
}

struct conn *conn_new(uint64_t cookie, const struct toe_flow *flow)
{
	uint32_t id = free_ids[free_head];
	struct conn *c;

	if (!nr_free || conn_count() >= conf.max_conns)
		return NULL;
	c = conn_make(id, next_gen(id), cookie, flow);
	if (!c)
		return NULL;
	free_head = (free_head + 1) % TOE_MAX_CONNS;
	nr_free--;
	return c;
}

/* ---- rings of connections that have left, while a thread still copies into one ---- */

struct zombie {
	struct zombie *next;
	struct app *app;
	int fd;
	struct toe_ring_ref rx, tx;
};

static struct zombie *zombies;

static bool has_users(struct app *app, int fd)
{
	return __atomic_load_n(&app->sonodes[fd].users, __ATOMIC_SEQ_CST);
}

static void rings_release(struct conn *c)
{
	struct zombie *z = has_users(c->app, c->fd) ? malloc(sizeof(*z)) : NULL;

	if (!z) {
		app_ring_free(c->app, c->rx);
		app_ring_free(c->app, c->tx);
		return;
	}
	*z = (struct zombie){ .next = zombies, .app = c->app, .fd = c->fd, .rx = c->rx, .tx = c->tx };
	zombies = z;
}

uint32_t conn_next_gen(const struct conn *c)
{
	return next_gen(c->hw_connid);
}

static void publish_gen(const struct conn *c)
{
	struct hw_connid id = { .flow = c->flow, .gen = c->gen };
	__u32 key = c->hw_connid;

	bpf_map_update_elem(engine.hw_connid, &key, &id, BPF_ANY);
}

/* Another generation: nothing that was begun with the old rings is taken any more, be it a train that is under way or what a
 * thread is about to write. */
void conn_swap_rings(struct conn *c, struct toe_ring_ref rx, struct toe_ring_ref tx, uint32_t gen)
{
	c->gen = gen;
	publish_gen(c);
	rings_release(c);
	c->rx = rx;
	c->tx = tx;
}

/* app: only its own, whether or not they are still used (it is gone). */
static void rings_reap(struct app *app)
{
	struct zombie **p = &zombies, *z;

	while ((z = *p)) {
		if (app ? z->app != app : has_users(z->app, z->fd)) {
			p = &z->next;
			continue;
		}
		app_ring_free(z->app, z->rx);
		app_ring_free(z->app, z->tx);
		*p = z->next;
		free(z);
	}
}

void conn_free(struct conn *c)
{
	struct hw_connid none = { 0 };
	uint32_t id = c->hw_connid;

	bpf_map_update_elem(engine.hw_connid, &id, &none, BPF_ANY);
	hold_discard(c);
	if (c->has_rings)
		rings_release(c);
	if (c->sock >= 0)
		close(c->sock);
	HASH_DEL(by_cookie, c);
	by_id[id] = NULL;
	free_ids[(free_head + nr_free++) % TOE_MAX_CONNS] = (uint16_t)id;
	free(c);
}

/* ---- finding the process behind a socket ---- */

static uint64_t sock_cookie(int sock)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(sock, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

/* The application's descriptor, duplicated. What a table says is a hint only: the cookie decides. */
static int fetch(struct app *app, int fd, uint64_t cookie)
{
	int sock;

	if (fault_error(7))
		return -EMFILE;
	sock = (int)syscall(SYS_pidfd_getfd, app->pidfd, fd, 0);
	if (sock < 0)
		return -errno;
	if (cookie && sock_cookie(sock) != cookie) {
		close(sock);
		return -ESTALE;
	}
	return sock;
}

/* It is toed that lacks something: that says nothing about the application and its socket. */
bool conn_is_short(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

/* Others that have the descriptor would be left with a parked socket: then it does not move. */
static bool is_shared(const struct conn *c, const struct app *app, int fd)
{
	return c->app || app->sonodes[fd].stay || app_pinned(c->cookie, app);
}

static enum toe_why shared_why(const struct conn *c)
{
	return c->app->sonodes[c->fd].stay == TOE_STAY_URING ? TOE_WHY_URING : TOE_WHY_FORK;
}

static int find_owner(struct conn *c, enum toe_why *why)
{
	bool shared = false;
	struct app *app;
	int fd, sock, err = -ENOENT;

	for (unsigned int nth = 0; !app_find(c->cookie, nth, &app, &fd); nth++) {
		sock = fetch(app, fd, c->cookie);
		if (conn_is_short(sock))
			err = sock;
		if (sock < 0)
			continue;
		shared |= is_shared(c, app, fd);
		if (c->app)
			close(sock);
		else
			c->sock = sock;
		c->app = app;
		c->fd = fd;
	}
	if (shared)
		err = -EOPNOTSUPP;
	else if (c->app)
		err = 0;
	*why = shared ? shared_why(c) : err == -ENOENT ? TOE_WHY_NO_LIB : TOE_WHY_NO_FILES;
	return err;
}

int conn_fetch(uint64_t cookie)
{
	struct app *app;
	int fd, err = -ENOENT;

	for (unsigned int nth = 0; err < 0 && !conn_is_short(err) && !app_find(cookie, nth, &app, &fd); nth++)
		err = fetch(app, fd, cookie);
	return err;
}

/* ---- start ---- */

static int take_fd(struct conn *c)
{
	c->sock = fetch(c->app, c->fd, c->cookie);
	return c->sock < 0 ? c->sock : 0;
}

void conn_ask_upload(struct conn *c)
{
	__atomic_fetch_or(&engine.clock[c->hw_connid].flags, TOE_CLK_UPLOAD, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&engine.dirty[c->hw_connid / 64], 1ULL << c->hw_connid % 64, __ATOMIC_SEQ_CST);
}

/* Found in HOLD with a whole socket. Kept until identifiers can be given, and there is a descriptor. */
static struct cut_off {
	struct toe_flow flow;
	uint64_t cookie;
	struct cut_off *next;
} *cut_off;

bool conn_is_cut_off(uint64_t cookie)
{
	struct cut_off *o = cut_off;

	while (o && o->cookie != cookie)
		o = o->next;
	return o;
}

bool conn_recovering(void)
{
	return cut_off;
}

static int adopt_whole(const struct toe_flow *flow, const struct hw_conn *e)
{
	struct cut_off *o = malloc(sizeof(*o));

	if (!o)
		return -ENOMEM;
	*o = (struct cut_off){ .flow = *flow, .cookie = e->cookie, .next = cut_off };
	cut_off = o;
	return 0;
}

/* An entry that a toed before this one left in hardware or in the middle of a move, or that an engine put in HOLD
 * meanwhile. */
static int adopt(const struct toe_flow *flow, const struct hw_conn *e, void *arg)
{
	struct app *app = app_get((unsigned int)e->app);
	unsigned int *adopted = arg;
	struct conn *c;

	if (e->state == TOE_KERNEL)
		return 0;
	if (e->state == TOE_HOLD && !(e->next & TOE_NEXT_PARKED))
		return adopt_whole(flow, e);
	if (!app || !e->hw_connid || e->hw_connid >= TOE_MAX_CONNS || by_id[e->hw_connid]) {
		mig_recover_orphan(flow, e);
		return 0;
	}
	c = conn_make(e->hw_connid, e->gen, e->cookie, flow);
	if (!c)
		return -ENOMEM;
	gens[c->hw_connid] = e->gen;
	c->app = app;
	c->fd = (int)e->fd;
	c->nic = e->nic;
	c->rx = e->rx;
	c->tx = e->tx;
	c->has_rings = true;
	c->una_seen = e->min.snd_una;
	publish_gen(c);		/* the entry may have got other rings a moment ago */
	(*adopted)++;
	if (take_fd(c))
		log_warn("connection %u: process %d has no descriptor %d for it any more",
			 c->hw_connid, (int)app->pid, c->fd);
	if (e->state == TOE_HOLD)
		mig_recover_parked(c);
	if (e->state == TOE_HOLD || c->sock < 0 || !nic_get(e->nic))	/* half moved, or a part of it is gone */
		conn_ask_upload(c);
	__atomic_fetch_or(&engine.dirty[c->hw_connid / 64], 1ULL << c->hw_connid % 64, __ATOMIC_SEQ_CST);
	return 0;
}

/* False: not now. */
static bool recover_cut_off(const struct cut_off *o)
{
	struct conn *c = conn_new(o->cookie, &o->flow);
	enum toe_why why;
	bool done;
	int err;

	if (!c)
		return false;
	err = find_owner(c, &why);
	done = c->app || !conn_is_short(err);
	if (c->app)
		mig_recover_whole(c);
	else if (done)		/* its process and so its socket are gone */
		bpf_map_delete_elem(engine.hw_conn_t, &o->flow);
	conn_free(c);
	return done;
}

static void recover_sonodes(void)
{
	for (struct app *app = app_next(NULL); app; app = app_next(app))
		mig_recover_sonodes(app);
}

static bool recover_some(void)
{
	struct cut_off **p = &cut_off, *o;
	bool some = false;

	while ((o = *p)) {
		if (!recover_cut_off(o)) {
			p = &o->next;
			continue;
		}
		*p = o->next;
		free(o);
		some = true;
	}
	return some;
}

void conn_recover(void)
{
	if (cut_off && recover_some())
		recover_sonodes();
}

/* After app_init() and nic_adopt_all(): applications, rings and interfaces are known again. */
int conn_init(void)
{
	unsigned int adopted = 0;
	struct timespec now;
	int err;

	clock_gettime(CLOCK_REALTIME, &now);
	for (unsigned int id = 1; id < TOE_MAX_CONNS; id++)
		gens[id] = (uint32_t)now.tv_sec << 8;
	err = engine_walk(adopt, &adopted);
	if (err)
		return err;
	for (unsigned int id = 1; id < TOE_MAX_CONNS; id++)
		if (!by_id[id])
			free_ids[nr_free++] = (uint16_t)id;
	if (adopted)
		log_info("%u connections adopted in hardware", adopted);
	err = hold_init();
	if (err)
		return err;
	recover_some();
	if (cut_off)
		log_warn("no descriptor or memory to undo a move that was cut off, trying again");
	recover_sonodes();
	return 0;
}

/* ---- moves ---- */

static int find_flow(uint64_t cookie, struct toe_flow *flow)
{
	struct toe_flow key, *prev = NULL;
	struct hw_conn e;

	while (!bpf_map_get_next_key(engine.hw_conn_t, prev, &key)) {
		if (!bpf_map_lookup_elem(engine.hw_conn_t, &key, &e) && e.cookie == cookie) {
			*flow = key;
			return 0;
		}
		*flow = key;
		prev = flow;
	}
	return -ENOENT;
}

/* For toectl list. */
static void remember_why(uint64_t cookie, const struct conn *c, enum toe_why why)
{
	struct app *app = c ? c->app : NULL;
	int fd = c ? c->fd : -1;

	if (app || !app_find(cookie, 0, &app, &fd))
		app->sonodes[fd].why = (uint8_t)why;
}

int conn_offload_flow(uint64_t cookie, const struct toe_flow *flow, enum toe_why *why)
{
	struct conn *c;
	int err;

	*why = TOE_WHY_NEW;
	if (conn_by_cookie(cookie))
		return 0;
	rings_reap(NULL);
	c = conn_new(cookie, flow);
	if (!c) {
		*why = TOE_WHY_NO_ID;
		remember_why(cookie, NULL, *why);
		conn_moves.refused++;
		return -ENOSPC;
	}
	err = find_owner(c, why);
	if (!err)
		err = mig_offload(c, why);
	if (err) {
		remember_why(cookie, c, *why);
		conn_free(c);
		if (!conn_may_retry(*why))
			conn_moves.refused++;
	}
	return err;
}

bool conn_may_retry(enum toe_why why)
{
	switch (why) {
	case TOE_WHY_HOLE:	/* closes with the peer's retransmission */
	case TOE_WHY_BUSY:
	case TOE_WHY_WINDOW:	/* grew in the move */
	case TOE_WHY_QUEUE:
	case TOE_WHY_NO_NEIGH:	/* is being resolved */
	case TOE_WHY_UNTAGGED:
	case TOE_WHY_BYPASS:	/* or the last ones came before the entry was made, with the handshake: until the next */
		return true;
	default:
		return false;
	}
}

int conn_offload(uint64_t cookie, enum toe_why *why)
{
	struct toe_flow flow;
	int err = find_flow(cookie, &flow);

	if (err) {
		*why = TOE_WHY_NOT_ESTAB;
		return err;
	}
	return conn_offload_flow(cookie, &flow, why);
}

static int upload(struct conn *c, enum toe_why why)
{
	int err = mig_upload(c, why);

	if (!mig_stays(err))
		conn_free(c);
	return err;
}

int conn_upload(uint64_t cookie, enum toe_why why)
{
	struct conn *c = conn_by_cookie(cookie);

	return c ? upload(c, why) : 0;
}

int conn_upload_all(unsigned int nic, enum toe_why why)
{
	struct conn *c, *next;
	int failed = 0;

	for (c = conn_next(NULL); c; c = next) {
		next = conn_next(c);
		if ((!nic || c->nic == nic) && upload(c, why))
			failed++;
	}
	return failed;
}

void conn_abort_all(void)
{
	struct conn *c;

	while ((c = conn_next(NULL))) {
		mig_abort(c);
		conn_free(c);
	}
}

/* ---- called by app.c and nic.c ---- */

static int msg_cookie(struct app *app, int fd, uint64_t *cookie)
{
	int sock = fetch(app, fd, 0);

	if (sock < 0)
		return sock;
	*cookie = sock_cookie(sock);
	close(sock);
	return *cookie ? 0 : -ENOTSOCK;
}

int conn_msg_upload(struct app *app, int fd, enum toe_why why)
{
	uint64_t cookie;
	int err = msg_cookie(app, fd, &cookie);

	return err ? err : conn_upload(cookie, why);
}

int conn_msg_option(struct app *app, int fd)
{
	uint64_t cookie;
	int err = msg_cookie(app, fd, &cookie);
	struct conn *c = err ? NULL : conn_by_cookie(cookie);

	return c ? mig_options(c) : err;
}

int conn_msg_info(struct app *app, int fd)
{
	uint64_t cookie;
	int err = msg_cookie(app, fd, &cookie);
	struct conn *c = err ? NULL : conn_by_cookie(cookie);

	return c ? info_write(c) : err ? err : -ENOENT;
}

int conn_msg_offload(struct app *app, int fd, enum toe_why *why)
{
	uint64_t cookie;
	int err = msg_cookie(app, fd, &cookie);

	*why = TOE_WHY_NO_FD;
	return err ? err : conn_offload(cookie, why);
}

void conn_app_gone(struct app *app)
{
	struct conn *c, *next;

	for (c = conn_next(NULL); c; c = next) {
		next = conn_next(c);
		if (c->app == app && mig_stays(upload(c, TOE_WHY_APP_GONE))) {
			bpf_map_delete_elem(engine.hw_conn_t, &c->flow);	/* no way to tell the peer */
			conn_free(c);
		}
	}
	rings_reap(app);
}

static void relink_all(unsigned int nic)
{
	struct conn *c, *next;

	for (c = conn_next(NULL); c; c = next) {
		next = conn_next(c);
		int err = c->nic == nic ? mig_relink(c) : 0;

		if (err) {
			log_debug("connection %u: its way out has changed: %s", c->hw_connid, strerror(-err));
			upload(c, TOE_WHY_LINK);
		}
	}
}

void conn_link_event(unsigned int nic, int kind)
{
	if (kind == NIC_EV_NEIGH || kind == NIC_EV_ROUTE)
		relink_all(nic);
	else if (kind != NIC_EV_DOWN)	/* a link that is down loses frames, as it would the kernel's */
		conn_upload_all(nic, TOE_WHY_LINK);
}
