/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "daemon.h"
#include "epset.h"
#include "intfd.h"
#include "real.h"
#include "sonode.h"
#include "sys.h"

#define TABLE_BYTES	((size_t)TOE_TABLE_SIZE)
#define RETRY_MS	1000
#define GIVE_UP_MS	30000
#define MAX_FDS		4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one request at a time */
static struct sockaddr_un address;	/* of toed; AF_UNSPEC: none, the path is too long */
static int sock = -1, efd = -1;
static uint32_t lost, gen;
static uint32_t greeting, greeted;	/* a thread says HELLO; it was answered on sock, and there is a table */
static uint64_t sock_cookie;
static int64_t tried_ms;	/* last attempt to connect */
static uint32_t fresh;
static uint8_t *slabs[TOE_MAX_SLABS];

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* At the start: nginx, for one, gives its workers an environment of its own, and programs write their titles over it. */
void daemon_init(void)
{
	const char *dir = secure_getenv("TOE_RUNDIR");
	int n;

	n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/app.sock", dir && *dir ? dir : TOE_RUNDIR);
	address.sun_family = n < (int)sizeof(address.sun_path) ? AF_UNIX : AF_UNSPEC;
}

static int dial(void)
{
	struct timeval tv = { .tv_sec = GIVE_UP_MS / 1000 };
	socklen_t len;
	int fd;

	if (!*address.sun_path)		/* called by another library's constructor */
		daemon_init();
	if (address.sun_family != AF_UNIX)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (real.connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int rc = -errno;

		real.close(fd);
		return rc;
	}
	real.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	len = sizeof(sock_cookie);
	real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &sock_cookie, &len);
	return intfd_adopt(&sock, fd);
}

/* An application may have closed our descriptors in a way that we did not see, and use their numbers. */
static bool still_there(void)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	return !real.getsockopt(ld(&sock), SOL_SOCKET, SO_COOKIE, &cookie, &len) &&
	       cookie == ld(&sock_cookie);
}

static void hang_up(void)
{
	st(&greeted, 0);
	intfd_close(&sock);
	if (toe_proc->table)
		st(&lost, 1);
}

static int receive(struct toe_msg *msg, int *fds, int *nfds)
{
	char ctl[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { msg, sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	int room = nfds ? *nfds : 0, got[MAX_FDS], i, n = 0;
	struct cmsghdr *c;
	ssize_t len;

	if (nfds)
		*nfds = 0;
	do
		len = real.recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(got, CMSG_DATA(c), n * sizeof(int));
	}
	for (i = 0; i < n; i++) {
		if (i < room)
			fds[(*nfds)++] = got[i];
		else
			real.close(got[i]);
	}
	if (!len)
		return -ECONNRESET;
	return len == sizeof(*msg) && msg->magic == TOE_APP_MAGIC ? 0 : -EPROTO;
}

static int exchange(struct toe_msg *msg, int *fds, int *nfds)
{
	uint16_t type = msg->type;
	int rc;

	msg->magic = TOE_APP_MAGIC;
	msg->version = TOE_APP_VERSION;
	if (sock < 0)
		return -ENOTCONN;
	if (real.send(sock, msg, sizeof(*msg), MSG_NOSIGNAL) < 0)
		rc = -errno;
	else
		rc = receive(msg, fds, nfds);
	if (!rc && msg->type != type)
		rc = -EPROTO;
	if (rc)
		hang_up();
	return rc;
}

#define CALLS_MS	100
static int64_t calls_until;	/* calls that were begun under the old table may end until then */

/* Nobody is inside a call on this socket. */
static bool no_users(const struct toe_sonode *old)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	while (ld_sc(&old->users) && now_ms() < calls_until)
		sys3(SYS_nanosleep, (long)&ms, NULL, 0);
	return !ld_sc(&old->users);
}

/* After toed was started again: the new table takes over what the old one said. The new toed sees nothing of calls that are still
 * counted in the old one: their socket does not move. */
static void carry_over(struct sonode *sn)
{
	struct toe_sonode *old = sn->sh, *new = &toe_proc->table[sn->fd];
	uint32_t word;

	/* words of the new table begin anew: what was cached for one says nothing about it */
	st(&sn->qp_word, 0);
	sonode_opts_stale(sn);
	if (!sn->tracked || !old || old == new || sn->inherit == SN_INHERITED)
		return;
	do	/* whoever comes now waits for the new table */
		word = ld_sc(&old->word);
	while (!word_cas(&old->word, word, TOE_PATH_MOVING));
	*new = *old;
	st(&new->stay, new->stay | !no_users(old));
	st(&new->users, 0);
	st(&new->word, word);
	st_rel(&sn->sh, new);
	/* whoever is in a call begun under the old table starts again under the new one */
	st_sc(&old->word, ((word & ~TOE_PATH_MASK) + 2 * TOE_EPOCH) | word_path(word));
}

static int map_table(int fd)
{
	struct toe_sonode *t;

	t = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (t == MAP_FAILED)
		return -errno;
	madvise(t, TABLE_BYTES, MADV_DONTFORK);
	epset_new_log((struct toe_moved *)(t + TOE_SONODES));
	calls_until = now_ms() + CALLS_MS;
	st_rel(&toe_proc->table, t);
	sonode_each(carry_over);
	st_rel(&toe_proc->live, 1);
	return 0;
}

/* A toed that knows nothing of this process: it has other slabs and queue pairs. The old slabs stay
 * mapped, for a thread may be in the middle of a copy that will then fail to commit. */
static void start_afresh(void)
{
	memset(slabs, 0, sizeof(slabs));
	st(&fresh, fresh + 1);
}

static int hello(void)
{
	struct toe_msg msg = { .type = TOE_MSG_HELLO };
	int fds[2], n = 2, rc;

	rc = exchange(&msg, fds, &n);
	if (rc)
		return rc;
	if (msg.rc || n != 2) {
		while (n > 0)
			real.close(fds[--n]);
		hang_up();
		return msg.rc ? msg.rc : -EPROTO;
	}
	intfd_close(&efd);
	rc = intfd_adopt(&efd, fds[1]);
	/* a toed that was started again and knows this process answers with the table it has */
	if (!rc && !(msg.known && ld(&toe_proc->live))) {
		start_afresh();
		rc = map_table(fds[0]);
	}
	real.close(fds[0]);
	if (rc) {
		hang_up();
		return rc;
	}
	st(&lost, 0);
	st(&gen, gen + 1);
	st_rel(&greeted, 1);
	return 0;
}

/* Caller holds lock. */
static int connect_now(void)
{
	int rc;

	if (sock >= 0)
		return 0;
	st(&greeting, 1);
	tried_ms = now_ms();
	rc = dial();
	if (!rc)
		rc = hello();
	st(&greeting, 0);
	return rc;
}

/* Nothing may end or divert a thread in the middle of a conversation. */
struct calm {
	sigset_t mask;
	int cancel;
};

static void calm_begin(struct calm *c)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &c->mask);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->cancel);
}

static void calm_end(const struct calm *c)
{
	pthread_setcancelstate(c->cancel, NULL);
	pthread_sigmask(SIG_SETMASK, &c->mask, NULL);
}

static void lock_all(struct calm *c)
{
	calm_begin(c);
	pthread_mutex_lock(&lock);
}

static void unlock_all(const struct calm *c)
{
	pthread_mutex_unlock(&lock);
	calm_end(c);
}

static bool too_soon(void)
{
	return ld(&tried_ms) && now_ms() - ld(&tried_ms) < RETRY_MS;
}

bool daemon_ready(void)
{
	struct calm old;
	int rc, err = errno;

	if (ld_acq(&greeted) && still_there())
		return true;
	if (!ld(&greeting) && too_soon())
		return false;
	lock_all(&old);
	if (sock >= 0 && !still_there())
		hang_up();
	rc = sock >= 0 ? 0 : too_soon() ? -EAGAIN : connect_now();
	unlock_all(&old);
	errno = err;
	return !rc;
}

/* The toed of the table has given everything back: what it was to be asked for has come true, or is not needed. */
static bool toed_left(void)
{
	const struct toe_sonode *table = ld_acq(&toe_proc->table);

	return !table || ld_acq(&((const struct toe_moved *)(table + TOE_SONODES))->left);
}

/* Once, and again while there is no toed until then. */
static int request(struct toe_msg *msg, int *fds, int *nfds, int64_t until)
{
	struct toe_msg ask = *msg;
	int room = nfds ? *nfds : 0, rc, err = errno, cancel;
	struct calm old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	for (;;) {
		lock_all(&old);
		*msg = ask;
		if (nfds)
			*nfds = room;
		rc = connect_now();
		if (!rc)
			rc = exchange(msg, fds, nfds);
		unlock_all(&old);
		if (!rc || toed_left() || now_ms() >= until)
			break;
		usleep(100000);
	}
	pthread_setcancelstate(cancel, NULL);
	errno = err;
	return rc ? -EIO : msg->rc;
}

int daemon_request(struct toe_msg *msg, int *fds, int *nfds)
{
	return request(msg, fds, nfds, now_ms() + GIVE_UP_MS);
}

int daemon_upload(int fd, enum toe_why why)
{
	struct toe_msg msg = { .type = TOE_MSG_UPLOAD, .fd = fd, .why = why };

	return daemon_request(&msg, NULL, NULL);
}

int daemon_pin(int fd)
{
	struct toe_msg msg = { .type = TOE_MSG_PIN, .fd = fd };

	return daemon_request(&msg, NULL, NULL);
}

int daemon_option(int fd)
{
	struct toe_msg msg = { .type = TOE_MSG_OPTION, .fd = fd };

	return daemon_request(&msg, NULL, NULL);
}

int daemon_tell(int fd)
{
	struct toe_msg msg = { .type = TOE_MSG_INFO, .fd = fd };

	return request(&msg, NULL, NULL, 0);
}

/* Unless another thread was faster, or it is not known any more whose it is: another toed came meanwhile. */
static uint8_t *keep_slab(unsigned int slab, uint8_t *p, uint32_t whose)
{
	struct calm old;
	uint8_t *kept;

	lock_all(&old);
	if (whose == fresh && !slabs[slab])
		st_rel(&slabs[slab], p);
	kept = whose == fresh ? slabs[slab] : NULL;
	unlock_all(&old);
	if (kept != p)
		munmap(p, TOE_SLAB_SIZE);
	return kept;
}

static uint8_t *map_slab(unsigned int slab)
{
	struct toe_msg msg = { .type = TOE_MSG_SLAB, .slab = slab };
	int fd = -1, n = 1, rc;
	uint32_t whose = daemon_fresh();
	uint8_t *p;

	rc = daemon_request(&msg, &fd, &n);
	if (rc || n != 1) {
		if (n == 1)
			real.close(fd);
		return NULL;
	}
	p = mmap(NULL, TOE_SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	real.close(fd);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, TOE_SLAB_SIZE, MADV_DONTFORK);
	return keep_slab(slab, p, whose);
}

uint8_t *daemon_slab(unsigned int slab)
{
	uint8_t *p;

	if (slab >= TOE_MAX_SLABS)
		return NULL;
	p = ld_acq(&slabs[slab]);
	return p ? p : map_slab(slab);
}

bool daemon_lost(void)
{
	return ld(&lost);
}

uint32_t daemon_fresh(void)
{
	return ld(&fresh);
}

uint32_t daemon_gen(void)
{
	return ld(&gen);
}

int daemon_eventfd(void)
{
	return ld(&efd);
}

int daemon_sock(void)
{
	return ld(&sock);
}

void daemon_check(void)
{
	int fd = ld(&sock), err = errno;
	struct calm old;
	char c;

	calm_begin(&old);
	if (fd >= 0 && pthread_mutex_trylock(&lock) == 0) {
		if (sock == fd && (!still_there() || real.recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0))
			hang_up();
		pthread_mutex_unlock(&lock);
	}
	calm_end(&old);
	if (ld(&lost) && !too_soon()) {
		lock_all(&old);
		connect_now();
		unlock_all(&old);
	}
	errno = err;
}

void daemon_kick(void)
{
	uint64_t one = 1;

	if (ld(&efd) >= 0)
		sys3(SYS_write, ld(&efd), &one, sizeof(one));	/* no cancellation: the caller may hold locks and events */
}

/* In the child: the mappings are gone (MADV_DONTFORK), the descriptors closed by intfd. */
void daemon_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	sock = efd = -1;
	lost = greeting = greeted = 0;
	tried_ms = 0;
	memset(slabs, 0, sizeof(slabs));
}
