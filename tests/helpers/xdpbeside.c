/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Somebody else's XDP program under libxdp: xdpbeside add DEV OBJECT | del DEV | count DEV. The program is called
 * "somebody" and counts packets in the first value of its only map. Status 77: it stands alone, without a
 * dispatcher, so nothing can run beside it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>

static int fail(const char *what, int err)
{
	fprintf(stderr, "xdpbeside: %s: %s\n", what, strerror(-err));
	return 1;
}

static struct xdp_program *find(struct xdp_multiprog *mp)
{
	struct xdp_program *p = NULL;

	while ((p = xdp_multiprog__next_prog(p, mp)))
		if (!strcmp(xdp_program__name(p), "somebody"))
			break;
	return p;
}

static int attach(struct xdp_program *p, int ifindex)
{
	int err = xdp_program__attach(p, ifindex, XDP_MODE_NATIVE, 0);
	struct xdp_multiprog *mp;
	bool alone;

	if (err)
		return fail("attach", err);
	mp = xdp_multiprog__get_from_ifindex(ifindex);
	if (libxdp_get_error(mp))
		return fail("what was attached is not there", -ENOENT);
	alone = xdp_multiprog__is_legacy(mp);
	xdp_multiprog__close(mp);
	if (alone)
		xdp_program__detach(p, ifindex, XDP_MODE_NATIVE, 0);
	return alone ? 77 : 0;
}

static int add(int ifindex, const char *object)
{
	struct xdp_program *p = xdp_program__open_file(object, "xdp", NULL);
	int err = (int)libxdp_get_error(p), status;

	if (err)
		return fail(object, err);
	status = attach(p, ifindex);
	xdp_program__close(p);
	return status;
}

static int count(struct xdp_program *p)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info), map_id = 0, key = 0;
	__u64 value[8] = { 0 };
	int fd;

	info.nr_map_ids = 1;
	info.map_ids = (uintptr_t)&map_id;
	if (bpf_obj_get_info_by_fd(xdp_program__fd(p), &info, &len))
		return fail("info", -errno);
	fd = bpf_map_get_fd_by_id(map_id);
	if (fd < 0 || bpf_map_lookup_elem(fd, &key, value))
		return fail("map", -errno);
	printf("%llu\n", (unsigned long long)value[0]);
	return 0;
}

static int with_somebody(struct xdp_multiprog *mp, int ifindex, const char *what)
{
	struct xdp_program *p = find(mp);
	int err;

	if (!p)
		return fail("somebody is not there", -ENOENT);
	if (!strcmp(what, "count"))
		return count(p);
	err = xdp_program__detach(p, ifindex, XDP_MODE_NATIVE, 0);
	return err ? fail("detach", err) : 0;
}

int main(int argc, char **argv)
{
	int ifindex = argc > 2 ? (int)if_nametoindex(argv[2]) : 0, status;
	struct xdp_multiprog *mp;

	if (!ifindex)
		return fail("no such interface", -ENODEV);
	if (!strcmp(argv[1], "add"))
		return argc > 3 ? add(ifindex, argv[3]) : 1;
	mp = xdp_multiprog__get_from_ifindex(ifindex);
	if (libxdp_get_error(mp))
		return fail("somebody is not there", -ENOENT);
	status = with_somebody(mp, ifindex, argv[1]);
	xdp_multiprog__close(mp);
	return status;
}
