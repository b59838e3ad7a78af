/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "missing.h"

#define PLACES	256
#define TURN_NS	(2ULL * MISSING_NS)	/* others that share a place wait for so long, or two that are tried in turn never have it */

bool missing_long(uint64_t cookie, uint32_t received, uint32_t end, uint64_t now)
{
	static struct missing {
		uint64_t cookie, since;
		uint32_t received, end;
	} known[PLACES];
	struct missing *k = &known[cookie % PLACES];

	if (k->cookie == cookie && k->received == received && k->end == end)
		return now - k->since >= MISSING_NS;
	if (k->cookie == cookie || now - k->since >= TURN_NS)
		*k = (struct missing){ cookie, now, received, end };
	return false;
}
