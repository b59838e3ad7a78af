/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <json-c/json.h>
#include <stdio.h>
#include "tcpgen.h"

static const struct {
	const char *key, *text;
} names[] = {
#define X(sym, key, text) { #key, text },
	GEN_STATS(X)
#undef X
};

/* The middle of a latency bucket; see bucket() in bpf/tcpgen.bpf.c. */
static double bucket_ns(uint32_t b)
{
	uint32_t shift = b < 2 * GEN_SUB ? 0 : (b >> GEN_SUB_SHIFT) - 1;
	uint32_t sub = b < 2 * GEN_SUB ? b : (b & (GEN_SUB - 1)) + GEN_SUB;

	return ((double)sub + 0.5) * (double)(1ULL << shift);
}

static uint64_t total(const struct gen_stats *s)
{
	uint64_t n = 0;

	for (uint32_t b = 0; b < GEN_BUCKETS; b++)
		n += s->latency[b];
	return n;
}

static double percentile_us(const struct gen_stats *s, double part)
{
	uint64_t n = 0, want = (uint64_t)((double)total(s) * part);

	for (uint32_t b = 0; b < GEN_BUCKETS; b++) {
		n += s->latency[b];
		if (n > want || (n && n == total(s)))
			return bucket_ns(b) / 1000;
	}
	return 0;
}

static double mean_us(const struct gen_stats *s)
{
	uint64_t n = total(s);
	double sum = 0;

	for (uint32_t b = 0; b < GEN_BUCKETS; b++)
		sum += bucket_ns(b) * (double)s->latency[b];
	return n ? sum / (double)n / 1000 : 0;
}

static const struct {
	const char *key;
	double part;
} parts[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 }, { "max", 1 } };
#define NR_PARTS (sizeof(parts) / sizeof(parts[0]))

static double per_second(const struct gen_result *r)
{
	return r->ns ? (double)r->measured.nr[GEN_REPLIES] * 1e9 / (double)r->ns : 0;
}

static struct json_object *real(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", v);
	return json_object_new_double_s(v, text);
}

static struct json_object *histogram(const struct gen_stats *s)
{
	struct json_object *a = json_object_new_array();

	for (uint32_t b = 0; b < GEN_BUCKETS; b++) {
		struct json_object *pair;

		if (!s->latency[b])
			continue;
		pair = json_object_new_array();
		json_object_array_add(pair, real(bucket_ns(b) / 1000));
		json_object_array_add(pair, json_object_new_int64((int64_t)s->latency[b]));
		json_object_array_add(a, pair);
	}
	return a;
}

static void report_json(const struct gen_result *r)
{
	struct json_object *o = json_object_new_object(), *lat = json_object_new_object();

	json_object_object_add(o, "connections", json_object_new_int64(opt.nr_conns));
	json_object_object_add(o, "depth", json_object_new_int64(opt.depth));
	json_object_object_add(o, "request_bytes", json_object_new_int64(opt.request_len));
	json_object_object_add(o, "reply_bytes", json_object_new_int64(opt.reply_len));
	json_object_object_add(o, "seconds", real((double)r->ns / 1e9));
	json_object_object_add(o, "per_second", real(per_second(r)));
	json_object_object_add(o, "peak_per_second", real(r->peak));
	json_object_object_add(o, "measured_replies", json_object_new_int64((int64_t)r->measured.nr[GEN_REPLIES]));
	json_object_object_add(lat, "mean", real(mean_us(&r->measured)));
	for (size_t i = 0; i < NR_PARTS; i++)
		json_object_object_add(lat, parts[i].key, real(percentile_us(&r->measured, parts[i].part)));
	json_object_object_add(lat, "histogram", histogram(&r->measured));
	json_object_object_add(o, "latency_us", lat);
	for (int i = 0; i < GEN_NR_STATS; i++)
		json_object_object_add(o, names[i].key, json_object_new_int64((int64_t)r->all.nr[i]));
	json_object_object_add(o, "timeouts", json_object_new_int64((int64_t)r->resent));
	json_object_object_add(o, "stuck", json_object_new_int64((int64_t)r->stuck));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static void report_text(const struct gen_result *r)
{
	printf("%.0f replies/s over %.2f s, undisturbed %.0f; %u connections, depth %u, request %u bytes, reply %u bytes\n",
	       per_second(r), (double)r->ns / 1e9, r->peak, opt.nr_conns, opt.depth,
	       opt.request_len, opt.reply_len);
	printf("latency, us: mean %.1f", mean_us(&r->measured));
	for (size_t i = 0; i < NR_PARTS; i++)
		printf(", %s %.1f", parts[i].key, percentile_us(&r->measured, parts[i].part));
	printf("\nfrom the first request to the last reply:\n");
	for (int i = 0; i < GEN_NR_STATS; i++)
		printf("%16llu  %s\n", (unsigned long long)r->all.nr[i], names[i].text);
	printf("%16llu  times that requests were sent again after a timeout\n", (unsigned long long)r->resent);
	printf("%16llu  connections without progress for %u ms\n", (unsigned long long)r->stuck, opt.give_up_ms);
	if (r->resent && opt.redirect)
		printf("%s is a veth: what is redirected into it is lost unless its peer has GRO on or an XDP program\n",
		       opt.dev);
	if (r->all.nr[GEN_NO_ROOM])
		printf("%s has no room in its frames for requests so much longer than what arrives: "
		       "see LIMITS in tcpgen(8)\n", opt.dev);
}

void report(const struct gen_result *r)
{
	if (opt.json)
		report_json(r);
	else
		report_text(r);
	fflush(stdout);
}

/* Loss is no error, it is survived; a wrong, missing or surplus reply is. */
bool report_clean(const struct gen_result *r)
{
	const __u64 *nr = r->all.nr;

	return nr[GEN_REPLIES] && !nr[GEN_LONG] && !nr[GEN_CONTENT] && !nr[GEN_CLOSED] && !r->stuck;
}
