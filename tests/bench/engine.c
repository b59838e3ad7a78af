/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine [ROUND]: what the engines alone cost, by BPF_PROG_RUN: lines "engine,toed,ROUND,METRIC,VALUE", nanoseconds a
 * segment. Each figure is the least of several runs, less the run with the preparation alone.
 */
#include "tests/bpf/frames.h"
#include "engine.skel.h"

#define REPEAT 2000		/* half a millisecond: some runs meet no interrupt and no busy neighbour */
#define RUNS 150

static struct engine_bpf *bench;
static const char *round_nr = "1";

static void share_maps(void)
{
	struct bpf_map *map, *from;

	bpf_object__for_each_map(map, bench->obj) {
		from = bpf_object__find_map_by_name(env.tx->obj, bpf_map__name(map));
		if (!from)
			from = bpf_object__find_map_by_name(env.rx->obj, bpf_map__name(map));
		if (!from || bpf_map__is_internal(map))
			continue;
		TRY(!bpf_map__reuse_fd(map, env_map(from)) && !bpf_map__set_pin_path(map, NULL));
	}
}

static void load(void)
{
	bench = engine_bpf__open();
	TRY(bench);
	bench->rodata->toe_nic_id = ENV_NIC;
	bench->rodata->toe_net = ENV_NET;
	share_maps();
	TRY(!engine_bpf__load(bench));
	bench->bss->bench_id = ENV_ID;
	bench->bss->bench_rcv = RCV0;
	bench->bss->bench_snd = SND0;
}

static __u32 once(struct bpf_program *prog, const void *data, __u32 len, __u32 ifindex, int verdict)
{
	static __u8 result[4096];
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = len, .data_out = result,
		    .data_size_out = sizeof(result), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = REPEAT);

	TRY(!bpf_prog_test_run_opts(bpf_program__fd(prog), &opts));
	if (verdict >= 0 && (int)opts.retval != verdict) {
		fprintf(stderr, "engine: verdict %u instead of %d\n", opts.retval, verdict);
		exit(1);
	}
	return opts.duration;
}

static void least(__u32 *best, __u32 ns)
{
	if (ns < *best)
		*best = ns;
}

/* Both by turns, so that what else happens meets both. */
static void measure(const char *what, struct bpf_program *prog, const void *data, __u32 len, __u32 ifindex,
		    int verdict)
{
	__u32 with = ~0U, without = ~0U;

	for (int i = 0; i < RUNS; i++) {
		bench->bss->bench_call = 0;
		least(&without, once(prog, data, len, ifindex, -1));
		bench->bss->bench_call = 1;
		least(&with, once(prog, data, len, ifindex, verdict));
	}
	printf("engine,toed,%s,%s,%u\n", round_nr, what, with > without ? with - without : 0);
}

static void measure_rx(const char *what, __u32 len, bool acks, bool armed)
{
	struct seg s = plain(RCV0, len);
	struct frame *fr;
	struct hw_conn c = test_conn();

	c.min.rcv_mss = 1448;
	make_hw(c);
	fr = build(&s);
	bench->bss->bench_rewind_una = acks ? 64 : 0;
	bench->bss->bench_armed = armed;
	measure(what, bench->progs.bench_rx, fr->data, fr->len, ENV_NIC_IFINDEX,
		!armed || !len ? XDP_DROP : XDP_REDIRECT);
}

static void measure_tx(const char *what, __u16 len)
{
	static __u8 frame[4096];
	struct hw_conn c = test_conn();
	struct toe_desc d = { .magic = TOE_DESC_MAGIC, .op = TOE_OP_DATA, .hw_connid = ENV_ID, .gen = ENV_GEN,
			      .seq = SND0, .len = len };

	c.min.snd_mss = 1448;
	make_hw(c);
	env_ctl()->tx_filled = SND0 + 100000;
	bench->bss->bench_rewind_una = 0;
	bench->bss->bench_desc = d;
	measure(what, bench->progs.bench_tx, frame, TOE_HDR_LEN(AF_INET, 1) + len, TOE_TAP_IFINDEX + ENV_QP,
		XDP_REDIRECT);
}

static void steps(const char *what, struct bpf_program *prog, const void *data, __u32 len, __u32 ifindex,
		  const char *const *names, __u32 nr)
{
	__u32 ns[16];

	memset(ns, 0xff, sizeof(ns));
	for (int run = 0; run < RUNS; run++) {
		for (__u32 i = 0; i <= nr; i++) {
			bench->bss->bench_step = i;
			least(&ns[i], once(prog, data, len, ifindex, -1));
		}
	}
	for (__u32 i = 1; i <= nr; i++)
		printf("steps,%s,%s,%02u %s,%d\n", what, round_nr, i, names[i - 1], (int)ns[i] - (int)ns[i - 1]);
}

static void rx_steps(const char *what, __u32 len)
{
	static const char *const names[] = {
		"parse headers", "look the flow up", "lock and compare", "checksum", "ring control and clock", "time",
		"options and checks and counter", "acknowledgement", "payload into the ring", "publish and wake and verdict"
	};
	struct seg s = plain(RCV0, len);
	struct hw_conn c = test_conn();
	struct frame *fr;

	c.min.rcv_mss = 1448;
	make_hw(c);
	fr = build(&s);
	bench->bss->bench_rewind_una = 64;
	bench->bss->bench_armed = 1;
	steps(what, bench->progs.bench_rx_steps, fr->data, fr->len, ENV_NIC_IFINDEX, names, 10);
}

static void tx_steps(void)
{
	static const char *const names[] = {
		"queue pair and descriptor", "way and flow look-up", "lock", "permission and ring control and clock", "time",
		"headers and checksum"
	};
	static __u8 frame[4096];
	struct hw_conn c = test_conn();

	c.min.snd_mss = 1448;
	make_hw(c);
	env_ctl()->tx_filled = SND0 + 100000;
	bench->bss->bench_rewind_una = 0;
	bench->bss->bench_desc = (struct toe_desc){ .magic = TOE_DESC_MAGIC, .op = TOE_OP_DATA, .hw_connid = ENV_ID,
						     .gen = ENV_GEN, .seq = SND0, .len = 64 };
	steps("tx_64", bench->progs.bench_tx_steps, frame, TOE_HDR_LEN(AF_INET, 1) + 64, TOE_TAP_IFINDEX + ENV_QP,
	      names, 6);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		round_nr = argv[1];
	env_open();
	load();
	measure_rx("rx_64", 64, false, false);
	measure_rx("rx_64_acks", 64, true, false);
	measure_rx("rx_64_acks_doorbell", 64, true, true);
	measure_rx("rx_1448", 1448, false, false);
	measure_tx("tx_64", 64);
	measure_tx("tx_1448", 1448);
	rx_steps("rx_64", 64);
	rx_steps("rx_1448", 1448);
	tx_steps();
	return 0;
}
