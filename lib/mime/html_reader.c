/* SPDX-License-Identifier: MIT */
#include "lib/mime/html.h"

#include <ctype.h>
#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* `p` behind the next `c`, or NULL. */
static const char *behind(const char *p, const char *end, char c)
{
	const char *found = memchr(p, c, (size_t)(end - p));

	return found != NULL ? found + 1 : NULL;
}

static void to_bracket(struct html_reader *r, const char *from)
{
	const char *next = behind(from, r->end, '>');

	r->p = next != NULL ? next : r->end;
}

static void skip_comment(struct html_reader *r)
{
	const char *text = r->p + 4;
	size_t left = (size_t)(r->end - text);
	const char *close = NULL;

	if (left >= 1 && text[0] == '>') {
		r->p = text + 1;
		return;
	}
	if (!r->no_comment_end)
		close = memmem(text, left, "-->", 3);
	r->no_comment_end = close == NULL;
	/* One that never ends would take all the rest along. */
	if (close == NULL)
		to_bracket(r, text);
	else
		r->p = close + 3;
}

/* The end of a quoted value that begins at `p`, or NULL. */
static const char *closing_quote(struct html_reader *r, const char *p, char quote)
{
	bool *none = quote == '"' ? &r->no_quote : &r->no_apostrophe;
	const char *end = *none ? NULL : memchr(p, quote, (size_t)(r->end - p));

	*none = end == NULL;
	return end;
}

static void keep_attribute(struct html_tag *tag, struct slice name, struct slice value)
{
	struct slice *kept = NULL;

	if (slice_ieq(name, SLICE_LIT("href")))
		kept = &tag->href;
	else if (slice_ieq(name, SLICE_LIT("alt")))
		kept = &tag->alt;
	else if (slice_ieq(name, SLICE_LIT("style")))
		kept = &tag->style;
	else if (slice_ieq(name, SLICE_LIT("type")))
		kept = &tag->type;
	else if (slice_ieq(name, SLICE_LIT("start")) || slice_ieq(name, SLICE_LIT("value")))
		kept = &tag->number;
	else if (slice_ieq(name, SLICE_LIT("hidden")))
		tag->hidden = true;
	if (kept != NULL && kept->base == NULL)
		*kept = value;
}

/* At the `=` of an attribute; returns where the value ends. A quote that is never closed ends with
 * the tag, and not with the message. */
static const char *read_value(struct html_reader *r, const char *p, struct slice *value_r)
{
	const char *s = p + 1, *end;

	while (s < r->end && is_space(*s))
		s++;
	if (s < r->end && (*s == '"' || *s == '\'')) {
		end = closing_quote(r, s + 1, *s);
		s++;
		if (end != NULL) {
			*value_r = (struct slice){ s, (size_t)(end - s) };
			return end + 1;
		}
		end = memchr(s, '>', (size_t)(r->end - s));
		if (end == NULL)
			end = r->end;
	} else {
		for (end = s; end < r->end && !is_space(*end) && *end != '>';)
			end++;
	}
	*value_r = (struct slice){ s, (size_t)(end - s) };
	return end;
}

static void read_attributes(struct html_reader *r, const char *p, struct html_tag *tag)
{
	while (p < r->end) {
		while (p < r->end && (is_space(*p) || *p == '/'))
			p++;
		if (p == r->end || *p == '>')
			break;
		struct slice name = { p, 0 }, value = { "", 0 };
		do
			p++;
		while (p < r->end && !is_space(*p) && *p != '/' && *p != '>' && *p != '=');
		name.len = (size_t)(p - name.base);
		while (p < r->end && is_space(*p))
			p++;
		if (p < r->end && *p == '=')
			p = read_value(r, p, &value);
		keep_attribute(tag, name, value);
	}
	r->p = p < r->end ? p + 1 : r->end;
}

bool html_read_tag(struct html_reader *r, struct html_tag *tag_r)
{
	const char *p = r->p + 1;
	size_t n = 0;

	*tag_r = (struct html_tag){ .closing = p < r->end && *p == '/' };
	if (tag_r->closing)
		p++;
	if (p == r->end)
		return false;
	if (!isalpha((unsigned char)*p)) {
		if (r->end - r->p >= 4 && memcmp(r->p, "<!--", 4) == 0)
			skip_comment(r);
		else if (*p == '!' || *p == '?' || tag_r->closing)
			to_bracket(r, p);
		return false;
	}
	for (; p < r->end && !is_space(*p) && *p != '/' && *p != '>'; p++) {
		if (n < HTML_NAME_MAX)
			tag_r->name[n] = (char)tolower((unsigned char)*p);
		n++;
	}
	if (n > HTML_NAME_MAX)
		tag_r->name[0] = '\0';
	read_attributes(r, p, tag_r);
	return true;
}

void html_skip_to_close(struct html_reader *r, const char *name)
{
	size_t len = strlen(name);
	bool title = strcmp(name, "title") == 0;

	if (title && r->no_title_end)
		return;
	for (const char *p = r->p; p < r->end; p++) {
		p = memchr(p, '<', (size_t)(r->end - p));
		if (p == NULL)
			break;
		size_t left = (size_t)(r->end - p);
		if (left > len + 2 && p[1] == '/' && strncasecmp(p + 2, name, len) == 0 &&
			!isalnum((unsigned char)p[len + 2])) {
			r->p = p;
			return;
		}
	}
	if (title)
		r->no_title_end = true;
	else
		r->p = r->end;
}
