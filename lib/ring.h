/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that is ordered: ring positions, the SONODE's word, the wake
 * block. No other file of the library says acquire, release or seq_cst.
 */
#ifndef RING_H
#define RING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "toe/app.h"
#include "toe/maps.h"
#include "toe/place.h"
#include "toe/ring.h"

#define ld(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define st(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ld_acq(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define st_rel(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* sequentially consistent: ordered against what the other side does in between */
#define ld_sc(p)	__atomic_load_n((p), __ATOMIC_SEQ_CST)
#define st_sc(p, v)	__atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add_sc(p, v)	__atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define or_sc(p, v)	__atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define and_sc(p, v)	__atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define cas_sc(p, old, new) \
	__atomic_compare_exchange_n((p), (old), (new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
/* what was read before is not read again later than this */
#define fence_acq()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
/* what is written before is seen by whoever sees what is written after this */
#define fence_rel()	__atomic_thread_fence(__ATOMIC_RELEASE)

static inline uint32_t word_path(uint32_t word)
{
	return word & TOE_PATH_MASK;
}

static inline bool word_cas(uint32_t *p, uint32_t old, uint32_t path)
{
	uint32_t new = (old & ~TOE_PATH_MASK) + TOE_EPOCH + path;

	return cas_sc(p, &old, new);
}

/*
 * users is raised before word is read again, and the daemon changes word
 * before it reads users: one of the two sees the other.
 */
static inline bool users_enter(struct toe_sonode *sh, uint32_t word)
{
	add_sc(&sh->users, 1);
	if (ld_sc(&sh->word) == word)
		return true;
	add_sc(&sh->users, -1);
	return false;
}

/* True: word is still the same. */
static inline bool users_leave(struct toe_sonode *sh, uint32_t word)
{
	add_sc(&sh->users, -1);
	return ld_sc(&sh->word) == word;
}

/* False: frozen. */
static inline bool pos_load(const __u64 *p, uint32_t *pos)
{
	uint64_t v = ld_acq(p);

	*pos = (uint32_t)v;
	return !(v & TOE_FROZEN);
}

/* A position that was read before this is one of this connection, or -ESTALE. */
#define ring_stale(r)	((r)->live && ld_acq((r)->live) != (r)->word)

/* Everything copied before is done when the engines see the new position. */
static inline bool pos_commit(__u64 *p, uint32_t old, uint32_t new)
{
	__u64 v = old;

	return cas_sc(p, &v, (__u64)new);
}

/* A writer waits: after this, look at snd_una once more. */
static inline void want_write(struct toe_ring_ctl *ctl)
{
	st_sc(&ctl->want_write, 1);
}

/* After this, look once more before sleeping. */
static inline void wake_arm(struct toe_qp_wake *wake)
{
	__atomic_exchange_n(&wake->armed, 1, __ATOMIC_SEQ_CST);
}

static inline bool wake_pending(const struct toe_qp_wake *wake)
{
	for (unsigned int i = 0; i < TOE_QP_SUMMARY; i++)
		if (ld_sc(&wake->summary[i]))
			return true;
	return false;
}

static inline uint64_t wake_take(__u64 *word)
{
	if (!ld(word))
		return 0;
	return __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
}

/* Into the cache. gcc takes a function that does nothing else for one without effect, and drops calls of it. */
static inline void fetch(const void *p)
{
	__builtin_prefetch(p);
	__asm__ volatile("" : : "r"(p));
}

/* A connection's rings as this call sees them; valid while word is the same. */
struct ring {
	struct toe_ring_ctl *ctl;
	const __u32 *live;	/* the SONODE's word; NULL: these rings do not change */
	uint8_t *rx, *tx;	/* where their units begin */
	uint32_t rx_size, tx_size; /* bytes */
	uint32_t rx_most;	/* window that may be promised: SO_RCVBUF */
	uint32_t tx_most;	/* bytes that may be kept: SO_SNDBUF */
	uint32_t unsent_most;	/* TCP_NOTSENT_LOWAT; 0: none */
	uint32_t word, connid, gen;
	uint32_t mss;
	uint8_t hdr_len, wscale;
};

/* Contiguous piece of at most len bytes at sequence number seq. hot: the ring's first bytes. */
static inline uint8_t *ring_piece(uint8_t *ring, uint8_t *hot, uint32_t size, uint32_t base, uint32_t seq, size_t len,
				  size_t *piece)
{
	uint32_t off = ring_off(size, base, seq);

	*piece = ring_run(size, off, len < size ? (uint32_t)len : size);
	if (off < TOE_HOT)
		return hot + off;
	return ring + (size_t)(off >> TOE_CHUNK_SHIFT) * TOE_CHUNK_SIZE + (off & (TOE_CHUNK_DATA - 1));
}

static inline uint8_t *rx_piece(const struct ring *r, uint32_t seq, size_t len, size_t *piece)
{
	return ring_piece(r->rx, ring_hot_rx(r->ctl), r->rx_size, ld(&r->ctl->rx_base), seq, len, piece);
}

static inline uint8_t *tx_piece(const struct ring *r, uint32_t seq, size_t len, size_t *piece)
{
	return ring_piece(r->tx, ring_hot_tx(r->ctl), r->tx_size, ld(&r->ctl->tx_base), seq, len, piece);
}

/* The application is about to read, and then to write: with many connections neither place is in a cache. */
static inline void ring_prefetch(const struct ring *r)
{
	uint32_t filled = (uint32_t)ld(&r->ctl->tx_filled);
	size_t n;

	fetch(rx_piece(r, (uint32_t)ld(&r->ctl->rx_read), 1, &n));
	fetch(filled == ld(&r->ctl->snd_una) ? ring_hot_tx(r->ctl) : tx_piece(r, filled, 1, &n));
}

/* Bytes that can be read; 0 also if the positions make no sense. */
static inline uint32_t ring_avail(const struct ring *r, uint32_t read)
{
	uint32_t n = ld_acq(&r->ctl->rcv_nxt) - read;

	return n <= r->rx_size ? n : 0;
}

static inline uint32_t ring_space(const struct ring *r, uint32_t filled)
{
	uint32_t used = filled - ld_sc(&r->ctl->snd_una);

	return used <= r->tx_most ? r->tx_most - used : 0;
}

/* Are so few bytes unsent that more are welcome? wake: as Linux, sleepers are woken at half the mark. */
static inline bool ring_unsent_low(const struct ring *r, uint32_t filled, bool wake)
{
	uint32_t unsent = filled - ld(&r->ctl->snd_nxt);

	return !r->unsent_most || unsent > r->tx_size || (uint64_t)unsent << wake < r->unsent_most;
}

/*
 * Take / put up to len bytes, skipping the first skip bytes of the vector.
 * Bytes moved, 0 when there are none or no room, -ESTALE: the position was
 * frozen, nothing was moved.
 */
ssize_t ring_take(const struct ring *r, const struct iovec *iov, int niov, size_t skip,
		  size_t len, bool peek, bool discard);
ssize_t ring_put(const struct ring *r, const struct iovec *iov, int niov, size_t skip,
		 size_t len);

#endif
