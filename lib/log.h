/* SPDX-License-Identifier: MIT */
/* log.h - one line per event on standard error: JSON for machines, text for people
 *
 *	struct log_line l;
 *	if (log_begin(&l, LOG_INFO, "listening")) {
 *		log_str(&l, "address", "127.0.0.1");
 *		log_int(&l, "port", 3000);
 *		log_end(&l);
 *	}
 *
 * Never a token, never a message's content. Library code returns errors; programs log them.
 *
 * Threads    Any; log_setup() may be called again. A line is one write(2), so lines do not mix. */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT }; /* auto: text on a terminal, else JSON */

enum { LOG_MAX_LINE = 8192 }; /* bytes; a longer line is cut, and says so */

struct log_line {
	struct buf text;
	bool as_text;
	size_t whole; /* bytes up to the end of the last field that fitted */
};

void log_setup(enum log_level least, enum log_format format);
/* "debug" …, "auto" …: false for any other word. */
bool log_level_parse(const char *word, enum log_level *level_r);
bool log_format_parse(const char *word, enum log_format *format_r);

/* False when lines of that level are not wanted; nothing is to be ended then. */
bool log_begin(struct log_line *line, enum log_level level, const char *event);
void log_str(struct log_line *line, const char *key, const char *value); /* NULL: left out */
void log_slice(struct log_line *line, const char *key, struct slice value);
void log_int(struct log_line *line, const char *key, int64_t value);
void log_bool(struct log_line *line, const char *key, bool value);
void log_ms(struct log_line *line, const char *key, int64_t us); /* as milliseconds, 3 decimals */
void log_end(struct log_line *line);

/* An event that is a sentence and nothing else. */
void log_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
