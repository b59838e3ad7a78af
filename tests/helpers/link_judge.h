/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An independent judge of two TCPs: what passes a link, read frame by frame in the order in which each end
 * sent it. It believes neither end's counters.
 */
#ifndef LINK_JUDGE_H
#define LINK_JUDGE_H

#include <stddef.h>
#include <stdint.h>

/* Of what one end sent. All but the first three and `ahead` stay 0 between two right TCPs on a link that loses nothing,
 * `again` as far as no timer is early. A repetition was not needed if it is acknowledged with an older timestamp than its own
 * (RFC 3522) or reported as a duplicate (RFC 2883). X(field, meaning) */
#define JUDGE_COUNTS(X) \
	X(segs,		"TCP segments") \
	X(bytes,	"payload bytes, first transmissions") \
	X(zero_wnd,	"segments that close the window") \
	X(skipped,	"bytes jumped over: later ones came first") \
	X(ahead,	"bare acknowledgements from beyond that point, which overtook what they stand behind") \
	X(late,		"bytes of those that came then") \
	X(missing,	"bytes of those that never came") \
	X(again,	"bytes that had come before") \
	X(needed,	"bytes of those that the other end, as its answers say, had not") \
	X(beyond,	"bytes beyond the window that the other end offered") \
	X(shrunk,	"segments that take back offered window, a unit of its scale or more") \
	X(rounded,	"segments that take back less than such a unit") \
	X(ts_back,	"segments whose timestamp is older than one before") \
	X(bad_ack,	"segments that acknowledge what was never sent") \
	X(bad_csum,	"segments or IP headers with a wrong checksum") \
	X(resets,	"segments with RST")

struct judge_counts {
#define X(field, text) unsigned long long field;
	JUDGE_COUNTS(X)
#undef X
};

extern struct judge_counts judged[2];

/* An Ethernet frame that end `from` (0 or 1) sent. */
void judge_frame(const unsigned char *data, size_t len, int from);

#endif
