/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_BPF_ENDIAN_H
#define SHIM_BPF_ENDIAN_H

#define bpf_htons(x)	((__u16)__builtin_bswap16((__u16)(x)))
#define bpf_ntohs(x)	bpf_htons(x)
#define bpf_htonl(x)	__builtin_bswap32((__u32)(x))
#define bpf_ntohl(x)	bpf_htonl(x)

#endif
