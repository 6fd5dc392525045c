/* SPDX-License-Identifier: MIT */
/* Beside a server the writer thread of that comes first: what is due is looked for without a lock,
 * the lock is held for a short batch, and at least as long a pause follows. */
#include "storage/sqlite/purge.h"
#include "storage/retention.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/migrate.h"
#include "storage/sqlite/trouble.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	BATCH_ROWS = 200,
	BATCH_BYTES = 4 << 20, /* of messages; one always fits. SQLite overwrites what it deletes */
	PATIENCE_US = 10000000, /* with others who hold the lock */
	LOOK_AGAIN_US = 5000,
	LONGEST_PAUSE_US = 500000,
	SHORTEST_PAUSE_US = 10000,
	STOP_CHECK_STEPS = 10000, /* of SQLite's machine: a few milliseconds */
};

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	NEXT_TENANT,
	FIND_MESSAGES,
	FIND_KEYS,
	COUNT_MESSAGES,
	COUNT_KEYS,
	DELETE_PARTS,
	DELETE_RAW,
	DELETE_MESSAGE,
	DELETE_KEY,
	STATEMENTS,
};

static const char *const statements[STATEMENTS] = {
	[BEGIN] = "begin immediate",
	[COMMIT] = "commit",
	[ROLLBACK] = "rollback",
	[NEXT_TENANT] = "select min(tenant) from messages where tenant > ?1",
	/* What somebody else put there under an id that is none is not ours to delete. */
	[FIND_MESSAGES] = "select id, size from messages where tenant = ?1 and id < ?2"
			  " and length(id) = 36 order by id limit ?3",
	[FIND_KEYS] = "select id, 0 from message_keys where id < ?2"
		      " and length(id) = 36 order by id limit ?3",
	[COUNT_MESSAGES] = "select count(*) from messages where tenant = ?1 and id < ?2",
	[COUNT_KEYS] = "select count(*) from message_keys where id < ?2",
	[DELETE_PARTS] = "delete from message_parts where id = ?1",
	[DELETE_RAW] = "delete from message_raw where id = ?1",
	[DELETE_MESSAGE] = "delete from messages where id = ?1",
	[DELETE_KEY] = "delete from message_keys where id = ?1",
};

/* One kind of thing that is due; `deletes` ends with the statement whose rows are counted. */
struct kind {
	enum statement find, count, deletes[3];
	unsigned delete_count;
};

static const struct kind messages = {
	.find = FIND_MESSAGES,
	.count = COUNT_MESSAGES,
	.deletes = { DELETE_PARTS, DELETE_RAW, DELETE_MESSAGE },
	.delete_count = 3,
};
static const struct kind keys = {
	.find = FIND_KEYS,
	.count = COUNT_KEYS,
	.deletes = { DELETE_KEY },
	.delete_count = 1,
};

struct purge {
	const char *path;
	const struct storage_retention *keep;
	int64_t now_us;
	const atomic_bool *stop; /* or NULL */
	struct storage_purged *purged;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int64_t waiting_since_us;
	const char *doing; /* as an error would have it */
	char *error;       /* NULL: none */
	char *tenant;      /* whose is due, "" at first */
	int tenant_len;
	char below[UUID_TEXT + 1]; /* up to where */
};

struct batch {
	char ids[BATCH_ROWS][UUID_TEXT + 1];
	unsigned count;
	bool is_last;
};

static bool is_stopped(const struct purge *p)
{
	return p->stop != NULL && atomic_load(p->stop);
}

/* False for an error, which is noted unless it came of stopping; the transaction is undone. */
static bool is_well(struct purge *p, int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return true;
	if (p->error == NULL && !is_stopped(p))
		p->error = sqlite_trouble(p->db, p->path, p->doing, rc);
	if (p->statements[ROLLBACK] != NULL && !sqlite3_get_autocommit(p->db))
		sqlite_connection_run(p->statements[ROLLBACK]);
	return false;
}

static bool run(struct purge *p, enum statement which)
{
	return is_well(p, sqlite_connection_run(p->statements[which]));
}

/* The statement, bound to what is due now. */
static sqlite3_stmt *ask(struct purge *p, enum statement which)
{
	sqlite3_stmt *stmt = p->statements[which];

	sqlite3_bind_text(stmt, 1, p->tenant, p->tenant_len, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, p->below, -1, SQLITE_STATIC);
	return stmt;
}

/* --- waiting --- */

static int wait_for_lock(void *data, int tries)
{
	struct purge *p = data;

	if (tries == 0)
		p->waiting_since_us = monotonic_us();
	if (is_stopped(p) || monotonic_us() - p->waiting_since_us > PATIENCE_US)
		return 0;
	usleep(LOOK_AGAIN_US);
	return 1;
}

static int asked_to_stop(void *data)
{
	return is_stopped(data);
}

static void give_way(const struct purge *p, int64_t held_us)
{
	int64_t until_us = monotonic_us() + (held_us < SHORTEST_PAUSE_US         ? SHORTEST_PAUSE_US
						    : held_us > LONGEST_PAUSE_US ? LONGEST_PAUSE_US
										 : held_us);

	while (monotonic_us() < until_us && !is_stopped(p))
		usleep(SHORTEST_PAUSE_US);
}

/* --- deleting --- */

static bool find(struct purge *p, const struct kind *kind, struct batch *batch)
{
	sqlite3_stmt *stmt = ask(p, kind->find);
	sqlite3_int64 bytes = 0;
	int rc;

	sqlite3_bind_int(stmt, 3, BATCH_ROWS);
	*batch = (struct batch){ .count = 0, .is_last = true };
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		bytes += sqlite3_column_int64(stmt, 1);
		if (batch->count > 0 && bytes > BATCH_BYTES) {
			batch->is_last = false;
			break;
		}
		snprintf(batch->ids[batch->count++], sizeof(batch->ids[0]), "%s",
			(const char *)sqlite3_column_text(stmt, 0));
	}
	if (batch->count == BATCH_ROWS)
		batch->is_last = false;
	bool ok = is_well(p, rc);
	sqlite3_reset(stmt);
	return ok;
}

/* Those that another instance was faster with are not counted. */
static bool delete_batch(
	struct purge *p, const struct kind *kind, const struct batch *batch, uint64_t *count)
{
	uint64_t deleted = 0;

	if (!run(p, BEGIN))
		return false;
	for (unsigned i = 0; i < batch->count; i++) {
		for (unsigned d = 0; d < kind->delete_count; d++) {
			sqlite3_stmt *stmt = p->statements[kind->deletes[d]];
			sqlite3_bind_text(stmt, 1, batch->ids[i], -1, SQLITE_STATIC);
			if (!run(p, kind->deletes[d]))
				return false;
		}
		deleted += (uint64_t)sqlite3_changes(p->db);
	}
	if (!run(p, COMMIT))
		return false;
	*count += deleted;
	return true;
}

static bool delete_due(struct purge *p, const struct kind *kind, uint64_t *count)
{
	struct batch batch = { .is_last = false };

	while (!batch.is_last && !is_stopped(p)) {
		if (!find(p, kind, &batch))
			return false;
		int64_t began_us = monotonic_us();
		if (batch.count > 0 && !delete_batch(p, kind, &batch, count))
			return false;
		if (!batch.is_last)
			give_way(p, monotonic_us() - began_us);
	}
	return true;
}

static bool count_due(struct purge *p, const struct kind *kind, uint64_t *count)
{
	sqlite3_stmt *stmt = ask(p, kind->count);
	bool ok = is_well(p, sqlite3_step(stmt));

	if (ok)
		*count += (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return ok;
}

static bool purge_due(
	struct purge *p, const struct kind *kind, const struct uuid *below, uint64_t *count)
{
	uuid_format(below, p->below);
	return p->keep->only_count ? count_due(p, kind, count) : delete_due(p, kind, count);
}

/* --- what is due --- */

/* The tenant after p->tenant into its place; "" when there is none. */
static bool go_to_next_tenant(struct purge *p)
{
	sqlite3_stmt *stmt = ask(p, NEXT_TENANT);
	bool ok = is_well(p, sqlite3_step(stmt));
	const char *next = ok ? (const char *)sqlite3_column_text(stmt, 0) : NULL;

	p->tenant_len = next != NULL ? sqlite3_column_bytes(stmt, 0) : 0;
	free(p->tenant);
	p->tenant = h2o_strdup(NULL, next != NULL ? next : "", (size_t)p->tenant_len).base;
	sqlite3_reset(stmt);
	return ok;
}

static bool purge_messages(struct purge *p)
{
	struct uuid below;

	if (retention_is_endless(p->keep))
		return true;
	while (!is_stopped(p)) {
		if (!go_to_next_tenant(p))
			return false;
		if (p->tenant[0] == '\0')
			return true;
		if (retention_bound(p->keep, p->tenant, p->now_us, &below) &&
			!purge_due(p, &messages, &below, &p->purged->messages))
			return false;
	}
	return true;
}

static bool purge_keys(struct purge *p)
{
	struct uuid below;

	return !retention_key_bound(p->keep, p->now_us, &below) || is_stopped(p) ||
	       purge_due(p, &keys, &below, &p->purged->keys);
}

/* --- the connection --- */

/* No commit is waited for until it is on the disk: one that a crash takes back is made again. */
static int connect_to(struct purge *p, int *number_r)
{
	int rc = sqlite3_open_v2(
		p->path, &p->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_busy_handler(p->db, wait_for_lock, p);
	sqlite3_progress_handler(p->db, STOP_CHECK_STEPS, asked_to_stop, p);
	rc = sqlite3_exec(
		p->db, "pragma synchronous = normal;" SQLITE_LOG_PRAGMAS, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		*number_r = sqlite_schema_number(p->db, &rc);
	if (rc != SQLITE_OK || *number_r != sqlite_schema_known())
		return rc;
	for (unsigned i = 0; rc == SQLITE_OK && i < STATEMENTS; i++)
		rc = sqlite3_prepare_v2(p->db, statements[i], -1, &p->statements[i], NULL);
	return rc;
}

static bool open_it(struct purge *p)
{
	int number = 0;

	if (!is_well(p, connect_to(p, &number)))
		return false;
	p->doing = "old mail cannot be deleted";
	if (number == sqlite_schema_known())
		return true;
	p->error = sqlite_wrong_schema(p->path, number);
	return false;
}

static void close_it(struct purge *p)
{
	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(p->statements[i]);
	sqlite3_close(p->db);
	free(p->tenant);
}

enum storage_result sqlite_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r)
{
	char *path = sqlite_path(set->url, error_r);

	if (path == NULL)
		return STORAGE_UNAVAILABLE;
	struct purge p = {
		.path = path,
		.keep = keep,
		.now_us = now_us,
		.stop = stop,
		.purged = purged_r,
		.doing = "cannot be opened",
		.tenant = h2o_strdup(NULL, "", 0).base,
	};
	if (open_it(&p) && purge_messages(&p))
		purge_keys(&p);
	close_it(&p);
	free(path);
	if (p.error == NULL)
		return STORAGE_OK;
	*error_r = p.error;
	return STORAGE_UNAVAILABLE;
}
