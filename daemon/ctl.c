/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "ctl.h"
#include "log.h"
#include "loop.h"
#include "toe/maps.h"

#define MAX_CLIENTS	64
#define MAX_REQUEST	65536
#define READ_SIZE	4096

struct ctl_client {
	struct ctl_client *next;
	int fd;
	int passed_fd;
	sd_event_source *source;
	struct json_tokener *tok;
	char in[READ_SIZE];
	size_t in_len, in_off;		/* read, and of that parsed */
	size_t req_len;			/* of the request being parsed */
	char *out;
	size_t out_len, out_off;
	bool last;			/* close after the reply */
	bool busy;			/* a command goes on */
	void *job;
	void (*cancel)(void *job);
	ctl_piece_fn *piece;		/* of a reply that is made piece by piece */
};

static struct ctl_client *clients;
static unsigned int nr_clients;
static int listener = -1;
static sd_event_source *listen_source;

/* ---- JSON ---- */

struct json_object *ctl_ok(void)
{
	struct json_object *o = json_object_new_object();

	ctl_add_bool(o, "ok", true);
	return o;
}

struct json_object *ctl_error(int err, const char *fmt, ...)
{
	struct json_object *o = json_object_new_object();
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctl_add_bool(o, "ok", false);
	ctl_add_int(o, "errno", err < 0 ? -err : err);
	ctl_add_str(o, "error", text);
	return o;
}

void ctl_add_int(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

void ctl_add_str(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

void ctl_add_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

const char *ctl_why(unsigned int why)
{
	static const char *const whys[] = {
#define X(sym, text) text,
		TOE_WHYS(X)
#undef X
	};

	return why < TOE_NR_WHYS ? whys[why] : "?";
}

static struct json_object *member(struct json_object *req, const char *key, enum json_type type)
{
	struct json_object *v;

	if (!json_object_object_get_ex(req, key, &v) || !json_object_is_type(v, type))
		return NULL;
	return v;
}

bool ctl_str(struct json_object *req, const char *key, const char **out)
{
	struct json_object *v = member(req, key, json_type_string);

	if (v)
		*out = json_object_get_string(v);
	return v;
}

bool ctl_int(struct json_object *req, const char *key, int64_t *out)
{
	struct json_object *v = member(req, key, json_type_int);

	if (v)
		*out = json_object_get_int64(v);
	return v;
}

bool ctl_bool(struct json_object *req, const char *key)
{
	struct json_object *v = member(req, key, json_type_boolean);

	return v && json_object_get_boolean(v);
}

/* ---- clients ---- */

static void close_passed(struct ctl_client *c)
{
	if (c->passed_fd >= 0)
		close(c->passed_fd);
	c->passed_fd = -1;
}

static void drop(struct ctl_client *c)
{
	struct ctl_client **p;

	for (p = &clients; *p && *p != c; p = &(*p)->next)
		;
	if (*p)
		*p = c->next;
	if (c->job)
		c->cancel(c->job);
	sd_event_source_disable_unref(c->source);
	close_passed(c);
	json_tokener_free(c->tok);
	free(c->out);
	close(c->fd);
	free(c);
	nr_clients--;
}

/* While a reply is on its way or a command goes on, no further request is read. Hang-ups are
 * always reported. */
static void watch(struct ctl_client *c)
{
	uint32_t events = c->out ? EPOLLOUT : c->busy ? 0 : EPOLLIN;

	sd_event_source_set_io_events(c->source, events);
}

static void end_stream(struct ctl_client *c)
{
	c->cancel(c->job);
	c->job = NULL;
	c->piece = NULL;
	c->busy = false;
	close_passed(c);
}

/* False: a reply cannot be completed. */
static bool next_piece(struct ctl_client *c)
{
	bool ok = c->piece(c->job, &c->out, &c->out_len);

	c->out_off = 0;
	if (!c->out)
		end_stream(c);
	return ok;
}

/* False: the client is gone. */
static bool flush(struct ctl_client *c)
{
	while (c->out && c->out_off < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0)
			return false;
		c->out_off += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	return c->piece ? next_piece(c) : !c->last;
}

static void queue_reply(struct ctl_client *c, struct json_object *reply)
{
	const char *text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN);
	size_t len = strlen(text);

	c->busy = false;
	close_passed(c);
	c->out = malloc(len + 1);
	if (c->out) {
		memcpy(c->out, text, len);
		c->out[len] = '\n';
	}
	c->out_len = c->out ? len + 1 : 0;
	c->out_off = 0;
	c->last |= !c->out;
	json_object_put(reply);
}

void ctl_reply(struct ctl_client *c, struct json_object *reply)
{
	c->job = NULL;
	queue_reply(c, reply);
	watch(c);
}

int ctl_passed_fd(const struct ctl_client *c)
{
	return c->passed_fd;
}

void ctl_set_job(struct ctl_client *c, void *job, void (*cancel)(void *job))
{
	c->job = job;
	c->cancel = cancel;
}

void ctl_stream(struct ctl_client *c, void *job, ctl_piece_fn *piece, void (*end)(void *job))
{
	ctl_set_job(c, job, end);
	c->piece = piece;
}

/* ---- requests ---- */

static struct json_object *run(struct ctl_client *c, struct json_object *req)
{
	const struct ctl_cmd *cmd;
	const char *name;

	if (!json_object_is_type(req, json_type_object) || !ctl_str(req, "cmd", &name))
		return ctl_error(EINVAL, "a request is an object with a member \"cmd\"");
	for (cmd = ctl_cmds; cmd->name; cmd++)
		if (!strcmp(cmd->name, name))
			return cmd->run(c, req);
	return ctl_error(ENOSYS, "unknown command '%.64s'", name);
}

static void refuse(struct ctl_client *c, const char *why)
{
	c->last = true;
	queue_reply(c, ctl_error(EPROTO, "%s", why));
}

/* Parse on in what was read; true: a request was found or refused, a reply is due. */
static bool parse(struct ctl_client *c)
{
	struct json_object *req, *reply;
	size_t n = c->in_len - c->in_off;

	req = json_tokener_parse_ex(c->tok, c->in + c->in_off, (int)n);
	if (!req && json_tokener_get_error(c->tok) == json_tokener_continue) {
		c->in_off = c->in_len;
		c->req_len += n;
		if (c->req_len > MAX_REQUEST)
			refuse(c, "request too long");
		return c->req_len > MAX_REQUEST;
	}
	if (json_tokener_get_error(c->tok) != json_tokener_success) {
		refuse(c, "not JSON");
		return true;
	}
	c->in_off += json_tokener_get_parse_end(c->tok);
	c->req_len = 0;
	json_tokener_reset(c->tok);
	c->busy = true;
	reply = run(c, req);
	json_object_put(req);
	if (reply)
		queue_reply(c, reply);
	return true;
}

static void take_fd(struct ctl_client *c, struct msghdr *m)
{
	struct cmsghdr *h;
	int fd;

	for (h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));	/* room for one: the kernel closed others */
		close_passed(c);
		c->passed_fd = fd;
	}
}

static ssize_t fill(struct ctl_client *c)
{
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = { c->in, sizeof(c->in) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
			    .msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n > 0) {
		c->in_len = (size_t)n;
		c->in_off = 0;
		take_fd(c, &m);
	}
	return n;
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct ctl_client *c = arg;
	ssize_t n;

	(void)source;
	(void)fd;
	if (events & (EPOLLERR | EPOLLHUP)) {
		drop(c);
		return 0;
	}
	if (events & EPOLLIN && c->in_off == c->in_len) {
		n = fill(c);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			drop(c);
			return 0;
		}
	}
	/* one request a turn; what is left in the buffer has its turn when its reply is out */
	if (!c->out && !c->busy && c->in_off < c->in_len)
		parse(c);
	if (!flush(c)) {
		drop(c);
		return 0;
	}
	watch(c);
	if (!c->out && !c->busy && c->in_off < c->in_len)
		sd_event_source_set_io_events(c->source, EPOLLOUT);	/* come again */
	return 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct ctl_client *c = NULL;
	int sock = loop_accept(fd);

	(void)source;
	(void)events;
	(void)arg;
	if (sock < 0)
		return 0;
	if (nr_clients < MAX_CLIENTS)
		c = calloc(1, sizeof(*c));
	if (c)
		c->tok = json_tokener_new();
	if (!c || !c->tok || sd_event_add_io(loop, &c->source, sock, EPOLLIN, on_client, c) < 0) {
		if (c && c->tok)
			json_tokener_free(c->tok);
		free(c);
		close(sock);
		return 0;
	}
	c->fd = sock;
	c->passed_fd = -1;
	c->next = clients;
	clients = c;
	nr_clients++;
	return 0;
}

int ctl_init(void)
{
	int err;

	listener = loop_listen("ctl.sock", SOCK_STREAM, 0600, 16);
	if (listener < 0)
		return listener;
	err = sd_event_add_io(loop, &listen_source, listener, EPOLLIN, on_connect, NULL);
	return err < 0 ? err : 0;
}

void ctl_exit(void)
{
	while (clients)
		drop(clients);
	listen_source = sd_event_source_disable_unref(listen_source);
	if (listener < 0)
		return;
	loop_unlisten(listener, "ctl.sock");
	listener = -1;
}
