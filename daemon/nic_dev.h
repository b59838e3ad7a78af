/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a device says of itself. Called in its network namespace. */
#ifndef NIC_DEV_H
#define NIC_DEV_H

#include "nic.h"

/* Of the device nic->name: all that struct nic has of it. -ENODEV; -EAFNOSUPPORT: not Ethernet. */
int nic_dev_read(struct nic *nic);
/* Only which tags it takes off arriving frames. True if that has changed. */
bool nic_dev_strips(struct nic *nic);

#endif
