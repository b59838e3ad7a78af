/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls that read and write, turned into struct io. */
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "batch.h"
#include "io.h"
#include "real.h"
#include "small.h"
#include "sys.h"
#include "tx.h"
#include "user.h"
#include "wait.h"

#define RX_UPLOAD	MSG_OOB
#define TX_UPLOAD	(MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN)

/*
 * The vector goes up to the first part that is no memory, as far as the kernel would come. False: libc's call says
 * what is wrong with it.
 */
static bool take_vector(struct io *io, const struct iovec *iov, long n)
{
	long i;

	if (n < 0 || n > IOV_MAX || no_memory(iov, n * sizeof(*iov)))
		return false;
	for (i = 0; i < n; i++) {
		if (iov[i].iov_len > SSIZE_MAX - io->len)
			return false;
		if (no_memory(iov[i].iov_base, iov[i].iov_len) && !io->fault) {
			if (io->len)
				break;
			io->fault = true;
		}
		io->len += iov[i].iov_len;
	}
	io->iov = iov;
	io->niov = i;
	return true;
}

/*
 * By the only thread most calls need no more than that the connection has not moved meanwhile. Those are made
 * here: behind a system call the processor has forgotten where functions return to (sys.h). False: as always; what failed
 * then has left nothing behind.
 */
static inline bool quick(struct sonode *sn, int flags)
{
	return sys_alone() && ld(&sn->inherit) == SN_OWN && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL));
}

static inline __attribute__((always_inline)) bool recv_quick(struct sonode *sn, void *buf, size_t len, int flags, enum io_kind kind,
							     ssize_t *ret)
{
	uint32_t word;
	long n;

	if (!quick(sn, flags))
		return false;
	word = sonode_word(sn);
	if (word_path(word) == TOE_PATH_HW)
		return (*ret = io_take(sn, word, buf, len)) > 0;
	if (word_path(word) != TOE_PATH_KERNEL)
		return false;
	batch_end();
	if (kind == IO_READ)	/* not the same: read() of nothing does not wait */
		n = sys3(SYS_read, sn->fd, buf, (long)len);
	else
		n = sys6(SYS_recvfrom, sn->fd, (long)buf, len, flags, 0, 0);
	if (n <= 0 && n != -EINTR && (sonode_word(sn) != word || n == -ENOTSOCK))
		return false;
	*ret = sys_result(n);
	return true;
}

static inline bool never_waits(const struct sonode *sn, int flags, uint32_t word)
{
	return flags & MSG_DONTWAIT || (ld(&sn->opts_word) == word && ld(&sn->nonblock));
}

/* What is to wait goes the long way, *ret has been sent then. An error that only one call is told of is handed on here. */
static inline __attribute__((always_inline)) bool send_quick(struct sonode *sn, const void *buf, size_t len, int flags, ssize_t *ret)
{
	struct toe_sonode *sh;
	uint32_t word;
	bool same;
	long n;

	if (!quick(sn, flags))
		return false;
	sh = ld_acq(&sn->sh);
	word = ld_acq(&sh->word);
	if (word_path(word) != TOE_PATH_KERNEL || !users_enter(sh, word))
		return false;
	n = sys6(SYS_sendto, sn->fd, (long)buf, len, flags | MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
	same = users_leave(sh, word);
	*ret = n;
	if (n == (long)len)
		return true;
	if (!same || n == -EPIPE || n == -ENOTSOCK || ((n >= 0 || n == -EAGAIN) && !never_waits(sn, flags, word)))
		return false;
	*ret = sys_result(n);
	return true;
}

static __attribute__((noinline)) ssize_t recv_buf(struct sonode *sn, int fd, void *buf, size_t len, int flags, enum io_kind kind)
{
	struct iovec iov = { buf, len };
	struct io io;

	if (flags & RX_UPLOAD)
		return ON_KERNEL(ssize_t, sn, TOE_WHY_CALL, real.recv(fd, buf, len, flags));
	if (!sn)
		batch_end();
	if (!sn || flags & MSG_ERRQUEUE)
		return kind == IO_READ ? real.read(fd, buf, len) : real.recv(fd, buf, len, flags);
	io_init(&io, kind, flags, &iov, len);
	io.fault = no_memory(buf, len);
	return io_recv(sn, &io);
}

static inline __attribute__((always_inline)) ssize_t recv_any(int fd, void *buf, size_t len, int flags, enum io_kind kind)
{
	struct sonode *sn = sonode_get(fd);
	ssize_t n;

	if (sn && recv_quick(sn, buf, len, flags, kind, &n))
		return n;
	return recv_buf(sn, fd, buf, len, flags, kind);
}

ssize_t toe_read(int fd, void *buf, size_t len)
{
	return recv_any(fd, buf, len, 0, IO_READ);
}

ssize_t toe___read_chk(int fd, void *buf, size_t len, size_t room)
{
	return len > room ? real.__read_chk(fd, buf, len, room) : toe_read(fd, buf, len);
}

ssize_t toe_recv(int fd, void *buf, size_t len, int flags)
{
	return recv_any(fd, buf, len, flags, IO_RECV);
}

ssize_t toe___recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	return len > room ? real.__recv_chk(fd, buf, len, room, flags) : toe_recv(fd, buf, len, flags);
}

/* TCP gives no address here: the kernel sets the length to 0 and so do we. */
ssize_t toe_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *a, socklen_t *n)
{
	ssize_t rc = recv_any(fd, buf, len, flags, IO_RECV);

	if (rc >= 0 && a && !no_memory(n, sizeof(*n)))
		*n = 0;
	return rc;
}

ssize_t toe___recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags,
			   struct sockaddr *a, socklen_t *n)
{
	if (len > room)
		return real.__recvfrom_chk(fd, buf, len, room, flags, a, n);
	return toe_recvfrom(fd, buf, len, flags, a, n);
}

ssize_t toe_readv(int fd, const struct iovec *iov, int n)
{
	struct sonode *sn = sonode_get(fd);
	struct io io = { .kind = IO_READV };

	if (!sn)
		batch_end();
	if (!sn || !take_vector(&io, iov, n))
		return real.readv(fd, iov, n);
	return io_recv(sn, &io);
}

/* With the offset -1 they are readv() and writev(), or recvmsg() and sendmsg() that do not wait; with another one no calls for
 * a socket, as the kernel says. */
static bool as_message(off64_t off, int flags)
{
	return off == -1 && !(flags & ~(RWF_NOWAIT | RWF_HIPRI));
}

ssize_t toe_preadv64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };

	if (!as_message(off, flags) || n < 0)
		return ON_KERNEL(ssize_t, sonode_get(fd), TOE_WHY_CALL, real.preadv64v2(fd, iov, n, off, flags));
	return flags & RWF_NOWAIT ? toe_recvmsg(fd, &m, MSG_DONTWAIT) : toe_readv(fd, iov, n);
}

ssize_t toe_preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return toe_preadv64v2(fd, iov, n, off, flags);
}

static ssize_t recv_rights(int fd, struct msghdr *m, int flags)
{
	ssize_t rc;

	batch_end();
	rc = real.recvmsg(fd, m, flags);
	if (rc >= 0 && m->msg_controllen)
		sonode_take_rights(m);
	return rc;
}

/* TCP_INQ: what is left to read, as put_cmsg() in the kernel. */
static void tell_inq(struct sonode *sn, struct msghdr *m, size_t room)
{
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr hdr; } c = { 0 };
	size_t len = CMSG_LEN(sizeof(int));
	int left = 0;

	toe_ioctl(sn->fd, FIONREAD, &left);
	if (room < sizeof(c.hdr) || no_memory(m->msg_control, room)) {
		m->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < len) {
		m->msg_flags |= MSG_CTRUNC;
		len = room;
	}
	c.hdr.cmsg_level = IPPROTO_TCP;
	c.hdr.cmsg_type = TCP_CM_INQ;
	c.hdr.cmsg_len = len;
	memcpy(CMSG_DATA(&c.hdr), &left, sizeof(left));
	memcpy(m->msg_control, &c, len);
	m->msg_controllen = room < sizeof(c) ? room : sizeof(c);
}

ssize_t toe_recvmsg(int fd, struct msghdr *m, int flags)
{
	struct sonode *sn = sonode_get(fd);
	struct io io = { .kind = IO_RECVMSG, .flags = flags, .msg = m };
	struct msghdr in, was;
	ssize_t rc;

	if (sn && flags & RX_UPLOAD)
		return ON_KERNEL(ssize_t, sn, TOE_WHY_CALL, real.recvmsg(fd, m, flags));
	if (!sn || no_memory(m, sizeof(*m)) || flags & MSG_ERRQUEUE ||
	    !take_vector(&io, m->msg_iov, m->msg_iovlen))
		return recv_rights(fd, m, flags);
	in = was = *m;
	m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = 0;
	in.msg_flags = 0;
	io.msg = &in;
	rc = io_recv(sn, &io);
	if (rc >= 0 && io.from_kernel) {
		m->msg_namelen = in.msg_namelen;
		m->msg_controllen = in.msg_controllen;
		m->msg_flags = in.msg_flags;
	} else if (rc >= 0 && ld(&sn->inq)) {
		tell_inq(sn, m, was.msg_controllen);
	} else if (rc < 0) {
		*m = was;
	}
	return rc;
}

int toe_recvmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags, struct timespec *ts)
{
	int64_t left, end;
	unsigned int i;
	ssize_t rc;

	if (!sonode_get(fd)) {
		batch_end();
		rc = real.recvmmsg(fd, v, n, flags, ts);
		for (i = 0; rc > 0 && i < (unsigned int)rc; i++)
			sonode_take_rights(&v[i].msg_hdr);
		return rc;
	}
	if (!wait_timespec(ts, &left))
		return -1;
	end = left < 0 ? 0 : wait_now() + left;
	for (i = 0; i < n; i++) {
		rc = toe_recvmsg(fd, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (rc < 0)
			return i ? (int)i : -1;
		v[i].msg_len = rc;
		if (!rc || (end && wait_now() >= end))
			return i + 1;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	return n;
}

/* done: so much of it has been sent. */
static __attribute__((noinline)) ssize_t send_buf(struct sonode *sn, int fd, const void *buf, size_t len, int flags, enum io_kind kind,
						  size_t done)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct io io;

	if (flags & TX_UPLOAD)
		return ON_KERNEL(ssize_t, sn, TOE_WHY_CALL, real.send(fd, buf, len, flags));
	if (!sn)
		return kind == IO_WRITE ? real.write(fd, buf, len) : real.send(fd, buf, len, flags);
	io_init(&io, kind, flags, &iov, len);
	io.fault = no_memory(buf, len);
	io.done = done;
	return io_send(sn, &io);
}

static inline __attribute__((always_inline)) bool send_small(struct sonode *sn, const void *buf, size_t len, int flags, ssize_t *ret)
{
	uint32_t word = sonode_word(sn);
	struct small s;

	if (word_path(word) != TOE_PATH_HW || !quick(sn, flags) || no_memory(buf, len))
		return false;
	*ret = (ssize_t)small_put(sn, word, buf, len, &s);
	if (s.frame_len) {
		sys3(SYS_write, s.fd, s.frame, (long)s.frame_len);
		tx_settle(sn, &s.r, s.seq);
	}
	batch_check();
	return *ret == (ssize_t)len;
}

/* Not on the kernel path, or not at once. Apart from send_any(), whose frame stays small; what it returns it returns to the
 * application. */
static inline __attribute__((always_inline)) ssize_t send_on(struct sonode *sn, int fd, const void *buf, size_t len, int flags,
							     enum io_kind kind, size_t done)
{
	ssize_t n = (ssize_t)done;

	if (sn && !done && send_small(sn, buf, len, flags, &n))
		return n;
	return send_buf(sn, fd, buf, len, flags, kind, (size_t)n);
}

static __attribute__((noinline)) ssize_t on_write(struct sonode *sn, int fd, const void *buf, size_t len, size_t done)
{
	return send_on(sn, fd, buf, len, 0, IO_WRITE, done);
}

static __attribute__((noinline)) ssize_t on_send(struct sonode *sn, int fd, const void *buf, size_t len, int flags, size_t done)
{
	return send_on(sn, fd, buf, len, flags, IO_SEND, done);
}

static inline __attribute__((always_inline)) ssize_t send_any(int fd, const void *buf, size_t len, int flags, enum io_kind kind)
{
	struct sonode *sn = sonode_get(fd);
	ssize_t n = 0;

	if (sn && send_quick(sn, buf, len, flags, &n))
		return n;
	n = n > 0 ? n : 0;
	return kind == IO_WRITE ? on_write(sn, fd, buf, len, (size_t)n) : on_send(sn, fd, buf, len, flags, (size_t)n);
}

ssize_t toe_write(int fd, const void *buf, size_t len)
{
	return send_any(fd, buf, len, 0, IO_WRITE);
}

ssize_t toe_send(int fd, const void *buf, size_t len, int flags)
{
	return send_any(fd, buf, len, flags, IO_SEND);
}

/* The address is ignored on a connected TCP socket, except by MSG_FASTOPEN. */
ssize_t toe_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *a,
		   socklen_t n)
{
	if (flags & TX_UPLOAD)
		return ON_KERNEL(ssize_t, sonode_get(fd), TOE_WHY_CALL, real.sendto(fd, buf, len, flags, a, n));
	return send_any(fd, buf, len, flags, IO_SEND);
}

ssize_t toe_writev(int fd, const struct iovec *iov, int n)
{
	struct sonode *sn = sonode_get(fd);
	struct io io = { .kind = IO_WRITEV };

	if (!sn || !take_vector(&io, iov, n))
		return real.writev(fd, iov, n);
	return io_send(sn, &io);
}

ssize_t toe_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct sonode *sn = sonode_get(fd);
	struct io io = { .kind = IO_SENDMSG, .flags = flags, .msg = (void *)(uintptr_t)m };

	if (!sn) {
		batch_end();
		sonode_put_rights(m);
		return real.sendmsg(fd, m, flags);
	}
	if (no_memory(m, sizeof(*m)) || flags & TX_UPLOAD || m->msg_controllen ||
	    !take_vector(&io, m->msg_iov, m->msg_iovlen))
		return ON_KERNEL(ssize_t, sn, TOE_WHY_CALL, real.sendmsg(fd, m, flags));
	return io_send(sn, &io);
}

int toe_sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	unsigned int i;
	ssize_t rc;

	for (i = 0; i < n; i++) {
		rc = toe_sendmsg(fd, &v[i].msg_hdr, flags);
		if (rc < 0)
			return i ? (int)i : -1;
		v[i].msg_len = rc;
	}
	return n;
}

ssize_t toe_pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };

	if (!as_message(off, flags) || n < 0)
		return ON_KERNEL(ssize_t, sonode_get(fd), TOE_WHY_CALL, real.pwritev64v2(fd, iov, n, off, flags));
	return flags & RWF_NOWAIT ? toe_sendmsg(fd, &m, MSG_DONTWAIT) : toe_writev(fd, iov, n);
}

ssize_t toe_pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return toe_pwritev64v2(fd, iov, n, off, flags);
}
