/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <unistd.h>
#include "engine.h"
#include "toe/limits.h"
#include "train.h"

/* The devmaps of a NIC's number are made once and never leave the outer map, which waits for an RCU grace period
 * with each change: only what they name changes. */
static __u32 key_of(unsigned int nic, unsigned int nr)
{
	return nic * TOE_MAX_TRAIN + nr - 1;
}

static int find(unsigned int nic, unsigned int nr)
{
	__u32 key = key_of(nic, nr), id;
	int fd;

	if (bpf_map_lookup_elem(engine.trains, &key, &id))
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

static int fill(int fd, unsigned int nr, int ifindex)
{
	struct bpf_devmap_val val = { .ifindex = (__u32)ifindex, .bpf_prog.fd = engine.train_prog };

	for (__u32 key = 0; key < nr; key++)
		if (bpf_map_update_elem(fd, &key, &val, BPF_ANY))
			return -errno;
	return 0;
}

static int make(unsigned int nr)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "toe_train", sizeof(__u32), sizeof(struct bpf_devmap_val), nr,
				NULL);

	return fd < 0 ? -errno : fd;
}

/* One grace period for all of them. */
static int publish(unsigned int nic, const int *fd)
{
	__u32 key[TOE_MAX_TRAIN - 1], count = TOE_MAX_TRAIN - 1;

	for (unsigned int i = 0; i < count; i++)
		key[i] = key_of(nic, i + 2);
	return bpf_map_update_batch(engine.trains, key, fd, &count, NULL) ? -errno : 0;
}

int train_enter(unsigned int nic, int ifindex)
{
	int fd[TOE_MAX_TRAIN - 1], err = 0;
	unsigned int i, n = 0;
	bool made = false;

	for (i = 0; !err && i < TOE_MAX_TRAIN - 1; i++) {
		int one = find(nic, i + 2);

		if (one == -ENOENT) {
			one = make(i + 2);
			made = true;
		}
		if (one < 0) {
			err = one;
			break;
		}
		fd[n++] = one;
		err = fill(one, i + 2, ifindex);
	}
	if (!err && made)
		err = publish(nic, fd);
	while (n)
		close(fd[--n]);
	if (err)
		train_leave(nic);
	return err;
}

void train_leave(unsigned int nic)
{
	for (unsigned int nr = 2; nr <= TOE_MAX_TRAIN; nr++) {
		int fd = find(nic, nr);

		if (fd < 0)
			continue;
		for (__u32 key = 0; key < nr; key++)
			bpf_map_delete_elem(fd, &key);
		close(fd);
	}
}
