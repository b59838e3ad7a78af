/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: knobs, and what its steps hand on. */
#ifndef RX_H
#define RX_H

#include "hdr.h"
#include "lock.h"
#include "toe/rtt.h"

/* Set by the loader, one copy of the program for each NIC and one that replays. */
const volatile __u16 toe_nic_id;
const volatile __u16 toe_net;
const volatile __u8 toe_replay;
const volatile __u8 toe_nic_flags;	/* TOE_NIC_PARTIAL_OK */

enum rx_event {
	RX_EV_DATA = 1,		/* rcv_nxt has moved: wake the application */
	RX_EV_ACK_DUE = 2,	/* an acknowledgement is owed */
	RX_EV_ACK_NOW = 4,	/*   and is not to be put off */
	RX_EV_SPACE = 8,	/* tx ring space or window that somebody waits for */
	RX_EV_PUMP = 16,	/* window has opened, bytes wait to be sent */
	RX_EV_RTX = 32,		/* the segment at snd_una is to be sent again */
	RX_EV_STRETCH = 64,	/* an acknowledgement of data in order: the next one would do */
	RX_EV_SACK = 128,	/* data out of order whose acknowledgement is put off */
};

struct rx {			/* a segment of a connection in hardware */
	struct toe_ring_ctl *ctl;
	struct hw_clock *clk;
	struct now now;
	__u32 read;		/* rx_read, checked */
	__u32 ev;		/* enum rx_event */
};

#endif
