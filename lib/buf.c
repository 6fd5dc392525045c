/* SPDX-License-Identifier: MIT */
#include "lib/buf.h"
#include "lib/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void buf_init(struct buf *buf, size_t max_bytes)
{
	*buf = (struct buf){ .max_bytes = max_bytes };
}

void buf_deinit(struct buf *buf)
{
	free(buf->base);
	*buf = (struct buf){ .max_bytes = buf->max_bytes };
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->truncated = false;
	if (buf->base != NULL)
		buf->base[0] = '\0';
}

/* Room for `more` bytes and a NUL; false when the limit is in the way. */
static bool reserve(struct buf *buf, size_t more)
{
	size_t need = buf->len + more + 1;

	if (buf->truncated || more > buf->max_bytes - buf->len) {
		buf->truncated = true;
		return false;
	}
	if (need <= buf->capacity)
		return true;
	size_t capacity = buf->capacity < 256 ? 256 : buf->capacity * 2;
	if (capacity < need)
		capacity = need;
	buf->base = realloc(buf->base, capacity);
	if (buf->base == NULL) {
		fprintf(stderr, "out of memory (%zu bytes)\n", capacity);
		abort();
	}
	buf->capacity = capacity;
	return true;
}

void buf_add(struct buf *buf, const void *p, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len > 0)
		memcpy(buf->base + buf->len, p, len);
	buf->len += len;
	buf->base[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *s)
{
	buf_add(buf, s, strlen(s));
}

void buf_putc(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args, again;
	int len;

	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (reserve(buf, (size_t)len)) {
		vsnprintf(buf->base + buf->len, (size_t)len + 1, fmt, again);
		buf->len += (size_t)len;
	}
	va_end(again);
}

static void comma_if_due(struct buf *buf)
{
	if (buf->len > 0 && strchr("[{:,", buf->base[buf->len - 1]) == NULL)
		buf_putc(buf, ',');
}

void buf_json_slice(struct buf *buf, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	size_t done = 0, i = 0;

	if (s.base == NULL) {
		buf_json_raw(buf, NULL);
		return;
	}
	comma_if_due(buf);
	buf_putc(buf, '"');
	while (i < s.len) {
		unsigned char c = (unsigned char)s.base[i];
		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
			i++;
			continue;
		}
		size_t n = c < 0x80 ? 0 : utf8_sequence(s.base + i, s.len - i);
		if (n > 0) {
			i += n;
			continue;
		}
		buf_add(buf, s.base + done, i - done);
		done = ++i;
		switch (c) {
		case '"':
			buf_puts(buf, "\\\"");
			break;
		case '\\':
			buf_puts(buf, "\\\\");
			break;
		case '\n':
			buf_puts(buf, "\\n");
			break;
		case '\r':
			buf_puts(buf, "\\r");
			break;
		case '\t':
			buf_puts(buf, "\\t");
			break;
		default:
			if (c < 0x20) {
				buf_add(buf,
					(char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] },
					6);
			} else {
				buf_puts(buf, UTF8_REPLACEMENT);
			}
		}
	}
	buf_add(buf, s.base + done, s.len - done);
	buf_putc(buf, '"');
}

void buf_json_string(struct buf *buf, const char *s)
{
	buf_json_slice(buf, slice_str(s));
}

void buf_json_int(struct buf *buf, int64_t v)
{
	comma_if_due(buf);
	buf_printf(buf, "%" PRId64, v);
}

void buf_json_bool(struct buf *buf, bool v)
{
	buf_json_raw(buf, v ? "true" : "false");
}

void buf_json_raw(struct buf *buf, const char *json)
{
	comma_if_due(buf);
	buf_puts(buf, json != NULL ? json : "null");
}

void buf_json_key(struct buf *buf, const char *key)
{
	buf_json_string(buf, key);
	buf_putc(buf, ':');
}

void buf_json_begin(struct buf *buf, char open)
{
	comma_if_due(buf);
	buf_putc(buf, open);
}

void buf_json_end(struct buf *buf, char close)
{
	buf_putc(buf, close);
}

void buf_time(struct buf *buf, int64_t us_since_epoch, int digits)
{
	int64_t s = us_since_epoch / 1000000, us = us_since_epoch % 1000000;
	struct tm tm;

	if (us < 0) {
		us += 1000000;
		s--;
	}
	gmtime_r(&(time_t){ s }, &tm);
	buf_printf(buf, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (digits == 3)
		buf_printf(buf, ".%03d", (int)(us / 1000));
	else if (digits == 6)
		buf_printf(buf, ".%06d", (int)us);
	buf_putc(buf, 'Z');
}

void buf_json_time(struct buf *buf, int64_t us_since_epoch, int digits)
{
	comma_if_due(buf);
	buf_putc(buf, '"');
	buf_time(buf, us_since_epoch, digits);
	buf_putc(buf, '"');
}
