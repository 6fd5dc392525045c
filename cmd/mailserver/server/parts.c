/* SPDX-License-Identifier: MIT */
/* parts.c - GET /api/emails/{id}/parts/{n}: one part's content, decoded from the stored bytes
 *
 * A piece of the message is read, decoded and sent; only when the client has taken it the next one is
 * asked for. So a request holds one piece, whatever the part's size, and nothing of the database
 * between two of them.
 *
 * The answer begins with the first piece: until then a database that is away is a 503. Afterwards the
 * connection is closed before the announced length, and the client knows that it has not got it all.
 *
 * What comes out is somebody else's: no browser may run it in the name of this host. It is sent as an
 * attachment always, with a policy that takes scripts, forms and this origin from it. */
#include "cmd/mailserver/server/connection.h"
#include "cmd/mailserver/server/routes.h"
#include "cmd/mailserver/server/server_metrics.h"
#include "lib/log.h"
#include "lib/mime/decode.h"
#include "middleware/content.h"
#include "middleware/range.h"
#include "middleware/respond.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	PIECE_BYTES = 256 * 1024, /* of the raw message, read at once */
	MAX_VALUE_BYTES = 8192,   /* of a header that is made of the part's names */
	RETRY_AFTER_S = 5,
};

struct transfer {
	h2o_generator_t generator;
	struct request *r;
	struct worker *worker;
	struct storage_part part;
	struct storage_range range;
	int64_t began_us;  /* of the operation that is under way */
	bool is_under_way; /* with the store */
	bool has_begun;    /* the answer has */
	uint64_t size;     /* of the part */
	uint64_t first;    /* this and `length`: of it, what is sent */
	uint64_t length;
	bool is_partial; /* 206 */
	uint64_t raw_at, raw_left;
	uint64_t skip, left; /* decoded bytes before the range, and of it */
	struct mime_content content;
	uint8_t sha256[SHA256_BYTES];
	struct sha256 *digest; /* of what was sent; NULL when it is not the whole */
	char etag[1 + SHA256_HEX + 1 + 1];
	const char *content_type, *disposition;
	char *piece;                  /* decoded, on its way to the client */
	h2o_timeout_entry_t patience; /* with a client that does not take it */
};

static void transfer_dispose(void *p)
{
	struct transfer *t = p;
	uint8_t ignored[SHA256_BYTES];

	assert(!t->is_under_way);
	h2o_timeout_unlink(&t->patience);
	if (t->digest != NULL)
		sha256_end(&t->digest, ignored);
	free(t->piece);
}

static void respond_missing(struct request *r, enum storage_result result)
{
	if (result == STORAGE_NOT_FOUND)
		respond_error(r, 404, "There is no such part", NULL);
	else
		respond_unavailable(r, "The database is not available", RETRY_AFTER_S);
}

/* --- the answer's head --- */

static void add_validators(const struct transfer *t)
{
	respond_header(t->r, "etag", t->etag);
	/* A later version may derive another part, and retention deletes: each use asks, by the tag. */
	respond_header(t->r, "cache-control", "private, no-cache");
}

static void add_head(const struct transfer *t)
{
	char range[80];

	add_validators(t);
	respond_header(t->r, "content-type", t->content_type);
	respond_header(t->r, "content-disposition", t->disposition);
	respond_header(t->r, "x-content-type-options", "nosniff");
	respond_header(t->r, "content-security-policy", "sandbox; default-src 'none'");
	respond_header(t->r, "accept-ranges", "bytes");
	if (t->is_partial) {
		snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, t->first,
			t->first + t->length - 1, t->size);
		respond_header(t->r, "content-range", range);
		respond_head(t->r, 206, "Partial Content", t->length);
	} else {
		respond_head(t->r, 200, "OK", t->length);
	}
}

/* --- its body --- */

static void send_piece(struct transfer *t, char *bytes, size_t len, bool is_last)
{
	h2o_iovec_t out = h2o_iovec_init(bytes, len);

	if (!t->has_begun) {
		t->has_begun = true;
		add_head(t);
		h2o_start_response(t->r->h2o, &t->generator);
	}
	h2o_timeout_link(t->r->h2o->conn->ctx->loop, &t->worker->write_timeout, &t->patience);
	h2o_send(t->r->h2o, &out, 1, is_last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

/* May end the request, and the transfer with it. */
static void break_off(struct transfer *t, const char *error)
{
	t->r->log.error = error;
	h2o_send(t->r->h2o, NULL, 0, H2O_SEND_STATE_ERROR);
}

static void fail(struct transfer *t, enum storage_result result)
{
	if (!t->has_begun)
		respond_missing(t->r, result);
	else if (result == STORAGE_NOT_FOUND)
		break_off(t, "The message was deleted while its part was sent");
	else
		break_off(t, "The database went away while the part was sent");
}

/* The row says something else of the part than its bytes do. */
static void fail_to_agree(struct transfer *t)
{
	static const char error[] =
		"The part's bytes are not what was derived from them: derive it anew";
	char id[UUID_TEXT + 1];
	struct log_line line;

	uuid_format(&t->range.id, id);
	if (log_begin(&line, LOG_ERROR, "a part does not decode to what its row says")) {
		log_str(&line, "id", id);
		log_int(&line, "n", t->part.n);
		log_end(&line);
	}
	if (t->has_begun)
		break_off(t, error);
	else
		respond_error(t->r, 500, error, NULL);
}

static bool is_as_derived(struct transfer *t)
{
	uint8_t is[SHA256_BYTES];

	if (t->digest == NULL)
		return true;
	sha256_end(&t->digest, is);
	return digest_equal(is, t->sha256);
}

static void on_range(struct storage_range *op, enum storage_result result, struct slice bytes);

static void ask_for_next(struct transfer *t)
{
	t->range.offset = t->raw_at;
	t->range.length = t->raw_left < PIECE_BYTES ? (uint32_t)t->raw_left : PIECE_BYTES;
	/* More than it can decode to is wanted, or some of it may be left over. */
	t->range.more = t->raw_left > PIECE_BYTES && t->skip + t->left > PIECE_BYTES / 2;
	t->began_us = now_us();
	t->is_under_way = true;
	storage_range(t->worker->storage, &t->range);
}

/* The next piece of the message becomes the next piece of the part; how much of it there is. */
static size_t decode(struct transfer *t, struct slice raw, bool *ended_r)
{
	size_t n = mime_content_step(&t->content, raw.base, raw.len, t->piece);

	t->raw_at += raw.len;
	t->raw_left -= raw.len;
	/* A message that ends before its part does is a row that is wrong: found out below. */
	*ended_r = t->raw_left == 0 || raw.len < t->range.length || mime_content_done(&t->content);
	if (*ended_r)
		n += mime_content_end(&t->content, t->piece + n);
	return n;
}

static void on_range(struct storage_range *op, enum storage_result result, struct slice raw)
{
	struct transfer *t = H2O_STRUCT_FROM_MEMBER(struct transfer, range, op);
	bool ended;

	count_storage(t->worker, STORAGE_VERB_RANGE, result, t->began_us);
	t->is_under_way = false;
	if (result != STORAGE_OK) {
		fail(t, result);
		return;
	}
	size_t n = decode(t, raw, &ended);
	size_t skipped = t->skip < n ? (size_t)t->skip : n;
	char *out = t->piece + skipped;
	t->skip -= skipped;
	n -= skipped;
	if (n > t->left)
		n = (size_t)t->left;
	t->left -= n;
	if (t->digest != NULL)
		sha256_add(t->digest, out, n);
	if (ended && t->left > 0)
		fail_to_agree(t);
	else if (n == 0)
		ask_for_next(t);
	else if (t->left == 0 && !is_as_derived(t))
		fail_to_agree(t);
	else
		send_piece(t, out, n, t->left == 0);
}

/* The client has taken a piece. */
static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
	struct transfer *t = H2O_STRUCT_FROM_MEMBER(struct transfer, generator, generator);

	h2o_timeout_unlink(&t->patience);
	ask_for_next(t);
}

static void on_impatience(h2o_timeout_entry_t *entry)
{
	struct transfer *t = H2O_STRUCT_FROM_MEMBER(struct transfer, patience, entry);

	t->r->log.error = "The client did not take the part in time";
	connection_give_up(t->r->h2o);
}

/* Content that is not encoded is where it is counted to be: what is before need not be read. */
static void jump(struct transfer *t)
{
	const struct mime_content *c = &t->content;

	if (c->within || c->outer.encoding != MIME_ENCODING_IDENTITY || t->skip > t->raw_left)
		return;
	t->raw_at += t->skip;
	t->raw_left -= t->skip;
	t->skip = 0;
}

static void begin_body(struct transfer *t)
{
	size_t room = t->raw_left < PIECE_BYTES ? (size_t)t->raw_left : PIECE_BYTES;

	t->skip = t->first;
	t->left = t->length;
	jump(t);
	t->piece = h2o_mem_alloc(room + 4 * MIME_DECODE_SLACK);
	if (!t->is_partial)
		t->digest = sha256_begin();
	ask_for_next(t);
}

/* --- what is asked for --- */

static const char *value_in_pool(struct transfer *t, struct buf *value)
{
	h2o_iovec_t copy = h2o_strdup(&t->r->h2o->pool, value->base, value->len);

	buf_clear(value);
	return copy.base;
}

static void note_part(struct transfer *t, const struct storage_part_record *part)
{
	struct buf value;

	buf_init(&value, MAX_VALUE_BYTES);
	content_type_value(&value, part->content_type, part->charset);
	t->content_type = value_in_pool(t, &value);
	content_disposition_value(&value, part->filename);
	/* A name of which an end is missing is none, and a quote may be. */
	t->disposition = value.truncated ? "attachment" : value_in_pool(t, &value);
	buf_deinit(&value);
	t->etag[0] = '"';
	hex_encode(part->sha256, SHA256_BYTES, t->etag + 1);
	t->etag[1 + SHA256_HEX] = '"';
	t->etag[1 + SHA256_HEX + 1] = '\0';
	memcpy(t->sha256, part->sha256, SHA256_BYTES);
	t->size = t->length = part->size;
	t->raw_at = part->raw_offset;
	t->raw_left = part->raw_length;
	mime_content_begin(&t->content, part->encoding, part->inside);
}

static void respond_not_modified(struct transfer *t)
{
	add_validators(t);
	respond_head(t->r, 304, "Not Modified", SIZE_MAX);
	h2o_send_inline(t->r->h2o, "", 0);
}

static void respond_not_satisfiable(struct transfer *t)
{
	char range[40];

	snprintf(range, sizeof(range), "bytes */%" PRIu64, t->size);
	respond_header(t->r, "content-range", range);
	respond_error(t->r, 416, "The part has no such bytes", NULL);
}

/* A Range field is defined for GET alone (RFC 9110, 14.2). */
static enum range range_of(struct transfer *t, bool is_head)
{
	const h2o_req_t *req = t->r->h2o;

	if (is_head || !range_is_allowed(request_header(req, "if-range"), slice_str(t->etag)))
		return RANGE_WHOLE;
	return range_parse(request_header(req, "range"), t->size, &t->first, &t->length);
}

static void on_part(
	struct storage_part *op, enum storage_result result, const struct storage_part_record *part)
{
	struct transfer *t = H2O_STRUCT_FROM_MEMBER(struct transfer, part, op);
	const h2o_req_t *req = t->r->h2o;
	struct slice method = { req->method.base, req->method.len };
	bool is_head = slice_eq(method, SLICE_LIT("HEAD"));

	count_storage(t->worker, STORAGE_VERB_PART, result, t->began_us);
	t->is_under_way = false;
	if (result != STORAGE_OK) {
		respond_missing(t->r, result);
		return;
	}
	note_part(t, part);
	if (etag_in_list(request_header(req, "if-none-match"), slice_str(t->etag))) {
		respond_not_modified(t);
		return;
	}
	switch (range_of(t, is_head)) {
	case RANGE_NOT_SATISFIABLE:
		respond_not_satisfiable(t);
		return;
	case RANGE_ONE:
		t->is_partial = true;
		break;
	case RANGE_WHOLE:
		break;
	}
	if (is_head || t->length == 0) {
		add_head(t);
		h2o_send_inline(t->r->h2o, "", 0);
	} else {
		begin_body(t);
	}
}

/* As it stands in "parts" of the message: no sign, no zeros in front. */
static bool read_n(struct slice text, unsigned *n_r)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > strlen("2147483647") || text.base[0] == '0')
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.base[i] - '0');
	}
	*n_r = (unsigned)n;
	return n <= INT32_MAX;
}

void email_part_get(struct request *r)
{
	struct uuid id;
	unsigned n;

	if (!uuid_parse(r->args[0].base, r->args[0].len, &id) || !read_n(r->args[1], &n)) {
		respond_missing(r, STORAGE_NOT_FOUND);
		return;
	}
	struct transfer *t = h2o_mem_alloc_shared(&r->h2o->pool, sizeof(*t), transfer_dispose);
	const char *tenant = r->who->tenant;

	*t = (struct transfer){
		.generator = { .proceed = on_proceed },
		.r = r,
		.worker = worker_of(r),
		.part = { .tenant = tenant, .id = id, .n = n, .done = on_part },
		.range = { .tenant = tenant, .id = id, .done = on_range },
		.began_us = now_us(),
		.is_under_way = true,
		.patience.cb = on_impatience,
	};
	storage_part(t->worker->storage, &t->part);
}
