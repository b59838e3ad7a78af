/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bpffs.h"
#include "cmd.skel.h"
#include "engine.h"
#include "log.h"
#include "nic.h"
#include "restore.h"
#include "sockops.skel.h"
#include "train.skel.h"
#include "tx.skel.h"

#define SOCKOPS_LINK "sockops_link"

struct engine engine;

static char bpffs[128];
static struct cmd_bpf *cmd_skel;
static struct tx_bpf *tx_skel;
static struct train_bpf *train_skel;
static struct sockops_bpf *sockops_skel;
static struct bpf_link *sockops_link;
static __u64 *stat_values;	/* one per possible CPU */
static int nr_cpus;
static bool adopted;

static const struct {
	const char *name;
	int *fd;
} engine_maps[] = {
	{ "hw_conn_t",	&engine.hw_conn_t },
	{ "hw_connid",	&engine.hw_connid },
	{ "slabs",	&engine.slabs },
	{ "qps",	&engine.qps },
	{ "qp_dev",	&engine.qp_dev },
	{ "nics",	&engine.nics },
	{ "nic_dev",	&engine.nic_dev },
	{ "nic_reply",	&engine.nic_reply },
	{ "nets",	&engine.nets },
	{ "ports",	&engine.ports },
	{ "hold",	&engine.hold },
	{ "stats",	&engine.stats },
};

static const struct bpf_object_open_opts open_opts = {
	.sz = sizeof(open_opts),
	.pin_root_path = bpffs,
};

bool engine_adopted(void)
{
	return adopted;
}

const char *engine_bpffs(void)
{
	return bpffs;
}

/* ---- pins ---- */

static void pin_path(char *out, size_t len, const char *name)
{
	snprintf(out, len, "%s/%s", bpffs, name);
}

int engine_pin(int fd, const char *name)
{
	char path[256];

	pin_path(path, sizeof(path), name);
	unlink(path);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

int engine_pinned(const char *name)
{
	char path[256];
	int fd;

	pin_path(path, sizeof(path), name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

void engine_unpin(const char *name)
{
	char path[256];

	pin_path(path, sizeof(path), name);
	unlink(path);
}

/* ---- maps ---- */

static int same_shape(struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	    info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map))
		return 0;
	log_err("map %s pinned under %s belongs to another version of toed; stop that one with SIGTERM, "
		"or remove the directory", bpf_map__name(map), bpffs);
	return -EPROTO;
}

/* libbpf before 1.6 refuses to reuse a pinned devmap, whose flags the kernel has added to: reuse by hand. */
static int adopt_map(struct bpf_map *map, const char *path)
{
	int err, fd = bpf_obj_get(path);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = same_shape(map, fd);
	if (!err)
		err = bpf_map__reuse_fd(map, fd);
	if (!err)
		err = bpf_map__set_pin_path(map, NULL);
	close(fd);
	return err;
}

int engine_adopt_maps(struct bpf_object *obj)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, obj) {
		const char *path = bpf_map__pin_path(map);

		if (path)
			err = adopt_map(map, path);
		if (err)
			break;
	}
	return err;
}

static int find_maps(struct bpf_object *obj)
{
	size_t i;

	for (i = 0; i < sizeof(engine_maps) / sizeof(engine_maps[0]); i++) {
		int fd = bpf_object__find_map_fd_by_name(obj, engine_maps[i].name);

		if (fd < 0) {
			log_err("BPF object without map %s", engine_maps[i].name);
			return -ENOENT;
		}
		*engine_maps[i].fd = fd;
	}
	return 0;
}

static void *map_memory(struct bpf_object *obj, const char *name, size_t len)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mem != MAP_FAILED)
		return mem;
	log_err("cannot map %s: %m", name);
	return NULL;
}

static int map_all(struct bpf_object *obj)
{
	int err = find_maps(obj);

	if (err)
		return err;
	engine.clock = map_memory(obj, "hw_clock", sizeof(*engine.clock) * TOE_MAX_CONNS);
	engine.dirty = map_memory(obj, "hw_dirty", TOE_MAX_CONNS / 8);
	engine.rec = map_memory(obj, "hw_rec", sizeof(*engine.rec) * TOE_MAX_CONNS);
	return engine.clock && engine.dirty && engine.rec ? 0 : -ENOMEM;
}

/* ---- start and stop ---- */

static int load(struct bpf_object_skeleton *skel)
{
	int err = engine_adopt_maps(*skel->obj);

	return err ? err : bpf_object__load_skeleton(skel);
}

static int load_cmd(void)
{
	int err;

	cmd_skel = cmd_bpf__open_opts(&open_opts);
	err = cmd_skel ? load(cmd_skel->skeleton) : -errno;
	if (err)
		return err;
	engine.cmd_prog = bpf_program__fd(cmd_skel->progs.toe_cmd);
	err = map_all(cmd_skel->obj);
	return err ? err : engine_pin(engine.cmd_prog, "toe_cmd");
}

static int load_tx(void)
{
	int err;

	tx_skel = tx_bpf__open_opts(&open_opts);
	err = tx_skel ? load(tx_skel->skeleton) : -errno;
	if (err)
		return err;
	engine.tx_prog = bpf_program__fd(tx_skel->progs.toe_tx);
	engine.trains = bpf_map__fd(tx_skel->maps.trains);
	return engine_pin(engine.tx_prog, "toe_tx");
}

static int load_train(void)
{
	int err;

	train_skel = train_bpf__open_opts(&open_opts);
	err = train_skel ? load(train_skel->skeleton) : -errno;
	if (err)
		return err;
	engine.train_prog = bpf_program__fd(train_skel->progs.toe_train);
	return engine_pin(engine.train_prog, "toe_train");
}

/* A link pinned by a toed that crashed goes on with the program of this one. */
static int take_link(struct bpf_program *prog)
{
	char path[256];

	pin_path(path, sizeof(path), SOCKOPS_LINK);
	sockops_link = bpf_link__open(path);
	if (!sockops_link)
		return -errno;
	if (!bpf_link__update_program(sockops_link, prog))
		return 0;
	log_warn("cannot go on with %s: %m", path);
	bpf_link__destroy(sockops_link);
	sockops_link = NULL;
	unlink(path);
	return -ENOENT;
}

static int make_link(struct bpf_program *prog)
{
	char root[256];
	int err = 0, fd;

	if (cgroup2_root(root, sizeof(root))) {
		log_err("no cgroup v2 hierarchy is mounted; toed sees connections through it: "
			"mount -t cgroup2 none /sys/fs/cgroup/unified");
		return -ENOENT;
	}
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	sockops_link = bpf_program__attach_cgroup(prog, fd);
	if (!sockops_link) {
		err = -errno;
		log_err("cannot attach the sockops program to %s: %s", root, strerror(-err));
	}
	close(fd);
	return err ? err : engine_pin(bpf_link__fd(sockops_link), SOCKOPS_LINK);
}

static int load_sockops(void)
{
	int err;

	sockops_skel = sockops_bpf__open_opts(&open_opts);
	err = sockops_skel ? load(sockops_skel->skeleton) : -errno;
	if (err)
		return err;
	if (!take_link(sockops_skel->progs.toe_sockops))
		return 0;
	return make_link(sockops_skel->progs.toe_sockops);
}

int engine_open(const char *dir)
{
	static const struct {
		const char *name;
		int (*load)(void);
	} parts[] = {
		{ "toe_cmd", load_cmd }, { "toe_tx", load_tx }, { "toe_train", load_train },
		{ "toe_sockops", load_sockops },
	};
	size_t i;
	int fd, err = bpffs_open(dir);

	if (err)
		return err;
	snprintf(bpffs, sizeof(bpffs), "%s", dir);
	fd = engine_pinned("hw_conn_t");
	adopted = fd >= 0;
	if (adopted)
		close(fd);
	nr_cpus = libbpf_num_possible_cpus();
	stat_values = calloc(nr_cpus > 0 ? (size_t)nr_cpus : 1, sizeof(*stat_values));
	if (!stat_values || nr_cpus <= 0)
		return -ENOMEM;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		err = parts[i].load();
		if (err) {
			log_err("cannot load BPF program %s: %s", parts[i].name, strerror(-err));
			return err;
		}
	}
	restore_open(bpffs);
	return 0;
}

void engine_close(void)
{
	if (engine.clock)
		munmap(engine.clock, sizeof(*engine.clock) * TOE_MAX_CONNS);
	if (engine.rec)
		munmap((void *)engine.rec, sizeof(*engine.rec) * TOE_MAX_CONNS);
	if (engine.dirty)
		munmap(engine.dirty, TOE_MAX_CONNS / 8);
	if (sockops_link) {
		bpf_link__disconnect(sockops_link);	/* a pinned link stays */
		bpf_link__destroy(sockops_link);
	}
	restore_close();
	sockops_bpf__destroy(sockops_skel);
	train_bpf__destroy(train_skel);
	tx_bpf__destroy(tx_skel);
	cmd_bpf__destroy(cmd_skel);
	free(stat_values);
	sockops_link = NULL;
	sockops_skel = NULL;
	train_skel = NULL;
	tx_skel = NULL;
	cmd_skel = NULL;
	stat_values = NULL;
	memset(&engine, 0, sizeof(engine));
}

void engine_unload(void)
{
	engine_unpin(SOCKOPS_LINK);
	engine_close();
	bpffs_remove(bpffs);
}

/* ---- running programs ---- */

int engine_cmd(struct toe_cmd *cmd)
{
	LIBBPF_OPTS(bpf_test_run_opts, o,
		.data_in = cmd, .data_size_in = sizeof(*cmd),
		.data_out = cmd, .data_size_out = sizeof(*cmd),
		.repeat = 1);

	if (bpf_prog_test_run_opts(engine.cmd_prog, &o))
		return -errno;
	return (int)o.retval;
}

static int replay_live(const struct nic *nic, const void *frame, size_t len)
{
	struct xdp_md md = { .data_end = (__u32)len, .ingress_ifindex = (__u32)nic->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, o,
		.data_in = frame, .data_size_in = (__u32)len,
		.ctx_in = &md, .ctx_size_in = sizeof(md),
		.repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return bpf_prog_test_run_opts(nic->replay_prog, &o) ? -errno : XDP_PASS;
}

int engine_replay(unsigned int nic_id, const void *frame, size_t len, bool pass)
{
	struct nic *nic = nic_get(nic_id);
	LIBBPF_OPTS(bpf_test_run_opts, o,
		.data_in = frame, .data_size_in = (__u32)len, .repeat = 1);

	if (!nic)
		return -ENODEV;
	if (pass)
		return replay_live(nic, frame, len);
	if (bpf_prog_test_run_opts(nic->replay_prog, &o))
		return -errno;
	return (int)o.retval;
}

/* ---- reading ---- */

unsigned long long engine_stat(enum toe_stat s)
{
	unsigned long long sum = 0;
	__u32 key = s;
	int cpu;

	if (bpf_map_lookup_elem(engine.stats, &key, stat_values))
		return 0;
	for (cpu = 0; cpu < nr_cpus; cpu++)
		sum += stat_values[cpu];
	return sum;
}

#define WALK_BATCH 1024

struct walk_batch {
	struct toe_flow key[WALK_BATCH];
	struct hw_conn val[WALK_BATCH];
};

int engine_walk(engine_walk_fn *fn, void *arg)
{
	struct walk_batch *b = malloc(sizeof(*b));
	bool first = true, last = false;
	__u32 pos = 0, n, i;
	int ret = b ? 0 : -ENOMEM;

	while (!ret && !last) {
		n = WALK_BATCH;
		last = bpf_map_lookup_batch(engine.hw_conn_t, first ? NULL : &pos, &pos,
					    b->key, b->val, &n, NULL) != 0;
		if (last && errno != ENOENT) {
			ret = -errno;
			break;
		}
		first = false;
		for (i = 0; i < n && !ret; i++)
			ret = fn(&b->key[i], &b->val[i], arg);
	}
	free(b);
	return ret;
}
