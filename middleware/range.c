/* SPDX-License-Identifier: MIT */
#include "middleware/range.h"

/* Takes the digits off the front; a number that is too large is the largest. False without any. */
static bool take_number(struct slice *s, uint64_t *n_r)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < s->len && s->base[i] >= '0' && s->base[i] <= '9'; i++) {
		uint64_t digit = (uint64_t)(s->base[i] - '0');
		n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
	}
	slice_skip(s, i);
	*n_r = n;
	return i > 0;
}

static bool take_char(struct slice *s, char c)
{
	if (s->len == 0 || s->base[0] != c)
		return false;
	slice_skip(s, 1);
	return true;
}

static enum range suffix(struct slice s, uint64_t size, uint64_t *first_r, uint64_t *length_r)
{
	uint64_t wanted;

	if (!take_number(&s, &wanted) || s.len > 0)
		return RANGE_WHOLE;
	if (wanted == 0)
		return RANGE_NOT_SATISFIABLE;
	if (size == 0) /* could be given, but not be told in a Content-Range */
		return RANGE_WHOLE;
	*length_r = wanted < size ? wanted : size;
	*first_r = size - *length_r;
	return RANGE_ONE;
}

enum range range_parse(struct slice value, uint64_t size, uint64_t *first_r, uint64_t *length_r)
{
	static const struct slice unit = { "bytes=", sizeof("bytes=") - 1 };
	struct slice s = slice_trim(value);
	uint64_t first, last = UINT64_MAX;

	if (s.len < unit.len || !slice_ieq((struct slice){ s.base, unit.len }, unit))
		return RANGE_WHOLE;
	slice_skip(&s, unit.len);
	if (take_char(&s, '-'))
		return suffix(s, size, first_r, length_r);
	if (!take_number(&s, &first) || !take_char(&s, '-'))
		return RANGE_WHOLE;
	bool has_last = take_number(&s, &last);
	if (s.len > 0 || (has_last && last < first))
		return RANGE_WHOLE;
	if (first >= size)
		return RANGE_NOT_SATISFIABLE;
	if (!has_last || last >= size)
		last = size - 1;
	*first_r = first;
	*length_r = last - first + 1;
	return RANGE_ONE;
}

bool etag_in_list(struct slice list, struct slice etag)
{
	struct slice s = slice_trim(list);

	if (slice_eq(s, SLICE_LIT("*")))
		return true;
	while (s.len > 0) {
		if (s.base[0] == ' ' || s.base[0] == '\t' || s.base[0] == ',') {
			slice_skip(&s, 1);
			continue;
		}
		if (slice_begins(s, SLICE_LIT("W/")))
			slice_skip(&s, 2);
		/* A tag may hold commas: it ends with its second quote. */
		const char *end = s.len > 1 && s.base[0] == '"' ? memchr(s.base + 1, '"', s.len - 1)
								: NULL;
		if (end == NULL)
			return false;
		size_t len = (size_t)(end - s.base) + 1;
		if (slice_eq((struct slice){ s.base, len }, etag))
			return true;
		slice_skip(&s, len);
	}
	return false;
}

bool range_is_allowed(struct slice if_range, struct slice etag)
{
	return if_range.base == NULL || slice_eq(slice_trim(if_range), etag);
}
