/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rings.h"

int rings_iov(struct app *app, struct toe_ring_ref ref, uint32_t seq, uint32_t len, struct iovec *iov)
{
	uint32_t mask = (1U << ref.order) - 1;
	int nr = 0;

	while (len && nr < RINGS_IOV) {
		uint32_t off = seq & (TOE_CHUNK_DATA - 1);
		uint32_t n = TOE_CHUNK_DATA - off;
		char *chunk = app_ring_chunk(app, ref, (seq >> TOE_CHUNK_SHIFT) & mask);

		if (n > len)
			n = len;
		iov[nr++] = (struct iovec){ chunk + off, n };
		seq += n;
		len -= n;
	}
	return nr;
}

uint32_t rings_rx_read(const struct conn *c, const struct min_tcp *min)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);
	uint32_t pos = (uint32_t)__atomic_load_n(&ctl->rx_read, __ATOMIC_ACQUIRE);

	return min->rcv_nxt - pos <= rings_size(c->rx) ? pos : min->rcv_nxt;
}

uint32_t rings_tx_filled(const struct conn *c, uint32_t snd_una, uint32_t snd_nxt)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);
	uint32_t pos = (uint32_t)__atomic_load_n(&ctl->tx_filled, __ATOMIC_ACQUIRE);

	if (pos - snd_una > rings_size(c->tx) || pos - snd_una < snd_nxt - snd_una)
		return snd_nxt;
	return pos;
}

void rings_freeze(const struct conn *c)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);

	__atomic_fetch_or(&ctl->rx_read, TOE_FROZEN, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&ctl->tx_filled, TOE_FROZEN, __ATOMIC_SEQ_CST);
}

void rings_start(const struct conn *c, uint32_t rx_read, uint32_t tx_filled)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);

	__atomic_store_n(&ctl->want_write, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ctl->rx_read, rx_read, __ATOMIC_RELEASE);
	__atomic_store_n(&ctl->tx_filled, tx_filled, __ATOMIC_RELEASE);
}
