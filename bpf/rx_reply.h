/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RX engine: acknowledgements. */
#ifndef RX_REPLY_H
#define RX_REPLY_H

#include "rx.h"
#include "train.h"

/*
 * Of the plain acknowledgements that one NAPI run makes for a connection only the newest need leave. All leave together, when the run
 * is over. So the first gets a note (bpf/train.h), and what the segments behind it acknowledge is written beside it: toe_train puts that
 * into the frame. Plain: says nothing but "so far" and the window.
 */
#define ACK_RIDERS	63U	/* that a frame takes along: if it was lost, so many segments go without */
#define ACK_STALE_MS	1000U	/* a frame that did not leave for so long never will */

static __always_inline bool ack_may_ride(const struct hw_conn *c)
{
	return (toe_nic_flags & TOE_NIC_REDIRECT) && (toe_nic_flags & TOE_NIC_TRAINS) && c->nic == toe_nic_id &&
	       !c->nr_ooo && !(c->rec & TOE_REC_DSACK) && !(c->ecn & TOE_ECN_ECHO);
}

static __always_inline bool ack_plain(const struct hw_conn *c, const struct rx *r)
{
	return (r->ev & RX_EV_STRETCH) && ack_may_ride(c);
}

static __always_inline __u32 ack_doff(const struct hw_conn *c)
{
	return (sizeof(struct tcphdr) + (c->min.opts & TOE_OPT_TS ? 12 : 0)) / 4;
}

/* Does the frame that waits there take an acknowledgement along? Not if anything has been sent or acknowledged meanwhile by
 * another one: its sequence number would be old. */
static __always_inline bool ack_takes(const struct ack_slot *slot, const struct hw_conn *c)
{
	return slot->waits && slot->hw_connid == c->hw_connid && slot->seq == c->min.snd_nxt &&
	       slot->ack == c->min.last_ack && slot->riders < ACK_RIDERS;
}

static __always_inline void ack_ride(struct ack_slot *slot, struct hw_conn *c, struct rx *r)
{
	slot->riders++;
	slot->ack = c->min.rcv_nxt;
	slot->w_ack = bpf_htonl(c->min.rcv_nxt);
	slot->w_window = bpf_htonl(ack_doff(c) << 28 | TCP_ACK << 16 | hdr_window(c, r->ctl));
	slot->w_tsval = bpf_htonl(r->now.ms + c->min.ts_off);
	slot->w_tsecr = bpf_htonl(c->min.ts_recent);
	ack_left(c, r->ctl, r->clk);
	publish_rcv(c, r->ctl);
	count(RX_ACKS_SAVED);
}

/* A frame that another connection's riders count on keeps its place. */
static __always_inline struct ack_slot *ack_place(const struct hw_conn *c, __u32 now_ms)
{
	struct ack_slot *slot = ack_slot(c->hw_connid);

	if (slot && slot->waits && slot->riders && slot->hw_connid != c->hw_connid && now_ms - slot->since_ms < ACK_STALE_MS)
		return NULL;
	return slot;
}

static __always_inline int ack_number(struct xdp_md *ctx, const struct hw_conn *c, struct ack_slot *slot, __u32 now_ms)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct train *note = data + TRAIN_OFF;
	struct ethhdr *eth = data;

	if ((void *)(note + 1) > end)
		return -1;
	slot->hw_connid = c->hw_connid;
	slot->waits = 1;
	slot->riders = 0;
	slot->since_ms = now_ms;
	slot->seq = c->min.snd_nxt;
	slot->ack = c->min.rcv_nxt;
	slot->bell = 0;
	note->kind = NOTE_ACK;
	note->hw_connid = c->hw_connid;
	note->nr_cpu = ++slot->nr_cpu;
	note->hdr_len = hdr_len(c) + toe_vlan_len(c->vlan);
	note->l4_off = note->hdr_len - 4 * ack_doff(c);
	note->proto = eth->h_proto;
	eth->h_proto = 0;
	return 0;
}

static __always_inline int ack_with_note(struct xdp_md *ctx, struct hw_conn *c, const struct rx *r)
{
	struct hdr h = { .seq = c->min.snd_nxt, .now_ms = r->now.ms, .flags = TCP_ACK, .ect = hdr_ect(c) };
	struct ack_slot *slot = ack_place(c, r->now.ms);

	if (!slot || hdr_resize(ctx, TRAIN_OFF + sizeof(struct train) - toe_vlan_len(c->vlan)) || hdr_write(ctx, c, r->ctl, &h, NULL))
		return -1;
	return ack_number(ctx, c, slot, r->now.ms);
}

static __always_inline int bell_note(struct xdp_md *ctx, const struct hw_conn *c)
{
	struct train *note;
	struct ethhdr *eth;

	if (ctx->data_end - ctx->data < TRAIN_OFF + sizeof(*note) && hdr_resize(ctx, TRAIN_OFF + sizeof(*note)))
		return -1;
	eth = (void *)(long)ctx->data;
	note = (void *)eth + TRAIN_OFF;
	if ((void *)(note + 1) > (void *)(long)ctx->data_end)
		return -1;
	note->kind = NOTE_BELL;
	note->hw_connid = c->hw_connid;
	note->qp = c->qp;
	note->app = c->app;
	eth->h_proto = 0;
	return 0;
}

/*
 * The riders' wake-up: the first of them goes to the TAP with a note, and toe_train sets the wake bit for all when the run is over,
 * which is when a doorbell leaves, too. An atomic in each segment would wait for its payload to reach lines of the ring that the
 * reader's CPU holds.
 */
static __always_inline int ack_bell(struct xdp_md *ctx, struct hw_conn *c, struct ack_slot *slot)
{
	if (slot->bell == c->qp)	/* it waits, or nobody is to be woken */
		return XDP_DROP;
	if (!bell_note(ctx, c)) {
		slot->bell = c->qp;
	} else {
		if (!wake_app(c))
			return XDP_DROP;
		count(RX_DOORBELL);
	}
	return bpf_redirect_map(&qp_dev, c->qp, XDP_DROP);
}

/* The verdict on a segment whose acknowledgement rides, -1 if it does not. */
static __always_inline int rx_ride(struct xdp_md *ctx, struct hw_conn *c, struct rx *r)
{
	struct ack_slot *slot = ack_may_ride(c) ? ack_slot(c->hw_connid) : NULL;

	if (!slot || !ack_takes(slot, c))
		return -1;
	ack_ride(slot, c, r);
	return ack_bell(ctx, c, slot);
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
