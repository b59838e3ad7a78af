/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "nic_dev.h"

static bool driver_is_veth(int sock, struct ifreq *r)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	r->ifr_data = (char *)&info;
	return !ioctl(sock, SIOCETHTOOL, r) && !strcmp(info.driver, "veth");
}

/* ---- features ---- */

static unsigned int nr_features(int sock, struct ifreq *r)
{
	struct { struct ethtool_sset_info info; __u32 nr; } q = {
		.info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES },
	};

	r->ifr_data = (char *)&q;
	return ioctl(sock, SIOCETHTOOL, r) || !q.info.sset_mask ? 0 : q.nr;
}

/* The kernel's names of features, as long as it has; NULL: none. */
static struct ethtool_gstrings *feature_names(int sock, struct ifreq *r, unsigned int nr)
{
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)nr * ETH_GSTRING_LEN);

	if (!names)
		return NULL;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = nr;
	r->ifr_data = (char *)names;
	if (!ioctl(sock, SIOCETHTOOL, r))
		return names;
	free(names);
	return NULL;
}

static struct ethtool_gfeatures *features(int sock, struct ifreq *r, unsigned int nr)
{
	size_t blocks = (nr + 31) / 32;
	struct ethtool_gfeatures *f = calloc(1, sizeof(*f) + blocks * sizeof(f->features[0]));

	if (!f)
		return NULL;
	f->cmd = ETHTOOL_GFEATURES;
	f->size = (__u32)blocks;
	r->ifr_data = (char *)f;
	if (!ioctl(sock, SIOCETHTOOL, r))
		return f;
	free(f);
	return NULL;
}

static uint8_t strips(int sock, struct ifreq *r)
{
	unsigned int nr = nr_features(sock, r);
	struct ethtool_gstrings *names = nr ? feature_names(sock, r, nr) : NULL;
	struct ethtool_gfeatures *f = names ? features(sock, r, nr) : NULL;
	uint8_t found = 0;

	for (unsigned int i = 0; f && i < nr; i++) {
		const char *name = (const char *)names->data + (size_t)i * ETH_GSTRING_LEN;

		if (!(f->features[i / 32].active >> i % 32 & 1))
			continue;
		if (!strncmp(name, "rx-vlan-hw-parse", ETH_GSTRING_LEN))
			found |= NIC_STRIPS_Q;
		else if (!strncmp(name, "rx-vlan-stag-hw-parse", ETH_GSTRING_LEN))
			found |= NIC_STRIPS_AD;
	}
	free(f);
	free(names);
	return found;
}

bool nic_dev_strips(struct nic *nic)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t before = nic->strips;
	struct ifreq r = { 0 };

	if (sock < 0)
		return false;
	strcpy(r.ifr_name, nic->name);
	nic->strips = strips(sock, &r);
	close(sock);
	return nic->strips != before;
}

/* ---- all of it ---- */

int nic_dev_read(struct nic *nic)
{
	struct ifreq r = { 0 };
	int err = 0, sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -errno;
	strcpy(r.ifr_name, nic->name);
	if (ioctl(sock, SIOCGIFINDEX, &r)) {
		err = -errno;
		goto out;
	}
	nic->ifindex = r.ifr_ifindex;
	if (!ioctl(sock, SIOCGIFMTU, &r))
		nic->mtu = (unsigned int)r.ifr_mtu;
	if (!ioctl(sock, SIOCGIFFLAGS, &r))
		nic->up = (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING);
	if (!ioctl(sock, SIOCGIFHWADDR, &r))
		memcpy(nic->mac, r.ifr_hwaddr.sa_data, 6);
	if (r.ifr_hwaddr.sa_family != 1)	/* ARPHRD_ETHER */
		err = -EAFNOSUPPORT;
	if (driver_is_veth(sock, &r))
		nic->flags |= TOE_NIC_PARTIAL_OK | TOE_NIC_REDIRECT;
	nic->strips = strips(sock, &r);
out:
	close(sock);
	return err;
}
