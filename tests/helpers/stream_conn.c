/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tests/helpers/stream_conn.h"

void conn_start(struct conn *c, int fd, const struct hello *h)
{
	uint64_t up = mix64(h->seed + 2 * h->id), down = mix64(h->seed + 2 * h->id + 1);

	c->fd = fd;
	c->id = h->id;
	c->total = h->total;
	c->tx_seed = opt.server ? down : up;
	c->rx_seed = opt.server ? up : down;
	c->tx_rnd = mix64(c->tx_seed ^ opt.seed);
	c->rx_rnd = mix64(c->rx_seed ^ ~opt.seed);
	hash_init(&c->tx_hash);
	hash_init(&c->rx_hash);
	c->readable = c->writable = true;
}

/* Bytes [tx_pos, tx_pos + n) of what this end sends. */
static size_t tx_fill(struct conn *c, unsigned char *buf, size_t n)
{
	uint64_t hash = hash_end(&c->tx_hash);
	size_t off;

	if (c->tx_pos < c->total) {
		n = n < c->total - c->tx_pos ? n : c->total - c->tx_pos;
		pattern_fill(c->tx_seed, c->tx_pos, buf, n);
		return n;
	}
	off = c->tx_pos - c->total;
	n = n < TAIL_LEN - off ? n : TAIL_LEN - off;
	memcpy(buf, (unsigned char *)&hash + off, n);
	return n;
}

static void tx_done(struct conn *c, const unsigned char *buf, size_t n)
{
	if (c->tx_pos < c->total)
		hash_add(&c->tx_hash, buf, n);
	c->tx_pos += n;
}

static void rx_wrong(struct conn *c, uint64_t pos, unsigned char got)
{
	char msg[160];
	unsigned char want;

	pattern_fill(c->rx_seed, pos, &want, 1);
	snprintf(msg, sizeof(msg), "conn %u: first wrong byte at offset %llu: got %02x, expected %02x", c->id,
		 (unsigned long long)pos, got, want);
	fail(1, msg);
}

/* Compare; returns how many of the bytes belong to the pattern. */
static size_t rx_compare(struct conn *c, const unsigned char *buf, size_t n)
{
	uint64_t pos = c->rx_pos;
	size_t body = pos >= c->total ? 0 : n < c->total - pos ? n : c->total - pos;
	size_t bad = pattern_check(c->rx_seed, pos, buf, body);

	if (bad < body)
		rx_wrong(c, pos + bad, buf[bad]);
	if (n - body > c->total + TAIL_LEN - pos - body)
		fail(1, "more bytes than the peer sends");
	return body;
}

static void rx_take(struct conn *c, const unsigned char *buf, size_t n)
{
	size_t body = rx_compare(c, buf, n);
	uint64_t hash;

	hash_add(&c->rx_hash, buf, body);
	if (n > body)
		memcpy(c->rx_tail + (c->rx_pos + body - c->total), buf + body, n - body);
	c->rx_pos += n;
	if (c->rx_pos < c->total + TAIL_LEN || n == body)
		return;
	hash = hash_end(&c->rx_hash);
	if (memcmp(&hash, c->rx_tail, TAIL_LEN) != 0)
		fail(1, "hash of the direction differs");
}

static int split3(uint64_t *rnd, unsigned char *buf, size_t n, struct iovec iov[3])
{
	size_t a = rnd_below(rnd, n + 1), b = rnd_below(rnd, n - a + 1);

	iov[0] = (struct iovec){ buf, a };
	iov[1] = (struct iovec){ buf + a, b };
	iov[2] = (struct iovec){ buf + a + b, n - a - b };
	return 3;
}

static ssize_t any_send(struct conn *c, unsigned char *buf, size_t n)
{
	struct iovec iov[3];
	struct msghdr msg = { .msg_iov = iov };

	switch (rnd_below(&c->tx_rnd, 6)) {
	case 0:
		return write(c->fd, buf, n);
	case 1:
		return send(c->fd, buf, n, MSG_NOSIGNAL);
	case 2:
		return writev(c->fd, iov, split3(&c->tx_rnd, buf, n, iov));
	case 3:
		msg.msg_iovlen = split3(&c->tx_rnd, buf, n, iov);
		return sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	case 4:
		return sendto(c->fd, buf, n, MSG_NOSIGNAL, NULL, 0);
	default:	/* cork the first of two */
		return send(c->fd, buf, n, MSG_NOSIGNAL | MSG_MORE);
	}
}

static ssize_t any_recv(struct conn *c, unsigned char *buf, size_t n)
{
	struct iovec iov[3];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t rc;

	switch (rnd_below(&c->rx_rnd, 7)) {
	case 0:
		return read(c->fd, buf, n);
	case 1:
		return recv(c->fd, buf, n, 0);
	case 2:
		return readv(c->fd, iov, split3(&c->rx_rnd, buf, n, iov));
	case 3:
		msg.msg_iovlen = split3(&c->rx_rnd, buf, n, iov);
		return recvmsg(c->fd, &msg, 0);
	case 4:
		return recvfrom(c->fd, buf, n, 0, NULL, NULL);
	case 5:
		return recv(c->fd, buf, n, MSG_DONTWAIT);
	default:
		rc = recv(c->fd, buf, n, MSG_PEEK);
		if (rc <= 0)
			return rc;
		rx_compare(c, buf, rc);
		return recv(c->fd, buf, rc, 0);
	}
}

static void maybe_pause(uint64_t *rnd)
{
	if (opt.pause_us && rnd_below(rnd, 64) == 0)
		usleep(rnd_below(rnd, opt.pause_us));
}


/* Not before its time, if a rate is given. */
static void pace(const struct conn *c)
{
	uint64_t due, now, rate = opt.rate;	/* a signal may clear it */

	if (!rate)
		return;
	due = start_ns + (uint64_t)(c->tx_pos * 1e9 / rate);
	now = now_ns();
	if (now < due)
		usleep((due - now) / 1000 < 100000 ? (due - now) / 1000 : 100000);
}

/* One send. False: it would block. */
bool conn_tx(struct conn *c, unsigned char *buf)
{
	size_t n = tx_fill(c, buf, rnd_size(&c->tx_rnd, opt.max_chunk));
	ssize_t rc;

	maybe_pause(&c->tx_rnd);
	pace(c);
	rc = any_send(c, buf, n);
	if (rc < 0 && errno == EAGAIN)
		return false;
	if (rc < 0 && errno != EINTR)
		fail_errno(c, "send");
	if (rc > 0)
		tx_done(c, buf, rc);
	return true;
}

/* One receive. False: it would block. */
bool conn_rx(struct conn *c, unsigned char *buf)
{
	ssize_t rc;

	maybe_pause(&c->rx_rnd);
	rc = any_recv(c, buf, rnd_size(&c->rx_rnd, opt.max_chunk));
	if (rc < 0 && errno == EAGAIN)
		return false;
	if (rc < 0 && errno != EINTR)
		fail_errno(c, "receive");
	if (rc == 0 && !rx_all(c))
		fail(1, "the peer closed too early");
	if (rc == 0)
		c->rx_eof = true;
	if (rc > 0)
		rx_take(c, buf, rc);
	return true;
}

/* FIN: at once when asked to, else when both directions are through. */
void conn_shut(struct conn *c)
{
	if (c->tx_shut || !tx_all(c) || !(opt.early || rx_all(c)))
		return;
	if (shutdown(c->fd, SHUT_WR))
		fail_errno(c, "shutdown");
	c->tx_shut = true;
}

void conn_close(struct conn *c)
{
	if (c->fd >= 0 && close(c->fd))
		fail_errno(c, "close");
	c->fd = -1;
}
