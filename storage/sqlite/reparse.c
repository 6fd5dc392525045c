/* SPDX-License-Identifier: MIT */
/* Beside a server the writer thread of that comes first: messages are read, derived and compared without
 * a lock; it is held for a batch of those that differ, and at least as long a pause follows. */
#include "storage/sqlite/reparse.h"
#include "lib/arena.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/row.h"
#include "storage/sqlite/upkeep.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_ROWS = 1000 };

enum statement {
	BEGIN,
	COMMIT,
	SAVEPOINT,
	RELEASE,
	UNDO,
	FIND,
	READ,
	DIFFERS,
	PARTS_COUNT,
	PART_IS_SAME,
	UPDATE,
	NOTE_VERSION,
	DELETE_PARTS,
	INSERT_PART,
	STATEMENTS,
};

#define PART_VALUES "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
#define VALUES_BUT_VERSION                                                                         \
	"?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"   \
	" ?21, ?22"

static const char *const statements[] = {
	[BEGIN] = "begin immediate",
	[COMMIT] = "commit",
	[SAVEPOINT] = "savepoint message",
	[RELEASE] = "release message",
	[UNDO] = "rollback to message",
	/* What somebody else put there under an id that is none is not ours to derive. */
	[FIND] = "select id, size, parse_status, parser_version from messages"
		 " where id > ?1 and id < ?2 and length(id) = 36 order by id limit ?3",
	[READ] = "select envelope_sender, envelope_recipients, parse_status, parser_version, raw"
		 " from messages join message_raw using (id) where id = ?1",
	/* The version, ?23, is not compared; it is there to be bound. */
	[DIFFERS] = "select 1 from messages where id = ?1 and (" SQLITE_DERIVED_COLUMNS_BUT_VERSION
		    ") is not (" VALUES_BUT_VERSION ") and ?23 > 0",
	[PARTS_COUNT] = "select count(*) from message_parts where id = ?1",
	[PART_IS_SAME] = "select 1 from message_parts where id = ?1 and n = ?2"
			 " and (" SQLITE_PART_COLUMNS ") is " PART_VALUES,
	[UPDATE] = "update messages set (" SQLITE_DERIVED_COLUMNS ") = (" VALUES_BUT_VERSION
		   ", ?23) where id = ?1",
	[NOTE_VERSION] = "update messages set parser_version = ?2 where id = ?1",
	[DELETE_PARTS] = "delete from message_parts where id = ?1",
	[INSERT_PART] = "insert into message_parts (" SQLITE_PART_COLUMNS ") values " PART_VALUES,
	[STATEMENTS] = NULL,
};

struct wanted {
	char id[UUID_TEXT + 1];
	uint64_t size;
};

struct reparse {
	struct sqlite_upkeep upkeep;
	const struct storage_reparse *want;
	struct wanted wanted[PAGE_ROWS]; /* of a page */
	size_t wanted_count;
	struct storage_kept batch[STORAGE_REPARSE_MESSAGES];
	bool differs[STORAGE_REPARSE_MESSAGES];
	size_t count;
	struct arena *arena; /* what they point at */
};

static bool is_well(struct reparse *r, int rc)
{
	return sqlite_upkeep_is_well(&r->upkeep, rc);
}

static sqlite3_stmt *ask(struct reparse *r, enum statement which, const char *id)
{
	sqlite3_stmt *stmt = r->upkeep.statements[which];

	sqlite_bind_text(stmt, 1, id);
	return stmt;
}

/* --- finding --- */

static bool is_wanted(const struct reparse *r, const char *status, int version)
{
	enum mime_status known;

	if (r->want->older_parser && version >= MIME_PARSER_VERSION)
		return false;
	if (mime_status_parse(slice_str(status), &known))
		return storage_reparse_wants(r->want, known);
	return r->want->statuses == 0;
}

/* Rows that are not wanted are part of a page: so a page is never a long search. `after` becomes the
 * page's last id; "" when it was the last page. */
static bool find_page(struct reparse *r, const char *before, char after[UUID_TEXT + 1])
{
	sqlite3_stmt *stmt = r->upkeep.statements[FIND];
	int rc, rows = 0;

	sqlite3_bind_text(stmt, 1, after, -1, SQLITE_TRANSIENT);
	sqlite_bind_text(stmt, 2, before);
	sqlite3_bind_int(stmt, 3, PAGE_ROWS);
	r->wanted_count = 0;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct wanted *w = &r->wanted[r->wanted_count];
		snprintf(w->id, sizeof(w->id), "%s", (const char *)sqlite3_column_text(stmt, 0));
		snprintf(after, UUID_TEXT + 1, "%s", w->id);
		w->size = (uint64_t)sqlite3_column_int64(stmt, 1);
		r->wanted_count += is_wanted(
			r, (const char *)sqlite3_column_text(stmt, 2), sqlite3_column_int(stmt, 3));
		rows++;
	}
	bool ok = is_well(r, rc);
	sqlite3_reset(stmt);
	if (rows < PAGE_ROWS)
		after[0] = '\0';
	if (ok)
		r->want->looked(r->want->data, (size_t)rows);
	return ok;
}

/* --- reading --- */

static const char *text(struct reparse *r, sqlite3_stmt *stmt, int column)
{
	const char *s = (const char *)sqlite3_column_text(stmt, column);

	return arena_strdup(r->arena, s != NULL ? s : "");
}

static void take_row(struct reparse *r, sqlite3_stmt *stmt, const char *id)
{
	struct storage_kept *kept = &r->batch[r->count];
	const void *raw = sqlite3_column_blob(stmt, 4);
	size_t len = raw != NULL ? (size_t)sqlite3_column_bytes(stmt, 4) : 0;

	*kept = (struct storage_kept){
		.envelope.sender = text(r, stmt, 0),
		.parse_status = text(r, stmt, 2),
		.parser_version = (unsigned)sqlite3_column_int(stmt, 3),
		.raw = { arena_dup(r->arena, raw, len), len },
	};
	storage_read_recipients(r->arena, text(r, stmt, 1), &kept->envelope);
	if (uuid_parse(id, UUID_TEXT, &kept->id))
		r->count++;
}

/* Without a row it was deleted meanwhile. */
static bool read_one(struct reparse *r, const char *id)
{
	sqlite3_stmt *stmt = ask(r, READ, id);
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		take_row(r, stmt, id);
	bool ok = is_well(r, rc);
	sqlite3_reset(stmt);
	return ok;
}

/* From `*at` on, which becomes where the next batch begins. */
static bool read_batch(struct reparse *r, size_t *at)
{
	uint64_t bytes = 0;

	for (; *at < r->wanted_count && r->count < STORAGE_REPARSE_MESSAGES; ++*at) {
		bytes += r->wanted[*at].size;
		if (r->count > 0 && bytes > STORAGE_REPARSE_BYTES)
			break;
		if (!read_one(r, r->wanted[*at].id))
			return false;
	}
	return true;
}

static void drop_batch(struct reparse *r)
{
	r->count = 0;
	arena_free(&r->arena);
	r->arena = arena_new();
}

/* --- comparing --- */

/* SQLITE_ROW when the statement has one, SQLITE_DONE when it has none. */
static int step_once(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	return rc;
}

static int run_derived(
	struct reparse *r, enum statement which, const char *id, const struct storage_message *m)
{
	sqlite3_stmt *stmt = ask(r, which, id);
	struct sqlite_row row;

	sqlite_row_bind(&row, stmt, 2, m);
	int rc = step_once(stmt);
	sqlite_row_deinit(&row);
	return rc;
}

/* SQLITE_DONE: the same; SQLITE_ROW: not. */
static int compare_parts(struct reparse *r, const char *id, const struct mime_message *mime)
{
	sqlite3_stmt *stmt = ask(r, PARTS_COUNT, id);
	int rc = sqlite3_step(stmt);
	bool same = rc == SQLITE_ROW && (size_t)sqlite3_column_int64(stmt, 0) == mime->part_count;

	sqlite3_reset(stmt);
	for (size_t i = 0; same && rc == SQLITE_ROW && i < mime->part_count; i++) {
		sqlite3_stmt *is_same = r->upkeep.statements[PART_IS_SAME];
		sqlite_row_bind_part(is_same, id, &mime->parts[i]);
		rc = step_once(is_same);
		same = rc == SQLITE_ROW;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return rc;
	return same ? SQLITE_DONE : SQLITE_ROW;
}

/* Of a row that is gone nothing differs. */
static bool compare(struct reparse *r, const struct storage_kept *kept, bool *differs_r)
{
	char id[UUID_TEXT + 1];

	uuid_format(&kept->id, id);
	int rc = run_derived(r, DIFFERS, id, kept->anew);
	if (rc == SQLITE_DONE)
		rc = compare_parts(r, id, kept->anew->mime);
	*differs_r = rc == SQLITE_ROW || sqlite_row_is_refused(rc);
	return *differs_r || is_well(r, rc);
}

/* --- writing --- */

static int replace_parts(struct reparse *r, const char *id, const struct mime_message *mime)
{
	int rc = step_once(ask(r, DELETE_PARTS, id));

	for (size_t i = 0; rc == SQLITE_DONE && i < mime->part_count; i++) {
		sqlite3_stmt *stmt = r->upkeep.statements[INSERT_PART];
		sqlite_row_bind_part(stmt, id, &mime->parts[i]);
		rc = step_once(stmt);
	}
	return rc;
}

static int replace(struct reparse *r, const char *id, const struct storage_message *m, bool *gone_r)
{
	int rc = run_derived(r, UPDATE, id, m);

	if (rc != SQLITE_DONE)
		return rc;
	*gone_r = sqlite3_changes(r->upkeep.db) == 0;
	return *gone_r ? rc : replace_parts(r, id, m->mime);
}

static int replace_bare(struct reparse *r, const char *id, const struct storage_message *m)
{
	struct storage_message bare;
	struct mime_message *nothing = sqlite_row_bare(m, &bare);
	bool gone;
	int rc = replace(r, id, &bare, &gone);

	mime_message_free(&nothing);
	return rc;
}

static int note_version(struct reparse *r, const char *id, bool *gone_r)
{
	sqlite3_stmt *stmt = ask(r, NOTE_VERSION, id);

	sqlite3_bind_int(stmt, 2, MIME_PARSER_VERSION);
	int rc = step_once(stmt);
	*gone_r = rc == SQLITE_DONE && sqlite3_changes(r->upkeep.db) == 0;
	return rc;
}

/* In the transaction, and in a savepoint of its own: a message that the database refuses harms no
 * other. */
static bool write_one(struct reparse *r, struct storage_kept *kept, bool differs)
{
	char id[UUID_TEXT + 1];
	bool gone = false;

	uuid_format(&kept->id, id);
	if (!sqlite_upkeep_run(&r->upkeep, SAVEPOINT))
		return false;
	int rc = differs ? replace(r, id, kept->anew, &gone) : note_version(r, id, &gone);
	if (sqlite_row_is_refused(rc)) {
		kept->outcome = STORAGE_ANEW_BARE;
		if (!sqlite_upkeep_run(&r->upkeep, UNDO))
			return false;
		rc = replace_bare(r, id, kept->anew);
	}
	if (sqlite_row_is_refused(rc)) {
		kept->outcome = STORAGE_ANEW_REFUSED;
		rc = step_once(r->upkeep.statements[UNDO]);
	}
	if (gone)
		kept->outcome = STORAGE_ANEW_GONE;
	return is_well(r, rc) && sqlite_upkeep_run(&r->upkeep, RELEASE);
}

static bool has_to_be_written(const struct reparse *r, size_t i)
{
	return !r->want->only_look && r->batch[i].anew != NULL &&
	       (r->differs[i] || r->batch[i].parser_version != MIME_PARSER_VERSION);
}

static bool write_marked(struct reparse *r)
{
	int64_t began_us = 0;

	for (size_t i = 0; i < r->count; i++) {
		if (!has_to_be_written(r, i))
			continue;
		if (began_us == 0) {
			if (!sqlite_upkeep_run(&r->upkeep, BEGIN))
				return false;
			began_us = monotonic_us();
		}
		if (!write_one(r, &r->batch[i], r->differs[i]))
			return false;
	}
	if (began_us == 0)
		return true;
	bool ok = sqlite_upkeep_run(&r->upkeep, COMMIT);
	sqlite_upkeep_give_way(&r->upkeep, monotonic_us() - began_us);
	return ok;
}

static bool write_batch(struct reparse *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct storage_kept *kept = &r->batch[i];
		r->differs[i] = false;
		if (kept->anew == NULL)
			continue;
		if (!compare(r, kept, &r->differs[i]))
			return false;
		kept->outcome = r->differs[i] ? STORAGE_ANEW_CHANGED : STORAGE_ANEW_SAME;
	}
	return write_marked(r);
}

/* --- all of it --- */

/* False for an error, and when the caller wants no more: then there is none. */
static bool do_page(struct reparse *r)
{
	const struct storage_reparse *want = r->want;
	bool ok = true;

	for (size_t at = 0; ok && at < r->wanted_count && !sqlite_upkeep_is_stopped(&r->upkeep);) {
		ok = read_batch(r, &at) && want->derive(want->data, r->batch, r->count) &&
		     write_batch(r);
		if (ok)
			want->settled(want->data, r->batch, r->count);
		drop_batch(r);
	}
	return ok;
}

static void reparse(struct reparse *r)
{
	char after[UUID_TEXT + 1], before[UUID_TEXT + 1];

	storage_reparse_bounds(r->want, after, before);
	while (after[0] != '\0' && !sqlite_upkeep_is_stopped(&r->upkeep))
		if (!find_page(r, before, after) || !do_page(r))
			return;
}

enum storage_result sqlite_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r)
{
	struct reparse *r = h2o_mem_alloc(sizeof(*r));

	*r = (struct reparse){
		.upkeep = { .stop = want->stop, .doing = "messages cannot be derived anew" },
		.want = want,
		.arena = arena_new(),
	};
	if (sqlite_upkeep_open(&r->upkeep, set, statements))
		reparse(r);
	enum storage_result result = sqlite_upkeep_close(&r->upkeep, error_r);
	arena_free(&r->arena);
	free(r);
	return result;
}
