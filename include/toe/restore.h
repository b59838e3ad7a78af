/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From sockops to the algorithm that puts a rebuilt socket's congestion state in place (bpf/restore.bpf.c). */
#ifndef TOE_RESTORE_H
#define TOE_RESTORE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Stands in the object file for the name that the daemon registers the algorithm under: one a toed. */
#define TOE_RESTORE_NAME "toe@@@@@@@@@@"	/* TCP_CA_NAME_MAX is 16 */

#define TOE_ECN_SEEN 8		/* in tcp_sock.ecn_flags: ECT was received; survives a rebuild by itself */

struct toe_restore {		/* in the kernel's units */
	__u32 cwnd;		/* segments */
	__u32 ssthresh;
	__u32 ecn_flags;	/* tcp_sock.ecn_flags; 0: no ECN */
};
_Static_assert(sizeof(struct toe_restore) == 12, "toe_restore");

#endif
