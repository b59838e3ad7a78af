// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sockops: shadow entries of real connections over the loopback device of a network namespace of this
 * test, in a cgroup of this test.
 */
#include "tests/bpf/frames.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "sockops.skel.h"
#include "toe/restore.h"

#define NET	9
#define NIC	5

static struct sockops_bpf *so;
static char home[256], cgroup[300];
static int listener, client, server;
static struct toe_flow cflow, sflow;	/* as the client and as the server sees it */
static int family = AF_INET;

static void write_pid(const char *dir)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY);
	TRY(fd >= 0 && write(fd, "0", 1) == 1);
	close(fd);
}

static void leave_cgroup(void)
{
	write_pid(home);
	rmdir(cgroup);
}

static void enter_cgroup(void)
{
	char line[512], mnt[200] = "", mine[200] = "/";
	FILE *f = fopen("/proc/mounts", "r");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " cgroup2 "))
			sscanf(line, "%*s %199s", mnt);
	if (f)
		fclose(f);
	f = fopen("/proc/self/cgroup", "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "0::%199s", mine);
	if (f)
		fclose(f);
	if (!*mnt) {
		printf("SKIP: no cgroup v2\n");
		exit(77);
	}
	snprintf(home, sizeof(home), "%s%s", mnt, strcmp(mine, "/") ? mine : "");
	snprintf(cgroup, sizeof(cgroup), "%s/toe-bpf-%d", mnt, getpid());
	TRY(!mkdir(cgroup, 0700));
	atexit(leave_cgroup);
	write_pid(cgroup);
}

static void attach(const char *dir)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = dir);
	struct toe_netdev key = { .ifindex = 1 };
	struct toe_netval val = { .vlan = 0x1005 << 13 | 7, .net = NET, .nic = NIC };
	socklen_t len = sizeof(key.netns_cookie);
	int sock = socket(AF_INET, SOCK_STREAM, 0), fd = open(cgroup, O_RDONLY);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	TRY(!ioctl(sock, SIOCSIFFLAGS, &lo));
	so = sockops_bpf__open_opts(&opts);
	TRY(so);
	env_share(so->obj);
	TRY(!sockops_bpf__load(so));
	so->links.toe_sockops = bpf_program__attach_cgroup(so->progs.toe_sockops, fd);
	TRY(so->links.toe_sockops);
	TRY(!getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &key.netns_cookie, &len));
	TRY(!bpf_map_update_elem(env_map(so->maps.nets), &key, &val, BPF_ANY));
	close(fd);
	close(sock);
}

static void name_of(int fd, bool peer, __be32 addr[4], __be16 *port)
{
	struct sockaddr_storage ss;
	struct sockaddr_in *in = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;
	socklen_t len = sizeof(ss);

	TRY(!(peer ? getpeername : getsockname)(fd, (void *)&ss, &len));
	if (ss.ss_family == AF_INET) {
		addr[0] = addr[1] = 0;
		addr[2] = htonl(0xffff);
		addr[3] = in->sin_addr.s_addr;
		*port = in->sin_port;
	} else {
		memcpy(addr, &in6->sin6_addr, 16);
		*port = in6->sin6_port;
	}
}

static struct toe_flow flow_of(int fd)
{
	struct toe_flow f = { .net = NET, .family = (__u16)family };

	name_of(fd, false, f.laddr, &f.lport);
	name_of(fd, true, f.raddr, &f.rport);
	return f;
}

static const struct hw_conn *entry(const struct toe_flow *f)
{
	static struct hw_conn c;

	return bpf_map_lookup_elem(env_map(so->maps.hw_conn_t), f, &c) ? NULL : &c;
}

static __u64 cookie_of(int fd)
{
	__u64 cookie = 0;
	socklen_t len = sizeof(cookie);

	TRY(!getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	return cookie;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info ti = {};
	socklen_t len = sizeof(ti);

	TRY(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	return ti;
}

static int establish(void **state)
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)family };
	socklen_t len = sizeof(ss);

	(void)state;
	if (family == AF_INET)
		((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&ss)->sin6_addr = in6addr_loopback;
	env_mark();
	listener = socket(family, SOCK_STREAM, 0);
	client = socket(family, SOCK_STREAM, 0);
	TRY(!bind(listener, (void *)&ss, sizeof(ss)) && !listen(listener, 5));
	TRY(!getsockname(listener, (void *)&ss, &len));
	TRY(!connect(client, (void *)&ss, len));
	server = accept(listener, NULL, NULL);
	TRY(server >= 0);
	cflow = flow_of(client);
	sflow = flow_of(server);
	return 0;
}

static int hang_up(void **state)
{
	struct linger l = { 1, 0 };
	int fds[3] = { client, server, listener };

	(void)state;
	for (int i = 0; i < 3; i++) {
		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(fds[i]);
	}
	return 0;
}

static void check_shadow(int fd, const struct toe_flow *f)
{
	const struct hw_conn *c = entry(f);
	struct tcp_info ti = info_of(fd);

	assert_non_null(c);
	assert_int_equal(c->state, TOE_KERNEL);
	assert_int_equal(c->cookie, cookie_of(fd));
	assert_int_equal(c->nic, NIC);
	assert_int_equal(c->vlan, 0x1005 << 13 | 7);
	assert_memory_equal(&c->min.flow, f, sizeof(*f));
	assert_int_equal(c->min.snd_wscale, ti.tcpi_snd_wscale);
	assert_int_equal(c->min.rcv_wscale, ti.tcpi_rcv_wscale);
	assert_int_equal(c->min.opts & 7, TOE_OPT_TS | TOE_OPT_SACK | TOE_OPT_WSCALE);
	assert_int_equal(c->min.cwnd, ti.tcpi_snd_cwnd * c->min.snd_mss);
	assert_int_equal(c->min.ssthresh, ~0U);
	assert_int_equal(c->seen_end, c->min.rcv_nxt);
}

static void shadows(void **state)
{
	(void)state;
	check_shadow(client, &cflow);
	check_shadow(server, &sflow);
	assert_int_equal(COUNTED(SO_SHADOW), 2);
}

static void refreshed(void **state)
{
	char buf[100] = {};
	const struct hw_conn *c;

	(void)state;
	for (int i = 0; i < 20; i++) {
		TRY(send(client, buf, 100, 0) == 100 && recv(server, buf, 100, MSG_WAITALL) == 100);
		TRY(send(server, buf, 10, 0) == 10 && recv(client, buf, 10, MSG_WAITALL) == 10);
	}
	c = entry(&cflow);
	assert_true(c->min.srtt_us > 0);
	/* 6.1 calls before it stores a sample: one behind */
	assert_in_range(c->min.srtt_us, info_of(client).tcpi_rtt / 4, info_of(client).tcpi_rtt * 4 + 4);
	assert_true(c->min.min_rtt_us <= c->min.srtt_us);
}

static void removed(void **state)
{
	(void)state;
	shutdown(client, SHUT_WR);
	for (int i = 0; i < 1000 && entry(&sflow); i++)		/* the FIN may be late */
		usleep(1000);
	assert_null(entry(&cflow));
	assert_null(entry(&sflow));
	assert_int_equal(COUNTED(SO_GONE), 2);
}

static void filter(void **state)
{
	__u16 off = 0, port = 9;
	__u8 one = 1;
	int map = env_map(so->maps.ports);

	hang_up(state);
	TRY(!bpf_map_update_elem(map, &off, &one, 0) && !bpf_map_update_elem(map, &port, &one, 0));
	establish(state);
	assert_null(entry(&cflow));
	hang_up(state);
	establish(state);
	port = ntohs(cflow.rport);
	hang_up(state);
	TRY(!bpf_map_update_elem(map, &port, &one, 0));
	bpf_map_delete_elem(map, &off);
	establish(state);
	assert_non_null(entry(&cflow));
	assert_non_null(entry(&sflow));
}

static void set_int(int fd, int opt, int v)
{
	TRY(!setsockopt(fd, IPPROTO_TCP, opt, &v, sizeof(v)));
}

static __u32 queue_seq(int fd, int queue)
{
	__u32 seq = 0;
	socklen_t len = sizeof(seq);

	set_int(fd, TCP_REPAIR_QUEUE, queue);
	TRY(!getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len));
	return seq;
}

static void set_state(const struct toe_flow *f, __u8 st, __u8 next, __u32 cwnd)
{
	struct hw_conn c = *entry(f);

	c.state = st;
	c.next = next;
	c.min.cwnd = cwnd;
	c.min.ssthresh = 17U * c.min.snd_mss + 5;
	c.min.opts |= TOE_OPT_ECN;
	c.ecn = TOE_ECN_ECHO;
	TRY(!bpf_map_update_elem(env_map(so->maps.hw_conn_t), f, &c, BPF_EXIST));
}

static void repair_connect(int fd, __u32 snd, __u32 rcv, const struct sockaddr_storage *me,
			   const struct sockaddr_storage *peer)
{
	set_int(fd, TCP_REPAIR_QUEUE, 2);
	set_int(fd, TCP_QUEUE_SEQ, (int)snd);
	set_int(fd, TCP_REPAIR_QUEUE, 1);
	set_int(fd, TCP_QUEUE_SEQ, (int)rcv);
	bind(fd, (const void *)me, sizeof(*me));	/* kept, if it had been bound */
	TRY(!connect(fd, (const void *)peer, sizeof(*peer)));
}

/* The parking of a move: captured in the instant of disconnect, left alone by the reconnect. */
static void parked(void **state)
{
	struct sockaddr_storage me, peer;
	socklen_t len = sizeof(me), len2 = sizeof(peer);
	struct sockaddr off = { .sa_family = AF_UNSPEC };
	struct toe_restore r = {};
	const struct hw_conn *c;
	char buf[3000] = {};
	__u32 snd, rcv;
	__u64 cookie = cookie_of(client);

	(void)state;
	TRY(!getsockname(client, (void *)&me, &len) && !getpeername(client, (void *)&peer, &len2));
	TRY(send(server, buf, 3000, 0) == 3000 && recv(client, buf, 1000, MSG_WAITALL) == 1000);
	TRY(send(client, buf, 77, 0) == 77);
	set_state(&cflow, TOE_HOLD, TOE_HW, 0);
	set_int(client, TCP_REPAIR, 1);
	snd = queue_seq(client, 2);
	rcv = queue_seq(client, 1);
	TRY(!connect(client, &off, sizeof(off)));
	c = entry(&cflow);
	assert_non_null(c);
	assert_int_equal(c->state, TOE_HOLD);
	assert_int_equal(c->min.write_seq, snd);
	assert_int_equal(c->min.snd_nxt, snd);
	assert_int_equal(c->min.rcv_nxt, rcv);
	assert_int_equal(c->min.copied_seq, rcv - 2000);
	assert_true(c->min.rcv_adv - rcv > 10000);
	assert_true(c->min.ts_recent);
	assert_true(c->min.ts_off);
	assert_true(c->min.snd_mss > 500);
	assert_true(c->min.cwnd >= 10U * c->min.snd_mss);
	repair_connect(client, snd, rcv, &me, &peer);
	c = entry(&cflow);
	assert_non_null(c);
	assert_int_equal(c->state, TOE_HOLD);
	assert_int_equal(c->min.copied_seq, rcv - 2000);
	assert_int_equal(c->cookie, cookie);

	/* and back: cwnd goes with it, the shadow is removed at the end */
	set_state(&cflow, TOE_HOLD, TOE_KERNEL, 23U * c->min.snd_mss);
	TRY(!connect(client, &off, sizeof(off)));
	assert_non_null(entry(&cflow));
	repair_connect(client, snd, rcv, &me, &peer);
	assert_int_equal(info_of(client).tcpi_snd_cwnd, 23);
	/* and what the daemon puts in place a moment later */
	TRY(!bpf_map_lookup_elem(env_map(so->maps.sk_restore), &client, &r));
	assert_int_equal(r.cwnd, 23);
	assert_int_equal(r.ssthresh, 17);
	assert_int_equal(r.ecn_flags, 1 | 4);
	set_state(&cflow, TOE_KERNEL, 0, 0);
	set_int(client, TCP_REPAIR, -1);
	shutdown(client, SHUT_WR);
	assert_null(entry(&cflow));
}

/* A socket that is reset in the middle of a move leaves nothing behind. */
static void dies_in_hold(void **state)
{
	struct linger l = { 1, 0 };
	struct hw_conn c = { .cookie = cookie_of(client) };

	(void)state;
	assert_int_equal(env_op(&cflow, TOE_CMD_HOLD, TOE_KERNEL, &c), 0);
	setsockopt(server, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(server);			/* sends a reset */
	assert_int_equal(info_of(client).tcpi_state, 7 /* TCP_CLOSE */);
	assert_non_null(entry(&cflow));
	c.nr_held = 0;
	assert_int_equal(env_op(&cflow, TOE_CMD_FINISH, 0, &c), 0);
	assert_null(entry(&cflow));
	server = -1;
}

/* A socket in hardware is not looked at. */
static void hardware(void **state)
{
	(void)state;
	set_state(&cflow, TOE_HW, 0, 4242);
	shutdown(client, SHUT_WR);
	assert_non_null(entry(&cflow));
	assert_int_equal(entry(&cflow)->min.cwnd, 4242);
	bpf_map_delete_elem(env_map(so->maps.hw_conn_t), &cflow);
}

/* An entry left over from a connection that was not seen to close. */
static void stale(void **state)
{
	struct hw_conn c = *entry(&cflow);
	struct toe_flow f = cflow;
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_port = cflow.lport };

	if (family != AF_INET)
		skip();
	me.sin_addr.s_addr = cflow.laddr[3];
	close(client);
	hang_up(state);
	TRY(!bpf_map_update_elem(env_map(so->maps.hw_conn_t), &f, &c, BPF_ANY));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	client = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(client, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	TRY(!bind(client, (void *)&me, sizeof(me)));
	me.sin_port = f.rport;
	TRY(!bind(listener, (void *)&me, sizeof(me)) && !listen(listener, 5));
	TRY(!connect(client, (void *)&me, sizeof(me)));
	server = accept(listener, NULL, NULL);
	assert_non_null(entry(&f));
	assert_int_equal(entry(&f)->cookie, cookie_of(client));
}

/* A full table: the next connections are not entered and counted; with room again they are. */
static void full(void **state)
{
	struct toe_flow filler = { .net = NET + 1, .family = AF_INET };
	struct hw_conn c = {};
	__u32 n;

	hang_up(state);
	for (n = 0; n < TOE_MAX_CONNS; n++) {
		filler.laddr[3] = n;
		TRY(!bpf_map_update_elem(env_map(so->maps.hw_conn_t), &filler, &c, BPF_NOEXIST));
	}
	establish(state);
	assert_null(entry(&cflow));
	assert_null(entry(&sflow));
	assert_int_equal(COUNTED(SO_FULL), 2);
	assert_int_equal(COUNTED(SO_SHADOW), 0);
	hang_up(state);
	while (n--) {
		filler.laddr[3] = n;
		TRY(!bpf_map_delete_elem(env_map(so->maps.hw_conn_t), &filler));
	}
	establish(state);
	check_shadow(client, &cflow);
	check_shadow(server, &sflow);
	assert_int_equal(COUNTED(SO_FULL), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, establish, hang_up)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(shadows), CASE(refreshed), CASE(removed), CASE(filter), CASE(parked), CASE(dies_in_hold),
		CASE(hardware),
		CASE(stale), CASE(full),
	};
	char dir[] = "/tmp/toe-bpf.XXXXXX";
	int failed;

	TRY(mkdtemp(dir));
	env_private_ns(dir);
	enter_cgroup();
	env_load(dir);
	attach(dir);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	failed = cmocka_run_group_tests_name("IPv4", cases, NULL, NULL);
	family = AF_INET6;
	failed += cmocka_run_group_tests_name("IPv6", cases, NULL, NULL);
	sockops_bpf__destroy(so);
	return failed;
}
