/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A lock that signal handlers take, too: with the thread's signals off, so that none interrupts who holds it. */
#ifndef QUIET_H
#define QUIET_H

#include <pthread.h>
#include <signal.h>

static inline void quiet_lock(pthread_mutex_t *lock, sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
	pthread_mutex_lock(lock);
}

static inline void quiet_unlock(pthread_mutex_t *lock, const sigset_t *old)
{
	pthread_mutex_unlock(lock);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

#endif
