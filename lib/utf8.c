/* SPDX-License-Identifier: MIT */
#include "lib/utf8.h"

#include <string.h>

/* How many bytes at `s` begin a well-formed sequence; `*whole_r` tells whether it is complete.
 * Follows the table of well-formed byte sequences in RFC 3629, section 4. */
static size_t well_formed_prefix(const unsigned char *s, size_t len, bool *whole_r)
{
	unsigned char lead = s[0], low = 0x80, high = 0xbf;
	size_t need;

	*whole_r = false;
	if (lead < 0x80) {
		*whole_r = true;
		return 1;
	}
	if (lead >= 0xc2 && lead <= 0xdf) {
		need = 2;
	} else if (lead >= 0xe0 && lead <= 0xef) {
		need = 3;
		if (lead == 0xe0)
			low = 0xa0;
		if (lead == 0xed)
			high = 0x9f;
	} else if (lead >= 0xf0 && lead <= 0xf4) {
		need = 4;
		if (lead == 0xf0)
			low = 0x90;
		if (lead == 0xf4)
			high = 0x8f;
	} else {
		return 1;
	}
	for (size_t i = 1; i < need; i++) {
		if (i >= len || s[i] < low || s[i] > high)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	*whole_r = true;
	return need;
}

size_t utf8_sequence(const char *s, size_t len)
{
	bool whole;

	if (len == 0)
		return 0;
	size_t n = well_formed_prefix((const unsigned char *)s, len, &whole);
	return whole ? n : 0;
}

bool utf8_is_clean(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_sequence(s + i, len - i);
		if (n == 0 || s[i] == '\0')
			return false;
	}
	return true;
}

char *utf8_clean(struct arena *arena, const char *s, size_t len, size_t max_bytes, bool *changed_r)
{
	const size_t rep_len = sizeof(UTF8_REPLACEMENT) - 1;
	size_t out_len = 0, i, n;
	bool whole, changed = false;

	/* Twice over the bytes: first to know the size, then to copy. */
	for (i = 0; i < len; i += n) {
		n = well_formed_prefix((const unsigned char *)s + i, len - i, &whole);
		bool good = whole && s[i] != '\0';
		size_t add = good ? n : rep_len;
		if (!good)
			changed = true;
		if (add > max_bytes - out_len) {
			changed = true;
			break;
		}
		out_len += add;
	}
	if (changed && changed_r != NULL)
		*changed_r = true;
	if (!changed)
		return arena_strndup(arena, s, len);

	char *out = arena_alloc(arena, out_len + 1), *p = out;
	for (i = 0; p < out + out_len; i += n) {
		n = well_formed_prefix((const unsigned char *)s + i, len - i, &whole);
		if (whole && s[i] != '\0') {
			memcpy(p, s + i, n);
			p += n;
		} else {
			memcpy(p, UTF8_REPLACEMENT, rep_len);
			p += rep_len;
		}
	}
	*p = '\0';
	return out;
}
