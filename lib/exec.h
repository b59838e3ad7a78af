/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef EXEC_H
#define EXEC_H

#include <stdarg.h>

enum exec_list { EXEC_L, EXEC_LP, EXEC_LE };

void exec_begin(void);
void exec_failed(void);
int exec_list(enum exec_list kind, const char *file, const char *first, va_list *ap);
void exec_forked(void);

#endif
