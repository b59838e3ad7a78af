/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: acknowledgements. */
#ifndef RX_REPLY_H
#define RX_REPLY_H

#include "rx.h"
#include "train.h"

/*
 * Of the plain acknowledgements that one NAPI run makes for a connection only the newest need leave. Which that is shows when
 * the frames leave, all together: so each gets a note (bpf/train.h) with a number, and toe_train drops what is not the newest.
 * Plain: says nothing but "so far" and the window.
 */
static __always_inline bool ack_plain(const struct hw_conn *c, const struct rx *r)
{
	return (toe_nic_flags & TOE_NIC_REDIRECT) && (toe_nic_flags & TOE_NIC_TRAINS) && c->nic == toe_nic_id &&
	       (r->ev & RX_EV_STRETCH) && !c->nr_ooo && !(c->rec & TOE_REC_DSACK) && !(c->ecn & TOE_ECN_ECHO);
}

static __always_inline int ack_number(struct xdp_md *ctx, const struct hw_conn *c)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct train_cpu *cpu = bpf_map_lookup_elem(&train_cpu, &zero);
	struct train *note = data + TRAIN_OFF;
	struct ethhdr *eth = data;
	struct ack_slot *slot;

	if (!cpu || (void *)(note + 1) > end)
		return -1;
	slot = &cpu->ack[c->hw_connid & (ACK_SLOTS - 1)];
	slot->hw_connid = c->hw_connid;
	note->kind = NOTE_ACK;
	note->hw_connid = c->hw_connid;
	note->nr_cpu = ++slot->nr_cpu;
	note->hdr_len = hdr_len(c) + toe_vlan_len(c->vlan);
	note->l4_off = 0;
	note->proto = eth->h_proto;
	eth->h_proto = 0;
	return 0;
}

static __always_inline int ack_with_note(struct xdp_md *ctx, struct hw_conn *c, const struct rx *r)
{
	struct hdr h = { .seq = c->min.snd_nxt, .now_ms = r->now.ms, .flags = TCP_ACK, .ect = hdr_ect(c) };

	if (hdr_resize(ctx, TRAIN_OFF + sizeof(struct train) - toe_vlan_len(c->vlan)) || hdr_write(ctx, c, r->ctl, &h, NULL))
		return -1;
	return ack_number(ctx, c);
}

/* Answer from here, in the frame itself. */
static __always_inline int rx_reply(struct xdp_md *ctx, struct hw_conn *c, struct rx *r)
{
	bool noted = ack_plain(c, r) && !ack_with_note(ctx, c, r);

	if (!noted && hdr_ack(ctx, c, r->ctl, c->min.snd_nxt, r->now.ms))
		return XDP_DROP;
	ack_left(c, r->ctl, r->clk);
	publish_rcv(c, r->ctl);
	count(RX_ACKS_OUT);
	if (c->nic == toe_nic_id && !(toe_nic_flags & TOE_NIC_REDIRECT))
		return XDP_TX;
	return bpf_redirect_map(&nic_reply, c->nic, XDP_DROP);
}

#endif
