/* SPDX-License-Identifier: MIT */
#include "lib/log.h"
#include "lib/ids.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* Read by every thread; a reload may change them at any time. */
static atomic_int least_level = LOG_INFO;
static atomic_bool as_text;

static const char *const level_names[] = { "debug", "info", "warning", "error" };
static const char *const format_names[] = { "auto", "json", "text" };

static bool word_index(const char *const *words, int count, const char *word, int *index_r)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(words[i], word) == 0) {
			*index_r = i;
			return true;
		}
	}
	return false;
}

bool log_level_parse(const char *word, enum log_level *level_r)
{
	int i;

	if (!word_index(level_names, 4, word, &i))
		return false;
	*level_r = (enum log_level)i;
	return true;
}

bool log_format_parse(const char *word, enum log_format *format_r)
{
	int i;

	if (!word_index(format_names, 3, word, &i))
		return false;
	*format_r = (enum log_format)i;
	return true;
}

void log_setup(enum log_level least, enum log_format format)
{
	atomic_store(&least_level, (int)least);
	atomic_store(&as_text, format == LOG_TEXT || (format == LOG_AUTO && isatty(STDERR_FILENO)));
}

bool log_begin(struct log_line *line, enum log_level level, const char *event)
{
	struct buf *b = &line->text;

	if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
		return false;
	buf_init(b, LOG_MAX_LINE);
	line->as_text = atomic_load_explicit(&as_text, memory_order_relaxed);
	if (line->as_text) {
		struct buf time;
		buf_init(&time, 64);
		buf_json_time(&time, now_us(), 3);
		buf_add(b, time.base + 1, time.len - 2); /* without its quotes */
		buf_deinit(&time);
		buf_printf(b, " %-7s %s", level_names[level], event);
	} else {
		buf_json_begin(b, '{');
		buf_json_key(b, "time");
		buf_json_time(b, now_us(), 6);
		buf_json_key(b, "level");
		buf_json_string(b, level_names[level]);
		buf_json_key(b, "event");
		buf_json_string(b, event);
	}
	line->whole = b->len;
	return true;
}

static void field_done(struct log_line *line)
{
	if (!line->text.truncated)
		line->whole = line->text.len;
}

static bool needs_quotes(struct slice s)
{
	if (s.len == 0)
		return true;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.base[i] <= ' ' || strchr("\"\\=", s.base[i]) != NULL ||
			(unsigned char)s.base[i] >= 0x7f)
			return true;
	return false;
}

static void key(struct log_line *line, const char *name)
{
	if (line->as_text)
		buf_printf(&line->text, " %s=", name);
	else
		buf_json_key(&line->text, name);
}

void log_slice(struct log_line *line, const char *name, struct slice value)
{
	if (value.base == NULL)
		return;
	key(line, name);
	if (line->as_text && !needs_quotes(value)) {
		buf_add(&line->text, value.base, value.len);
	} else if (line->as_text) {
		struct buf quoted;
		buf_init(&quoted, LOG_MAX_LINE);
		buf_json_slice(&quoted, value);
		buf_add(&line->text, quoted.base, quoted.len);
		buf_deinit(&quoted);
	} else {
		buf_json_slice(&line->text, value);
	}
	field_done(line);
}

void log_str(struct log_line *line, const char *name, const char *value)
{
	log_slice(line, name, slice_str(value));
}

void log_int(struct log_line *line, const char *name, int64_t value)
{
	key(line, name);
	buf_printf(&line->text, "%" PRId64, value);
	field_done(line);
}

void log_bool(struct log_line *line, const char *name, bool value)
{
	key(line, name);
	buf_puts(&line->text, value ? "true" : "false");
	field_done(line);
}

void log_ms(struct log_line *line, const char *name, int64_t us)
{
	key(line, name);
	buf_printf(&line->text, "%" PRId64 ".%03d", us / 1000, (int)(us % 1000));
	field_done(line);
}

void log_end(struct log_line *line)
{
	struct buf *b = &line->text;

	if (b->truncated) {
		b->len = line->whole;
		b->truncated = false;
		b->max_bytes += 64; /* for the note that it was cut */
		buf_puts(b, line->as_text ? " (cut)\n" : ",\"cut\":true}\n");
	} else {
		buf_puts(b, line->as_text ? "\n" : "}\n");
	}
	/* A log that cannot be written must not stop the mail. */
	ssize_t written = write(STDERR_FILENO, b->base, b->len);
	(void)written;
	buf_deinit(b);
}

void log_say(enum log_level level, const char *fmt, ...)
{
	struct log_line line;
	va_list args;
	char text[1024];

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (log_begin(&line, level, text))
		log_end(&line);
}
