/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "iokern.h"
#include "real.h"
#include "sys.h"

/* What is left of the vector, in tmp. */
static int rest_of(const struct io *io, struct iovec *tmp)
{
	size_t skip = io->done;
	int i, n = 0;

	for (i = 0; i < io->niov && n < IOV_MAX; i++) {
		if (skip >= io->iov[i].iov_len) {
			skip -= io->iov[i].iov_len;
			continue;
		}
		tmp[n].iov_base = (char *)io->iov[i].iov_base + skip;
		tmp[n++].iov_len = io->iov[i].iov_len - skip;
		skip = 0;
	}
	return n;
}

/* Senders that are counted in users are not cancelled in the kernel: past libc. */
static __attribute__((noinline)) ssize_t kernel_rest(int fd, const struct io *io, int flags, bool out)
{
	struct iovec tmp[IOV_MAX];
	struct msghdr m = { .msg_iov = tmp };

	m.msg_iovlen = rest_of(io, tmp);
	return out ? sys_result(sys3(SYS_sendmsg, fd, &m, flags)) : real.recvmsg(fd, &m, flags);
}

ssize_t iokern_recv(int fd, const struct io *io)
{
	if (io->done)
		return kernel_rest(fd, io, io->flags, false);
	switch (io->kind) {
	case IO_READ:
		if (sys_alone())
			return sys_result(sys3(SYS_read, fd, io->iov->iov_base, io->len));
		return real.read(fd, io->iov->iov_base, io->len);
	case IO_READV:
		return real.readv(fd, io->iov, io->niov);
	case IO_RECVMSG:
		return real.recvmsg(fd, io->msg, io->flags);
	default:
		if (sys_alone())
			return sys_result(sys6(SYS_recvfrom, fd, (long)io->iov->iov_base, io->len, io->flags, 0, 0));
		return real.recv(fd, io->iov->iov_base, io->len, io->flags);
	}
}

ssize_t iokern_send(int fd, const struct io *io)
{
	int flags = io->flags | MSG_NOSIGNAL | MSG_DONTWAIT;

	if (io->msg && !io->done)
		return sys_result(sys3(SYS_sendmsg, fd, io->msg, flags));
	if (io->niov == 1 && !io->done)
		return sys_result(sys6(SYS_sendto, fd, (long)io->iov->iov_base, io->len, flags, 0, 0));
	return kernel_rest(fd, io, flags, true);
}

ssize_t iokern_plain_send(int fd, const struct io *io)
{
	switch (io->kind) {
	case IO_WRITE:
		return real.write(fd, io->iov->iov_base, io->len);
	case IO_WRITEV:
		return real.writev(fd, io->iov, io->niov);
	case IO_SENDMSG:
		return real.sendmsg(fd, io->msg, io->flags);
	default:
		return real.send(fd, io->iov->iov_base, io->len, io->flags);
	}
}
