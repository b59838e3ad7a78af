/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include "detour.h"
#include "fault.h"
#include "ksock.h"
#include "toe/rtt.h"

#ifndef TCP_REPAIR_OFF_NO_WP
#define TCP_REPAIR_OFF_NO_WP -1
#endif
#define MSS_DEFAULT 536

enum { NO_QUEUE, RECV_QUEUE, SEND_QUEUE };
enum { OPT_MSS = 2, OPT_WSCALE = 3, OPT_SACK = 4, OPT_TIMESTAMP = 8 };	/* option kinds */

static int set_int(int sock, int level, int opt, int val)
{
	return setsockopt(sock, level, opt, &val, sizeof(val)) ? -errno : 0;
}

int ksock_repair_on(int sock)
{
	return set_int(sock, IPPROTO_TCP, TCP_REPAIR, 1);
}

int ksock_repair_off(int sock)
{
	return set_int(sock, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
}

/* One program for all: a classic filter would be translated and compiled anew with each move. */
static int deaf_program(void)
{
	const struct bpf_insn drop[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 }, { .code = BPF_JMP | BPF_EXIT },
	};
	static int prog = -1;

	if (prog < 0)
		prog = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "toe_deaf", "GPL", drop, 2, NULL);
	return prog;
}

int ksock_ready(void)
{
	return deaf_program() < 0 ? -errno : 0;
}

int ksock_deafen(int sock)
{
	int prog = deaf_program();

	return prog < 0 ? -errno : set_int(sock, SOL_SOCKET, SO_ATTACH_BPF, prog);
}

int ksock_hear(int sock)
{
	int err = set_int(sock, SOL_SOCKET, SO_DETACH_FILTER, 0);

	return err == -ENOENT ? 0 : err;
}

static int select_queue(int sock, int queue)
{
	return set_int(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);
}

void ksock_resume(int sock)
{
	select_queue(sock, NO_QUEUE);
	ksock_hear(sock);
	ksock_repair_off(sock);
}

static int queue_seq(int sock, int queue, uint32_t *seq)
{
	int val, err = select_queue(sock, queue);

	if (!err)
		err = ksock_get_int(sock, IPPROTO_TCP, TCP_QUEUE_SEQ, &val);
	if (!err)
		*seq = (uint32_t)val;
	return err;
}

/* The send queue is not selected for this: while it is, whatever makes the kernel send (pacing, a completed
 * frame) marks all that is unsent as sent, tcp_write_xmit(). With no queue selected a stray call of the application
 * fails instead of entering a queue. */
int ksock_read_seqs(int sock, uint32_t snd_base, struct ksock_seqs *out)
{
	struct ksock_progress p;
	int err, inq = 0, outq = 0;

	err = queue_seq(sock, RECV_QUEUE, &out->rcv_nxt);
	if (!err)
		err = select_queue(sock, NO_QUEUE);
	if (!err)
		err = ksock_progress(sock, &p);
	if (!err && !p.established)
		err = -ENOTCONN;
	if (!err && (ioctl(sock, SIOCINQ, &inq) || ioctl(sock, SIOCOUTQ, &outq)))
		err = -errno;
	if (err)
		return err;
	out->snd_una = snd_base + p.acked;
	out->write_seq = out->snd_una + (uint32_t)outq;
	out->copied_seq = out->rcv_nxt - (uint32_t)inq;
	return 0;
}

int ksock_rcv_edge(int sock, uint32_t *edge)
{
	struct tcp_repair_window win;
	socklen_t len = sizeof(win);

	if (getsockopt(sock, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, &len))
		return -errno;
	*edge = win.rcv_wup + win.rcv_wnd;
	return 0;
}

static int clamp_window(int sock, uint32_t bytes)
{
	return set_int(sock, IPPROTO_TCP, TCP_WINDOW_CLAMP, (int)bytes);
}

static ssize_t peek(int sock, int queue, struct iovec *iov, int nr_iov)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)nr_iov };
	ssize_t n = select_queue(sock, queue);

	if (n)
		return n;
	n = recvmsg(sock, &msg, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		n = errno == EAGAIN ? 0 : -errno;
	select_queue(sock, NO_QUEUE);
	return n;
}

ssize_t ksock_peek_rcv(int sock, struct iovec *iov, int nr_iov)
{
	return peek(sock, RECV_QUEUE, iov, nr_iov);
}

ssize_t ksock_peek_snd(int sock, void *buf, size_t size, uint32_t *write_seq)
{
	struct iovec iov = { buf, size };
	int err = queue_seq(sock, SEND_QUEUE, write_seq);

	return err ? err : peek(sock, SEND_QUEUE, &iov, 1);
}

struct names {
	struct sockaddr_storage local, peer;
	socklen_t local_len, peer_len;
	struct detour *detour;	/* by which they are connected if need be; closed before */
};

/* From the flow: a socket that was left disconnected knows its peer no more. scope: interface of link-local addresses. */
static void put_name(struct sockaddr_storage *out, socklen_t *len, int domain, const __be32 *addr, __be16 port,
		     int scope)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = addr[3] };

	memcpy(&in6.sin6_addr, addr, sizeof(in6.sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
		in6.sin6_scope_id = (uint32_t)scope;
	*len = domain == AF_INET ? sizeof(in) : sizeof(in6);
	memcpy(out, domain == AF_INET ? (void *)&in : (void *)&in6, *len);
}

static int names_of(int sock, const struct toe_flow *flow, int scope, struct detour *detour, struct names *n)
{
	int domain, err = ksock_get_int(sock, SOL_SOCKET, SO_DOMAIN, &domain);

	memset(n, 0, sizeof(*n));
	n->detour = detour;
	if (err)
		return err;
	put_name(&n->local, &n->local_len, domain, flow->laddr, flow->lport, scope);
	put_name(&n->peer, &n->peer_len, domain, flow->raddr, flow->rport, scope);
	return 0;
}

static int set_seq(int sock, int queue, uint32_t seq)
{
	int err = select_queue(sock, queue);

	return err ? err : set_int(sock, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)seq);
}

/* EINVAL of bind(): still bound. An accepted socket has lost its port, though getsockname() shows it. */
static int bind_connect(int sock, struct names *n)
{
	int err = 0;

	detour_forget(sock);
	if (bind(sock, (const struct sockaddr *)&n->local, n->local_len) && errno != EINVAL)
		err = -errno;
	if (!err && connect(sock, (const struct sockaddr *)&n->peer, n->peer_len))
		err = -errno;
	if (!detour_helps(err))
		return err;
	return detour_connect(n->detour, sock, &n->local, n->local_len, &n->peer, n->peer_len) ? -EHOSTUNREACH : 0;
}

static int disconnect(int sock)
{
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	int soerr;

	if (connect(sock, &unspec, sizeof(unspec)))
		return -errno;
	ksock_get_int(sock, SOL_SOCKET, SO_ERROR, &soerr);	/* tcp_disconnect() left ECONNABORTED */
	return 0;
}

/* Disconnect and connect again in repair mode: nothing goes out. mss: 0 or what TCP_MAXSEG is to say
 * during the connect, else the send MSS would stick at 524. The socket is closed for some 20 us. */
static int reconnect(int sock, struct names *n, uint32_t snd_seq, uint32_t rcv_seq, int mss)
{
	int err = disconnect(sock);

	/* connect() would wait for the first send(), and leave the socket in SYN-SENT; it can be taken back while closed only */
	if (!err)
		set_int(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0);
	if (!err)
		err = set_seq(sock, SEND_QUEUE, snd_seq);
	if (!err)
		err = set_seq(sock, RECV_QUEUE, rcv_seq);
	if (!err)
		err = select_queue(sock, NO_QUEUE);
	if (!err && mss)
		err = set_int(sock, IPPROTO_TCP, TCP_MAXSEG, mss);
	if (!err && mss)
		err = fault_error(4);
	if (!err)
		err = bind_connect(sock, n);
	return err;
}

int ksock_open(const struct toe_flow *flow)
{
	int err, sock = socket(flow->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	if (sock < 0)
		return -errno;
	err = ksock_repair_on(sock);
	if (!err)
		return sock;
	close(sock);
	return err;
}

/* In repair mode: what the peer can take, as it said in the handshake. */
static int mss_clamp(int sock)
{
	return ksock_tcp_int(sock, TCP_MAXSEG);
}

/* As the application set it or autotuning made it. 0: unknown. */
static int window_clamp(int sock)
{
	return ksock_tcp_int(sock, TCP_WINDOW_CLAMP);
}

int ksock_park(int sock, const struct toe_flow *flow, int scope, const struct ksock_seqs *seqs)
{
	struct names names;
	struct detour detour = { 0 };
	struct tcp_repair_opt mss = { OPT_MSS, (__u32)mss_clamp(sock) };
	int clamp = window_clamp(sock), err = names_of(sock, flow, scope, &detour, &names);

	if (!err)
		err = reconnect(sock, &names, seqs->write_seq, seqs->rcv_nxt, 0);
	detour_close(&detour);
	if (!err) {	/* the parked socket keeps them for the upload */
		setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &mss, sizeof(mss));
		if (clamp)
			clamp_window(sock, (uint32_t)clamp);
	}
	if (!err)
		err = set_int(sock, SOL_SOCKET, SO_KEEPALIVE, 0);
	return err;
}

static int restore_options(int sock, const struct min_tcp *min, int mss)
{
	struct tcp_repair_opt opts[4];
	int nr = 0;

	opts[nr++] = (struct tcp_repair_opt){ OPT_MSS, (__u32)mss };
	if (min->opts & TOE_OPT_WSCALE)
		opts[nr++] = (struct tcp_repair_opt){ OPT_WSCALE,
			min->snd_wscale | (__u32)min->rcv_wscale << 16 };
	if (min->opts & TOE_OPT_SACK)
		opts[nr++] = (struct tcp_repair_opt){ OPT_SACK, 0 };
	if (min->opts & TOE_OPT_TS)
		opts[nr++] = (struct tcp_repair_opt){ OPT_TIMESTAMP, 0 };
	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts,
			  (socklen_t)nr * sizeof(opts[0])) ? -errno : 0;
}

/* The value may not go backwards (the peer's PAWS); its lowest bit is a flag of the kernel (6.7). */
static int restore_timestamp(int sock, const struct ksock_image *im)
{
	struct timespec now;
	uint32_t ts;

	if (!(im->min.opts & TOE_OPT_TS))
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ts = ms_later((uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000), im->stamped_ms) + im->min.ts_off;
	return set_int(sock, IPPROTO_TCP, TCP_TIMESTAMP, (int)((ts + 1) & ~1U));
}

/* The connect in repair mode left the kernel's header prediction at "peer's window 0": the first segment that
 * says just that would be taken for one without news, and the socket would send into a closed window. A window one
 * off, and an older SND.WL1, make the acknowledgement that is replayed next (frame_from_peer()) put both right. */
static int restore_window(int sock, const struct min_tcp *min)
{
	struct tcp_repair_window win = {
		.snd_wl1 = min->snd_wl1 - 1,
		.snd_wnd = min->snd_wnd ? min->snd_wnd - 1 : 1,
		.max_window = min->snd_max_wnd > min->snd_wnd ? min->snd_max_wnd : min->snd_wnd,
		.rcv_wnd = min->rcv_adv - min->last_ack,
		.rcv_wup = min->last_ack,
	};

	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) ? -errno : 0;
}

static size_t iov_total(const struct iovec *iov, int nr)
{
	size_t total = 0;

	for (int i = 0; i < nr; i++)
		total += iov[i].iov_len;
	return total;
}

/* Room in a buffer for bytes that were accepted elsewhere. Forcing the size locks autotuning; the
 * lock is put back as it was. */
static void make_room(int sock, int get_opt, int force_opt, size_t bytes)
{
	int size = 0, lock = 0;

	if (!bytes || ksock_get_int(sock, SOL_SOCKET, get_opt, &size) || (size_t)size >= 2 * bytes)
		return;
	ksock_get_int(sock, SOL_SOCKET, SO_BUF_LOCK, &lock);
	set_int(sock, SOL_SOCKET, force_opt, (int)bytes);	/* the kernel doubles it */
	set_int(sock, SOL_SOCKET, SO_BUF_LOCK, lock);
}

/* Into the selected queue, in pieces that get smaller when memory is short. */
static int fill(int sock, const struct iovec *iov, int nr)
{
	for (int i = 0; i < nr; i++) {
		const char *p = iov[i].iov_base;
		size_t left = iov[i].iov_len, piece = 65536;

		while (left) {
			ssize_t n = send(sock, p, left < piece ? left : piece,
					 MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n > 0) {
				p += n;
				left -= (size_t)n;
			} else if ((errno == ENOMEM || errno == EAGAIN) && piece > 1024) {
				piece /= 2;
			} else {
				return -errno;
			}
		}
	}
	return 0;
}

static int restore_queue(int sock, int queue, const struct iovec *iov, int nr)
{
	int err = 0;

	if (!iov_total(iov, nr))
		return 0;
	err = select_queue(sock, queue);
	if (!err)
		err = fill(sock, iov, nr);
	select_queue(sock, NO_QUEUE);
	return err;
}

/* What the peer takes, as the parked socket remembers it, but no less than what was sent. An unknown one takes 536
 * (RFC 9293 3.7.1), and the path's MTU is the kernel's matter. */
static int mss_clamp_of(int sock, const struct min_tcp *min)
{
	int ts = min->opts & TOE_OPT_TS ? 12 : 0, kept = mss_clamp(sock);
	int sent = (min->snd_mss < KSOCK_LEAST_MSS ? MSS_DEFAULT - ts : min->snd_mss) + ts;

	return kept > sent ? kept : sent;
}

uint32_t ksock_tsval(int sock)
{
	return (uint32_t)ksock_tcp_int(sock, TCP_TIMESTAMP);
}

/* The connect lets the window grow from 64 KiB again (rcv_ssthresh). A clamp that moves up takes that along to what
 * was advertised; it ends where it was before the connection was offloaded. */
static void restore_autotuning(int sock, int clamp)
{
	if (!clamp)
		clamp = window_clamp(sock);	/* as the connect derived it from the buffer */
	clamp_window(sock, (uint32_t)clamp / 2);
	clamp_window(sock, (uint32_t)clamp);
}

static int restore_snd_queue(int sock, const struct ksock_image *im)
{
	struct iovec seed = { "", 1 };
	int err = im->seed_rtt ? restore_queue(sock, SEND_QUEUE, &seed, 1) : 0;

	return err ? err : restore_queue(sock, SEND_QUEUE, im->unacked, im->nr_unacked);
}

static int unpark(int sock, struct ksock_image *im)
{
	const struct min_tcp *min = &im->min;
	struct names names;
	int err = names_of(sock, &min->flow, im->scope, &im->detour, &names), mss = 0, clamp = 0, soerr;

	if (!err)
		err = ksock_repair_on(sock);
	if (!err) {
		mss = mss_clamp_of(sock, min);
		clamp = window_clamp(sock);
		err = reconnect(sock, &names, min->snd_una - im->seed_rtt, im->rx_read, mss);
	}
	if (!err)
		err = restore_options(sock, min, mss);
	if (!err)
		err = restore_timestamp(sock, im);
	if (err)
		return err;
	/* the peer may use all of the window that was promised */
	make_room(sock, SO_RCVBUF, SO_RCVBUFFORCE, min->rcv_adv - im->rx_read);
	make_room(sock, SO_SNDBUF, SO_SNDBUFFORCE, iov_total(im->unacked, im->nr_unacked) +
		  iov_total(im->unsent, im->nr_unsent));
	err = restore_queue(sock, RECV_QUEUE, im->unread, im->nr_unread);
	if (!err)
		err = restore_snd_queue(sock, im);
	if (!err)
		err = fault_error(5);
	if (!err)
		err = restore_window(sock, min);
	if (!err)
		err = ksock_hear(sock);
	if (!err)
		err = ksock_repair_off(sock);
	if (err)
		return err;
	set_int(sock, IPPROTO_TCP, TCP_MAXSEG, 0);
	restore_autotuning(sock, clamp);
	if (im->sk_flags & TOE_SK_REUSEADDR)
		set_int(sock, SOL_SOCKET, SO_REUSEADDR, 1);
	if (im->sk_flags & TOE_SK_KEEPALIVE)
		set_int(sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	ksock_get_int(sock, SOL_SOCKET, SO_ERROR, &soerr);
	return 0;
}

int ksock_unpark(int sock, struct ksock_image *im)
{
	int err = unpark(sock, im);

	if (err)
		detour_close(&im->detour);
	return err;
}

void ksock_give_up(int sock)
{
	disconnect(sock);
}

void ksock_abort(int sock)
{
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	struct tcp_info info;

	ksock_hear(sock);
	if (!ksock_info(sock, &info) && info.tcpi_state == TCP_STATE_ESTABLISHED)
		ksock_repair_off(sock);
	connect(sock, &unspec, sizeof(unspec));
	ksock_repair_off(sock);
}

int ksock_send_rest(int sock, const struct ksock_image *im)
{
	int err = fault_error(8);

	return err ? err : fill(sock, im->unsent, im->nr_unsent);
}
