/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP_INFO of connections in hardware. */
#ifndef INFO_H
#define INFO_H

#include "conn.h"

/* Into the rings' control chunk, for the library. 0, or -errno: not in hardware. */
int info_write(struct conn *c);

#endif
