/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include "ring.h"

/* A walk over an iovec. */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t off;
};

static void cursor_skip(struct cursor *c, size_t skip)
{
	c->off += skip;
	while (c->n && c->off >= c->iov->iov_len) {
		c->off -= c->iov->iov_len;
		c->iov++;
		c->n--;
	}
}

static uint8_t *cursor_piece(const struct cursor *c, size_t len, size_t *piece)
{
	size_t room = c->iov->iov_len - c->off;

	*piece = len < room ? len : room;
	return (uint8_t *)c->iov->iov_base + c->off;
}

static void copy_out(const struct ring *r, uint32_t seq, struct cursor c, size_t len)
{
	size_t a, n;

	while (len && c.n) {
		uint8_t *src = rx_piece(r, seq, len, &a);
		uint8_t *dst = cursor_piece(&c, a, &n);

		memcpy(dst, src, n);
		cursor_skip(&c, n);
		seq += n;
		len -= n;
	}
}

static void copy_in(const struct ring *r, uint32_t seq, struct cursor c, size_t len)
{
	size_t a, n;

	while (len && c.n) {
		uint8_t *dst = tx_piece(r, seq, len, &a);
		uint8_t *src = cursor_piece(&c, a, &n);

		memcpy(dst, src, n);
		cursor_skip(&c, n);
		seq += n;
		len -= n;
	}
}

ssize_t ring_take(const struct ring *r, const struct iovec *iov, int niov, size_t skip,
		  size_t len, bool peek, bool discard)
{
	struct cursor c = { iov, niov, 0 };
	uint32_t pos, n;

	cursor_skip(&c, skip);
	for (;;) {
		if (!pos_load(&r->ctl->rx_read, &pos) || ring_stale(r))
			return -ESTALE;
		n = ring_avail(r, pos);
		if (n > len)
			n = len;
		if (!n)
			return 0;
		if (!discard)
			copy_out(r, pos, c, n);
		/* the same position may have come back with other rings meanwhile */
		fence_acq();
		if (ring_stale(r))
			return -ESTALE;
		/* for a peek the exchange of pos with itself proves that the bytes were still there */
		if (pos_commit(&r->ctl->rx_read, pos, peek ? pos : pos + n))
			return n;
	}
}

#define UNSENT_OVER	16384	/* beyond TCP_NOTSENT_LOWAT, as Linux fills the buffer that it has begun */

/* An empty ring starts over: what was used last is in the caches. Nobody else looks at a ring where nothing is, but the daemon
 * while a segment that it sends again is acknowledged: the engine refuses that one. */
static void start_over(const struct ring *r, uint32_t filled)
{
	if (ld_acq(&r->ctl->snd_una) == filled)
		st(&r->ctl->tx_base, filled);
}

/* One writer at a time: the caller holds the SONODE's write lock. */
ssize_t ring_put(const struct ring *r, const struct iovec *iov, int niov, size_t skip, size_t len)
{
	struct cursor c = { iov, niov, 0 };
	uint32_t pos, n;

	cursor_skip(&c, skip);
	if (!pos_load(&r->ctl->tx_filled, &pos))
		return -ESTALE;
	n = ring_unsent_low(r, pos, false) ? ring_space(r, pos) : 0;
	if (r->unsent_most && n > r->unsent_most + UNSENT_OVER)
		n = r->unsent_most + UNSENT_OVER;
	if (n > len)
		n = len;
	if (!n)
		return 0;
	start_over(r, pos);
	copy_in(r, pos, c, n);
	return pos_commit(&r->ctl->tx_filled, pos, pos + n) ? (ssize_t)n : -ESTALE;
}
