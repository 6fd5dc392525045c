/* SPDX-License-Identifier: MIT */
/* upkeep.h - a connection for work that may wait, beside a server whose writer thread comes first
 *
 * It is patient with who holds the lock, gives way after each batch of its own, and can be stopped at
 * any moment. The first thing that goes wrong is put into words, and ends whatever it was needed for.
 *
 * Threads    One, but for `stop`. */
#ifndef STORAGE_SQLITE_UPKEEP_H
#define STORAGE_SQLITE_UPKEEP_H

#include "storage/storage.h"

#include <sqlite3.h>

enum { SQLITE_UPKEEP_STATEMENTS = 16 };

struct sqlite_upkeep {
	const atomic_bool *stop; /* or NULL */
	char *path;
	sqlite3 *db;
	sqlite3_stmt *statements[SQLITE_UPKEEP_STATEMENTS];
	int64_t waiting_since_us;
	const char *doing; /* as an error would have it */
	char *error;       /* NULL: none */
};

/* Opens it with these statements, whose list ends with NULL: a file that may be written to, and has
 * the schema that this program knows. In both cases sqlite_upkeep_close(). */
bool sqlite_upkeep_open(
	struct sqlite_upkeep *u, const struct storage_settings *set, const char *const *sql);
/* The result of all of it. */
enum storage_result sqlite_upkeep_close(struct sqlite_upkeep *u, char **error_r);

bool sqlite_upkeep_is_stopped(const struct sqlite_upkeep *u);
/* False for an error, which is noted unless it came of stopping; the transaction is undone. */
bool sqlite_upkeep_is_well(struct sqlite_upkeep *u, int rc);
/* Steps a statement that gives no rows. */
bool sqlite_upkeep_run(struct sqlite_upkeep *u, unsigned statement);
/* After the lock was held for so long. */
void sqlite_upkeep_give_way(const struct sqlite_upkeep *u, int64_t held_us);

#endif
