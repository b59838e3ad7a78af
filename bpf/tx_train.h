/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TX engine: the frame that becomes a train. */
#ifndef TX_TRAIN_H
#define TX_TRAIN_H

#include "train.h"

/* struct bpf_devmap_val: interface, then program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TOE_MAX_NICS * TOE_MAX_TRAIN);
	__type(key, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_DEVMAP);
		__uint(max_entries, TOE_MAX_TRAIN);
		__uint(key_size, sizeof(__u32));
		__uint(value_size, 2 * sizeof(__u32));
	});
} trains SEC(".maps");

/* The devmap that makes nr segments of one; NULL: the interface has none. */
static __always_inline void *train_way(__u32 id, __u32 nr)
{
	__u32 key = id * TOE_MAX_TRAIN + nr - 1;
	struct toe_nic *nic = bpf_map_lookup_elem(&nics, &id);

	if (!nic || !(nic->flags & TOE_NIC_TRAINS))
		return NULL;
	return bpf_map_lookup_elem(&trains, &key);
}

/* The slot where toe_train counts the copies; their number is in the note. */
static __always_inline void train_take_slot(struct train_cpu *cpu, struct train *note)
{
	struct train_slot *slot;

	note->nr_cpu = cpu->nr++;
	slot = &cpu->slot[note->nr_cpu & (TRAIN_SLOTS - 1)];
	slot->nr_cpu = note->nr_cpu;
	slot->next = 0;
}

/* The frame has its headers: the first segment's, its checksum without payload. Write the note. 0, or -1: drop it. */
static __always_inline int train_note(struct xdp_md *ctx, struct hw_conn *c, const struct toe_ring_ctl *ctl,
				      struct train *note)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, id = c->hw_connid;
	struct train_cpu *cpu = bpf_map_lookup_elem(&train_cpu, &zero);
	struct hw_connid *way = bpf_map_lookup_elem(&hw_connid, &id);
	struct ethhdr *eth = data;

	if (!cpu || !way || data + TRAIN_OFF + sizeof(*note) > end)
		return -1;
	note->gen = *(volatile __u32 *)&way->gen;
	train_take_slot(cpu, note);
	note->kind = NOTE_TRAIN;
	note->hw_connid = id;
	note->rx = c->rx;
	note->tx = c->tx;
	note->base = ctl->tx_base;
	note->v4 = c->min.flow.family == 2;
	note->hdr_len = hdr_len(c) + toe_vlan_len(c->vlan);
	note->l4_off = note->hdr_len - sizeof(struct tcphdr) - (c->min.opts & TOE_OPT_TS ? 12 : 0);
	note->l3_off = note->l4_off - (note->v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	note->proto = eth->h_proto;
	eth->h_proto = 0;
	*(struct train *)(data + TRAIN_OFF) = *note;
	return 0;
}

static __always_inline int batch_note(struct xdp_md *ctx, __u32 nic, __u32 app, __u32 nr)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct train note = { .kind = NOTE_BATCH, .nr = nr, .nic = nic, .app = app };
	__u32 zero = 0;
	struct train_cpu *cpu = bpf_map_lookup_elem(&train_cpu, &zero);
	struct ethhdr *eth = data;

	if (!cpu || data + TRAIN_OFF + sizeof(note) > end)
		return -1;
	train_take_slot(cpu, &note);
	eth->h_proto = 0;
	*(struct train *)(data + TRAIN_OFF) = note;
	return 0;
}

#endif
