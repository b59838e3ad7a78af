/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fault.h"
#include "log.h"

#define FAULTS_MOST	4

int fault_armed;

static const char *const names[FAULT_NR] = { "offload", "upload", "grow", "rebuild" };
static struct fault {
	enum fault_move move;
	int step, left, with;
} faults[FAULTS_MOST];

static bool parse(const char *text, struct fault *f)
{
	char name[16], how[8] = "";

	*f = (struct fault){ .left = 1 };
	if (sscanf(text, "%15[a-z]:%d:%d:%7[a-z]", name, &f->step, &f->left, how) < 2)
		return false;
	f->with = strcmp(how, "stop") ? SIGKILL : SIGSTOP;
	for (f->move = 0; f->move < FAULT_NR && strcmp(name, names[f->move]); f->move++)
		;
	return f->move < FAULT_NR;
}

static void arm(const char *text)
{
	struct fault *f = &faults[fault_armed];

	if (fault_armed == FAULTS_MOST || !parse(text, f)) {
		log_warn("TOED_FAULT=%s: not MOVE:STEP[:COUNT[:stop]], ignored", text);
		return;
	}
	fault_armed++;
	log_warn("TOED_FAULT: %s at step %d of %s %d", f->move == FAULT_REBUILD ? "fails" : f->with == SIGSTOP ? "stops" : "dies",
		 f->step, names[f->move], f->left);
}

void fault_init(void)
{
	const char *env = getenv("TOED_FAULT");
	char *text = env && *env ? strdup(env) : NULL, *rest = text, *one;

	while ((one = strsep(&rest, ",")))
		arm(one);
	free(text);
}

void fault_reached(enum fault_move move, int step)
{
	for (struct fault *f = faults; f < faults + fault_armed; f++)
		if (f->move == move && f->step == step && !--f->left)
			kill(getpid(), f->with);
}

int fault_failed(int step)
{
	for (struct fault *f = faults; f < faults + fault_armed; f++)
		if (f->move == FAULT_REBUILD && f->step == step && f->left-- > 0)
			return -EAGAIN;
	return 0;
}
