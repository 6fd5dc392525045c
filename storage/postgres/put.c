/* SPDX-License-Identifier: MIT */
#include "storage/postgres/work.h"
#include "lib/buf.h"
#include "lib/utf8.h"

#include <arpa/inet.h>
#include <assert.h>

/* All of a message in one statement, which does nothing when its key is there already. It answers
 * with the id under which the message is kept, and whether that is new. No row at all: the same key
 * was committed by another while this statement waited for it, too late to be seen. */
static const char put_sql[] =
	"WITH fresh AS ("
	" INSERT INTO message_keys (id, tenant, digest) VALUES ($1, $2, $3)"
	" ON CONFLICT DO NOTHING RETURNING id"
	"), message AS ("
	" INSERT INTO messages (id, tenant, received_at, envelope_sender, envelope_recipients,"
	"  queue_id, client_address, client_hostname, client_helo, message_id, in_reply_to, refs,"
	"  date, subject, from_address, from_name, addresses, headers, text, html, size, sha256,"
	"  parse_status, defects, orig_recipient)"
	" SELECT id, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,"
	"  $20, $21, $22, $23, $24, $25, $28 FROM fresh"
	"), bytes AS ("
	" INSERT INTO message_raw (id, raw) SELECT id, $26 FROM fresh"
	"), parts AS ("
	" INSERT INTO message_parts (id, n, path, content_type, filename, disposition, content_id,"
	"  charset, encoding, size, sha256, is_attachment, raw_offset, raw_length)"
	" SELECT fresh.id, n, path, content_type, filename, disposition, content_id, charset,"
	"  encoding, size, decode(sha256, 'hex'), is_attachment, raw_offset, raw_length"
	" FROM fresh, json_to_recordset($27) AS part(n integer, path text, content_type text,"
	"  filename text, disposition text, content_id text, charset text, encoding text,"
	"  size bigint, sha256 text, is_attachment boolean, raw_offset bigint, raw_length bigint)"
	")"
	" SELECT id, true FROM fresh UNION ALL"
	" SELECT id, false FROM message_keys WHERE tenant = $2 AND digest = $3";

static const Oid put_types[] = {
	PG_UUID, PG_TEXT, PG_BYTEA,                      /* $1: id, tenant, digest */
	PG_TIMESTAMPTZ, PG_TEXT, PG_TEXT_ARRAY, PG_TEXT, /* $4: received_at … queue_id */
	PG_INET, PG_TEXT, PG_TEXT,                       /* $8: the client */
	PG_TEXT, PG_TEXT, PG_TEXT_ARRAY, PG_TIMESTAMPTZ, /* $11: message_id … date */
	PG_TEXT, PG_TEXT, PG_TEXT,                       /* $15: subject, from */
	PG_JSONB, PG_JSONB, PG_TEXT, PG_TEXT,            /* $18: addresses … html */
	PG_INT8, PG_BYTEA, PG_TEXT, PG_TEXT_ARRAY,       /* $22: size … defects */
	PG_BYTEA, PG_JSON, PG_TEXT                       /* $26: raw, parts, orig_recipient */
};

enum { PUT_PARAMS = sizeof(put_types) / sizeof(put_types[0]) };

/* A message may have many parts; JSON that was cut is refused by the server like other bad data,
 * and the message is then kept bare. */
enum { MAX_PARTS_JSON = 64 * 1024 * 1024 };

static const char *parts_json(struct arena *arena, const struct mime_message *m)
{
	char sha256[SHA256_HEX + 1];
	struct buf json;

	buf_init(&json, MAX_PARTS_JSON);
	buf_json_begin(&json, '[');
	for (size_t i = 0; i < m->part_count; i++) {
		const struct mime_part *part = &m->parts[i];
		const struct {
			const char *key, *value;
		} texts[] = {
			{ "path", part->path },
			{ "content_type", part->content_type },
			{ "filename", part->filename },
			{ "disposition", part->disposition },
			{ "content_id", part->content_id },
			{ "charset", part->charset },
			{ "encoding", part->encoding },
			{ "sha256", sha256 },
		};
		hex_encode(part->sha256, SHA256_BYTES, sha256);
		buf_json_begin(&json, '{');
		buf_json_key(&json, "n");
		buf_json_int(&json, part->n);
		for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
			buf_json_key(&json, texts[t].key);
			buf_json_string(&json, texts[t].value);
		}
		buf_json_key(&json, "size");
		buf_json_int(&json, (int64_t)part->size);
		buf_json_key(&json, "is_attachment");
		buf_json_bool(&json, part->is_attachment);
		buf_json_key(&json, "raw_offset");
		buf_json_int(&json, (int64_t)part->raw_offset);
		buf_json_key(&json, "raw_length");
		buf_json_int(&json, (int64_t)part->raw_length);
		buf_json_end(&json, '}');
	}
	buf_json_end(&json, ']');
	const char *text = arena_strndup(arena, json.base, json.len);
	buf_deinit(&json);
	return text;
}

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
static const char *text(struct pg_params *p, const struct pg_work *work, const char *s)
{
	return work->bare && s != NULL ? utf8_clean(p->arena, s, strlen(s), SIZE_MAX, NULL) : s;
}

static void add_texts(
	struct pg_params *p, const struct pg_work *work, const char *const *list, size_t count)
{
	const char **copy = arena_alloc(p->arena, (count + 1) * sizeof(copy[0]));

	for (size_t i = 0; i < count; i++)
		copy[i] = text(p, work, list[i]);
	pg_params_texts(p, copy, count);
}

static void add_envelope(struct pg_params *p, const struct pg_work *work)
{
	const struct envelope *env = work->put->message->envelope;

	pg_params_text(p, text(p, work, env->sender));
	add_texts(p, work, env->recipients, env->recipient_count);
	pg_params_text(p, text(p, work, env->queue_id));
	pg_params_text(p, env->client_address != NULL && is_address(env->client_address)
				  ? env->client_address
				  : NULL);
	pg_params_text(p, text(p, work, env->client_hostname));
	pg_params_text(p, text(p, work, env->client_helo));
}

static void add_derived(struct pg_params *p, const struct mime_message *m,
	const char *addresses_json, const char *headers_json)
{
	const struct mime_address *from = m->from.count > 0 ? &m->from.list[0] : NULL;

	pg_params_text(p, m->message_id);
	pg_params_text(p, m->in_reply_to);
	pg_params_texts(p, m->references.list, m->references.count);
	if (m->has_date && year_has_four_digits(m->date_us))
		pg_params_time(p, m->date_us);
	else
		pg_params_text(p, NULL);
	pg_params_text(p, m->subject);
	pg_params_text(p, from != NULL ? from->address : NULL);
	pg_params_text(p, from != NULL ? from->name : NULL);
	pg_params_text(p, addresses_json);
	pg_params_text(p, headers_json);
	pg_params_text(p, m->text);
	pg_params_text(p, m->html);
}

static void add_bare(struct pg_params *p, const struct mime_message *nothing)
{
	add_derived(p, nothing, arena_strdup(p->arena, mime_addresses_json(nothing)),
		arena_strdup(p->arena, mime_headers_json(nothing)));
}

static void add_defects(struct pg_params *p, const struct pg_work *work)
{
	const struct mime_strings *defects = &work->put->message->mime->defects;
	const char **list = arena_alloc(p->arena, (defects->count + 1) * sizeof(list[0]));
	size_t count = defects->count;

	for (size_t i = 0; i < count; i++)
		list[i] = text(p, work, defects->list[i]);
	if (work->bare)
		list[count++] = "storage";
	pg_params_texts(p, list, count);
}

static void put_fill(struct pg_params *p, const struct pg_work *work)
{
	const struct storage_message *m = work->put->message;
	struct mime_message *nothing = work->bare ? mime_unparsed("storage") : NULL;
	const struct mime_message *derived = work->bare ? nothing : m->mime;

	pg_params_uuid(p, &m->id);
	pg_params_text(p, m->tenant);
	pg_params_bytes(p, (struct slice){ (const char *)m->key, sizeof(m->key) });
	pg_params_time(p, m->received_us);
	add_envelope(p, work);
	if (work->bare)
		add_bare(p, nothing);
	else
		add_derived(p, derived, m->addresses_json, m->headers_json);
	pg_params_int8(p, (int64_t)m->raw.len);
	pg_params_bytes(p, (struct slice){ (const char *)m->sha256, sizeof(m->sha256) });
	pg_params_text(p, mime_status_name(derived->status));
	add_defects(p, work);
	pg_params_bytes(p, m->raw);
	pg_params_text(p, parts_json(p->arena, derived));
	pg_params_text(p, text(p, work, m->envelope->orig_recipient));
	assert(p->count == PUT_PARAMS);
	mime_message_free(&nothing);
}

static bool put_succeed(struct pg_work *work)
{
	struct storage_put *op = work->put;

	if (PQntuples(work->result) == 0)
		return false;
	bool fresh = PQgetvalue(work->result, 0, 1)[0] != 0;
	memcpy(op->id.bytes, PQgetvalue(work->result, 0, 0), UUID_BYTES);
	pg_work_free(&work);
	op->done(op, fresh ? STORAGE_OK : STORAGE_DUPLICATE);
	return true;
}

static void put_fail(struct pg_work *work, enum storage_result result)
{
	struct storage_put *op = work->put;

	pg_work_free(&work);
	op->done(op, result);
}

const struct pg_work_kind pg_put = {
	.name = "put",
	.is_put = true,
	.sql = put_sql,
	.types = put_types,
	.param_count = PUT_PARAMS,
	.result_format = 1,
	.fill = put_fill,
	.succeed = put_succeed,
	.fail = put_fail,
};
