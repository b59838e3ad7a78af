/* SPDX-License-Identifier: GPL-2.0-or-later */
/* toe/place.h: every ring lies in its slab, every byte in its ring, and stays there. */
#include "test.h"

#include <stdbool.h>
#include "toe/place.h"

static void sizes(void **state)
{
	static const __u32 kib[] = { 16, 32, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192 };

	(void)state;
	assert_int_equal(NR(kib), TOE_MAX_ORDER + 1);
	for (unsigned int o = 0; o <= TOE_MAX_ORDER; o++) {
		struct toe_ring_ref r = { .order = o };

		assert_int_equal(ring_size(r), kib[o] << 10);
		assert_true(ring_align(o) >= ring_units(o) && ring_align(o) < 2 * ring_units(o));
	}
}

static void references(void **state)
{
	static const struct {
		unsigned int unit, order;
		bool valid;
	} c[] = {
		{ 0, 10, true }, { 1, 10, false }, { 0, 11, false }, { 0, 15, false }, { 504, 3, true }, { 500, 3, false },
		{ 511, 0, true }, { 512, 0, false }, { 510, 1, true }, { 509, 1, false }, { 508, 2, true }, { 506, 2, false },
		{ 504, 4, true }, { 508, 4, false }, { 256, 9, true }, { 128, 9, false }, { 4095, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < NR(c); i++)
		assert_int_equal(ring_ref_valid((struct toe_ring_ref){ .unit = c[i].unit & 0xfff, .order = c[i].order & 15 }),
				 c[i].valid);
}

/* Byte after byte over the end of the sequence numbers, with a base that is kept near: no byte leaves its place. */
static void walk(void **state)
{
	(void)state;
	for (unsigned int o = 0; o <= TOE_MAX_ORDER; o++) {
		__u32 size = ring_units(o) << TOE_UNIT_SHIFT, base = 0x80001000, seq = base, step = size / 3 * 2 + 1;
		__u64 all = 0, moved = 0;

		for (; all < 3ULL << 32; all += step, seq += step) {
			__u32 near = ring_near(size, base, seq);

			assert_true(seq - near < 1U << 31);
			assert_int_equal(ring_off(size, near, seq), all % size);
			assert_int_equal(ring_off(size, base, seq), all % size);
			moved += near != base;
			base = near;
		}
		assert_in_range(moved, 10, 11);
	}
}

/* Each ring at each place in a chunk: its pieces are all of it, and none goes on behind its first bytes or a chunk. */
static void runs(void **state)
{
	(void)state;
	for (unsigned int o = 0; o <= TOE_MAX_ORDER; o++) {
		for (unsigned int unit = 0; unit <= TOE_CHUNK_UNITS; unit += ring_align(o)) {
			struct toe_ring_ref r = { .unit = unit & 0xfff, .order = o & 15 };
			__u32 off = 0, at, n;

			assert_int_equal(ring_run(ring_size(r), 0, ~0U), TOE_HOT);
			assert_int_equal(ring_run(ring_size(r), 100, 7), 7);
			for (; off < ring_size(r); off += n) {
				at = (unit << TOE_UNIT_SHIFT) + off;
				n = ring_run(ring_size(r), off, ~0U);
				assert_true(n > 0 && off + n <= ring_size(r));
				assert_int_equal(at >> TOE_CHUNK_SHIFT, (at + n - 1) >> TOE_CHUNK_SHIFT);
				assert_int_equal(off < TOE_HOT, off + n <= TOE_HOT);
			}
			assert_int_equal(off, ring_size(r));
		}
	}
}

/* Each chunk has a page of its own, behind all chunks and inside the slab, and the value that it is in is not left. */
static void pages(void **state)
{
	__u32 last = TOE_SLAB_CHUNKS * TOE_CHUNK_SIZE - TOE_CTL_SIZE, at;

	(void)state;
	for (unsigned int unit = 0; unit < TOE_SLAB_UNITS; unit += TOE_CHUNK_UNITS) {
		struct toe_ring_ref rx = { .unit = unit & 0xfff, .order = TOE_ORDER_64 };

		at = ring_ctl_at(rx);
		assert_true(at >= last + TOE_CTL_SIZE && at + TOE_CTL_SIZE <= TOE_SLAB_SIZE);
		assert_int_equal(at % TOE_CTL_SIZE, 0);
		assert_int_equal(at / TOE_CHUNK_SIZE, ring_ctl_value(rx));
		assert_int_equal(at % TOE_CHUNK_SIZE, ring_ctl_off(rx));
		assert_true(ring_ctl_off(rx) + TOE_CTL_SIZE <= TOE_CHUNK_DATA);
		last = at;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(references), cmocka_unit_test(walk), cmocka_unit_test(runs),
		cmocka_unit_test(pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
