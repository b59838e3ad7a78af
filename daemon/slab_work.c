/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include "engine.h"
#include "slab_work.h"

#define MOST	64		/* that wait for one grace period together */

static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t new_job = PTHREAD_COND_INITIALIZER, job_done = PTHREAD_COND_INITIALIZER;
static struct slab *to_make, *to_delete, *done;	/* by way of next */
static unsigned int nr_away;			/* handed over, not come back */
static bool leave;

/* ---- in the second thread ---- */

/* As the inner map of slabs was declared, or the engines' map refuses it. */
static int make(struct slab *s)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);

	s->fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "toe_slab", sizeof(__u32), TOE_CHUNK_SIZE, TOE_SLAB_VALUES, &o);
	return s->fd < 0 ? -errno : slab_mmap(s);
}

/* In a batch all wait together. */
static void enter(struct slab **slabs, unsigned int nr)
{
	__u32 keys[MOST], fds[MOST], i, done = nr;
	int err;

	for (i = 0; i < nr; i++) {
		keys[i] = slabs[i]->index;
		fds[i] = (__u32)slabs[i]->fd;
	}
	err = nr && bpf_map_update_batch(engine.slabs, keys, fds, &done, NULL) ? -errno : 0;
	if (err && done == nr)		/* it did not come to count them */
		done = 0;
	for (i = done; i < nr; i++) {
		slab_munmap(slabs[i]);
		slabs[i]->err = err;
	}
}

static struct slab *pop(struct slab **list)
{
	struct slab *s = *list;

	*list = s->next;
	return s;
}

static void push(struct slab **list, struct slab *s)
{
	s->next = *list;
	*list = s;
}

static unsigned int pop_some(struct slab **list, struct slab **some)
{
	unsigned int nr;

	for (nr = 0; *list && nr < MOST; nr++)
		some[nr] = pop(list);
	return nr;
}

static void make_some(struct slab **some, unsigned int nr)
{
	struct slab *made[MOST];
	unsigned int i, nr_made = 0;

	for (i = 0; i < nr; i++) {
		some[i]->err = make(some[i]);
		if (!some[i]->err)
			made[nr_made++] = some[i];
	}
	enter(made, nr_made);
}

static void delete_some(struct slab **some, unsigned int nr)
{
	__u32 keys[MOST];
	unsigned int i;

	for (i = 0; i < nr; i++)
		keys[i] = some[i]->index;
	slab_take_out(keys, nr);
	for (i = 0; i < nr; i++) {
		slab_munmap(some[i]);
		some[i]->gone = true;
	}
}

/* Lock held, and again when it returns. */
static void work_on(struct slab **list, void (*how)(struct slab **some, unsigned int nr))
{
	struct slab *some[MOST];
	unsigned int i, nr = pop_some(list, some);

	pthread_mutex_unlock(&lock);
	how(some, nr);
	pthread_mutex_lock(&lock);
	for (i = 0; i < nr; i++)
		push(&done, some[i]);
	pthread_cond_signal(&job_done);
}

/* What is made may be waited for, what is deleted is not. */
static void *work(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	for (;;) {
		if (to_make)
			work_on(&to_make, make_some);
		else if (to_delete)
			work_on(&to_delete, delete_some);
		else if (leave)
			break;
		else
			pthread_cond_wait(&new_job, &lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* ---- in the first ---- */

/* Signals are the first one's: a thread begins with the mask of the one that makes it. */
int slab_work_init(void)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	leave = false;
	err = pthread_create(&thread, NULL, work, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* It does what it was given first. */
void slab_work_exit(void)
{
	pthread_mutex_lock(&lock);
	leave = true;
	pthread_cond_signal(&new_job);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
}

static void hand_over(struct slab **list, struct slab *s)
{
	pthread_mutex_lock(&lock);
	push(list, s);
	nr_away++;
	pthread_cond_signal(&new_job);
	pthread_mutex_unlock(&lock);
}

void slab_work_make(struct slab *s)
{
	hand_over(&to_make, s);
}

void slab_work_delete(struct slab *s)
{
	hand_over(&to_delete, s);
}

struct slab *slab_work_done(bool wait)
{
	struct slab *s = NULL;

	pthread_mutex_lock(&lock);
	while (wait && nr_away && !done)
		pthread_cond_wait(&job_done, &lock);
	if (done) {
		s = pop(&done);
		nr_away--;
	}
	pthread_mutex_unlock(&lock);
	return s;
}
