/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policy "auto": offload what can be, as soon as it is seen. */
#ifndef POLICY_H
#define POLICY_H

int policy_init(void);		/* does nothing under policy "manual" */
void policy_exit(void);

#endif
