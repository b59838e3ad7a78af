/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VLAN tags that frames of a link carry, packed into a word, which is 0 without any. A tag takes TOE_VLAN_BITS,
 * VID and TOE_VLAN_AD; the innermost stands lowest. VID 0 is none (802.1Q: a priority tag), so there are as many as are not 0.
 */
#ifndef TOE_VLAN_H
#define TOE_VLAN_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define TOE_VLAN_BITS	13
#define TOE_VLAN_VID	0x0fffU
#define TOE_VLAN_AD	0x1000U	/* EtherType 0x88a8 (802.1ad), else 0x8100 (802.1Q) */
#define TOE_VLAN_TAG	(TOE_VLAN_VID | TOE_VLAN_AD)
#define TOE_MAX_VLANS	2
#define TOE_VLAN_LEN	4U	/* bytes of a tag in a frame */

/* One more, inside of those of vlan, which are TOE_MAX_VLANS - 1 at most. */
static inline __u32 toe_vlan_push(__u32 vlan, __u32 vid, int ad)
{
	return vlan << TOE_VLAN_BITS | (vid & TOE_VLAN_VID) | (ad ? TOE_VLAN_AD : 0);
}

/* The outermost and, of two, the inner tag. */
static inline __u32 toe_vlan_outer(__u32 vlan)
{
	return vlan >> TOE_VLAN_BITS ? vlan >> TOE_VLAN_BITS : vlan;
}

static inline __u32 toe_vlan_inner(__u32 vlan)
{
	return vlan >> TOE_VLAN_BITS ? vlan & TOE_VLAN_TAG : 0;
}

/* Bytes of all of them. */
static inline __u32 toe_vlan_len(__u32 vlan)
{
	return !vlan ? 0 : vlan >> TOE_VLAN_BITS ? 2 * TOE_VLAN_LEN : TOE_VLAN_LEN;
}

/* As it stands in a frame behind the addresses or the tag before: EtherType and TCI (priority 0), host byte order. */
static inline __u32 toe_vlan_word(__u32 tag)
{
	return (tag & TOE_VLAN_AD ? 0x88a80000U : 0x81000000U) | (tag & TOE_VLAN_VID);
}

#endif
