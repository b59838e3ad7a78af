/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options and ioctls: the parked socket answers most of them as it is. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stddef.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include "batch.h"
#include "daemon.h"
#include "epset.h"
#include "io.h"
#include "real.h"
#include "sonode.h"
#include "tx.h"
#include "user.h"

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

static bool is_timestamp(int opt)
{
	return opt == SO_TIMESTAMP_OLD || opt == SO_TIMESTAMPNS_OLD || opt == SO_TIMESTAMPING_OLD ||
	       opt == SO_TIMESTAMP_NEW || opt == SO_TIMESTAMPNS_NEW || opt == SO_TIMESTAMPING_NEW;
}

/* What a parked socket would do wrong, or what the engines do not do. */
static bool needs_kernel(int level, int opt)
{
	if (level == IPPROTO_TCP)
		return opt == TCP_REPAIR || opt == TCP_REPAIR_QUEUE || opt == TCP_QUEUE_SEQ ||
		       opt == TCP_REPAIR_OPTIONS || opt == TCP_REPAIR_WINDOW || opt == TCP_TIMESTAMP ||
		       opt == TCP_ULP || opt == TCP_MD5SIG || opt == TCP_MD5SIG_EXT ||
		       opt == TCP_FASTOPEN_CONNECT || opt == TCP_CONGESTION ||
		       opt == TCP_ZEROCOPY_RECEIVE || opt == TCP_MAXSEG || opt == TCP_WINDOW_CLAMP;
	if (level == SOL_SOCKET)
		return opt == SO_ATTACH_FILTER || opt == SO_ATTACH_BPF || opt == SO_DETACH_FILTER ||
		       opt == SO_LOCK_FILTER || opt == SO_ZEROCOPY || is_timestamp(opt) || opt == SO_PEEK_OFF ||
		       opt == SO_MARK || opt == SO_BINDTODEVICE ||
		       opt == SO_MAX_PACING_RATE || opt == SO_KEEPALIVE || opt == SO_REUSEADDR;
	return (level == IPPROTO_IP && (opt == IP_OPTIONS || opt == IP_MINTTL)) ||
	       (level == IPPROTO_IPV6 && opt == IPV6_MINHOPCOUNT);
}

/* The parked socket takes it; the engines have a copy that toed renews. */
static bool copied(int level, int opt)
{
	if (level == SOL_SOCKET)
		return opt == SO_RCVBUF || opt == SO_RCVBUFFORCE || opt == SO_BUF_LOCK;
	return (level == IPPROTO_IP && (opt == IP_TOS || opt == IP_TTL)) ||
	       (level == IPPROTO_IPV6 && (opt == IPV6_TCLASS || opt == IPV6_UNICAST_HOPS));
}

static bool flushes(int level, int opt)
{
	return level == IPPROTO_TCP && (opt == TCP_CORK || opt == TCP_NODELAY);
}

/* One of those that struct sonode remembers. */
static bool cached(int level, int opt)
{
	return flushes(level, opt) || (level == IPPROTO_TCP && (opt == TCP_NOTSENT_LOWAT || opt == TCP_INQ)) ||
	       (level == SOL_SOCKET && (opt == SO_RCVLOWAT || opt == SO_SNDBUF || opt == SO_SNDBUFFORCE ||
	       opt == SO_BUF_LOCK ||
	       opt == SO_RCVTIMEO || opt == SO_SNDTIMEO || opt == SO_RCVTIMEO_NEW ||
	       opt == SO_SNDTIMEO_NEW));
}

int toe_setsockopt(int fd, int level, int opt, const void *val, socklen_t len)
{
	struct sonode *sn = sonode_get(fd);
	struct toe_sonode *sh;
	uint32_t word;
	int rc, on = 0;

	if (!sn)
		return real.setsockopt(fd, level, opt, val, len);
	if (needs_kernel(level, opt))
		return ON_KERNEL(int, sn, TOE_WHY_SOCKOPT, real.setsockopt(fd, level, opt, val, len));
	batch_end();
	word = sonode_enter(sn, &sh);
	rc = real.setsockopt(fd, level, opt, val, len);
	if (word_path(word) == TOE_PATH_KERNEL)
		users_leave(sh, word);
	if (cached(level, opt))
		sonode_opts_stale(sn);
	if (!rc && copied(level, opt) && word_path(word) == TOE_PATH_HW && daemon_option(fd))
		sonode_upload(sn, TOE_WHY_SOCKOPT);
	if (!rc && level == SOL_SOCKET && opt == SO_RCVLOWAT)	/* as tcp_set_rcvlowat(): what is there may be enough now */
		epset_events(&sn, 1, NULL);
	if (rc || level != IPPROTO_TCP || len < sizeof(on))
		return rc;
	memcpy(&on, val, sizeof(on));
	if (opt == TCP_QUICKACK && on)
		tx_quickack(sn);
	if (flushes(level, opt) && (opt == TCP_CORK) != !!on)	/* uncorked, or Nagle's algorithm turned off */
		tx_flush(sn);
	return 0;
}

union info {			/* the kernel's struct may be longer than the one that we know */
	struct tcp_info ti;
	struct {
		char known[offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof(__u32)];
		__u32 rcv_wnd;	/* Linux 6.2 */
	};
	char room[512];
};

/* What the daemon tells. */
static void daemon_info(const struct ring *r, union info *info)
{
	const struct toe_info *o = (const void *)((const char *)r->ctl + TOE_INFO_OFF);
	struct tcp_info *ti = &info->ti;

	ti->tcpi_ca_state = ld(&o->ca_state);
	ti->tcpi_retransmits = ld(&o->retransmits);
	ti->tcpi_probes = ld(&o->probes);
	ti->tcpi_backoff = ld(&o->backoff);
	ti->tcpi_options = ld(&o->options);
	ti->tcpi_snd_wscale = ld(&o->snd_wscale);
	ti->tcpi_rcv_wscale = ld(&o->rcv_wscale);
	ti->tcpi_ato = ld(&o->ato);
	ti->tcpi_rcv_mss = ld(&o->rcv_mss);
	ti->tcpi_sacked = ld(&o->sacked);
	ti->tcpi_lost = ld(&o->lost);
	ti->tcpi_retrans = ld(&o->retrans);
	ti->tcpi_last_data_sent = ld(&o->last_data_sent);
	ti->tcpi_last_data_recv = ti->tcpi_last_ack_recv = ld(&o->last_recv);
	ti->tcpi_pmtu = ld(&o->pmtu);
	ti->tcpi_min_rtt = ld(&o->min_rtt);
	ti->tcpi_bytes_acked = ld(&o->bytes_acked);
	ti->tcpi_bytes_received = ld(&o->bytes_received);
	ti->tcpi_bytes_sent = ld(&o->bytes_sent);
	ti->tcpi_bytes_retrans = ld(&o->bytes_retrans);
	ti->tcpi_segs_out += ld(&o->segs_out);
	ti->tcpi_segs_in += ld(&o->segs_in);
	ti->tcpi_data_segs_out += ld(&o->data_segs_out);
	ti->tcpi_total_retrans = ld(&o->total_retrans);
	ti->tcpi_rcv_ssthresh = info->rcv_wnd = ld(&o->rcv_wnd);
}

/* The kernel's answer about the parked socket, with what the engines know better. */
static void tcp_info(struct sonode *sn, union info *info)
{
	struct tcp_info *ti = &info->ti;
	uint32_t word = sonode_word(sn), una, nxt, filled;
	struct ring r;

	if (word_path(word) != TOE_PATH_HW || sonode_ring(sn, word, &r))
		return;
	if (!daemon_tell(sn->fd) && !ring_stale(&r))
		daemon_info(&r, info);
	una = ld(&r.ctl->snd_una);
	nxt = ld(&r.ctl->snd_nxt);
	pos_load(&r.ctl->tx_filled, &filled);
	ti->tcpi_rtt = ld(&r.ctl->srtt_us);
	ti->tcpi_rttvar = ld(&r.ctl->rttvar_us);
	ti->tcpi_rto = ti->tcpi_rtt + 4 * ti->tcpi_rttvar;
	if (ti->tcpi_rto < 200000)
		ti->tcpi_rto = 200000;
	ti->tcpi_snd_mss = r.mss;
	ti->tcpi_snd_cwnd = ld(&r.ctl->cwnd) / r.mss;
	ti->tcpi_snd_ssthresh = ld(&r.ctl->ssthresh) / r.mss;
	if (ld(&r.ctl->ssthresh) >= 0x7fffffff)
		ti->tcpi_snd_ssthresh = 0x7fffffff;
	ti->tcpi_unacked = (nxt - una + r.mss - 1) / r.mss;
	ti->tcpi_notsent_bytes = filled - nxt;
	ti->tcpi_snd_wnd = ld(&r.ctl->snd_wnd);
	ti->tcpi_delivered = ti->tcpi_data_segs_out > ti->tcpi_unacked ? ti->tcpi_data_segs_out - ti->tcpi_unacked : 0;
	if (ti->tcpi_rtt)	/* as tcp_update_pacing_rate(), of cwnd each round trip */
		ti->tcpi_pacing_rate = 1200000ULL * ld(&r.ctl->cwnd) / ti->tcpi_rtt;
}

/* What parking has changed. False: the parked socket knows. */
static bool hidden(struct sonode *sn, int level, int opt, int *val)
{
	uint32_t word = sonode_word(sn);
	const struct toe_sonode *sh = ld_acq(&sn->sh);

	if (word_path(word) != TOE_PATH_HW)
		return false;
	if (level == SOL_SOCKET && opt == SO_KEEPALIVE)
		*val = !!(ld(&sh->sk_flags) & TOE_SK_KEEPALIVE);
	else if (level == SOL_SOCKET && opt == SO_REUSEADDR)
		*val = !!(ld(&sh->sk_flags) & TOE_SK_REUSEADDR);
	else if (level == IPPROTO_TCP && opt == TCP_MAXSEG)
		*val = ld(&sh->mss);
	else
		return false;
	fence_acq();
	return ld(&sh->word) == word;
}

int toe_getsockopt(int fd, int level, int opt, void *val, socklen_t *len)
{
	struct sonode *sn = sonode_get(fd);
	socklen_t room = no_memory(len, sizeof(*len)) ? 0 : *len, got = sizeof(union info);
	union info info = { 0 };
	int v;

	if (!sn || no_memory(val, room))
		return real.getsockopt(fd, level, opt, val, len);
	sonode_settled(sn);	/* in a move the socket is closed for an instant */
	if (room && hidden(sn, level, opt, &v)) {
		*len = room < sizeof(v) ? room : sizeof(v);
		memcpy(val, &v, *len);
		return 0;
	}
	if (level != IPPROTO_TCP || opt != TCP_INFO || !room)
		return real.getsockopt(fd, level, opt, val, len);
	if (real.getsockopt(fd, level, opt, &info, &got) < 0)
		return -1;
	tcp_info(sn, &info);
	*len = room < got ? room : got;
	memcpy(val, &info, *len);
	return 0;
}

/* The parked socket has the names, but not in the instant in which a move takes it apart: asked again if there was one. */
static int name_of(int (*ask)(int fd, struct sockaddr *a, socklen_t *n), int fd, struct sockaddr *a, socklen_t *n)
{
	struct sonode *sn = sonode_get(fd);
	socklen_t room;
	uint32_t word;
	int rc;

	if (!sn || no_memory(n, sizeof(*n)))
		return ask(fd, a, n);
	room = *n;
	do {
		word = sonode_settled(sn);
		*n = room;
		rc = ask(fd, a, n);
	} while (sonode_word(sn) != word);
	return rc;
}

int toe_getpeername(int fd, struct sockaddr *a, socklen_t *n)
{
	return name_of(real.getpeername, fd, a, n);
}

int toe_getsockname(int fd, struct sockaddr *a, socklen_t *n)
{
	return name_of(real.getsockname, fd, a, n);
}

static int hw_count(const struct ring *r, unsigned long req)
{
	uint32_t pos;

	pos_load(req == FIONREAD ? &r->ctl->rx_read : &r->ctl->tx_filled, &pos);
	switch (req) {
	case FIONREAD:
		return ring_avail(r, pos);
	case SIOCOUTQ:
		return pos - ld(&r->ctl->snd_una);
	default:
		return pos - ld(&r->ctl->snd_nxt);
	}
}

/* False: not on the hardware path. Once more if it moved meanwhile: the rings may be another's then. */
static bool count(struct sonode *sn, unsigned long req, int *n)
{
	uint32_t word;
	struct ring r;
	int rc;

	do {
		word = sonode_settled(sn);
		rc = word_path(word) == TOE_PATH_HW ? sonode_ring(sn, word, &r) : -ENOENT;
		if (!rc)
			*n = hw_count(&r, req);
	} while (rc == -ESTALE || (!rc && ring_stale(&r)));
	return !rc;
}

int toe_ioctl(int fd, unsigned long req, void *arg)
{
	struct sonode *sn = sonode_get(fd);
	int rc;

	if (!sn)
		return real.ioctl(fd, req, arg);
	if (!no_memory(arg, sizeof(int)) && (req == FIONREAD || req == SIOCOUTQ || req == SIOCOUTQNSD) &&
	    count(sn, req, arg))
		return 0;
	if (req == FIOASYNC)	/* the kernel sends the signals, of its own socket */
		return ON_KERNEL(int, sn, TOE_WHY_SOCKOPT, real.ioctl(fd, req, arg));
	sonode_settled(sn);	/* in a move the socket is closed for an instant */
	rc = real.ioctl(fd, req, arg);
	if (req == FIONBIO)
		sonode_opts_stale(sn);
	return rc;
}
