/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "bpffs.h"
#include "feature.h"
#include "log.h"
#include "netns.h"
#include "qp.h"
#include "restore.h"

#define INSN(c, d, s, o, i)	{ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
#define MOV_IMM(d, i)		INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_REG(d, s)		INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD_IMM(d, i)		INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LDX_DW(d, s, o)		INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define JEQ_IMM(d, i, o)	INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define CALL(f)			INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT()			INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define COUNT(a)		(sizeof(a) / sizeof((a)[0]))

static int done(int fd)
{
	if (fd < 0)
		return fd == -1 && errno ? -errno : fd;
	close(fd);
	return 0;
}

static int load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t nr)
{
	int fd = bpf_prog_load(type, "toe_probe", "GPL", insns, nr, NULL);

	return fd < 0 ? -errno : fd;
}

static int probe_ringbuf(void)
{
	return done(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "toe_probe", 0, 0, 4096, NULL));
}

static int probe_inner_map(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, mmapable, .map_flags = BPF_F_MMAPABLE);
	LIBBPF_OPTS(bpf_map_create_opts, of);
	int inner, outer, err = 0;
	__u32 key = 0;

	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "toe_probe", 4, 4096, 1, &mmapable);
	if (inner < 0)
		return -errno;
	of.inner_map_fd = (__u32)inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "toe_probe", 4, 4, 1, &of);
	if (outer < 0 || bpf_map_update_elem(outer, &key, &inner, BPF_ANY))
		err = -errno;
	if (outer >= 0)
		close(outer);
	close(inner);
	return err;
}

static int probe_load_bytes(void)
{
	const struct bpf_insn p[] = {
		MOV_IMM(BPF_REG_2, 0), MOV_REG(BPF_REG_3, BPF_REG_10), ADD_IMM(BPF_REG_3, -8),
		MOV_IMM(BPF_REG_4, 8), CALL(BPF_FUNC_xdp_load_bytes),
		MOV_IMM(BPF_REG_0, XDP_PASS), EXIT(),
	};

	return done(load(BPF_PROG_TYPE_XDP, p, COUNT(p)));
}

/* Needs the kernel's BTF as well. */
static int probe_tcp_sock(void)
{
	const struct bpf_insn p[] = {
		LDX_DW(BPF_REG_1, BPF_REG_1, offsetof(struct bpf_sock_ops, sk)),
		JEQ_IMM(BPF_REG_1, 0, 1), CALL(BPF_FUNC_skc_to_tcp_sock),
		MOV_IMM(BPF_REG_0, 1), EXIT(),
	};

	return done(load(BPF_PROG_TYPE_SOCK_OPS, p, COUNT(p)));
}

static int probe_live_frames(void)
{
	const struct bpf_insn p[] = { MOV_IMM(BPF_REG_0, XDP_DROP), EXIT() };
	char frame[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	int err = 0, fd = load(BPF_PROG_TYPE_XDP, p, COUNT(p));

	if (fd < 0)
		return fd;
	if (bpf_prog_test_run_opts(fd, &o))
		err = -errno;
	close(fd);
	return err;
}

static int probe_repair(void)
{
	int one = 1, err = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)))
		err = -errno;
	close(fd);
	return err;
}

static int probe_netns_cookie(void)
{
	uint64_t cookie;

	return netns_cookie(netns_home(), &cookie);
}

static int probe_pidfd_getfd(void)
{
	int err, self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (self < 0)
		return -errno;
	err = done((int)syscall(SYS_pidfd_getfd, self, self, 0));
	close(self);
	return err;
}

static int probe_cgroup2(void)
{
	char root[256];

	return cgroup2_root(root, sizeof(root));
}

static int probe_tun(void)
{
	return done(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
}

static int probe_tap_xdp(void)
{
	int tap, qp = qp_alloc();

	if (qp < 0)
		return qp;
	tap = qp_tap_open((unsigned int)qp);
	if (tap >= 0)
		qp_tap_close((unsigned int)qp, tap);
	qp_free((unsigned int)qp);
	return tap < 0 ? tap : 0;
}

const struct feature features[] = {
	{ "cgroup v2 hierarchy", "seeing connections", "4.5", probe_cgroup2, true },
	{ "TAP devices (/dev/net/tun)", "queue pairs", "2.6.27", probe_tun, true },
	{ "BPF ring buffer", "holding frames during a move", "5.8", probe_ringbuf, true },
	{ "mmapable array as inner map", "ring memory", "5.10", probe_inner_map, true },
	{ "bpf_xdp_load_bytes", "placing payload", "5.18", probe_load_bytes, true },
	{ "kernel BTF and tcp_sock in sockops", "reading MIN_TCP_T", "5.9", probe_tcp_sock, true },
	{ "XDP test run with live frames", "replaying held frames", "5.18", probe_live_frames, true },
	{ "TCP_REPAIR", "parking and rebuilding sockets", "3.5", probe_repair, true },
	{ "SO_NETNS_COOKIE", "telling namespaces apart", "5.14", probe_netns_cookie, true },
	{ "pidfd_getfd", "reaching an application's socket", "5.6", probe_pidfd_getfd, true },
	{ "congestion control in BPF", "ssthresh and ECN after an upload", "5.6", restore_probe, false },
	{ "native XDP on TAP", "queue pairs", "4.14", probe_tap_xdp, false },
};
const unsigned int nr_features = COUNT(features);

int feature_check(void)
{
	unsigned int i;
	int err, ret = 0;

	for (i = 0; i < nr_features; i++) {
		if (!features[i].at_start)
			continue;
		err = features[i].probe();
		if (!err)
			continue;
		log_err("this kernel lacks: %s, needed for %s (Linux %s or newer): %s", features[i].name,
			features[i].needed_by, features[i].since, strerror(-err));
		ret = err;
	}
	return ret;
}
