/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fault.h"
#include "log.h"

int fault_armed;

static const char *const names[FAULT_NR] = { "offload", "upload", "grow", "rebuild" };
static enum fault_move at_move;
static int at_step, left, with = SIGKILL;

void fault_init(void)
{
	const char *text = getenv("TOED_FAULT");
	char name[16], how[8] = "";

	if (!text)
		return;
	left = 1;
	if (sscanf(text, "%15[a-z]:%d:%d:%7[a-z]", name, &at_step, &left, how) < 2)
		name[0] = 0;
	if (!strcmp(how, "stop"))
		with = SIGSTOP;
	for (int i = 0; i < FAULT_NR; i++) {
		if (strcmp(name, names[i]))
			continue;
		at_move = (enum fault_move)i;
		fault_armed = 1;
		log_warn("TOED_FAULT: %s at step %d of %s %d", i == FAULT_REBUILD ? "fails" : with == SIGSTOP ? "stops" : "dies", at_step, name,
			 left);
		return;
	}
	log_warn("TOED_FAULT=%s: not MOVE:STEP[:COUNT[:stop]], ignored", text);
}

void fault_reached(enum fault_move move, int step)
{
	if (move == at_move && step == at_step && !--left)
		kill(getpid(), with);
}

int fault_failed(int step)
{
	return at_move == FAULT_REBUILD && step == at_step && left-- > 0 ? -EAGAIN : 0;
}
