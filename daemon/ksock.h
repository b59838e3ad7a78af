/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CONN_T: the kernel's TCP socket, taken apart and put together again in repair mode.
 *
 * A parked socket is ESTABLISHED, in repair mode (calls of the application fail: recv EPERM, send
 * EINVAL), deaf (a socket filter drops every frame), with empty queues and no timers. Kernel source:
 * net/ipv4/tcp.c tcp_disconnect(), do_tcp_setsockopt(), tcp_send_rcvq(); tcp_output.c tcp_connect().
 */
#ifndef KSOCK_H
#define KSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "detour.h"
#include "toe/hw_conn.h"
#include "toe/maps.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define TCP_STATE_ESTABLISHED 1	/* of tcpi_state */

struct ksock_seqs {		/* of a deaf socket in repair mode */
	uint32_t snd_una;
	uint32_t write_seq;
	uint32_t rcv_nxt;
	uint32_t copied_seq;
};

/* A socket without a route for a while says 36 until it sends again, and TCP_MAXSEG takes 88 at least. */
#define KSOCK_LEAST_MSS		88

/* 0, or -EOPNOTSUPP with the reason. */
int ksock_eligible(int sock, enum toe_why *why);

/* enum toe_cc that stands for the socket's TCP_CONGESTION. opts: enum toe_opt */
uint8_t ksock_cc(int sock, uint8_t opts);

int ksock_get_int(int sock, int level, int opt, int *val);
int ksock_tcp_int(int sock, int opt);		/* of level IPPROTO_TCP; 0 if it cannot be read */
struct tcp_info;
int ksock_info(int sock, struct tcp_info *out);	/* what an older kernel does not know is 0 */

struct ksock_opts {		/* of which the engines have a copy */
	uint8_t ttl;		/* or hop limit */
	uint8_t tos;		/* or traffic class, without ECN bits */
	uint32_t rcvbuf;	/* bytes that the application asked for; 0: autotuning */
};

/* family: on the wire */
void ksock_options(int sock, unsigned int family, struct ksock_opts *out);

/* Bits of enum toe_sk_flag that are set on the socket. */
uint8_t ksock_flags(int sock);
/* The device that it is bound to, as one with a link-local peer always is; 0: none. */
int ksock_bound_dev(int sock);

struct ksock_progress {		/* low 32 bits of the kernel's counts of bytes, in one instant */
	uint32_t acked;
	uint32_t received;
	uint32_t sent;		/* for the first time */
	uint32_t notsent;
	bool established;
};

/* Works in and out of repair mode; also lets the socket take what waits in its backlog. */
int ksock_progress(int sock, struct ksock_progress *out);

/* How far the advertised window has grown; 0: unknown. */
uint32_t ksock_window(int sock);

/* Received bytes wait in the socket, in order or not. */
bool ksock_holds_data(int sock);

int ksock_repair_on(int sock);
int ksock_repair_off(int sock);		/* sends nothing */
/* From whatever a move had made of a socket that was not parked yet: it goes on. */
void ksock_resume(int sock);
int ksock_ready(void);			/* loads what ksock_deafen() needs: before frames are held */
int ksock_deafen(int sock);
int ksock_hear(int sock);

/* snd_base: hw_conn.snd_base, of the shadow entry. -ENOTCONN: not ESTABLISHED any more. */
int ksock_read_seqs(int sock, uint32_t snd_base, struct ksock_seqs *out);
/* Right edge of the advertised window and the last acknowledgement sent. */
int ksock_rcv_edge(int sock, uint32_t *edge);

/* Copy the whole receive queue / send queue out, in repair mode. Returns bytes or -errno. The socket's own
 * snd_nxt is worth nothing after the second: see ksock_read_seqs() in ksock.c. */
ssize_t ksock_peek_rcv(int sock, struct iovec *iov, int nr_iov);
ssize_t ksock_peek_snd(int sock, void *buf, size_t size, uint32_t *write_seq);

/* Disconnect (the sockops program captures MIN_TCP_T now) and rebuild empty. Repair mode and
 * filter stay on. scope: interface of a link-local address. */
int ksock_park(int sock, const struct toe_flow *flow, int scope, const struct ksock_seqs *seqs);

/* A new socket in repair mode, for ksock_unpark(), where the application's is gone. -errno. */
int ksock_open(const struct toe_flow *flow);

struct ksock_image {		/* what a rebuilt socket is to contain */
	struct min_tcp min;
	uint8_t sk_flags;
	uint32_t stamped_ms;	/* segments have left with timestamps of this CLOCK_MONOTONIC, which may be ahead */
	int scope;
	bool seed_rtt;		/* one byte that the peer has acknowledged goes in front of the send queue: the frame
				   that acknowledges it once more gives the socket its round-trip time */
	uint32_t rx_read;	/* first unread byte; unread holds [rx_read, rcv_nxt) */
	struct iovec *unread;
	int nr_unread;
	struct iovec *unacked;	/* [snd_una, snd_nxt) */
	int nr_unacked;
	struct iovec *unsent;	/* behind them */
	int nr_unsent;
	struct detour detour;	/* open: ksock_unpark() took one, and leaves it to be closed; all 0 before */
};

/* The socket's TSval as of now. 0: none */
uint32_t ksock_tsval(int sock);

/* Rebuild a parked socket to go on from image. It hears and has left repair mode afterwards. -EHOSTUNREACH: there is
 * no way to the peer, and no detour either; the same may be tried again.
 * The unsent bytes are for ksock_send_rest(), once held frames were replayed. */
int ksock_unpark(int sock, struct ksock_image *image);
int ksock_send_rest(int sock, const struct ksock_image *image);

/* A rebuild failed half way: as a parked socket is, but not connected; unpark may be tried again. */
void ksock_give_up(int sock);
/* For good: the application is told of a reset (ECONNRESET, ECONNABORTED), and if the socket had been connected the
 * peer gets one. */
void ksock_abort(int sock);

#endif
