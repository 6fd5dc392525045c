/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/migrate.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/lock.h"
#include "storage/sqlite/trouble.h"
#include "storage/storage_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	PATIENCE_MS = 5000, /* with others who hold a lock; then the caller decides */
	STEP_MS = 20,
	FILE_MODE = 0640, /* other people's mail: nobody else's to read */
};

char *sqlite_path(const char *url, char **error_r)
{
	static const char prefix[] = "sqlite://";
	char *path;

	if (strncmp(url, prefix, strlen(prefix)) != 0 || url[strlen(prefix)] == '\0') {
		*error_r = sqlite_text(
			"%s names no file: use sqlite:///absolute/path/mail.db", url);
		return NULL;
	}
	if (strchr(url, '?') != NULL) {
		*error_r = sqlite_text(
			"%s: sqlite:// takes no parameters, leave out what follows the \"?\"", url);
		return NULL;
	}
	url += strlen(prefix);
	/* ":memory:" and "file:…" mean something else to SQLite, "./:memory:" does not. */
	if (asprintf(&path, "%s%s", url[0] == '/' ? "" : "./", url) == -1)
		abort();
	return path;
}

/* The file's mode is right from the beginning, and SQLite gives the files beside it the same. No
 * descriptor is opened: closing one would drop the locks that this process has on the file. */
static enum storage_migrated create_file(const char *path, char **error_r)
{
	if (mknod(path, S_IFREG | FILE_MODE, 0) == 0 || errno == EEXIST)
		return STORAGE_MIGRATED;
	*error_r = sqlite_cannot_create(path, errno);
	return STORAGE_MIGRATE_FAILED;
}

static enum storage_migrated fail_with(
	sqlite3 *db, const char *path, const char *doing, int rc, char **error_r)
{
	*error_r = sqlite_trouble(db, path, doing, rc);
	return (rc & 0xff) == SQLITE_BUSY ? STORAGE_MIGRATE_LATER : STORAGE_MIGRATE_FAILED;
}

/* Several that want this at once get in each other's way in a manner that SQLite's own waiting does
 * not help against. */
static int write_ahead(sqlite3 *db)
{
	int rc, waited_ms = 0;

	sqlite3_busy_timeout(db, 0);
	while ((rc = sqlite3_exec(db, "pragma journal_mode = wal", NULL, NULL, NULL)) ==
			SQLITE_BUSY &&
		waited_ms < PATIENCE_MS)
		waited_ms += sqlite3_sleep(STEP_MS);
	sqlite3_busy_timeout(db, PATIENCE_MS);
	return rc;
}

static int record_migration(sqlite3 *db, const struct storage_migration *m)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
		"insert into schema_migrations (number, name, applied_at)"
		" values (?1, ?2, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))",
		-1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, m->number);
	sqlite3_bind_text(stmt, 2, m->name, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int run_migration(sqlite3 *db, const struct storage_migration *m)
{
	int rc = sqlite3_exec(db,
		"create table if not exists schema_migrations ("
		"number integer primary key, name text not null, applied_at text not null)",
		NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, m->sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? record_migration(db, m) : rc;
}

/* One step in a transaction of its own. *number_r: where the schema was before it; when that is the
 * newest, nothing was done. */
static int step(sqlite3 *db, int *number_r)
{
	int rc = sqlite3_exec(db, "begin immediate", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return rc;
	*number_r = sqlite_schema_number(db, &rc);
	if (rc == SQLITE_OK && *number_r < sqlite_schema_known())
		rc = run_migration(db, &sqlite_migrations[*number_r]);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "commit", NULL, NULL, NULL);
	return rc;
}

static enum storage_migrated migrate_all(
	sqlite3 *db, const char *path, unsigned *applied_r, char **error_r)
{
	int number = 0, rc = write_ahead(db);
	unsigned applied = 0;

	while (rc == SQLITE_OK) {
		rc = step(db, &number);
		if (rc != SQLITE_OK || number >= sqlite_schema_known())
			break;
		applied++;
	}
	if (rc != SQLITE_OK)
		return fail_with(db, path, "its schema cannot be brought up to date", rc, error_r);
	if (number > sqlite_schema_known()) {
		*error_r = sqlite_wrong_schema(path, number);
		return STORAGE_MIGRATE_FAILED;
	}
	*applied_r = applied;
	return STORAGE_MIGRATED;
}

static enum storage_migrated migrate_file(const char *path, unsigned *applied_r, char **error_r)
{
	sqlite3 *db = NULL;
	enum storage_migrated outcome = create_file(path, error_r);

	if (outcome != STORAGE_MIGRATED)
		return outcome;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	outcome = rc == SQLITE_OK ? migrate_all(db, path, applied_r, error_r)
				  : fail_with(db, path, "cannot be opened", rc, error_r);
	sqlite3_close(db);
	return outcome;
}

enum storage_migrated sqlite_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r)
{
	char *path = sqlite_path(set->url, error_r);

	if (path == NULL)
		return STORAGE_MIGRATE_FAILED;
	enum storage_migrated outcome = STORAGE_MIGRATE_FAILED;
	struct sqlite_lock *file = NULL;
	if (sqlite_lock_take(path, set->listeners, &file, error_r) == 0)
		outcome = migrate_file(path, applied_r, error_r);
	sqlite_lock_release(&file);
	free(path);
	return outcome;
}
