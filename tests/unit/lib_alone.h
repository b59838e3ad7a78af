/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lib/tx.c needs of the socket layer and of toed, for tests that have neither. Each plays sonode_ring() itself. */
#ifndef LIB_ALONE_H
#define LIB_ALONE_H

#include "lib/sonode.h"

void sonode_adopt(struct sonode *s)
{
	(void)s;
}

void sonode_opts_read(struct sonode *s, uint32_t word)
{
	(void)s;
	(void)word;
}

uint32_t daemon_fresh(void)
{
	return 1;
}

#endif
