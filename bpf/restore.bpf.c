// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What repair mode has no option for: congestion window, ssthresh and the state of ECN of a rebuilt socket. A congestion
 * control algorithm may write them, so this is one, for the moment between two setsockopt(TCP_CONGESTION) of the
 * daemon's: this algorithm, then the application's own again, whose init finds them in place.
 *
 * The values were left in the socket's storage by the connect of the rebuild (sockops.bpf.c).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "sk_restore.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/init")
int restore_init(__u64 *ctx)
{
	struct tcp_sock *tp = (struct tcp_sock *)ctx[0];
	struct toe_restore *r = bpf_sk_storage_get(&sk_restore, tp, NULL, 0);

	if (!r)
		return 0;
	if (r->cwnd)
		tp->snd_cwnd = r->cwnd;
	tp->snd_ssthresh = r->ssthresh;
	if (r->ecn_flags)
		tp->ecn_flags = r->ecn_flags | (tp->ecn_flags & TOE_ECN_SEEN);
	bpf_sk_storage_delete(&sk_restore, tp);
	return 0;
}

/* The rest of what an algorithm must have is never called: the socket sends nothing meanwhile. */
SEC("struct_ops/ssthresh")
__u32 restore_ssthresh(__u64 *ctx)
{
	return ((struct tcp_sock *)ctx[0])->snd_ssthresh;
}

SEC("struct_ops/undo_cwnd")
__u32 restore_undo(__u64 *ctx)
{
	return ((struct tcp_sock *)ctx[0])->snd_cwnd;
}

SEC("struct_ops/cong_avoid")
int restore_avoid(__u64 *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct tcp_congestion_ops toe_restore = {
	.init = (void *)restore_init,
	.ssthresh = (void *)restore_ssthresh,
	.undo_cwnd = (void *)restore_undo,
	.cong_avoid = (void *)restore_avoid,
	.name = TOE_RESTORE_NAME,
};
