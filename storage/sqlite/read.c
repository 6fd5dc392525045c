/* SPDX-License-Identifier: MIT */
/* The reader threads' work: what was found is copied into the job's arena. */
#include "storage/sqlite/blobs.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/core.h"

#include <assert.h>

enum statement { FIND_RECORD, FIND_RAW, FIND_PART, FIND_BYTES, STATEMENTS };

/* Moments as microseconds since 1970: SQLite's own functions would round them. */
#define RECEIVED_US "unixepoch(substr(received_at, 1, 19)) * 1000000 + substr(received_at, 21, 6)"
#define DATE_US     "unixepoch(substr(date, 1, 19)) * 1000000 + substr(date, 21, 6)"

/* The parts as the API shows them. */
#define PART                                                                                       \
	"'n', n, 'path', path, 'content_type', content_type, 'filename', filename,"                \
	" 'disposition', disposition, 'content_id', content_id, 'charset', charset,"               \
	" 'encoding', encoding, 'size', size, 'sha256', lower(hex(sha256)),"                       \
	" 'is_attachment', json(iif(is_attachment, 'true', 'false'))"
#define PARTS_JSON                                                                                 \
	"(select json_group_array(json(iif(inside is null, json_object(" PART "),"                 \
	" json_object(" PART ", 'inside', inside))))"                                              \
	" from (select * from message_parts where id = messages.id order by n))"

const char *const sqlite_read_statements[] = {
	[FIND_RECORD] =
		"select tenant, " RECEIVED_US ", size, sha256, envelope_sender,"
		" envelope_recipients, queue_id, client_address, client_hostname, client_helo,"
		" message_id, in_reply_to, refs, subject, " DATE_US ", addresses, headers, text,"
		" html, " PARTS_JSON ", parse_status, defects, orig_recipient,"
		" text_is_derived, reply_text, security, auto_submitted, list_id, is_bounce,"
		" report, mailbox_tag, parser_version"
		" from messages where id = ?1 and tenant = ?2",
	[FIND_RAW] = "select raw from message_raw where id = ?1"
		     " and exists (select 1 from messages where id = ?1 and tenant = ?2)",
	[FIND_PART] = "select content_type, encoding, filename, charset, size, sha256, raw_offset,"
		      " raw_length, inside from message_parts where id = ?1 and n = ?3"
		      " and exists (select 1 from messages where id = ?1 and tenant = ?2)",
	[FIND_BYTES] = "select 1 from message_raw where id = ?1"
		       " and exists (select 1 from messages where id = ?1 and tenant = ?2)",
	[STATEMENTS] = NULL,
};

static const char *text(sqlite3_stmt *stmt, struct arena *arena, int column)
{
	const char *s = (const char *)sqlite3_column_text(stmt, column);

	return s != NULL ? arena_strndup(arena, s, (size_t)sqlite3_column_bytes(stmt, column))
			 : NULL;
}

static const struct storage_record *record(
	sqlite3_stmt *stmt, struct arena *arena, const struct uuid *id)
{
	struct storage_record *r = arena_zalloc(arena, sizeof(*r));

	r->id = *id;
	r->tenant = text(stmt, arena, 0);
	r->received_us = sqlite3_column_int64(stmt, 1);
	r->size = (uint64_t)sqlite3_column_int64(stmt, 2);
	if (sqlite3_column_bytes(stmt, 3) == SHA256_BYTES)
		memcpy(r->sha256, sqlite3_column_blob(stmt, 3), SHA256_BYTES);
	r->envelope_sender = text(stmt, arena, 4);
	r->envelope_recipients_json = text(stmt, arena, 5);
	r->queue_id = text(stmt, arena, 6);
	r->client_address = text(stmt, arena, 7);
	r->client_hostname = text(stmt, arena, 8);
	r->client_helo = text(stmt, arena, 9);
	r->message_id = text(stmt, arena, 10);
	r->in_reply_to = text(stmt, arena, 11);
	r->references_json = text(stmt, arena, 12);
	r->subject = text(stmt, arena, 13);
	r->has_date = sqlite3_column_type(stmt, 14) != SQLITE_NULL;
	r->date_us = sqlite3_column_int64(stmt, 14);
	r->addresses_json = text(stmt, arena, 15);
	r->headers_json = text(stmt, arena, 16);
	r->text = text(stmt, arena, 17);
	r->html = text(stmt, arena, 18);
	r->parts_json = text(stmt, arena, 19);
	r->parse_status = text(stmt, arena, 20);
	r->defects_json = text(stmt, arena, 21);
	r->orig_recipient = text(stmt, arena, 22);
	r->text_is_derived = sqlite3_column_int(stmt, 23) != 0;
	r->security = text(stmt, arena, 25);
	r->auto_submitted = text(stmt, arena, 26);
	r->list_id = text(stmt, arena, 27);
	r->is_bounce = sqlite3_column_int(stmt, 28) != 0;
	r->report_json = text(stmt, arena, 29);
	r->mailbox_tag = text(stmt, arena, 30);
	r->parser_version = (unsigned)sqlite3_column_int(stmt, 31);
	r->reply_text = storage_reply_text_of(text(stmt, arena, 24), r->text, r->parser_version);
	return r;
}

static struct slice bytes(sqlite3_stmt *stmt, struct arena *arena, int column)
{
	const void *p = sqlite3_column_blob(stmt, column);
	size_t len = p != NULL ? (size_t)sqlite3_column_bytes(stmt, column) : 0;

	return (struct slice){ arena_dup(arena, p, len), len };
}

static const struct storage_part_record *part(sqlite3_stmt *stmt, struct arena *arena)
{
	struct storage_part_record *p = arena_zalloc(arena, sizeof(*p));

	p->content_type = text(stmt, arena, 0);
	p->encoding = text(stmt, arena, 1);
	p->filename = text(stmt, arena, 2);
	p->charset = text(stmt, arena, 3);
	p->size = (uint64_t)sqlite3_column_int64(stmt, 4);
	if (sqlite3_column_bytes(stmt, 5) == SHA256_BYTES)
		memcpy(p->sha256, sqlite3_column_blob(stmt, 5), SHA256_BYTES);
	p->raw_offset = (uint64_t)sqlite3_column_int64(stmt, 6);
	p->raw_length = (uint64_t)sqlite3_column_int64(stmt, 7);
	p->inside = text(stmt, arena, 8);
	return p;
}

static int find_record(struct sqlite_job *job, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		job->record = record(stmt, job->arena, &job->op.get->id);
	return rc;
}

static int find_raw(struct sqlite_job *job, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		job->raw = bytes(stmt, job->arena, 0);
	return rc;
}

static int find_part(struct sqlite_job *job, sqlite3_stmt *stmt)
{
	sqlite3_bind_int64(stmt, 3, job->op.part->n);
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		job->part = part(stmt, job->arena);
	return rc;
}

/* Whether they are there: blobs.h reads them. */
static int find_bytes(struct sqlite_job *job, sqlite3_stmt *stmt)
{
	return sqlite3_step(stmt);
}

/* What each kind of reading binds and runs: the id and the tenant, and what its function adds. */
struct reading {
	enum statement statement;
	const struct uuid *id;
	const char *tenant;
	int (*find)(struct sqlite_job *job, sqlite3_stmt *stmt);
};

static struct reading reading_of(const struct sqlite_job *job)
{
	switch (job->verb) {
	case SQLITE_VERB_GET:
		return (struct reading){ FIND_RECORD, &job->op.get->id, job->op.get->tenant,
			find_record };
	case SQLITE_VERB_PART:
		return (struct reading){ FIND_PART, &job->op.part->id, job->op.part->tenant,
			find_part };
	case SQLITE_VERB_RANGE:
		return (struct reading){ FIND_BYTES, &job->op.range->id, job->op.range->tenant,
			find_bytes };
	default:
		assert(job->verb == SQLITE_VERB_RAW);
		return (struct reading){ FIND_RAW, &job->op.raw->id, job->op.raw->tenant,
			find_raw };
	}
}

static int find(struct sqlite_connection *c, struct sqlite_job *job)
{
	const struct reading reading = reading_of(job);
	sqlite3_stmt *stmt = sqlite_connection_statement(c, reading.statement);
	char id_text[UUID_TEXT + 1];

	uuid_format(reading.id, id_text);
	sqlite3_bind_text(stmt, 1, id_text, UUID_TEXT, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, reading.tenant, -1, SQLITE_STATIC);
	int rc = reading.find(job, stmt);
	/* Memory that ran out while a column was fetched shows only here. */
	int late = sqlite3_reset(stmt);
	return late != SQLITE_OK ? late : rc;
}

void sqlite_read(struct sqlite_connection *c, struct sqlite_blobs *blobs, struct sqlite_job *job)
{
	job->arena = arena_new();
	job->result = sqlite_connection_ready(c);
	if (job->result != STORAGE_OK) {
		job->result = STORAGE_UNAVAILABLE;
		return;
	}
	int rc = find(c, job);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		sqlite_connection_note(c, SQLITE_OK, NULL);
		job->result = rc == SQLITE_ROW ? STORAGE_OK : STORAGE_NOT_FOUND;
		if (rc == SQLITE_ROW && job->verb == SQLITE_VERB_RANGE)
			job->result = sqlite_blobs_read(
				blobs, job->op.range, job->arena, &job->raw);
		return;
	}
	sqlite_connection_note(c, rc, "reading");
	job->result = STORAGE_UNAVAILABLE;
	job->record = NULL;
	job->part = NULL;
	job->raw = (struct slice){ NULL, 0 };
}
