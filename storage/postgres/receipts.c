/* SPDX-License-Identifier: MIT */
/* A page at a time, each in a transaction of its own: no snapshot is held for long, and no index is
 * needed but the primary key's, whose ranges are ranges of time. */
#include "storage/postgres/receipts.h"
#include "lib/buf.h"
#include "storage/postgres/migrate.h"

#include <stdlib.h>

#define PAGE "1000"

enum {
	PAGE_ROWS = 1000,
	FATES_AT_ONCE = 1000,
	ARRAY_BYTES = 1 << 20, /* more than so many ids take */
};

struct reader {
	struct pg_session session;
	const struct storage_settings *set;
};

static bool open_it(struct reader *r)
{
	r->session.missing_privilege = ": GRANT SELECT on messages and message_keys to this user";
	return pg_session_open(&r->session, r->set) && pg_schema_is_current(&r->session);
}

static enum storage_result close_it(struct reader *r, bool ok, char **error_r)
{
	pg_session_close(&r->session);
	if (ok)
		return STORAGE_OK;
	*error_r = r->session.error;
	return STORAGE_UNAVAILABLE;
}

/* --- the list --- */

/* Rows without a queue id are part of a page: so a page is never a long search. */
#define LIST                                                                                       \
	"SELECT id, queue_id,"                                                                     \
	" CASE WHEN queue_id IS NOT NULL THEN to_json(envelope_recipients) END, orig_recipient"    \
	" FROM messages WHERE id >= $1 AND id < $2"
#define IN_ORDER " ORDER BY id LIMIT " PAGE

static const char list_sql[] = LIST IN_ORDER;
static const char list_of_tenant_sql[] = LIST " AND tenant = $3" IN_ORDER;

static const char *value_of(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column) ? NULL : PQgetvalue(res, row, column);
}

/* The least id that is greater. */
static bool go_past(struct uuid *id)
{
	for (int i = UUID_BYTES - 1; i >= 0; i--)
		if (++id->bytes[i] != 0)
			return true;
	return false;
}

/* `*from` becomes where the next page begins. False when that is not wanted any more. */
static bool give_page(const struct storage_receipts *want, const PGresult *page, struct uuid *from)
{
	for (int row = 0; row < PQntuples(page); row++) {
		struct storage_receipt receipt = {
			.queue_id = value_of(page, row, 1),
			.recipients_json = value_of(page, row, 2),
			.orig_recipient = value_of(page, row, 3),
		};
		uuid_parse(PQgetvalue(page, row, 0), UUID_TEXT, &receipt.id);
		*from = receipt.id;
		if (receipt.queue_id != NULL && !want->each(want->each_data, &receipt))
			return false;
	}
	return PQntuples(page) == PAGE_ROWS && go_past(from);
}

static bool list(struct reader *r, const struct storage_receipts *want)
{
	struct uuid from = uuid7_least(want->from_us), before = uuid7_least(want->before_us);
	bool is_tenants = want->tenant != NULL, goes_on = true;

	while (goes_on) {
		char from_text[UUID_TEXT + 1], before_text[UUID_TEXT + 1];
		const char *values[] = { from_text, before_text, want->tenant };
		uuid_format(&from, from_text);
		uuid_format(&before, before_text);
		PGresult *page = pg_session_query_alone(&r->session, r->set->statement_timeout_ms,
			"listing messages", is_tenants ? list_of_tenant_sql : list_sql,
			is_tenants ? 3 : 2, values);
		if (page == NULL)
			return false;
		goes_on = give_page(want, page, &from);
		PQclear(page);
	}
	return true;
}

enum storage_result pg_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r)
{
	struct reader r = { .set = set };
	bool ok = open_it(&r) && list(&r, want);

	return close_it(&r, ok, error_r);
}

/* --- fates --- */

/* Looked up one by one: no plan of it ever reads a whole table. */
static const char fates_sql[] =
	"SELECT coalesce((SELECT 1 FROM messages m WHERE m.id = asked.id LIMIT 1), 0),"
	" coalesce((SELECT 1 FROM message_keys k WHERE k.id = asked.id LIMIT 1), 0)"
	" FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, n) ORDER BY n";

static bool is_true(const PGresult *res, int row, int column)
{
	return PQgetvalue(res, row, column)[0] == '1';
}

static bool ask_fates(
	struct reader *r, const struct uuid *ids, size_t count, enum storage_fate *fates_r)
{
	struct buf array;

	buf_init(&array, ARRAY_BYTES);
	buf_putc(&array, '{');
	for (size_t i = 0; i < count; i++) {
		char id[UUID_TEXT + 1];
		uuid_format(&ids[i], id);
		buf_printf(&array, "%s%s", i > 0 ? "," : "", id);
	}
	buf_putc(&array, '}');
	const char *values[] = { array.base };
	PGresult *res = pg_session_query_alone(&r->session, r->set->statement_timeout_ms,
		"looking for messages", fates_sql, 1, values);
	buf_deinit(&array);
	if (res == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		fates_r[i] = is_true(res, (int)i, 0)   ? STORAGE_KEPT
			     : is_true(res, (int)i, 1) ? STORAGE_DELETED
						       : STORAGE_UNKNOWN;
	PQclear(res);
	return true;
}

enum storage_result pg_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r)
{
	struct reader r = { .set = set };
	bool ok = open_it(&r);

	for (size_t done = 0; ok && done < count; done += FATES_AT_ONCE)
		ok = ask_fates(&r, ids + done,
			count - done < FATES_AT_ONCE ? count - done : FATES_AT_ONCE,
			fates_r + done);
	return close_it(&r, ok, error_r);
}
