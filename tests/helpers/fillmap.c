/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fillmap PATH fill|empty: every free place of the pinned hash map hw_conn_t taken by an entry of nobody's
 * (family 0xffff), or all those removed. Prints how many. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "toe/hw_conn.h"

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int main(int argc, char **argv)
{
	union bpf_attr get = { 0 };
	struct hw_conn value = { .state = TOE_KERNEL };
	struct toe_flow key = { .family = 0xffff };
	unsigned int n = 0;
	long map;

	if (argc != 3) {
		fputs("usage: fillmap PATH fill|empty\n", stderr);
		return 64;
	}
	get.pathname = (uintptr_t)argv[1];
	map = bpf(BPF_OBJ_GET, &get);
	if (map < 0) {
		perror(argv[1]);
		return 1;
	}
	for (unsigned int i = 0; i < TOE_MAX_CONNS; i++) {
		union bpf_attr a = { .map_fd = (uint32_t)map, .key = (uintptr_t)&key };

		key.laddr[0] = i;
		value.min.flow = key;
		if (argv[2][0] == 'f')
			a.value = (uintptr_t)&value;
		if (!bpf(argv[2][0] == 'f' ? BPF_MAP_UPDATE_ELEM : BPF_MAP_DELETE_ELEM, &a))
			n++;
	}
	printf("fillmap: %u\n", n);
	return 0;
}
