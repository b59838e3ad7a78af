/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small map values and keys. Map names, all pinned under TOE_BPFFS (beside two of one program's own: sk_net, sk_restore):
 *
 * hw_conn_t   hash           struct toe_flow -> struct hw_conn
 * hw_connid   array          HW_CONNID -> struct hw_connid
 * hw_clock    array, mmap    HW_CONNID -> struct hw_clock (daemon only)
 * hw_rec      array, mmap    HW_CONNID -> struct hw_rec (daemon: reading only)
 * hw_dirty    array, mmap    word -> __u64: bit per HW_CONNID that the daemon's
 *                            timers must look at; set by the engines, never lost
 * slabs       array of maps  slab -> array, mmap, of chunks
 * qps         array          queue pair -> struct toe_qp
 * qp_dev      devmap         queue pair -> TAP with toe_train, for doorbells; what is said of nic_reply below holds here, too
 * nics        array          NIC -> struct toe_nic
 * nic_dev     devmap         NIC -> interface
 * trains      array of maps  NIC * TOE_MAX_TRAIN + segments - 1 -> devmap, which names the interface that many times
 *                            over, each time with the program toe_train
 * train_cpu   per-CPU array  struct train_cpu (bpf/train.h), one
 * nic_reply   devmap         NIC -> interface with toe_train, for what the RX engine sends: in one NAPI run the
 *                            kernel applies the program of the first frame for a device to all of them
 * nets        hash           struct toe_netdev -> struct toe_netval
 * ports       hash           __u16 local or remote port -> __u8 (port filter)
 * hold        ring buffer    struct toe_held
 * tick        array          struct toe_tick, one: of all engines, or a connection's time would go back between two
 * stats       per-CPU array  enum toe_stat -> __u64
 */
#ifndef TOE_MAPS_H
#define TOE_MAPS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct toe_qp {
	__u16 app;		/* owner; 0: free */
	__u16 flags;		/* TOE_QP_PRIV */
	__u16 slab;		/* where its struct toe_qp_wake lies */
	__u16 chunk;
};
#define TOE_QP_PRIV		1	/* may use the daemon's ops on any connection */

struct toe_nic {
	__u32 ifindex;
	__u16 net;
	__u8 flags;		/* TOE_NIC_* */
	__u8 pad;
};
/* A partial checksum (pseudo header only) on an arriving frame is valid: the
 * frame came from a stack on this host over veth and never met a wire. */
#define TOE_NIC_PARTIAL_OK	1
/* Send replies by redirection, not XDP_TX: veth puts an XDP_TX frame into its peer's
 * ring, but wakes the peer's NAPI only if that has an XDP program; GRO is not enough. */
#define TOE_NIC_REDIRECT	2
#define TOE_NIC_TRAINS		4	/* in map trains its devmaps have entries */

struct toe_tick {		/* the time of the kernel's last tick, bpf/now.h */
	__u64 ns;		/* CLOCK_MONOTONIC */
	__u64 check;		/* jiffies ^ ns */
};

struct toe_netdev {		/* key of nets: what sockops sees of a socket */
	__u64 netns_cookie;
	__u32 ifindex;		/* of the route's device */
	__u32 pad;
};
struct toe_netval {
	__u16 net;
	__u16 nic;		/* attached: the device itself, or below it */
	__u32 vlan;		/* tags of the device above nic, toe/vlan.h; 0: it is nic */
};

/*
 * Every drop and every exception has a name. Order is ABI between a running
 * engine and a restarted daemon of the same build; append only.
 * X(symbol, text for toectl stats)
 */
#define TOE_STATS(X) \
	X(RX_SEGS,	"segments taken by the RX engine") \
	X(RX_BYTES,	"payload bytes taken by the RX engine") \
	X(RX_OOO,	"segments placed out of order") \
	X(RX_DUP,	"duplicate segments") \
	X(RX_ACKS_OUT,	"acknowledgements sent by the RX engine") \
	X(RX_PASS,	"frames of known connections passed to the kernel") \
	X(RX_DOORBELL,	"wake-ups of applications") \
	X(RX_HELD,	"frames held during a move") \
	X(RX_HOLD_FULL,	"frames dropped because the hold ring was full") \
	X(RX_REPLAYED,	"held frames replayed") \
	X(RX_BAD_CSUM,	"frames with a wrong checksum dropped") \
	X(RX_PAWS,	"segments refused by PAWS") \
	X(RX_OUT_OF_WINDOW, "segments outside the receive window") \
	X(RX_BAD_ACK,	"acknowledgements of bytes never sent") \
	X(RX_UPLOAD,	"frames that made the engine ask for an upload") \
	X(RX_LOCK,	"frames dropped because the entry was locked too long") \
	X(RX_OOO_FULL,	"out-of-order segments dropped, no interval free") \
	X(RX_BAD_RING,	"frames dropped, ring reference or position invalid") \
	X(RX_FAST_RTX,	"fast retransmits asked for") \
	X(TX_SEGS,	"data segments sent by the TX engine") \
	X(TX_BYTES,	"payload bytes sent by the TX engine") \
	X(TX_RTX,	"segments retransmitted") \
	X(TX_ACKS,	"acknowledgements sent by the TX engine") \
	X(TX_PROBES,	"window probes sent") \
	X(TX_WINDOW,	"segments dropped, no window or cwnd, or not yet written") \
	X(TX_STALE,	"segments dropped, not at snd_nxt or old generation") \
	X(TX_STATE,	"segments dropped, connection not in hardware") \
	X(TX_FOREIGN,	"frames refused, TAP does not own the connection") \
	X(TX_MALFORMED,	"frames refused, malformed descriptor") \
	X(TX_LOCK,	"segments dropped because the entry was locked too long") \
	X(SO_SHADOW,	"connections seen established") \
	X(SO_GONE,	"connections seen closed") \
	X(SO_FULL,	"connections not entered, table full") \
	X(TX_TLP,	"tail loss probes that sent a segment again") \
	X(TX_TRAINS,	"trains of segments sent by the TX engine") \
	X(TX_TRAIN_SEGS, "segments that left in a train") \
	X(TX_NO_TRAIN,	"trains and batches refused, the interface has none of that length") \
	X(TX_TRAIN_LOST, "segments of a train that could not be made") \
	X(RX_ACKS_SAVED, "segments acknowledged by the frame of another") \
	X(RX_OTHER_VLAN, "frames of known connections but for their VLAN tags, passed") \
	X(TX_BATCHES,	"batches of segments of several connections") \
	X(TX_BATCH_SEGS, "segments that left in a batch")

enum toe_stat {
#define X(sym, text) TOE_ST_##sym,
	TOE_STATS(X)
#undef X
	TOE_NR_STATS
};

/* Why a connection is on the kernel path, or why it was uploaded. */
#define TOE_WHYS(X) \
	X(NEW,		"not asked for") \
	X(ASKED,	"upload asked for") \
	X(NO_LIB,	"process does not run under toectl run") \
	X(NOT_ESTAB,	"not established") \
	X(NO_NIC,	"route does not leave by an attached interface") \
	X(NO_NEIGH,	"neighbour not resolved") \
	X(MPTCP,	"MPTCP") \
	X(ULP,		"kernel TLS or another ULP") \
	X(FILTER,	"socket filter attached") \
	X(USEC_TS,	"microsecond timestamps") \
	X(WINDOW,	"window larger than the ring") \
	X(QUEUE,	"queued bytes larger than a ring") \
	X(NO_ID,	"no free HW_CONNID") \
	X(NO_SLAB,	"no ring memory") \
	X(NO_FD,	"descriptor not found in its process") \
	X(MTU,		"segment size that the engines do not take") \
	X(FIN,		"peer sent FIN") \
	X(RST,		"peer sent RST") \
	X(SYN,		"peer sent SYN") \
	X(URG,		"urgent data") \
	X(OPTIONS,	"IP options or extension headers") \
	X(FRAGMENT,	"IP fragment") \
	X(ECN,		"accurate ECN") \
	X(CLOSE,	"closed by the application") \
	X(SHUTDOWN,	"shut down by the application") \
	X(SOCKOPT,	"socket option the engine does not serve") \
	X(CALL,		"call the engine does not serve") \
	X(FORK,		"shared with another process or descriptor") \
	X(APP_GONE,	"application gone") \
	X(STOP,		"toed stopped") \
	X(DETACH,	"interface detached") \
	X(LINK,		"link or route changed") \
	X(TIMEOUT,	"retransmission limit") \
	X(ERROR,	"move failed") \
	X(BUSY,		"a thread stays in a send") \
	X(HOLE,		"data is missing in the received stream, try again") \
	X(NO_ROUTE,	"no route to the peer: cannot upload now") \
	X(PMTU,		"path MTU changed") \
	X(NO_FILES,	"toed has no free descriptor") \
	X(BULK,		"sends or receives in bulk") \
	X(STRIPPED,	"interface takes VLAN tags off (ethtool -K: rxvlan off)") \
	X(UNTAGGED,	"no frame with its VLAN tags seen yet") \
	X(TAG_ROOM,	"no room for VLAN tags: lower the VLAN's MTU") \
	X(SECURED,	"TCP-MD5, TCP-AO or IPsec") \
	X(URING,	"the program uses io_uring; if not for sockets: TOE_URING=files") \
	X(BYPASS,	"frames come by another way than the attached interface")

enum toe_why {
#define X(sym, text) TOE_WHY_##sym,
	TOE_WHYS(X)
#undef X
	TOE_NR_WHYS
};

#endif
