/* SPDX-License-Identifier: MIT */
#include "lib/config/findings.h"
#include "lib/utf8.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024, QUOTED_BYTES = 60, OUTPUT_BYTES = 16 * 1024 * 1024 };

static void grow(struct findings *f)
{
	size_t capacity = f->capacity == 0 ? 16 : f->capacity * 2;
	struct config_finding *list = arena_alloc(f->arena, capacity * sizeof(*list));

	if (f->all.count > 0)
		memcpy(list, f->all.list, f->all.count * sizeof(*list));
	f->all.list = list;
	f->capacity = capacity;
}

void findings_add(struct findings *f, enum config_severity severity, struct origin at,
	const char *pointer, const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (f->all.count == f->capacity)
		grow(f);
	f->all.list[f->all.count++] = (struct config_finding){
		.severity = severity,
		.source = at.source,
		.line = at.line,
		.column = at.column,
		.pointer = arena_strdup(f->arena, pointer),
		.message = utf8_clean(f->arena, message, strlen(message), MESSAGE_BYTES, NULL),
	};
	if (severity == CONFIG_ERROR)
		f->all.errors++;
	else
		f->all.warnings++;
}

static bool goes_before(const struct config_finding *a, const struct config_finding *b)
{
	unsigned line_a = a->line > 0 ? a->line : UINT_MAX;
	unsigned line_b = b->line > 0 ? b->line : UINT_MAX;

	return line_a != line_b ? line_a < line_b : a->column < b->column;
}

/* By insertion: equals keep their order, and most are in order already. */
void findings_sort(struct findings *f)
{
	struct config_finding *list = f->all.list;

	for (size_t i = 1; i < f->all.count; i++) {
		struct config_finding moved = list[i];
		size_t j = i;
		for (; j > 0 && goes_before(&moved, &list[j - 1]); j--)
			list[j] = list[j - 1];
		list[j] = moved;
	}
}

const char *findings_quote(struct arena *arena, const char *text)
{
	size_t len = strlen(text);

	return arena_printf(arena, "\"%s%s\"", utf8_clean(arena, text, len, QUOTED_BYTES, NULL),
		len > QUOTED_BYTES ? "…" : "");
}

const char *findings_place(struct arena *arena, const char *pointer, struct origin at)
{
	if (at.line == 0)
		return arena_printf(arena, "%s (%s)", pointer, at.source);
	return arena_printf(arena, "%s (%s:%u:%u)", pointer, at.source, at.line, at.column);
}

static const char *severity_name(enum config_severity severity)
{
	return severity == CONFIG_ERROR ? "error" : "warning";
}

/* A finding is one line, whatever control characters a key or a file name holds. */
static void add_one_line(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_putc(out, (char)c);
	}
}

static void add_finding(struct buf *out, const struct config_finding *f)
{
	add_one_line(out, f->source);
	if (f->line > 0)
		buf_printf(out, ":%u:%u", f->line, f->column);
	buf_printf(out, ": %s: ", severity_name(f->severity));
	if (f->pointer[0] != '\0') {
		add_one_line(out, f->pointer);
		buf_puts(out, ": ");
	}
	add_one_line(out, f->message);
}

char *config_finding_format(const struct config_finding *f)
{
	struct buf out;

	buf_init(&out, OUTPUT_BYTES);
	add_finding(&out, f);
	return out.base;
}

char *config_findings_text(const struct config_findings *findings)
{
	struct buf out;

	buf_init(&out, OUTPUT_BYTES);
	buf_puts(&out, "");
	for (size_t i = 0; i < findings->count; i++) {
		add_finding(&out, &findings->list[i]);
		buf_putc(&out, '\n');
	}
	return out.base;
}

static void add_json(
	struct buf *out, const struct config_findings *findings, enum config_severity severity)
{
	buf_json_begin(out, '[');
	for (size_t i = 0; i < findings->count; i++) {
		const struct config_finding *f = &findings->list[i];
		if (f->severity != severity)
			continue;
		buf_json_begin(out, '{');
		buf_json_key(out, "source");
		buf_json_string(out, f->source);
		buf_json_key(out, "line");
		buf_json_int(out, f->line);
		buf_json_key(out, "column");
		buf_json_int(out, f->column);
		buf_json_key(out, "pointer");
		buf_json_string(out, f->pointer);
		buf_json_key(out, "message");
		buf_json_string(out, f->message);
		buf_json_end(out, '}');
	}
	buf_json_end(out, ']');
}

char *config_findings_json(const struct config_findings *findings)
{
	struct buf out;

	buf_init(&out, OUTPUT_BYTES);
	buf_json_begin(&out, '{');
	buf_json_key(&out, "valid");
	buf_json_bool(&out, findings->errors == 0);
	buf_json_key(&out, "errors");
	add_json(&out, findings, CONFIG_ERROR);
	buf_json_key(&out, "warnings");
	add_json(&out, findings, CONFIG_WARNING);
	buf_json_end(&out, '}');
	return out.base;
}
