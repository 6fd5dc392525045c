/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/trouble.h"
#include "storage/sqlite/connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *sqlite_text(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) == -1)
		abort();
	va_end(args);
	return text;
}

static bool is_of_the_system(int rc)
{
	return (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
}

/* SQLite itself loses it when a commit fails, but the log's file remembers. */
int sqlite_cause(sqlite3 *db, int rc)
{
	sqlite3_file *log = NULL;
	int cause = db != NULL && is_of_the_system(rc) ? sqlite3_system_errno(db) : 0;

	if (cause != 0 || db == NULL || !is_of_the_system(rc))
		return cause;
	sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log != NULL && log->pMethods != NULL)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &cause);
	return cause;
}

bool sqlite_is_full(int rc, int cause)
{
	return (rc & 0xff) == SQLITE_FULL || cause == ENOSPC || cause == EDQUOT || cause == EFBIG;
}

char *sqlite_trouble(sqlite3 *db, const char *path, const char *doing, int rc)
{
	if ((rc & 0xff) == SQLITE_BUSY)
		return sqlite_text("the database %s: %s: another process holds a lock on it; try "
				   "again when it has finished",
			path, doing);
	if (sqlite_is_full(rc, sqlite_cause(db, rc)))
		return sqlite_text(
			"the database %s: %s: its disk is full; make room there", path, doing);
	return sqlite_text("the database %s: %s: %s", path, doing, sqlite3_errmsg(db));
}

char *sqlite_wrong_schema(const char *path, int number)
{
	int known = sqlite_schema_known();

	return sqlite_text("the database %s: its schema is at %d, this program knows it at %d: %s",
		path, number, known,
		number < known ? "run `mailserver migrate`" : "use a newer mailserver");
}

char *sqlite_cannot_create(const char *path, int error)
{
	if (error == ENOENT)
		return sqlite_text("the directory of the database %s does not exist: create it, or "
				   "set another storage.url or data_dir",
			path);
	return sqlite_text("the database %s cannot be created: %s", path, strerror(error));
}
