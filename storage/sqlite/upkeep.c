/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/upkeep.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/migrate.h"
#include "storage/sqlite/trouble.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	PATIENCE_US = 10000000, /* with others who hold the lock */
	LOOK_AGAIN_US = 5000,
	LONGEST_PAUSE_US = 500000,
	SHORTEST_PAUSE_US = 10000,
	STOP_CHECK_STEPS = 10000, /* of SQLite's machine: a few milliseconds */
};

bool sqlite_upkeep_is_stopped(const struct sqlite_upkeep *u)
{
	return u->stop != NULL && atomic_load(u->stop);
}

bool sqlite_upkeep_is_well(struct sqlite_upkeep *u, int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return true;
	if (u->error == NULL && !sqlite_upkeep_is_stopped(u))
		u->error = sqlite_trouble(u->db, u->path, u->doing, rc);
	if (u->db != NULL && !sqlite3_get_autocommit(u->db))
		sqlite3_exec(u->db, "rollback", NULL, NULL, NULL);
	return false;
}

bool sqlite_upkeep_run(struct sqlite_upkeep *u, unsigned statement)
{
	return sqlite_upkeep_is_well(u, sqlite_connection_run(u->statements[statement]));
}

static int wait_for_lock(void *data, int tries)
{
	struct sqlite_upkeep *u = data;

	if (tries == 0)
		u->waiting_since_us = monotonic_us();
	if (sqlite_upkeep_is_stopped(u) || monotonic_us() - u->waiting_since_us > PATIENCE_US)
		return 0;
	usleep(LOOK_AGAIN_US);
	return 1;
}

static int asked_to_stop(void *data)
{
	return sqlite_upkeep_is_stopped(data);
}

/* For at least as long. */
void sqlite_upkeep_give_way(const struct sqlite_upkeep *u, int64_t held_us)
{
	int64_t until_us = monotonic_us() + (held_us < SHORTEST_PAUSE_US         ? SHORTEST_PAUSE_US
						    : held_us > LONGEST_PAUSE_US ? LONGEST_PAUSE_US
										 : held_us);

	while (monotonic_us() < until_us && !sqlite_upkeep_is_stopped(u))
		usleep(SHORTEST_PAUSE_US);
}

/* Of a file that it may not write to, SQLite would make companions that nobody can. */
static bool check_writable(struct sqlite_upkeep *u)
{
	if (sqlite3_db_readonly(u->db, "main") == 0)
		return true;
	u->error = sqlite_text("the database %s: this user may not write to it, which also "
			       "reading needs: use the server's own",
		u->path);
	return false;
}

static bool check_schema(struct sqlite_upkeep *u)
{
	int rc = SQLITE_OK, number = sqlite_schema_number(u->db, &rc);

	if (!sqlite_upkeep_is_well(u, rc))
		return false;
	if (number != sqlite_schema_known())
		u->error = sqlite_wrong_schema(u->path, number);
	return u->error == NULL;
}

/* No commit is waited for until it is on the disk: one that a crash takes back is made again. */
static bool connect_to(struct sqlite_upkeep *u, const char *const *sql)
{
	int rc = sqlite3_open_v2(
		u->path, &u->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (!sqlite_upkeep_is_well(u, rc) || !check_writable(u))
		return false;
	sqlite3_busy_handler(u->db, wait_for_lock, u);
	sqlite3_progress_handler(u->db, STOP_CHECK_STEPS, asked_to_stop, u);
	sqlite3_wal_autocheckpoint(u->db, SQLITE_LOG_PAGES);
	rc = sqlite3_exec(
		u->db, "pragma synchronous = normal;" SQLITE_LOG_PRAGMAS, NULL, NULL, NULL);
	if (!sqlite_upkeep_is_well(u, rc) || !check_schema(u))
		return false;
	for (unsigned i = 0; rc == SQLITE_OK && sql[i] != NULL; i++) {
		assert(i < SQLITE_UPKEEP_STATEMENTS);
		rc = sqlite3_prepare_v2(u->db, sql[i], -1, &u->statements[i], NULL);
	}
	return sqlite_upkeep_is_well(u, rc);
}

bool sqlite_upkeep_open(
	struct sqlite_upkeep *u, const struct storage_settings *set, const char *const *sql)
{
	const char *doing = u->doing;

	u->path = sqlite_path(set->url, &u->error);
	if (u->path == NULL)
		return false;
	u->doing = "cannot be opened";
	bool ok = connect_to(u, sql);
	u->doing = doing;
	return ok;
}

enum storage_result sqlite_upkeep_close(struct sqlite_upkeep *u, char **error_r)
{
	for (unsigned i = 0; i < SQLITE_UPKEEP_STATEMENTS; i++)
		sqlite3_finalize(u->statements[i]);
	sqlite3_close(u->db);
	free(u->path);
	if (u->error == NULL)
		return STORAGE_OK;
	*error_r = u->error;
	return STORAGE_UNAVAILABLE;
}
