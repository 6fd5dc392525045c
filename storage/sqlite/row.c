/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/row.h"

#include <stdio.h>
#include <time.h>

enum { JSON_BYTES = 64 << 20 }; /* more than any envelope's recipients take */

/* What a statement is given outlives its run, so nothing is copied. */
void sqlite_bind_text(sqlite3_stmt *stmt, int i, const char *s)
{
	sqlite3_bind_text(stmt, i, s, -1, SQLITE_STATIC);
}

void sqlite_bind_bytes(sqlite3_stmt *stmt, int i, const void *p, size_t len)
{
	sqlite3_bind_blob64(stmt, i, len > 0 ? p : "", len, SQLITE_STATIC);
}

bool sqlite_time_format(int64_t us_since_epoch, char out[SQLITE_TIME_TEXT + 1])
{
	enum { SECOND = 1000000 };
	int64_t us = (us_since_epoch % SECOND + SECOND) % SECOND;
	time_t s = (time_t)(us_since_epoch / SECOND - (us_since_epoch % SECOND < 0));
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return false;
	size_t len = strftime(out, SQLITE_TIME_TEXT + 1, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + len, SQLITE_TIME_TEXT + 1 - len, ".%06dZ", (int)us);
	return true;
}

void sqlite_json_list(struct buf *buf, const char *const *list, size_t count)
{
	buf_init(buf, JSON_BYTES);
	buf_json_begin(buf, '[');
	for (size_t i = 0; i < count; i++)
		buf_json_string(buf, list[i]);
	buf_json_end(buf, ']');
}

void sqlite_row_bind(
	struct sqlite_row *row, sqlite3_stmt *stmt, int first, const struct storage_message *m)
{
	const struct mime_message *mime = m->mime;
	const struct mime_address *from = mime->from.count > 0 ? &mime->from.list[0] : NULL;
	bool has_date = mime->has_date && sqlite_time_format(mime->date_us, row->date);
	int i = first;

	sqlite_json_list(&row->refs, mime->references.list, mime->references.count);
	sqlite_json_list(&row->defects, mime->defects.list, mime->defects.count);
	sqlite_bind_text(stmt, i++, mime->message_id);
	sqlite_bind_text(stmt, i++, mime->in_reply_to);
	sqlite_bind_text(stmt, i++, row->refs.base);
	sqlite_bind_text(stmt, i++, has_date ? row->date : NULL);
	sqlite_bind_text(stmt, i++, mime->subject);
	sqlite_bind_text(stmt, i++, from != NULL ? from->address : NULL);
	sqlite_bind_text(stmt, i++, from != NULL ? from->name : NULL);
	sqlite_bind_text(stmt, i++, m->addresses_json);
	sqlite_bind_text(stmt, i++, m->headers_json);
	sqlite_bind_text(stmt, i++, mime->text);
	sqlite_bind_text(stmt, i++, mime->html);
	sqlite_bind_text(stmt, i++, mime_status_name(mime->status));
	sqlite_bind_text(stmt, i++, row->defects.base);
	sqlite3_bind_int(stmt, i++, mime->text_is_derived);
	sqlite_bind_text(stmt, i++, storage_reply_text(mime));
	sqlite_bind_text(stmt, i++, mime->security);
	sqlite_bind_text(stmt, i++, mime->auto_submitted);
	sqlite_bind_text(stmt, i++, mime->list_id);
	sqlite3_bind_int(stmt, i++, m->is_bounce);
	sqlite_bind_text(stmt, i++, m->report_json);
	sqlite_bind_text(stmt, i++, m->mailbox_tag);
	sqlite3_bind_int(stmt, i, MIME_PARSER_VERSION);
}

void sqlite_row_deinit(struct sqlite_row *row)
{
	buf_deinit(&row->refs);
	buf_deinit(&row->defects);
}

void sqlite_row_bind_part(sqlite3_stmt *stmt, const char *id, const struct mime_part *p)
{
	sqlite_bind_text(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, p->n);
	sqlite_bind_text(stmt, 3, p->path);
	sqlite_bind_text(stmt, 4, p->content_type);
	sqlite_bind_text(stmt, 5, p->filename);
	sqlite_bind_text(stmt, 6, p->disposition);
	sqlite_bind_text(stmt, 7, p->content_id);
	sqlite_bind_text(stmt, 8, p->charset);
	sqlite_bind_text(stmt, 9, p->encoding);
	sqlite3_bind_int64(stmt, 10, (sqlite3_int64)p->size);
	sqlite_bind_bytes(stmt, 11, p->sha256, sizeof(p->sha256));
	sqlite3_bind_int(stmt, 12, p->is_attachment);
	sqlite3_bind_int64(stmt, 13, (sqlite3_int64)p->raw_offset);
	sqlite3_bind_int64(stmt, 14, (sqlite3_int64)p->raw_length);
	sqlite_bind_text(stmt, 15, p->inside);
}

struct mime_message *sqlite_row_bare(
	const struct storage_message *m, struct storage_message *bare_r)
{
	const struct mime_strings *known = &m->mime->defects;
	struct mime_message *nothing = mime_unparsed(STORAGE_BARE_DEFECT);
	const char **defects = arena_alloc(nothing->arena, (known->count + 1) * sizeof(*defects));

	for (size_t i = 0; i < known->count; i++)
		defects[i] = known->list[i];
	defects[known->count] = STORAGE_BARE_DEFECT;
	nothing->defects = (struct mime_strings){ defects, known->count + 1 };
	*bare_r = *m;
	bare_r->mime = nothing;
	bare_r->headers_json = mime_headers_json(nothing);
	bare_r->addresses_json = mime_addresses_json(nothing);
	bare_r->report_json = bare_r->mailbox_tag = NULL;
	bare_r->is_bounce = false;
	return nothing;
}

bool sqlite_row_is_refused(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return true;
	default:
		return false;
	}
}
