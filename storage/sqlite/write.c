/* SPDX-License-Identifier: MIT */
/* The writer thread's work: one transaction for all that waits, with a savepoint around each message
 * so that one the database refuses harms only itself. */
#include "storage/sqlite/core.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/row.h"

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	SAVEPOINT,
	RELEASE,
	UNDO,
	TOUCH,
	INSERT_KEY,
	FIND_KEY,
	INSERT_MESSAGE,
	INSERT_RAW,
	INSERT_PART,
	STATEMENTS,
};

const char *const sqlite_write_statements[] = {
	[BEGIN] = "begin immediate",
	[COMMIT] = "commit",
	[ROLLBACK] = "rollback",
	[SAVEPOINT] = "savepoint message",
	[RELEASE] = "release message",
	[UNDO] = "rollback to message",
	/* Changes nothing, and yet is a page to be written. */
	[TOUCH] = "pragma user_version = 0",
	[INSERT_KEY] = "insert into message_keys (tenant, digest, id, created_at)"
		       " values (?1, ?2, ?3, ?4) on conflict (tenant, digest) do nothing",
	[FIND_KEY] = "select id from message_keys where tenant = ?1 and digest = ?2",
	[INSERT_MESSAGE] =
		"insert into messages (id, tenant, received_at, envelope_sender,"
		" envelope_recipients, queue_id, client_address, client_hostname, client_helo,"
		" orig_recipient, size, sha256, " SQLITE_DERIVED_COLUMNS ") values (?1, ?2, ?3, ?4,"
		" ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,"
		" ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)",
	[INSERT_RAW] = "insert into message_raw (id, raw) values (?1, ?2)",
	[INSERT_PART] = "insert into message_parts (" SQLITE_PART_COLUMNS
			") values (?1, ?2, ?3, ?4,"
			" ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
	[STATEMENTS] = NULL,
};

static int run(struct sqlite_connection *c, enum statement which)
{
	return sqlite_connection_run(sqlite_connection_statement(c, which));
}

static void bind_envelope(sqlite3_stmt *stmt, const struct envelope *env)
{
	sqlite_bind_text(stmt, 4, env->sender);
	sqlite_bind_text(stmt, 6, env->queue_id);
	sqlite_bind_text(stmt, 7, env->client_address);
	sqlite_bind_text(stmt, 8, env->client_hostname);
	sqlite_bind_text(stmt, 9, env->client_helo);
	sqlite_bind_text(stmt, 10, env->orig_recipient);
}

static int insert_message(
	struct sqlite_connection *c, const struct storage_message *m, const char *id)
{
	sqlite3_stmt *stmt = sqlite_connection_statement(c, INSERT_MESSAGE);
	char received[SQLITE_TIME_TEXT + 1];
	struct buf recipients;
	struct sqlite_row row;

	sqlite_json_list(&recipients, m->envelope->recipients, m->envelope->recipient_count);
	sqlite_bind_text(stmt, 1, id);
	sqlite_bind_text(stmt, 2, m->tenant);
	sqlite_bind_text(stmt, 3, sqlite_time_format(m->received_us, received) ? received : NULL);
	bind_envelope(stmt, m->envelope);
	sqlite_bind_text(stmt, 5, recipients.base);
	sqlite3_bind_int64(stmt, 11, (sqlite3_int64)m->raw.len);
	sqlite_bind_bytes(stmt, 12, m->sha256, sizeof(m->sha256));
	sqlite_row_bind(&row, stmt, 13, m);
	int rc = sqlite_connection_run(stmt);
	buf_deinit(&recipients);
	sqlite_row_deinit(&row);
	return rc;
}

static int insert_raw(struct sqlite_connection *c, const struct storage_message *m, const char *id)
{
	sqlite3_stmt *stmt = sqlite_connection_statement(c, INSERT_RAW);

	sqlite_bind_text(stmt, 1, id);
	sqlite_bind_bytes(stmt, 2, m->raw.base, m->raw.len);
	return sqlite_connection_run(stmt);
}

static int insert_part(struct sqlite_connection *c, const struct mime_part *p, const char *id)
{
	sqlite3_stmt *stmt = sqlite_connection_statement(c, INSERT_PART);

	sqlite_row_bind_part(stmt, id, p);
	return sqlite_connection_run(stmt);
}

static int insert_all(struct sqlite_connection *c, const struct storage_message *m, const char *id)
{
	int rc = insert_message(c, m, id);

	if (rc == SQLITE_OK)
		rc = insert_raw(c, m, id);
	for (size_t i = 0; rc == SQLITE_OK && i < m->mime->part_count; i++)
		rc = insert_part(c, &m->mime->parts[i], id);
	return rc;
}

static int insert_without_derived(
	struct sqlite_connection *c, const struct storage_message *m, const char *id)
{
	struct storage_message bare;
	struct mime_message *nothing = sqlite_row_bare(m, &bare);
	int rc = insert_all(c, &bare, id);

	mime_message_free(&nothing);
	return rc;
}

/* SQLITE_DONE when the key is new, SQLITE_ROW when it was there: then its id is in *id_r. */
static int claim_key(struct sqlite_connection *c, const struct storage_message *m, const char *id,
	struct uuid *id_r)
{
	sqlite3_stmt *insert = sqlite_connection_statement(c, INSERT_KEY);
	sqlite3_stmt *find = sqlite_connection_statement(c, FIND_KEY);
	char received[SQLITE_TIME_TEXT + 1];

	sqlite_bind_text(insert, 1, m->tenant);
	sqlite_bind_bytes(insert, 2, m->key, sizeof(m->key));
	sqlite_bind_text(insert, 3, id);
	sqlite_bind_text(insert, 4, sqlite_time_format(m->received_us, received) ? received : NULL);
	int rc = sqlite_connection_run(insert);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_changes(sqlite3_db_handle(insert)) == 1)
		return SQLITE_DONE;
	sqlite_bind_text(find, 1, m->tenant);
	sqlite_bind_bytes(find, 2, m->key, sizeof(m->key));
	rc = sqlite3_step(find);
	if (rc == SQLITE_ROW && !uuid_parse((const char *)sqlite3_column_text(find, 0),
					(size_t)sqlite3_column_bytes(find, 0), id_r))
		rc = SQLITE_CORRUPT;
	sqlite3_reset(find);
	return rc;
}

typedef int insert_fn(struct sqlite_connection *c, const struct storage_message *m, const char *id);

/* Sets the job's result, which holds with SQLITE_OK only. */
static int insert_put(struct sqlite_connection *c, struct sqlite_job *job, insert_fn *insert)
{
	struct storage_put *op = job->op.put;
	char id[UUID_TEXT + 1];

	uuid_format(&op->message->id, id);
	int rc = claim_key(c, op->message, id, &op->id);
	if (rc == SQLITE_ROW) {
		job->result = STORAGE_DUPLICATE;
		return SQLITE_OK;
	}
	if (rc != SQLITE_DONE)
		return rc;
	job->result = STORAGE_OK;
	op->id = op->message->id;
	return insert(c, op->message, id);
}

static void log_refusal(struct sqlite_core *core, const struct storage_message *m, int rc,
	enum storage_log_level level, const char *outcome)
{
	char id[UUID_TEXT + 1];

	uuid_format(&m->id, id);
	sqlite_core_log(core, level, "message %s: the database refused it (%s): %s", id,
		sqlite3_errstr(rc), outcome);
}

/* A message that is at fault itself loses what was derived from it, and never harms others. */
static int store_put(struct sqlite_core *core, struct sqlite_connection *c, struct sqlite_job *job)
{
	const struct storage_message *m = job->op.put->message;
	int rc = run(c, SAVEPOINT);

	if (rc == SQLITE_OK)
		rc = insert_put(c, job, insert_all);
	if (sqlite_row_is_refused(rc)) {
		log_refusal(core, m, rc, STORAGE_LOG_WARNING, "kept without its derived columns");
		rc = run(c, UNDO);
		if (rc == SQLITE_OK)
			rc = insert_put(c, job, insert_without_derived);
		job->op.put->bare = rc == SQLITE_OK && job->result == STORAGE_OK;
	}
	if (sqlite_row_is_refused(rc)) {
		log_refusal(core, m, rc, STORAGE_LOG_ERROR, "not kept");
		job->result = STORAGE_UNAVAILABLE;
		rc = run(c, UNDO);
	}
	return rc == SQLITE_OK ? run(c, RELEASE) : rc;
}

static int touch(struct sqlite_connection *c, struct sqlite_job *job)
{
	job->result = STORAGE_OK;
	return run(c, TOUCH);
}

static enum storage_result give_up(struct sqlite_connection *c, int rc, const char *doing)
{
	enum storage_result result = sqlite_connection_note(c, rc, doing);

	if (sqlite_connection_in_transaction(c))
		run(c, ROLLBACK);
	return result;
}

/* A commit whose record could not be synced may yet turn up, when the log is read after a crash. */
static enum storage_result commit(struct sqlite_connection *c)
{
	int rc = run(c, COMMIT);

	if (rc == SQLITE_OK)
		return sqlite_connection_note(c, SQLITE_OK, NULL);
	enum storage_result result = give_up(c, rc, "committing");
	return result == STORAGE_UNAVAILABLE && (rc & 0xff) == SQLITE_IOERR ? STORAGE_UNCERTAIN
									    : result;
}

/* STORAGE_OK: every job has a result of its own. */
static enum storage_result write_all(
	struct sqlite_core *core, struct sqlite_connection *c, struct sqlite_job *batch)
{
	int rc = run(c, BEGIN);

	if (rc != SQLITE_OK)
		return give_up(c, rc, "cannot be written to");
	for (struct sqlite_job *job = batch; rc == SQLITE_OK && job != NULL; job = job->next)
		rc = job->verb == SQLITE_VERB_PUT ? store_put(core, c, job) : touch(c, job);
	return rc == SQLITE_OK ? commit(c) : give_up(c, rc, "storing messages");
}

/* The messages that are kept now, duplicates among them. */
static unsigned kept(const struct sqlite_job *batch)
{
	unsigned count = 0;

	for (const struct sqlite_job *job = batch; job != NULL; job = job->next)
		if (job->verb == SQLITE_VERB_PUT && job->result != STORAGE_UNAVAILABLE)
			count++;
	return count;
}

void sqlite_write_batch(
	struct sqlite_core *core, struct sqlite_connection *c, struct sqlite_job *batch)
{
	enum storage_result result = sqlite_connection_ready(c);

	if (result == STORAGE_OK)
		result = write_all(core, c, batch);
	if (result == STORAGE_OK) {
		unsigned messages = kept(batch);
		if (messages > 0)
			sqlite_core_committed(core, messages);
		return;
	}
	for (struct sqlite_job *job = batch; job != NULL; job = job->next)
		job->result = job->verb == SQLITE_VERB_PING && result == STORAGE_UNCERTAIN
				      ? STORAGE_UNAVAILABLE
				      : result;
}
