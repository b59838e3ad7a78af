/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tcpgen.h"

enum { EXIT_USAGE = 1, EXIT_CANNOT = 2, EXIT_WRONG = 3 };	/* as in the man page */

struct gen_opt opt = {
	.nr_conns = 1, .depth = 1, .sample = 64, .timeout_ms = 200, .give_up_ms = 10000, .warm_ms = 300, .seconds = 5,
};
volatile int interrupted;

const char *argp_program_version = "tcpgen " TOE_VERSION;

enum { KEY_JSON = 256, KEY_CONTROL, KEY_GENERIC, KEY_WARM, KEY_GIVE_UP, KEY_ANY };
static const struct argp_option options[] = {
	{ "connections", 'c', "N", 0, "Connections (1)", 0 },
	{ "depth", 'd', "N", 0, "Requests outstanding on each, at most 64 (1)", 0 },
	{ "time", 't', "SECONDS", 0, "How long to measure (5)", 0 },
	{ "request", 'q', "TEXT", 0, "The request; \\n \\r \\t \\0 \\\\ \\xHH as in C", 0 },
	{ "file", 'f', "FILE", 0, "The request is what FILE holds", 0 },
	{ "reply-length", 'l', "BYTES", 0, "Length of the reply (learnt)", 0 },
	{ "interface", 'i', "DEV", 0, "Interface (the one with the local address)", 0 },
	{ "sample", 's', "N", 0, "Compare one in N segments byte by byte, a power of two (64)", 0 },
	{ "any-content", KEY_ANY, NULL, 0, "Check the length of replies only", 0 },
	{ "timeout", 'T', "MS", 0, "Send a request again after so long (200)", 0 },
	{ "give-up", KEY_GIVE_UP, "MS", 0, "Give a connection up that makes no progress for so long (10000)", 0 },
	{ "warm-up", 'w', "MS", 0, "Run for so long before measuring (300)", 0 },
	{ "json", KEY_JSON, NULL, 0, "Report as one line of JSON", 0 },
	{ "control", KEY_CONTROL, NULL, 0, "Read \"measure SECONDS\" and \"quit\" from standard input", 0 },
	{ "generic", KEY_GENERIC, NULL, 0, "XDP without the driver's help", 0 },
	{ 0 }
};

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void complain(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "tcpgen: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static uint32_t number(struct argp_state *state, const char *what, const char *arg, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 10);

	if (!*arg || *end || v < min || v > max)
		argp_error(state, "%s is a number from %u to %u, not \"%s\"", what, min, max, arg);
	return (uint32_t)v;
}

static double seconds(const char *arg)
{
	char *end;
	double v = strtod(arg, &end);

	return *arg && !*end && v > 0 && v < 1e6 ? v : 0;
}

static error_t parse_text(int key, char *arg, struct argp_state *state)
{
	if (opt.request_len)
		argp_error(state, "there is one request: -q or -f, once");
	if (key == 'q' ? text_parse(arg) : text_read(arg))
		exit(EXIT_USAGE);
	return 0;
}

static error_t parse_limits(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's':
		opt.sample = number(state, "sample", arg, 1, 1 << 30);
		if (opt.sample & (opt.sample - 1))
			argp_error(state, "sample is a power of two");
		return 0;
	case 'T':
		opt.timeout_ms = number(state, "timeout", arg, 1, 60000);
		return 0;
	case 'w':
		opt.warm_ms = number(state, "warm-up", arg, 0, 600000);
		return 0;
	case KEY_GIVE_UP:
		opt.give_up_ms = number(state, "give-up", arg, 1, 3600000);
		return 0;
	case 'l':
		opt.reply_len = number(state, "reply length", arg, 1, GEN_MAX_REPLY);
		return 0;
	case 't':
		opt.seconds = seconds(arg);
		if (opt.seconds <= 0)
			argp_error(state, "\"%s\" is no time", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'c':
		opt.nr_conns = number(state, "connections", arg, 1, 60000);
		return 0;
	case 'd':
		opt.depth = number(state, "depth", arg, 1, GEN_MAX_DEPTH);
		return 0;
	case 'q':
	case 'f':
		return parse_text(key, arg, state);
	case 'i':
		if (strlen(arg) >= sizeof(opt.dev))
			argp_error(state, "%s is no interface", arg);
		strcpy(opt.dev, arg);
		return 0;
	case KEY_ANY:
		opt.any_content = true;
		return 0;
	case KEY_CONTROL:
		opt.control = opt.json = true;
		return 0;
	case KEY_JSON:
		opt.json = true;
		return 0;
	case KEY_GENERIC:
		opt.generic = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_usage(state);
		*(state->arg_num ? &opt.service : &opt.host) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!opt.service)
			argp_usage(state);
		if (!opt.request_len)
			argp_error(state, "no request; -q or -f");
		return 0;
	default:
		return parse_limits(key, arg, state);
	}
}

static const struct argp argp = {
	options, parse_option, "ADDRESS PORT",
	"Drive a TCP server in a closed loop from an XDP program, which answers each complete reply with the next request.",
	NULL, NULL, NULL
};

/* 0, or the exit status. */
static int measure(struct gen *g, double secs)
{
	struct gen_result r = { 0 };

	if (run_measure(g, secs, opt.warm_ms, &r))
		return EXIT_CANNOT;
	report(&r);
	return report_clean(&r) ? 0 : EXIT_WRONG;
}

static int obey(struct gen *g)
{
	char line[128];
	int rc = 0, one;

	printf("{\"ready\":%u}\n", opt.nr_conns);
	fflush(stdout);
	while (!interrupted && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "quit"))
			break;
		if (strncmp(line, "measure ", 8) || seconds(line + 8) <= 0) {
			complain("not understood: %s", line);
			continue;
		}
		one = measure(g, seconds(line + 8));
		rc = one > rc ? one : rc;
	}
	return rc;
}

static int run(struct gen *g)
{
	int rc = EXIT_CANNOT;

	if (!bpf_start(g) && !sock_open_all(g) && !sock_park_all(g)) {
		if (frame_open())
			complain("%s: cannot send frames: %s", opt.dev, strerror(errno));
		else
			rc = opt.control ? obey(g) : measure(g, opt.seconds);
	}
	sock_give_back_all(g);
	usleep(20000);		/* the answers to the last FINs; then the program goes */
	frame_close();
	bpf_end();
	return rc;
}

static int make_room(struct gen *g)
{
	g->socks = malloc(opt.nr_conns * sizeof(*g->socks));
	g->resent_ns = calloc(opt.nr_conns, sizeof(*g->resent_ns));
	g->given_up = calloc(opt.nr_conns, sizeof(*g->given_up));
	if (!g->socks || !g->resent_ns || !g->given_up)
		return -ENOMEM;
	memset(g->socks, 0xff, opt.nr_conns * sizeof(*g->socks));
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct gen g = { 0 };
	int rc = EXIT_CANNOT;

	argp_err_exit_status = EXIT_USAGE;
	opt.text = calloc(1, sizeof(*opt.text));
	if (!opt.text)
		return EXIT_CANNOT;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (geteuid())
		complain("needs root");
	else if (!sock_learn() && !make_room(&g)) {
		text_repeat(opt.text->request, sizeof(opt.text->request), opt.request_len);
		text_repeat(opt.text->reply, sizeof(opt.text->reply), opt.reply_len);
		rc = run(&g);
	}
	free(g.socks);
	free(g.resent_ns);
	free(g.given_up);
	free(opt.text);
	return rc;
}
