/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/ledger.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_RECIPIENTS = 10 };

/* Written once and gone after a crash anyway: nothing is synced and nothing can be undone. */
static const char schema_sql[] =
	"pragma journal_mode = off; pragma synchronous = off; pragma locking_mode = exclusive;"
	"pragma temp_store = file; pragma cache_size = -8000; begin;"
	/* One row for each recipient that was handed over. */
	"create table handed (n integer primary key, at integer, queue text, rcpt text, orig text,"
	" id blob, spooled text, fate integer, is_joined integer);"
	/* The recipients that were deferred or given up, by name; NULL for all. */
	"create table tried (queue text, rcpt text, orig text, given_up integer);"
	/* What Exim's transport printed. */
	"create table printed (queue text, name text, id blob, spooled text);"
	"create table taken (id blob primary key, at integer, queue text, recipients text, orig "
	"text,"
	" matched integer) without rowid;";

/* How a row of `taken` was matched. */
#define NOT_YET "0"
#define BY_ID   "1"
#define BY_NAME "2"

/* Fates are those of the storage. */
static_assert(STORAGE_UNKNOWN == 0 && STORAGE_KEPT == 1 && STORAGE_DELETED == 2, "as in the SQL");
#define UNKNOWN "0"
#define KEPT    "1"

/* Within the period that is asked for. */
#define IN_PERIOD "at >= ?1 and at < ?2"

enum statement {
	ADD_HANDED,
	ADD_TRIED,
	ADD_PRINTED,
	ADD_TAKEN,
	ADD_WANTED,
	IDS_UNSEEN,
	SET_FATE,
	STATEMENTS,
};

#define TAKE                                                                                       \
	"insert or ignore into taken select ?1, ?2, ?3, ?4, ?5,"                                   \
	" exists (select 1 from handed where id = ?1)"

static const char *const statements[STATEMENTS] = {
	[ADD_HANDED] = "insert into handed values (null, ?1, ?2, ?3, ?4, ?5, ?6, " UNKNOWN ", ?7)",
	[ADD_TRIED] = "insert into tried values (?1, name_of(?2), name_of(?3), ?4)",
	[ADD_PRINTED] = "insert into printed values (?1, name_of(?2), ?3, ?4)",
	[ADD_TAKEN] = TAKE,
	[ADD_WANTED] = TAKE " where exists (select 1 from handed where queue = ?3 and id is null"
			    " and fate = " UNKNOWN ")",
	[IDS_UNSEEN] = "select distinct id from handed where " IN_PERIOD " and id > ?3"
		       " and not exists (select 1 from taken where taken.id = handed.id)"
		       " order by id limit ?4",
	[SET_FATE] = "update handed set fate = ?2 where id = ?1",
};

struct ledger {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int64_t since_us, until_us;
	char *error;
};

/* --- SQLite --- */

static bool is_well(struct ledger *l, int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return l->error == NULL;
	if (l->error == NULL && asprintf(&l->error,
					"the temporary database in "
					"$SQLITE_TMPDIR, $TMPDIR or /var/tmp: %s",
					sqlite3_errmsg(l->db)) == -1)
		abort();
	return false;
}

/* Statements without parameters, or with those of IN_PERIOD. */
static void run(struct ledger *l, const char *sql)
{
	while (l->error == NULL && sql[0] != '\0') {
		sqlite3_stmt *stmt = NULL;
		if (!is_well(l, sqlite3_prepare_v2(l->db, sql, -1, &stmt, &sql)))
			return;
		sqlite3_bind_int64(stmt, 1, l->since_us);
		sqlite3_bind_int64(stmt, 2, l->until_us);
		is_well(l, sqlite3_step(stmt));
		sqlite3_finalize(stmt);
	}
}

/* One row of numbers. */
static bool ask(struct ledger *l, const char *sql, int64_t *numbers_r, int count)
{
	sqlite3_stmt *stmt = NULL;

	if (l->error != NULL || !is_well(l, sqlite3_prepare_v2(l->db, sql, -1, &stmt, NULL)))
		return false;
	sqlite3_bind_int64(stmt, 1, l->since_us);
	sqlite3_bind_int64(stmt, 2, l->until_us);
	bool ok = is_well(l, sqlite3_step(stmt));
	for (int i = 0; ok && i < count; i++)
		numbers_r[i] = sqlite3_column_int64(stmt, i);
	sqlite3_finalize(stmt);
	return ok;
}

static void step_once(struct ledger *l, enum statement which)
{
	is_well(l, sqlite3_step(l->statements[which]));
	sqlite3_reset(l->statements[which]);
}

static void bind_slice(sqlite3_stmt *stmt, int column, struct slice s)
{
	if (s.len > 0)
		sqlite3_bind_text(stmt, column, s.base, (int)s.len, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, column);
}

static void bind_id(sqlite3_stmt *stmt, int column, const struct uuid *id)
{
	if (id != NULL)
		sqlite3_bind_blob(stmt, column, id->bytes, UUID_BYTES, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, column);
}

/* --- names --- */

/* An address as it is compared: MTAs differ in quoting and in upper case. */
static void sql_name_of(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	const unsigned char *text = sqlite3_value_text(argv[0]);
	int len = sqlite3_value_bytes(argv[0]), to = 0;
	char *name = text != NULL ? sqlite3_malloc(len + 1) : NULL;

	if (name == NULL)
		return;
	for (int i = 0; i < len; i++)
		if (text[i] != '"' && text[i] != '\\')
			name[to++] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20
									     : text[i]);
	sqlite3_result_text(context, name, to, sqlite3_free);
}

/* Of a name: Exim's log may have that alone. */
static void sql_local_part(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	const char *name = (const char *)sqlite3_value_text(argv[0]);
	const char *at = name != NULL ? strrchr(name, '@') : NULL;

	if (at != NULL)
		sqlite3_result_text(context, name, (int)(at - name), SQLITE_TRANSIENT);
}

static void define_functions(struct ledger *l)
{
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

	is_well(l,
		sqlite3_create_function(l->db, "name_of", 1, flags, NULL, sql_name_of, NULL, NULL));
	is_well(l, sqlite3_create_function(
			   l->db, "local_part", 1, flags, NULL, sql_local_part, NULL, NULL));
}

/* --- its life --- */

struct ledger *ledger_open(int64_t since_us, int64_t until_us)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	*l = (struct ledger){ .since_us = since_us, .until_us = until_us };
	is_well(l, sqlite3_open("", &l->db)); /* a file without a name */
	define_functions(l);
	run(l, schema_sql);
	for (unsigned i = 0; l->error == NULL && i < STATEMENTS; i++)
		is_well(l, sqlite3_prepare_v2(l->db, statements[i], -1, &l->statements[i], NULL));
	return l;
}

void ledger_close(struct ledger **l)
{
	if (*l == NULL)
		return;
	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize((*l)->statements[i]);
	sqlite3_close((*l)->db);
	free((*l)->error);
	free(*l);
	*l = NULL;
}

const char *ledger_error(const struct ledger *l)
{
	return l->error;
}

/* --- the log's side --- */

static void add_handed(struct ledger *l, const struct maillog_line *line, int64_t at_us)
{
	sqlite3_stmt *stmt = l->statements[ADD_HANDED];

	sqlite3_bind_int64(stmt, 1, at_us);
	bind_slice(stmt, 2, line->queue_id);
	bind_slice(stmt, 3, line->to);
	bind_slice(stmt, 4, line->orig_to);
	bind_id(stmt, 5, line->has_id ? &line->id : NULL);
	bind_slice(stmt, 6, line->spooled);
	sqlite3_bind_int(stmt, 7, line->is_joined);
	step_once(l, ADD_HANDED);
}

static void add_tried(struct ledger *l, const struct maillog_line *line)
{
	sqlite3_stmt *stmt = l->statements[ADD_TRIED];

	bind_slice(stmt, 1, line->queue_id);
	bind_slice(stmt, 2, line->to);
	bind_slice(stmt, 3, line->orig_to);
	sqlite3_bind_int(stmt, 4, line->kind != MAILLOG_DEFERRED);
	step_once(l, ADD_TRIED);
}

static void add_printed(struct ledger *l, const struct maillog_line *line)
{
	sqlite3_stmt *stmt = l->statements[ADD_PRINTED];

	bind_slice(stmt, 1, line->queue_id);
	bind_slice(stmt, 2, line->to);
	bind_id(stmt, 3, line->has_id ? &line->id : NULL);
	bind_slice(stmt, 4, line->spooled);
	step_once(l, ADD_PRINTED);
}

void ledger_add_line(struct ledger *l, const struct maillog_line *line, int64_t at_us)
{
	if (l->error != NULL)
		return;
	switch (line->kind) {
	case MAILLOG_SENT:
		add_handed(l, line, at_us);
		break;
	case MAILLOG_DEFERRED:
	case MAILLOG_BOUNCED:
	case MAILLOG_EXPIRED:
		add_tried(l, line);
		break;
	case MAILLOG_OUTPUT:
		add_printed(l, line);
		break;
	case MAILLOG_OTHER:
		break;
	}
}

/* Exim's transport prints once for all recipients of a call, and the log has that with the first of
 * them. What was deferred, perhaps many times, and then handed over is settled. Indices are made when all is there, by sorting:
 * much faster than one by one. */
void ledger_close_log(struct ledger *l)
{
	run(l, "create index handed_queue on handed (queue);"
	       "create index printed_queue on printed (queue, name);"
	       "update handed set (id, spooled) = (select p.id, p.spooled from printed p"
	       "  where p.queue = handed.queue and p.name in (name_of(rcpt), name_of(orig)))"
	       " where id is null and exists (select 1 from printed p"
	       "  where p.queue = handed.queue and p.name in (name_of(rcpt), name_of(orig)));"
	       "update handed set (id, spooled) = (select h.id, h.spooled from handed h"
	       "  where h.queue = handed.queue and h.n < handed.n and not h.is_joined"
	       "  order by h.n desc limit 1)"
	       " where is_joined and id is null and exists (select 1 from printed p"
	       "  where p.queue = handed.queue);"
	       "create index handed_id on handed (id) where id is not null;"
	       "create table held as select * from (select distinct * from tried) t"
	       " where given_up or not exists (select 1 from handed h"
	       "  where h.queue = t.queue and t.rcpt in (name_of(h.rcpt), name_of(h.orig)));"
	       "drop table tried;"
	       "create index held_queue on held (queue)");
}

/* --- the database's side --- */

static void add_receipt(
	struct ledger *l, const struct storage_receipt *receipt, enum statement which)
{
	sqlite3_stmt *stmt = l->statements[which];

	if (l->error != NULL)
		return;
	bind_id(stmt, 1, &receipt->id);
	sqlite3_bind_int64(stmt, 2, uuid7_time_us(&receipt->id));
	bind_slice(stmt, 3, slice_str(receipt->queue_id));
	bind_slice(stmt, 4, slice_str(receipt->recipients_json));
	bind_slice(stmt, 5, slice_str(receipt->orig_recipient));
	step_once(l, which);
}

void ledger_add_receipt(struct ledger *l, const struct storage_receipt *receipt)
{
	add_receipt(l, receipt, ADD_TAKEN);
}

void ledger_add_wanted_receipt(struct ledger *l, const struct storage_receipt *receipt)
{
	add_receipt(l, receipt, ADD_WANTED);
}

size_t ledger_ids_unseen(struct ledger *l, const struct uuid *after, struct uuid *ids_r, size_t max)
{
	static const struct uuid least = { .bytes = { 0 } };
	sqlite3_stmt *stmt = l->statements[IDS_UNSEEN];
	size_t count = 0;

	if (l->error != NULL)
		return 0;
	sqlite3_bind_int64(stmt, 1, l->since_us);
	sqlite3_bind_int64(stmt, 2, l->until_us);
	bind_id(stmt, 3, after != NULL ? after : &least);
	sqlite3_bind_int64(stmt, 4, (sqlite3_int64)max);
	int rc;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		memcpy(ids_r[count++].bytes, sqlite3_column_blob(stmt, 0), UUID_BYTES);
	is_well(l, rc);
	sqlite3_reset(stmt);
	return count;
}

void ledger_set_fate(struct ledger *l, const struct uuid *id, enum storage_fate fate)
{
	if (l->error != NULL)
		return;
	bind_id(l->statements[SET_FATE], 1, id);
	sqlite3_bind_int(l->statements[SET_FATE], 2, (int)fate);
	step_once(l, SET_FATE);
}

/* --- comparing --- */

/* Both sides' names, each recipient under every one that the other side may know it by; `k` is its
 * number in its row. */
static const char names_sql[] =
	"drop table if exists sent_name; drop table if exists taken_name;"
	"create table sent_name as select queue, name_of(rcpt) as name, n from handed"
	" where id is null union select queue, name_of(orig), n from handed"
	" where id is null and orig is not null;"
	"create index sent_name_queue on sent_name (queue, name);"
	"create table taken_name as select t.queue, name_of(r.value) as name, t.id, r.key as k"
	" from taken t, json_each(t.recipients) r"
	" where exists (select 1 from sent_name s where s.queue = t.queue);"
	"insert into taken_name select queue, local_part(name), id, k from taken_name;"
	"insert into taken_name select queue, name_of(orig), id, 0 from taken t"
	" where orig is not null and exists (select 1 from sent_name s where s.queue = t.queue);"
	"create index taken_name_queue on taken_name (queue, name);"
	"create index taken_name_id on taken_name (id, k)";

#define SAME_NAME "s.queue = t.queue and s.name = t.name"

bool ledger_match(struct ledger *l, int64_t *first_us_r, int64_t *last_us_r, bool *spooled_r)
{
	int64_t left[4] = { 0 };

	run(l, "update handed set fate = " KEPT " where fate = " UNKNOWN
	       " and exists (select 1 from taken where taken.id = handed.id)");
	run(l, names_sql);
	run(l, "update handed set fate = " KEPT " where id is null and n in"
	       " (select s.n from sent_name s join taken_name t on " SAME_NAME ");"
	       "update taken set matched = " BY_NAME " where matched = " NOT_YET " and id in"
	       " (select t.id from taken_name t join sent_name s on " SAME_NAME ")");
	if (!ask(l,
		    "select count(*), min(at), max(at), max(spooled is not null) from handed"
		    " where id is null and fate = " UNKNOWN " and " IN_PERIOD,
		    left, 4))
		return false;
	*first_us_r = left[1];
	*last_us_r = left[2];
	*spooled_r = left[3] != 0;
	return left[0] > 0;
}

/* A recipient that the log says was not handed over does not stand for one that was. */
void ledger_match_rest(struct ledger *l)
{
	run(l, "create table left_sent as"
	       " select queue, rcpt, row_number() over (partition by queue order by n) as place"
	       " from (select queue, rcpt, min(n) as n from handed"
	       "  where id is null and fate = " UNKNOWN " group by queue, rcpt);"
	       "create table left_taken as"
	       " select queue, id, row_number() over (partition by queue order by id, k) as place"
	       " from (select distinct t.queue, t.id, t.k from taken_name t"
	       "  where exists (select 1 from left_sent l where l.queue = t.queue)"
	       "  and not exists (select 1 from taken"
	       "   where taken.id = t.id and matched = " BY_ID ")"
	       "  and not exists (select 1 from taken_name o join sent_name s"
	       "   on s.queue = o.queue and s.name = o.name where o.id = t.id and o.k = t.k)"
	       "  and not exists (select 1 from taken_name o join held h on h.queue = o.queue"
	       "   and o.name in (h.rcpt, h.orig)"
	       "   where o.id = t.id and o.k = t.k));"
	       "create table same as select queue, rcpt, id"
	       " from left_sent join left_taken using (queue, place);"
	       "update handed set fate = " KEPT " where id is null and (queue, rcpt) in"
	       " (select queue, rcpt from same);"
	       "update taken set matched = " BY_NAME " where id in (select id from same)");
}

/* --- the report --- */

static_assert(LEDGER_MISSING == 0 && LEDGER_SPOOLED == 1 && LEDGER_DELETED == 2 &&
		      LEDGER_UNLOGGED == 3 && LEDGER_PENDING == 4,
	"as in the SQL");

/* A line that is in two of the files counts once. A local part alone tells nobody whom it was for.
 * `held` is what became of the queue id otherwise. */
static const char report_sql[] =
	"select at, case when fate = 2 then 2 when spooled is not null then 1 else 0 end,"
	" queue, id, spooled, 0, iif(rcpt like '%@%' or orig is null, rcpt, format('%s <%s>', "
	"rcpt, orig)), 0"
	" from (select min(at) as at, queue, id, spooled, rcpt, orig, fate from handed"
	"  where fate <> " KEPT " and " IN_PERIOD " group by queue, rcpt, id)"
	" union all "
	"select at, case when given_up is 0 then 4 else 3 end, queue, id, null, given_up is 1,"
	" (select group_concat(value, ',') from"
	"  (select value from json_each(recipients) limit ?3)),"
	" max(0, json_array_length(recipients) - ?3)"
	" from (select *, (select max(given_up) from held where held.queue = taken.queue)"
	"  as given_up from taken where matched = " NOT_YET " and " IN_PERIOD ")"
	" order by 1, 3, 7";

static void give_entry(
	sqlite3_stmt *stmt, void (*each)(void *data, const struct ledger_entry *entry), void *data)
{
	char id[UUID_TEXT + 1];
	struct ledger_entry entry = {
		.word = (enum ledger_word)sqlite3_column_int(stmt, 1),
		.at_us = sqlite3_column_int64(stmt, 0),
		.queue_id = (const char *)sqlite3_column_text(stmt, 2),
		.spooled = (const char *)sqlite3_column_text(stmt, 4),
		.given_up = sqlite3_column_int(stmt, 5) != 0,
		.to = (const char *)sqlite3_column_text(stmt, 6),
		.more = (uint64_t)sqlite3_column_int64(stmt, 7),
	};

	if (sqlite3_column_type(stmt, 3) != SQLITE_NULL) {
		struct uuid uuid;
		memcpy(uuid.bytes, sqlite3_column_blob(stmt, 3), UUID_BYTES);
		uuid_format(&uuid, id);
		entry.id = id;
	}
	each(data, &entry);
}

void ledger_report(
	struct ledger *l, void (*each)(void *data, const struct ledger_entry *entry), void *data)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (l->error != NULL || !is_well(l, sqlite3_prepare_v2(l->db, report_sql, -1, &stmt, NULL)))
		return;
	sqlite3_bind_int64(stmt, 1, l->since_us);
	sqlite3_bind_int64(stmt, 2, l->until_us);
	sqlite3_bind_int(stmt, 3, SHOWN_RECIPIENTS);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		give_entry(stmt, each, data);
	is_well(l, rc);
	sqlite3_finalize(stmt);
}

uint64_t ledger_found(struct ledger *l)
{
	int64_t found = 0;

	ask(l, "select count(*) from handed where fate = " KEPT " and " IN_PERIOD, &found, 1);
	return (uint64_t)found;
}
