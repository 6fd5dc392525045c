/* SPDX-License-Identifier: MIT */
/* What is left to read of text/enriched, text/richtext and text/calendar. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <stdio.h>

/* text/enriched and text/richtext */

struct enriched {
	struct buf *out;
	bool richtext;
	size_t parameters; /* <param> and comments that are open: what is in them is not shown */
	size_t verbatim;   /* <nofill>: line ends stand for themselves */
	size_t newlines;   /* single ones are blanks, of several all but the first count */
};

static void put_line_ends(struct enriched *e)
{
	if (e->newlines == 1 && e->verbatim == 0)
		buf_putc(e->out, ' ');
	else
		for (size_t i = e->verbatim > 0 ? 0 : 1; i < e->newlines; i++)
			buf_putc(e->out, '\n');
	e->newlines = 0;
}

static void put(struct enriched *e, const char *p, size_t len)
{
	if (e->parameters > 0)
		return;
	put_line_ends(e);
	mime_add_some(e->out, p, len);
}

static void count(size_t *level, bool closing)
{
	if (!closing)
		++*level;
	else if (*level > 0)
		--*level;
}

static void handle_command(struct enriched *e, struct slice name)
{
	bool closing = name.len > 0 && name.base[0] == '/';

	if (closing)
		name = (struct slice){ name.base + 1, name.len - 1 };
	if (slice_ieq(name, SLICE_LIT("param")) || slice_ieq(name, SLICE_LIT("comment"))) {
		count(&e->parameters, closing);
	} else if (slice_ieq(name, SLICE_LIT("nofill"))) {
		put_line_ends(e);
		count(&e->verbatim, closing);
	} else if (e->richtext && slice_ieq(name, SLICE_LIT("lt"))) {
		put(e, "<", 1);
	} else if (e->richtext && (slice_ieq(name, SLICE_LIT("nl")) ||
					  (slice_ieq(name, SLICE_LIT("paragraph")) && closing))) {
		put(e, "\n", 1);
	}
}

/* RFC 1896: `<<` is a `<`, and commands have 60 characters at most. */
static size_t put_bracket(struct enriched *e, struct slice s)
{
	enum { LONGEST = 62 };
	const char *end;

	if (!e->richtext && s.len > 1 && s.base[1] == '<') {
		put(e, "<", 1);
		return 2;
	}
	end = memchr(s.base, '>', s.len < LONGEST ? s.len : LONGEST);
	if (end == NULL) {
		put(e, "<", 1);
		return 1;
	}
	handle_command(e, (struct slice){ s.base + 1, (size_t)(end - s.base - 1) });
	return (size_t)(end - s.base) + 1;
}

void mime_enriched_to_text(struct slice s, bool richtext, struct buf *out)
{
	struct enriched e = { .out = out, .richtext = richtext };

	while (s.len > 0 && !out->truncated) {
		size_t n = 0;
		while (n < s.len && s.base[n] != '<' && s.base[n] != '\n')
			n++;
		if (n > 0) {
			put(&e, s.base, n);
		} else if (s.base[0] == '\n') {
			e.newlines += e.parameters == 0;
			n = 1;
		} else {
			n = put_bracket(&e, s);
		}
		s.base += n;
		s.len -= n;
	}
	if (out->len > 0)
		buf_putc(out, '\n');
}

/* text/calendar */

struct property {
	struct slice name, parameters, value; /* `value` still folded and escaped */
};

/* The property at `*at`, with its continuation lines; `*at` is moved behind it. */
static struct property read_property(struct slice s, size_t *at)
{
	size_t start = *at, end = start;
	bool quoted = false;

	do {
		const char *lf = memchr(s.base + end, '\n', s.len - end);
		end = lf != NULL ? (size_t)(lf - s.base) + 1 : s.len;
	} while (end < s.len && (s.base[end] == ' ' || s.base[end] == '\t'));
	*at = end;
	struct slice line = { s.base + start, end - start };
	size_t name = 0, colon;
	while (name < line.len && strchr(";:\n", line.base[name]) == NULL)
		name++;
	for (colon = name; colon < line.len && (quoted || line.base[colon] != ':'); colon++)
		quoted = quoted != (line.base[colon] == '"');
	struct property property = { .name = { line.base, name },
		{ line.base + name, colon - name } };
	if (colon < line.len)
		property.value = (struct slice){ line.base + colon + 1, line.len - colon - 1 };
	return property;
}

/* RFC 5545, 3.1 and 3.3.11. */
static void add_value(struct slice value, struct buf *out)
{
	value = slice_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.base[i], next = i + 1 < value.len ? value.base[i + 1] : '\0';
		if (c == '\n') {
			i++; /* and the blank that makes it a continuation */
		} else if (c == '\\' && next != '\0') {
			buf_putc(out, next == 'n' || next == 'N' ? '\n' : next);
			i++;
		} else {
			buf_putc(out, c);
		}
	}
}

static bool digits(const char *p, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!isdigit((unsigned char)p[i]))
			return false;
	}
	return true;
}

/* 20251107T102000Z as people write it; the zone's name as it stands. */
static void add_time(const struct property *time, struct buf *out)
{
	struct slice v = slice_trim(time->value);
	const char *zone = memmem(time->parameters.base, time->parameters.len, "TZID=", 5);

	if (v.len < 8 || !digits(v.base, 8)) {
		add_value(v, out);
		return;
	}
	buf_printf(out, "%.4s-%.2s-%.2s", v.base, v.base + 4, v.base + 6);
	if (v.len < 15 || v.base[8] != 'T' || !digits(v.base + 9, 6))
		return;
	buf_printf(out, " %.2s:%.2s", v.base + 9, v.base + 11);
	if (v.len > 15 && v.base[15] == 'Z') {
		buf_puts(out, " UTC");
	} else if (zone != NULL) {
		size_t left = time->parameters.len - (size_t)(zone + 5 - time->parameters.base);
		const char *end = memchr(zone, ';', left);
		buf_putc(out, ' ');
		buf_add(out, zone + 5, end != NULL ? (size_t)(end - zone - 5) : left);
	}
}

/* The first event of it, and what would be shown of it, in this order. */
enum shown { SUMMARY, START, END, LOCATION, DESCRIPTION, SHOWN_COUNT };

void mime_calendar_to_text(struct slice calendar, struct buf *out)
{
	static const char *const names[SHOWN_COUNT] = { "SUMMARY", "DTSTART", "DTEND", "LOCATION",
		"DESCRIPTION" };
	struct property shown[SHOWN_COUNT] = { 0 };
	bool inside = false;

	for (size_t at = 0; at < calendar.len;) {
		struct property p = read_property(calendar, &at);
		struct slice value = slice_trim(p.value);
		bool item = slice_ieq(value, SLICE_LIT("VEVENT")) ||
			    slice_ieq(value, SLICE_LIT("VTODO"));
		if (item && slice_ieq(p.name, SLICE_LIT("BEGIN")))
			inside = true;
		else if (inside && slice_ieq(p.name, SLICE_LIT("BEGIN")))
			break; /* an alarm, with a description of its own */
		else if (item && slice_ieq(p.name, SLICE_LIT("END")))
			break;
		for (int i = 0; inside && i < SHOWN_COUNT; i++) {
			if (shown[i].name.len == 0 && slice_ieq(p.name, slice_str(names[i])))
				shown[i] = p;
		}
	}
	for (int i = 0; i < SHOWN_COUNT; i++) {
		if (slice_trim(shown[i].value).len == 0)
			continue;
		if (i == DESCRIPTION && out->len > 0)
			buf_putc(out, '\n');
		if (i == START || i == END)
			add_time(&shown[i], out);
		else
			add_value(shown[i].value, out);
		buf_puts(out, i == START && shown[END].name.len > 0 ? " - " : "\n");
	}
}
