/* SPDX-License-Identifier: MIT */
/* buf.h - a string that grows up to a limit, and JSON written into it (RFC 8259)
 *
 * A buffer is born with its limit; what would go over it is left out and `truncated` is set, so a
 * caller checks once, at the end. The text is always NUL-terminated. Allocation failure aborts.
 *
 * Commas are not the caller's business: buf_json_* put one where one is due, by looking at the
 * last byte written. */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/slice.h"

#include <stdint.h>

struct buf {
	char *base;
	size_t len, capacity, max_bytes;
	bool truncated;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */

void buf_add(struct buf *buf, const void *p, size_t len);
void buf_puts(struct buf *buf, const char *s);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* RFC 3339, UTC, e.g. 2026-01-02T03:04:05Z, with `digits` (0, 3 or 6) of the second's fraction. */
void buf_time(struct buf *buf, int64_t us_since_epoch, int digits);

/* A JSON value each. Strings must be UTF-8 (bytes that are not come out as U+FFFD); NULL is null. */
void buf_json_string(struct buf *buf, const char *s);
void buf_json_slice(struct buf *buf, struct slice s);
void buf_json_int(struct buf *buf, int64_t v);
void buf_json_bool(struct buf *buf, bool v);
/* Text that is JSON already; NULL is null. */
void buf_json_raw(struct buf *buf, const char *json);
/* `"key":` - the next value is its. */
void buf_json_key(struct buf *buf, const char *key);
void buf_json_begin(struct buf *buf, char open); /* '{' or '[' */
void buf_json_end(struct buf *buf, char close);  /* '}' or ']' */
/* buf_time() as a string. */
void buf_json_time(struct buf *buf, int64_t us_since_epoch, int digits);

#endif
