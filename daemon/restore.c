/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "engine.h"
#include "log.h"
#include "restore.h"
#include "restore.skel.h"
#include "toe/restore.h"

#define NAMES		4
#define PIN		"toe_restore"
#define F_LINK		(1U << 13)	/* BPF_F_LINK, Linux 6.4: registered as long as the link lives */
#define TYPE_STRUCT_OPS	44		/* enum bpf_attach_type BPF_STRUCT_OPS, the same */

static struct bpf_object *obj;
static struct bpf_link *reg;
static int link_fd = -1;
static char name[sizeof(TOE_RESTORE_NAME)];	/* as long as it is registered, else empty */

/* Names are the kernel's, not a namespace's: one for each directory of pins, and some to choose from. */
static void make_name(const char *bpffs, unsigned int nth)
{
	uint32_t h = 2166136261U + nth;

	for (const char *p = bpffs; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619U;
	snprintf(name, sizeof(name), "toe_%08x", h);
}

/* libbpf lets nobody change the initial value of such a map before version 1.4. */
static struct bpf_object *open_named(const struct bpf_object_open_opts *opts)
{
	size_t size;
	const void *elf = restore_bpf__elf_bytes(&size);
	char *copy = malloc(size), *at;
	struct bpf_object *o = NULL;

	if (!copy)
		return NULL;
	memcpy(copy, elf, size);
	at = memmem(copy, size, TOE_RESTORE_NAME, sizeof(TOE_RESTORE_NAME));
	if (at) {
		memset(at, 0, sizeof(TOE_RESTORE_NAME));
		strcpy(at, name);
		o = bpf_object__open_mem(copy, size, opts);
	}
	free(copy);
	return o;
}

/* Linux 6.4 and later: with a link, so that nothing stays if toed is killed. */
static int enter_link(const struct bpf_map *m)
{
#if LIBBPF_MAJOR_VERSION == 1 && LIBBPF_MINOR_VERSION < 2	/* it does the first half */
	bpf_link__disconnect(reg);
	link_fd = bpf_link_create(bpf_map__fd(m), 0, (enum bpf_attach_type)TYPE_STRUCT_OPS, NULL);
	return link_fd < 0 ? -errno : 0;
#else
	(void)m;
	return 0;
#endif
}

/* Before, the map is the registration, and outlives toed: its pin says so to the next one. */
static int enter_map(const struct bpf_map *m)
{
	return engine_pin(bpf_map__fd(m), PIN);
}

static int enter(const struct bpf_map *m, bool with_link)
{
	int err;

	reg = bpf_map__attach_struct_ops(m);
	if (!reg)
		return -errno;
	err = with_link ? enter_link(m) : enter_map(m);
	if (err) {
		bpf_link__destroy(reg);
		reg = NULL;
	}
	return err;
}

static int load(const struct bpf_object_open_opts *opts, bool with_link)
{
	struct bpf_map *m;
	int err;

	obj = open_named(opts);
	m = obj ? bpf_object__find_map_by_name(obj, "toe_restore") : NULL;
	err = m ? engine_adopt_maps(obj) : -EINVAL;
	if (!err && with_link)
		err = bpf_map__set_map_flags(m, F_LINK);
	if (!err)
		err = bpf_object__load(obj);
	if (!err)
		err = enter(m, with_link);
	if (err) {
		bpf_object__close(obj);
		obj = NULL;
	}
	return err;
}

/* Of a toed that was killed, on a kernel without links. */
static void drop_old(void)
{
	int fd = engine_pinned(PIN), zero = 0;

	if (fd < 0)
		return;
	bpf_map_delete_elem(fd, &zero);
	close(fd);
	engine_unpin(PIN);
}

void restore_open(const char *bpffs)
{
	const struct bpf_object_open_opts opts = { .sz = sizeof(opts), .pin_root_path = bpffs };
	libbpf_print_fn_t print = libbpf_set_print(NULL);	/* a kernel may refuse: that is no error */
	int err = -EEXIST;

	drop_old();
	for (unsigned int nth = 0; err == -EEXIST && nth < NAMES; nth++) {
		make_name(bpffs, nth);
		err = load(&opts, true);
		if (err && err != -EEXIST)
			err = load(&opts, false);
	}
	libbpf_set_print(print);
	if (!err)
		return;
	name[0] = 0;
	log_info("ssthresh and ECN of connections that return to the kernel begin anew: no congestion control of toed's own: %s",
		 strerror(-err));
}

int restore_probe(void)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	size_t size;
	const void *elf = restore_bpf__elf_bytes(&size);
	struct bpf_object *o = bpf_object__open_mem(elf, size, NULL);
	struct bpf_map *m = o ? bpf_object__find_map_by_name(o, "sk_restore") : NULL;
	int err = m ? bpf_map__set_pin_path(m, NULL) : -EINVAL;

	if (!err)
		err = bpf_object__load(o);
	bpf_object__close(o);
	libbpf_set_print(print);
	return err;
}

void restore_close(void)
{
	if (reg && link_fd < 0)
		engine_unpin(PIN);
	bpf_link__destroy(reg);
	if (link_fd >= 0)
		close(link_fd);
	bpf_object__close(obj);
	reg = NULL;
	obj = NULL;
	link_fd = -1;
	name[0] = 0;
}

static int set_cc(int sock, const char *cc)
{
	return setsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)) ? -errno : 0;
}

/* DCTCP whose socket was connected without ECN, as every rebuilt one is, goes by another name. */
int restore_apply(int sock)
{
	char own[16] = "";
	socklen_t len = sizeof(own) - 1;
	int err, err2;

	if (!name[0])
		return -EOPNOTSUPP;
	if (getsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, own, &len))
		return -errno;
	err = set_cc(sock, name);
	err2 = set_cc(sock, strcmp(own, "dctcp-reno") ? own : "dctcp");
	return err ? err : err2;
}
