/* SPDX-License-Identifier: MIT */
/* trouble.h - what is wrong with a database file, in words for whoever runs a command */
#ifndef STORAGE_SQLITE_TROUBLE_H
#define STORAGE_SQLITE_TROUBLE_H

#include <sqlite3.h>
#include <stdbool.h>

/* printf() into a string that is the caller's to free(). */
char *sqlite_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Each of these as well. What became of `doing`, an error of SQLite's: */
char *sqlite_trouble(sqlite3 *db, const char *path, const char *doing, int rc);
/* The schema's number is not this program's. */
char *sqlite_wrong_schema(const char *path, int number);
/* The file, or one beside it, cannot be made. */
char *sqlite_cannot_create(const char *path, int error);

/* The errno behind an error of the system; 0 when it is not known. `db` may be NULL. */
int sqlite_cause(sqlite3 *db, int rc);
/* Disk, quota and file size limits all are "full" to whoever sent the mail. */
bool sqlite_is_full(int rc, int cause);

#endif
