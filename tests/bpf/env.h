/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engines without a wire: all objects loaded into a bpffs of this process, queue pairs' TAPs in a
 * network namespace of this process, frames in and out by BPF_PROG_RUN. Needs root.
 *
 *	queue pair 1 (daemon)   TAP 1001
 *	queue pair 5 (app 3)    TAP 1005      toe_tx
 *	queue pair 6 (app 4)    TAP 1006
 *	NIC 2, network 7        TAP 2000      toe_rx
 */
#ifndef TESTS_BPF_ENV_H
#define TESTS_BPF_ENV_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#include "tests/unit/test.h"
#include "cmd.skel.h"
#include "rx.skel.h"
#include "train.skel.h"
#include "tx.skel.h"
#include "toe/cmd.h"
#include "toe/hw_rec.h"
#include "toe/maps.h"
#include "toe/place.h"
#include "toe/ring.h"

#define ENV_NIC		2
#define ENV_NET		7
#define ENV_NIC_IFINDEX	2000
#define ENV_APP		3
#define ENV_QP		5
#define ENV_OTHER_APP	4
#define ENV_OTHER_QP	6
#define ENV_ID		77
#define ENV_GEN		12

/* chunks of slab 0 */
enum { CHUNK_RX = 0, CHUNK_TX = 4, CHUNK_QP = 8, CHUNK_OTHER_QP = 9, CHUNK_DAEMON = 10 };
#define ENV_ORDER	4		/* rings of 128 KiB */
#define ENV_RING	(128U << 10)
#define ENV_CHUNKS	(ENV_RING / TOE_CHUNK_DATA)

struct env {
	struct rx_bpf *rx, *replay, *veth;	/* veth: the NIC is one */
	struct tx_bpf *tx;
	struct train_bpf *train;
	struct cmd_bpf *cmd;
	unsigned char *slab;
	struct hw_clock *clock;
	__u64 *dirty;
	struct ring_buffer *held;
	struct toe_held last;		/* what env_drain() saw last */
	unsigned int nr_held;
	__u64 stats[TOE_NR_STATS];	/* at env_mark() */
};
static struct env env;

#define TRY(cond) do { if (!(cond)) { \
	fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, strerror(errno)); \
	exit(1); } } while (0)

static inline void env_private_ns(char *dir)
{
	struct rlimit inf = { RLIM_INFINITY, RLIM_INFINITY };

	if (geteuid()) {
		printf("SKIP: needs root\n");
		exit(77);
	}
	setrlimit(RLIMIT_MEMLOCK, &inf);
	TRY(!unshare(CLONE_NEWNS | CLONE_NEWNET));
	TRY(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	TRY(!mount("bpf", dir, "bpf", 0, NULL));
}

static inline void env_tap(int ifindex)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR), sock = socket(AF_INET, SOCK_DGRAM, 0);

	TRY(fd >= 0 && sock >= 0);
	TRY(!ioctl(fd, TUNSETIFINDEX, &ifindex));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "t%d", ifindex);
	TRY(!ioctl(fd, TUNSETIFF, &ifr));
	ifr.ifr_flags = IFF_UP;
	TRY(!ioctl(sock, SIOCSIFFLAGS, &ifr));
	close(sock);			/* fd stays open: the TAP lives as long */
}

static inline int env_map(struct bpf_map *map)
{
	return bpf_map__fd(map);
}

static inline void env_put(struct bpf_map *map, __u32 key, const void *value)
{
	TRY(!bpf_map_update_elem(env_map(map), &key, value, BPF_ANY));
}

/* libbpf before 1.6 does not take a pinned devmap for what it is: the kernel adds to its flags. */
static inline void env_share(struct bpf_object *obj)
{
	static const char *const names[] = { "qp_dev", "nic_dev", "nic_reply" };

	for (size_t i = 0; i < NR(names); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, names[i]);
		struct bpf_map *from = bpf_object__find_map_by_name(env.cmd->obj, names[i]);

		TRY(!bpf_map__reuse_fd(map, env_map(from)) && !bpf_map__set_pin_path(map, NULL));
	}
}

static inline void env_load(const char *dir)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = dir);

	env.cmd = cmd_bpf__open_opts(&opts);
	env.tx = tx_bpf__open_opts(&opts);
	env.rx = rx_bpf__open_opts(&opts);
	env.replay = rx_bpf__open_opts(&opts);
	env.veth = rx_bpf__open_opts(&opts);
	TRY(env.cmd && env.tx && env.rx && env.replay && env.veth);
	env.rx->rodata->toe_nic_id = env.replay->rodata->toe_nic_id = env.veth->rodata->toe_nic_id = ENV_NIC;
	env.rx->rodata->toe_net = env.replay->rodata->toe_net = env.veth->rodata->toe_net = ENV_NET;
	env.veth->rodata->toe_nic_flags = TOE_NIC_REDIRECT | TOE_NIC_TRAINS;
	env.replay->rodata->toe_replay = 1;
	env.replay->rodata->toe_nic_flags = TOE_NIC_PARTIAL_OK;
	TRY(!cmd_bpf__load(env.cmd));
	env_share(env.tx->obj);
	env_share(env.rx->obj);
	env_share(env.replay->obj);
	env_share(env.veth->obj);
	TRY(!tx_bpf__load(env.tx));
	TRY(!rx_bpf__load(env.rx) && !rx_bpf__load(env.replay) && !rx_bpf__load(env.veth));
}

/* toe_train as an XDP program like others: BPF_PROG_RUN refuses those of a devmap. Trains of every length for the NIC. One
 * CPU: that is where a train is counted. */
static inline void env_trains(const char *dir)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = dir);
	__u32 key[TOE_MAX_TRAIN - 1], nic[2] = { ENV_NIC_IFINDEX }, count = TOE_MAX_TRAIN - 1;
	int fd[TOE_MAX_TRAIN - 1];
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	TRY(!sched_setaffinity(0, sizeof(one), &one));
	env.train = train_bpf__open_opts(&opts);
	TRY(env.train && !bpf_program__set_expected_attach_type(env.train->progs.toe_train, BPF_XDP));
	env_share(env.train->obj);
	TRY(!train_bpf__load(env.train));
	for (__u32 i = 0; i < count; i++) {
		key[i] = ENV_NIC * TOE_MAX_TRAIN + i + 1;
		fd[i] = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "train", 4, sizeof(nic), i + 2, NULL);
		TRY(fd[i] >= 0);
		for (__u32 k = 0; k < i + 2; k++)
			TRY(!bpf_map_update_elem(fd[i], &k, nic, BPF_ANY));
	}
	env_put(env.tx->maps.nics, ENV_NIC, &(struct toe_nic){ .ifindex = ENV_NIC_IFINDEX, .flags = TOE_NIC_TRAINS });
	TRY(!bpf_map_update_batch(env_map(env.tx->maps.trains), key, fd, &count, NULL));
}

static inline void *env_mmap(int map, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	TRY(p != MAP_FAILED);
	return p;
}

static inline void env_slab(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "slab", 4, TOE_CHUNK_SIZE, TOE_SLAB_VALUES, &opts);

	TRY(fd >= 0);
	env_put(env.rx->maps.slabs, 0, &fd);
	env.slab = env_mmap(fd, TOE_SLAB_SIZE);
}

static inline int env_on_held(void *arg, void *data, size_t len)
{
	(void)arg;
	TRY(len == sizeof(struct toe_held));
	memcpy(&env.last, data, len);
	env.nr_held++;
	return 0;
}

static inline void env_qp(__u32 qp, __u16 app, __u16 flags, __u16 chunk)
{
	struct toe_qp q = { .app = app, .flags = flags, .chunk = chunk };
	__u32 dev[2] = { TOE_TAP_IFINDEX + qp };

	env_tap((int)dev[0]);
	env_put(env.tx->maps.qps, qp, &q);
	env_put(env.tx->maps.qp_dev, qp, dev);
}

static inline void env_open(void)
{
	__u32 nic = ENV_NIC_IFINDEX;
	char dir[] = "/tmp/toe-bpf.XXXXXX";

	TRY(mkdtemp(dir));
	env_private_ns(dir);
	env_load(dir);
	env_slab();
	env.clock = env_mmap(env_map(env.rx->maps.hw_clock), sizeof(struct hw_clock) * TOE_MAX_CONNS);
	env.dirty = env_mmap(env_map(env.rx->maps.hw_dirty), TOE_MAX_CONNS / 8);
	env.held = ring_buffer__new(env_map(env.rx->maps.hold), env_on_held, NULL, NULL);
	TRY(env.held);
	env_tap(ENV_NIC_IFINDEX);
	env_put(env.tx->maps.nic_dev, ENV_NIC, &nic);
	env_put(env.tx->maps.nic_reply, ENV_NIC, (__u32[2]){ nic });
	env_trains(dir);
	env_qp(TOE_QP_DAEMON, TOE_MAX_APPS - 1, TOE_QP_PRIV, CHUNK_DAEMON);
	env_qp(ENV_QP, ENV_APP, 0, CHUNK_QP);
	env_qp(ENV_OTHER_QP, ENV_OTHER_APP, 0, CHUNK_OTHER_QP);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

/* ---- what is shared ---- */

static inline unsigned char *env_chunk(unsigned int n)
{
	return env.slab + (size_t)n * TOE_CHUNK_SIZE;
}

/* Of the rx ring that begins with this chunk. */
static inline struct toe_ring_ctl *env_ctl_of(unsigned int chunk)
{
	struct toe_ring_ref rx = { .unit = (__u16)(chunk * TOE_CHUNK_UNITS) };

	return (struct toe_ring_ctl *)(env.slab + ring_ctl_at(rx));
}

static inline struct toe_ring_ctl *env_ctl(void)
{
	return env_ctl_of(CHUNK_RX);
}

static inline struct toe_qp_wake *env_wake(unsigned int chunk)
{
	return (struct toe_qp_wake *)env_chunk(chunk);
}

/* Byte off of the ring that begins with this chunk. */
static inline unsigned char *env_place(unsigned int chunk, __u32 off)
{
	if (off < TOE_HOT && chunk >= CHUNK_TX)
		return ring_hot_tx(env_ctl_of(chunk - CHUNK_TX + CHUNK_RX)) + off;
	if (off < TOE_HOT)
		return ring_hot_rx(env_ctl_of(chunk)) + off;
	return env_chunk(chunk + off / TOE_CHUNK_DATA) + off % TOE_CHUNK_DATA;
}

/* tx rings of these tests begin at 0. */
static inline unsigned char *env_ring(unsigned int chunk, __u32 seq)
{
	return env_place(chunk, ring_off(ENV_RING, chunk >= CHUNK_TX ? 0 : env_ctl_of(chunk)->rx_base, seq));
}

static inline bool env_woken(void)	/* takes the bit */
{
	__u64 *word = &env_wake(CHUNK_QP)->words[ENV_ID / 64], bit = 1ULL << (ENV_ID % 64);
	bool set = *word & bit;

	*word &= ~bit;
	return set && env_wake(CHUNK_QP)->summary[0] == 1ULL << (ENV_ID / 64);
}

static inline bool env_dirty(void)	/* takes the bit */
{
	__u64 bit = 1ULL << (ENV_ID % 64);
	bool set = env.dirty[ENV_ID / 64] & bit;

	env.dirty[ENV_ID / 64] &= ~bit;
	return set;
}

static inline unsigned int env_drain(void)
{
	env.nr_held = 0;
	ring_buffer__consume(env.held);
	return env.nr_held;
}

/* ---- counters ---- */

static inline __u64 env_stat(__u32 s)
{
	__u64 v[64] = {}, sum = 0;

	TRY(libbpf_num_possible_cpus() <= 64);
	TRY(!bpf_map_lookup_elem(env_map(env.rx->maps.stats), &s, v));
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += v[i];
	return sum;
}

static inline void env_mark(void)
{
	for (__u32 s = 0; s < TOE_NR_STATS; s++)
		env.stats[s] = env_stat(s);
}

#define COUNTED(sym) (env_stat(TOE_ST_##sym) - env.stats[TOE_ST_##sym])

/* ---- commands ---- */

static inline int env_cmd(struct toe_cmd *cmd)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = cmd, .data_size_in = sizeof(*cmd),
		    .data_out = cmd, .data_size_out = sizeof(*cmd), .repeat = 1);

	TRY(!bpf_prog_test_run_opts(bpf_program__fd(env.cmd->progs.toe_cmd), &opts));
	return (int)opts.retval;
}

static inline struct hw_conn *env_read(const struct toe_flow *f)
{
	static struct toe_cmd cmd;

	cmd = (struct toe_cmd){ .op = TOE_CMD_READ, .flow = *f };
	return env_cmd(&cmd) ? NULL : &cmd.conn;
}

static inline int env_op(const struct toe_flow *f, __u32 op, __u8 next, struct hw_conn *conn)
{
	struct toe_cmd cmd = { .op = op, .next = next, .flow = *f, .conn = *conn };
	int err = env_cmd(&cmd);

	*conn = cmd.conn;
	return err;
}

#endif
