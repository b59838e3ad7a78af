/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection of the stream test: what it sends, what it must get, one call at a time. */
#ifndef STREAM_CONN_H
#define STREAM_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "tests/helpers/pattern.h"

#define MAX_CHUNK	(1U << 20)
#define HELLO_MAGIC	0x746f656473747231ULL
#define TAIL_LEN	8U	/* hash of the direction, ends it */

struct hello {
	uint64_t magic, seed, total;
	uint32_t id, pad;
};

struct conn {
	int fd;
	uint32_t id;
	uint64_t tx_seed, rx_seed;
	uint64_t total;			/* pattern bytes each way, then TAIL_LEN */
	_Atomic uint64_t tx_pos, rx_pos;
	struct stream_hash tx_hash, rx_hash;
	unsigned char rx_tail[TAIL_LEN];
	uint64_t tx_rnd, rx_rnd;
	bool tx_shut, rx_eof;
	bool readable, writable;	/* event loops: not known to be blocked */
};

enum style { THREADS, EPOLL, EPOLLET_, POLL, SELECT, NR_STYLES };

struct options {
	bool server, early;
	enum style style;
	const char *addr, *port;
	unsigned int nr, wait_ms, pause_us, stall_s, deadline_s;
	size_t max_chunk;
	uint64_t total, seed, rate;
};
extern struct options opt;
extern uint64_t start_ns;

uint64_t now_ns(void);
/* Report all positions and exit. */
_Noreturn void fail(int rc, const char *what);
_Noreturn void fail_errno(const struct conn *c, const char *call);

void conn_start(struct conn *c, int fd, const struct hello *h);
bool conn_tx(struct conn *c, unsigned char *buf);	/* one send; false: it would block */
bool conn_rx(struct conn *c, unsigned char *buf);	/* one receive; false: it would block */
void conn_shut(struct conn *c);				/* FIN, if it is time */
void conn_close(struct conn *c);

static inline bool tx_all(const struct conn *c) { return c->tx_pos == c->total + TAIL_LEN; }
static inline bool rx_all(const struct conn *c) { return c->rx_pos == c->total + TAIL_LEN; }
static inline bool conn_over(const struct conn *c) { return c->tx_shut && c->rx_eof; }

#endif
