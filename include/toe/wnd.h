/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The receive window that a segment of ours advertises. Pure.
 *
 * Right edge: rx_read + what may be promised (ring size - reserve, or less if SO_RCVBUF says so), moved only when that
 * gains min(size / 2, one segment) (RFC 9293 3.8.6.2.2), never left of rcv_adv.
 * The scale's rounding is upwards where else the edge would move to the left (RFC 7323 section 2.4), as
 * Linux does; the reserve is the room for that. Where even that is used up (by a peer that sends small segments to a
 * reader that does not read) the figure on the wire rounds down, but bytes up to rcv_adv are still accepted.
 * rcv_adv may begin beyond the ring: the kernel's promise, whose buffer was larger than any ring. It stays, rounded upwards
 * without regard to the ring, until the ring's own edge overtakes it; what comes beyond the ring is the kernel's (bpf/rx_check.h).
 */
#ifndef TOE_WND_H
#define TOE_WND_H

#include "toe/hw_conn.h"
#include "toe/seq.h"

/* While nobody reads, an acknowledgement of k bytes costs k mod unit of them: of two segments of 1,448 bytes at most
 * 848 of 2,896, with units of 1,024. */
TOE_PURE __u32 wnd_reserve(__u32 unit, __u32 size)
{
	__u32 want = 40 * unit + (size >> 14) * 5 * unit, most = size / 16 * 5;

	return want < most ? want : most;
}

/* Bytes that may be promised. limit: min_tcp.wnd_limit. Less than two units could not be told. */
TOE_PURE __u32 wnd_most(__u32 unit, __u32 size, __u8 limit)
{
	__u32 most = size - wnd_reserve(unit, size), want = (size >> 8) * limit;

	if (!limit || want >= most)
		return most;
	return want < 2 * unit ? 2 * unit : want;
}

/*
 * read: rx_read, checked to lie in [rcv_nxt - size, rcv_nxt]. Returns the
 * window field (host byte order), moves min.rcv_adv.
 */
TOE_PURE __u16 wnd_select(struct min_tcp *m, __u32 read, __u32 size)
{
	__u32 shift = m->rcv_wscale & 15, unit = 1U << shift, most = wnd_most(unit, size, m->wnd_limit);
	__u32 least = m->rcv_mss < most / 2 ? m->rcv_mss : most / 2;
	__u32 edge = read + most, room = read + size, wire;

	if ((__s32)(edge - m->rcv_adv) < (__s32)least)
		edge = m->rcv_adv;
	if (seq_before(edge, m->rcv_nxt))
		edge = m->rcv_nxt;
	wire = (edge - m->rcv_nxt) >> shift;
	if (seq_before(m->rcv_nxt + (wire << shift), m->rcv_adv) &&
	    (seq_after(m->rcv_adv, room) || seq_leq(m->rcv_nxt + ((wire + 1) << shift), room)))
		wire++;
	if (wire > 0xffff)
		wire = 0xffff;
	m->rcv_adv = seq_max(m->rcv_adv, m->rcv_nxt + (wire << shift));
	return wire;
}

#endif
