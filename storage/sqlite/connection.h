/* SPDX-License-Identifier: MIT */
/* connection.h - one SQLite connection and the statements prepared on it
 *
 * A connection opens itself when it is needed, closes itself after an error that opening anew may
 * cure, and is not tried more than once a second. What goes wrong is logged once, until something
 * else does or all is well again.
 *
 * Threads    A connection belongs to one thread. */
#ifndef STORAGE_SQLITE_CONNECTION_H
#define STORAGE_SQLITE_CONNECTION_H

#include "storage/storage.h"

#include <sqlite3.h>

struct sqlite_core;
struct sqlite_connection;

/* `sql` is a list of statements that ends with NULL; both it and `path` must outlive it. */
struct sqlite_connection *sqlite_connection_new(
	struct sqlite_core *core, const char *path, const char *const *sql);
/* Accepts a pointer to NULL. */
void sqlite_connection_free(struct sqlite_connection **c);

/* STORAGE_OK: it is open on the file that stands at the path now, its schema is the one this
 * program knows. */
enum storage_result sqlite_connection_ready(struct sqlite_connection *c);

/* Statement number `i` of the list, ready to be bound and stepped. Only while it is ready. */
sqlite3_stmt *sqlite_connection_statement(struct sqlite_connection *c, unsigned i);
/* Steps a statement that gives no rows. SQLITE_OK or the extended error. */
int sqlite_connection_run(sqlite3_stmt *stmt);

bool sqlite_connection_in_transaction(const struct sqlite_connection *c);

/* Takes note of an error, or of SQLITE_OK: what to answer because of it, nothing having been
 * written. `doing` is for the log. The connection may be closed afterwards. */
enum storage_result sqlite_connection_note(struct sqlite_connection *c, int rc, const char *doing);

/* The number of the newest migration that was run; 0 for none; -1 with `*rc_r` for an error. */
int sqlite_schema_number(sqlite3 *db, int *rc_r);
/* The number of the newest migration that this program has. */
int sqlite_schema_known(void);

/* The log is put into the database every 16 MB, not every 4, which takes many more messages a second;
 * a huge one makes it long for a while only. */
enum { SQLITE_LOG_PAGES = 4000 };
#define SQLITE_LOG_PRAGMAS "pragma journal_size_limit = 67108864"

#endif
