/* SPDX-License-Identifier: MIT */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

/* RFC 5322, 2.2: printable ASCII before a colon; blanks before the colon are obsolete syntax. Bytes
 * over 127 are let through, as they are in values. Returns the name's length, 0 when it is none. */
static size_t name_length(struct slice line)
{
	size_t i = 0, name;

	while (i < line.len && (unsigned char)line.base[i] > ' ' && line.base[i] != 0x7f &&
		line.base[i] != ':')
		i++;
	name = i;
	while (i < line.len && (line.base[i] == ' ' || line.base[i] == '\t'))
		i++;
	return i < line.len && line.base[i] == ':' ? name : 0;
}

bool mime_is_field(struct slice line)
{
	return name_length(line) > 0;
}

size_t mime_comment_length(struct slice s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.base[i] == '\\')
			i++;
		else if (s.base[i] == '(')
			depth++;
		else if (s.base[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

bool mime_is_stray_param(struct slice before, struct slice line)
{
	size_t i = 0;

	while (i < line.len &&
		(isalnum((unsigned char)line.base[i]) ||
			(i > 0 && strchr("*-_", line.base[i]) != NULL && line.base[i] != '\0')))
		i++;
	if (i == 0 || i == line.len || line.base[i] != '=')
		return false;
	/* Only now, and only from the end: there may be many lines of blanks. */
	while (before.len > 0 && strchr(" \t\r\n", before.base[before.len - 1]) != NULL &&
		before.base[before.len - 1] != '\0')
		before.len--;
	return before.len > 0 && before.base[before.len - 1] == ';';
}

/* The line at `at`, with its line end. */
static struct slice line_at(struct slice s, size_t at)
{
	const char *end = memchr(s.base + at, '\n', s.len - at);

	return (struct slice){ s.base + at,
		end != NULL ? (size_t)(end - s.base) + 1 - at : s.len - at };
}

static bool is_blank_line(struct slice line)
{
	return line.base[0] == '\n' ||
	       (line.len > 1 && line.base[0] == '\r' && line.base[1] == '\n');
}

static void add_field(struct mime_work *w, struct mime_fields *fields, struct slice field)
{
	size_t name = name_length(field);

	/* Only the first line of a section gets here with a blank in front. */
	if (name == 0 && name_length(slice_trim(field)) > 0) {
		mime_note(w, DEFECT_BAD_HEADER);
		field = slice_trim(field);
		name = name_length(field);
	}
	if (name == 0) {
		mime_note(w, DEFECT_BAD_HEADER);
		return;
	}
	const char *colon = memchr(field.base + name, ':', field.len - name);
	fields->list[fields->count++] = (struct mime_field){
		.name = { field.base, name },
		.value = { colon + 1, field.len - (size_t)(colon + 1 - field.base) },
	};
}

static size_t count_lines(struct slice section, size_t max)
{
	size_t lines = 0;

	for (size_t at = 0; at < section.len && lines < max; lines++)
		at += line_at(section, at).len;
	return lines;
}

struct mime_fields mime_fields_split(struct mime_work *w, struct slice section, size_t max)
{
	struct mime_fields fields = { NULL, 0 };
	size_t at = 0;

	fields.list = arena_alloc(w->arena, count_lines(section, max) * sizeof(fields.list[0]));
	while (at < section.len && fields.count < max) {
		struct slice field = line_at(section, at);
		if (is_blank_line(field))
			break;
		at += field.len;
		while (at < section.len) {
			struct slice more = line_at(section, at);
			bool stray = mime_is_stray_param(field, more);
			if (more.base[0] != ' ' && more.base[0] != '\t' && !stray)
				break;
			if (stray)
				mime_note(w, DEFECT_BAD_HEADER);
			field.len += more.len;
			at += more.len;
		}
		add_field(w, &fields, field);
	}
	return fields;
}

struct slice mime_fields_last(const struct mime_fields *fields, const char *name)
{
	for (size_t i = fields->count; i > 0; i--) {
		if (slice_ieq(fields->list[i - 1].name, slice_str(name)))
			return fields->list[i - 1].value;
	}
	return (struct slice){ "", 0 };
}
