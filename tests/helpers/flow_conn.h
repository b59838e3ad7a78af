/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to an echo peer, for programs that do unusual things to it: what is sent is the pattern
 * of its seed, what comes back must be the same bytes. Positions lie in memory that children share, so any
 * process that has the descriptor can go on where another stopped. Moves are asked for on toed's control
 * socket; the path is read from the SONODE table. Whatever is wrong ends the program with status 1.
 */
#ifndef FLOW_CONN_H
#define FLOW_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { P_NONE, P_KERNEL, P_MOVING, P_HW };	/* as enum toe_path */

struct flow {
	int fd;
	uint16_t port;		/* ours */
	uint64_t seed;
	uint64_t tx, rx;	/* bytes sent, bytes that came back */
};

extern const char *flow_addr, *flow_rundir;
extern uint16_t flow_peer_port;
extern int flow_rcvbuf;	/* of connections to come; 0: as it is */
extern int flow_fastopen;	/* TCP_FASTOPEN_CONNECT of connections to come */

_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t now_ms(void);

struct flow *flow_make(void);			/* nothing open yet */
int flow_dial(struct flow *f, int sock_flags);	/* connect; the descriptor */
struct flow *flow_open(void);			/* dial, some bytes in the kernel, offload, some bytes */
void flow_send(struct flow *f, size_t n);
void flow_recv(struct flow *f, size_t n);
void flow_check(struct flow *f, const void *buf, size_t n);	/* n bytes came; advances rx */
void flow_fill(struct flow *f, void *buf, size_t n);		/* the next n bytes to send; advances tx */
void flow_exchange(struct flow *f, size_t n);	/* send, and get back */
void flow_end(struct flow *f);			/* FIN, the peer's FIN, close */

#define FLOW_MUCH 60000
void flow_again(struct flow *f, const char *when);	/* into hardware, and much through it */
void flow_fresh(const char *when);		/* a new connection moves, whatever was done before */
void flow_choke(struct flow *f);		/* fill everything up to the peer, whose echo nobody reads */

int path_of(int fd);				/* of this process's table */
void want_path(const struct flow *f, int path, const char *when);
void flow_to_hw(const struct flow *f);		/* and exactly that, within 5 s */
void flow_to_kernel(const struct flow *f);
bool flow_try_hw(const struct flow *f);		/* moved? */
void flow_move(const struct flow *f, int times);	/* to the other path, so often */
uint64_t stat_of(const char *name);		/* counter of toectl stats */
int ctl_request(const char *request, char *reply, size_t room);

/* Segments went through both engines since the mark. */
void engines_mark(void);
void want_engines(const char *when);

int peer_main(uint16_t port);			/* the echo peer; does not return unless it fails */
void wait_child(pid_t pid, const char *what);	/* status 0 within 20 s */

struct flow_case {
	const char *name;
	void (*run)(void);
};
/* PROGRAM peer PORT | list | CASE ADDRESS PORT RUNDIR */
int flow_main(int argc, char **argv, const struct flow_case *cases);

#endif
