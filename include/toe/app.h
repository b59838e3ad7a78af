/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between libtoe and toed: the connection state table in shared memory, and
 * messages on TOE_RUNDIR/app.sock (SOCK_SEQPACKET, one struct a packet, host
 * byte order; descriptors by SCM_RIGHTS).
 */
#ifndef TOE_APP_H
#define TOE_APP_H

#include "toe/hw_conn.h"

enum toe_path {			/* low 3 bits of toe_sonode.word */
	TOE_PATH_NONE = 0,	/* not a socket of ours */
	TOE_PATH_KERNEL = 1,	/* calls go to libc */
	TOE_PATH_MOVING = 2,	/* wait (futex on word) until it is not */
	TOE_PATH_HW = 3,	/* calls go to the rings */
};
#define TOE_PATH_MASK		7U
#define TOE_EPOCH		8U	/* word grows by this on every change of path */

/*
 * SONODE as shared with the daemon, index file descriptor, in a sealed memfd
 * made by the daemon. word: the library moves NONE <-> KERNEL, the daemon
 * KERNEL -> MOVING -> HW and back, both by compare-and-swap. The daemon takes
 * nothing here on trust: it fetches the descriptor with pidfd_getfd() and
 * compares its SO_COOKIE before it believes fd and cookie.
 */
struct toe_sonode {
	__u32 word;		/* enum toe_path | epoch; futex, shared */
	__u32 users;		/* library: threads inside a send on the kernel path (none sleeps there, but in
				   calls that only the kernel serves), copying into the tx ring, or writing a train */
	__u64 cookie;		/* library: CONN_T, SO_COOKIE of the socket; 0 unknown */
	/* the rest is the daemon's, valid while the path is HW */
	__u32 hw_connid;
	__u32 gen;
	struct toe_ring_ref rx;
	struct toe_ring_ref tx;
	__u16 mss;		/* payload bytes of a full segment */
	__u8 family;		/* on the wire: 2 or 10 */
	__u8 opts;		/* enum toe_opt */
	__u8 rcv_wscale;
	__u8 why;		/* enum toe_why, on the kernel path; a new connection's is TOE_WHY_NEW */
	__u8 stay;		/* library: nonzero: do not offload, others have the descriptor too, or TOE_STAY_URING */
	__u8 sk_flags;		/* enum toe_sk_flag: what the parked socket hides */
	__u32 rx_most;		/* bytes of window that may be promised, SO_RCVBUF; 0: the ring's */
	__u32 reserved[5];
};
_Static_assert(sizeof(struct toe_sonode) == 64, "toe_sonode");

#define TOE_STAY_URING		8U	/* toe_sonode.stay: the program uses io_uring, whose requests are not seen */

#define TOE_SONODES		(1U << 20)	/* table size, descriptors */

/*
 * Behind the table: which SONODEs have moved, so that a library with many need not look at all. The daemon
 * writes a descriptor, then head, then the eventfd. A reader that is more than the ring behind looks at all.
 */
#define TOE_MOVED_RING		4096
struct toe_moved {
	__u32 head;		/* entries ever written */
	__u32 left;		/* nonzero: this toed has given all connections back and is gone */
	__u32 pad[14];
	__s32 fd[TOE_MOVED_RING];
};
#define TOE_TABLE_SIZE		(TOE_SONODES * sizeof(struct toe_sonode) + sizeof(struct toe_moved))

#define TOE_APP_MAGIC		0x746f6564U
#define TOE_APP_VERSION		8

enum toe_msg_type {
	/* request: version. reply: app, known, fds: [0] sonode table memfd, [1] eventfd that
	 * the daemon writes after every completed move of this application. */
	TOE_MSG_HELLO = 1,
	/* request: -. reply: qp, slab, chunk, fds: [0] TAP, non-blocking: a write then
	 * runs XDP natively (the kernel's tun_can_build_skb()). */
	TOE_MSG_QP = 2,
	/* request: slab. reply: fds: [0] map to mmap (TOE_SLAB_SIZE). */
	TOE_MSG_SLAB = 3,
	/* request: fd, why. Returns when the connection is on the kernel path.
	 * rc 0, also if it was there already; -ENOENT: not known. */
	TOE_MSG_UPLOAD = 4,
	/* request: fd. Ask for an offload (tests, policy). rc 0 or -EOPNOTSUPP, why. */
	TOE_MSG_OFFLOAD = 5,
	/* request: fd. The process is about to become another program, which keeps the
	 * descriptor: to the kernel path, and no other process's claim moves it while this
	 * one lives. fd -1: nothing came of it. */
	TOE_MSG_PIN = 7,
	/* request: fd. An option of the parked socket was set of which the engines have a copy: it holds when the
	 * reply comes. rc 0, also if it is on the kernel path. */
	TOE_MSG_OPTION = 8,
	/* request: fd. rc 0: struct toe_info of the connection, which is in hardware, was written anew. */
	TOE_MSG_INFO = 9,
};

struct toe_msg {
	__u32 magic;		/* TOE_APP_MAGIC */
	__u16 version;
	__u16 type;		/* enum toe_msg_type; same in the reply */
	__s32 rc;		/* reply: 0 or -errno */
	__s32 fd;
	__u16 app;
	__u16 qp;
	__u16 slab;
	__u16 chunk;
	__u32 why;		/* enum toe_why */
	__u32 known;		/* reply to HELLO: 1, the table is the one the library has */
	__u32 reserved;
};
_Static_assert(sizeof(struct toe_msg) == 36, "toe_msg");

#endif
