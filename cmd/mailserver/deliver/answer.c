/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/answer.h"

#include <ctype.h>

void answer_init(struct http_answer *answer)
{
	*answer = (struct http_answer){ .retry_after_s = -1 };
	buf_init(&answer->body, ANSWER_MAX_BYTES);
}

void answer_deinit(struct http_answer *answer)
{
	buf_deinit(&answer->body);
}

bool is_enhanced_status(struct slice text)
{
	size_t at = 1;

	if (text.len < 5 || strchr("245", text.base[0]) == NULL)
		return false;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;
		if (at >= text.len || text.base[at++] != '.')
			return false;
		while (at < text.len && isdigit((unsigned char)text.base[at]))
			at++, digits++;
		if (digits < 1 || digits > 3)
			return false;
	}
	return at == text.len;
}

/* -1 unless it is a number of at most nine digits. */
static long number(struct slice text)
{
	long n = 0;

	if (text.len == 0 || text.len > 9)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.base[i]))
			return -1;
		n = 10 * n + (text.base[i] - '0');
	}
	return n;
}

void answer_note_field(struct http_answer *answer, struct slice name, struct slice value)
{
	value = slice_trim(value);
	if (slice_ieq(name, SLICE_LIT("x-mail-status")) && is_enhanced_status(value)) {
		memcpy(answer->enhanced, value.base, value.len);
		answer->enhanced[value.len] = '\0';
	} else if (slice_ieq(name, SLICE_LIT("retry-after"))) {
		answer->retry_after_s = number(value); /* a date is as good as none */
	}
}

/* Takes one line off, without its CR LF; false when there is no whole one. */
static bool take_line(struct slice *rest, struct slice *line_r)
{
	const char *end = rest->len > 0 ? memchr(rest->base, '\n', rest->len) : NULL;

	if (end == NULL)
		return false;
	line_r->base = rest->base;
	line_r->len = (size_t)(end - rest->base);
	rest->len -= line_r->len + 1;
	rest->base = end + 1;
	if (line_r->len > 0 && line_r->base[line_r->len - 1] == '\r')
		line_r->len--;
	return true;
}

/* "HTTP/1.1 503 Service Unavailable"; the phrase may be missing (RFC 9112, 4). */
static int read_status(struct slice line)
{
	if (line.len < 12 || memcmp(line.base, "HTTP/1.", 7) != 0 || line.base[8] != ' ' ||
		(line.len > 12 && line.base[12] != ' '))
		return -1;
	return (int)number((struct slice){ line.base + 9, 3 });
}

struct framing {
	long length; /* -1: not said */
	bool is_chunked, is_bad;
};

/* The fields up to the empty line; false when it has not come yet. */
static bool read_fields(struct slice *rest, struct http_answer *answer, struct framing *framing_r)
{
	struct slice line;

	*framing_r = (struct framing){ .length = -1 };
	while (take_line(rest, &line)) {
		if (line.len == 0)
			return true;
		const char *colon = memchr(line.base, ':', line.len);
		if (colon == NULL) {
			framing_r->is_bad = true;
			continue;
		}
		struct slice name = { line.base, (size_t)(colon - line.base) };
		struct slice value = { colon + 1, line.len - name.len - 1 };
		value = slice_trim(value);
		if (slice_ieq(name, SLICE_LIT("content-length"))) {
			framing_r->length = number(value);
			framing_r->is_bad |= framing_r->length < 0;
		} else if (slice_ieq(name, SLICE_LIT("transfer-encoding"))) {
			framing_r->is_chunked = slice_ieq(value, SLICE_LIT("chunked"));
			framing_r->is_bad |= !framing_r->is_chunked;
		} else {
			answer_note_field(answer, name, value);
		}
	}
	return false;
}

/* RFC 9112, 7.1. Trailer fields are not waited for. */
static enum answer_state read_chunks(struct slice rest, struct buf *body)
{
	struct slice line;

	while (take_line(&rest, &line)) {
		size_t size = 0, digits = 0;
		for (; digits < line.len && isxdigit((unsigned char)line.base[digits]); digits++) {
			char c = (char)tolower((unsigned char)line.base[digits]);
			size = 16 * size + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
			if (size > ANSWER_MAX_BYTES)
				return ANSWER_BAD;
		}
		if (digits == 0)
			return ANSWER_BAD;
		if (size == 0)
			return ANSWER_WHOLE;
		if (rest.len < size)
			return ANSWER_MORE;
		buf_add(body, rest.base, size);
		rest.base += size;
		rest.len -= size;
		if (rest.len > 0 && !take_line(&rest, &line))
			return rest.len < 2 ? ANSWER_MORE : ANSWER_BAD;
	}
	return ANSWER_MORE;
}

/* How long the body is: RFC 9112, 6.3. */
static enum answer_state read_body(
	struct slice rest, const struct framing *framing, bool at_end, struct http_answer *answer)
{
	size_t length = (size_t)framing->length;

	if (framing->is_bad)
		return ANSWER_BAD;
	if (answer->status == 204 || answer->status == 304)
		return ANSWER_WHOLE;
	if (framing->is_chunked)
		return read_chunks(rest, &answer->body);
	if (framing->length < 0) {
		buf_add(&answer->body, rest.base, rest.len);
		return at_end ? ANSWER_WHOLE : ANSWER_MORE;
	}
	buf_add(&answer->body, rest.base, rest.len < length ? rest.len : length);
	return rest.len < length ? ANSWER_MORE : ANSWER_WHOLE;
}

enum answer_state answer_read(
	struct slice bytes, bool at_end, struct http_answer *answer_r, bool *continue_r)
{
	static const struct slice version = { "HTTP/1.", 7 };
	struct framing framing;
	struct slice line;

	/* What does not begin as HTTP will not become it, and may never send a line. */
	size_t seen = bytes.len < version.len ? bytes.len : version.len;
	if (seen > 0 && memcmp(bytes.base, version.base, seen) != 0)
		return ANSWER_BAD;
	while (take_line(&bytes, &line)) {
		answer_deinit(answer_r);
		answer_init(answer_r);
		answer_r->status = read_status(line);
		if (answer_r->status < 100 || answer_r->status > 599)
			return ANSWER_BAD;
		if (!read_fields(&bytes, answer_r, &framing))
			return ANSWER_MORE;
		if (answer_r->status >= 200)
			return read_body(bytes, &framing, at_end, answer_r);
		*continue_r |= answer_r->status == 100;
	}
	return ANSWER_MORE;
}
