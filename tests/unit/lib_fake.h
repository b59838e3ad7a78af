/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A daemon and an engine in two threads of the test program. The "engine"
 * carries bytes between the rings and the kernel socket, which is not parked;
 * the "TAP" is one end of a SOCK_SEQPACKET pair, whose frames are checked.
 * What parking does to readers, sleeping ones too, is played in front of libc's
 * calls: EPIPE.
 * An upload waits until the application has read what is in the rx ring and the tx ring is empty.
 */
#ifndef LIB_FAKE_H
#define LIB_FAKE_H

#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/csum.h"
#include "lib/daemon.h"
#include "lib/real.h"
#include "lib/ring.h"
#include "toe/desc.h"

/* A build with ASAN=1: slots lie in a mapping, where it does not look for pointers. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

#define FAKE_CONNS	16
#define FAKE_QPS	32
#define FAKE_ORDER	4	/* 128 KiB, two chunks */
#define FAKE_MSS	1448

struct fake_conn {
	int fd, sock, on, drain;
	uint32_t connid, gen, rcv_nxt, snd_nxt;
	uint64_t cookie;
	unsigned int qp;
	struct ring r;
};

static struct fake {
	char dir[64];
	int lsock, efd, table_fd, slab_fd;
	struct toe_sonode *table;
	uint8_t *slab;
	pthread_mutex_t lock;
	pthread_t server, engine;
	int stop, killed;	/* killed: no more daemon, the engine goes on */
	pid_t pid;
	int tap[FAKE_QPS], libend[FAKE_QPS];
	unsigned int nr_qps;
	int lose;		/* so many BINDs to come */
	struct fake_conn conns[FAKE_CONNS];
	unsigned long bad, frames, trains, batches, acks, binds, doorbells, uploads, offloads;
} fake;

static ssize_t (*libc_recvmsg)(int fd, struct msghdr *m, int flags);
static ssize_t (*libc_recv)(int fd, void *buf, size_t len, int flags);
static ssize_t (*libc_read)(int fd, void *buf, size_t len);

static void fake_futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static struct fake_conn *fake_find(int fd)
{
	for (int i = 0; i < FAKE_CONNS; i++)
		if (fake.conns[i].on && fake.conns[i].fd == fd)
			return &fake.conns[i];
	return NULL;
}

static uint64_t fake_cookie(int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

/* By whatever descriptor. */
static bool fake_parked(int fd)
{
	uint64_t cookie = fake_cookie(fd);

	for (int i = 0; i < FAKE_CONNS; i++)
		if (fake.conns[i].on && fake.conns[i].cookie == cookie)
			return true;
	return false;
}

/* A reader on the kernel path: nothing while the socket would be parked. */
static ssize_t fake_recvmsg(int fd, struct msghdr *m, int flags)
{
	size_t want = m->msg_iovlen == 1 ? m->msg_iov->iov_len : 0;
	bool all = flags & MSG_WAITALL && !(flags & MSG_PEEK) && want, wait = !(flags & MSG_DONTWAIT);
	struct iovec iov = { all ? m->msg_iov->iov_base : NULL, want };
	struct msghdr rest = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (getpid() != fake.pid)	/* knows nothing of our moves */
		return libc_recvmsg(fd, m, flags);
	wait &= !(fcntl(fd, F_GETFL) & O_NONBLOCK);
	for (;;) {
		pthread_mutex_lock(&fake.lock);
		n = fake_parked(fd);
		errno = EPIPE;
		n = n ? -1 : libc_recvmsg(fd, all ? &rest : m, (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
		pthread_mutex_unlock(&fake.lock);
		if (all && n > 0) {
			iov.iov_base = (char *)iov.iov_base + n;
			iov.iov_len -= n;
		}
		if (!wait || (all ? n == 0 || !iov.iov_len : n >= 0) || (n < 0 && errno != EAGAIN))
			break;
		if (n < 0 && real.poll(&p, 1, 1) < 0)
			break;
	}
	return all && iov.iov_len < want ? (ssize_t)(want - iov.iov_len) : n;
}

static ssize_t fake_recv(int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = { buf, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return fake_recvmsg(fd, &m, flags);
}

static ssize_t fake_read(int fd, void *buf, size_t len)
{
	struct stat st;

	return fstat(fd, &st) || !S_ISSOCK(st.st_mode) ? libc_read(fd, buf, len) : fake_recv(fd, buf, len, 0);
}

static ssize_t fake_readv(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (void *)(uintptr_t)iov, .msg_iovlen = n };

	return fake_recvmsg(fd, &m, 0);
}

static void fake_in_front(void)
{
	libc_recvmsg = real.recvmsg;
	libc_recv = real.recv;
	libc_read = real.read;
	real.recvmsg = fake_recvmsg;
	real.recv = fake_recv;
	real.read = fake_read;
	real.readv = fake_readv;
}

static struct toe_qp_wake *fake_wake_block(unsigned int qp)
{
	return (void *)(fake.slab + (size_t)(TOE_SLAB_CHUNKS - 1 - qp) * TOE_CHUNK_SIZE);
}

static void fake_ring_bell(struct fake_conn *c)
{
	struct toe_qp_wake *w = fake_wake_block(c->qp);
	char junk[4096];

	if (!c->qp)
		return;
	__atomic_fetch_or(&w->words[c->connid / 64], 1ULL << c->connid % 64, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&w->summary[c->connid / 4096], 1ULL << c->connid / 64 % 64, __ATOMIC_SEQ_CST);
	if (!__atomic_exchange_n(&w->armed, 0, __ATOMIC_SEQ_CST))
		return;
	while (libc_recv(fake.libend[c->qp], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	real.send(fake.tap[c->qp], "d", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	fake.doorbells++;
}

static void fake_word(int fd, uint32_t path)
{
	struct toe_moved *log = (void *)(fake.table + TOE_SONODES);
	uint32_t *p = &fake.table[fd].word, w = ld_acq(p);

	word_cas(p, w, path);
	log->fd[log->head % TOE_MOVED_RING] = fd;
	st_rel(&log->head, log->head + 1);
	fake_futex_wake(p);
}

static void fake_announce(void)
{
	uint64_t one = 1;

	real.write(fake.efd, &one, sizeof(one));
}

static bool fake_begin(int fd, uint32_t path)
{
	uint32_t *p = &fake.table[fd].word, w = ld_acq(p);

	return word_path(w) == path && word_cas(p, w, TOE_PATH_MOVING);
}

static void fake_rings(struct fake_conn *c, int i)
{
	struct toe_sonode *s = &fake.table[c->fd];
	unsigned int first = 4 * i;
	struct ring *r = &c->r;

	s->hw_connid = c->connid;
	s->gen = ++c->gen;
	s->rx = (struct toe_ring_ref){ 0, first * TOE_CHUNK_UNITS, FAKE_ORDER };
	s->tx = (struct toe_ring_ref){ 0, (first + 2) * TOE_CHUNK_UNITS, FAKE_ORDER };
	s->mss = FAKE_MSS;
	s->family = 2;
	s->opts = TOE_OPT_TS;
	s->rcv_wscale = 2;
	r->rx = fake.slab + (size_t)first * TOE_CHUNK_SIZE;
	r->tx = r->rx + 2 * (size_t)TOE_CHUNK_SIZE;
	r->ctl = (void *)(fake.slab + ring_ctl_at(s->rx));
	r->rx_size = r->tx_size = ring_size(s->rx);
	c->rcv_nxt = random() << 1;
	c->snd_nxt = random() << 1;
	memset(r->ctl, 0, sizeof(*r->ctl));
	r->ctl->rcv_nxt = r->ctl->rx_read = c->rcv_nxt;
	r->ctl->rcv_adv = c->rcv_nxt + r->rx_size - 4;
	r->ctl->snd_una = r->ctl->snd_nxt = r->ctl->tx_filled = c->snd_nxt;
	r->ctl->snd_edge = c->snd_nxt + 20000;
	r->ctl->cwnd = 20000;
	r->ctl->srtt_us = 1234;
}

static bool fake_offload(int fd)
{
	struct fake_conn *c = NULL;
	int i;

	if (!fake_begin(fd, TOE_PATH_KERNEL))
		return false;
	for (i = 0; i < 20 && ld_sc(&fake.table[fd].users); i++)
		usleep(100);
	pthread_mutex_lock(&fake.lock);
	for (i = 0; i < FAKE_CONNS && !c; i++)
		if (!fake.conns[i].on)
			c = &fake.conns[i];
	if (ld_sc(&fake.table[fd].users) || !c) {
		fake_word(fd, TOE_PATH_KERNEL);
		pthread_mutex_unlock(&fake.lock);
		fake_announce();
		return false;
	}
	c->fd = fd;
	c->sock = real.fcntl(fd, F_DUPFD_CLOEXEC, (void *)800L);
	c->cookie = fake_cookie(fd);
	c->connid = 4093 * (FAKE_CONNS - (c - fake.conns));	/* in all words of the summary */
	c->qp = 0;
	fake_rings(c, c - fake.conns);
	c->on = 1;
	c->drain = 0;
	fake.offloads++;
	fake_word(fd, TOE_PATH_HW);
	pthread_mutex_unlock(&fake.lock);
	fake_announce();
	return true;
}

static void fake_tx(struct fake_conn *c, int flags)
{
	uint32_t filled = (uint32_t)ld_acq(&c->r.ctl->tx_filled);
	size_t n;

	while (filled != c->snd_nxt) {
		uint8_t *p = tx_piece(&c->r, c->snd_nxt, filled - c->snd_nxt, &n);
		ssize_t k = real.send(c->sock, p, n, flags | MSG_NOSIGNAL);

		if (k <= 0)
			return;
		c->snd_nxt += k;
		st_sc(&c->r.ctl->snd_edge, c->snd_nxt + 20000);
		st_sc(&c->r.ctl->snd_nxt, c->snd_nxt);
		st_sc(&c->r.ctl->snd_una, c->snd_nxt);
		if (ld_sc(&c->r.ctl->want_write) || filled != c->snd_nxt)
			fake_ring_bell(c);
	}
}

static void fake_rx(struct fake_conn *c)
{
	uint32_t read = (uint32_t)ld_acq(&c->r.ctl->rx_read);
	size_t room = c->r.rx_size - (c->rcv_nxt - read), n;
	uint8_t *p = rx_piece(&c->r, c->rcv_nxt, room, &n);
	ssize_t k = n && !ld(&c->drain) ? libc_recv(c->sock, p, n, MSG_DONTWAIT) : 0;

	if (k <= 0)
		return;
	c->rcv_nxt += k;
	st_sc(&c->r.ctl->rcv_nxt, c->rcv_nxt);
	fake_ring_bell(c);
}

static int fake_upload(int fd, bool discard)
{
	struct fake_conn *c;

	pthread_mutex_lock(&fake.lock);
	c = fake_find(fd);
	if (!c || !fake_begin(fd, TOE_PATH_HW)) {
		pthread_mutex_unlock(&fake.lock);
		return c ? -EAGAIN : -ENOENT;
	}
	__atomic_fetch_or(&c->r.ctl->rx_read, TOE_FROZEN, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&c->r.ctl->tx_filled, TOE_FROZEN, __ATOMIC_SEQ_CST);
	fake_tx(c, MSG_DONTWAIT);
	if (!discard && ((uint32_t)c->r.ctl->rx_read != c->rcv_nxt || (uint32_t)c->r.ctl->tx_filled != c->snd_nxt)) {
		__atomic_fetch_and(&c->r.ctl->rx_read, ~TOE_FROZEN, __ATOMIC_SEQ_CST);
		__atomic_fetch_and(&c->r.ctl->tx_filled, ~TOE_FROZEN, __ATOMIC_SEQ_CST);
		fake_word(fd, TOE_PATH_HW);
		pthread_mutex_unlock(&fake.lock);
		fake_announce();
		return -EAGAIN;
	}
	c->on = 0;
	real.close(c->sock);
	fake.uploads++;
	fake_word(fd, TOE_PATH_KERNEL);
	pthread_mutex_unlock(&fake.lock);
	fake_announce();
	return 0;
}

/* Stop receiving for a moment so that the application can read everything. */
static inline int fake_upload_drained(int fd)
{
	struct fake_conn *c;
	int i, rc = -ENOENT;

	pthread_mutex_lock(&fake.lock);
	c = fake_find(fd);
	pthread_mutex_unlock(&fake.lock);
	if (!c)
		return rc;
	st(&c->drain, 1);
	for (i = 0; i < 300 && (rc = fake_upload(fd, false)) == -EAGAIN; i++)
		usleep(200);
	st(&c->drain, 0);
	return rc;
}

/* A frame written by the library: is it what toe_tx would accept? */
static void fake_frame(unsigned int qp, const uint8_t *f, size_t len)
{
	struct toe_desc d;
	struct fake_conn *c = NULL;
	size_t hdr = TOE_HDR_LEN(2, 1);

	memcpy(&d, f, sizeof(d));
	fake.frames++;
	if (d.op == TOE_OP_BATCH) {	/* fake_engine() sends what there is */
		fake.batches++;
		fake.bad += d.nr < 2 || d.nr > TOE_MAX_BATCH || len < TOE_BATCH_OFF + d.nr * sizeof(struct toe_batch_item);
		return;
	}
	for (int i = 0; i < FAKE_CONNS; i++)
		if (fake.conns[i].on && fake.conns[i].connid == d.hw_connid && fake.conns[i].gen == d.gen)
			c = &fake.conns[i];
	if (len != hdr + d.len || d.magic != TOE_DESC_MAGIC || d.len > FAKE_MSS)
		fake.bad++;
	else if (d.op == TOE_OP_TRAIN)
		fake.bad += d.len != FAKE_MSS || d.nr < 2 || d.nr > TOE_MAX_TRAIN || !d.last || d.last > d.len;
	else if (csum_partial(f + hdr, d.len) != d.csum)
		fake.bad++;
	fake.trains += d.op == TOE_OP_TRAIN;
	if (d.op == TOE_OP_BIND)
		fake.binds++;
	if (d.op == TOE_OP_BIND && ld(&fake.lose)) {	/* as where the entry is locked for long */
		st(&fake.lose, fake.lose - 1);
		return;
	}
	if (d.op == TOE_OP_ACK)
		fake.acks++;
	if (c && d.op == TOE_OP_BIND) {
		c->qp = qp;	/* late, as the library does not wait for us */
		st(&c->r.ctl->qp, qp);
		fake_ring_bell(c);
	}
	if (c && d.op == TOE_OP_ACK)
		st(&c->r.ctl->rcv_adv, (uint32_t)c->r.ctl->rx_read + c->r.rx_size - 4);
}

static void *fake_engine(void *arg)
{
	uint8_t f[8192];
	ssize_t n;

	while (!ld(&fake.stop)) {
		pthread_mutex_lock(&fake.lock);
		for (unsigned int q = 1; q <= fake.nr_qps; q++)
			while ((n = libc_recv(fake.tap[q], f, sizeof(f), MSG_DONTWAIT)) > 0)
				fake_frame(q, f, n);
		for (int i = 0; i < FAKE_CONNS; i++) {
			if (!fake.conns[i].on)
				continue;
			fake_rx(&fake.conns[i]);
			fake_tx(&fake.conns[i], MSG_DONTWAIT);
		}
		pthread_mutex_unlock(&fake.lock);
		usleep(50);
	}
	return arg;
}

static void fake_reply(int s, struct toe_msg *m, int *fds, int n)
{
	char ctl[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n) {
		h.msg_control = ctl;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	real.sendmsg(s, &h, MSG_NOSIGNAL);
}

static void fake_new_qp(int s, struct toe_msg *m)
{
	int pair[2];

	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	pthread_mutex_lock(&fake.lock);
	m->qp = fake.nr_qps + 1;
	m->chunk = TOE_SLAB_CHUNKS - 1 - m->qp;
	fake.tap[m->qp] = pair[0];
	fake.libend[m->qp] = pair[1];
	fake.nr_qps++;
	pthread_mutex_unlock(&fake.lock);
	fake_reply(s, m, &pair[1], 1);
}

static void fake_serve(int s, struct toe_msg *m, bool first)
{
	int fds[2] = { fake.table_fd, fake.efd };

	m->rc = 0;
	switch (m->type) {
	case TOE_MSG_HELLO:
		if (!first)	/* a child: a table of its own */
			fds[0] = memfd_create("table", 0);
		if (!first && ftruncate(fds[0], TOE_TABLE_SIZE))
			abort();
		if (!first)	/* its threads are all there meanwhile */
			usleep(50000);
		fake_reply(s, m, fds, 2);
		if (!first)
			real.close(fds[0]);
		break;
	case TOE_MSG_QP:
		fake_new_qp(s, m);
		break;
	case TOE_MSG_SLAB:
		fake_reply(s, m, &fake.slab_fd, 1);
		break;
	case TOE_MSG_UPLOAD:
		m->rc = fake_upload(m->fd, m->why == TOE_WHY_CLOSE);
		fake_reply(s, m, NULL, 0);
		break;
	default:
		m->rc = -EINVAL;
		fake_reply(s, m, NULL, 0);
	}
}

static void *fake_server(void *arg)
{
	struct pollfd p[8] = { { .fd = fake.lsock, .events = POLLIN } };
	struct toe_msg m;
	int i, n = 1;

	while (!ld(&fake.stop) && !ld(&fake.killed)) {
		real.poll(p, n, 20);
		for (i = 1; i < n; i++)
			if (p[i].revents && libc_recv(p[i].fd, &m, sizeof(m), 0) == sizeof(m))
				fake_serve(p[i].fd, &m, i == 1);
			else if (p[i].revents)
				p[i].fd = -1;
		if (p[0].revents && n < 8) {
			p[n].fd = real.accept(fake.lsock, NULL, NULL);
			p[n++].events = POLLIN;
		}
	}
	while (n)
		real.close(p[--n].fd);
	return arg;
}

static void fake_start(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	pthread_mutex_init(&fake.lock, NULL);
	fake.pid = getpid();
	fake_in_front();
	strcpy(fake.dir, "/tmp/toefake-XXXXXX");
	if (!mkdtemp(fake.dir))
		abort();
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/app.sock", fake.dir);
	fake.lsock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(fake.lsock, (void *)&a, sizeof(a)) || listen(fake.lsock, 8))
		abort();
	setenv("TOE_RUNDIR", fake.dir, 1);
	daemon_init();		/* as at the start */
	fake.efd = eventfd(0, EFD_CLOEXEC);
	fake.table_fd = memfd_create("table", MFD_CLOEXEC);
	fake.slab_fd = memfd_create("slab", MFD_CLOEXEC);
	if (ftruncate(fake.table_fd, TOE_TABLE_SIZE) ||
	    ftruncate(fake.slab_fd, TOE_SLAB_SIZE))
		abort();
	fake.table = mmap(NULL, TOE_TABLE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED, fake.table_fd, 0);
	fake.slab = mmap(NULL, TOE_SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fake.slab_fd, 0);
	pthread_create(&fake.server, NULL, fake_server, NULL);
	pthread_create(&fake.engine, NULL, fake_engine, NULL);
}

static void fake_stop(void)
{
	char path[128];

	st(&fake.stop, 1);
	pthread_join(fake.server, NULL);
	pthread_join(fake.engine, NULL);
	snprintf(path, sizeof(path), "%s/app.sock", fake.dir);
	unlink(path);
	rmdir(fake.dir);
}

#endif
