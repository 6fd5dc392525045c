/* SPDX-License-Identifier: MIT */
/* maillog_files.h - reads an MTA's logs, plain or compressed by gzip, line by line
 *
 * Memory does not depend on a file's size. */
#ifndef CMD_MAILSERVER_MAILLOG_FILES_H
#define CMD_MAILSERVER_MAILLOG_FILES_H

#include "lib/maillog.h"

/* A time without a long gap in it, during which the log was written. */
struct maillog_span {
	int64_t first_us, last_us;
};

enum { MAILLOG_MAX_SPANS = 10000 };

struct maillog_reading {
	/* Called for each line that says something of a delivery and when that was. */
	void (*each)(void *data, const struct maillog_line *line, int64_t at_us);
	void *data;
	uint64_t lines, undated;
	struct maillog_span *spans; /* of all files; free() them */
	size_t span_count;
	bool too_many_spans; /* then some are left out */
};

/* "-" is standard input. False, and `*error_r` (free() it) says why it could not be read to its end. */
bool maillog_read(struct maillog_reading *reading, const char *path, char **error_r);

/* Orders the spans, and makes one of those that are no further apart than that. */
void maillog_join_spans(struct maillog_reading *reading, int64_t apart_us);

#endif
