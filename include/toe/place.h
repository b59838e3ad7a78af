/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where in a ring a byte lies. Pure.
 *
 * The byte with sequence number s stands (s - base) modulo the ring's size behind its beginning. base (toe_ring_ctl.rx_base,
 * tx_base) is at most 2^31 before any byte that the ring holds; whoever fills the ring sets it anew when it is empty, and
 * moves it by a multiple of the size when it falls that far behind, which changes no byte's place.
 *
 * The first TOE_HOT bytes of a ring do not stand at its beginning but behind the control block, those of the rx ring and
 * of the tx ring in one page: a connection of short messages, whose rings are empty again and again, needs one page
 * of all its rings, where three would be in no TLB when there are many connections.
 */
#ifndef TOE_PLACE_H
#define TOE_PLACE_H

#include "toe/hw_conn.h"
#include "toe/seq.h"

/* Orders are sizes, in their order: 16, 32, 64, 96, 128, 256 KiB and on to 8 MiB. */
TOE_PURE __u32 ring_units(__u32 order)
{
	if (order == TOE_ORDER_96)
		return 6;
	return 1U << ((order - (order > TOE_ORDER_96)) & 15);
}

TOE_PURE __u32 ring_size(struct toe_ring_ref r)
{
	return ring_units(r.order) << TOE_UNIT_SHIFT;
}

/* A ring begins at a multiple of so many units, so that up to a chunk it lies in one, and else begins with one. */
TOE_PURE __u32 ring_align(__u32 order)
{
	return order == TOE_ORDER_96 ? 8 : ring_units(order);
}

TOE_PURE int ring_ref_valid(struct toe_ring_ref r)
{
	return r.order <= TOE_MAX_ORDER && r.unit + ring_units(r.order) <= TOE_SLAB_UNITS &&
	       !(r.unit & (ring_align(r.order) - 1));
}

/* Of s, as above. base may be anything, as it stands in memory that the application can write. */
TOE_PURE __u32 ring_off(__u32 size, __u32 base, __u32 seq)
{
	__u32 off = seq - base;

	return off < size ? off : off % size;
}

/* Bytes from off on, but not more than len, that lie one behind the other. (A ring of less than a chunk lies in one, any
 * other begins with one.) */
TOE_PURE __u32 ring_run(__u32 size, __u32 off, __u32 len)
{
	__u32 room = size - off, chunk = TOE_CHUNK_DATA - (off & (TOE_CHUNK_DATA - 1));

	room = room < chunk ? room : chunk;
	if (off < TOE_HOT)
		room = TOE_HOT - off;
	return room < len ? room : len;
}

/* The page of an rx ring: in which value of its slab, and where there. */
TOE_PURE __u32 ring_ctl_value(struct toe_ring_ref rx)
{
	return TOE_SLAB_CHUNKS + rx.unit / TOE_CHUNK_UNITS / TOE_VALUE_CTLS;
}

TOE_PURE __u32 ring_ctl_off(struct toe_ring_ref rx)
{
	return (rx.unit / TOE_CHUNK_UNITS & (TOE_VALUE_CTLS - 1)) << TOE_CTL_SHIFT;
}

/* The same in the slab as it is mapped. */
TOE_PURE __u32 ring_ctl_at(struct toe_ring_ref rx)
{
	return ring_ctl_value(rx) * TOE_CHUNK_SIZE + ring_ctl_off(rx);
}

/* The first bytes of the ring. */
TOE_PURE void *ring_hot_rx(void *ctl)
{
	return (char *)ctl + TOE_HOT_RX;
}

TOE_PURE void *ring_hot_tx(void *ctl)
{
	return (char *)ctl + TOE_HOT_TX;
}

/* base, not too far behind seq. */
TOE_PURE __u32 ring_near(__u32 size, __u32 base, __u32 seq)
{
	return seq - base < 1U << 31 ? base : base + (1U << 30) / size * size;
}

#endif
