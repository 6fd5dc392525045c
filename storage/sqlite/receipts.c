/* SPDX-License-Identifier: MIT */
/* A page at a time: a reader that stays would keep the log from being put into the database. */
#include "storage/sqlite/receipts.h"
#include "storage/sqlite/upkeep.h"

#include <stdio.h>

enum { PAGE_ROWS = 1000 };

/* --- the list --- */

/* Rows without a queue id are part of a page: so a page is never a long search. */
static const char *const list_sql[] = {
	"select id, queue_id, envelope_recipients, orig_recipient from messages"
	" where id > ?1 and id < ?2 and (?3 is null or tenant = ?3) order by id limit ?4",
	NULL,
};

/* `last` becomes the id of the page's last row. False when no other is wanted, or for an error. */
static bool give_page(
	struct sqlite_upkeep *u, const struct storage_receipts *want, char last[UUID_TEXT + 1])
{
	sqlite3_stmt *stmt = u->statements[0];
	int rc, rows = 0;
	bool wanted = true;

	sqlite3_bind_text(stmt, 1, last, -1, SQLITE_TRANSIENT);
	while (wanted && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct storage_receipt receipt = {
			.queue_id = (const char *)sqlite3_column_text(stmt, 1),
			.recipients_json = (const char *)sqlite3_column_text(stmt, 2),
			.orig_recipient = (const char *)sqlite3_column_text(stmt, 3),
		};
		const char *id = (const char *)sqlite3_column_text(stmt, 0);
		snprintf(last, UUID_TEXT + 1, "%s", id);
		rows++;
		if (uuid_parse(id, strlen(id), &receipt.id) && receipt.queue_id != NULL)
			wanted = want->each(want->each_data, &receipt);
	}
	if (wanted && !sqlite_upkeep_is_well(u, rc))
		wanted = false;
	sqlite3_reset(stmt);
	return wanted && rows == PAGE_ROWS;
}

static void list(struct sqlite_upkeep *u, const struct storage_receipts *want)
{
	sqlite3_stmt *stmt = u->statements[0];
	struct uuid from = uuid7_least(want->from_us), before = uuid7_least(want->before_us);
	char last[UUID_TEXT + 1], before_text[UUID_TEXT + 1];

	uuid_format(&from, last);
	last[UUID_TEXT - 1] = '\0'; /* as text, less than it and more than any that is less */
	uuid_format(&before, before_text);
	sqlite3_bind_text(stmt, 2, before_text, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 3, want->tenant, -1, SQLITE_STATIC);
	sqlite3_bind_int(stmt, 4, PAGE_ROWS);
	while (give_page(u, want, last))
		continue;
}

enum storage_result sqlite_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r)
{
	struct sqlite_upkeep u = { .doing = "cannot be read" };

	if (sqlite_upkeep_open(&u, set, list_sql))
		list(&u, want);
	return sqlite_upkeep_close(&u, error_r);
}

/* --- fates --- */

static const char *const fate_sql[] = {
	"select exists (select 1 from messages where id = ?1),"
	" exists (select 1 from message_keys where id = ?1)",
	NULL,
};

static bool ask_fate(struct sqlite_upkeep *u, const struct uuid *id, enum storage_fate *fate_r)
{
	sqlite3_stmt *stmt = u->statements[0];
	char text[UUID_TEXT + 1];

	uuid_format(id, text);
	sqlite3_bind_text(stmt, 1, text, -1, SQLITE_STATIC);
	bool ok = sqlite_upkeep_is_well(u, sqlite3_step(stmt));
	if (ok)
		*fate_r = sqlite3_column_int(stmt, 0) != 0   ? STORAGE_KEPT
			  : sqlite3_column_int(stmt, 1) != 0 ? STORAGE_DELETED
							     : STORAGE_UNKNOWN;
	sqlite3_reset(stmt);
	return ok;
}

enum storage_result sqlite_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r)
{
	struct sqlite_upkeep u = { .doing = "cannot be read" };
	bool ok = sqlite_upkeep_open(&u, set, fate_sql);

	for (size_t i = 0; ok && i < count; i++)
		ok = ask_fate(&u, &ids[i], &fates_r[i]);
	return sqlite_upkeep_close(&u, error_r);
}
