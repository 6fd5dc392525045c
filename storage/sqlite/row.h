/* SPDX-License-Identifier: MIT */
/* row.h - what is derived from a message, as the columns of its rows; to put it and to put it anew */
#ifndef STORAGE_SQLITE_ROW_H
#define STORAGE_SQLITE_ROW_H

#include "lib/buf.h"
#include "storage/storage_driver.h"

#include <sqlite3.h>

/* The columns of `messages` that sqlite_row_bind() gives values for, in its order. */
#define SQLITE_DERIVED_COLUMNS_BUT_VERSION                                                         \
	"message_id, in_reply_to, refs, date, subject, from_address, from_name, addresses,"        \
	" headers, text, html, parse_status, defects, text_is_derived, reply_text, security,"      \
	" auto_submitted, list_id, is_bounce, report, mailbox_tag"
#define SQLITE_DERIVED_COLUMNS SQLITE_DERIVED_COLUMNS_BUT_VERSION ", parser_version"
/* The same for message_parts and sqlite_row_bind_part(). */
#define SQLITE_PART_COLUMNS                                                                        \
	"id, n, path, content_type, filename, disposition, content_id, charset, encoding, size,"   \
	" sha256, is_attachment, raw_offset, raw_length, inside"

enum {
	SQLITE_TIME_TEXT = 27, /* "2026-01-02T03:04:05.678901Z" */
};

/* What has to be written down to be bound; until sqlite_row_deinit(). */
struct sqlite_row {
	struct buf refs, defects;
	char date[SQLITE_TIME_TEXT + 1];
};

/* To the parameters from `first` on. Nothing is copied: the message must outlive the statement's run. */
void sqlite_row_bind(
	struct sqlite_row *row, sqlite3_stmt *stmt, int first, const struct storage_message *m);
void sqlite_row_deinit(struct sqlite_row *row);
/* To the parameters from 1 on. */
void sqlite_row_bind_part(sqlite3_stmt *stmt, const char *id, const struct mime_part *part);

/* The message as it is when nothing could be derived, and one defect more says why. It lives as long
 * as what is returned: mime_message_free(). */
struct mime_message *sqlite_row_bare(
	const struct storage_message *m, struct storage_message *bare_r);

/* Whether an error is about the values of one row. */
bool sqlite_row_is_refused(int rc);

/* NULL is NULL. A value too long for SQLite stays NULL, and the columns that must not be refuse that. */
void sqlite_bind_text(sqlite3_stmt *stmt, int i, const char *s);
void sqlite_bind_bytes(sqlite3_stmt *stmt, int i, const void *p, size_t len);
/* A list as JSON, into a buffer that is the caller's to deinit. */
void sqlite_json_list(struct buf *buf, const char *const *list, size_t count);
/* False for a year that has not four digits. */
bool sqlite_time_format(int64_t us_since_epoch, char out[SQLITE_TIME_TEXT + 1]);

#endif
