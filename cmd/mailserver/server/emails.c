/* SPDX-License-Identifier: MIT */
/* emails.c - reading mail back: GET /api/emails/{id} and /raw */
#include "cmd/mailserver/server/routes.h"
#include "cmd/mailserver/server/server_metrics.h"
#include "cmd/mailserver/server/worker.h"
#include "middleware/respond.h"

/* Texts are bounded when they are stored; JSON escapes can make them six times as long. */
enum { MAX_ANSWER_BYTES = 256 * 1024 * 1024, RETRY_AFTER_S = 5 };

struct get_op {
	struct request *r;
	int64_t began_us;
	struct storage_get storage;
};

struct raw_op {
	struct request *r;
	int64_t began_us;
	struct storage_raw storage;
};

static void respond_missing(struct request *r, enum storage_result result)
{
	if (result == STORAGE_NOT_FOUND)
		respond_error(r, 404, "There is no such message", NULL);
	else
		respond_unavailable(r, "The database is not available", RETRY_AFTER_S);
}

/* False, with the request answered, when the path holds no id. */
static bool read_id(struct request *r, struct uuid *id_r)
{
	if (uuid_parse(r->args[0].base, r->args[0].len, id_r))
		return true;
	respond_missing(r, STORAGE_NOT_FOUND);
	return false;
}

static void add_string(struct buf *b, const char *key, const char *value)
{
	buf_json_key(b, key);
	buf_json_string(b, value);
}

static void add_raw(struct buf *b, const char *key, const char *json)
{
	buf_json_key(b, key);
	buf_json_raw(b, json);
}

static void add_envelope(struct buf *b, const struct storage_record *rec)
{
	buf_json_key(b, "envelope");
	buf_json_begin(b, '{');
	add_string(b, "sender", rec->envelope_sender);
	add_raw(b, "recipients", rec->envelope_recipients_json);
	if (rec->orig_recipient != NULL)
		add_string(b, "orig_recipient", rec->orig_recipient);
	add_string(b, "queue_id", rec->queue_id);
	buf_json_key(b, "client");
	buf_json_begin(b, '{');
	add_string(b, "address", rec->client_address);
	add_string(b, "hostname", rec->client_hostname);
	add_string(b, "helo", rec->client_helo);
	buf_json_end(b, '}');
	buf_json_end(b, '}');
}

/* The addresses are stored as one object; here its members stand among the message's. */
static void add_addresses(struct buf *b, const char *json)
{
	size_t len = json != NULL ? strlen(json) : 0;

	if (len <= 2) {
		static const char *const fields[] = { "from", "sender", "to", "cc", "bcc",
			"reply_to" };
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			add_raw(b, fields[i], "[]");
		return;
	}
	buf_putc(b, ',');
	buf_add(b, json + 1, len - 2);
}

static void add_more_derived(struct buf *b, const struct storage_record *rec)
{
	buf_json_key(b, "text_is_derived");
	buf_json_bool(b, rec->text_is_derived);
	buf_json_key(b, "reply_text");
	if (rec->reply_text.base != NULL)
		buf_json_slice(b, rec->reply_text);
	else
		buf_json_raw(b, NULL);
	add_string(b, "security", rec->security);
	add_string(b, "auto_submitted", rec->auto_submitted);
	add_string(b, "list_id", rec->list_id);
	buf_json_key(b, "is_bounce");
	buf_json_bool(b, rec->is_bounce);
	add_raw(b, "report", rec->report_json);
	add_string(b, "mailbox_tag", rec->mailbox_tag);
	buf_json_key(b, "parser_version");
	buf_json_int(b, rec->parser_version);
}

static void add_record(struct buf *b, const struct storage_record *rec)
{
	char id[UUID_TEXT + 1], sha256_hex[SHA256_HEX + 1];

	uuid_format(&rec->id, id);
	hex_encode(rec->sha256, SHA256_BYTES, sha256_hex);
	buf_json_begin(b, '{');
	add_string(b, "id", id);
	add_string(b, "tenant", rec->tenant);
	buf_json_key(b, "received_at");
	buf_json_time(b, rec->received_us, 6);
	buf_json_key(b, "size");
	buf_json_int(b, (int64_t)rec->size);
	add_string(b, "sha256", sha256_hex);
	add_envelope(b, rec);
	add_string(b, "message_id", rec->message_id);
	add_string(b, "in_reply_to", rec->in_reply_to);
	add_raw(b, "references", rec->references_json != NULL ? rec->references_json : "[]");
	buf_json_key(b, "date");
	if (rec->has_date)
		buf_json_time(b, rec->date_us, 0);
	else
		buf_json_raw(b, NULL);
	add_string(b, "subject", rec->subject);
	add_addresses(b, rec->addresses_json);
	add_raw(b, "headers", rec->headers_json != NULL ? rec->headers_json : "[]");
	add_string(b, "text", rec->text);
	add_string(b, "html", rec->html);
	add_raw(b, "parts", rec->parts_json != NULL ? rec->parts_json : "[]");
	add_string(b, "parse_status", rec->parse_status);
	add_raw(b, "defects", rec->defects_json != NULL ? rec->defects_json : "[]");
	add_more_derived(b, rec);
	buf_json_end(b, '}');
}

static void on_get(
	struct storage_get *get, enum storage_result result, const struct storage_record *rec)
{
	struct get_op *op = H2O_STRUCT_FROM_MEMBER(struct get_op, storage, get);
	struct buf body;

	count_storage(worker_of(op->r), STORAGE_VERB_GET, result, op->began_us);
	if (result != STORAGE_OK) {
		respond_missing(op->r, result);
		return;
	}
	buf_init(&body, MAX_ANSWER_BYTES);
	add_record(&body, rec);
	if (body.truncated)
		respond_error(op->r, 500, "The message's text is too large for one answer", NULL);
	else
		respond_json(op->r, 200, &body);
	buf_deinit(&body);
}

void email_get(struct request *r)
{
	struct uuid id;

	if (!read_id(r, &id))
		return;
	struct get_op *op = h2o_mem_alloc_pool(&r->h2o->pool, sizeof(*op));
	*op = (struct get_op){
		.r = r,
		.began_us = now_us(),
		.storage = { .tenant = r->who->tenant, .id = id, .done = on_get },
	};
	storage_get(worker_of(r)->storage, &op->storage);
}

static void on_raw(struct storage_raw *raw, enum storage_result result, struct slice bytes)
{
	struct raw_op *op = H2O_STRUCT_FROM_MEMBER(struct raw_op, storage, raw);

	count_storage(worker_of(op->r), STORAGE_VERB_RAW, result, op->began_us);
	if (result != STORAGE_OK) {
		respond_missing(op->r, result);
		return;
	}
	/* Somebody else's words: no browser may run them in the name of this host. */
	respond_header(op->r, "x-content-type-options", "nosniff");
	respond_bytes(op->r, "message/rfc822", bytes);
}

void email_raw_get(struct request *r)
{
	struct uuid id;

	if (!read_id(r, &id))
		return;
	struct raw_op *op = h2o_mem_alloc_pool(&r->h2o->pool, sizeof(*op));
	*op = (struct raw_op){
		.r = r,
		.began_us = now_us(),
		.storage = { .tenant = r->who->tenant, .id = id, .done = on_raw },
	};
	storage_raw(worker_of(r)->storage, &op->storage);
}
