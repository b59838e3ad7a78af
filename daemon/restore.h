/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The congestion control algorithm that puts a rebuilt socket's state in place (bpf/restore.bpf.c). */
#ifndef RESTORE_H
#define RESTORE_H

/* Register it with the kernel. A kernel that refuses is told of in the log, and restore_apply() does nothing then. */
void restore_open(const char *bpffs);
int restore_probe(void);		/* 0: this kernel would take it */
void restore_close(void);		/* and take it out again */
/* On a socket whose rebuild has connected. 0, or -errno: cwnd is as it was, of ssthresh and ECN nothing. */
int restore_apply(int sock);

#endif
