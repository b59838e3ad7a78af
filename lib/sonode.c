/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "batch.h"
#include "daemon.h"
#include "epset.h"
#include "fork.h"
#include "qp.h"
#include "real.h"
#include "sonode.h"
#include "sys.h"
#include "toe/desc.h"

static struct toe_proc nothing;
struct toe_proc *toe_proc = &nothing;
static uint32_t all_stay;
struct sonode *slot_blocks[TOE_SONODES / SLOT_BLOCK];

void proc_init(void)
{
	size_t len = sysconf(_SC_PAGESIZE);
	void *p;

	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	if (madvise(p, len, MADV_WIPEONFORK) < 0) {
		munmap(p, len);
		return;
	}
	toe_proc = p;
	toe_proc->pid = getpid();
}

bool sonode_revive(void)
{
	if (ld(&toe_proc->pid) || toe_proc == &nothing)
		return false;
	fork_unseen();
	return true;
}

struct sonode *slot_make(int fd)
{
	struct sonode *block, *none = NULL;
	unsigned int b = (unsigned int)fd >> SLOT_SHIFT, i;

	if ((unsigned int)fd >= TOE_SONODES)
		return NULL;
	if (ld_acq(&slot_blocks[b]))
		return slot_get(fd);
	block = mmap(NULL, SLOT_BLOCK * sizeof(*block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		return NULL;
	for (i = 0; i < SLOT_BLOCK; i++) {
		block[i].fd = (b << SLOT_SHIFT) + i;
		pthread_mutex_init(&block[i].wlock, NULL);
	}
	if (!cas_sc(&slot_blocks[b], &none, block))
		munmap(block, SLOT_BLOCK * sizeof(*block));
	return slot_get(fd);
}

int slot_busy(int fd)
{
	struct sonode *sn = slot_get(fd);

	return sn && (ld(&sn->tracked) || ld(&sn->internal) || ld(&sn->members) || ld(&sn->ep));
}

void sonode_each(void (*fn)(struct sonode *sn))
{
	struct sonode *block;
	unsigned int b, i;

	for (b = 0; b < TOE_SONODES / SLOT_BLOCK; b++) {
		block = ld_acq(&slot_blocks[b]);
		for (i = 0; block && i < SLOT_BLOCK; i++)
			fn(&block[i]);
	}
}

static bool is_tcp(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(int);
	int proto;

	if (real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) < 0 ||
	    proto != IPPROTO_TCP)
		return false;
	len = sizeof(*cookie);
	return real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &len) == 0;
}

static void enter_table(struct sonode *sn, uint64_t cookie)
{
	struct toe_sonode *sh = &toe_proc->table[sn->fd];
	uint32_t word = ld(&sh->word);

	st_sc(&sh->cookie, cookie);
	st(&sh->stay, sn->stay);
	st(&sh->why, TOE_WHY_NEW);	/* what is there was of a connection before */
	sonode_opts_stale(sn);
	st(&sn->tracked, 1);
	st_rel(&sn->sh, sh);
	if (!word_cas(&sh->word, word, TOE_PATH_KERNEL))
		st(&sn->tracked, 0);
}

static void track(int fd, enum sonode_inherit inherit)
{
	struct sonode *sn;
	uint64_t cookie;
	int err = errno;

	/* while toed is away for a moment the table waits for the next one, as it does for older connections. A child has none at first. */
	if (epset_busy() || (!daemon_ready() && !ld_acq(&toe_proc->table)) || !is_tcp(fd, &cookie))
		goto out;
	sn = slot_make(fd);
	if (!sn)
		goto out;
	if (sonode_get(fd))	/* closed by a way we do not see, or connect() once more */
		sonode_untrack(sn, TOE_WHY_CLOSE);
	st(&sn->inherit, inherit);
	st(&sn->stay, ld_sc(&all_stay) ? STAY_URING : 0);
	enter_table(sn, cookie);
	epset_tracked(sn);
out:
	errno = err;
}

void sonode_track(int fd)
{
	track(fd, SN_OWN);
}

void sonode_found(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	uint64_t cookie;
	int err = errno;

	if (is_tcp(fd, &cookie) && !real.getpeername(fd, (struct sockaddr *)&a, &len))
		track(fd, SN_SHARED);
	errno = err;
}

/* First use of a descriptor that was there before fork(). Claimed before the upload is asked for, which
 * tells the daemon that there is a new claim. */
void sonode_adopt(struct sonode *sn)
{
	uint64_t cookie;
	int err = errno;

	if (!daemon_ready() || !is_tcp(sn->fd, &cookie)) {
		st(&sn->local.word, TOE_PATH_NONE);
		st(&sn->tracked, 0);
		goto out;
	}
	st(&sn->inherit, SN_SHARED);
	enter_table(sn, cookie);
	daemon_upload(sn->fd, TOE_WHY_FORK);
	epset_tracked(sn);
out:
	errno = err;
}

void sonode_untrack(struct sonode *sn, enum toe_why why)
{
	struct toe_sonode *sh;
	uint32_t word;

	for (;;) {
		sh = ld_acq(&sn->sh);
		word = sh ? ld_acq(&sh->word) : TOE_PATH_NONE;
		if (word_path(word) == TOE_PATH_NONE)
			return;
		if (word_path(word) == TOE_PATH_KERNEL) {
			if (word_cas(&sh->word, word, TOE_PATH_NONE))
				break;
			continue;
		}
		if (sonode_upload(sn, why)) {
			word_cas(&sh->word, word, TOE_PATH_NONE);
			break;
		}
	}
	st_sc(&sh->cookie, 0);
	st(&sn->tracked, 0);
	epset_sync(sn);
}

#define ASLEEP_TRIES	400
#define ASLEEP_PAUSE_NS	50000

/* Bounded: it may be this thread's own call, interrupted by the signal handler that closes. */
void sonode_wait_asleep(struct sonode *sn)
{
	const struct timespec pause = { .tv_nsec = ASLEEP_PAUSE_NS };
	int i;

	for (i = 0; i < ASLEEP_TRIES && ld_sc(&sn->asleep) && !sys_alone(); i++)
		sys3(SYS_nanosleep, (long)&pause, NULL, 0);
}

/* Bounded: a wake-up may have been for an older word, and toed may have died. */
static void futex_wait(uint32_t *word, uint32_t old)
{
	struct timespec ts = { .tv_nsec = 100000000 };

	syscall(SYS_futex, word, FUTEX_WAIT, old, &ts, NULL, 0);
}

/* True: no longer MOVING. False: half a minute has passed. */
static bool settle(struct sonode *sn)
{
	struct toe_sonode *sh;
	uint32_t word;
	int i, err = errno;

	for (i = 0; i < 300; i++) {
		sh = ld_acq(&sn->sh);
		word = ld_acq(&sh->word);
		if (word_path(word) != TOE_PATH_MOVING)
			break;
		futex_wait(&sh->word, word);
		if (i % 10 == 9)
			daemon_check();
	}
	errno = err;
	return i < 300;
}

int sonode_upload(struct sonode *sn, enum toe_why why)
{
	int rc, i;

	batch_end();
	if (ld(&sn->inherit) == SN_INHERITED)
		sonode_adopt(sn);
	for (i = 0; i < 100; i++) {
		if (word_path(ld_acq(&ld_acq(&sn->sh)->word)) == TOE_PATH_MOVING && !settle(sn))
			break;
		if (word_path(ld_acq(&ld_acq(&sn->sh)->word)) < TOE_PATH_MOVING) {
			epset_sync(sn);
			return 0;
		}
		rc = daemon_upload(sn->fd, why);
		if (rc == -EIO)
			break;
		if (rc)
			usleep(1000);
	}
	return -EIO;
}

void sonode_stay(struct sonode *sn, enum sonode_stay reason)
{
	if (ld(&sn->inherit) == SN_INHERITED)
		sonode_adopt(sn);
	or_sc(&sn->stay, reason);
	or_sc(&ld_acq(&sn->sh)->stay, reason);
	sonode_upload(sn, reason == STAY_URING ? TOE_WHY_URING : TOE_WHY_FORK);
}

static void stay_one(struct sonode *sn)
{
	if (sonode_get(sn->fd))
		sonode_stay(sn, STAY_URING);
}

void sonode_all_stay(void)
{
	st_sc(&all_stay, 1);
	sonode_each(stay_one);
}

bool sonode_other_table(void)
{
	return ld(&toe_proc->pid) != getpid();
}

void sonode_may_go(struct sonode *sn, enum sonode_stay reason)
{
	and_sc(&sn->stay, ~reason);
	if (!ld_sc(&sn->stay))
		st_sc(&ld_acq(&sn->sh)->stay, 0);
}

uint32_t sonode_enter(struct sonode *sn, struct toe_sonode **shp)
{
	struct toe_sonode *sh;
	uint32_t word;

	for (;;) {
		if (ld(&sn->inherit) == SN_INHERITED)
			sonode_adopt(sn);
		*shp = sh = ld_acq(&sn->sh);
		word = ld_acq(&sh->word);
		switch (word_path(word)) {
		case TOE_PATH_KERNEL:
			if (users_enter(sh, word))
				return word;
			break;
		case TOE_PATH_MOVING:
			if (!settle(sn))
				return word;
			break;
		default:
			return word;
		}
	}
}

uint32_t sonode_settled(struct sonode *sn)
{
	uint32_t word = sonode_word(sn);

	if (word_path(word) == TOE_PATH_MOVING && settle(sn))
		word = sonode_word(sn);
	return word;
}

static uint8_t *run(uint8_t *slab, struct toe_ring_ref ref)
{
	if (!slab || !ring_ref_valid(ref))
		return NULL;
	return slab + (size_t)(ref.unit / TOE_CHUNK_UNITS) * TOE_CHUNK_SIZE +
	       (size_t)(ref.unit % TOE_CHUNK_UNITS << TOE_UNIT_SHIFT);
}

#define RING_BUSY	TOE_PATH_MOVING	/* no word of a connection that has rings */

/* What another thread writes meanwhile is not taken: it takes ring_word back first. */
static bool ring_known(struct sonode *sn, uint32_t word, struct ring *r)
{
	if (ld_acq(&sn->ring_word) != word || ld_acq(&sn->ring_fresh) != daemon_fresh())
		return false;
	*r = sn->ring;
	fence_acq();
	return ld(&sn->ring_word) == word && ld(r->live) == word;
}

/* Not if somebody else does, perhaps the code that a signal handler has interrupted. */
static void ring_keep(struct sonode *sn, uint32_t fresh, const struct ring *r)
{
	uint32_t old = ld(&sn->ring_word);

	if (old == RING_BUSY || !cas_sc(&sn->ring_word, &old, RING_BUSY))
		return;
	fence_rel();
	sn->ring = *r;
	st_rel(&sn->ring_fresh, fresh);
	st_rel(&sn->ring_word, r->word);
}

static int ring_find(struct sonode *sn, uint32_t word, struct ring *r)
{
	const struct toe_sonode *sh = ld_acq(&sn->sh);
	struct toe_ring_ref rx = sh->rx, tx = sh->tx;
	uint8_t *slab;

	r->word = word;
	r->live = &sh->word;
	r->connid = sh->hw_connid;
	r->gen = sh->gen;
	r->mss = sh->mss < TOE_MAX_PAYLOAD ? sh->mss : TOE_MAX_PAYLOAD;
	r->hdr_len = TOE_HDR_LEN(sh->family, sh->opts & TOE_OPT_TS);
	r->wscale = sh->rcv_wscale & 15;
	fence_acq();
	if (ld(&sh->word) != word)
		return -ESTALE;
	slab = daemon_slab(rx.slab);	/* asked for once: another toed may come at any time, and takes them back */
	r->rx = run(slab, rx);
	r->tx = run(daemon_slab(tx.slab), tx);
	if (!r->rx || !r->tx || !r->mss || rx.order < TOE_ORDER_64)
		return ld(&sh->word) != word ? -ESTALE : -ENOMEM;
	r->ctl = (struct toe_ring_ctl *)(slab + ring_ctl_at(rx));
	r->rx_size = ring_size(rx);
	r->tx_size = ring_size(tx);
	return 0;
}

#define TX_LEAST	65536

/* As Linux's tcp_sndbuf_expand(): twice what may be in flight, so that what waits is still in the caches when it leaves. And
 * what was sent beyond cwnd: it has arrived, behind something that is missing. */
static uint32_t tx_auto(const struct ring *r)
{
	uint32_t cwnd = ld(&r->ctl->cwnd), flight = ld(&r->ctl->snd_nxt) - ld(&r->ctl->snd_una);
	uint64_t most = 2ULL * cwnd;

	if (most < TX_LEAST)
		most = TX_LEAST;
	if (flight > cwnd && flight <= r->tx_size)
		most += flight - cwnd;
	return most < r->tx_size ? (uint32_t)most : r->tx_size;
}

/* What the application said about its buffers: it may say something else at any time. */
static void limits(const struct sonode *sn, struct ring *r)
{
	uint32_t rx_most = ld(&ld_acq(&sn->sh)->rx_most), sndbuf = ld(&sn->sndbuf);

	r->rx_most = rx_most && rx_most < r->rx_size ? rx_most : r->rx_size;
	r->tx_most = sndbuf && sndbuf < r->tx_size ? sndbuf : tx_auto(r);
	r->unsent_most = ld(&sn->unsent_most);
}

int sonode_ring(struct sonode *sn, uint32_t word, struct ring *r)
{
	uint32_t fresh = daemon_fresh();
	int rc;

	if (!ring_known(sn, word, r)) {
		rc = ring_find(sn, word, r);
		if (rc)
			return rc;
		ring_keep(sn, fresh, r);
	}
	sonode_opts(sn, word);
	limits(sn, r);
	return 0;
}

static int opt_int(int fd, int level, int opt)
{
	socklen_t len = sizeof(int);
	int v = 0;

	return real.getsockopt(fd, level, opt, &v, &len) < 0 ? 0 : v;
}

static int64_t opt_timeo(int fd, int opt)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);

	if (real.getsockopt(fd, SOL_SOCKET, opt, &tv, &len) < 0)
		return 0;
	return tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL;
}

void sonode_opts_read(struct sonode *sn, uint32_t word)
{
	int fd = sn->fd, fl, lowat, err = errno;
	uint32_t seq;

	seq = ld_sc(&sn->opts_seq);
	fl = real.fcntl(fd, F_GETFL);
	lowat = opt_int(fd, SOL_SOCKET, SO_RCVLOWAT);
	st(&sn->nonblock, fl >= 0 && (fl & O_NONBLOCK));
	st(&sn->lowat, lowat > 0 ? lowat : 1);
	/* the kernel doubles what it is given, and of bulk almost all of that is payload */
	st(&sn->sndbuf, opt_int(fd, SOL_SOCKET, SO_BUF_LOCK) & 1 ? opt_int(fd, SOL_SOCKET, SO_SNDBUF) : 0);
	st(&sn->unsent_most, opt_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
	st(&sn->nodelay, !!opt_int(fd, IPPROTO_TCP, TCP_NODELAY));
	st(&sn->cork, !!opt_int(fd, IPPROTO_TCP, TCP_CORK));
	st(&sn->inq, !!opt_int(fd, IPPROTO_TCP, TCP_INQ));
	st(&sn->rcvtimeo_ns, opt_timeo(fd, SO_RCVTIMEO));
	st(&sn->sndtimeo_ns, opt_timeo(fd, SO_SNDTIMEO));
	st_sc(&sn->opts_word, word);
	if (ld_sc(&sn->opts_seq) != seq)	/* one was changed while they were read */
		st_sc(&sn->opts_word, 0);
	errno = err;
}

void sonode_opts_stale(struct sonode *sn)
{
	add_sc(&sn->opts_seq, 1);
	st_sc(&sn->opts_word, 0);
}

static struct cmsghdr *next_rights(const struct msghdr *m, struct cmsghdr *c)
{
	struct msghdr *mm = (struct msghdr *)(uintptr_t)m;

	for (c = c ? CMSG_NXTHDR(mm, c) : CMSG_FIRSTHDR(mm); c; c = CMSG_NXTHDR(mm, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			return c;
	return NULL;
}

/* How often fn says yes. */
static int each_right(const struct msghdr *m, bool (*fn)(int fd))
{
	struct cmsghdr *c = NULL;
	size_t i, n;
	int fd, found = 0;

	while ((c = next_rights(m, c))) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			found += fn(fd);
		}
	}
	return found;
}

static bool is_tracked(int fd)
{
	return sonode_get(fd);
}

static bool put_right(int fd)
{
	struct sonode *sn = sonode_get(fd);

	if (sn)
		sonode_stay(sn, STAY_SHARED);
	return sn;
}

static bool take_right(int fd)
{
	sonode_found(fd);
	return true;
}

int sonode_in_rights(const struct msghdr *m)
{
	return each_right(m, is_tracked);
}

void sonode_put_rights(const struct msghdr *m)
{
	each_right(m, put_right);
}

void sonode_take_rights(struct msghdr *m)
{
	each_right(m, take_right);
}
