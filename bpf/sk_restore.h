/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SK_RESTORE_H
#define SK_RESTORE_H

#include "toe/restore.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct toe_restore);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sk_restore SEC(".maps");

#endif
