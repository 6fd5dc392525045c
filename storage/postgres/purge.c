/* SPDX-License-Identifier: MIT */
/* A partition of which nothing is to be kept is dropped. Else rows are only ever deleted, in
 * transactions of a moment each, and what another instance has taken already is passed over: nobody
 * waits for anybody. */
#include "storage/postgres/purge.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/params.h"
#include "storage/postgres/trouble.h"
#include "storage/retention.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_MESSAGES "1000"
#define BATCH_KEYS     "5000"

enum {
	BATCH_BYTES = 64 << 20, /* of messages; one always fits */
	ARRAY_BYTES = 1 << 20,  /* more than a batch's ids take */
};

/* The messages of one tenant below an id. */
struct due {
	const char *tenant;
	struct uuid below;
	bool kept_for_ever; /* then nothing is */
};

struct purge {
	struct pg_session session;
	const struct storage_settings *set;
	const struct storage_retention *keep;
	int64_t now_us;
	const atomic_bool *stop; /* or NULL */
	struct storage_purged *purged;
	struct arena *arena;
	struct due *due; /* every tenant that has messages, in their order */
	size_t due_count;
};

static bool is_stopped(const struct purge *p)
{
	return p->stop != NULL && atomic_load(p->stop);
}

/* --- transactions --- */

/* A count may take as long as it takes. */
static uint32_t timeout_ms(const struct purge *p)
{
	return p->keep->only_count ? 0 : p->set->statement_timeout_ms;
}

static bool begin(struct purge *p)
{
	return pg_session_begin(&p->session, timeout_ms(p));
}

static bool commit(struct purge *p)
{
	return pg_session_commit(&p->session);
}

/* One statement in the transaction that is open. */
static PGresult *ask(
	struct purge *p, const char *doing, const char *sql, int count, const char *const *values)
{
	return pg_session_query(&p->session, doing, sql, count, values);
}

/* One statement in a transaction of its own, for its first row. */
static PGresult *ask_alone(
	struct purge *p, const char *doing, const char *sql, int count, const char *const *values)
{
	return pg_session_query_alone(&p->session, timeout_ms(p), doing, sql, count, values);
}

static uint64_t number_of(const PGresult *res)
{
	return strtoull(PQgetvalue(res, 0, 0), NULL, 10);
}

/* --- whose messages are due --- */

/* From one tenant to the next by the index: few steps, however many messages there are. */
static const char next_tenant_sql[] = "SELECT min(tenant) FROM messages WHERE tenant > $1";

/* The one after `tenant`, "" behind the last; NULL for an error. */
static const char *next_tenant(struct purge *p, const char *tenant)
{
	PGresult *res = ask_alone(p, "listing the tenants", next_tenant_sql, 1, &tenant);

	if (res == NULL)
		return NULL;
	const char *next = arena_strdup(p->arena, PQgetvalue(res, 0, 0));
	PQclear(res);
	return next;
}

static void add_due(struct purge *p, const char *tenant, size_t *room)
{
	if (p->due_count == *room) {
		*room = *room > 0 ? 2 * *room : 16;
		struct due *larger = arena_alloc(p->arena, *room * sizeof(*larger));
		if (p->due_count > 0)
			memcpy(larger, p->due, p->due_count * sizeof(*larger));
		p->due = larger;
	}
	struct due *due = &p->due[p->due_count++];
	*due = (struct due){ .tenant = tenant };
	due->kept_for_ever = !retention_bound(p->keep, tenant, p->now_us, &due->below);
}

static bool list_due(struct purge *p)
{
	const char *tenant = "";
	size_t room = 0;

	while (!is_stopped(p) && (tenant = next_tenant(p, tenant)) != NULL && tenant[0] != '\0')
		add_due(p, tenant, &room);
	return tenant != NULL;
}

/* --- whole partitions --- */

static const char old_partitions_sql[] =
	"SELECT suffix, from_id, to_id FROM mailserver_partitions WHERE to_id <= $1 ORDER BY to_id";
static const char has_mail_of_sql[] =
	"SELECT (EXISTS (SELECT FROM messages WHERE tenant = ANY ($1::text[]) AND id < $3"
	" AND id >= coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')))::int";

/* Nobody's mail above this id is due. */
static bool latest_bound(const struct purge *p, char out[UUID_TEXT + 1])
{
	const struct due *latest = NULL;

	for (size_t i = 0; i < p->due_count; i++) {
		const struct due *due = &p->due[i];
		if (!due->kept_for_ever && (latest == NULL || memcmp(&due->below, &latest->below,
								      sizeof(due->below)) > 0))
			latest = due;
	}
	if (latest != NULL)
		uuid_format(&latest->below, out);
	return latest != NULL;
}

/* Those whose mail is kept longer than to this id, as an array; the caller's buffer. */
static void write_keepers(struct buf *buf, const struct purge *p, const char *to_id)
{
	buf_init(buf, ARRAY_BYTES);
	buf_putc(buf, '{');
	for (size_t i = 0; i < p->due_count; i++) {
		char below[UUID_TEXT + 1];
		uuid_format(&p->due[i].below, below);
		if (!p->due[i].kept_for_ever && strcmp(to_id, below) <= 0)
			continue;
		if (buf->len > 1)
			buf_putc(buf, ',');
		pg_put_quoted(buf, p->due[i].tenant);
	}
	buf_putc(buf, '}');
}

static bool try_to_drop(struct purge *p, const char *suffix)
{
	static const char *const tables[] = { "messages", "message_raw", "message_parts" };
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM messages_%s", suffix);
	PGresult *res = begin(p) ? ask(p, "counting a partition's messages", sql, 0, NULL) : NULL;
	if (res == NULL)
		return false;
	uint64_t messages = number_of(res);
	PQclear(res);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !p->keep->only_count; i++) {
		snprintf(sql, sizeof(sql), "DROP TABLE %s_%s", tables[i], suffix);
		if (!pg_session_run(&p->session, "dropping a partition", sql))
			return false;
	}
	if (!commit(p))
		return false;
	p->purged->messages += p->keep->only_count ? 0 : messages; /* they are counted by tenant */
	p->purged->partitions++;
	return true;
}

/* Somebody may be reading it, or this user not own it: its rows can be deleted all the same. */
static void drop_partition(struct purge *p, const char *suffix)
{
	if (try_to_drop(p, suffix))
		return;
	pg_log(p->set, STORAGE_LOG_WARNING, "the partition of %s is not dropped: %s", suffix,
		p->session.error);
	free(p->session.error);
	p->session.error = NULL;
	PQclear(PQexec(p->session.pg, "ROLLBACK"));
}

static bool is_kept(struct purge *p, const PGresult *partitions, int row, bool *kept_r)
{
	const char *from_id = PQgetisnull(partitions, row, 1) ? NULL
							      : PQgetvalue(partitions, row, 1);
	struct buf keepers;

	write_keepers(&keepers, p, PQgetvalue(partitions, row, 2));
	const char *values[] = { keepers.base, from_id, PQgetvalue(partitions, row, 2) };
	PGresult *res = ask_alone(p, "looking for mail that is kept", has_mail_of_sql, 3, values);
	buf_deinit(&keepers);
	if (res != NULL)
		*kept_r = number_of(res) != 0;
	PQclear(res);
	return res != NULL;
}

static bool drop_partitions(struct purge *p)
{
	char below[UUID_TEXT + 1];
	const char *values[] = { below };

	if (!latest_bound(p, below))
		return true;
	PGresult *old = ask_alone(p, "listing the partitions", old_partitions_sql, 1, values);
	bool ok = old != NULL;
	for (int row = 0; ok && row < PQntuples(old) && !is_stopped(p); row++) {
		bool kept = true;
		ok = is_kept(p, old, row, &kept);
		if (!kept)
			drop_partition(p, PQgetvalue(old, row, 0));
	}
	PQclear(old);
	return ok;
}

/* --- deleting messages --- */

static const char find_sql[] =
	"SELECT id, size FROM messages WHERE tenant = $1 AND id < $2 AND id > $3"
	" ORDER BY id LIMIT " BATCH_MESSAGES;
static const char lock_sql[] = "SELECT id FROM messages WHERE tenant = $2 AND id = ANY ($1::uuid[])"
			       " FOR UPDATE SKIP LOCKED";
static const char delete_parts_sql[] = "DELETE FROM message_parts WHERE id = ANY ($1::uuid[])";
static const char delete_raw_sql[] = "DELETE FROM message_raw WHERE id = ANY ($1::uuid[])";
static const char delete_messages_sql[] =
	"DELETE FROM messages WHERE tenant = $2 AND id = ANY ($1::uuid[])";

/* The ids of the first `count` rows, as an array; the caller's buffer. */
static void write_ids(struct buf *buf, const PGresult *res, int count)
{
	buf_init(buf, ARRAY_BYTES);
	buf_putc(buf, '{');
	for (int i = 0; i < count; i++) {
		if (i > 0)
			buf_putc(buf, ',');
		buf_puts(buf, PQgetvalue(res, i, 0));
	}
	buf_putc(buf, '}');
}

/* How many of the rows make a batch. */
static int count_of_batch(const PGresult *found)
{
	uint64_t bytes = 0;
	int count = 0;

	for (; count < PQntuples(found); count++) {
		bytes += strtoull(PQgetvalue(found, count, 1), NULL, 10);
		if (count > 0 && bytes > BATCH_BYTES)
			break;
	}
	return count;
}

static bool run_delete(
	struct purge *p, const char *sql, int count, const char *const *values, uint64_t *deleted)
{
	PGresult *res = ask(p, "deleting messages", sql, count, values);

	if (res == NULL)
		return false;
	if (deleted != NULL)
		*deleted = strtoull(PQcmdTuples(res), NULL, 10);
	PQclear(res);
	return true;
}

/* Those of the batch that no other instance is about to delete. */
static bool delete_locked(struct purge *p, const struct due *due, const PGresult *locked)
{
	uint64_t deleted = 0;
	struct buf ids;

	write_ids(&ids, locked, PQntuples(locked));
	const char *values[] = { ids.base, due->tenant };
	bool ok = run_delete(p, delete_parts_sql, 1, values, NULL) &&
		  run_delete(p, delete_raw_sql, 1, values, NULL) &&
		  run_delete(p, delete_messages_sql, 2, values, &deleted) && commit(p);
	buf_deinit(&ids);
	if (ok)
		p->purged->messages += deleted;
	return ok;
}

static bool delete_batch(struct purge *p, const struct due *due, const PGresult *found, int count)
{
	struct buf ids;

	write_ids(&ids, found, count);
	const char *values[] = { ids.base, due->tenant };
	PGresult *locked = ask(p, "locking messages", lock_sql, 2, values);
	buf_deinit(&ids);
	bool ok = locked != NULL &&
		  (PQntuples(locked) > 0 ? delete_locked(p, due, locked) : commit(p));
	PQclear(locked);
	return ok;
}

/* One transaction. `after` is where the last one ended, and becomes where this one does; "" when
 * nothing is left. */
static bool take_step(struct purge *p, const struct due *due, char after[UUID_TEXT + 1])
{
	char below[UUID_TEXT + 1];
	const char *values[] = { due->tenant, below, after };

	uuid_format(&due->below, below);
	PGresult *found = begin(p) ? ask(p, "looking for old messages", find_sql, 3, values) : NULL;
	if (found == NULL)
		return false;
	int count = count_of_batch(found);
	bool ok = count > 0 ? delete_batch(p, due, found, count) : commit(p);
	snprintf(after, UUID_TEXT + 1, "%s", count > 0 ? PQgetvalue(found, count - 1, 0) : "");
	PQclear(found);
	return ok;
}

/* Going on behind what is gone spares a look at it, for it is there until a vacuum. */
static bool delete_due(struct purge *p, const struct due *due)
{
	char after[UUID_TEXT + 1] = "00000000-0000-0000-0000-000000000000";

	while (after[0] != '\0' && !is_stopped(p))
		if (!take_step(p, due, after))
			return false;
	return true;
}

static const char count_sql[] = "SELECT count(*) FROM messages WHERE tenant = $1 AND id < $2";

static bool count_due(struct purge *p, const struct due *due)
{
	char below[UUID_TEXT + 1];
	const char *values[] = { due->tenant, below };

	uuid_format(&due->below, below);
	PGresult *res = ask_alone(p, "counting old messages", count_sql, 2, values);
	if (res == NULL)
		return false;
	p->purged->messages += number_of(res);
	PQclear(res);
	return true;
}

static bool purge_messages(struct purge *p)
{
	if (retention_is_endless(p->keep))
		return true;
	if (!list_due(p) || !drop_partitions(p))
		return false;
	for (size_t i = 0; i < p->due_count && !is_stopped(p); i++) {
		const struct due *due = &p->due[i];
		if (due->kept_for_ever)
			continue;
		if (!(p->keep->only_count ? count_due(p, due) : delete_due(p, due)))
			return false;
	}
	return true;
}

/* --- and keys --- */

static const char delete_keys_sql[] =
	"WITH gone AS (DELETE FROM message_keys WHERE id = ANY (ARRAY("
	" SELECT id FROM message_keys WHERE id < $1 AND id > $2 ORDER BY id LIMIT " BATCH_KEYS
	" FOR UPDATE SKIP LOCKED)) RETURNING id)"
	" SELECT count(*), max(id::text COLLATE \"C\") FROM gone";
static const char count_keys_sql[] = "SELECT count(*) FROM message_keys WHERE id < $1";

static bool delete_keys(struct purge *p, const char *below)
{
	char after[UUID_TEXT + 1] = "00000000-0000-0000-0000-000000000000";
	const char *values[] = { below, after };

	while (after[0] != '\0' && !is_stopped(p)) {
		PGresult *res = ask_alone(p, "deleting keys", delete_keys_sql, 2, values);
		if (res == NULL)
			return false;
		p->purged->keys += number_of(res);
		snprintf(after, sizeof(after), "%s", PQgetvalue(res, 0, 1));
		PQclear(res);
	}
	return true;
}

static bool count_keys(struct purge *p, const char *below)
{
	PGresult *res = ask_alone(p, "counting old keys", count_keys_sql, 1, &below);

	if (res == NULL)
		return false;
	p->purged->keys = number_of(res);
	PQclear(res);
	return true;
}

static bool purge_keys(struct purge *p)
{
	char below[UUID_TEXT + 1];
	struct uuid bound;

	if (!retention_key_bound(p->keep, p->now_us, &bound) || is_stopped(p))
		return true;
	uuid_format(&bound, below);
	return p->keep->only_count ? count_keys(p, below) : delete_keys(p, below);
}

enum storage_result pg_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r)
{
	struct purge p = {
		.session.missing_privilege = ": let the tables' owner run `mailserver purge`, or "
					     "GRANT SELECT, UPDATE, DELETE on them to this user",
		.set = set,
		.keep = keep,
		.now_us = now_us,
		.stop = stop,
		.purged = purged_r,
		.arena = arena_new(),
	};
	bool ok = pg_session_open(&p.session, set) && pg_schema_is_current(&p.session) &&
		  purge_messages(&p) && purge_keys(&p);

	pg_session_close(&p.session);
	arena_free(&p.arena);
	if (ok)
		return STORAGE_OK;
	*error_r = p.session.error;
	return STORAGE_UNAVAILABLE;
}
