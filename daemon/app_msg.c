/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RUNDIR/app.sock: what applications' libraries ask. Whatever arrives here is hostile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "app_priv.h"
#include "log.h"
#include "loop.h"

#define MAX_CLIENTS	TOE_MAX_APPS

static int listener = -1;
static sd_event_source *listen_source;
static unsigned int nr_clients;

/* fds: up to two descriptors that go with the reply; -1: none. They stay the caller's. */
static int reply(struct app *app, const struct toe_msg *msg, int fd0, int fd1)
{
	int fds[2] = { fd0, fd1 }, nr = fd0 < 0 ? 0 : fd1 < 0 ? 1 : 2;
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(fds))];
	} ctl = { 0 };
	struct iovec iov = { (void *)msg, sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr) {
		ctl.hdr.cmsg_level = SOL_SOCKET;
		ctl.hdr.cmsg_type = SCM_RIGHTS;
		ctl.hdr.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nr);
		memcpy(CMSG_DATA(&ctl.hdr), fds, sizeof(int) * (size_t)nr);
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nr);
	}
	return sendmsg(app->priv->sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The process has been here before a crash of toed: its old table and number, with the new socket.
 * NULL: it has not. Else newcomer is no more. */
static struct app *take_over(struct app *newcomer)
{
	struct app *app = app_adopted(newcomer);

	if (!app)
		return NULL;
	app->priv->sock = newcomer->priv->sock;
	app->priv->sock_source = newcomer->priv->sock_source;
	sd_event_source_set_userdata(app->priv->sock_source, app);
	newcomer->priv->sock = -1;
	newcomer->priv->sock_source = NULL;
	app_destroy(newcomer);
	return app;
}

static int do_hello(struct app *app, struct toe_msg *msg)
{
	struct app *known = NULL;

	if (msg->version != TOE_APP_VERSION) {
		msg->rc = -EPROTONOSUPPORT;
		msg->version = TOE_APP_VERSION;
		return reply(app, msg, -1, -1);
	}
	if (!app->id)
		known = take_over(app);
	if (known) {
		msg->app = (__u16)known->id;
		msg->known = 1;
		reply(known, msg, known->priv->memfd, known->efd);
		return 0;	/* a failure shows as a hang-up */
	}
	msg->rc = app_hello(app);
	msg->app = (__u16)app->id;
	msg->known = 0;
	return msg->rc ? reply(app, msg, -1, -1) : reply(app, msg, app->priv->memfd, app->efd);
}

/* The TAP lives as long as the application holds it: no descriptor stays here. */
static int do_qp(struct app *app, struct toe_msg *msg)
{
	int err, tap = app_qp_open(app, msg);

	msg->rc = tap < 0 ? tap : 0;
	err = reply(app, msg, tap, -1);
	if (tap >= 0)
		close(tap);
	return err;
}

static int do_slab(struct app *app, struct toe_msg *msg)
{
	struct slab *s = app_slab(app, msg->slab);

	msg->rc = s ? 0 : -ENOENT;
	return reply(app, msg, s ? s->fd : -1, -1);
}

static int do_upload(struct app *app, struct toe_msg *msg)
{
	enum toe_why why = msg->why < TOE_NR_WHYS ? msg->why : TOE_WHY_CALL;

	if (why == TOE_WHY_FORK)
		app_claimed();
	msg->rc = conn_msg_upload(app, msg->fd, why);
	return reply(app, msg, -1, -1);
}

/* Pinned first: no offload comes between. Uploaded even if it cannot be pinned: the next program can use it then. */
static int do_pin(struct app *app, struct toe_msg *msg)
{
	int err = app_pin(app, msg->fd);

	if (msg->fd >= 0)
		msg->rc = conn_msg_upload(app, msg->fd, TOE_WHY_FORK);
	if (!msg->rc)
		msg->rc = err;
	return reply(app, msg, -1, -1);
}

static int do_offload(struct app *app, struct toe_msg *msg)
{
	enum toe_why why = TOE_WHY_NEW;

	msg->rc = conn_msg_offload(app, msg->fd, &why);
	msg->why = why;
	return reply(app, msg, -1, -1);
}

static int do_option(struct app *app, struct toe_msg *msg)
{
	msg->rc = conn_msg_option(app, msg->fd);
	return reply(app, msg, -1, -1);
}

static int do_info(struct app *app, struct toe_msg *msg)
{
	msg->rc = conn_msg_info(app, msg->fd);
	return reply(app, msg, -1, -1);
}

static int (*const handlers[])(struct app *app, struct toe_msg *msg) = {
	[TOE_MSG_HELLO] = do_hello,
	[TOE_MSG_QP] = do_qp,
	[TOE_MSG_SLAB] = do_slab,
	[TOE_MSG_UPLOAD] = do_upload,
	[TOE_MSG_OFFLOAD] = do_offload,
	[TOE_MSG_PIN] = do_pin,
	[TOE_MSG_OPTION] = do_option,
	[TOE_MSG_INFO] = do_info,
};

/* Nonzero: the client is beyond talking to. */
static int handle(struct app *app, struct toe_msg *msg, ssize_t len)
{
	if (len != sizeof(*msg) || msg->magic != TOE_APP_MAGIC)
		return -EPROTO;
	if (msg->type >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[msg->type])
		return -EPROTO;
	if (msg->type != TOE_MSG_HELLO && !app->id)
		return -EPROTO;
	msg->rc = 0;
	return handlers[msg->type](app, msg);
}

static void drop(struct app *app)
{
	nr_clients -= app->priv->sock >= 0;
	app_destroy(app);
}

/* One message a turn, so that no client keeps others waiting. */
static int on_message(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct app *app = arg;
	struct toe_msg msg;
	ssize_t n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

	(void)source;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || handle(app, &msg, n))
		drop(app);
	return 0;
}

/* The process is gone, though a child of it may still hold the socket. */
static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	drop(arg);
	return 0;
}

int app_watch(struct app *app)
{
	int err = 0;

	if (app->priv->sock >= 0)
		err = sd_event_add_io(loop, &app->priv->sock_source, app->priv->sock, EPOLLIN,
				      on_message, app);
	if (err >= 0)
		err = sd_event_add_io(loop, &app->priv->pid_source, app->pidfd, EPOLLIN, on_exit_of, app);
	return err < 0 ? err : 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	int sock = loop_accept(fd);

	(void)source;
	(void)events;
	(void)arg;
	if (sock < 0)
		return 0;
	if (nr_clients >= MAX_CLIENTS) {
		close(sock);
		return 0;
	}
	if (app_new(sock))
		nr_clients++;
	return 0;
}

int app_listen(void)
{
	int err;

	listener = loop_listen("app.sock", SOCK_SEQPACKET, 0666, 128);
	if (listener < 0)
		return listener;
	err = sd_event_add_io(loop, &listen_source, listener, EPOLLIN, on_connect, NULL);
	return err < 0 ? err : 0;
}

void app_unlisten(void)
{
	listen_source = sd_event_source_disable_unref(listen_source);
	if (listener < 0)
		return;
	loop_unlisten(listener, "app.sock");
	listener = -1;
}
