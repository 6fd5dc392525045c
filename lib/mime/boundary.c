/* SPDX-License-Identifier: MIT */
/* Boundaries that GMime cannot know of: those in the extended forms of RFC 2231, which are kept from
 * it, and those that only the content tells. It gets them in a field of our own making. */
#include "lib/mime/internal.h"

#include <string.h>

enum {
	MAX_LINES = 100,    /* of a preamble, in which a boundary is looked for */
	MAX_INFERRED = 200, /* bytes; RFC 2046 allows 70 */
};

static struct slice next_line(struct slice *rest)
{
	const char *end = memchr(rest->base, '\n', rest->len);
	struct slice line = { rest->base, end != NULL ? (size_t)(end - rest->base) : rest->len };

	slice_skip(rest, end != NULL ? line.len + 1 : line.len);
	return line;
}

static bool begins_part(struct slice line)
{
	static const char field[] = "content-";

	return line.len > sizeof(field) - 1 &&
	       strncasecmp(line.base, field, sizeof(field) - 1) == 0 && mime_is_field(line);
}

/* What may be named in a quoted string, and is not what GMime would decode (RFC 2047). */
static bool can_be_given(struct slice boundary)
{
	if (boundary.len == 0 || boundary.len > MAX_INFERRED)
		return false;
	for (size_t i = 0; i < boundary.len; i++) {
		unsigned char c = (unsigned char)boundary.base[i];
		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			return false;
	}
	return memmem(boundary.base, boundary.len, "=?", 2) == NULL;
}

const char *mime_boundary_of_content(struct mime_work *w, struct slice content)
{
	struct slice line = next_line(&content);

	for (int i = 0; i < MAX_LINES && content.len > 0; i++) {
		struct slice follows = next_line(&content);
		if (line.len > 2 && memcmp(line.base, "--", 2) == 0 && begins_part(follows)) {
			slice_skip(&line, 2);
			while (line.len > 0 && strchr(" \t\r", line.base[line.len - 1]) != NULL)
				line.len--;
			return can_be_given(line) ? arena_strndup(w->arena, line.base, line.len)
						  : NULL;
		}
		line = follows;
	}
	return NULL;
}

const char *mime_boundary_extended(struct mime_work *w, struct slice type)
{
	const char *boundary = mime_param(w, type, "boundary");

	return boundary != NULL && can_be_given(slice_str(boundary)) ? boundary : NULL;
}

bool mime_boundary_give(
	struct mime_work *w, char *masked, size_t len, struct slice type, const char *boundary)
{
	const char *token = mime_token(w, type);
	const char *field = arena_printf(
		w->arena, "Content-Type: %s; boundary=\"%s\"", token, boundary);
	size_t needed = strlen(field);

	while (len > 0 && (masked[len - 1] == '\n' || masked[len - 1] == '\r'))
		len--;
	if (needed > len)
		return false;
	memcpy(masked, field, needed);
	memset(masked + needed, ' ', len - needed);
	return true;
}
