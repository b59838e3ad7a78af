/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cmocka wants to be included before it. */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NR(array) (sizeof(array) / sizeof((array)[0]))

#endif
