/* SPDX-License-Identifier: MIT */
#include "storage/postgres/work.h"
#include "lib/utf8.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

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
	"  queue_id, client_address, client_hostname, client_helo, message_id, in_reply_to, refs,"
	"  date, subject, from_address, from_name, addresses, headers, text, html, size, sha256,"
	"  parse_status, defects, orig_recipient)"
	" SELECT id, tenant, received_at, envelope_sender, envelope_recipients::text[],"
	"  queue_id, client_address::inet, client_hostname, client_helo, message_id, in_reply_to,"
	"  refs::text[], date, subject, from_address, from_name, addresses, headers, text, html,"
	"  size, sha256, parse_status, defects::text[], orig_recipient"
	" FROM unnest($1, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
	"  $19, $20, $21, $22, $23, $24, $25, $26)"
	"  AS input (id, tenant, received_at, envelope_sender, envelope_recipients, queue_id,"
	"   client_address, client_hostname, client_helo, message_id, in_reply_to, refs, date,"
	"   subject, from_address, from_name, addresses, headers, text, html, size, sha256,"
	"   parse_status, defects, orig_recipient)"
	" WHERE id IN (SELECT id FROM fresh)"
	"), bytes AS ("
	" INSERT INTO message_raw (id, raw)"
	" SELECT id, raw FROM (SELECT unnest($1) AS id, unnest($27) AS raw) AS input"
	" WHERE id IN (SELECT id FROM fresh) AND raw IS NOT NULL"
	"), parts AS ("
	" INSERT INTO message_parts (id, n, path, content_type, filename, disposition, content_id,"
	"  charset, encoding, size, sha256, is_attachment, raw_offset, raw_length)"
	" SELECT * FROM unnest($28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40,"
	"  $41) AS input (id) WHERE id IN (SELECT id FROM fresh)"
	"), known AS ("
	" SELECT input.id AS proposed, key.id AS kept"
	" FROM unnest($1, $2, $3) AS input (id, tenant, digest)"
	" JOIN message_keys key USING (tenant, digest)"
	" WHERE input.id NOT IN (SELECT id FROM fresh) FOR KEY SHARE OF key"
	")"
	" SELECT id AS proposed, id AS kept FROM fresh UNION ALL SELECT proposed, kept FROM known";

enum { MESSAGE_COLUMNS = 27, PART_COLUMNS = 14, PUT_PARAMS = MESSAGE_COLUMNS + PART_COLUMNS };

static const Oid put_types[] = {
	PG_UUID_ARRAY, PG_TEXT_ARRAY, PG_BYTEA_ARRAY, /* $1: id, tenant, digest */
	PG_TIMESTAMPTZ_ARRAY, PG_TEXT_ARRAY,
	PG_TEXT_ARRAY,                               /* $4: received_at, sender, recipients */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY, /* $7: queue_id, client's address, name */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY, /* $10: helo, message_id, in_reply_to */
	PG_TEXT_ARRAY, PG_TIMESTAMPTZ_ARRAY, PG_TEXT_ARRAY, /* $13: refs, date, subject */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY,                       /* $16: from */
	PG_JSONB_ARRAY, PG_JSONB_ARRAY,                     /* $18: addresses, headers */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY,                       /* $20: text, html */
	PG_INT8_ARRAY, PG_BYTEA_ARRAY, PG_TEXT_ARRAY,       /* $22: size, sha256, parse_status */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_BYTEA_ARRAY,       /* $25: defects, orig_recipient, raw */
	/* of the parts */
	PG_UUID_ARRAY, PG_INT4_ARRAY, PG_TEXT_ARRAY,  /* $28: id, n, path */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY,  /* $31: content_type, filename, disposition */
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY,  /* $34: content_id, charset, encoding */
	PG_INT8_ARRAY, PG_BYTEA_ARRAY, PG_BOOL_ARRAY, /* $37: size, sha256, is_attachment */
	PG_INT8_ARRAY, PG_INT8_ARRAY,                 /* $40: raw_offset, raw_length */
};

_Static_assert(sizeof(put_types) / sizeof(put_types[0]) == PUT_PARAMS, "a type for each");

/* A message of the batch as it goes to the server: bare, where that did not take the other. */
struct row {
	const struct storage_message *message;
	const struct mime_message *mime;
	const char *addresses_json, *headers_json;
	struct arena *arena; /* of a bare one: what had to be cleaned */
	bool is_large;
};

/* The years 1 to 9999: what every client of the database can show. */
static bool year_has_four_digits(int64_t us)
{
	return us >= INT64_C(-62135596800) * 1000000 && us < INT64_C(253402300800) * 1000000;
}

static bool is_address(const char *s)
{
	struct in6_addr any;

	return inet_pton(AF_INET, s, &any) == 1 || inet_pton(AF_INET6, s, &any) == 1;
}

/* `s`, or for a bare message what the server certainly takes. */
static const char *clean(const struct row *row, const char *s)
{
	return row->arena != NULL && s != NULL
		       ? utf8_clean(row->arena, s, strlen(s), SIZE_MAX, NULL)
		       : s;
}

static void add_list(struct pg_params *p, const struct row *row, const char *const *list,
	size_t count, const char *more)
{
	const char *few[16];
	const char **copy = count < 16 ? few : h2o_mem_alloc((count + 1) * sizeof(copy[0]));

	for (size_t i = 0; i < count; i++)
		copy[i] = clean(row, list[i]);
	if (more != NULL)
		copy[count++] = more;
	pg_rows_list(p, copy, count);
	if (copy != few)
		free(copy);
}

static void add_envelope(struct pg_params *p, const struct row *row)
{
	const struct envelope *env = row->message->envelope;

	pg_rows_text(p, clean(row, env->sender));
	add_list(p, row, env->recipients, env->recipient_count, NULL);
	pg_rows_text(p, clean(row, env->queue_id));
	pg_rows_text(p, env->client_address != NULL && is_address(env->client_address)
				? env->client_address
				: NULL);
	pg_rows_text(p, clean(row, env->client_hostname));
	pg_rows_text(p, clean(row, env->client_helo));
}

static void add_derived(struct pg_params *p, const struct row *row)
{
	const struct mime_message *m = row->mime;
	const struct mime_address *from = m->from.count > 0 ? &m->from.list[0] : NULL;

	pg_rows_text(p, m->message_id);
	pg_rows_text(p, m->in_reply_to);
	pg_rows_list(p, m->references.list, m->references.count);
	if (m->has_date && year_has_four_digits(m->date_us))
		pg_rows_time(p, m->date_us);
	else
		pg_rows_null(p);
	pg_rows_text(p, m->subject);
	pg_rows_text(p, from != NULL ? from->address : NULL);
	pg_rows_text(p, from != NULL ? from->name : NULL);
	pg_rows_jsonb(p, row->addresses_json);
	pg_rows_jsonb(p, row->headers_json);
	pg_rows_text(p, m->text);
	pg_rows_text(p, m->html);
}

/* In the order of $1 to $27. */
static void add_message(struct pg_params *p, const struct row *row)
{
	const struct storage_message *m = row->message;
	const struct mime_strings *defects = &m->mime->defects;

	pg_rows_uuid(p, &m->id);
	pg_rows_text(p, m->tenant);
	pg_rows_bytes(p, (struct slice){ (const char *)m->key, sizeof(m->key) });
	pg_rows_time(p, m->received_us);
	add_envelope(p, row);
	add_derived(p, row);
	pg_rows_int8(p, m->raw.len);
	pg_rows_bytes(p, (struct slice){ (const char *)m->sha256, sizeof(m->sha256) });
	pg_rows_text(p, mime_status_name(row->mime->status));
	add_list(p, row, defects->list, defects->count,
		row->arena != NULL ? STORAGE_BARE_DEFECT : NULL);
	pg_rows_text(p, clean(row, m->envelope->orig_recipient));
	if (row->is_large)
		pg_rows_null(p);
	else
		pg_rows_bytes(p, m->raw);
}

/* In the order of $28 to $41. */
static void add_part(struct pg_params *p, const struct uuid *id, const struct mime_part *part)
{
	pg_rows_uuid(p, id);
	pg_rows_int4(p, part->n);
	pg_rows_text(p, part->path);
	pg_rows_text(p, part->content_type);
	pg_rows_text(p, part->filename);
	pg_rows_text(p, part->disposition);
	pg_rows_text(p, part->content_id);
	pg_rows_text(p, part->charset);
	pg_rows_text(p, part->encoding);
	pg_rows_int8(p, part->size);
	pg_rows_bytes(p, (struct slice){ (const char *)part->sha256, sizeof(part->sha256) });
	pg_rows_bool(p, part->is_attachment);
	pg_rows_int8(p, part->raw_offset);
	pg_rows_int8(p, part->raw_length);
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
		const struct storage_message *m = works[i]->put->message;
		struct row row = { m, m->mime, m->addresses_json, m->headers_json, NULL,
			works[i]->is_large };
		struct mime_message *nothing = NULL;
		if (is_twin(works, i))
			continue;
		if (works[i]->bare) {
			nothing = mime_unparsed(STORAGE_BARE_DEFECT);
			row = (struct row){ m, nothing, mime_addresses_json(nothing),
				mime_headers_json(nothing), nothing->arena, works[i]->is_large };
		}
		add_message(p, &row);
		mime_message_free(&nothing);
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
	pg_rows_begin(p, put_types + MESSAGE_COLUMNS, PART_COLUMNS, (unsigned)rows);
	for (unsigned i = 0; i < count; i++) {
		const struct storage_message *m = works[i]->put->message;
		for (size_t n = 0; !is_twin(works, i) && n < part_count(works[i]); n++)
			add_part(p, &m->id, &m->mime->parts[n]);
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
