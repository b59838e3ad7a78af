/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tcpgen: what its parts know of each other. Functions return -errno unless said otherwise. */
#ifndef TCPGEN_H
#define TCPGEN_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include "toe/tcpgen.h"

#define NS_PER_MS	1000000ULL
#define NS_PER_S	1000000000ULL

struct gen_opt {		/* set by main(), then only read; what is learnt is filled in by sock_learn() */
	const char *host, *service;
	char dev[IF_NAMESIZE];
	unsigned int ifindex;
	uint32_t nr_conns, depth, sample;
	uint32_t timeout_ms, give_up_ms, warm_ms;
	double seconds;
	bool json, control, generic, any_content, redirect;
	struct sockaddr_storage server, local;	/* local: port 0 */
	socklen_t addr_len;
	uint32_t request_len, reply_len, mss;
	struct gen_text *text;
};
extern struct gen_opt opt;

/* a running generator */
struct gen {
	int *socks;
	uint64_t *resent_ns;
	bool *given_up;
	struct gen_conn *conns;
	struct gen_port *ports;
	uint64_t *sent;
	uint64_t nr_resent;	/* timeouts of ours: requests sent again */
	uint64_t nr_stuck;	/* connections without progress for give_up_ms */
};

uint64_t now_ns(void);
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern volatile int interrupted;

/* tcpgen_text.c: request and reply; on errors they have complained */
int text_parse(const char *escaped);
int text_read(const char *path);
void text_repeat(uint8_t *buf, uint32_t size, uint32_t len);
uint32_t text_sum(const uint8_t *p, uint32_t len, uint32_t sum);

/* tcpgen_sock.c: sockets of the kernel */
int sock_learn(void);		/* one exchange, twice: device, MSS, length and text of the reply */
int sock_open_all(struct gen *g);
int sock_park_all(struct gen *g);
void sock_give_back_all(struct gen *g);

/* tcpgen_bpf.c: the XDP program and its maps */
int bpf_start(struct gen *g);
void bpf_end(void);
void bpf_let_go(bool go);	/* may requests be sent? */
const uint8_t *bpf_macs(void);	/* NULL: no frame of the server was seen */
int bpf_stats(struct gen_stats *out);

/* tcpgen_frame.c: frames that user space sends */
int frame_open(void);
void frame_close(void);
int frame_requests(const struct gen_conn *c, uint32_t seq, uint32_t len);
int frame_probe(const struct gen_conn *c);

/* tcpgen_run.c */
struct gen_result {
	struct gen_stats measured, all;	/* while it was measured; from start to drained */
	uint64_t ns, resent, stuck;
	double peak;		/* replies/s that one in ten slices of 2 ms exceeded */
};
int run_measure(struct gen *g, double seconds, uint32_t warm_ms, struct gen_result *r);

/* tcpgen_report.c */
void report(const struct gen_result *r);
bool report_clean(const struct gen_result *r);

#endif
