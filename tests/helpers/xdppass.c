/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xdppass PATH: pins an XDP program that passes every frame, somebody else's as far as toed knows. */
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int main(int argc, char **argv)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 2, .insns = (uintptr_t)pass, .license = (uintptr_t)"GPL",
		.prog_name = "other",
	}, pin = { .pathname = (uintptr_t)argv[1] };
	long fd;

	if (argc != 2) {
		fputs("usage: xdppass PATH\n", stderr);
		return 64;
	}
	fd = bpf(BPF_PROG_LOAD, &load);
	pin.bpf_fd = (uint32_t)fd;
	if (fd < 0 || bpf(BPF_OBJ_PIN, &pin)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
