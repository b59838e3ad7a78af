/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an offload found missing in a socket's stream: the same, a while later, is not on its way any more. */
#ifndef MISSING_H
#define MISSING_H

#include <stdbool.h>
#include <stdint.h>

/* The socket with this cookie has received so far, the engine has seen as far as end. Has it been just so for as long as
 * anything is on its way? The first call for it says no. now: ns. */
bool missing_long(uint64_t cookie, uint32_t received, uint32_t end, uint64_t now);
#define MISSING_NS	50000000	/* a virtual CPU may be put aside with a frame */

#endif
