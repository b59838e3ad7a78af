/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HW_CONN_T and MIN_TCP_T: what the engines know of a connection.
 *
 * hw_conn_t is a BPF hash map from struct toe_flow to struct hw_conn. sockops
 * programs make an entry (state KERNEL, a shadow) when a connection becomes
 * established and remove it when it closes. A move turns the entry live.
 *
 * Ownership: whoever holds hw_conn.lock may change the entry; the engines do
 * so for a few hundred nanoseconds with bottom halves disabled. The daemon
 * changes it only through the command program (toe/cmd.h), never with
 * bpf_map_update_elem(), which would replace the value under the engines.
 */
#ifndef TOE_HW_CONN_H
#define TOE_HW_CONN_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif
#include "toe/limits.h"
#include "toe/vlan.h"

/* The key. IPv4 addresses are stored IPv4-mapped (::ffff:a.b.c.d). */
struct toe_flow {
	__be32 laddr[4];
	__be32 raddr[4];
	__be16 lport;
	__be16 rport;
	__u16 net;		/* number of the network namespace, from map nets */
	__u16 family;		/* family on the wire: 2 (AF_INET) or 10 (AF_INET6) */
};
_Static_assert(sizeof(struct toe_flow) == 40, "toe_flow");

enum toe_opt {			/* min_tcp.opts, negotiated in the handshake */
	TOE_OPT_TS = 1,		/* RFC 7323 timestamps */
	TOE_OPT_SACK = 2,	/* RFC 2018 */
	TOE_OPT_WSCALE = 4,	/* RFC 7323 window scale */
	TOE_OPT_ECN = 8,	/* RFC 3168 */
	TOE_OPT_ACCECN = 16,	/* AccECN: such a connection stays with the kernel */
	TOE_OPT_SECURED = 32,	/* as does one that is signed or encrypted below TCP: TCP-MD5, TCP-AO, IPsec */
};

/* MIN_TCP_T: the minimum needed to take a connection over. Host byte order,
 * sequence numbers as on the wire. */
struct min_tcp {
	struct toe_flow flow;
	__u32 snd_una;		/* RFC 9293 3.3.1 */
	__u32 snd_nxt;
	__u32 snd_wnd;		/* bytes, scaled */
	__u32 snd_wl1;
	__u32 snd_wl2;
	__u32 snd_max_wnd;	/* largest window the peer ever offered, bytes */
	__u32 write_seq;	/* end of what the application wrote; the kernel's figure,
				   valid at the moment of a move only */
	__u32 rcv_nxt;
	__u32 rcv_adv;		/* right edge of the window last advertised */
	__u32 copied_seq;	/* first byte the application has not read; as write_seq */
	__u32 last_ack;		/* acknowledgement number last sent */
	__u32 ts_recent;	/* RFC 7323 TS.Recent */
	__u32 ts_off;		/* our TSval = CLOCK_MONOTONIC in ms + ts_off */
	__u32 srtt_us;		/* RFC 6298, plain microseconds, 0: no sample yet */
	__u32 rttvar_us;
	__u32 min_rtt_us;	/* ~0: no sample yet */
	__u32 cwnd;		/* bytes */
	__u32 ssthresh;		/* bytes, ~0: not yet set */
	__u16 snd_mss;		/* payload bytes of a full segment, options deducted */
	__u16 rcv_mss;		/* the same for what the peer sends */
	__u8 snd_wscale;	/* shift of the peer's windows */
	__u8 rcv_wscale;	/* shift of ours */
	__u8 opts;		/* enum toe_opt */
	__u8 wnd_limit;		/* SO_RCVBUF: what may be promised, in 256ths of the rx ring; 0: all of it */
};
_Static_assert(sizeof(struct min_tcp) == 120, "min_tcp");

enum toe_state {		/* hw_conn.state */
	TOE_KERNEL = 0,		/* shadow: frames pass to the kernel */
	TOE_HOLD = 1,		/* moving: frames go to the hold ring */
	TOE_HW = 2,		/* the engines own it */
};
/* Or-ed into hw_conn.next by sockops: the socket is closed at the moment (it is
 * being rebuilt, or it died in the move). FINISH to KERNEL then removes the entry. */
#define TOE_NEXT_CLOSED	0x80
/* The socket was parked and MIN_TCP_T captured: the entry and the rings are the connection. Without it
 * an entry in HOLD still has a whole socket. */
#define TOE_NEXT_PARKED	0x40
#define TOE_NEXT_STATE	0x0f	/* enum toe_state */

enum toe_ca {			/* hw_conn.ca_state, RFC 6582 */
	TOE_CA_OPEN = 0,
	TOE_CA_RECOVERY = 1,	/* fast recovery until snd_una reaches recover */
	TOE_CA_LOSS = 2,	/* after a retransmission timeout, the same */
	TOE_CA_CWR = 3,		/* cwnd was reduced for an ECN echo, the same */
};

enum toe_cc {			/* hw_conn.cc_alg; toe/cc.h */
	TOE_CC_CUBIC = 0,
	TOE_CC_RENO = 1,
	TOE_CC_DCTCP = 2,
	TOE_NR_CC
};

enum toe_ecn {			/* hw_conn.ecn, RFC 3168 6.1 */
	TOE_ECN_ECHO = 1,	/* CE was seen: ECE on every acknowledgement until CWR arrives */
	TOE_ECN_CWR = 2,	/* the next new data carries CWR */
};

enum toe_rec_hot {		/* hw_conn.rec: why an acknowledgement is to look at hw_rec */
	TOE_REC_BOARD = 1,	/* there are holes or SACKed bytes */
	TOE_REC_DSACK = 2,	/* a duplicate is to be reported */
	TOE_REC_TLP = 4,	/* a tail loss probe is out */
};

enum toe_tags {			/* hw_conn.tagged */
	TOE_TAGS_RIGHT = 1,	/* those of hw_conn.vlan */
	TOE_TAGS_OTHER = 2,
};

enum toe_sk_flag {		/* what parking hides and an upload puts back */
	TOE_SK_KEEPALIVE = 1,
	TOE_SK_REUSEADDR = 2,
};

/* A ring: a run of a slab from unit on. toe/place.h: how long, and where in it a byte stands. */
struct toe_ring_ref {
	__u16 slab;
	__u16 unit : 12;
	__u16 order : 4;
};
_Static_assert(sizeof(struct toe_ring_ref) == 4, "toe_ring_ref");

struct toe_ival {		/* sequence interval [start, end) */
	__u32 start;
	__u32 end;
};

/* HW_CONN_T */
struct hw_conn {
	__u32 lock;		/* 0 free, 1 taken; bpf/lock.h */
	__u32 hw_connid;	/* HW_CONNID; 0 while a shadow */
	__u32 gen;		/* generation of hw_connid */
	__u8 state;		/* enum toe_state */
	__u8 next;		/* in HOLD: the state that replayed frames are handled in,
				   and TOE_NEXT_CLOSED, TOE_NEXT_PARKED */
	__u8 nic;		/* index into nics */
	__u8 why;		/* enum toe_why: what made the engine ask for an upload */
	__u64 cookie;		/* CONN_T: the kernel's socket cookie */
	__u32 fd;		/* SONODE: that of file descriptor fd of application app */
	__u32 vlan;		/* tags of its link, toe/vlan.h: frames with others are not its own */
	struct min_tcp min;	/* MIN_TCP_T */
	struct toe_ring_ref rx;
	struct toe_ring_ref tx;
	__u16 qp;		/* queue pair to ring; 0: nobody bound yet */
	__u16 app;		/* owner; frames of another application's TAP are refused */
	__u8 dst_mac[6];
	__u8 src_mac[6];
	__u8 tos;		/* IPv4 TOS or IPv6 traffic class, without ECN bits */
	__u8 ttl;		/* IPv4 TTL or IPv6 hop limit */
	__u16 ip_id;
	union {
		/* KERNEL: how far frames seen on the way up reach, for the quiescence check */
		struct {
			__u32 seen_end;
			__u32 seen_ack;
		};
		struct {
			__u32 sacked;	/* bytes in (snd_una, snd_nxt) that have left the network: SACKed,
					   or as many as duplicate ACKs tell of */
			__u32 last_tx_ms; /* data was last sent, or, ahead, how far timestamps have come (stamped_ms) */
		};
	};
	__u16 nr_held;		/* HOLD: frames put in the hold ring */
	union {
		__u8 dupacks;
		__u8 tagged;	/* KERNEL: enum toe_tags, of the last frame that came; 0: none that would tell */
	};
	__u8 ca_state;		/* enum toe_ca */
	__u32 recover;		/* RFC 6582 */
	/* KERNEL: the next two keep snd_una and since when it has not moved, for the next offload */
	__u32 rtt_seq;		/* Karn: segment being timed when there are no timestamps */
	__u32 rtt_start_us;	/*   low 32 bits of CLOCK_MONOTONIC, us; 0: none */
	__u8 nr_ooo;		/* intervals in hw_rec.ooo */
	__u8 unacked_segs;	/* full segments received since the last ACK left */
	__u8 backoff;		/* daemon: RTO exponent */
	__u8 sk_flags;		/* daemon: enum toe_sk_flag */
	union {
		/* KERNEL: snd_una = snd_base + tcpi_bytes_acked, rcv_nxt = rcv_base +
		 * tcpi_bytes_received: the socket's progress without repair mode */
		struct {
			__u32 snd_base;
			__u32 rcv_base;
			/* bytes of earlier stays on either path, less what this socket counts again:
			 * all received = rx_base + tcpi_bytes_received, all sent = tx_base +
			 * tcpi_bytes_sent - tcpi_bytes_retrans (modulo 2^64). In HOLD, once the socket
			 * is parked: all. */
			__u64 rx_base;
			__u64 tx_base;
		};
		__u32 cc[10];	/* congestion control's own, toe/cc.h */
	};
	__u8 cc_alg;		/* enum toe_cc */
	__u8 ecn;		/* enum toe_ecn */
	__u8 rec;		/* enum toe_rec_hot */
	__u8 pad;
	union {
		__u32 challenge_ms;	/* no challenge ACK before, CLOCK_MONOTONIC; RFC 5961 section 7 */
		__u32 stamped_ms;	/* HOLD, once the socket is parked: the kernel's timestamps have come so far. Pacing stamps
					   what leaves at once (an ACK) with the time when the next data may leave. */
	};
};
_Static_assert(sizeof(struct hw_conn) == 256, "hw_conn");

/* Value of array map hw_connid, index HW_CONNID: the way from a descriptor to
 * the entry. gen 0: the id is free. */
struct hw_connid {
	struct toe_flow flow;
	__u32 gen;		/* another one before the memory of its rings goes to others, too */
	__u32 pad;
};
_Static_assert(sizeof(struct hw_connid) == 48, "hw_connid");

enum toe_clock_flag {		/* hw_clock.flags; set by the engines with atomic or,
				   cleared by the daemon with atomic and */
	TOE_CLK_UPLOAD = 1,	/* engine is in HOLD and asks for an upload */
	TOE_CLK_RTX = 2,	/* retransmit the segment at snd_una now */
	TOE_CLK_PUMP = 4,	/* window has opened, unsent bytes may go */
	TOE_CLK_SACK = 8,	/* what came out of order waits for an acknowledgement: soon */
};

/* Value of mmapable array map hw_clock, index HW_CONNID: what the daemon's
 * timers must see without a system call. Written by the engines under the
 * connection's lock, except flags. Times are CLOCK_MONOTONIC ns, 0: unset. */
struct hw_clock {
	__u64 rtx_since;	/* snd_una last moved, or the first byte in flight was sent */
	__u64 ack_since;	/* oldest received segment not yet acknowledged */
	__u32 flags;		/* enum toe_clock_flag */
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 snd_edge;		/* min(peer window, cwnd): how far snd_nxt may go */
	__u32 rx_segs;		/* counts wrap */
	__u32 tx_segs;
	__u32 rtx_segs;
	__u32 last_rx_ms;	/* last acceptable frame from the peer, CLOCK_MONOTONIC ms */
	__u64 rx_bytes;		/* payload bytes of the connection, on either path so far */
	__u64 tx_bytes;
};
_Static_assert(sizeof(struct hw_clock) == 64, "hw_clock");

#endif
