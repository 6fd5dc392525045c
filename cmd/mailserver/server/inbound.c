/* SPDX-License-Identifier: MIT */
/* inbound.c - the main job: take in one message
 *
 * loop           read the envelope headers, submit to the parse pool
 * pool thread    unpack JSON, drop the mbox line, hash; parse; complete the envelope, render
 * loop           put into the store
 * loop           answer: 200 means committed, and nothing else does
 *
 * The request is held, and with it the body's bytes, until the answer: h2o does not read from a
 * connection whose request is with a handler, so a client that hangs up meanwhile is noticed only
 * when the answer is written. The message is kept all the same. */
#include "cmd/mailserver/server/routes.h"
#include "cmd/mailserver/server/server_metrics.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/json_message.h"
#include "middleware/respond.h"

#include <assert.h>

enum { MAX_ANSWER_BYTES = 64 * 1024, RETRY_AFTER_S = 5 };

struct inbound {
	struct request *r;
	struct worker *worker;
	struct arena *arena;
	struct parse_job job;
	bool parsing, answered;
	size_t bytes; /* counted as in flight */
	h2o_timeout_entry_t timeout;
	bool is_json;
	bool is_relay; /* Rails' client: nothing but 204 tells it that the message is kept */
	const char *json_error; /* details; set when the body is no message */
	struct slice idempotency_key;
	struct envelope envelope;
	struct storage_message message;
	struct storage_put put;
	int64_t parse_began_us, store_began_us;
};

static bool contains(struct slice text, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= text.len; i++)
		if (strncasecmp(text.base + i, word, len) == 0)
			return true;
	return false;
}

/* GoMail's rule: the type decides; without a telling one, the first byte. */
static bool body_is_json(const h2o_req_t *req)
{
	struct slice type = request_header(req, "content-type");

	if (contains(type, "message/rfc822"))
		return false;
	return contains(type, "application/json") || req->entity.base[0] == '{';
}

static void read_envelope_headers(struct inbound *in)
{
	const h2o_req_t *req = in->r->h2o;
	struct envelope *env = &in->envelope;
	struct slice mail_from = { NULL, 0 };

	for (size_t i = 0; i < req->headers.size; i++) {
		const h2o_header_t *h = &req->headers.entries[i];
		struct slice name = { h->name->base, h->name->len };
		struct slice value = { h->value.base, h->value.len };

		if (slice_eq(name, SLICE_LIT("idempotency-key")))
			in->idempotency_key = slice_trim(value);
		if (name.len < 12 || memcmp(name.base, "x-original-", 11) != 0)
			continue;
		name = (struct slice){ name.base + 11, name.len - 11 };
		if (slice_eq(name, SLICE_LIT("sender")))
			env->sender = envelope_sender(in->arena, value);
		else if (slice_eq(name, SLICE_LIT("recipient")))
			envelope_add_recipients(in->arena, env, value);
		else if (slice_eq(name, SLICE_LIT("mail-from")))
			mail_from = value;
		else if (slice_eq(name, SLICE_LIT("queue-id")))
			env->queue_id = envelope_text(in->arena, value);
		else if (slice_eq(name, SLICE_LIT("orig-recipient")))
			env->orig_recipient = envelope_text(in->arena, value);
		else if (slice_eq(name, SLICE_LIT("client-address")))
			env->client_address = envelope_client_address(in->arena, value);
		else if (slice_eq(name, SLICE_LIT("client-hostname")))
			env->client_hostname = envelope_text(in->arena, value);
		else if (slice_eq(name, SLICE_LIT("helo")))
			env->client_helo = envelope_text(in->arena, value);
	}
	envelope_unswap(env);
	if (env->sender == NULL && mail_from.base != NULL)
		env->sender = envelope_sender(in->arena, mail_from);
}

/* A leading "From sender date" line is mbox's, not the message's; "From : a@b" is a header field
 * with obsolete white space (RFC 5322, 4.5). */
static struct slice without_mbox_line(struct slice raw)
{
	const char *end = memchr(raw.base, '\n', raw.len);
	size_t at = 5;

	if (end == NULL || raw.len < at || memcmp(raw.base, "From ", at) != 0)
		return raw;
	while (at < raw.len && (raw.base[at] == ' ' || raw.base[at] == '\t'))
		at++;
	if (raw.base[at] == ':')
		return raw;
	end++;
	return (struct slice){ end, raw.len - (size_t)(end - raw.base) };
}

/* On a pool thread. */
static bool inbound_prepare(struct parse_job *job)
{
	struct inbound *in = H2O_STRUCT_FROM_MEMBER(struct inbound, job, job);
	struct slice raw = { in->r->h2o->entity.base, in->r->h2o->entity.len };

	if (in->is_json && !json_message_read(in->arena, raw, &in->envelope, &raw, &in->json_error))
		return false;
	if (in->is_json)
		envelope_unswap(&in->envelope);
	raw = without_mbox_line(raw);
	in->message.raw = raw;
	sha256(raw.base, raw.len, in->message.sha256);
	job->raw = raw;
	return true;
}

/* On a pool thread. */
static void inbound_finish(struct parse_job *job)
{
	struct inbound *in = H2O_STRUCT_FROM_MEMBER(struct inbound, job, job);
	struct storage_message *m = &in->message;

	m->mime = job->mime;
	envelope_complete(in->arena, &in->envelope, job->mime);
	m->envelope = &in->envelope;
	storage_message_derive(m, in->arena);
	envelope_digest(&in->envelope, in->idempotency_key, m->sha256, m->key);
}

static void answer_begins(struct inbound *in)
{
	assert(!in->answered);
	in->answered = true;
	h2o_timeout_unlink(&in->timeout);
}

/* What a reader of the row finds, too: nothing derived from a message that is kept bare. */
static void write_parsed(const struct inbound *in, struct buf *body)
{
	const struct mime_strings *defects = &in->message.mime->defects;

	buf_json_key(body, "parse_status");
	buf_json_string(body, in->r->log.parse_status);
	buf_json_key(body, "defects");
	buf_json_begin(body, '[');
	for (size_t i = 0; i < defects->count; i++)
		buf_json_string(body, defects->list[i]);
	if (in->put.bare)
		buf_json_string(body, STORAGE_BARE_DEFECT);
	buf_json_end(body, ']');
}

static void respond_stored(struct inbound *in, const char *id, bool duplicate)
{
	const struct storage_message *m = &in->message;
	struct request *r = in->r;
	char sha256_hex[SHA256_HEX + 1];
	struct buf body;

	hex_encode(m->sha256, SHA256_BYTES, sha256_hex);
	buf_init(&body, MAX_ANSWER_BYTES);
	buf_json_begin(&body, '{');
	buf_json_key(&body, "status");
	buf_json_string(&body, "success");
	buf_json_key(&body, "message_id");
	buf_json_string(&body, id);
	buf_json_key(&body, "stored_at");
	buf_printf(&body, "\"/api/emails/%s\"", id);
	buf_json_key(&body, "timestamp");
	buf_json_time(&body, m->received_us, 0);
	buf_json_key(&body, "id");
	buf_json_string(&body, id);
	buf_json_key(&body, "rfc_message_id");
	buf_json_string(&body, in->put.bare ? NULL : m->mime->message_id);
	buf_json_key(&body, "sha256");
	buf_json_string(&body, sha256_hex);
	buf_json_key(&body, "size");
	buf_json_int(&body, (int64_t)m->raw.len);
	buf_json_key(&body, "duplicate");
	buf_json_bool(&body, duplicate);
	write_parsed(in, &body);
	buf_json_key(&body, "request_id");
	buf_json_slice(&body, r->id);
	buf_json_end(&body, '}');
	respond_json(r, 200, &body);
	buf_deinit(&body);
}

static void answer_stored(struct inbound *in, bool duplicate)
{
	struct request *r = in->r;
	char id[UUID_TEXT + 1];

	uuid_format(&in->put.id, id);
	r->log.message_id = h2o_strdup(&r->h2o->pool, id, UUID_TEXT).base;
	r->log.duplicate = duplicate;
	if (in->is_relay)
		respond_empty(r);
	else
		respond_stored(in, id, duplicate);
}

static void count_stored(struct worker *w, const struct storage_message *m)
{
	atomic_fetch_add_explicit(&w->emails, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->bytes, m->raw.len, memory_order_relaxed);
	atomic_store_explicit(&w->last_received_us, m->received_us, memory_order_relaxed);
	count_email_size(w, m->raw.len);
}

/* Once the store has said whether it keeps what was derived. */
static void note_parsed(struct inbound *in, enum mime_status status)
{
	in->r->log.parse_status = mime_status_name(status);
	count_parsed(in->worker, status);
}

static void on_put(struct storage_put *put, enum storage_result result)
{
	struct inbound *in = H2O_STRUCT_FROM_MEMBER(struct inbound, put, put);

	answer_begins(in);
	note_parsed(in, result == STORAGE_OK && put->bare ? MIME_FAILED : in->job.mime->status);
	in->r->log.store_us = now_us() - in->store_began_us;
	count_storage(in->worker, STORAGE_VERB_PUT, result, in->store_began_us);
	count_stage(in->worker, STAGE_STORE, in->r->log.store_us);
	count_stage(in->worker, STAGE_TOTAL, now_us() - in->r->started_us);
	switch (result) {
	case STORAGE_OK:
		in->worker->full_at_us = 0;
		count_stored(in->worker, &in->message);
		answer_stored(in, false);
		break;
	case STORAGE_DUPLICATE:
		answer_stored(in, true);
		break;
	case STORAGE_FULL:
		in->worker->full_at_us = now_us();
		respond_error(in->r, 507, "The database or its disk is full", NULL);
		break;
	case STORAGE_UNCERTAIN:
		respond_unavailable(in->r,
			"The database went away while the message was being stored; send it again",
			RETRY_AFTER_S);
		break;
	case STORAGE_UNAVAILABLE:
	case STORAGE_NOT_FOUND:
		respond_unavailable(in->r, "The database is not available", RETRY_AFTER_S);
		break;
	}
}

static void on_parsed(struct parse_job *job)
{
	struct inbound *in = H2O_STRUCT_FROM_MEMBER(struct inbound, job, job);

	in->parsing = false;
	in->r->log.parse_us = now_us() - in->parse_began_us;
	if (in->json_error != NULL) {
		answer_begins(in);
		respond_error(in->r, 400, "Invalid JSON", in->json_error);
		return;
	}
	count_stage(in->worker, STAGE_PARSE, in->r->log.parse_us);
	in->message.received_us = now_us();
	in->message.id = uuid7(in->message.received_us);
	in->message.tenant = in->r->who->tenant;
	in->put.message = &in->message;
	in->put.done = on_put;
	in->store_began_us = in->message.received_us;
	storage_put(in->worker->storage, &in->put);
}

/* handler_timeout: only what still waits for a thread is given up. What is with the parser or the
 * store is answered by their own deadlines, and its bytes are in use until then. */
static void on_timeout(h2o_timeout_entry_t *entry)
{
	struct inbound *in = H2O_STRUCT_FROM_MEMBER(struct inbound, timeout, entry);

	if (!in->parsing || !parse_pool_cancel(in->worker->server->pool, &in->job))
		return;
	answer_begins(in);
	respond_unavailable(in->r, "The server is overloaded", RETRY_AFTER_S);
}

static void inbound_dispose(void *p)
{
	struct inbound *in = p;

	assert(in->answered);
	in_flight_end(&in->worker->server->in_flight, in->bytes);
	mime_message_free(&in->job.mime);
	arena_free(&in->arena);
}

static void take_in(struct request *r, bool is_relay)
{
	h2o_req_t *req = r->h2o;
	struct worker *w = worker_of(r);
	const struct config *config = w->server->config;

	if (req->entity.len == 0) {
		respond_error(
			r, 400, "The body is empty: send the message as it is, or as JSON", NULL);
		return;
	}
	/* h2o was told one byte more: it counts differently for chunked bodies. */
	if (req->entity.len > config->limits.max_message_bytes) {
		respond_error(r, 413, "The message is larger than limits.max_message_bytes", NULL);
		return;
	}
	if (!in_flight_begin(&w->server->in_flight, req->entity.len)) {
		respond_unavailable(r, "The server is overloaded", RETRY_AFTER_S);
		return;
	}
	struct inbound *in = h2o_mem_alloc_shared(&req->pool, sizeof(*in), inbound_dispose);
	*in = (struct inbound){
		.r = r,
		.worker = w,
		.bytes = req->entity.len,
		.arena = arena_new(),
		.is_json = !is_relay && body_is_json(req),
		.is_relay = is_relay,
		.timeout.cb = on_timeout,
		.parsing = true,
		.parse_began_us = now_us(),
		.job = {
			.reply_to = &w->parsed,
			.prepare = inbound_prepare,
			.finish = inbound_finish,
			.done = on_parsed,
		},
	};
	read_envelope_headers(in);
	h2o_timeout_link(req->conn->ctx->loop, &w->handler_timeout, &in->timeout);
	parse_pool_submit(w->server->pool, &in->job);
}

void inbound_post(struct request *r)
{
	take_in(r, false);
}

/* "message/rfc822", with or without parameters. */
static bool is_message_type(struct slice type)
{
	const char *semicolon = type.len > 0 ? memchr(type.base, ';', type.len) : NULL;

	if (semicolon != NULL)
		type.len = (size_t)(semicolon - type.base);
	return slice_ieq(slice_trim(type), SLICE_LIT("message/rfc822"));
}

void inbound_relay_post(struct request *r)
{
	if (is_message_type(request_header(r->h2o, "content-type")))
		take_in(r, true);
	else
		respond_error(r, 415, "Send the message as message/rfc822", NULL);
}
