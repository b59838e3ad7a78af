/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a kernel socket's cookie to the application and descriptor that claim it. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "app_priv.h"
#include "array.h"
#include "loop.h"

#define REBUILD_US	5000	/* a miss rebuilds the index if it is older than this, */
#define REBUILD_SHARE	10	/* and than so many times what the last one took */
#define MAX_CLAIMS	TOE_MAX_CONNS	/* of one application */

struct claim {
	uint64_t cookie;
	uint32_t app;
	int fd;
};

static struct claim *claims;
static size_t nr_claims, max_claims;
static uint64_t built_us, took_us;
static bool claimed;			/* a claim of which the index knows nothing: see app_claimed() */

/* The table is a sparse file: only pages that the application wrote to hold anything. */
int app_next_fd(struct app *app, int fd)
{
	off_t pos, hole;

	while (fd < (int)TOE_SONODES) {
		pos = lseek(app->priv->memfd, (off_t)fd * (off_t)sizeof(struct toe_sonode), SEEK_DATA);
		if (pos < 0)
			return -1;
		hole = lseek(app->priv->memfd, pos, SEEK_HOLE);
		fd = (int)(pos / (off_t)sizeof(struct toe_sonode));
		for (; fd < hole / (off_t)sizeof(struct toe_sonode) && fd < (int)TOE_SONODES; fd++)
			if ((__atomic_load_n(&app->sonodes[fd].word, __ATOMIC_RELAXED) & TOE_PATH_MASK)
			    != TOE_PATH_NONE)
				return fd;
	}
	return -1;
}

static int compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	if (x->app != y->app)
		return x->app < y->app ? -1 : 1;
	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

static int add_claim(uint64_t cookie, struct app *app, int fd)
{
	struct claim *more = array_room(claims, nr_claims, &max_claims, sizeof(*more));

	if (!more)
		return -ENOMEM;
	claims = more;
	claims[nr_claims++] = (struct claim){ .cookie = cookie, .app = app->id, .fd = fd };
	return 0;
}

static void add_app(struct app *app)
{
	size_t end = nr_claims + MAX_CLAIMS;
	uint64_t cookie;
	int fd;

	for (fd = app_next_fd(app, 0); fd >= 0 && nr_claims < end; fd = app_next_fd(app, fd + 1)) {
		cookie = __atomic_load_n(&app->sonodes[fd].cookie, __ATOMIC_RELAXED);
		if (cookie && add_claim(cookie, app, fd))
			break;
	}
}

static void rebuild(void)
{
	uint64_t start = loop_clock_us();
	struct app *app;

	nr_claims = 0;
	claimed = false;
	for (app = app_next(NULL); app; app = app_next(app))
		add_app(app);
	qsort(claims, nr_claims, sizeof(*claims), compare);
	built_us = loop_clock_us();
	took_us = built_us - start;
}

static size_t first_claim(uint64_t cookie)
{
	size_t lo = 0, hi = nr_claims;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (claims[mid].cookie < cookie)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int claim_at(uint64_t cookie, size_t i, struct app **app, int *fd)
{
	if (i >= nr_claims || claims[i].cookie != cookie)
		return -ENOENT;
	*app = app_get(claims[i].app);
	*fd = claims[i].fd;
	return *app ? 0 : -ESTALE;
}

static bool still_claimed(uint64_t cookie, struct app *app, int fd)
{
	return app->sonodes[fd].cookie == cookie &&
	       (app->sonodes[fd].word & TOE_PATH_MASK) != TOE_PATH_NONE;
}

void app_claimed(void)
{
	claimed = true;
}

int app_find(uint64_t cookie, unsigned int nth, struct app **app, int *fd)
{
	int err;

	if (claimed && !nth)
		rebuild();
	err = claim_at(cookie, first_claim(cookie) + nth, app, fd);

	if (!err && still_claimed(cookie, *app, *fd))
		return 0;
	if (nth || (built_us && loop_clock_us() - built_us < REBUILD_US + REBUILD_SHARE * took_us))
		return -ENOENT;
	rebuild();
	err = claim_at(cookie, first_claim(cookie), app, fd);
	return err ? -ENOENT : 0;
}
