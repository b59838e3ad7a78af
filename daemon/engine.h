/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaded BPF objects: maps, programs, their pins under the bpffs directory. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include "toe/hw_conn.h"
#include "toe/hw_rec.h"
#include "toe/cmd.h"
#include "toe/maps.h"

struct engine {
	int hw_conn_t, hw_connid, slabs, qps, qp_dev, nics, nic_dev, nic_reply, nets, ports, hold, stats, trains;
	int cmd_prog;		/* toe_cmd */
	int tx_prog;		/* toe_tx, attached to every TAP */
	int train_prog;		/* toe_train, of every devmap entry in trains */
	struct hw_clock *clock;	/* mmap of hw_clock, index HW_CONNID */
	const struct hw_rec *rec; /* mmap of hw_rec, index HW_CONNID */
	__u64 *dirty;		/* mmap of hw_dirty, TOE_MAX_CONNS / 64 words */
};
extern struct engine engine;

/* Load and pin, or adopt what is pinned; attach sockops to the cgroup v2 root.
 * -errno; messages are logged. */
int engine_open(const char *bpffs);
/* Detach everything and remove the pins. Only after all connections are uploaded. */
void engine_unload(void);
/* The maps were pinned already when engine_open() came: a toed before this one has died. */
bool engine_adopted(void);
void engine_close(void);

/* Run one command; cmd is overwritten with the answer. 0 or -errno. */
int engine_cmd(struct toe_cmd *cmd);

/* Give a held frame to the engine again. Caller is in the NIC's network namespace if pass.
 * pass false: the RX engine's replay program handles it as in state HW (no live frames, fast).
 * pass true: the frame enters the kernel's stack as if received on the NIC. */
int engine_replay(unsigned int nic, const void *frame, size_t len, bool pass);

unsigned long long engine_stat(enum toe_stat s);	/* summed over CPUs */

/* Call fn for every entry of hw_conn_t. Values are read without the entry's lock: for display and
 * for finding, not for moving. fn returns nonzero to stop; that is returned. */
typedef int engine_walk_fn(const struct toe_flow *flow, const struct hw_conn *conn, void *arg);
int engine_walk(engine_walk_fn *fn, void *arg);

/* Before loading an object: use the maps that are pinned under the bpffs directory. */
struct bpf_object;
int engine_adopt_maps(struct bpf_object *obj);
const char *engine_bpffs(void);
/* Pin fd as NAME in the bpffs directory, in place of what has that name. */
int engine_pin(int fd, const char *name);
int engine_pinned(const char *name);	/* descriptor or -errno */
void engine_unpin(const char *name);

#endif
