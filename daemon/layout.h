/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Maps of a toed of another version. */
#ifndef LAYOUT_H
#define LAYOUT_H

/* The layout of what a toed before this one left, if it is another; 0: none. */
unsigned int layout_other(void);
/* Before anything pinned is opened, and without the lock, which that program takes: its connections go back to the
 * kernel. 0, or -errno: all is as it was. */
int layout_settle(unsigned int layout);
void layout_keep(void);			/* once there are maps of this layout */
void layout_forget(void);		/* and when there are no more */

#endif
