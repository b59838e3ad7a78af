/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines' kernel types, natively: a context's pointers are as wide as pointers. */
#ifndef SHIM_VMLINUX_H
#define SHIM_VMLINUX_H

#define xdp_md xdp_md_of_the_kernel
#include "../../../vmlinux.h"
#undef xdp_md

struct xdp_md {
	unsigned long data;
	unsigned long data_end;
	unsigned long data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

#endif
