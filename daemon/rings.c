/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rings.h"

/* An rx ring begins with a chunk, whose page is its. A tx ring's base is not moved when sequence numbers wrap,
 * so its size is a power of two. */
unsigned int rings_order(uint32_t bytes, bool rx)
{
	unsigned int order = rx ? TOE_ORDER_64 : TOE_ORDER_32;

	while (order <= TOE_MAX_ORDER && (ring_units(order) << TOE_UNIT_SHIFT < bytes || (!rx && order == TOE_ORDER_96)))
		order++;
	return order;
}

static char *place(struct app *app, const struct rings_at *at, uint32_t off)
{
	uint32_t from = (at->ref.unit % TOE_CHUNK_UNITS << TOE_UNIT_SHIFT) + off;

	if (off < TOE_HOT)
		return at->hot + off;
	return (char *)app_ring_chunk(app, at->ref, from >> TOE_CHUNK_SHIFT) + (from & (TOE_CHUNK_DATA - 1));
}

int rings_iov(struct app *app, struct rings_at at, uint32_t seq, uint32_t len, struct iovec *iov)
{
	uint32_t size = ring_size(at.ref), off = ring_off(size, at.base, seq), n;
	int nr = 0;

	for (; len && nr < RINGS_IOV; len -= n) {
		n = ring_run(size, off, len);
		iov[nr++] = (struct iovec){ place(app, &at, off), n };
		off = off + n < size ? off + n : 0;
	}
	return nr;
}

struct rings_at rings_at_rx(struct app *app, struct toe_ring_ref rx, uint32_t base)
{
	return (struct rings_at){ rx, base, ring_hot_rx(app_ring_ctl(app, rx)) };
}

struct rings_at rings_at_tx(struct app *app, struct toe_ring_ref rx, struct toe_ring_ref tx, uint32_t base)
{
	return (struct rings_at){ tx, base, ring_hot_tx(app_ring_ctl(app, rx)) };
}

struct rings_at rings_rx(const struct conn *c)
{
	return rings_at_rx(c->app, c->rx, __atomic_load_n(&app_ring_ctl(c->app, c->rx)->rx_base, __ATOMIC_ACQUIRE));
}

struct rings_at rings_tx(const struct conn *c)
{
	return rings_at_tx(c->app, c->rx, c->tx, __atomic_load_n(&app_ring_ctl(c->app, c->rx)->tx_base, __ATOMIC_ACQUIRE));
}

static void set_base(struct toe_ring_ctl *ctl, uint32_t rx, uint32_t tx)
{
	__atomic_store_n(&ctl->rx_base, rx, __ATOMIC_RELEASE);
	__atomic_store_n(&ctl->tx_base, tx, __ATOMIC_RELEASE);
}

void rings_base(const struct conn *c, uint32_t rx, uint32_t tx)
{
	set_base(app_ring_ctl(c->app, c->rx), rx, tx);
}

uint32_t rings_rx_read(const struct conn *c, const struct min_tcp *min)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);
	uint32_t pos = (uint32_t)__atomic_load_n(&ctl->rx_read, __ATOMIC_ACQUIRE);

	return min->rcv_nxt - pos <= ring_size(c->rx) ? pos : min->rcv_nxt;
}

uint32_t rings_tx_filled(const struct conn *c, uint32_t snd_una, uint32_t snd_nxt)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);
	uint32_t pos = (uint32_t)__atomic_load_n(&ctl->tx_filled, __ATOMIC_ACQUIRE);

	if (pos - snd_una > ring_size(c->tx) || pos - snd_una < snd_nxt - snd_una)
		return snd_nxt;
	return pos;
}

/* What the control block says is good enough: it is the application's, and it is the application that would be woken for nothing. */
bool rings_unheard(const struct conn *c, struct rings_heard *h)
{
	const struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);
	uint32_t read = (uint32_t)__atomic_load_n(&ctl->rx_read, __ATOMIC_ACQUIRE);
	uint32_t filled = (uint32_t)__atomic_load_n(&ctl->tx_filled, __ATOMIC_ACQUIRE);
	uint32_t rcv = __atomic_load_n(&ctl->rcv_nxt, __ATOMIC_ACQUIRE), una = __atomic_load_n(&ctl->snd_una, __ATOMIC_ACQUIRE);
	bool reader = read != rcv && read == h->read && rcv != h->told_rcv;
	bool writer = __atomic_load_n(&ctl->want_write, __ATOMIC_ACQUIRE) && filled == h->filled && una != h->told_una;

	h->read = read;
	h->filled = filled;
	if (reader)
		h->told_rcv = rcv;
	if (writer)
		h->told_una = una;
	return reader || writer;
}

void rings_freeze(const struct conn *c)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(c->app, c->rx);

	__atomic_fetch_or(&ctl->rx_read, TOE_FROZEN, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&ctl->tx_filled, TOE_FROZEN, __ATOMIC_SEQ_CST);
}

static void set_positions(struct toe_ring_ctl *ctl, uint32_t rx_read, uint32_t tx_filled)
{
	__atomic_store_n(&ctl->want_write, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ctl->rx_read, rx_read, __ATOMIC_RELEASE);
	__atomic_store_n(&ctl->tx_filled, tx_filled, __ATOMIC_RELEASE);
}

void rings_start(const struct conn *c, uint32_t rx_read, uint32_t tx_filled)
{
	set_positions(app_ring_ctl(c->app, c->rx), rx_read, tx_filled);
}

void rings_prepare(struct app *app, struct toe_ring_ref rx, uint32_t read, uint32_t una, uint32_t filled)
{
	struct toe_ring_ctl *ctl = app_ring_ctl(app, rx);

	set_base(ctl, read, una);
	set_positions(ctl, read, filled);
}
