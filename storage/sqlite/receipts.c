/* SPDX-License-Identifier: MIT */
/* A page at a time: a reader that stays would keep the log from being put into the database. */
#include "storage/sqlite/receipts.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/migrate.h"
#include "storage/sqlite/trouble.h"

#include <stdlib.h>

enum { PAGE_ROWS = 1000, PATIENCE_MS = 10000 };

struct reader {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *stmt;
	const char *doing; /* as an error would have it */
	char *error;       /* NULL: none */
};

static bool is_well(struct reader *r, int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return true;
	if (r->error == NULL)
		r->error = sqlite_trouble(r->db, r->path, r->doing, rc);
	return false;
}

/* Of a file that it may not write to, SQLite would make companions that nobody can. */
static bool check_writable(struct reader *r)
{
	if (sqlite3_db_readonly(r->db, "main") == 0)
		return true;
	r->error = sqlite_text("the database %s: this user may not write to it, which also "
			       "reading needs: use the server's own",
		r->path);
	return false;
}

static bool check_schema(struct reader *r)
{
	int rc = SQLITE_OK, number = sqlite_schema_number(r->db, &rc);

	if (!is_well(r, rc))
		return false;
	if (number != sqlite_schema_known())
		r->error = sqlite_wrong_schema(r->path, number);
	return r->error == NULL;
}

static bool open_it(struct reader *r, const struct storage_settings *set, const char *sql)
{
	r->path = sqlite_path(set->url, &r->error);
	if (r->path == NULL)
		return false;
	r->doing = "cannot be opened";
	if (!is_well(r, sqlite3_open_v2(r->path, &r->db,
				SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)) ||
		!check_writable(r))
		return false;
	sqlite3_busy_timeout(r->db, PATIENCE_MS);
	if (!check_schema(r))
		return false;
	r->doing = "cannot be read";
	return is_well(r, sqlite3_prepare_v2(r->db, sql, -1, &r->stmt, NULL));
}

static enum storage_result close_it(struct reader *r, char **error_r)
{
	sqlite3_finalize(r->stmt);
	sqlite3_close(r->db);
	free(r->path);
	if (r->error == NULL)
		return STORAGE_OK;
	*error_r = r->error;
	return STORAGE_UNAVAILABLE;
}

/* --- the list --- */

/* Rows without a queue id are part of a page: so a page is never a long search. */
static const char list_sql[] =
	"select id, queue_id, envelope_recipients, orig_recipient from messages"
	" where id > ?1 and id < ?2 and (?3 is null or tenant = ?3) order by id limit ?4";

/* `last` becomes the id of the page's last row. False when no other is wanted, or for an error. */
static bool give_page(
	struct reader *r, const struct storage_receipts *want, char last[UUID_TEXT + 1])
{
	int rc, rows = 0;
	bool wanted = true;

	sqlite3_bind_text(r->stmt, 1, last, -1, SQLITE_TRANSIENT);
	while (wanted && (rc = sqlite3_step(r->stmt)) == SQLITE_ROW) {
		struct storage_receipt receipt = {
			.queue_id = (const char *)sqlite3_column_text(r->stmt, 1),
			.recipients_json = (const char *)sqlite3_column_text(r->stmt, 2),
			.orig_recipient = (const char *)sqlite3_column_text(r->stmt, 3),
		};
		const char *id = (const char *)sqlite3_column_text(r->stmt, 0);
		snprintf(last, UUID_TEXT + 1, "%s", id);
		rows++;
		if (uuid_parse(id, strlen(id), &receipt.id) && receipt.queue_id != NULL)
			wanted = want->each(want->each_data, &receipt);
	}
	if (wanted && !is_well(r, rc))
		wanted = false;
	sqlite3_reset(r->stmt);
	return wanted && rows == PAGE_ROWS;
}

static void list(struct reader *r, const struct storage_receipts *want)
{
	struct uuid from = uuid7_least(want->from_us), before = uuid7_least(want->before_us);
	char last[UUID_TEXT + 1], before_text[UUID_TEXT + 1];

	uuid_format(&from, last);
	last[UUID_TEXT - 1] = '\0'; /* as text, less than it and more than any that is less */
	uuid_format(&before, before_text);
	sqlite3_bind_text(r->stmt, 2, before_text, -1, SQLITE_STATIC);
	sqlite3_bind_text(r->stmt, 3, want->tenant, -1, SQLITE_STATIC);
	sqlite3_bind_int(r->stmt, 4, PAGE_ROWS);
	while (give_page(r, want, last))
		continue;
}

enum storage_result sqlite_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r)
{
	struct reader r = { .path = NULL };

	if (open_it(&r, set, list_sql))
		list(&r, want);
	return close_it(&r, error_r);
}

/* --- fates --- */

static const char fate_sql[] = "select exists (select 1 from messages where id = ?1),"
			       " exists (select 1 from message_keys where id = ?1)";

static bool ask_fate(struct reader *r, const struct uuid *id, enum storage_fate *fate_r)
{
	char text[UUID_TEXT + 1];

	uuid_format(id, text);
	sqlite3_bind_text(r->stmt, 1, text, -1, SQLITE_STATIC);
	bool ok = is_well(r, sqlite3_step(r->stmt));
	if (ok)
		*fate_r = sqlite3_column_int(r->stmt, 0) != 0   ? STORAGE_KEPT
			  : sqlite3_column_int(r->stmt, 1) != 0 ? STORAGE_DELETED
								: STORAGE_UNKNOWN;
	sqlite3_reset(r->stmt);
	return ok;
}

enum storage_result sqlite_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r)
{
	struct reader r = { .path = NULL };
	bool ok = open_it(&r, set, fate_sql);

	for (size_t i = 0; ok && i < count; i++)
		ok = ask_fate(&r, &ids[i], &fates_r[i]);
	return close_it(&r, error_r);
}
