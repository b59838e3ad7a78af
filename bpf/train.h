/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trains: one frame that leaves as several segments. bpf_redirect_map() with BPF_F_BROADCAST has the kernel copy the
 * frame for every entry of a devmap, and each entry of ours names the same interface and the program toe_train, which
 * makes the next segment out of its copy: its bytes from the tx ring, its headers from the template that the frame begins with.
 * The copies are made, and the program runs, on this CPU before bottom halves are enabled again, but without the entry's lock.
 */
#ifndef TRAIN_H
#define TRAIN_H

#include "hdr.h"

#ifndef BPF_F_BROADCAST
#define BPF_F_BROADCAST		8
#endif

#define TRAIN_OFF		96	/* of the note in the frame, behind the headers */
#define TRAIN_SLOTS		16	/* trains that may be under way on a CPU; power of 2 */
#define ACK_SLOTS		64	/* connections with acknowledgements under way on a CPU; power of 2 */

enum train_kind {
	NOTE_TRAIN = 1,
	NOTE_ACK = 2,		/* bpf/rx_reply.h */
	NOTE_BATCH = 3,		/* struct toe_batch_item behind the note */
	NOTE_BELL = 4,		/* bpf/rx_reply.h */
};

/* The note. EtherType 0 in the frame's header says that there is one: no other frame of an engine has that, and
 * no application writes what stands there. */
struct train {
	__u32 kind;		/* enum train_kind; NOTE_ACK has hw_connid, nr_cpu, proto, l4_off and hdr_len, too, NOTE_BATCH nr_cpu, nr,
				   nic and app, NOTE_BELL hw_connid, qp and app */
	__u32 hw_connid;
	__u32 gen;		/* when the train was made */
	__u32 nr_cpu;		/* struct train_slot, struct ack_slot */
	union {
		__u32 seq;	/* of the first segment */
		__u32 qp;	/* BELL: whose doorbell it is */
	};
	__u32 base;		/* of the tx ring */
	struct toe_ring_ref rx;	/* the control block stands there */
	struct toe_ring_ref tx;
	__u16 len;		/* payload bytes of a segment */
	__u16 last;		/* of the last */
	__u16 proto;		/* EtherType, as in the frame */
	__u8 nr;		/* segments */
	__u8 l3_off;
	__u8 l4_off;
	__u8 hdr_len;
	__u8 first_flags;	/* TCP flags of the first segment beyond the template's, and of the last */
	__u8 last_flags;
	__u8 v4;
	__u8 nic;		/* BATCH: by which all segments leave */
	__u16 app;		/* who sends them; BELL: whom it wakes */
};
_Static_assert(sizeof(struct train) == 48, "train");
_Static_assert(TRAIN_OFF + sizeof(struct train) <= TOE_BATCH_OFF, "the note would be over the items");
_Static_assert(TRAIN_OFF >= TOE_HDR_MAX + TOE_TAGS_MAX, "the note would be under the headers");
_Static_assert(TRAIN_OFF + sizeof(struct train) <= TOE_HDR_LEN(2, 0) + TOE_TRAIN_MSS, "the note would be behind the frame");

/* All copies are alike: which of them was met already is counted here. */
struct train_slot {
	__u32 nr_cpu;		/* of the train, counted on this CPU */
	__u32 next;		/* segment to be made */
};

/*
 * The newest acknowledgement of a connection on its way out of this CPU: the frame that is numbered nr_cpu. Segments that arrive while it
 * waits are acknowledged by it, too (riders): what it is to say then stands here, in network byte order.
 */
struct ack_slot {
	__u32 hw_connid;
	__u32 nr_cpu;
	__u32 waits;		/* it has not left */
	__u32 riders;
	__u32 since_ms;		/* it was made */
	__u32 seq;		/* of the frame and acknowledged by it, host byte order */
	__u32 ack;
	__u32 w_ack;		/* words of the TCP header: acknowledgement, */
	__u32 w_window;		/*   length, flags and window, */
	__u32 w_tsval;		/*   timestamps */
	__u32 w_tsecr;
	__u32 bell;		/* queue pair whose doorbell waits to be rung for the riders, too; 0: none */
};

struct train_cpu {
	__u32 nr;
	__u32 pad;
	struct train_slot slot[TRAIN_SLOTS];
	struct ack_slot ack[ACK_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct train_cpu);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} train_cpu SEC(".maps");

/* Where that connection's acknowledgement may be; or another's. */
static __always_inline struct ack_slot *ack_slot(__u32 hw_connid)
{
	__u32 zero = 0;
	struct train_cpu *cpu = bpf_map_lookup_elem(&train_cpu, &zero);

	return cpu ? &cpu->ack[hw_connid & (ACK_SLOTS - 1)] : NULL;
}

#endif
