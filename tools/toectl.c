/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "toe/limits.h"
#include "toectl.h"

const char *rundir = TOE_RUNDIR;
bool as_json;

struct command {
	const char *name;
	const char *args;
	const char *text;
	int (*run)(int argc, char **argv);
};
static const struct command commands[];

int usage(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "toectl: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see toectl help\n");
	return EXIT_USAGE;
}

/* ---- JSON ---- */

struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v;
}

int64_t get_int(struct json_object *o, const char *key)
{
	return json_object_get_int64(get(o, key));
}

const char *get_str(struct json_object *o, const char *key)
{
	const char *s = json_object_get_string(get(o, key));

	return s ? s : "";
}

bool get_bool(struct json_object *o, const char *key)
{
	return json_object_get_boolean(get(o, key));
}

/* ---- toed ---- */

static int toed_connect(int type, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", rundir, name) >= (int)sizeof(a.sun_path))
		errno = ENAMETOOLONG;
	else if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -errno;
}

static int toed_send(int sock, struct json_object *req, int fd)
{
	const char *text = json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN);
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(int))];
	} ctl = { 0 };
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		ctl.hdr.cmsg_level = SOL_SOCKET;
		ctl.hdr.cmsg_type = SCM_RIGHTS;
		ctl.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&ctl.hdr), &fd, sizeof(fd));
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_LEN(sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static struct json_object *toed_receive(int sock)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *reply = NULL;
	static char buf[65536];
	ssize_t n;

	do {
		n = read(sock, buf, sizeof(buf));
		if (n > 0)
			reply = json_tokener_parse_ex(tok, buf, (int)n);
	} while (!reply && n > 0 && json_tokener_get_error(tok) == json_tokener_continue);
	json_tokener_free(tok);
	return reply;
}

bool toed_alive(void)
{
	int sock = toed_connect(SOCK_SEQPACKET, "app.sock");	/* open to everybody */

	if (sock < 0)
		return false;
	close(sock);
	return true;
}

static struct json_object *failed(int err, const char *fmt, const char *arg)
{
	struct json_object *o = json_object_new_object();
	char text[256];

	snprintf(text, sizeof(text), fmt, arg, strerror(-err));
	json_object_object_add(o, "ok", json_object_new_boolean(false));
	json_object_object_add(o, "errno", json_object_new_int(-err));
	json_object_object_add(o, "error", json_object_new_string(text));
	return o;
}

struct json_object *toed_ask(struct json_object *req, int fd, int *status)
{
	struct json_object *reply = NULL;
	int sock = toed_connect(SOCK_STREAM, "ctl.sock");

	*status = EXIT_NO_TOED;
	if (sock == -EACCES) {
		*status = EXIT_REFUSED;
		reply = failed(sock, "not allowed to talk to toed (%s/ctl.sock); be root", rundir);
	} else if (sock < 0) {
		reply = failed(sock, "toed is not running (%s/ctl.sock: %s)", rundir);
	} else {
		if (!toed_send(sock, req, fd))
			reply = toed_receive(sock);
		if (reply)
			*status = get_bool(reply, "ok") ? EXIT_OK : EXIT_REFUSED;
		else
			reply = failed(-ECONNRESET, "toed went away (%s/ctl.sock)", rundir);
		close(sock);
	}
	json_object_put(req);
	return reply;
}

/* Ask, and print: the reply itself with --json, else an error or what show makes of it. */
static int ask_and_show(struct json_object *req, int fd, void (*show)(struct json_object *reply))
{
	int ret;
	struct json_object *reply = toed_ask(req, fd, &ret);

	if (ret != EXIT_OK)
		fprintf(stderr, "toectl: %s\n", get_str(reply, "error"));
	if (as_json)
		printf("%s\n", json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PRETTY |
				JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (ret == EXIT_OK && show)
		show(reply);
	if (ret == EXIT_OK && get_int(reply, "refused") && !get_int(reply, "moved"))
		ret = EXIT_REFUSED;
	json_object_put(reply);
	return ret;
}

static struct json_object *request(const char *cmd)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "cmd", json_object_new_string(cmd));
	return o;
}

/* ---- commands ---- */

static int parse_number(const char *text, const char *what, struct json_object *req)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 1)
		return usage("'%s' is not a number for --%s", text, what);
	json_object_object_add(req, what, json_object_new_int64(n));
	return 0;
}

struct option {
	const char *name;	/* in the request: without the dashes */
	const char *arg;	/* NULL: none */
	const char *text;
	bool number;
};

static const struct option select_options[] = {
	{ "--addr", "A", "either end has this address", false },
	{ "--port", "P", "either end has this port", true },
	{ "--pid", "N", "of this process", true },
	{ "--all", NULL, "every connection", false },
	{ NULL, NULL, NULL, false },
};

static const struct option *find_option(const char *name)
{
	const struct option *o;

	for (o = select_options; o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

static int take_option(const struct option *o, const char *value, struct json_object *req)
{
	const char *key = o->name + 2;

	if (o->arg && !value)
		return usage("%s needs a value", o->name);
	if (json_object_object_get(req, key))
		return usage("%s is given twice", o->name);
	if (o->number)
		return parse_number(value, key, req);
	json_object_object_add(req, key, o->arg ? json_object_new_string(value) : json_object_new_boolean(true));
	return 0;
}

/* ID and options: any of them, all must fit. */
static int parse_select(int argc, char **argv, struct json_object *req)
{
	const struct option *o;
	int i, err = 0;

	for (i = 1; i < argc && !err; i++) {
		if (argv[i][0] != '-') {
			if (json_object_object_get(req, "id"))
				return usage("'%s': one ID at a time", argv[i]);
			json_object_object_add(req, "id", json_object_new_string(argv[i]));
			continue;
		}
		o = find_option(argv[i]);
		if (!o)
			return usage("unknown option '%s'", argv[i]);
		err = take_option(o, i + 1 < argc ? argv[i + 1] : NULL, req);
		i += o->arg != NULL;
	}
	return err;
}

static int select_and_ask(int argc, char **argv, bool needed, void (*show)(struct json_object *reply))
{
	struct json_object *req = request(argv[0]);

	if (needed && argc < 2) {
		json_object_put(req);
		return usage("%s: which connections?", argv[0]);
	}
	if (parse_select(argc, argv, req)) {
		json_object_put(req);
		return EXIT_USAGE;
	}
	return ask_and_show(req, -1, show);
}

static int cmd_list(int argc, char **argv)
{
	return select_and_ask(argc, argv, false, show_list);
}

static int cmd_show(int argc, char **argv)
{
	return select_and_ask(argc, argv, true, show_entry);
}

static void show_offloaded(struct json_object *reply)
{
	show_moves(reply, "offloaded");
}

static void show_uploaded(struct json_object *reply)
{
	show_moves(reply, "uploaded");
}

static int cmd_offload(int argc, char **argv)
{
	return select_and_ask(argc, argv, true, show_offloaded);
}

static int cmd_upload(int argc, char **argv)
{
	return select_and_ask(argc, argv, true, show_uploaded);
}

static int no_args(int argc, char **argv)
{
	return argc > 1 ? usage("%s takes no arguments", argv[0]) : 0;
}

static int cmd_stats(int argc, char **argv)
{
	return no_args(argc, argv) ? EXIT_USAGE : ask_and_show(request("stats"), -1, show_stats);
}

static int cmd_features(int argc, char **argv)
{
	return no_args(argc, argv) ? EXIT_USAGE : ask_and_show(request("features"), -1, show_features);
}

/* The interface is one of the namespace that toectl runs in. */
static int cmd_attach(int argc, char **argv)
{
	struct json_object *req = request(argv[0]);
	const char *dev = NULL;
	int i, fd, ret;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--generic") && !strcmp(argv[0], "attach"))
			json_object_object_add(req, "generic", json_object_new_boolean(true));
		else if (argv[i][0] == '-' || dev)
			break;
		else
			dev = argv[i];
	}
	if (i < argc || !dev) {
		json_object_put(req);
		return usage("%s: one interface", argv[0]);
	}
	json_object_object_add(req, "dev", json_object_new_string(dev));
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ret = ask_and_show(req, fd, NULL);
	close(fd);
	return ret;
}

static int cmd_version(int argc, char **argv)
{
	if (no_args(argc, argv))
		return EXIT_USAGE;
	printf(as_json ? "{ \"ok\": true, \"version\": \"%s\" }\n" : "toectl %s\n", TOE_VERSION);
	return EXIT_OK;
}

static const struct option global_options[] = {
	{ "--json", NULL, "print toed's reply as JSON, errors included; also behind the command", false },
	{ "--rundir", "DIR", "of the toed to talk to; default: $TOE_RUNDIR, else " TOE_RUNDIR, false },
	{ "--help", NULL, "this text; also behind the command", false },
	{ "--version", NULL, "print the version", false },
	{ NULL, NULL, NULL, false },
};

static void print_options(const struct option *o)
{
	char name[64];

	for (; o->name; o++) {
		snprintf(name, sizeof(name), "%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		printf("  %-46s %s\n", name, o->text);
	}
}

int cmd_help(int argc, char **argv)
{
	const struct command *c;

	(void)argc;
	(void)argv;
	printf("usage: toectl [OPTION ...] COMMAND ...\n\n");
	for (c = commands; c->name; c++)
		printf("  %-8s %-37s %s\n", c->name, c->args, c->text);
	printf("\nSELECT, of which all must fit:\n  %-46s %s\n", "ID", "N (HW_CONNID) or cN (socket cookie)");
	print_options(select_options);
	printf("\nOPTION:\n");
	print_options(global_options);
	printf("\nExit codes: 0 done, 1 usage, 2 refused, 3 toed is not running.\n");
	return EXIT_OK;
}

static const struct command commands[] = {
	{ "run", "[--require] [--] PROGRAM [ARG ...]", "start PROGRAM with libtoe.so", cmd_run },
	{ "list", "[SELECT]", "connections, their processes and paths", cmd_list },
	{ "show", "SELECT", "all about them", cmd_show },
	{ "offload", "SELECT", "move to the hardware path", cmd_offload },
	{ "upload", "SELECT", "move to the kernel path", cmd_upload },
	{ "stats", "", "counters of the engines and moves", cmd_stats },
	{ "attach", "[--generic] DEV", "run the RX engine on an interface", cmd_attach },
	{ "detach", "DEV", "upload its connections, take the RX engine off", cmd_attach },
	{ "features", "", "what toed needs of this kernel", cmd_features },
	{ "version", "", "print the version", cmd_version },
	{ "help", "", "this text", cmd_help },
	{ NULL, NULL, NULL, NULL },
};

/* Options before the command. Index of the command, or -1. */
static int parse_options(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--json")) {
			as_json = true;
		} else if (!strcmp(argv[i], "--rundir") && i + 1 < argc) {
			rundir = argv[++i];
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			argv[i] = (char *)"help";
			return i;
		} else if (!strcmp(argv[i], "--version")) {
			argv[i] = (char *)"version";
			return i;
		} else {
			usage(strcmp(argv[i], "--rundir") ? "unknown option '%s'" : "%s needs a value", argv[i]);
			return -1;
		}
	}
	if (i < argc)
		return i;
	usage("no command");
	return -1;
}

/* --json and --help may also stand behind the command; run's arguments are its own. */
static int take_common(int argc, char **argv, bool *help)
{
	int i, n = 1;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			as_json = true;
		else if (!strcmp(argv[i], "--help"))
			*help = true;
		else
			argv[n++] = argv[i];
	}
	return argc ? n : 0;
}

int main(int argc, char **argv)
{
	const char *env = getenv("TOE_RUNDIR");
	const struct command *c;
	bool help = false;
	int i;

	if (env && *env)
		rundir = env;
	i = parse_options(argc, argv);
	if (i < 0)
		return EXIT_USAGE;
	argc -= i;
	argv += i;
	for (c = commands; c->name && strcmp(c->name, argv[0]); c++)
		;
	if (!c->name)
		return usage("unknown command '%s'", argv[0]);
	if (c->run != cmd_run)
		argc = take_common(argc, argv, &help);
	return help ? cmd_help(argc, argv) : c->run(argc, argv);
}
