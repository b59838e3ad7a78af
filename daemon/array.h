/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ARRAY_H
#define ARRAY_H

#include <stdlib.h>

/* Room for one more behind nr elements of size bytes. Returns the array, perhaps moved, with *max grown. NULL: no
 * memory, the old one stays as it is. */
static inline void *array_room(void *array, size_t nr, size_t *max, size_t size)
{
	size_t more = *max ? *max * 2 : 64;

	if (nr < *max)
		return array;
	array = reallocarray(array, more, size);
	if (array)
		*max = more;
	return array;
}

#endif
