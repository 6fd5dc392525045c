/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/connection.h"
#include "storage/sqlite/core.h"
#include "storage/sqlite/trouble.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	MAX_STATEMENTS = 16,
	BUSY_MS = 3000,     /* how long to wait for another process' lock */
	STILL_BUSY_MS = 50, /* the same, when the last wait was in vain: callers queue up behind */
	OPEN_AGAIN_MS = 1000, /* after an open that failed */
};

struct sqlite_connection {
	struct sqlite_core *core;
	const char *path;
	const char *const *sql;
	sqlite3 *db; /* NULL while closed */
	sqlite3_stmt *statements[MAX_STATEMENTS];
	int64_t open_again_ms;
	enum storage_result refusal; /* what the last open that failed was answered with */
	int trouble; /* the error that was logged last; SQLITE_OK when all is well */
};

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct sqlite_connection *sqlite_connection_new(
	struct sqlite_core *core, const char *path, const char *const *sql)
{
	struct sqlite_connection *c = h2o_mem_alloc(sizeof(*c));

	*c = (struct sqlite_connection){ .core = core, .path = path, .sql = sql };
	return c;
}

/* An open transaction is rolled back by that. */
static void disconnect(struct sqlite_connection *c)
{
	for (size_t i = 0; i < MAX_STATEMENTS; i++) {
		sqlite3_finalize(c->statements[i]);
		c->statements[i] = NULL;
	}
	sqlite3_close(c->db);
	c->db = NULL;
}

void sqlite_connection_free(struct sqlite_connection **c)
{
	if (*c == NULL)
		return;
	disconnect(*c);
	free(*c);
	*c = NULL;
}

int sqlite_schema_known(void)
{
	int n = 0;

	while (sqlite_migrations[n].number != 0)
		n++;
	return n;
}

int sqlite_schema_number(sqlite3 *db, int *rc_r)
{
	static const char there[] = "select 1 from sqlite_schema where name = 'schema_migrations'";
	static const char newest[] = "select coalesce(max(number), 0) from schema_migrations";
	sqlite3_stmt *stmt = NULL;
	int number = -1, rc = sqlite3_prepare_v2(db, there, -1, &stmt, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_DONE) {
		number = 0;
	} else if (rc == SQLITE_ROW) {
		sqlite3_finalize(stmt);
		rc = sqlite3_prepare_v2(db, newest, -1, &stmt, NULL);
		if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
			number = sqlite3_column_int(stmt, 0);
	}
	sqlite3_finalize(stmt);
	if (number == -1)
		*rc_r = rc;
	return number;
}

static bool passes_by_itself(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_FULL:
	case SQLITE_NOMEM:
		return true;
	default:
		return false;
	}
}

static void log_trouble(struct sqlite_connection *c, int rc, int cause, const char *doing)
{
	/* A refusal of our own is not in the handle's message. */
	bool known = c->db != NULL && sqlite3_extended_errcode(c->db) == rc;

	sqlite_core_log(c->core, STORAGE_LOG_ERROR, "%s: %s: %s (%d%s%s)", c->path, doing,
		known ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc), rc, cause != 0 ? ", " : "",
		cause != 0 ? strerror(cause) : "");
}

enum storage_result sqlite_connection_note(struct sqlite_connection *c, int rc, const char *doing)
{
	if (rc == c->trouble && rc == SQLITE_OK)
		return STORAGE_OK;
	if (rc == SQLITE_OK) {
		sqlite_core_log(c->core, STORAGE_LOG_INFO, "%s: works again", c->path);
		c->trouble = SQLITE_OK;
		sqlite3_busy_timeout(c->db, BUSY_MS);
		return STORAGE_OK;
	}
	int cause = sqlite_cause(c->db, rc);
	if (rc != c->trouble)
		log_trouble(c, rc, cause, doing);
	c->trouble = rc;
	if (passes_by_itself(rc))
		sqlite3_busy_timeout(c->db, STILL_BUSY_MS);
	else
		disconnect(c);
	return sqlite_is_full(rc, cause) ? STORAGE_FULL : STORAGE_UNAVAILABLE;
}

static int prepare(struct sqlite_connection *c)
{
	for (unsigned i = 0; c->sql[i] != NULL; i++) {
		assert(i < MAX_STATEMENTS);
		int rc = sqlite3_prepare_v3(
			c->db, c->sql[i], -1, SQLITE_PREPARE_PERSISTENT, &c->statements[i], NULL);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

/* The log is put into the database, as far as nobody reads what was before it, and begun anew once that
 * was all of it. With readers always at work that may never be, so they make a pause when it is long. */
static int on_commit(void *arg, sqlite3 *db, const char *schema, int log_pages)
{
	const struct sqlite_connection *c = arg;
	bool is_long = log_pages >= 2 * SQLITE_LOG_PAGES;
	int all = 0, done = -1;

	sqlite_core_note_log(c->core, is_long);
	if (is_long)
		sqlite_core_pause_reading(c->core);
	if (log_pages >= SQLITE_LOG_PAGES)
		sqlite3_wal_checkpoint_v2(db, schema, SQLITE_CHECKPOINT_PASSIVE, &all, &done);
	if (is_long) {
		sqlite_core_resume_reading(c->core);
		sqlite_core_note_log(c->core, done < all);
	}
	return SQLITE_OK;
}

/* Errors of the file and of SQLite; *number_r is the schema's. */
static int connect_to(struct sqlite_connection *c, int *number_r)
{
	int rc = sqlite3_open_v2(
		c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return rc;
	/* Opened all the same, it would make files beside it that are read-only for ever. */
	if (sqlite3_db_readonly(c->db, "main") == 1)
		return SQLITE_READONLY;
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, c->trouble == SQLITE_OK ? BUSY_MS : STILL_BUSY_MS);
	/* A commit is on the disk before it returns. */
	rc = sqlite3_exec(c->db,
		"pragma journal_mode = wal; pragma synchronous = full;" SQLITE_LOG_PRAGMAS, NULL,
		NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_wal_hook(c->db, on_commit, c);
	*number_r = sqlite_schema_number(c->db, &rc);
	if (rc != SQLITE_OK || *number_r != sqlite_schema_known())
		return rc;
	return prepare(c);
}

static void log_schema(struct sqlite_connection *c, int number)
{
	if (c->trouble == SQLITE_SCHEMA)
		return;
	c->trouble = SQLITE_SCHEMA;
	char *text = sqlite_wrong_schema(c->path, number);
	sqlite_core_log(c->core, STORAGE_LOG_ERROR, "%s", text);
	free(text);
}

static enum storage_result connect_anew(struct sqlite_connection *c)
{
	int number = 0, rc = connect_to(c, &number);
	enum storage_result result;

	if (rc == SQLITE_OK && number == sqlite_schema_known())
		return STORAGE_OK;
	if (rc != SQLITE_OK) {
		result = sqlite_connection_note(c, rc, "cannot be opened");
	} else {
		result = STORAGE_UNAVAILABLE;
		log_schema(c, number);
	}
	disconnect(c);
	c->open_again_ms = monotonic_ms() + OPEN_AGAIN_MS;
	c->refusal = result;
	return result;
}

/* Somebody put another file in its place: what is written to this one is lost to all. */
static bool file_moved(struct sqlite_connection *c)
{
	int moved = 0;

	sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved != 0;
}

enum storage_result sqlite_connection_ready(struct sqlite_connection *c)
{
	if (c->db != NULL && file_moved(c)) {
		sqlite_core_log(c->core, STORAGE_LOG_WARNING,
			"%s: was moved or replaced, opening it anew", c->path);
		disconnect(c);
	}
	if (c->db != NULL)
		return STORAGE_OK;
	if (monotonic_ms() < c->open_again_ms)
		return c->refusal;
	return connect_anew(c);
}

sqlite3_stmt *sqlite_connection_statement(struct sqlite_connection *c, unsigned i)
{
	assert(c->statements[i] != NULL);
	return c->statements[i];
}

int sqlite_connection_run(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

bool sqlite_connection_in_transaction(const struct sqlite_connection *c)
{
	return c->db != NULL && !sqlite3_get_autocommit(c->db);
}
