// SPDX-License-Identifier: GPL-2.0-or-later
/* RX engine in the states KERNEL and HOLD, replay, and what makes it ask for an upload. */
#include "tests/bpf/frames.h"

static struct toe_flow flow;

static int hold(__u8 next)
{
	return env_op(&flow, TOE_CMD_HOLD, next, &(struct hw_conn){ .cookie = 4711, .vlan = vlan });
}

static void shadow(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 500);

	(void)state;
	make_shadow(&c);
	env_mark();
	s.ack = SND0 + 77;
	s.bad_csum = true;			/* not looked at */
	assert_int_equal(rx(&s), XDP_PASS);
	assert_int_equal(conn()->seen_end, RCV0 + 500);
	assert_int_equal(conn()->seen_ack, SND0 + 77);
	s = plain(RCV0 + 100, 50);
	assert_int_equal(rx(&s), XDP_PASS);
	assert_int_equal(conn()->seen_end, RCV0 + 500);
	assert_int_equal(conn()->seen_ack, SND0 + 77);
	s.seq = RCV0 + 500;
	s.len = 0;
	s.flags = FIN | ACK;
	rx(&s);
	assert_int_equal(conn()->seen_end, RCV0 + 501);
	assert_int_equal(COUNTED(RX_PASS), 3);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
}

static void held_and_replayed(void **state)
{
	struct hw_conn c = test_conn();
	struct toe_held held[3];
	struct seg s;

	(void)state;
	make_shadow(&c);
	assert_int_equal(hold(TOE_HW), 0);
	for (__u32 i = 0; i < 3; i++) {
		struct frame fr;

		s = plain(RCV0 + 100 * i, 100);
		fr = *build(&s);
		assert_int_equal(rx(&s), XDP_DROP);
		assert_int_equal(env_drain(), 1);
		assert_int_equal(env.last.len, fr.len);
		assert_int_equal(env.last.nic, ENV_NIC);
		assert_int_equal(env.last.cookie, 4711);
		assert_memory_equal(env.last.frame, fr.data, fr.len);
		held[i] = env.last;
	}
	assert_int_equal(conn()->nr_held, 3);
	c.nr_held = 2;
	assert_int_equal(env_op(&flow, TOE_CMD_LOAD, 0, &c), 0);
	env_wake(CHUNK_QP)->armed = 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(replay(held[i].frame, held[i].len), XDP_DROP);
	assert_int_equal(env_wake(CHUNK_QP)->armed, 1);		/* replay rings nobody */
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 300);
	check_ring(RCV0, RCV0 + 300);
	assert_true(env_ctl()->ack_due);
	c = *conn();
	c.nr_held = 2;
	assert_int_equal(env_op(&flow, TOE_CMD_FINISH, 0, &c), -EAGAIN);
	assert_int_equal(c.nr_held, 3);
	assert_int_equal(env_op(&flow, TOE_CMD_FINISH, 0, &c), 0);
	assert_int_equal(conn()->state, TOE_HW);
	assert_int_equal(conn()->nr_held, 0);
	assert_true(env.clock[ENV_ID].ack_since);
	assert_true(env_dirty());
	assert_true(env_woken());
}

static void replay_never_sends(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0 + 5000, 100);		/* out of order: an ACK would be due now */
	struct frame *fr;

	(void)state;
	make_shadow(&c);
	hold(TOE_HW);
	assert_int_equal(env_op(&flow, TOE_CMD_LOAD, 0, &c), 0);
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_DROP);
	assert_true(env.clock[ENV_ID].ack_since);
	assert_int_equal(conn()->nr_ooo, 1);
	s = plain(RCV0, 0);
	s.flags = FIN | ACK;				/* the kernel's: nothing may change */
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_PASS);
	assert_int_equal(conn()->state, TOE_HOLD);
	assert_int_equal(conn()->next, TOE_HW);
	hold(TOE_KERNEL);
	s = plain(RCV0, 100);
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_PASS);
	assert_int_equal(conn()->min.rcv_nxt, RCV0);
}

/* A frame of the hold ring that comes late meets the engines' own entry, not a shadow. */
static void replay_into_hw(void **state)
{
	struct seg s = plain(RCV0, 100);
	struct frame *fr;

	(void)state;
	make_hw(test_conn());
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_DROP);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 100);
	assert_int_equal(conn()->sacked, 0);
	s = plain(RCV0 + 100, 0);
	s.flags = FIN | ACK;
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_PASS);
	assert_int_equal(conn()->state, TOE_HW);
	assert_int_equal(conn()->sacked, 0);
}

static void replay_seg(__u32 seq)
{
	struct seg s = plain(seq, 100);
	struct frame *fr = build(&s);

	assert_int_equal(replay(fr->data, fr->len), XDP_DROP);
}

/* RFC 2883 4: a D-SACK above the acknowledgement stands before the block that holds it, or nowhere. */
static void late_dsack(void **state)
{
	struct seg s = plain(RCV0 + 3000, 100), a;
	struct hw_conn c = test_conn();

	(void)state;
	make_shadow(&c);
	hold(TOE_HW);
	c.nr_ooo = 2;				/* of an earlier stay: there is nothing of it */
	assert_int_equal(env_op(&flow, TOE_CMD_LOAD, 0, &c), 0);
	assert_int_equal(conn()->nr_ooo, 0);
	replay_seg(RCV0 + 1000);
	replay_seg(RCV0 + 1000);
	replay_seg(RCV0 + 2000);
	assert_true(conn()->rec & TOE_REC_DSACK);
	c.nr_held = 0;
	assert_int_equal(env_op(&flow, TOE_CMD_FINISH, 0, &c), 0);
	assert_int_equal(rx(&s), XDP_TX);
	a = dissect(&out);
	assert_int_equal(a.nr_sack, 3);
	for (__u32 i = 0; i < 3; i++)
		assert_int_equal(a.sack[i][0], RCV0 + 3000 - 1000 * i);
}

/* Several duplicates before one can be told of: those that touch are told as one, else the last. */
static void dsack_touching(void **state)
{
	static const struct { __u32 second, start, end; } cases[] = {
		{ RCV0 + 300, RCV0 + 200, RCV0 + 400 }, { RCV0 + 100, RCV0 + 100, RCV0 + 300 },
		{ RCV0 + 200, RCV0 + 200, RCV0 + 300 }, { RCV0 + 350, RCV0 + 350, RCV0 + 450 },
	};
	struct seg s = plain(RCV0 + 500, 0), a;
	struct hw_conn c;

	(void)state;
	for (__u32 i = 0; i < NR(cases); i++) {
		c = test_conn();
		forget_all();
		make_shadow(&c);
		hold(TOE_HW);
		assert_int_equal(env_op(&flow, TOE_CMD_LOAD, 0, &c), 0);
		for (__u32 j = 0; j < 5; j++)
			replay_seg(RCV0 + 100 * j);
		replay_seg(RCV0 + 200);
		replay_seg(cases[i].second);
		assert_int_equal(env_op(&flow, TOE_CMD_FINISH, 0, &c), 0);
		s = plain(RCV0 + 1000, 100);
		assert_int_equal(rx(&s), XDP_TX);
		a = dissect(&out);
		assert_int_equal(a.ack, RCV0 + 500);
		assert_int_equal(a.sack[0][0], cases[i].start);
		assert_int_equal(a.sack[0][1], cases[i].end);
	}
}

/* What came over veth unsummed is whole when it goes to the kernel, and taken as it is by the engine. */
static void partial_checksum(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 501);
	struct frame whole = *build(&s), *fr;

	(void)state;
	make_shadow(&c);
	hold(TOE_KERNEL);
	s.partial = true;
	fr = build(&s);
	assert_int_equal(replay(fr->data, fr->len), XDP_PASS);
	assert_int_equal(out.len, whole.len);
	assert_memory_equal(out.data, whole.data, whole.len);
	assert_int_equal(replay(whole.data, whole.len), XDP_PASS);
	assert_memory_equal(out.data, whole.data, whole.len);
	hold(TOE_HW);
	assert_int_equal(env_op(&flow, TOE_CMD_LOAD, 0, &c), 0);
	assert_int_equal(replay(fr->data, fr->len), XDP_DROP);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 501);
}

static const struct {
	const char *name;
	struct seg s;
	__u8 why;		/* 0: no upload */
	int verdict;		/* if so */
	bool v4_only;
} strange[] = {
	{ "fin", { .flags = FIN | ACK, .len = 5 }, TOE_WHY_FIN, 0, false },
	{ "fin, old", { .seq = -50U, .flags = FIN | ACK }, 0, XDP_TX, false },
	{ "fin, beyond", { .seq = ADV + 1, .flags = FIN | ACK }, 0, XDP_TX, false },
	{ "rst at rcv_nxt", { .flags = RST }, TOE_WHY_RST, 0, false },
	{ "rst right of it", { .seq = 1, .flags = RST }, 0, XDP_TX, false },
	{ "rst in window", { .seq = 1000, .flags = RST | ACK, .len = 7 }, 0, XDP_TX, false },
	{ "rst at the edge", { .seq = ADV - 1, .flags = RST }, 0, XDP_TX, false },
	{ "rst old", { .seq = -1U, .flags = RST }, 0, XDP_DROP, false },
	{ "rst beyond", { .seq = ADV, .flags = RST }, 0, XDP_DROP, false },
	{ "syn at rcv_nxt", { .flags = SYN }, 0, XDP_TX, false },
	{ "syn", { .seq = 10, .flags = SYN | ACK, .len = 5 }, 0, XDP_TX, false },
	{ "syn, data", { .seq = 10, .flags = SYN, .len = 100 }, 0, XDP_TX, false },
	{ "syn outside", { .seq = -90000U, .flags = SYN }, 0, XDP_TX, false },
	{ "urg", { .flags = URG | ACK, .len = 3 }, TOE_WHY_URG, 0, false },
	{ "ip options", { .flags = ACK, .len = 9, .ip_opts = true }, TOE_WHY_OPTIONS, 0, true },
	{ "ip options, part new", { .seq = -4U, .flags = ACK, .len = 9, .ip_opts = true }, TOE_WHY_OPTIONS, 0, true },
	{ "ip options, old", { .seq = -50U, .flags = ACK, .len = 9, .ip_opts = true }, 0, XDP_TX, true },
	{ "ip options, beyond", { .seq = ADV + 1, .flags = ACK, .len = 9, .ip_opts = true }, 0, XDP_TX, true },
	{ "fragment", { .flags = ACK, .len = 9, .more_frags = true }, TOE_WHY_FRAGMENT, 0, true },
	{ "fragment, old", { .seq = -50U, .flags = ACK, .len = 9, .more_frags = true }, 0, XDP_TX, true },
	{ "ce, not negotiated", { .flags = ACK, .len = 9, .ecn = 3 }, 0, XDP_DROP, false },
	{ "ece, not negotiated", { .flags = ACK | ECE }, 0, XDP_DROP, false },
};

/* RFC 5961 section 7: not more than one in 64 ms, at moments that cannot be foretold. */
static void challenges(void **state)
{
	struct seg s = plain(RCV0 + 10, 100);
	__u32 first = 0;
	bool differs = false;

	(void)state;
	for (int i = 0; i < 20; i++) {
		__u32 now, gap;

		make_hw(test_conn());
		s.flags = RST;
		s.len = 0;
		assert_int_equal(rx(&s), XDP_TX);
		assert_int_equal(dissect(&out).ack, RCV0);
		assert_int_equal(dissect(&out).seq, SND0);
		s.flags = SYN;
		s.len = 100;			/* data does not help */
		assert_int_equal(rx(&s), XDP_DROP);
		assert_int_equal(conn()->min.rcv_nxt, RCV0);
		s = plain(RCV0, 10);
		rx(&s);				/* last_rx_ms */
		now = env.clock[ENV_ID].last_rx_ms;
		gap = conn()->challenge_ms - now;
		assert_true(gap + 30 >= 64 && gap <= 191);
		differs |= first && gap != first;
		first = gap;
		s = plain(RCV0 + 10, 100);
	}
	assert_true(differs);
}

/* The last answer was so long ago that the clock has half turned over. */
static void challenge_long_ago(void **state)
{
	struct toe_flow f = test_flow();
	struct seg s = plain(RCV0 - 1, 0);
	struct hw_conn c;

	(void)state;
	make_hw(test_conn());
	TRY(!bpf_map_lookup_elem(env_map(env.rx->maps.hw_conn_t), &f, &c));
	c.challenge_ms += 0x7fff0000;
	TRY(!bpf_map_update_elem(env_map(env.rx->maps.hw_conn_t), &f, &c, BPF_ANY));
	assert_int_equal(rx(&s), XDP_TX);
	assert_int_equal(dissect(&out).ack, RCV0);
	assert_int_equal(rx(&s), XDP_DROP);
}

static void strange_segments(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(strange); i++) {
		struct seg s = strange[i].s;
		struct frame fr;
		int verdict;

		if (strange[i].v4_only && v6)
			continue;
		make_hw(test_conn());
		s.seq += RCV0;
		s.ack = SND0;
		s.tsval = TS0;
		s.window = WND >> 3;
		fr = *build(&s);
		env_wake(CHUNK_DAEMON)->armed = 1;
		verdict = rx(&s);
		if (verdict != (strange[i].why ? XDP_REDIRECT : strange[i].verdict))
			fail_msg("%s: verdict %d", strange[i].name, verdict);
		assert_int_equal(conn()->why, strange[i].why);
		assert_int_equal(env_drain(), !!strange[i].why);
		assert_int_equal(conn()->state, strange[i].why ? TOE_HOLD : TOE_HW);
		if (!strange[i].why)
			continue;
		assert_memory_equal(env.last.frame, fr.data, fr.len);
		assert_int_equal(conn()->next, TOE_KERNEL | TOE_NEXT_PARKED);
		assert_int_equal(conn()->nr_held, 1);
		assert_int_equal(env.clock[ENV_ID].flags, TOE_CLK_UPLOAD);
		assert_true(env_dirty());
		assert_int_equal(env_wake(CHUNK_DAEMON)->armed, 0);
		assert_int_equal(conn()->min.rcv_nxt, RCV0);
	}
}

/* IPv6 extension headers: hop by hop, then a first fragment. */
static void extension_headers(void **state)
{
	struct seg s = plain(RCV0, 10);
	struct frame fr = *build(&s);
	__u8 *ip = fr.data + l3_off();

	(void)state;
	if (!v6)
		skip();
	memmove(ip + 56, ip + 40, fr.len - l3_off() - 40);
	memset(ip + 40, 0, 16);
	fr.len += 16;
	put16(ip + 4, get16(ip + 4) + 16);
	ip[6] = 0;
	ip[40] = 60;
	ip[48] = 6;
	make_hw(test_conn());
	run_prog(env.rx->progs.toe_rx, fr.data, fr.len, ENV_NIC_IFINDEX, &out);
	assert_int_equal(conn()->why, TOE_WHY_OPTIONS);
	ip[40] = 44;
	ip[51] = 1;			/* more fragments */
	make_hw(test_conn());
	run_prog(env.rx->progs.toe_rx, fr.data, fr.len, ENV_NIC_IFINDEX, &out);
	assert_int_equal(conn()->why, TOE_WHY_FRAGMENT);
	ip[51] = 8;			/* not the first: no ports */
	make_hw(test_conn());
	assert_int_equal(run_prog(env.rx->progs.toe_rx, fr.data, fr.len, ENV_NIC_IFINDEX, &out), XDP_PASS);
	assert_int_equal(conn()->state, TOE_HW);
}

static void hold_ring_full(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 100);

	(void)state;
	make_shadow(&c);
	hold(TOE_HW);
	env_mark();
	for (int i = 0; i < 2500; i++)
		assert_int_equal(rx(&s), XDP_DROP);
	assert_true(COUNTED(RX_HOLD_FULL) > 0);
	assert_int_equal(COUNTED(RX_HOLD_FULL) + COUNTED(RX_HELD), 2500);
	assert_int_equal(conn()->nr_held, COUNTED(RX_HELD));
	assert_int_equal(env_drain(), COUNTED(RX_HELD));
}

static void locked_too_long(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 100);

	(void)state;
	make_shadow(&c);
	c.lock = 1;
	TRY(!bpf_map_update_elem(env_map(env.rx->maps.hw_conn_t), &flow, &c, BPF_ANY));
	env_mark();
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(COUNTED(RX_LOCK), 1);
	assert_int_equal(hold(TOE_HW), -EBUSY);
}

/* Over 802.1Q alone the link is VLAN 0xabc, over 802.1ad and 802.1Q it is 5 and 7: on_all_links(). */
enum { NOBODY, PLAIN, ONE, TWO };

static const struct { __u16 tag[2]; __u8 nr; __u8 whose; } tags[] = {
	{ { 0 }, 0, PLAIN }, { { 0 }, 1, PLAIN }, { { 0xe000 }, 1, PLAIN }, { { 0x1000, 0xa000 }, 2, PLAIN },
	{ { 0xabc }, 1, ONE }, { { 0xeabc }, 1, ONE }, { { 0, 0xabc }, 2, ONE }, { { 0x6000, 0x2abc }, 2, ONE },
	{ { 5, 7 }, 2, TWO }, { { 0xe005, 0x6007 }, 2, TWO },
	{ { 5 }, 1, NOBODY }, { { 7 }, 1, NOBODY }, { { 0xabd }, 1, NOBODY }, { { 0xfff }, 1, NOBODY },
	{ { 0xabc, 0 }, 2, NOBODY },	/* of 802.1ad */
	{ { 5, 0 }, 2, NOBODY }, { { 0, 7 }, 2, NOBODY }, { { 7, 5 }, 2, NOBODY }, { { 5, 8 }, 2, NOBODY },
	{ { 6, 7 }, 2, NOBODY }, { { 0xabc, 0xabc }, 2, NOBODY },
};

static __u8 link_here(void)
{
	return !vlan ? PLAIN : l3_off() == 18 ? ONE : TWO;
}

static struct seg with_tags(struct seg s, size_t i)
{
	s.nr_tags = tags[i].nr;
	s.other_link = true;
	memcpy(s.tag, tags[i].tag, sizeof(s.tag));
	return s;
}

/* A frame is the connection's if it has the VLANs of its link, whatever the priority. 802.1Q: a tag with VID 0 carries a
 * priority only. */
static void vlan_tags(void **state)
{
	__u32 seq = RCV0;

	(void)state;
	make_hw(test_conn());
	for (size_t i = 0; i < NR(tags); i++) {
		struct seg s = with_tags(plain(seq, MSS), i);
		bool ours = tags[i].whose == link_here();

		env_mark();
		for (int k = 0; k < 2; k++, s.seq += MSS) {
			int act = rx(&s);

			assert_int_equal(act == XDP_PASS, !ours);
			assert_int_equal(COUNTED(RX_SEGS), ours ? k + 1 : 0);
			assert_int_equal(COUNTED(RX_OTHER_VLAN), ours ? 0 : k + 1);
		}
		seq += ours ? 2 * MSS : 0;
		assert_int_equal(conn()->min.rcv_nxt, seq);
		if (ours) {	/* the second segment's frame became the acknowledgement, which has the link's tags */
			assert_int_equal(dissect(&out).ack, seq);
			assert_int_equal(COUNTED(RX_ACKS_OUT), 1);
		}
	}
	check_ring(RCV0, seq);
}

/* Nothing of another link changes anything, also what would make the engine ask for an upload or challenge. */
static void vlan_foreign(void **state)
{
	struct hw_conn before;

	(void)state;
	make_hw(test_conn());
	before = *conn();
	for (size_t i = 0; i < NR(tags); i++) {
		static const __u8 flags[] = { ACK, ACK | FIN, RST, SYN, ACK | URG };

		for (size_t k = 0; k < NR(flags) && tags[i].whose != link_here(); k++) {
			struct seg s = with_tags(plain(RCV0, 0), i);

			s.flags = flags[k];
			assert_int_equal(rx(&s), XDP_PASS);
			assert_memory_equal(conn(), &before, sizeof(before));
		}
	}
	assert_int_equal(env_drain(), 0);
}

/* Of a shadow: how far frames reach, and whether they have its tags. */
static void vlan_shadow(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 100);

	(void)state;
	make_shadow(&c);
	for (size_t i = 0; i < NR(tags); i++) {
		struct seg other = with_tags(s, i);

		if (tags[i].whose == link_here())
			continue;
		assert_int_equal(rx(&other), XDP_PASS);
		assert_int_equal(conn()->seen_end, RCV0);
		assert_int_equal(conn()->tagged, TOE_TAGS_OTHER);
	}
	assert_int_equal(rx(&s), XDP_PASS);
	assert_int_equal(conn()->seen_end, RCV0 + 100);
	assert_int_equal(conn()->tagged, TOE_TAGS_RIGHT);
	make_shadow(&c);
	assert_int_equal(rx(&s), XDP_PASS);
	assert_int_equal(conn()->tagged, vlan ? TOE_TAGS_RIGHT : 0);
}

/* HOLD looks for the tags that it names from then on, and forgets what was seen of others. */
static void vlan_changed(void **state)
{
	struct hw_conn c = test_conn(), to = { .cookie = 4711, .vlan = 0xdef };
	struct seg s = plain(RCV0, 100);

	(void)state;
	make_shadow(&c);
	rx(&s);
	assert_int_equal(env_op(&flow, TOE_CMD_HOLD, TOE_KERNEL, &to), 0);
	assert_int_equal(conn()->vlan, 0xdef);
	assert_int_equal(rx(&s), XDP_PASS);
	to = (struct hw_conn){ .cookie = 4711 };
	assert_int_equal(env_op(&flow, TOE_CMD_FINISH, 0, &to), 0);
	assert_int_equal(conn()->tagged, 0);
	s.nr_tags = 1;
	s.tag[0] = 0xdef;
	s.seq += 100;
	assert_int_equal(rx(&s), XDP_PASS);
	assert_int_equal(conn()->seen_end, RCV0 + 200);
	assert_int_equal(conn()->tagged, TOE_TAGS_RIGHT);
}

/* Held with its tags, and replayed into either path. */
static void vlan_held(void **state)
{
	struct hw_conn c = test_conn();
	struct seg s = plain(RCV0, 300), other = s;
	struct frame fr;

	(void)state;
	make_shadow(&c);
	assert_int_equal(hold(TOE_HW), 0);
	other.other_link = true;
	other.nr_tags = 2;
	other.tag[1] = 9;
	assert_int_equal(rx(&other), XDP_PASS);		/* not even held */
	assert_int_equal(env_drain(), 0);
	if (!vlan)
		s.nr_tags = 1;
	fr = *build(&s);
	assert_int_equal(rx(&s), XDP_DROP);
	assert_int_equal(env_drain(), 1);
	assert_int_equal(env.last.len, fr.len);
	assert_memory_equal(env.last.frame, fr.data, fr.len);
	assert_int_equal(env_op(&flow, TOE_CMD_LOAD, 0, &c), 0);
	assert_int_equal(replay(env.last.frame, env.last.len), XDP_DROP);
	assert_int_equal(conn()->min.rcv_nxt, RCV0 + 300);
	check_ring(RCV0, RCV0 + 300);
	assert_int_equal(hold(TOE_KERNEL), 0);		/* and into the kernel, as it came */
	assert_int_equal(replay(env.last.frame, env.last.len), XDP_PASS);
	assert_int_equal(out.len, fr.len);
	assert_memory_equal(out.data, fr.data, fr.len);
}

static int start(void **state)
{
	(void)state;
	flow = test_flow();
	forget_all();
	return 0;
}

#define CASE(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(shadow), CASE(held_and_replayed), CASE(replay_never_sends), CASE(replay_into_hw),
		CASE(late_dsack), CASE(dsack_touching), CASE(partial_checksum), CASE(strange_segments), CASE(challenges), CASE(challenge_long_ago),
		CASE(vlan_tags), CASE(vlan_foreign), CASE(vlan_shadow), CASE(vlan_changed), CASE(vlan_held),
		CASE(extension_headers), CASE(hold_ring_full), CASE(locked_too_long),
	};

	env_open();
	return on_all_links(cases, NR(cases));
}
