/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trains of segments: the devmaps that multiply a frame (bpf/train.h), a set for each NIC. */
#ifndef TRAIN_H
#define TRAIN_H

/* In the NIC's network namespace: its trains leave by ifindex from now on. -errno: it has none. */
int train_enter(unsigned int nic, int ifindex);
void train_leave(unsigned int nic);

#endif
