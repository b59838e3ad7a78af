/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include "daemon.h"
#include "member.h"
#include "real.h"
#include "wait.h"

/* Their addresses are the data of one-shot registrations: descriptor numbers. */
static char marks[TOE_SONODES];

void *member_mark(int fd)
{
	return &marks[fd];
}

int member_marked(const void *data)
{
	const char *p = data;

	return p < marks || p >= marks + TOE_SONODES ? -1 : (int)(p - marks);
}

epoll_data_t member_data(const struct member *m)
{
	epoll_data_t data = m->ev.data;

	if (m->ev.events & EPOLLONESHOT)
		data.ptr = member_mark(m->sn->fd);
	return data;
}

void member_ready_add(struct member *m)
{
	if (!m->disabled)
		ready_add(&m->set->ready, m);
}

void member_ready_del(struct member *m)
{
	ready_del(&m->set->ready, m);
}

struct member *member_find(const struct sonode *sn, const struct epset *set)
{
	struct member *m;

	for (m = sn->members; m; m = m->next_of_fd)
		if (m->set == set)
			return m;
	return NULL;
}

static void member_unlink(struct member *m)
{
	struct member **p = &m->sn->members;

	while (*p && *p != m)
		p = &(*p)->next_of_fd;
	if (*p)
		st(p, m->next_of_fd);
	member_ready_del(m);
	LIST_REMOVE(m, in_set);
	m->set->nr_members--;
	st(&m->set->nr_hw, m->set->nr_hw - m->on_hw);
	st(&m->set->nr_nested, m->set->nr_nested - !!m->sn->ep);
}

void member_free(struct member *m)
{
	member_unlink(m);
	if (m == &m->sn->member)
		m->set = NULL;
	else
		free(m);
}

/* Most descriptors are in one instance. */
static struct member *member_alloc(struct sonode *sn)
{
	if (sn->member.set)
		return calloc(1, sizeof(struct member));
	memset(&sn->member, 0, sizeof(sn->member));
	return &sn->member;
}

struct member *member_new(struct epset *set, struct sonode *sn)
{
	struct member *m = ready_room(&set->ready, set->nr_members + 1) ? member_alloc(sn) : NULL;

	if (!m)
		return NULL;
	set->nr_members++;
	m->set = set;
	m->sn = sn;
	m->next_of_fd = sn->members;
	st(&sn->members, m);
	LIST_INSERT_HEAD(&set->members, m, in_set);
	st(&set->nr_nested, set->nr_nested + !!sn->ep);
	return m;
}

int member_ask(struct member *m, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data = member_data(m) };
	int err = errno, rc;

	rc = real.epoll_ctl(m->set->slot->fd, EPOLL_CTL_MOD, m->sn->fd, &ev) < 0 ? -errno : 0;
	errno = err;
	return rc;
}

/* Hold the TAP that rings for this connection. */
static int member_bind(struct member *m, uint32_t word)
{
	struct epset *set = m->set;
	struct ring r;
	struct qp *qp;
	int rc;

	rc = sonode_ring(m->sn, word, &r);
	if (rc)
		return rc;
	qp = qp_bind_sure(m->sn, &r);
	if (!qp)
		return -ENOBUFS;
	if (!(set->qps & 1U << qp->idx)) {
		if (!wait_add_qp(set->slot->fd, qp))
			return -ENOBUFS;
		st(&set->qps, set->qps | 1U << qp->idx);
	}
	return 0;
}

/* False: the kernel does not know this registration any more; m is gone. */
static bool member_to_hw(struct member *m, uint32_t word)
{
	if (!m->on_hw && member_ask(m, EPOLLET)) {	/* nothing; and a hang-up, of a socket that could not be rebuilt, once only */
		member_free(m);
		return false;
	}
	st(&m->set->nr_hw, m->set->nr_hw + !m->on_hw);
	m->on_hw = 1;
	if (member_bind(m, word)) {
		st(&m->set->rescan, 1);
		if (epset_slept_in(m->set))
			daemon_kick();
		return true;
	}
	m->word = word;
	member_ready_add(m);
	return true;
}

static bool member_to_kernel(struct member *m, uint32_t word)
{
	bool edge = m->ev.events & (EPOLLET | EPOLLONESHOT);
	int rc = 0;

	if (m->on_hw || (edge && m->word != word))
		rc = member_ask(m, m->disabled ? EPOLLONESHOT : m->ev.events);
	st(&m->set->nr_hw, m->set->nr_hw - m->on_hw);
	m->on_hw = 0;
	m->word = word;
	member_ready_del(m);
	if (rc != -ENOENT)
		return true;
	member_free(m);
	return false;
}

bool member_sync(struct member *m)
{
	uint32_t word = sonode_word(m->sn);

	if (word == m->word)
		return true;
	switch (word_path(word)) {
	case TOE_PATH_HW:
		return member_to_hw(m, word);
	case TOE_PATH_MOVING:	/* the eventfd tells when it is over */
		member_ready_del(m);
		return true;
	default:
		return member_to_kernel(m, word);
	}
}

void member_start(struct member *m)
{
	uint32_t word = sonode_word(m->sn);

	if (word_path(word) == TOE_PATH_KERNEL && !m->on_hw)
		m->word = word;
	else
		member_sync(m);
}
