/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include "engine.h"
#include "log.h"
#include "nic_xdp.h"
#include "rx.skel.h"

void nic_say(char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;

	if (!err || !err_len)
		return;
	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
}

static void pin_name(char *out, size_t len, const char *what, const struct nic *nic)
{
	snprintf(out, len, "%s_%u", what, nic->id);
}

/* Opened, with this NIC's constants and the shared maps; not loaded. */
static struct rx_bpf *rx_open(const struct nic *nic, bool replay)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = engine_bpffs());
	struct rx_bpf *rx = rx_bpf__open_opts(&opts);
	int err;

	if (!rx)
		return NULL;
	rx->rodata->toe_nic_id = (__u16)nic->id;
	rx->rodata->toe_net = (__u16)nic->net;
	rx->rodata->toe_replay = replay;
	rx->rodata->toe_nic_flags = nic->flags;
	err = engine_adopt_maps(rx->obj);
	if (!err)
		return rx;
	rx_bpf__destroy(rx);
	errno = -err;
	return NULL;
}

/* The program keeps its maps: the object need not live on. */
static int keep_prog(int prog_fd, const char *what, const struct nic *nic)
{
	char name[32];
	int err, fd = fcntl(prog_fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	pin_name(name, sizeof(name), what, nic);
	err = engine_pin(fd, name);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int load_replay(struct nic *nic)
{
	struct rx_bpf *rx = rx_open(nic, true);
	int err;

	if (!rx)
		return -errno;
	err = rx_bpf__load(rx);
	if (!err)
		err = keep_prog(bpf_program__fd(rx->progs.toe_rx), "replay", nic);
	rx_bpf__destroy(rx);
	if (err < 0)
		return err;
	nic->replay_prog = err;
	return 0;
}

static void name_foreign(const struct nic *nic, uint32_t id, char *err, size_t err_len)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
	}
	nic_say(err, err_len, "%s: XDP program %s (id %u) is attached and cannot run beside toe_rx; "
		"to remove it: ip link set dev %s xdp off", nic->name, info.name[0] ? info.name : "?", id,
		nic->name);
}

static uint32_t attached_id(const struct nic *nic)
{
	__u32 id = 0;

	return bpf_xdp_query_id(nic->ifindex, 0, &id) ? 0 : id;
}

static enum xdp_attach_mode attach_mode(const struct nic *nic)
{
	return nic->generic ? XDP_MODE_SKB : XDP_MODE_NATIVE;
}

static int attach(struct nic *nic, struct rx_bpf *rx, char *err, size_t err_len)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = rx->obj, .prog_name = "toe_rx");
	uint32_t before = attached_id(nic);
	struct xdp_program *prog = xdp_program__create(&opts);
	int ret = (int)libxdp_get_error(prog);

	if (ret) {
		nic_say(err, err_len, "%s: cannot load toe_rx: %s", nic->name, strerror(-ret));
		return ret;
	}
	ret = xdp_program__attach(prog, nic->ifindex, attach_mode(nic), 0);
	if (!ret) {
		ret = keep_prog(xdp_program__fd(prog), "rx", nic);
		if (ret < 0)
			xdp_program__detach(prog, nic->ifindex, attach_mode(nic), 0);
	} else if (before) {
		name_foreign(nic, before, err, err_len);
	} else {
		nic_say(err, err_len, "%s: cannot attach in %s mode: %s%s", nic->name,
			nic->generic ? "generic" : "native", strerror(-ret),
			nic->generic ? "" : " (does its driver have native XDP? --generic does without)");
	}
	xdp_program__close(prog);
	if (ret < 0)
		return ret;
	nic->rx_prog = ret;
	nic->xdp_id = attached_id(nic);
	return 0;
}

int nic_xdp_attach(struct nic *nic, char *err, size_t err_len)
{
	struct rx_bpf *rx;
	int ret = load_replay(nic);

	if (!ret) {
		rx = rx_open(nic, false);
		ret = rx ? 0 : -errno;
	}
	if (ret) {
		nic_say(err, err_len, "%s: cannot load toe_rx: %s", nic->name, strerror(-ret));
		return ret;
	}
	ret = attach(nic, rx, err, err_len);
	rx_bpf__destroy(rx);
	return ret;
}

/* ---- what is attached ---- */

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static bool runs_on(const struct nic *nic, uint32_t id)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex(nic->ifindex);
	struct xdp_program *p = NULL;
	bool found = false;

	if (libxdp_get_error(mp))
		return false;
	p = xdp_multiprog__main_prog(mp);
	found = p && xdp_program__id(p) == id;
	p = NULL;
	while (!found && (p = xdp_multiprog__next_prog(p, mp)))
		found = xdp_program__id(p) == id;
	xdp_multiprog__close(mp);
	return found;
}

/* Another dispatcher stands there after each program that came or went beside ours. */
bool nic_xdp_attached(struct nic *nic)
{
	uint32_t id = attached_id(nic);

	if (!nic->xdp_id || !id)
		return false;
	if (id != nic->xdp_id && !runs_on(nic, prog_id(nic->rx_prog)))
		return false;
	nic->xdp_id = id;
	return true;
}

int nic_xdp_adopt(struct nic *nic)
{
	char name[32];

	pin_name(name, sizeof(name), "rx", nic);
	nic->rx_prog = engine_pinned(name);
	pin_name(name, sizeof(name), "replay", nic);
	nic->replay_prog = engine_pinned(name);
	if (nic->rx_prog < 0 || nic->replay_prog < 0)
		return -ENOENT;
	if (!runs_on(nic, prog_id(nic->rx_prog)))
		return -ENOENT;
	nic->xdp_id = attached_id(nic);
	return 0;
}

void nic_xdp_detach(struct nic *nic)
{
	struct xdp_program *prog;
	int err;

	if (nic->rx_prog < 0 || !runs_on(nic, prog_id(nic->rx_prog)))
		return;
	prog = xdp_program__from_fd(nic->rx_prog);
	err = (int)libxdp_get_error(prog);
	if (!err) {
		err = xdp_program__detach(prog, nic->ifindex, attach_mode(nic), 0);
		xdp_program__close(prog);
	}
	if (err)
		log_warn("%s: cannot detach toe_rx: %s", nic->name, strerror(-err));
}

void nic_xdp_close(struct nic *nic)
{
	char name[32];

	if (nic->rx_prog >= 0)
		close(nic->rx_prog);
	if (nic->replay_prog >= 0)
		close(nic->replay_prog);
	nic->rx_prog = nic->replay_prog = -1;
	pin_name(name, sizeof(name), "rx", nic);
	engine_unpin(name);
	pin_name(name, sizeof(name), "replay", nic);
	engine_unpin(name);
}
