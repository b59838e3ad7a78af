/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include "batch.h"
#include "daemon.h"
#include "intfd.h"
#include "io.h"
#include "iokern.h"
#include "real.h"
#include "sys.h"
#include "tx.h"
#include "user.h"
#include "wait.h"

/*
 * Another process shares the descriptor and its path changed there: what a
 * parked socket answers. Ask for the upload, then try once more.
 */
static bool parked_elsewhere(struct sonode *sn, struct io *io)
{
	int err = errno;

	if (ld(&sn->inherit) != SN_SHARED || io->retries++ > 3)
		return false;
	if (err != EPERM && err != EINVAL && err != EPIPE && err != ENOTCONN)
		return false;
	if (daemon_upload(sn->fd, TOE_WHY_FORK)) {
		errno = err;
		return false;
	}
	return true;
}

/* The slot was tracked, but the descriptor is no socket any more: closed where we do not see it. */
static bool not_ours(struct sonode *sn)
{
	if (errno != ENOTSOCK)
		return false;
	sonode_untrack(sn, TOE_WHY_CLOSE);
	return true;
}

/* These are the caller's own, whatever path it was on. */
static bool has_changed(int err)
{
	return err != EINTR && err != EFAULT && err != EBADF;
}

void kernel_begin(struct kernel_use *use, struct sonode *sn, enum toe_why why)
{
	batch_end();
	use->sh = NULL;
	use->word = TOE_PATH_NONE;
	while (sn && !sonode_upload(sn, why)) {	/* no toed: the parked socket answers */
		use->word = sonode_enter(sn, &use->sh);
		if (word_path(use->word) != TOE_PATH_HW)
			break;
	}
	if (word_path(use->word) != TOE_PATH_KERNEL)
		use->sh = NULL;
	if (use->sh)
		use->cookie = ld(&use->sh->cookie);
}

bool kernel_end(struct kernel_use *use, bool failed)
{
	int err = errno;
	bool same = !use->sh || users_leave(use->sh, use->word);

	errno = err;	/* closed meanwhile: the number may be another connection's */
	return !same && failed && has_changed(err) && ld(&use->sh->cookie) == use->cookie;
}

void kernel_cancelled(void *use)
{
	kernel_end(use, false);
}

/*
 * While a call sleeps the descriptor may be closed, and its number be another connection's when it wakes up. The kernel's calls keep the
 * file that they began with; so does ours, as soon as it has slept, in the form of a descriptor of its own.
 */
static bool is_file(int fd, uint64_t cookie)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t now = 0;

	return !real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &now, &len) && now == cookie;
}

/* False: it is gone. With one thread nobody closes it meanwhile. */
static bool hold(struct sonode *sn, struct io *io)
{
	if (io->file >= 0 || !io->cookie)
		return true;
	if (sys_alone() || intfd_hold(&io->file, sn->fd))	/* or there is no descriptor left */
		return is_file(sn->fd, io->cookie);
	if (is_file(io->file, io->cookie))
		return true;
	intfd_close(&io->file);
	return false;
}

static void let_go(void *arg)
{
	struct io *io = arg;
	int err;

	if (__builtin_expect(io->file < 0, 1))
		return;
	err = errno;
	intfd_close(&io->file);
	errno = err;
}

static int file_of(const struct sonode *sn, const struct io *io)
{
	int file = ld(&io->file);

	return file >= 0 ? file : sn->fd;
}

/* The path of the call's own connection, whatever the number stands for now. */
static uint32_t own_word(const struct sonode *sn, struct io *io, uint32_t word)
{
	uint64_t now = sonode_cookie(sn);

	if (!io->cookie)
		io->cookie = now;
	return io->cookie == now ? word : TOE_PATH_NONE;
}

enum { IO_AGAIN = 0, IO_DONE = 1, IO_GO = 2 };

static int sleep_on(struct sonode *sn, struct io *io, const struct ring *r, int64_t timeo_ns,
		    bool (*ready)(const struct ring *r, size_t need), size_t need)
{
	struct waitctx *c = wait_ctx();
	int rc;

	batch_wait();
	if (!c || wait_watch(c, sn, r)) {
		if (!sonode_upload(sn, TOE_WHY_CALL))
			return IO_AGAIN;
		errno = EIO;
		return IO_DONE;
	}
	if (ready(r, need) || sonode_word(sn) != r->word)
		return IO_AGAIN;
	if (timeo_ns && !io->deadline_ns)
		io->deadline_ns = wait_deadline(timeo_ns);
	if (io->deadline_ns && wait_now() >= io->deadline_ns) {
		errno = EAGAIN;
		return IO_DONE;
	}
	rc = wait_sleep(c, io->deadline_ns);
	if (!rc || (rc == -EINTR && !timeo_ns && wait_restarts()))
		return IO_AGAIN;
	errno = -rc;
	return IO_DONE;
}

static void sleeps_no_more(void *sn)
{
	add_sc(&((struct sonode *)sn)->asleep, -1);
}

/* Counted until it holds the file: who closes waits for that. */
static int blocked(struct sonode *sn, struct io *io, const struct ring *r, int64_t timeo_ns,
		   bool (*ready)(const struct ring *r, size_t need), size_t need)
{
	int rc, err;

	add_sc(&sn->asleep, 1);
	pthread_cleanup_push(sleeps_no_more, sn);
	rc = sleep_on(sn, io, r, timeo_ns, ready, need);
	err = errno;
	if (rc == IO_AGAIN && sonode_word(sn) != r->word)
		hold(sn, io);
	errno = err;
	pthread_cleanup_pop(1);
	return rc;
}

static bool rx_ready(const struct ring *r, size_t need)
{
	uint32_t pos;

	return !pos_load(&r->ctl->rx_read, &pos) || ring_avail(r, pos) >= need;
}

static bool tx_ready(const struct ring *r, size_t need)
{
	uint32_t pos;

	return !pos_load(&r->ctl->tx_filled, &pos) ||
	       (ring_space(r, pos) >= need && ring_unsent_low(r, pos, need > 1));
}

/*
 * RFC 9293 3.8.6.2.2, in the measure of Linux: tell the peer when what it may
 * send has at least doubled and grows by two segments or half the ring.
 */
static void window_update(struct sonode *sn, const struct ring *r)
{
	uint32_t pos, adv = ld(&r->ctl->rcv_adv), least = 2 * r->mss, due = ld(&r->ctl->ack_due);
	int32_t known, gain;

	if (!pos_load(&r->ctl->rx_read, &pos))
		return;
	known = adv - ld_acq(&r->ctl->rcv_nxt);
	gain = pos + r->rx_most - (1U << r->wscale) - adv;
	if (least > r->rx_most / 2)
		least = r->rx_most / 2;
	if (known < 0)
		known = 0;
	/* or two full segments wait for one: their frames were needed as doorbells (RFC 5681 4.2) */
	if ((gain >= (int32_t)least && gain >= known && (uint32_t)known < r->rx_most / 2) ||
	    due >= TOE_ACK_URGENT)
		tx_ack(sn, r);
	else if (due == TOE_ACK_SEVERAL)
		batch_owe(sn);
}

/* IO_GO: r and the options are good for this pass. Else what the pass returns. */
static int pass_begin(struct sonode *sn, uint32_t word, struct ring *r)
{
	int rc = sonode_ring(sn, word, r);

	if (rc == -ESTALE || (rc && !sonode_upload(sn, TOE_WHY_CALL)))
		return IO_AGAIN;
	if (!rc)
		return IO_GO;
	errno = EIO;
	return IO_DONE;
}

static size_t rx_target(struct sonode *sn, const struct io *io, const struct ring *r)
{
	size_t n = io->flags & MSG_WAITALL ? io->len : ld(&sn->lowat);

	if (n > io->len)
		n = io->len;
	if (io->flags & MSG_PEEK && n > r->rx_most / 2)
		n = r->rx_most / 2;
	return n;
}

/* One pass on the rx ring. */
static int rx_pass(struct sonode *sn, struct io *io, uint32_t word)
{
	bool peek = io->flags & MSG_PEEK;
	size_t target, need;
	struct ring r;
	ssize_t n;
	int rc;

	rc = pass_begin(sn, word, &r);
	if (rc != IO_GO)
		return rc;
	if (peek)
		io->done = 0;
	n = ring_take(&r, io->iov, io->niov, io->done, io->len - io->done, peek, io->flags & MSG_TRUNC);
	if (n < 0) {
		sched_yield();
		return IO_AGAIN;
	}
	io->done += n;
	if (n && !peek)
		window_update(sn, &r);
	target = rx_target(sn, io, &r);
	if (io->done >= target)
		return IO_DONE;
	errno = EAGAIN;
	if (io->flags & MSG_DONTWAIT || ld(&sn->nonblock))
		return IO_DONE;
	need = peek ? target : 1;
	return blocked(sn, io, &r, ld(&sn->rcvtimeo_ns), rx_ready, need);
}

ssize_t io_take(struct sonode *sn, uint32_t word, void *buf, size_t len)
{
	const uint8_t *from;
	uint32_t pos, n;
	size_t piece;
	struct ring r;

	if (no_memory(buf, len) || sonode_ring(sn, word, &r) || !pos_load(&r.ctl->rx_read, &pos))
		return 0;
	n = ring_avail(&r, pos);
	if (n > len)
		n = len;
	if (!n || (n < len && n < ld(&sn->lowat)))
		return 0;
	from = rx_piece(&r, pos, n, &piece);
	if (piece < n)
		return 0;
	memcpy(buf, from, n);
	fence_acq();		/* as ring_take() */
	if (ring_stale(&r) || !pos_commit(&r.ctl->rx_read, pos, pos + n))
		return 0;
	window_update(sn, &r);
	return n;
}

static ssize_t result(const struct io *io)
{
	return io->done || !io->len ? (ssize_t)io->done : -1;
}

/* True: return *ret, false: again. */
static bool recv_kernel(struct sonode *sn, struct io *io, uint32_t word, ssize_t *ret)
{
	ssize_t n;
	int err;
	bool moved;

	batch_end();
	n = iokern_recv(file_of(sn, io), io);
	err = n < 0 ? errno : 0;
	moved = word_path(word) == TOE_PATH_KERNEL && sonode_word(sn) != word;
	if (n < 0)
		errno = err;
	if (n < 0 && ((moved && has_changed(err)) || (word_path(word) && not_ours(sn)) || parked_elsewhere(sn, io)))
		return false;
	if (!n && moved && io->len > io->done)
		return false;
	if (n > 0 && moved && io->flags & MSG_PEEK)	/* it may be another queue that was looked at */
		return false;
	if (n > 0 && moved && io->flags & MSG_WAITALL && !(io->flags & MSG_PEEK) &&
	    io->done + n < io->len) {
		io->done += n;
		return false;
	}
	io->from_kernel = !io->done;
	*ret = io->done ? (ssize_t)io->done + (n > 0 ? n : 0) : n;
	return true;
}

static ssize_t no_such_memory(void)
{
	errno = EFAULT;
	return -1;
}

/* In hardware; or in a move that no toed ends. True: return *ret. */
static inline __attribute__((always_inline)) bool ring_pass(struct sonode *sn, struct io *io, uint32_t word, bool nothing, bool fault,
							     int (*pass)(struct sonode *sn, struct io *io, uint32_t word), ssize_t *ret)
{
	bool done = true;

	if (word_path(word) == TOE_PATH_MOVING) {
		errno = EIO;
		*ret = result(io);
	} else if (nothing) {
		*ret = 0;
	} else if (fault) {
		*ret = no_such_memory();
	} else {
		done = pass(sn, io, word) == IO_DONE;
		*ret = result(io);
	}
	return done;
}

/* A reader need not be counted in users: in repair mode it gets an error, and bytes taken before are gone. */
static bool recv_pass(struct sonode *sn, struct io *io, bool again, ssize_t *ret)
{
	uint32_t word = own_word(sn, io, sonode_settled(sn));

	if (word_path(word) >= TOE_PATH_MOVING)
		return ring_pass(sn, io, word, !io->len && !(io->flags & MSG_PEEK), io->fault && !(io->flags & MSG_TRUNC), rx_pass, ret);
	if (!again || hold(sn, io))
		return recv_kernel(sn, io, word, ret);
	*ret = (ssize_t)io->done;	/* none: the end */
	return true;
}

ssize_t io_recv(struct sonode *sn, struct io *io)
{
	bool again = false;
	ssize_t ret;

	io->file = -1;
	io->cookie = 0;
	pthread_cleanup_push(let_go, io);
	while (!recv_pass(sn, io, again, &ret))
		again = true;
	pthread_cleanup_pop(1);
	return ret;
}

static void waits_no_more(void *sn)
{
	add_sc(&((struct sonode *)sn)->wwait, -1);
}

/* One pass on the tx ring. */
static int tx_pass(struct sonode *sn, struct io *io, uint32_t word)
{
	bool more = io->flags & MSG_MORE;
	struct ring r;
	ssize_t n;
	size_t need;
	int rc;

	rc = pass_begin(sn, word, &r);
	if (rc != IO_GO)
		return rc;
	if (!tx_lock(sn))	/* interrupted by its own signal handler: let the kernel queue it */
		return sonode_upload(sn, TOE_WHY_CALL) ? IO_DONE : IO_AGAIN;
	n = tx_put(sn, &r, io->iov, io->niov, io->done, io->len - io->done);
	if (n >= 0)
		io->done += n;
	if (more || n < 0 || io->done < io->len || !batch_put(sn, &r))
		tx_push(sn, &r, more && io->done == io->len, false);
	tx_unlock(sn);
	batch_check();
	if (n < 0) {
		sched_yield();
		return IO_AGAIN;
	}
	if (io->done == io->len) {
		if (ld(&r.ctl->want_write) && !ld(&sn->members))
			io_writable(sn, &r);
		return IO_DONE;
	}
	want_write(r.ctl);
	if (tx_ready(&r, 1))	/* room came while this was said */
		return IO_AGAIN;
	errno = EAGAIN;
	if (io->flags & MSG_DONTWAIT || ld(&sn->nonblock))
		return IO_DONE;
	need = io->len - io->done;
	if (need > r.tx_most / 3)
		need = r.tx_most / 3;
	add_sc(&sn->wwait, 1);
	pthread_cleanup_push(waits_no_more, sn);
	want_write(r.ctl);
	rc = blocked(sn, io, &r, ld(&sn->sndtimeo_ns), tx_ready, need);
	pthread_cleanup_pop(1);
	return rc;
}

/*
 * The send buffer is full and the caller blocks. It sleeps here, outside the
 * call and not counted in users: a thread asleep inside could still wake up and
 * fill the queues of a socket that is being parked. 0: again, 1: errno says why not.
 */
static int kernel_full(struct sonode *sn, struct io *io)
{
	struct waitctx *c = wait_ctx();
	struct pollfd p[2] = { { .events = POLLOUT }, { .fd = c ? c->epfd : -1, .events = POLLIN } };
	int64_t timeo = ld(&sn->sndtimeo_ns);
	int n;

	if (timeo && !io->deadline_ns)
		io->deadline_ns = wait_deadline(timeo);
	batch_end();
	errno = EAGAIN;
	if (io->deadline_ns && wait_now() >= io->deadline_ns)
		return 1;
	if (!hold(sn, io))
		return 0;
	p[0].fd = file_of(sn, io);
	/* a parking that was just missed changes the word and writes the eventfd that epfd holds */
	n = real.poll(p, 2, wait_ms(io->deadline_ns));
	if (n < 0)
		return errno != EINTR || timeo || !wait_restarts();
	if (p[1].revents)
		wait_drain(c);
	return 0;
}

static bool send_blocks(struct sonode *sn, const struct io *io, uint32_t word)
{
	sonode_opts(sn, word);
	return !(io->flags & MSG_DONTWAIT) && !ld(&sn->nonblock);
}

static bool send_result(struct io *io, ssize_t n, int err, bool plain, ssize_t *ret)
{
	*ret = io->done ? (ssize_t)io->done + (n > 0 ? n : 0) : n;
	if (*ret < 0 && err == EPIPE && !plain && !(io->flags & MSG_NOSIGNAL))
		pthread_kill(pthread_self(), SIGPIPE);
	if (*ret < 0)
		errno = err;
	return true;
}

static bool send_kernel(struct sonode *sn, struct io *io, struct toe_sonode *sh, uint32_t word,
		       ssize_t *ret)
{
	bool plain = word_path(word) == TOE_PATH_NONE && !io->done, moved;
	ssize_t n;
	int err;

	if (plain)
		batch_end();
	n = plain ? iokern_plain_send(file_of(sn, io), io) : iokern_send(file_of(sn, io), io);
	err = n < 0 ? errno : 0;
	moved = word_path(word) == TOE_PATH_KERNEL && !users_leave(sh, word);
	if (n < 0 && ((moved && has_changed(err)) || (!plain && not_ours(sn)) || parked_elsewhere(sn, io)))
		return false;
	if (plain || (n < 0 && err != EAGAIN) || (size_t)(n > 0 ? n : 0) + io->done == io->len)
		return send_result(io, n, err, plain, ret);
	if (!moved && !send_blocks(sn, io, word))
		return send_result(io, n, err, plain, ret);
	if (n > 0)
		io->done += n;
	if (moved || !kernel_full(sn, io))
		return false;
	return send_result(io, -1, errno, plain, ret);
}

/* As sonode_enter(), for the call's own connection. */
static uint32_t enter(struct sonode *sn, struct io *io, struct toe_sonode **sh)
{
	uint32_t word = sonode_enter(sn, sh), own = own_word(sn, io, word);

	if (own != word && word_path(word) == TOE_PATH_KERNEL)
		users_leave(*sh, word);
	return own;
}

static bool send_pass(struct sonode *sn, struct io *io, bool again, ssize_t *ret)
{
	struct toe_sonode *sh;
	uint32_t word;

	pthread_testcancel();
	word = enter(sn, io, &sh);
	if (word_path(word) >= TOE_PATH_MOVING)
		return ring_pass(sn, io, word, !io->len, io->fault, tx_pass, ret);
	if (!again || hold(sn, io))
		return send_kernel(sn, io, sh, word, ret);
	if (word_path(word) == TOE_PATH_KERNEL)
		users_leave(sh, word);
	return send_result(io, -1, EPIPE, false, ret);
}

ssize_t io_send(struct sonode *sn, struct io *io)
{
	bool again = false;
	ssize_t ret;

	io->file = -1;
	io->cookie = 0;
	pthread_cleanup_push(let_go, io);
	while (!send_pass(sn, io, again, &ret))
		again = true;
	pthread_cleanup_pop(1);
	return ret;
}

bool io_readable(struct sonode *sn, const struct ring *r)
{
	uint32_t low = ld(&sn->lowat), most = r->rx_most / 2;

	/* as Linux: a window that has to close for want of a reader is read from, whatever SO_RCVLOWAT says */
	return rx_ready(r, low < most ? low : most);
}

/*
 * Take back want_write before looking: who says it later keeps it, who said it
 * before and then saw no room is counted in wwait and told.
 */
bool io_writable(struct sonode *sn, const struct ring *r)
{
	if (ld(&r->ctl->want_write))
		st_sc(&r->ctl->want_write, 0);
	if (tx_ready(r, r->tx_most / 3)) {
		if (ld_sc(&sn->wwait)) {
			want_write(r->ctl);
			daemon_kick();
		}
		return true;
	}
	want_write(r->ctl);
	return tx_ready(r, r->tx_most / 3);
}

/* The same without taking it back: the caller is counted in wwait. */
bool io_writable_peek(const struct ring *r)
{
	if (tx_ready(r, r->tx_most / 3))
		return true;
	want_write(r->ctl);
	return tx_ready(r, r->tx_most / 3);
}
