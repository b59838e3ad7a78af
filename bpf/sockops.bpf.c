// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow entries: sockops on the cgroup root sees each connection become
 * established, keeps its MIN_TCP_T fresh, captures it when the socket is
 * parked, removes it when the connection closes.
 *
 * All callbacks of a socket run under that socket's lock, and a move parks the
 * socket (which takes that lock) before the daemon loads the entry: so a shadow
 * is written here without hw_conn.lock. Only removal takes it, against a HOLD that
 * begins in the same moment.
 */
#include "lock.h"
#include "sk_restore.h"
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define AF_INET		2
#define AF_INET6	10
#define ECN_OK		1	/* tcp_sock.ecn_flags: RFC 3168 */
#define ECN_QUEUE_CWR	2	/*   CWR is to be sent */
#define ECN_DEMAND_CWR	4	/*   ECE is sent until CWR comes */
#define ECN_ACCURATE	16	/*   and AccECN */
#define INFINITE_SSTHRESH 0x7fffffff

/* What a socket with a shadow was counted to: its route may be gone, for the
 * moment, when a later callback asks. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct toe_netval);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sk_net SEC(".maps");

static __always_inline struct tcp_sock *sk_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_skc_to_tcp_sock(sk) : NULL;
}

static __always_inline bool is_mapped(const struct toe_flow *f)
{
	return !f->raddr[0] && !f->raddr[1] && f->raddr[2] == bpf_htonl(0xffff);
}

/* The key, but for net. Returns -1 if it is not TCP over IP. */
static __always_inline int flow_of(struct tcp_sock *tp, struct toe_flow *f)
{
	struct sock_common *skc = &tp->inet_conn.icsk_inet.sk.__sk_common;

	f->lport = bpf_htons(skc->skc_num);
	f->rport = skc->skc_dport;
	if (skc->skc_family == AF_INET) {
		f->laddr[2] = bpf_htonl(0xffff);
		f->raddr[2] = bpf_htonl(0xffff);
		f->laddr[3] = skc->skc_rcv_saddr;
		f->raddr[3] = skc->skc_daddr;
		f->family = AF_INET;
		return 0;
	}
	if (skc->skc_family != AF_INET6)
		return -1;
	for (int i = 0; i < 4; i++) {
		f->laddr[i] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		f->raddr[i] = skc->skc_v6_daddr.in6_u.u6_addr32[i];
	}
	f->family = is_mapped(f) ? AF_INET : AF_INET6;
	return 0;
}

/* The attached interface that the socket's route leaves by. */
static __always_inline struct toe_netval *net_of(struct bpf_sock_ops *ops, struct tcp_sock *tp)
{
	struct dst_entry *dst = tp->inet_conn.icsk_inet.sk.sk_dst_cache;
	struct toe_netdev key = {};
	struct net_device *dev;

	if (!dst)
		return NULL;
	dev = dst->dev;
	if (!dev)
		return NULL;
	key.ifindex = dev->ifindex;
	key.netns_cookie = bpf_get_netns_cookie(ops);
	return bpf_map_lookup_elem(&nets, &key);
}

static __always_inline bool port_wanted(const struct toe_flow *f)
{
	__u16 on = 0, lport = bpf_ntohs(f->lport), rport = bpf_ntohs(f->rport);

	return !bpf_map_lookup_elem(&ports, &on) || bpf_map_lookup_elem(&ports, &lport) ||
	       bpf_map_lookup_elem(&ports, &rport);
}

/* Each of them is there if the kernel was built with it. */
struct tcp_sock___md5 {
	void *md5sig_info;
} __attribute__((preserve_access_index));
struct tcp_sock___ao {
	void *ao_info;
} __attribute__((preserve_access_index));
struct dst_entry___xfrm {
	void *xfrm;
} __attribute__((preserve_access_index));

/* Engines sign and encrypt nothing, and look for no signature. */
static __always_inline bool secured(struct tcp_sock *tp)
{
	struct dst_entry *dst = tp->inet_conn.icsk_inet.sk.sk_dst_cache;
	struct dst_entry___xfrm *xd = (void *)dst;
	struct tcp_sock___md5 *md5 = (void *)tp;
	struct tcp_sock___ao *ao = (void *)tp;

	if (bpf_core_field_exists(md5->md5sig_info) && md5->md5sig_info)
		return true;
	if (bpf_core_field_exists(ao->ao_info) && ao->ao_info)
		return true;
	return dst && bpf_core_field_exists(xd->xfrm) && xd->xfrm;
}

static __always_inline __u8 opts_of(struct tcp_sock *tp)
{
	__u8 opts = 0;

	if (BPF_CORE_READ_BITFIELD(tp, rx_opt.tstamp_ok))
		opts |= TOE_OPT_TS;
	if (BPF_CORE_READ_BITFIELD(tp, rx_opt.sack_ok))
		opts |= TOE_OPT_SACK;
	if (BPF_CORE_READ_BITFIELD(tp, rx_opt.wscale_ok))
		opts |= TOE_OPT_WSCALE;
	if (tp->ecn_flags & ECN_OK)
		opts |= TOE_OPT_ECN;
	if (tp->ecn_flags & ECN_ACCURATE)
		opts |= TOE_OPT_ACCECN;
	return opts;
}

static __always_inline __u8 ecn_of(struct tcp_sock *tp)
{
	__u8 ecn = 0;

	if (tp->ecn_flags & ECN_DEMAND_CWR)
		ecn |= TOE_ECN_ECHO;
	if (tp->ecn_flags & ECN_QUEUE_CWR)
		ecn |= TOE_ECN_CWR;
	return ecn;
}

static __always_inline __u32 segs_to_bytes(__u32 segs, __u32 mss)
{
	__u64 bytes = (__u64)segs * mss;

	return segs >= INFINITE_SSTHRESH || bytes > ~0U ? ~0U : bytes;
}

static __always_inline void min_path(struct min_tcp *m, struct tcp_sock *tp)
{
	__u32 mss = tp->mss_cache, rtt_min = tp->rtt_min.s[0].v;

	if (mss > TOE_MAX_PAYLOAD)
		mss = TOE_MAX_PAYLOAD;
	m->snd_mss = mss;
	m->srtt_us = tp->srtt_us >> 3;
	m->rttvar_us = (m->srtt_us ? tp->rttvar_us : tp->mdev_us) >> 2;
	m->min_rtt_us = rtt_min;
	if (secured(tp))	/* here, as keys and policies may come later than the handshake */
		m->opts |= TOE_OPT_SECURED;
	/* the kernel counts in its own segments, whatever ours are */
	m->cwnd = segs_to_bytes(tp->snd_cwnd, mss);
	m->ssthresh = segs_to_bytes(tp->snd_ssthresh, mss);
}

static __always_inline void min_capture(struct min_tcp *m, struct tcp_sock *tp)
{
	m->snd_una = tp->snd_una;
	m->snd_nxt = tp->snd_nxt;
	m->snd_wnd = tp->snd_wnd;
	m->snd_wl1 = tp->snd_wl1;
	m->snd_wl2 = tp->snd_una;
	m->snd_max_wnd = tp->max_window;
	m->write_seq = tp->write_seq;
	m->rcv_nxt = tp->rcv_nxt;
	m->rcv_adv = tp->rcv_wup + tp->rcv_wnd;
	m->copied_seq = tp->copied_seq;
	m->last_ack = tp->rcv_wup;
	if (tp->rx_opt.ts_recent)	/* else one that was rebuilt and has heard nothing yet */
		m->ts_recent = tp->rx_opt.ts_recent;
	m->ts_off = tp->tsoffset;
	m->rcv_mss = tp->inet_conn.icsk_ack.rcv_mss;
	m->snd_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.snd_wscale);
	m->rcv_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.rcv_wscale);
	m->opts = opts_of(tp);
	min_path(m, tp);
}

/* Take a shadow out. Its cookie goes first, under the lock: a HOLD that comes
 * later finds another connection (-ESTALE), one that came before keeps it. */
static __always_inline bool shadow_kill(struct hw_conn *c, const struct toe_flow *f)
{
	bool gone;

	if (!lock_take(c))
		return false;
	gone = conn_is(c, f) && c->state == TOE_KERNEL;
	if (gone)
		c->cookie = 0;
	lock_drop(c);
	return gone && !bpf_map_delete_elem(&hw_conn_t, f);
}

static __always_inline void shadow_make(struct bpf_sock_ops *ops, struct tcp_sock *tp,
					const struct toe_flow *f, struct toe_netval *net)
{
	struct bpf_sock *sk = ops->sk;
	struct toe_netval *was;
	struct hw_conn c = {};

	if (!sk)
		return;
	c.cookie = bpf_get_socket_cookie(ops);
	c.nic = net->nic;
	c.vlan = net->vlan;
	c.min.flow = *f;
	min_capture(&c.min, tp);
	c.seen_end = c.min.rcv_nxt;
	c.seen_ack = c.min.snd_una;
	c.snd_base = c.min.snd_una - (__u32)tp->bytes_acked;
	c.rcv_base = c.min.rcv_nxt - (__u32)tp->bytes_received;
	/* also if the table is full: an RTT sample tries again */
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG |
				       BPF_SOCK_OPS_RTT_CB_FLAG);
	if (bpf_map_update_elem(&hw_conn_t, f, &c, BPF_NOEXIST)) {
		if (ops->op != BPF_SOCK_OPS_RTT_CB)
			count(SO_FULL);
		return;
	}
	count(SO_SHADOW);
	was = bpf_sk_storage_get(&sk_net, sk, net, BPF_SK_STORAGE_GET_F_CREATE);
	if (was)	/* under a toed before this one it may have been another */
		*was = *net;
}

/* The connect of a rebuild, on the way back to the kernel: what the daemon puts in place later (restore.bpf.c),
 * and the congestion window at once, for kernels that refuse that.
 * The socket's own MSS is too small at this moment (it waits for a window). */
static __always_inline void restore_note(struct bpf_sock_ops *ops, const struct hw_conn *c)
{
	__u32 mss = c->min.snd_mss;
	struct bpf_sock *sk = ops->sk;
	struct toe_restore r = {}, *was;
	int segs;

	if ((c->next & TOE_NEXT_STATE) != TOE_KERNEL || !c->min.cwnd || !mss || !sk)
		return;
	segs = c->min.cwnd / mss;
	if (segs < 1)
		segs = 1;
	r.cwnd = segs;
	r.ssthresh = c->min.ssthresh == ~0U ? INFINITE_SSTHRESH : c->min.ssthresh / mss;
	if (r.ssthresh < 2)
		r.ssthresh = 2;
	if (c->min.opts & TOE_OPT_ECN)
		r.ecn_flags = ECN_OK | (c->ecn & TOE_ECN_ECHO ? ECN_DEMAND_CWR : 0) |
			      (c->ecn & TOE_ECN_CWR ? ECN_QUEUE_CWR : 0);
	was = bpf_sk_storage_get(&sk_restore, sk, &r, BPF_SK_STORAGE_GET_F_CREATE);
	if (was)
		*was = r;
	bpf_setsockopt(ops, 6, TCP_BPF_IW, &segs, sizeof(segs));
}

/* Returns the entry of this socket, NULL if there is none. */
static __always_inline struct hw_conn *entry_of(struct bpf_sock_ops *ops, struct tcp_sock *tp,
						struct toe_flow *f)
{
	struct bpf_sock *sk = ops->sk;
	struct toe_netval *net;
	struct hw_conn *c;

	if (!tp || !sk || flow_of(tp, f))
		return NULL;
	net = bpf_sk_storage_get(&sk_net, sk, NULL, 0);
	if (!net)
		return NULL;
	f->net = net->net;
	c = bpf_map_lookup_elem(&hw_conn_t, f);
	return c && c->cookie == bpf_get_socket_cookie(ops) ? c : NULL;
}

/* An entry that belongs to this socket already: the connect of a rebuild, or a
 * connection that this program has seen before. */
static __always_inline bool so_known(struct bpf_sock_ops *ops, struct tcp_sock *tp)
{
	struct toe_flow f = {};
	struct hw_conn *c = entry_of(ops, tp, &f);

	if (!c || c->state == TOE_KERNEL)
		return false;
	if (c->state == TOE_HOLD) {
		PUT(c->next, c->next & ~TOE_NEXT_CLOSED);
		restore_note(ops, c);
	}
	return true;
}

static __always_inline void so_established(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = sk_of(ops);
	struct toe_flow f = {};
	struct toe_netval *net;
	struct hw_conn *c;

	if (!tp || so_known(ops, tp) || flow_of(tp, &f))
		return;
	net = net_of(ops, tp);
	if (!net || !port_wanted(&f))
		return;
	f.net = net->net;
	c = bpf_map_lookup_elem(&hw_conn_t, &f);
	if (c && !shadow_kill(c, &f))	/* left over from an earlier connection */
		return;
	shadow_make(ops, tp, &f, net);
}

static __always_inline void so_state(struct bpf_sock_ops *ops, __u32 from, __u32 to)
{
	struct tcp_sock *tp = sk_of(ops);
	struct toe_flow f = {};
	struct hw_conn *c;

	if (to != BPF_TCP_CLOSE && from != BPF_TCP_ESTABLISHED)
		return;
	c = entry_of(ops, tp, &f);
	if (!c || !tp)
		return;
	if (c->state == TOE_KERNEL) {
		if (shadow_kill(c, &f))
			count(SO_GONE);
	} else if (c->state == TOE_HOLD && to == BPF_TCP_CLOSE) {
		if (c->next == TOE_HW) {	/* in HOLD nobody else writes these */
			min_capture(&c->min, tp);
			c->ecn = ecn_of(tp);
			c->stamped_ms = tp->tcp_wstamp_ns / 1000000;
			c->rx_base += tp->bytes_received;
			c->tx_base += tp->bytes_sent - tp->bytes_retrans;
		}
		PUT(c->next, c->next | TOE_NEXT_CLOSED | TOE_NEXT_PARKED);
	}
}

static __always_inline void so_rtt(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = sk_of(ops);
	struct toe_flow f = {};
	struct hw_conn *c = entry_of(ops, tp, &f);

	if (c && tp && c->state == TOE_KERNEL)
		min_capture(&c->min, tp);
	else if (!c && ops->state == BPF_TCP_ESTABLISHED)
		so_established(ops);	/* under a toed before this one */
}

SEC("sockops")
int toe_sockops(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		so_established(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		so_state(ops, ops->args[0], ops->args[1]);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		so_rtt(ops);
		break;
	}
	return 1;
}
