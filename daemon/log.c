/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "log.h"

int log_level = 6;
unsigned int log_errors;

/* journald takes the level from a prefix; a person at a terminal does not want to see one. */
static bool log_prefix(void)
{
	static int journal = -1;

	if (journal < 0)
		journal = getenv("JOURNAL_STREAM") != NULL;
	return journal;
}

void log_msg(int level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (level > log_level)
		return;
	log_errors += level <= 3;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (log_prefix())
		fprintf(stderr, "<%d>%s\n", level, text);
	else
		fprintf(stderr, "toed: %s\n", text);
}
