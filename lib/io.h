/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing on whatever path the connection is, across changes of path. */
#ifndef IO_H
#define IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "sonode.h"

enum io_kind { IO_READ, IO_READV, IO_RECV, IO_RECVMSG, IO_WRITE, IO_WRITEV, IO_SEND, IO_SENDMSG };

struct io {
	enum io_kind kind;	/* libc's call on the kernel path */
	int flags;		/* MSG_* */
	const struct iovec *iov;
	int niov;
	size_t len;		/* of the vector */
	struct msghdr *msg;
	size_t done;		/* bytes moved so far */
	int64_t deadline_ns;	/* of a wait that has begun */
	int retries;
	int file;		/* descriptor of our own, by which the kernel is asked once the call has slept; -1: none */
	uint64_t cookie;	/* of the connection that the call is on; 0: of none that is tracked */
	bool from_kernel;	/* the result is libc's: msg was filled in */
	bool fault;		/* the vector begins with what is no memory, see user.h */
};

/* Field by field: for an initializer the compiler takes a string instruction, which costs more than all of this. */
static inline void io_init(struct io *io, enum io_kind kind, int flags, const struct iovec *iov, size_t len)
{
	io->kind = kind;
	io->flags = flags;
	io->iov = iov;
	io->niov = 1;
	io->len = len;
	io->msg = NULL;
	io->done = 0;
	io->deadline_ns = 0;
	io->retries = 0;
	io->from_kernel = false;
	io->fault = false;
}

ssize_t io_recv(struct sonode *sn, struct io *io);
ssize_t io_send(struct sonode *sn, struct io *io);
/* What most reads are: of what has arrived, and lies in one piece. 0: the long way. */
ssize_t io_take(struct sonode *sn, uint32_t word, void *buf, size_t len);

/*
 * A call that only the kernel serves. It needs its own socket, now and while the call lasts: counted in users like
 * any other that may fill or empty the socket's queues. Made again if it failed because a move came between.
 */
struct kernel_use {
	struct toe_sonode *sh;	/* NULL: nothing to count */
	uint32_t word;
	uint64_t cookie;
};

void kernel_begin(struct kernel_use *use, struct sonode *sn, enum toe_why why);
bool kernel_end(struct kernel_use *use, bool failed);	/* true: again */
void kernel_cancelled(void *use);

#define ON_KERNEL(type, sn, why, call) ({					\
	struct kernel_use use_;							\
	type rc_;								\
	do {									\
		kernel_begin(&use_, sn, why);					\
		pthread_cleanup_push(kernel_cancelled, &use_);			\
		rc_ = call;							\
		pthread_cleanup_pop(0);						\
	} while (kernel_end(&use_, rc_ < 0));					\
	rc_;									\
})

/* For poll and epoll: is there something to read, room to write (as Linux: a third of the ring). */
bool io_readable(struct sonode *sn, const struct ring *r);
bool io_writable(struct sonode *sn, const struct ring *r);
bool io_writable_peek(const struct ring *r);

#endif
