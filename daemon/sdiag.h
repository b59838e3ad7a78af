/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sock_diag: what the kernel says of the established sockets in the namespaces with an attached NIC. */
#ifndef SDIAG_H
#define SDIAG_H

#include <stddef.h>
#include <stdint.h>

struct sdiag_sock {
	uint64_t cookie;	/* CONN_T */
	uint64_t received;	/* bytes, since the socket was established or last rebuilt */
	uint64_t sent;		/* for the first time */
	uint32_t rtt_us;
	uint32_t cwnd;		/* bytes */
};

struct sdiag {
	struct sdiag_sock *socks;	/* by cookie */
	size_t nr, max;
};

/* Ask once; 0 or -errno. What could be read stays readable after an error. Free in any case. */
int sdiag_read(struct sdiag *out);
void sdiag_free(struct sdiag *s);

/* NULL: not there. */
const struct sdiag_sock *sdiag_find(const struct sdiag *s, uint64_t cookie);

#endif
