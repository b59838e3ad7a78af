/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FORK_H
#define FORK_H

void fork_init(void);
void fork_unseen(void);

#endif
