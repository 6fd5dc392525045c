/* SPDX-License-Identifier: MIT */
/* Beside a server the writer thread of that comes first: what is due is looked for without a lock,
 * the lock is held for a short batch, and at least as long a pause follows. */
#include "storage/sqlite/purge.h"
#include "storage/retention.h"
#include "storage/sqlite/upkeep.h"

#include <stdlib.h>

enum {
	BATCH_ROWS = 200,
	BATCH_BYTES = 4 << 20, /* of messages; one always fits. SQLite overwrites what it deletes */
};

enum statement {
	BEGIN,
	COMMIT,
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

static const char *const statements[] = {
	[BEGIN] = "begin immediate",
	[COMMIT] = "commit",
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
	[STATEMENTS] = NULL,
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
	struct sqlite_upkeep upkeep;
	const struct storage_retention *keep;
	int64_t now_us;
	struct storage_purged *purged;
	char *tenant; /* whose is due, "" at first */
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
	return sqlite_upkeep_is_stopped(&p->upkeep);
}

static bool is_well(struct purge *p, int rc)
{
	return sqlite_upkeep_is_well(&p->upkeep, rc);
}

static bool run(struct purge *p, enum statement which)
{
	return sqlite_upkeep_run(&p->upkeep, which);
}

/* The statement, bound to what is due now. */
static sqlite3_stmt *ask(struct purge *p, enum statement which)
{
	sqlite3_stmt *stmt = p->upkeep.statements[which];

	sqlite3_bind_text(stmt, 1, p->tenant, p->tenant_len, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, p->below, -1, SQLITE_STATIC);
	return stmt;
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
			sqlite3_stmt *stmt = p->upkeep.statements[kind->deletes[d]];
			sqlite3_bind_text(stmt, 1, batch->ids[i], -1, SQLITE_STATIC);
			if (!run(p, kind->deletes[d]))
				return false;
		}
		deleted += (uint64_t)sqlite3_changes(p->upkeep.db);
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
			sqlite_upkeep_give_way(&p->upkeep, monotonic_us() - began_us);
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

enum storage_result sqlite_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r)
{
	struct purge p = {
		.upkeep = { .stop = stop, .doing = "old mail cannot be deleted" },
		.keep = keep,
		.now_us = now_us,
		.purged = purged_r,
		.tenant = h2o_strdup(NULL, "", 0).base,
	};

	if (sqlite_upkeep_open(&p.upkeep, set, statements) && purge_messages(&p))
		purge_keys(&p);
	free(p.tenant);
	return sqlite_upkeep_close(&p.upkeep, error_r);
}
