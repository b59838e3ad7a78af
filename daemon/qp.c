/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "app.h"
#include "conf.h"
#include "engine.h"
#include "log.h"
#include "netns.h"
#include "nl.h"
#include "qp.h"
#include "slab.h"

#define TAP_MTU		3500	/* segment with headers; XDP on a TAP takes up to a page */
#define TAP_QUEUE	4	/* doorbell frames are never read: keep few of them */

static int ns_fd = -1;
static int ns_sock = -1;	/* made in the namespace: ioctls on its devices */
static uint64_t used[TOE_MAX_QPS / 64];
static unsigned int next_qp = TOE_QP_DAEMON + 1;

static struct slab *daemon_slab;
static unsigned int daemon_chunk;
static int daemon_tap = -1;

static void ns_path(char *out, size_t len)
{
	snprintf(out, len, "%s/netns", conf.rundir);
}

static void write_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		log_debug("%s: %m", path);
	close(fd);
}

/* A TAP must stay silent: a frame of the stack's own would run through toe_tx and wake waiters. */
static void ns_silence(void)
{
	write_sysctl("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	write_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

int qp_init(void)
{
	char path[128];
	int err, made;

	ns_path(path, sizeof(path));
	ns_fd = netns_open_kept(path, &made);
	err = ns_fd < 0 ? ns_fd : netns_enter(ns_fd);
	if (err) {
		log_err("cannot make toed's network namespace at %s: %s", path, strerror(-err));
		return err;
	}
	ns_silence();
	ns_sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ns_sock < 0 ? -errno : 0;
	netns_leave();
	return err;
}

void qp_exit(void)
{
	char path[128];

	if (ns_sock >= 0)
		close(ns_sock);
	if (ns_fd >= 0)
		close(ns_fd);
	ns_sock = ns_fd = -1;
	ns_path(path, sizeof(path));
	netns_unkeep(path);
}

/* ---- numbers ---- */

static bool tap_exists(unsigned int qp)
{
	struct ifreq r = { .ifr_ifindex = (int)(TOE_TAP_IFINDEX + qp) };

	return !ioctl(ns_sock, SIOCGIFNAME, &r);
}

/* Round robin, so that a number rests; a TAP that somebody still holds open blocks its number. */
int qp_alloc(void)
{
	unsigned int i;

	for (i = 0; i < TOE_MAX_QPS; i++) {
		unsigned int qp = next_qp;

		next_qp = qp + 1 == TOE_MAX_QPS ? TOE_QP_DAEMON + 1 : qp + 1;
		if (used[qp / 64] >> (qp % 64) & 1 || tap_exists(qp))
			continue;
		used[qp / 64] |= 1ULL << (qp % 64);
		return (int)qp;
	}
	return -ENOSPC;
}

void qp_claim(unsigned int qp)
{
	used[qp / 64] |= 1ULL << (qp % 64);
}

void qp_free(unsigned int qp)
{
	used[qp / 64] &= ~(1ULL << (qp % 64));
}

int qp_assign(unsigned int qp, const struct toe_qp *owner)
{
	__u32 key = qp;

	return bpf_map_update_elem(engine.qps, &key, owner, BPF_ANY) ? -errno : 0;
}

/* ---- TAPs ---- */

static int tap_create(unsigned int qp, struct ifreq *r)
{
	unsigned int ifindex = TOE_TAP_IFINDEX + qp;
	/* tun_can_build_skb(): only a non-blocking write runs XDP natively. The generic path costs 1 us
	 * more, and drops a doorbell for a TAP whose queue is full without waking anybody. */
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	memset(r, 0, sizeof(*r));
	snprintf(r->ifr_name, sizeof(r->ifr_name), "toe%u", qp);
	r->ifr_flags = IFF_TAP | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFINDEX, &ifindex) || ioctl(fd, TUNSETIFF, r)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int tap_configure(struct ifreq *r)
{
	r->ifr_mtu = TAP_MTU;
	if (ioctl(ns_sock, SIOCSIFMTU, r))
		return -errno;
	r->ifr_qlen = TAP_QUEUE;
	if (ioctl(ns_sock, SIOCSIFTXQLEN, r))
		return -errno;
	r->ifr_flags = IFF_UP | IFF_NOARP;
	return ioctl(ns_sock, SIOCSIFFLAGS, r) ? -errno : 0;
}

/* In toed's namespace: a devmap entry names a device of the caller's namespace. */
static int tap_attach(unsigned int qp)
{
	__u32 key = qp, ifindex = TOE_TAP_IFINDEX + qp;
	struct bpf_devmap_val dev = { .ifindex = ifindex, .bpf_prog.fd = engine.train_prog };
	int err = bpf_xdp_attach((int)ifindex, engine.tx_prog, XDP_FLAGS_DRV_MODE, NULL);

	if (err)
		return err;
	return bpf_map_update_elem(engine.qp_dev, &key, &dev, BPF_ANY) ? -errno : 0;
}

int qp_tap_open(unsigned int qp)
{
	struct ifreq r;
	int err, fd = -1;

	err = netns_enter(ns_fd);
	if (err)
		return err;
	fd = tap_create(qp, &r);
	err = fd < 0 ? fd : tap_configure(&r);
	if (!err)
		err = tap_attach(qp);
	netns_leave();
	if (!err)
		return fd;
	log_warn("queue pair %u: cannot make its TAP: %s", qp, strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

/* The application may have handed its TAP on: delete the device, not only our descriptor. */
void qp_tap_close(unsigned int qp, int fd)
{
	struct toe_qp nobody = { 0 };
	__u32 key = qp;

	qp_assign(qp, &nobody);
	bpf_map_delete_elem(engine.qp_dev, &key);
	if (fd >= 0)
		close(fd);
	else if (!netns_enter(ns_fd)) {
		nl_link_delete((int)(TOE_TAP_IFINDEX + qp));
		netns_leave();
	}
}

/* ---- the daemon's own ---- */

int qp_daemon_open(void)
{
	struct toe_qp own = { .app = APP_DAEMON, .flags = TOE_QP_PRIV };
	int err;

	daemon_slab = slab_new();
	if (!daemon_slab)
		return -errno;
	daemon_chunk = (unsigned int)slab_take(daemon_slab, TOE_ORDER_64) / TOE_CHUNK_UNITS;
	own.slab = daemon_slab->index;
	own.chunk = (__u16)daemon_chunk;
	daemon_tap = qp_tap_open(TOE_QP_DAEMON);
	if (daemon_tap < 0) {
		err = daemon_tap;
		goto free_slab;
	}
	err = qp_assign(TOE_QP_DAEMON, &own);
	if (!err)
		return 0;
	qp_tap_close(TOE_QP_DAEMON, daemon_tap);
	daemon_tap = -1;
free_slab:
	slab_delete(daemon_slab);
	daemon_slab = NULL;
	return err;
}

void qp_daemon_close(void)
{
	if (daemon_tap >= 0)
		qp_tap_close(TOE_QP_DAEMON, daemon_tap);
	if (daemon_slab)
		slab_delete(daemon_slab);
	daemon_tap = -1;
	daemon_slab = NULL;
}

int qp_daemon_fd(void)
{
	return daemon_tap;
}

struct toe_qp_wake *qp_daemon_wake(void)
{
	return (struct toe_qp_wake *)slab_chunk(daemon_slab, daemon_chunk);
}

int qp_send(const struct toe_desc *desc, unsigned int hdr_len, const void *p1, unsigned int n1,
	    const void *p2, unsigned int n2)
{
	char room[TOE_HDR_MAX] = { 0 };
	struct iovec iov[3] = {
		{ room, hdr_len },
		{ (void *)p1, n1 },
		{ (void *)p2, n2 },
	};

	if (hdr_len < sizeof(*desc) || hdr_len > sizeof(room))
		return -EINVAL;
	memcpy(room, desc, sizeof(*desc));
	return writev(daemon_tap, iov, n2 ? 3 : n1 ? 2 : 1) < 0 ? -errno : 0;
}
