/* SPDX-License-Identifier: MIT */
/* slice.h - borrowed bytes with a length: any content, no NUL at the end */
#ifndef LIB_SLICE_H
#define LIB_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *base;
	size_t len;
};

#define SLICE_LIT(s) ((struct slice){ (s), sizeof(s) - 1 })

static inline struct slice slice_str(const char *s)
{
	return (struct slice){ s, s != NULL ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* ASCII letters compare without case. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.base, b.base, a.len) == 0);
}

static inline bool slice_begins(struct slice s, struct slice with)
{
	return s.len >= with.len && slice_eq((struct slice){ s.base, with.len }, with);
}

/* ASCII letters compare without case. */
static inline bool slice_ibegins(struct slice s, struct slice with)
{
	return s.len >= with.len && slice_ieq((struct slice){ s.base, with.len }, with);
}

static inline bool slice_ends(struct slice s, struct slice with)
{
	return s.len >= with.len &&
	       slice_eq((struct slice){ s.base + s.len - with.len, with.len }, with);
}

/* Past its first `len` bytes, of which it has so many. */
static inline void slice_skip(struct slice *s, size_t len)
{
	s->base += len;
	s->len -= len;
}

/* Without the spaces and tabs (and CR, LF) around it. */
static inline struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.base[0]) != NULL && s.base[0] != '\0')
		s.base++, s.len--;
	while (s.len > 0 && strchr(" \t\r\n", s.base[s.len - 1]) != NULL &&
		s.base[s.len - 1] != '\0')
		s.len--;
	return s;
}

#endif
