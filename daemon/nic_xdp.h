/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RX engine on one NIC: loading, attaching beside other programs (libxdp), pins. */
#ifndef NIC_XDP_H
#define NIC_XDP_H

#include <stddef.h>
#include "nic.h"

/* All but nic_xdp_close() are called in the NIC's network namespace. -errno; err gets a message. */
int nic_xdp_attach(struct nic *nic, char *err, size_t err_len);
/* Find the programs of a toed before this one, still attached. */
int nic_xdp_adopt(struct nic *nic);
/* What nic_xdp_attach() put there is there. In the NIC's namespace. */
bool nic_xdp_attached(struct nic *nic);
void nic_xdp_detach(struct nic *nic);
/* Descriptors and pins. */
void nic_xdp_close(struct nic *nic);

void nic_say(char *err, size_t err_len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
