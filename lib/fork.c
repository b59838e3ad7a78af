/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the child nothing of the parent's talk with toed is left: no shared
 * table, no slabs (MADV_DONTFORK), no descriptors. A socket that was tracked
 * is remembered and asked for when it is first used, see sonode.c.
 */
#include <unistd.h>
#include "batch.h"
#include "daemon.h"
#include "epset.h"
#include "exec.h"
#include "fork.h"
#include "intfd.h"
#include "qp.h"
#include "wait.h"

static void inherit(struct sonode *sn)
{
	sn->opts_word = sn->qp_word = sn->ring_word = 0;
	sn->wwait = sn->asleep = 0;
	sn->wowner = NULL;
	sn->stay &= STAY_SHARED | STAY_URING;
	pthread_mutex_init(&sn->wlock, NULL);
	if (!sn->tracked) {
		sn->sh = NULL;
		return;
	}
	sn->local = (struct toe_sonode){ .word = TOE_EPOCH | TOE_PATH_KERNEL };
	sn->inherit = SN_INHERITED;
	sn->sh = &sn->local;
}

static void child(void)
{
	batch_forked();
	intfd_forked();
	daemon_forked();
	qp_forked();
	wait_forked();
	epset_forked();
	exec_forked();
	sonode_each(inherit);
	toe_proc->pid = getpid();
	st(&toe_proc->live, 1);
}

/* A child made by clone() or _Fork(): our handler was not called, but the page was wiped. */
void fork_unseen(void)
{
	child();
}

/* The next thing that the parent does is to wait for the child, often. */
static void prepare(void)
{
	batch_end();
}

/* The child may use what is open now, and have it moved. */
static void shared(struct sonode *sn)
{
	if (ld(&sn->tracked) && ld(&sn->inherit) == SN_OWN)
		st(&sn->inherit, SN_SHARED);
}

static void parent(void)
{
	sonode_each(shared);
}

void fork_init(void)
{
	pthread_atfork(prepare, parent, child);
}
