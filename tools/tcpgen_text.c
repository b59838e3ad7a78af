/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tcpgen.h"

static int add(uint8_t byte)
{
	if (opt.request_len == GEN_MAX_REQUEST) {
		complain("the request is longer than %u bytes", GEN_MAX_REQUEST);
		return -EMSGSIZE;
	}
	opt.text->request[opt.request_len++] = byte;
	return 0;
}

/* What a backslash introduces. Returns the characters taken, 0: not known. */
static size_t escape(const char *p, uint8_t *byte)
{
	static const char from[] = "nrt0\\", to[] = "\n\r\t\0\\";
	const char *hit = *p ? strchr(from, *p) : NULL;
	char hex[3] = "";

	if (hit) {
		*byte = (uint8_t)to[hit - from];
		return 1;
	}
	if (*p != 'x' || !isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2]))
		return 0;
	memcpy(hex, p + 1, 2);
	*byte = (uint8_t)strtoul(hex, NULL, 16);
	return 3;
}

int text_parse(const char *p)
{
	uint8_t byte;
	size_t n;
	int err = 0;

	for (; *p && !err; p += n) {
		n = 1;
		byte = (uint8_t)*p;
		if (*p == '\\') {
			n = escape(p + 1, &byte);
			if (!n++) {
				complain("unknown escape in the request: \\%c", p[1]);
				return -EINVAL;
			}
		}
		err = add(byte);
	}
	return err;
}

int text_read(const char *path)
{
	FILE *f = fopen(path, "re");
	int c, err = 0;

	if (!f) {
		err = -errno;
		complain("%s: %s", path, strerror(errno));
		return err;
	}
	while (!err && (c = getc(f)) != EOF)
		err = add((uint8_t)c);
	fclose(f);
	return err;
}

void text_repeat(uint8_t *buf, uint32_t size, uint32_t len)
{
	for (uint32_t i = len; i < size; i++)
		buf[i] = buf[i - len];
}

/* RFC 1071, not folded to 16 bits, bytes as they lie in memory. */
uint32_t text_sum(const uint8_t *p, uint32_t len, uint32_t start)
{
	uint64_t sum = start;
	uint16_t word;

	for (; len >= 2; p += 2, len -= 2) {
		memcpy(&word, p, 2);
		sum += word;
	}
	if (len)
		sum += *p;
	while (sum >> 32)
		sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}
