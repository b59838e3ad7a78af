/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engines as plain functions: helpers and maps for one connection, and for a second that nothing may touch.
 * Packets, ring chunks and hold records are allocations of exactly their size, so that the address sanitizer
 * sees what the verifier proves, and more. Included after the engines.
 */
#ifndef SHIM_H
#define SHIM_H

#define SHIM_CONNS	2
#define SHIM_IDS	64		/* HW_CONNIDs that exist; more are looked up in vain */
#define SHIM_CHUNKS	8
#define SHIM_HELD	64

static struct {
	__u64 now_ns;
	struct { int used; struct hw_conn c; } conn[SHIM_CONNS];
	struct hw_connid id[SHIM_IDS];
	struct hw_clock clock[SHIM_IDS];
#ifdef INV_REC
	struct hw_rec rec[SHIM_IDS];
#endif
	struct toe_dirty dirty;
	struct toe_qp qp[SHIM_IDS];
	__u8 *chunk[SHIM_CHUNKS + 1];	/* and the value with their pages */
	__u64 stat[TOE_NR_STATS], spare;
	struct toe_held *held[SHIM_HELD];
	unsigned int nr_held;
	int hold_full;
	struct train_cpu train_cpu;
	struct toe_tick tick;
	struct toe_nic nic;
	const void *redirect_map;
	__u64 redirect_key;
	__u8 *frame;			/* the packet */
} shim;

static void *shim_array(void *base, __u32 nr, unsigned long size, const void *key)
{
	__u32 at = *(const __u32 *)key;

	return at < nr ? (char *)base + at * size : (void *)0;
}

static void *shim_conn(const void *key)
{
	for (int i = 0; i < SHIM_CONNS; i++)
		if (shim.conn[i].used && !memcmp(&shim.conn[i].c.min.flow, key, sizeof(struct toe_flow)))
			return &shim.conn[i].c;
	return NULL;
}

static void *shim_value(__u32 nr)
{
	if (nr == TOE_SLAB_CHUNKS)
		return shim.chunk[SHIM_CHUNKS];
	return nr < SHIM_CHUNKS ? shim.chunk[nr] : NULL;
}

static void *bpf_map_lookup_elem(const void *map, const void *key)
{
	if (map == &hw_conn_t)
		return shim_conn(key);
	if (map == &hw_connid)
		return shim_array(shim.id, SHIM_IDS, sizeof(shim.id[0]), key);
	if (map == &hw_clock)
		return shim_array(shim.clock, SHIM_IDS, sizeof(shim.clock[0]), key);
#ifdef INV_REC
	if (map == &hw_rec)
		return shim_array(shim.rec, SHIM_IDS, sizeof(shim.rec[0]), key);
#endif
	if (map == &hw_dirty)
		return shim_array(&shim.dirty, 1, sizeof(shim.dirty), key);
	if (map == &qps)
		return shim_array(shim.qp, SHIM_IDS, sizeof(shim.qp[0]), key);
	if (map == &stats)
		return shim_array(shim.stat, TOE_NR_STATS, sizeof(shim.stat[0]), key);
	if (map == &trains)			/* any address will do, it is redirected to only */
		return &shim.nic;
	if (map == &nics)
		return &shim.nic;
	if (map == &tick)
		return &shim.tick;
	if (map == &train_cpu)
		return &shim.train_cpu;
	if (map == &slabs)			/* slab 0 is there */
		return *(const __u32 *)key ? NULL : shim.chunk;
	if (map == shim.chunk)
		return shim_value(*(const __u32 *)key);
	return NULL;
}

static long bpf_map_delete_elem(const void *map, const void *key)
{
	(void)map;
	for (int i = 0; i < SHIM_CONNS; i++)
		if (!memcmp(&shim.conn[i].c.min.flow, key, sizeof(struct toe_flow)))
			shim.conn[i].used = 0;
	return 0;
}

static __u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

static __u64 bpf_jiffies64(void)
{
	return shim.now_ns / 4000000;
}

static __u64 bpf_ktime_get_coarse_ns(void)
{
	return shim.now_ns / 4000000 * 4000000;
}

static __u64 bpf_ktime_get_ns(void)
{
	return shim.now_ns;
}

static __u32 bpf_get_prandom_u32(void)
{
	static __u32 x;

	return x = x * 1664525 + 1013904223;
}

static long bpf_csum_diff(__be32 *from, __u32 from_len, __be32 *to, __u32 to_len, __u32 seed)
{
	__u64 sum = seed;
	__u32 w;

	(void)from;
	(void)from_len;
	for (__u32 i = 0; i < to_len; i += 4) {
		memcpy(&w, (__u8 *)to + i, 4);
		sum += w;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)((sum & 0xffffffff) + (sum >> 32));
}

static long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 off, void *to, __u32 len)
{
	if (off > ctx->data_end - ctx->data || len > ctx->data_end - ctx->data - off)
		return -22;
	memcpy(to, (void *)(ctx->data + off), len);
	return 0;
}

static long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 off, const void *from, __u32 len)
{
	if (off > ctx->data_end - ctx->data || len > ctx->data_end - ctx->data - off)
		return -22;
	memcpy((void *)(ctx->data + off), from, len);
	return 0;
}

/* The packet moves, as it may in a kernel: a pointer kept over the call points nowhere. */
static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta)
{
	long old = (long)(ctx->data_end - ctx->data), len = old + delta;
	__u8 *p;

	if (len < 14 || len > 4096)
		return -22;
	p = calloc(1, (size_t)len);
	memcpy(p, shim.frame, (size_t)(len < old ? len : old));
	free(shim.frame);
	shim.frame = p;
	ctx->data = (unsigned long)p;
	ctx->data_end = ctx->data + (unsigned long)len;
	return 0;
}

static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta)
{
	long old = (long)(ctx->data_end - ctx->data), len = old - delta;
	__u8 *p;

	if (len < 14 || len > 4096)
		return -22;
	p = calloc(1, (size_t)len);
	memcpy(p + (delta < 0 ? -delta : 0), shim.frame + (delta > 0 ? delta : 0), (size_t)(len < old ? len : old));
	free(shim.frame);
	shim.frame = p;
	ctx->data = (unsigned long)p;
	ctx->data_end = ctx->data + (unsigned long)len;
	return 0;
}

static long bpf_redirect_map(const void *map, __u64 key, __u64 flags)
{
	(void)flags;
	shim.redirect_map = map;
	shim.redirect_key = key;
	return XDP_REDIRECT;
}

static void *bpf_ringbuf_reserve(const void *map, __u64 size, __u64 flags)
{
	(void)map;
	(void)flags;
	return shim.hold_full || shim.nr_held == SHIM_HELD ? NULL : malloc(size);
}

static void bpf_ringbuf_submit(void *record, __u64 flags)
{
	(void)flags;
	shim.held[shim.nr_held++] = record;
}

static void bpf_ringbuf_discard(void *record, __u64 flags)
{
	(void)flags;
	free(record);
}

static long bpf_loop(__u32 nr, void *turn, void *ctx, __u64 flags)
{
	__u32 i;

	(void)flags;
	for (i = 0; i < nr; i++)
		if (((long (*)(__u32, void *))turn)(i, ctx))
			return i + 1;
	return i;
}

/* Runs a program on a copy of the frame; what became of it stays in shim.frame, *len. */
static int shim_run(int (*prog)(struct xdp_md *), const void *data, __u32 *len, __u32 ifindex)
{
	struct xdp_md ctx = { .ingress_ifindex = ifindex };
	int act;

	free(shim.frame);
	shim.frame = malloc(*len ? *len : 1);
	memcpy(shim.frame, data, *len);
	ctx.data = (unsigned long)shim.frame;
	ctx.data_end = ctx.data + *len;
	shim.redirect_map = NULL;
	act = prog(&ctx);
	*len = (__u32)(ctx.data_end - ctx.data);
	return act;
}

static void shim_forget(void)
{
	__u8 *chunk[SHIM_CHUNKS + 1];

	for (unsigned int i = 0; i < shim.nr_held; i++)
		free(shim.held[i]);
	free(shim.frame);
	memcpy(chunk, shim.chunk, sizeof(chunk));
	memset(&shim, 0, sizeof(shim));
	memcpy(shim.chunk, chunk, sizeof(chunk));
	for (int i = 0; i <= SHIM_CHUNKS; i++) {
		if (!shim.chunk[i])
			shim.chunk[i] = malloc(TOE_CHUNK_SIZE);
		memset(shim.chunk[i], 0, TOE_CHUNK_SIZE);
	}
}

#endif
