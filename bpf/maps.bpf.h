/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All maps, as listed in toe/maps.h. Pinned by name: every object that is
 * loaded with the same pin_root_path shares them.
 */
#ifndef MAPS_BPF_H
#define MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "toe/hw_conn.h"
#include "toe/hw_rec.h"
#include "toe/maps.h"
#include "toe/ring.h"
#include "toe/cmd.h"

#ifndef NULL
#define NULL ((void *)0)
#endif

/* A single store, as other CPUs and processes look at the word. */
#define PUT(lvalue, v) (*(volatile typeof(lvalue) *)&(lvalue) = (v))

struct toe_dirty {
	__u64 bits;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TOE_MAX_CONNS);
	__type(key, struct toe_flow);
	__type(value, struct hw_conn);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hw_conn_t SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TOE_MAX_CONNS);
	__type(key, __u32);
	__type(value, struct hw_connid);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hw_connid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TOE_MAX_CONNS);
	__type(key, __u32);
	__type(value, struct hw_clock);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hw_clock SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TOE_MAX_CONNS);
	__type(key, __u32);
	__type(value, struct hw_rec);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hw_rec SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TOE_MAX_CONNS / 64);
	__type(key, __u32);
	__type(value, struct toe_dirty);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hw_dirty SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TOE_MAX_SLABS);
	__type(key, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(map_flags, BPF_F_MMAPABLE);
		__uint(max_entries, TOE_SLAB_VALUES);
		__uint(key_size, sizeof(__u32));
		__uint(value_size, TOE_CHUNK_SIZE);
	});
} slabs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TOE_MAX_QPS);
	__type(key, __u32);
	__type(value, struct toe_qp);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} qps SEC(".maps");

/* struct bpf_devmap_val: interface, then program. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, TOE_MAX_QPS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 2 * sizeof(__u32));
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} qp_dev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TOE_MAX_NICS);
	__type(key, __u32);
	__type(value, struct toe_nic);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nics SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, TOE_MAX_NICS);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nic_dev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, TOE_MAX_NICS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 2 * sizeof(__u32));
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nic_reply SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TOE_MAX_LINKS);
	__type(key, struct toe_netdev);
	__type(value, struct toe_netval);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nets SEC(".maps");

/* Host byte order; key 0 present: the filter is on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u16);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TOE_HOLD_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hold SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct toe_tick);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} tick SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TOE_NR_STATS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} stats SEC(".maps");

static __always_inline void stat_add(enum toe_stat stat, __u64 n)
{
	__u32 key = stat;
	__u64 *v = bpf_map_lookup_elem(&stats, &key);

	if (v)
		*v += n;
}

#define count(sym) stat_add(TOE_ST_##sym, 1)

#endif
