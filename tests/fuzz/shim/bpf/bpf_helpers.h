/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engines use of bpf_helpers.h, for a native build; the functions are in tests/fuzz/shim.h. */
#ifndef SHIM_BPF_HELPERS_H
#define SHIM_BPF_HELPERS_H

#define SEC(name)
#define __uint(name, val)	int (*name)[val]
#define __type(name, val)	__typeof__(val) *name
#define __array(name, val)	__typeof__(val) *name[]
#define LIBBPF_PIN_BY_NAME	1

#undef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#define __noinline		__attribute__((noinline, unused))
#define barrier()		__asm__ volatile("" ::: "memory")
#define barrier_var(var)	__asm__ volatile("" : "+r"(var))

static void *bpf_map_lookup_elem(const void *map, const void *key);
static long bpf_map_delete_elem(const void *map, const void *key);
static __u64 bpf_ktime_get_ns(void);
static __u64 bpf_ktime_get_coarse_ns(void);
static __u64 bpf_jiffies64(void);
static __u32 bpf_get_smp_processor_id(void);
static __u32 bpf_get_prandom_u32(void);
static long bpf_csum_diff(__be32 *from, __u32 from_len, __be32 *to, __u32 to_len, __u32 seed);
static long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 off, void *to, __u32 len);
static long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 off, const void *from, __u32 len);
static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta);
static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta);
static long bpf_redirect_map(const void *map, __u64 key, __u64 flags);
static void *bpf_ringbuf_reserve(const void *map, __u64 size, __u64 flags);
static void bpf_ringbuf_submit(void *record, __u64 flags);
static void bpf_ringbuf_discard(void *record, __u64 flags);
static long bpf_loop(__u32 nr, void *turn, void *ctx, __u64 flags);

#endif
