/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/maillog_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
	BUFFER_BYTES = 256 << 10, /* a longer line is cut */
	ZLIB_BUFFER_BYTES = 128 << 10,
};

/* Nobody's log is silent for longer, unless a part of it is missing; and no line is older than the one
 * before it by more, unless another part begins. */
#define LONGEST_SILENCE_US (INT64_C(86400) * 1000000)
#define DISORDER_US        (INT64_C(3600) * 1000000)

/* --- lines --- */

struct lines {
	gzFile file;
	char *base;
	size_t at, len; /* of what is read and not given yet */
	bool is_cut;    /* the rest of a long line follows */
	bool has_failed;
};

/* More into the buffer; false at the end. */
static bool fill(struct lines *in)
{
	memmove(in->base, in->base + in->at, in->len - in->at);
	in->len -= in->at;
	in->at = 0;
	int got = gzread(in->file, in->base + in->len, (unsigned)(BUFFER_BYTES - in->len));
	in->has_failed = got < 0;
	if (got > 0)
		in->len += (size_t)got;
	return got > 0;
}

/* What is in the buffer up to `len`, and the end of the line. */
static struct slice take_line(struct lines *in, size_t len, size_t end)
{
	struct slice line = { in->base + in->at, len };

	in->at += len + end;
	return line;
}

static bool next_piece(struct lines *in, struct slice *piece_r, bool *is_cut_r)
{
	for (;;) {
		const char *end = memchr(in->base + in->at, '\n', in->len - in->at);
		*is_cut_r = end == NULL && in->len - in->at == BUFFER_BYTES;
		if (end != NULL) {
			*piece_r = take_line(in, (size_t)(end - in->base) - in->at, 1);
			return true;
		}
		if (!*is_cut_r && fill(in))
			continue;
		*piece_r = take_line(in, in->len - in->at, 0);
		return piece_r->len > 0 && !in->has_failed;
	}
}

/* The line lies in the buffer until the next is asked for. */
static bool next_line(struct lines *in, struct slice *line_r)
{
	bool is_rest, is_cut;

	do {
		is_rest = in->is_cut;
		if (!next_piece(in, line_r, &is_cut))
			return false;
		in->is_cut = is_cut;
	} while (is_rest);
	return true;
}

/* --- spans --- */

static void add_span(struct maillog_reading *reading, const struct maillog_span *span)
{
	enum { FIRST_ROOM = 16 };
	size_t count = reading->span_count;

	if (count == MAILLOG_MAX_SPANS) {
		reading->too_many_spans = true;
		return;
	}
	if (count == 0 || (count >= FIRST_ROOM && (count & (count - 1)) == 0)) {
		size_t room = count == 0 ? FIRST_ROOM : 2 * count;
		reading->spans = realloc(reading->spans, room * sizeof(*reading->spans));
		if (reading->spans == NULL)
			abort();
	}
	reading->spans[reading->span_count++] = *span;
}

static bool goes_on(const struct maillog_span *span, int64_t at_us)
{
	return at_us >= span->first_us - DISORDER_US && at_us <= span->last_us + LONGEST_SILENCE_US;
}

static void extend(struct maillog_span *span, int64_t at_us)
{
	if (at_us < span->first_us)
		span->first_us = at_us;
	if (at_us > span->last_us)
		span->last_us = at_us;
}

static int compare_spans(const void *a, const void *b)
{
	const struct maillog_span *x = a, *y = b;

	return (x->first_us > y->first_us) - (x->first_us < y->first_us);
}

void maillog_join_spans(struct maillog_reading *reading, int64_t apart_us)
{
	size_t last = 0;

	if (reading->span_count == 0)
		return;
	qsort(reading->spans, reading->span_count, sizeof(*reading->spans), compare_spans);
	for (size_t i = 1; i < reading->span_count; i++) {
		struct maillog_span span = reading->spans[i], *before = &reading->spans[last];
		if (span.first_us <= before->last_us + apart_us)
			extend(before, span.last_us);
		else
			reading->spans[++last] = span;
	}
	reading->span_count = last + 1;
}

/* --- files --- */

static void read_lines(struct maillog_reading *reading, struct lines *in, int64_t written_us)
{
	struct maillog_span span = { 0, 0 };
	struct maillog_clock clock;
	struct maillog_line line;
	struct slice text;
	bool has_span = false;
	int64_t at_us;

	maillog_clock_init(&clock, written_us);
	while (next_line(in, &text)) {
		reading->lines++;
		maillog_parse(text, &line);
		if (!line.has_stamp || !maillog_when(&clock, &line.stamp, &at_us)) {
			reading->undated++;
			continue;
		}
		if (has_span && !goes_on(&span, at_us)) {
			add_span(reading, &span);
			has_span = false;
		}
		if (!has_span)
			span = (struct maillog_span){ at_us, at_us };
		has_span = true;
		extend(&span, at_us);
		if (line.kind != MAILLOG_OTHER)
			reading->each(reading->data, &line, at_us);
	}
	if (has_span)
		add_span(reading, &span);
}

/* What would read it, of files that gzip's library gives as they are. */
static const char *reader_for(int fd)
{
	static const struct {
		const char *magic, *reader;
	} known[] = { { "\xfd\x37zXZ", "xz -dc" }, { "\x28\xb5\x2f\xfd", "zstd -dc" },
		{ "BZh", "bzip2 -dc" }, { "\x04\x22\x4d\x18", "lz4 -dc" } };
	char head[8] = { 0 };

	if (pread(fd, head, sizeof(head), 0) <= 0)
		return NULL; /* a pipe, or empty */
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (memcmp(head, known[i].magic, strlen(known[i].magic)) == 0)
			return known[i].reader;
	return NULL;
}

static void say(char **error_r, const char *path, const char *what)
{
	if (asprintf(error_r, "cannot read %s: %s", path, what) == -1)
		abort();
}

static void say_reader(char **error_r, const char *path, const char *reader)
{
	if (asprintf(error_r,
		    "cannot read %s, which gzip did not compress: use `%s %s | mailserver "
		    "reconcile --maillog -`",
		    path, reader, path) == -1)
		abort();
}

/* The descriptor is closed with the file. Only then it is known whether the end was missing. */
static bool read_file(struct maillog_reading *reading, const char *path, int fd, char **error_r)
{
	struct lines in = { .file = gzdopen(fd, "rb"), .base = malloc(BUFFER_BYTES) };
	struct stat status;
	int code = Z_OK;

	if (in.file == NULL || in.base == NULL)
		abort();
	gzbuffer(in.file, ZLIB_BUFFER_BYTES);
	bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
	read_lines(reading, &in, is_file ? (int64_t)status.st_mtime * 1000000 : now_us());
	if (in.has_failed) {
		const char *what = gzerror(in.file, &code);
		say(error_r, path, code == Z_ERRNO ? strerror(errno) : what);
	}
	free(in.base);
	code = gzclose_r(in.file);
	if (in.has_failed)
		return false;
	if (code == Z_OK)
		return true;
	say(error_r, path, "its end is missing");
	return false;
}

bool maillog_read(struct maillog_reading *reading, const char *path, char **error_r)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1) {
		say(error_r, path, strerror(errno));
		return false;
	}
	const char *reader = reader_for(fd);
	if (reader != NULL) {
		say_reader(error_r, path, reader);
		close(fd);
		return false;
	}
	return read_file(reading, is_stdin ? "standard input" : path, fd, error_r);
}
