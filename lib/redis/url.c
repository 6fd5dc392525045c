/* SPDX-License-Identifier: MIT */
#include "lib/redis/url.h"
#include "lib/digest.h"
#include "lib/slice.h"

#include <limits.h>

enum { DEFAULT_PORT = 6379 };

static const char unix_scheme[] = "unix:/", redis_scheme[] = "redis://";

/* NULL when a percent sign is followed by anything but two hex digits that are not 00. */
static const char *decode(struct arena *arena, struct slice s)
{
	char *text = arena_alloc(arena, s.len + 1), *out = text;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t byte = (uint8_t)s.base[i];
		if (byte == '%') {
			char hex[3] = { 0 };
			memcpy(hex, s.base + i + 1, s.len - i > 2 ? 2 : 0);
			if (!hex_decode(hex, &byte, 1) || byte == 0)
				return NULL;
			i += 2;
		}
		*out++ = (char)byte;
	}
	*out = '\0';
	return text;
}

/* All of it digits, and at most `max`. */
static bool read_number(struct slice s, uint32_t max, uint32_t *number_r)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > 10)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.base[i] < '0' || s.base[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.base[i] - '0');
	}
	*number_r = (uint32_t)n;
	return n <= max;
}

/* What stands before the first `c`; `*s` is then what stands behind it. False when it is not there,
 * with all of `*s` in `*before_r`. */
static bool cut(struct slice *s, char c, struct slice *before_r)
{
	const char *at = s->len > 0 ? memchr(s->base, c, s->len) : NULL;

	*before_r = *s;
	if (at == NULL)
		return false;
	before_r->len = (size_t)(at - s->base);
	s->len -= before_r->len + 1;
	s->base = at + 1;
	return true;
}

static bool read_login(struct arena *arena, struct slice login, struct redis_url *url)
{
	struct slice user;

	if (!cut(&login, ':', &user))
		return false;
	if (user.len > 0 && (url->user = decode(arena, user)) == NULL)
		return false;
	return (url->password = decode(arena, login)) != NULL;
}

static bool read_host(struct arena *arena, struct slice place, struct redis_url *url)
{
	struct slice host;
	uint32_t port = DEFAULT_PORT;
	bool has_port;

	if (place.len > 0 && place.base[0] == '[') {
		place.base++, place.len--;
		if (!cut(&place, ']', &host))
			return false;
		has_port = place.len > 0;
		if (has_port && *place.base != ':')
			return false;
		place.base += has_port, place.len -= has_port;
	} else {
		has_port = cut(&place, ':', &host);
	}
	if (host.len == 0 || (has_port && (!read_number(place, UINT16_MAX, &port) || port == 0)))
		return false;
	url->host = arena_strndup(arena, host.base, host.len);
	url->port = (uint16_t)port;
	return true;
}

bool redis_url_parse(struct arena *arena, const char *text, struct redis_url *url_r)
{
	struct redis_url url = { .path = NULL };
	struct slice s = slice_str(text), place, before;

	if (strncmp(text, unix_scheme, strlen(unix_scheme)) == 0) {
		url.path = arena_strdup(arena, text + strlen("unix:"));
		*url_r = url;
		return true;
	}
	if (strncmp(text, redis_scheme, strlen(redis_scheme)) != 0)
		return false;
	s.base += strlen(redis_scheme), s.len -= strlen(redis_scheme);
	/* A slash or colon in a password must be encoded, an "@" need not. */
	if (cut(&s, '/', &place) && s.len > 0 && !read_number(s, INT_MAX, &url.db))
		return false;
	const char *at = place.len > 0 ? memrchr(place.base, '@', place.len) : NULL;
	if (at != NULL) {
		before = (struct slice){ place.base, (size_t)(at - place.base) };
		place.len -= before.len + 1;
		place.base = at + 1;
		if (!read_login(arena, before, &url))
			return false;
	}
	if (!read_host(arena, place, &url))
		return false;
	*url_r = url;
	return true;
}
