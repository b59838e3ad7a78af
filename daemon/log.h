/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages: stderr with sd-daemon level prefixes (journald reads them). */
#ifndef LOG_H
#define LOG_H

void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_err(...)	log_msg(3, __VA_ARGS__)
#define log_warn(...)	log_msg(4, __VA_ARGS__)
#define log_info(...)	log_msg(6, __VA_ARGS__)
#define log_debug(...)	log_msg(7, __VA_ARGS__)	/* shown with -v */
extern int log_level;
extern unsigned int log_errors;	/* messages of level 3 so far */

#endif
