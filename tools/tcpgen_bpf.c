/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tcpgen.h"
#include "tcpgen.skel.h"

static struct tcpgen_bpf *skel;
static int link_fd = -1;

static bool is_veth(void)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { .ifr_data = (void *)&info };
	int err, sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(ifr.ifr_name, opt.dev, sizeof(ifr.ifr_name));
	err = sock < 0 || ioctl(sock, SIOCETHTOOL, &ifr);
	if (sock >= 0)
		close(sock);
	return !err && !strcmp(info.driver, "veth");
}

static void set_addr(const __be32 (*dst)[4], const struct sockaddr_storage *a)
{
	__be32 *to = (__be32 *)*dst;	/* rodata before it is loaded */

	if (a->ss_family == AF_INET6)
		memcpy(to, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
	else
		memcpy(to + 3, &((const struct sockaddr_in *)a)->sin_addr, 4);
}

static void set_knobs(void)
{
	uint32_t batch = opt.mss / opt.request_len;

	skel->rodata->gen_v6 = opt.server.ss_family == AF_INET6;
	skel->rodata->gen_redirect = opt.redirect = is_veth();
	skel->rodata->gen_compare = !opt.any_content;
	skel->rodata->gen_ifindex = opt.ifindex;
	set_addr(&skel->rodata->gen_local, &opt.local);
	set_addr(&skel->rodata->gen_server, &opt.server);
	skel->rodata->gen_server_port = ((struct sockaddr_in *)&opt.server)->sin_port;
	skel->rodata->gen_mss = opt.mss;
	skel->rodata->gen_depth = opt.depth;
	skel->rodata->gen_batch = batch < opt.depth ? batch : opt.depth;
	skel->rodata->gen_request_len = opt.request_len;
	skel->rodata->gen_reply_len = opt.reply_len;
	skel->rodata->gen_sample_mask = opt.sample - 1;
	for (uint32_t n = 1; n <= GEN_MAX_DEPTH && n * opt.request_len <= opt.mss; n++)
		skel->rodata->gen_csum[n] = text_sum(opt.text->request, n * opt.request_len, 0);
}

static int attach(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = opt.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);

	link_fd = bpf_link_create(bpf_program__fd(skel->progs.tcpgen), (int)opt.ifindex, BPF_XDP, &opts);
	if (link_fd >= 0)
		return 0;
	if (errno == EBUSY || errno == EEXIST)
		complain("%s has an XDP program already", opt.dev);
	else
		complain("%s: cannot attach in %s mode: %s%s", opt.dev, opt.generic ? "generic" : "native",
			 strerror(errno), opt.generic ? "" : "; --generic does without the driver");
	return -errno;
}

static void *map_mem(struct bpf_map *map, uint64_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static int map_all(struct gen *g)
{
	struct gen_text *text = map_mem(skel->maps.gen_text, sizeof(*text));

	g->ports = map_mem(skel->maps.gen_ports, 65536 * sizeof(*g->ports));
	g->conns = map_mem(skel->maps.gen_conns, (uint64_t)opt.nr_conns * sizeof(*g->conns));
	g->sent = map_mem(skel->maps.gen_sent, (uint64_t)opt.nr_conns * opt.depth * sizeof(*g->sent));
	if (!text || !g->ports || !g->conns || !g->sent)
		return -ENOMEM;
	memcpy(text, opt.text, sizeof(*text));
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

int bpf_start(struct gen *g)
{
	int err;

	libbpf_set_print(quiet);
	skel = tcpgen_bpf__open();
	if (!skel)
		return -errno;
	set_knobs();
	err = bpf_map__set_max_entries(skel->maps.gen_conns, opt.nr_conns);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.gen_sent, opt.nr_conns * opt.depth);
	if (!err)
		err = tcpgen_bpf__load(skel);
	if (!err)
		err = map_all(g);
	if (err) {
		complain("cannot load the XDP program: %s", strerror(-err));
		return err;
	}
	return attach();
}

void bpf_end(void)
{
	if (link_fd >= 0)
		close(link_fd);		/* detaches */
	link_fd = -1;
	tcpgen_bpf__destroy(skel);
	skel = NULL;
}

void bpf_let_go(bool go)
{
	__atomic_store_n(&skel->bss->gen_go, go, __ATOMIC_SEQ_CST);
}

const uint8_t *bpf_macs(void)
{
	return skel->bss->gen_mac_known ? skel->bss->gen_mac : NULL;
}

int bpf_stats(struct gen_stats *out)
{
	int nr = libbpf_num_possible_cpus();
	struct gen_stats *all;
	__u32 key = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	all = nr > 0 ? calloc((size_t)nr, sizeof(*all)) : NULL;
	if (!all)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(skel->maps.gen_stats), &key, all))
		err = -errno;
	for (int cpu = 0; cpu < nr && !err; cpu++)
		for (size_t i = 0; i < sizeof(*all) / sizeof(__u64); i++)
			((__u64 *)out)[i] += ((__u64 *)&all[cpu])[i];
	free(all);
	return err;
}
