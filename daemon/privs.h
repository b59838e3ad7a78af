/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities: toed starts as root and keeps what its work needs. */
#ifndef PRIVS_H
#define PRIVS_H

int privs_drop(void);		/* 0 or -errno */

#endif
