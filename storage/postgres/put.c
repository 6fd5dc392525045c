/* SPDX-License-Identifier: MIT */
#include "storage/postgres/row.h"
#include "storage/postgres/work.h"

#include <arpa/inet.h>
#include <assert.h>

/* A whole batch in one statement, its rows as arrays: what a key is there for already is left out.
 * It answers, for each id that was proposed, the one that the message is kept under: the same, or an
 * older one's. No row at all: the same key was committed by another while this statement waited for
 * it, too late to be seen.
 *
 * What is known is locked, though nothing is done to it: a transaction that writes nothing does not
 * wait for a synchronous standby, and the first copy may not have got there yet.
 *
 * The large column is unnested in a select list, not in FROM: there the server would first put all
 * of it aside, on disk when it is long. It is NULL for a large message, whose bytes follow (stream.h). */
static const char put_sql[] =
	"WITH fresh AS ("
	" INSERT INTO message_keys (id, tenant, digest)"
	" SELECT * FROM unnest($1, $2, $3)"
	" ON CONFLICT DO NOTHING RETURNING id"
	"), message AS ("
	" INSERT INTO messages (id, tenant, received_at, envelope_sender, envelope_recipients,"
	"  queue_id, client_address, client_hostname, client_helo, orig_recipient, size, sha256,"
	"  " PG_DERIVED_COLUMNS ")"
	" SELECT id, tenant, received_at, envelope_sender, envelope_recipients::text[],"
	"  queue_id, client_address::inet, client_hostname, client_helo, orig_recipient, size,"
	"  sha256, " PG_DERIVED_VALUES
	" FROM unnest($1, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
	"  $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)"
	"  AS input (id, tenant, received_at, envelope_sender, envelope_recipients, queue_id,"
	"   client_address, client_hostname, client_helo, orig_recipient, size, sha256,"
	"   " PG_DERIVED_COLUMNS ")"
	" WHERE id IN (SELECT id FROM fresh)"
	"), bytes AS ("
	" INSERT INTO message_raw (id, raw)"
	" SELECT id, raw FROM (SELECT unnest($1) AS id, unnest($36) AS raw) AS input"
	" WHERE id IN (SELECT id FROM fresh) AND raw IS NOT NULL"
	"), parts AS ("
	" INSERT INTO message_parts (" PG_PART_COLUMNS ")"
	" SELECT * FROM unnest($37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49,"
	"  $50, $51) AS input (id) WHERE id IN (SELECT id FROM fresh)"
	"), known AS ("
	" SELECT input.id AS proposed, key.id AS kept"
	" FROM unnest($1, $2, $3) AS input (id, tenant, digest)"
	" JOIN message_keys key USING (tenant, digest)"
	" WHERE input.id NOT IN (SELECT id FROM fresh) FOR KEY SHARE OF key"
	")"
	" SELECT id AS proposed, id AS kept FROM fresh UNION ALL SELECT proposed, kept FROM known";

enum {
	ENVELOPE_COLUMNS = 13,
	MESSAGE_COLUMNS = ENVELOPE_COLUMNS + PG_DERIVED_COUNT + 1,
	PUT_PARAMS = MESSAGE_COLUMNS + PG_PART_COUNT,
};

static const Oid put_types[] = {
	PG_UUID_ARRAY, PG_TEXT_ARRAY, PG_BYTEA_ARRAY, /* $1: id, tenant, digest */
	PG_TIMESTAMPTZ_ARRAY, PG_TEXT_ARRAY,
	PG_TEXT_ARRAY,                               /* $4: received_at, sender, recipients */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY, /* $7: queue_id, client's address, name */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY,                /* $10: helo, orig_recipient */
	PG_INT8_ARRAY, PG_BYTEA_ARRAY,               /* $12: size, sha256 */
	PG_DERIVED_TYPES,                            /* $14 */
	PG_BYTEA_ARRAY,                              /* $36: raw */
	PG_PART_TYPES,                               /* $37 */
};

_Static_assert(sizeof(put_types) / sizeof(put_types[0]) == PUT_PARAMS, "a type for each");

static bool is_address(const char *s)
{
	struct in6_addr any;

	return inet_pton(AF_INET, s, &any) == 1 || inet_pton(AF_INET6, s, &any) == 1;
}

static void add_envelope(struct pg_params *p, const struct pg_row *row)
{
	const struct envelope *env = row->message->envelope;

	pg_rows_text(p, pg_row_clean(row, env->sender));
	pg_row_add_list(p, row, env->recipients, env->recipient_count, NULL);
	pg_rows_text(p, pg_row_clean(row, env->queue_id));
	pg_rows_text(p, env->client_address != NULL && is_address(env->client_address)
				? env->client_address
				: NULL);
	pg_rows_text(p, pg_row_clean(row, env->client_hostname));
	pg_rows_text(p, pg_row_clean(row, env->client_helo));
	pg_rows_text(p, pg_row_clean(row, env->orig_recipient));
}

/* In the order of $1 to $36. */
static void add_message(struct pg_params *p, const struct pg_row *row, bool is_large)
{
	const struct storage_message *m = row->message;

	pg_rows_uuid(p, &m->id);
	pg_rows_text(p, m->tenant);
	pg_rows_bytes(p, (struct slice){ (const char *)m->key, sizeof(m->key) });
	pg_rows_time(p, m->received_us);
	add_envelope(p, row);
	pg_rows_int8(p, m->raw.len);
	pg_rows_bytes(p, (struct slice){ (const char *)m->sha256, sizeof(m->sha256) });
	pg_row_add_derived(p, row);
	if (is_large)
		pg_rows_null(p);
	else
		pg_rows_bytes(p, m->raw);
}

/* The same message as the one before it, which alone is sent. */
static bool is_twin(struct pg_work *const *works, unsigned i)
{
	return i > 0 && pg_put_order(works[i - 1], works[i]) == 0;
}

static void add_messages(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	unsigned rows = 0;

	for (unsigned i = 0; i < count; i++)
		rows += !is_twin(works, i);
	pg_rows_begin(p, put_types, MESSAGE_COLUMNS, rows);
	for (unsigned i = 0; i < count; i++) {
		struct pg_row row;
		if (is_twin(works, i))
			continue;
		pg_row_init(&row, works[i]->put->message, works[i]->bare);
		add_message(p, &row, works[i]->is_large);
		pg_row_deinit(&row);
	}
	pg_rows_end(p);
}

static size_t part_count(const struct pg_work *work)
{
	return work->bare ? 0 : work->put->message->mime->part_count;
}

static void add_parts(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	size_t rows = 0;

	for (unsigned i = 0; i < count; i++)
		rows += is_twin(works, i) ? 0 : part_count(works[i]);
	pg_rows_begin(p, put_types + MESSAGE_COLUMNS, PG_PART_COUNT, (unsigned)rows);
	for (unsigned i = 0; i < count; i++) {
		const struct storage_message *m = works[i]->put->message;
		for (size_t n = 0; !is_twin(works, i) && n < part_count(works[i]); n++)
			pg_row_add_part(p, &m->id, &m->mime->parts[n]);
	}
	pg_rows_end(p);
}

static void put_fill(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	add_messages(p, works, count);
	add_parts(p, works, count);
	assert(p->count == PUT_PARAMS);
}

static void answer(struct pg_work *work, enum storage_result result)
{
	struct storage_put *op = work->put;

	pg_work_free(&work);
	op->done(op, result);
}

/* Notes in each operation the id under which its message is kept. The rows come in the order of the
 * works, as a rule: so the search goes on where the last one ended. */
static void note_ids(struct pg_work *const *works, unsigned count, const PGresult *rows)
{
	unsigned at = 0;

	for (int r = 0; r < PQntuples(rows); r++) {
		const char *proposed = PQgetvalue(rows, r, 0);
		for (unsigned tried = 0; tried < count; tried++, at = (at + 1) % count) {
			struct storage_put *op = works[at]->put;
			if (memcmp(op->message->id.bytes, proposed, UUID_BYTES) != 0)
				continue;
			memcpy(op->id.bytes, PQgetvalue(rows, r, 1), UUID_BYTES);
			works[at]->is_kept = true;
			break;
		}
	}
}

static unsigned put_succeed(struct pg_work **works, unsigned count, const PGresult *rows)
{
	unsigned left = 0;

	note_ids(works, count, rows);
	for (unsigned i = 1; i < count; i++) {
		if (works[i - 1]->is_kept && is_twin(works, i)) {
			works[i]->put->id = works[i - 1]->put->id;
			works[i]->is_kept = true;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		struct storage_put *op = works[i]->put;
		if (!works[i]->is_kept) {
			works[left++] = works[i];
		} else if (memcmp(&op->id, &op->message->id, sizeof(op->id)) == 0) {
			op->bare = works[i]->bare;
			answer(works[i], STORAGE_OK);
		} else {
			answer(works[i], STORAGE_DUPLICATE);
		}
	}
	return left;
}

/* The statement answers with one row at most, and with two equal ids for what it has added. */
bool pg_put_is_fresh(const struct pg_work *work, const PGresult *result)
{
	return PQntuples(result) == 1 &&
	       memcmp(PQgetvalue(result, 0, 1), work->put->message->id.bytes, UUID_BYTES) == 0;
}

int pg_put_order(const struct pg_work *a, const struct pg_work *b)
{
	const struct storage_message *m = a->put->message, *n = b->put->message;
	int order = strcmp(m->tenant, n->tenant);

	return order != 0 ? order : memcmp(m->key, n->key, sizeof(m->key));
}

const struct pg_work_kind pg_put = {
	.number = PG_KIND_PUT,
	.name = "put",
	.is_put = true,
	.sql = put_sql,
	.types = put_types,
	.param_count = PUT_PARAMS,
	.result_format = 1,
	.fill = put_fill,
	.succeed = put_succeed,
	.fail = answer,
};
