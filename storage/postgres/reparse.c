/* SPDX-License-Identifier: MIT */
/* A page of ids at a time, and of those a batch bounded in bytes: it is read in one transaction, derived
 * while none is open, and compared and written in another. Reading and writing go message by message,
 * with the row's own id: no plan ever reads a table. What says the same as before is not written: its long columns stay. */
#include "storage/postgres/reparse.h"
#include "lib/arena.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/row.h"
#include "storage/postgres/trouble.h"
#include "storage/storage_driver.h"

#include <assert.h>
#include <stdlib.h>

#define PAGE "1000"

enum {
	PAGE_ROWS = 1000,
	BATCH_MESSAGES = STORAGE_REPARSE_MESSAGES,
	BATCH_BYTES = STORAGE_REPARSE_BYTES,
	TRIES = 5, /* of a batch that others are in the way of */
};

struct wanted {
	char id[UUID_TEXT + 1];
	uint64_t size;
};

struct reparse {
	struct pg_session session;
	const struct storage_settings *set;
	const struct storage_reparse *want;
	struct wanted wanted[PAGE_ROWS]; /* of a page */
	size_t wanted_count;
	struct storage_kept batch[BATCH_MESSAGES];
	PGresult *rows[BATCH_MESSAGES]; /* what they point at */
	bool differs[BATCH_MESSAGES];
	size_t count;
	struct arena *arena;
	struct pg_params params;
	bool refused; /* of the error: it is about one message */
};

static bool is_stopped(const struct reparse *r)
{
	return r->want->stop != NULL && atomic_load(r->want->stop);
}

static void forget_error(struct reparse *r)
{
	free(r->session.error);
	r->session.error = NULL;
	r->refused = false;
}

static bool begin(struct reparse *r)
{
	return pg_session_begin(&r->session, r->set->statement_timeout_ms);
}

static bool commit(struct reparse *r)
{
	if (pg_session_commit(&r->session))
		return true;
	r->refused = pg_trouble_of(r->session.sqlstate) == PG_TROUBLE_MESSAGE;
	return false;
}

static void roll_back(struct reparse *r)
{
	PQclear(PQexec(r->session.pg, "ROLLBACK"));
}

/* --- finding --- */

/* Rows that are not wanted are part of a page: so a page is never a long search. */
static const char find_sql[] =
	"SELECT id, size, (($3::text[] IS NULL OR parse_status = ANY ($3::text[]))"
	" AND parser_version < $4::integer)::int"
	" FROM messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT " PAGE;

static void write_statuses(const struct reparse *r, struct buf *list)
{
	buf_init(list, 64);
	for (unsigned status = MIME_OK; status <= MIME_FAILED; status++)
		if (storage_reparse_wants(r->want, status))
			buf_printf(
				list, "%c%s", list->len == 0 ? '{' : ',', mime_status_name(status));
	buf_putc(list, '}');
}

/* `after` becomes the page's last id; "" when it was the last page. */
static bool find_page(struct reparse *r, const char *before, char after[UUID_TEXT + 1])
{
	char version[16];
	struct buf statuses;

	write_statuses(r, &statuses);
	const char *values[] = { after, before, r->want->statuses != 0 ? statuses.base : NULL,
		version };
	snprintf(version, sizeof(version), "%d",
		r->want->older_parser ? MIME_PARSER_VERSION : INT32_MAX);
	PGresult *page = pg_session_query_alone(&r->session, r->set->statement_timeout_ms,
		"looking for messages", find_sql, 4, values);
	buf_deinit(&statuses);
	if (page == NULL)
		return false;
	int rows = PQntuples(page);
	r->wanted_count = 0;
	for (int row = 0; row < rows; row++) {
		struct wanted *w = &r->wanted[r->wanted_count];
		snprintf(w->id, sizeof(w->id), "%s", PQgetvalue(page, row, 0));
		w->size = strtoull(PQgetvalue(page, row, 1), NULL, 10);
		r->wanted_count += PQgetvalue(page, row, 2)[0] == '1';
	}
	snprintf(
		after, UUID_TEXT + 1, "%s", rows == PAGE_ROWS ? PQgetvalue(page, rows - 1, 0) : "");
	r->want->looked(r->want->data, (size_t)rows);
	PQclear(page);
	return true;
}

/* --- reading --- */

enum { READ_SENDER, READ_RECIPIENTS, READ_STATUS, READ_VERSION, READ_RAW };

static const char read_sql[] =
	"SELECT envelope_sender, to_json(envelope_recipients)::text, parse_status,"
	" parser_version::text, raw FROM messages message JOIN message_raw bytes USING (id)"
	" WHERE message.id = $1 AND bytes.id = $1";

/* Everything as bytes; text ends with a NUL all the same. */
static bool read_one(struct reparse *r, const char *id)
{
	static const Oid types[] = { PG_UUID };
	struct uuid uuid;

	uuid_parse(id, UUID_TEXT, &uuid);
	pg_params_uuid(&r->params, &uuid);
	PGresult *res = pg_session_query_params(
		&r->session, "reading a message", read_sql, types, &r->params, 1);
	pg_params_clear(&r->params);
	if (res == NULL)
		return false;
	if (PQntuples(res) == 0) { /* deleted meanwhile */
		PQclear(res);
		return true;
	}
	struct storage_kept *kept = &r->batch[r->count];
	*kept = (struct storage_kept){
		.id = uuid,
		.envelope.sender = PQgetvalue(res, 0, READ_SENDER),
		.parse_status = PQgetvalue(res, 0, READ_STATUS),
		.parser_version = (unsigned)strtoul(PQgetvalue(res, 0, READ_VERSION), NULL, 10),
		.raw = { PQgetvalue(res, 0, READ_RAW), (size_t)PQgetlength(res, 0, READ_RAW) },
	};
	storage_read_recipients(r->arena, PQgetvalue(res, 0, READ_RECIPIENTS), &kept->envelope);
	r->rows[r->count++] = res;
	return true;
}

static void drop_batch(struct reparse *r)
{
	for (size_t i = 0; i < r->count; i++)
		PQclear(r->rows[i]);
	r->count = 0;
	arena_free(&r->arena);
	r->arena = arena_new();
}

/* From `*at` on, which becomes where the next batch begins. */
static bool read_batch(struct reparse *r, size_t *at)
{
	uint64_t bytes = 0;

	if (!begin(r))
		return false;
	for (; *at < r->wanted_count && r->count < BATCH_MESSAGES; ++*at) {
		bytes += r->wanted[*at].size;
		if (r->count > 0 && bytes > BATCH_BYTES)
			break;
		if (!read_one(r, r->wanted[*at].id))
			return false;
	}
	return commit(r);
}

/* --- comparing --- */

/* A batch in one statement: planning one takes longer than running it. $1 and $2 are its first and its
 * last id, between which there is no more than a page; then each message's, $3 to $25, and its parts,
 * $26 to $40. The ids of those that differ. */
#define KEPT_PARTS                                                                                 \
	"SELECT " PG_PART_COLUMNS " FROM message_parts WHERE id BETWEEN $1 AND $2 AND id = ANY "   \
	"($3)"
#define GIVEN_PARTS                                                                                \
	"SELECT * FROM unnest($26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38,"    \
	" $39, $40)"

static const char compare_sql[] =
	"SELECT id FROM (SELECT id, ROW(" PG_DERIVED_VALUES_BUT_VERSION ") AS said"
	"  FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
	"   $19, $20, $21, $22, $23, $24, $25) AS input (id, " PG_DERIVED_COLUMNS ")) AS given"
	" JOIN (SELECT id, ROW(" PG_DERIVED_COLUMNS_BUT_VERSION ") AS said FROM messages"
	"  WHERE id BETWEEN $1 AND $2) AS kept USING (id)"
	" WHERE kept.said IS DISTINCT FROM given.said OR id IN (SELECT id FROM ("
	"  (" KEPT_PARTS " EXCEPT " GIVEN_PARTS ") UNION ALL"
	"  (" GIVEN_PARTS " EXCEPT " KEPT_PARTS ")) AS odd (id))";

static const Oid compare_types[] = { PG_UUID, PG_UUID, PG_UUID_ARRAY, PG_DERIVED_TYPES,
	PG_PART_TYPES };

enum { COMPARE_COLUMNS = 1 + PG_DERIVED_COUNT };

static size_t part_count(const struct storage_kept *kept, bool bare)
{
	return bare ? 0 : kept->anew->mime->part_count;
}

static void add_parts(struct pg_params *p, const struct storage_kept *kept, bool bare)
{
	for (size_t i = 0; i < part_count(kept, bare); i++)
		pg_row_add_part(p, &kept->id, &kept->anew->mime->parts[i]);
}

static void add_derived(struct pg_params *p, const struct storage_kept *kept, bool bare)
{
	struct pg_row row;

	pg_row_init(&row, kept->anew, bare);
	pg_row_add_derived(p, &row);
	pg_row_deinit(&row);
}

static void fill_compare(
	struct reparse *r, const struct storage_kept *batch, size_t count, bool bare)
{
	struct pg_params *p = &r->params;
	unsigned rows = 0, parts = 0;

	for (size_t i = 0; i < count; i++) {
		rows += batch[i].anew != NULL;
		parts += batch[i].anew != NULL ? (unsigned)part_count(&batch[i], bare) : 0;
	}
	pg_params_uuid(p, &batch[0].id);
	pg_params_uuid(p, &batch[count - 1].id);
	pg_rows_begin(p, compare_types + 2, COMPARE_COLUMNS, rows);
	for (size_t i = 0; i < count; i++)
		if (batch[i].anew != NULL) {
			pg_rows_uuid(p, &batch[i].id);
			add_derived(p, &batch[i], bare);
		}
	pg_rows_end(p);
	pg_rows_begin(p, compare_types + 2 + COMPARE_COLUMNS, PG_PART_COUNT, parts);
	for (size_t i = 0; i < count; i++)
		if (batch[i].anew != NULL)
			add_parts(p, &batch[i], bare);
	pg_rows_end(p);
}

/* Marks in r->differs those that do; of a row that is gone nothing does. */
static bool compare(struct reparse *r, const struct storage_kept *batch, size_t count, bool bare)
{
	bool *differs = r->differs + (batch - r->batch);

	fill_compare(r, batch, count, bare);
	PGresult *res = pg_session_query_params(
		&r->session, "comparing messages", compare_sql, compare_types, &r->params, 1);
	pg_params_clear(&r->params);
	if (res == NULL) {
		r->refused = pg_trouble_of(r->session.sqlstate) == PG_TROUBLE_MESSAGE;
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		differs[i] = false;
		for (int row = 0; row < PQntuples(res); row++)
			if (memcmp(PQgetvalue(res, row, 0), batch[i].id.bytes, UUID_BYTES) == 0)
				differs[i] = true;
	}
	PQclear(res);
	return true;
}

/* --- writing --- */

/* $1 is the id, $2 to $23 the message's columns, $24 to $38 its parts'. */
#define DERIVED_INPUT                                                                              \
	"(SELECT " PG_DERIVED_VALUES " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12," \
	" $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) AS given (" PG_DERIVED_COLUMNS    \
	"))"
#define PARTS_INPUT                                                                                \
	"(SELECT * FROM unnest($24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36,"   \
	" $37, $38) AS given (" PG_PART_COLUMNS "))"

/* The parts that are there are overwritten, what is too many goes: no row is deleted and inserted again
 * by one statement. */
static const char write_sql[] =
	"WITH message AS ("
	" UPDATE messages SET (" PG_DERIVED_COLUMNS ") = (SELECT * FROM " DERIVED_INPUT " AS given)"
	" WHERE id = $1 RETURNING id"
	"), given AS (SELECT * FROM " PARTS_INPUT " AS part WHERE id IN (SELECT id FROM message)"
	"), gone AS ("
	" DELETE FROM message_parts WHERE id = $1 AND EXISTS (SELECT FROM message)"
	"  AND n NOT IN (SELECT n FROM given)"
	"), parts AS ("
	" INSERT INTO message_parts (" PG_PART_COLUMNS ") SELECT " PG_PART_COLUMNS " FROM given"
	" ON CONFLICT (id, n) DO UPDATE SET path = excluded.path,"
	"  content_type = excluded.content_type, filename = excluded.filename,"
	"  disposition = excluded.disposition, content_id = excluded.content_id,"
	"  charset = excluded.charset, encoding = excluded.encoding, size = excluded.size,"
	"  sha256 = excluded.sha256, is_attachment = excluded.is_attachment,"
	"  raw_offset = excluded.raw_offset, raw_length = excluded.raw_length,"
	"  inside = excluded.inside"
	") SELECT count(*)::text FROM message";

static const char note_sql[] = "WITH message AS (UPDATE messages SET parser_version = $2::integer "
			       "WHERE id = $1 RETURNING id)"
			       " SELECT count(*)::text FROM message";

static const Oid types[] = { PG_UUID, PG_DERIVED_TYPES, PG_PART_TYPES };

_Static_assert(sizeof(types) / sizeof(types[0]) == 1 + PG_DERIVED_COUNT + PG_PART_COUNT,
	"a type for each");

static void fill(struct reparse *r, const struct storage_kept *kept, bool bare)
{
	struct pg_params *p = &r->params;

	pg_params_uuid(p, &kept->id);
	pg_rows_begin(p, types + 1, PG_DERIVED_COUNT, 1);
	add_derived(p, kept, bare);
	pg_rows_end(p);
	pg_rows_begin(
		p, types + 1 + PG_DERIVED_COUNT, PG_PART_COUNT, (unsigned)part_count(kept, bare));
	add_parts(p, kept, bare);
	pg_rows_end(p);
}

/* A statement that says how many messages it has written: one, or none because it is gone. */
static bool write_row(struct reparse *r, const char *sql, const Oid *param_types, bool *is_there_r)
{
	PGresult *res = pg_session_query_params(
		&r->session, "writing a message anew", sql, param_types, &r->params, 0);

	pg_params_clear(&r->params);
	if (res == NULL) {
		r->refused = pg_trouble_of(r->session.sqlstate) == PG_TROUBLE_MESSAGE;
		return false;
	}
	*is_there_r = PQgetvalue(res, 0, 0)[0] == '1';
	PQclear(res);
	return true;
}

static bool note_version(struct reparse *r, const struct storage_kept *kept, bool *is_there_r)
{
	static const Oid note_types[] = { PG_UUID, PG_TEXT };
	char version[16];

	snprintf(version, sizeof(version), "%d", MIME_PARSER_VERSION);
	pg_params_uuid(&r->params, &kept->id);
	pg_params_text(&r->params, version);
	return write_row(r, note_sql, note_types, is_there_r);
}

/* In the transaction that is open. False for an error; the outcome stands only once it is committed. */
static bool write_one(struct reparse *r, struct storage_kept *kept, bool bare)
{
	bool differs = r->differs[kept - r->batch], is_there = true, ok = true;

	if (differs && !r->want->only_look) {
		fill(r, kept, bare);
		ok = write_row(r, write_sql, types, &is_there);
	} else if (kept->parser_version != MIME_PARSER_VERSION && !r->want->only_look) {
		ok = note_version(r, kept, &is_there);
	}
	kept->outcome = !is_there ? STORAGE_ANEW_GONE
			: bare    ? STORAGE_ANEW_BARE
			: differs ? STORAGE_ANEW_CHANGED
				  : STORAGE_ANEW_SAME;
	return ok;
}

static bool write_all(struct reparse *r)
{
	if (r->count == 0)
		return true;
	if (!begin(r) || !compare(r, r->batch, r->count, false))
		return false;
	for (size_t i = 0; i < r->count; i++)
		if (r->batch[i].anew != NULL && !write_one(r, &r->batch[i], false))
			return false;
	return commit(r);
}

static bool write_alone(struct reparse *r, struct storage_kept *kept, bool bare)
{
	if (begin(r) && compare(r, kept, 1, bare) && write_one(r, kept, bare) && commit(r))
		return true;
	roll_back(r);
	return false;
}

/* One of the batch is to blame; who it is shows when each stands alone. */
static bool write_each(struct reparse *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct storage_kept *kept = &r->batch[i];
		if (kept->anew == NULL || write_alone(r, kept, false))
			continue;
		if (!r->refused)
			return false;
		forget_error(r);
		if (write_alone(r, kept, true))
			continue;
		if (!r->refused)
			return false;
		forget_error(r);
		kept->outcome = STORAGE_ANEW_REFUSED;
	}
	return true;
}

/* Somebody else has a lock, and keeps it for a while as a rule. */
static bool is_in_the_way(const struct reparse *r)
{
	return strcmp(r->session.sqlstate, "55P03") == 0 ||
	       pg_trouble_of(r->session.sqlstate) == PG_TROUBLE_CONFLICT;
}

static bool write_batch(struct reparse *r)
{
	for (unsigned tries = 1; !write_all(r); tries++) {
		roll_back(r);
		if (!r->refused && (tries == TRIES || is_stopped(r) || !is_in_the_way(r)))
			return false;
		bool refused = r->refused;
		forget_error(r);
		if (refused)
			return write_each(r);
	}
	return true;
}

/* --- all of it --- */

/* False for an error, and when the caller wants no more: then there is none. */
static bool do_page(struct reparse *r)
{
	const struct storage_reparse *want = r->want;
	bool ok = true;

	for (size_t at = 0; ok && at < r->wanted_count && !is_stopped(r);) {
		ok = read_batch(r, &at) && want->derive(want->data, r->batch, r->count) &&
		     write_batch(r);
		if (ok)
			want->settled(want->data, r->batch, r->count);
		drop_batch(r);
	}
	return ok;
}

static bool reparse(struct reparse *r)
{
	char after[UUID_TEXT + 1], before[UUID_TEXT + 1];

	storage_reparse_bounds(r->want, after, before);
	while (after[0] != '\0' && !is_stopped(r))
		if (!find_page(r, before, after) || !do_page(r))
			return false;
	return true;
}

enum storage_result pg_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r)
{
	struct reparse *r = h2o_mem_alloc(sizeof(*r));

	*r = (struct reparse){
		.session.missing_privilege = ": let the tables' owner run `mailserver reparse`, or "
					     "GRANT SELECT, INSERT, UPDATE, DELETE on them to this "
					     "user",
		.set = set,
		.want = want,
		.arena = arena_new(),
	};
	pg_params_init(&r->params);
	if (pg_session_open(&r->session, set) && pg_schema_is_current(&r->session))
		reparse(r);
	pg_session_close(&r->session);
	pg_params_deinit(&r->params);
	arena_free(&r->arena);
	char *error = r->session.error;
	free(r);
	if (error == NULL)
		return STORAGE_OK;
	*error_r = error;
	return STORAGE_UNAVAILABLE;
}
