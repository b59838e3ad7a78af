/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers of protocols that vmlinux.h does not have, for every BPF program that reads frames. */
#ifndef WIRE_H
#define WIRE_H

#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86DD
#define ETH_P_8021Q	0x8100
#define ETH_P_8021AD	0x88A8
#define PROTO_TCP	6

#define TCP_FIN		0x01
#define TCP_SYN		0x02
#define TCP_RST		0x04
#define TCP_PSH		0x08
#define TCP_ACK		0x10
#define TCP_URG		0x20
#define TCP_ECE		0x40
#define TCP_CWR		0x80

#endif
