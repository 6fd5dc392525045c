/* SPDX-License-Identifier: MIT */
#include "middleware/respond.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_ERROR_BYTES = 16 * 1024, NS_PER_S = 1000000000 };

static const struct error_kind {
	int status;
	const char *reason, *type;
	bool retryable; /* the mail, not the request: an operator's mistake must not bounce it */
	const char *enhanced;
} error_kinds[] = {
	{ 400, "Bad Request", "VALIDATION_ERROR", false, "5.6.0" },
	{ 401, "Unauthorized", "AUTH_ERROR", true, "4.7.0" },
	{ 403, "Forbidden", "AUTH_ERROR", true, "4.7.0" },
	{ 404, "Not Found", "NOT_FOUND", true, "4.3.5" },
	{ 405, "Method Not Allowed", "BAD_REQUEST", true, "4.3.5" },
	{ 413, "Request Entity Too Large", "BAD_REQUEST", false, "5.3.4" },
	{ 415, "Unsupported Media Type", "BAD_REQUEST", true, "4.3.5" },
	{ 416, "Range Not Satisfiable", "BAD_REQUEST", true, "4.3.5" },
	{ 417, "Expectation Failed", "BAD_REQUEST", true, "4.3.5" },
	{ 429, "Too Many Requests", "RATE_LIMIT_ERROR", true, "4.7.1" },
	{ 500, "Internal Server Error", "INTERNAL_ERROR", true, "4.3.0" },
	{ 503, "Service Unavailable", "SERVICE_UNAVAILABLE", true, "4.3.2" },
	{ 507, "Insufficient Storage", "STORAGE_ERROR", true, "4.3.1" },
};

static const struct error_kind malformed = { 400, "Bad Request", "BAD_REQUEST", true, "4.3.5" };

/* Every status that is used is in the table; a new one must be entered there. */
static const struct error_kind *kind_of(int status)
{
	const struct error_kind *fallback = NULL;

	for (size_t i = 0; i < sizeof(error_kinds) / sizeof(error_kinds[0]); i++) {
		if (error_kinds[i].status == status)
			return &error_kinds[i];
		if (error_kinds[i].status == 500)
			fallback = &error_kinds[i];
	}
	return fallback;
}

void respond_header(struct request *r, const char *name, const char *value)
{
	h2o_req_t *req = r->h2o;
	h2o_iovec_t copy = h2o_strdup(&req->pool, value, SIZE_MAX);

	h2o_set_header_by_str(
		&req->pool, &req->res.headers, name, strlen(name), 1, copy.base, copy.len, 1);
}

void respond_head(struct request *r, int status, const char *reason, size_t content_length)
{
	r->answered = true;
	r->h2o->res.status = status;
	r->h2o->res.reason = reason;
	r->h2o->res.content_length = content_length;
}

static void send_body(struct request *r, int status, const char *reason, const char *content_type,
	struct slice body)
{
	h2o_req_t *req = r->h2o;

	respond_head(r, status, reason, body.len);
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
		strlen(content_type));
	h2o_send_inline(req, body.base, body.len);
}

void respond_json(struct request *r, int status, const struct buf *body)
{
	send_body(r, status, "OK", "application/json", (struct slice){ body->base, body->len });
}

void respond_bytes(struct request *r, const char *content_type, struct slice bytes)
{
	send_body(r, 200, "OK", content_type, bytes);
}

void respond_empty(struct request *r)
{
	/* Without a Content-Length (RFC 9110, 8.6), which 204 needs none of to keep the connection. */
	respond_head(r, 204, "No Content", SIZE_MAX);
	h2o_send_inline(r->h2o, "", 0);
}

static void add_error(struct buf *body, const struct request *r, const struct error_kind *kind,
	const char *message, const char *details)
{
	buf_json_begin(body, '{');
	buf_json_key(body, "error");
	buf_json_bool(body, true);
	buf_json_key(body, "type");
	buf_json_string(body, kind->type);
	buf_json_key(body, "message");
	buf_json_string(body, message);
	if (details != NULL) {
		buf_json_key(body, "details");
		buf_json_raw(body, details);
	}
	buf_json_key(body, "request_id");
	buf_json_slice(body, r->id);
	buf_json_key(body, "retryable");
	buf_json_bool(body, kind->retryable);
	buf_json_key(body, "enhanced_status");
	buf_json_string(body, kind->enhanced);
	buf_json_end(body, '}');
}

const char *respond_error_body_of_h2o(
	struct buf *body, const struct request *r, int status, const char *message)
{
	const struct error_kind *kind = status == 400 ? &malformed : kind_of(status);

	add_error(body, r, kind, message, NULL);
	return kind->enhanced;
}

static void respond_kind(
	struct request *r, const struct error_kind *kind, const char *message, const char *details)
{
	struct buf body;

	buf_init(&body, MAX_ERROR_BYTES);
	add_error(&body, r, kind, message, details);
	r->log.error = h2o_strdup(&r->h2o->pool, message, SIZE_MAX).base;
	respond_header(r, "x-mail-status", kind->enhanced);
	send_body(r, kind->status, kind->reason, "application/json",
		(struct slice){ body.base, body.len });
	buf_deinit(&body);
}

void respond_error(struct request *r, int status, const char *message, const char *details)
{
	respond_kind(r, kind_of(status), message, details);
}

void respond_malformed(struct request *r, const char *message)
{
	respond_kind(r, &malformed, message, NULL);
}

void respond_unavailable(struct request *r, const char *message, unsigned retry_after_s)
{
	char seconds[16], details[48];

	if (retry_after_s == 0)
		retry_after_s = 1;
	snprintf(seconds, sizeof(seconds), "%u", retry_after_s);
	snprintf(details, sizeof(details), "{\"retry_after\":%u}", retry_after_s);
	respond_header(r, "retry-after", seconds);
	respond_error(r, 503, message, details);
}

void respond_limited(struct request *r, uint32_t per_minute, uint64_t retry_ns)
{
	uint64_t retry_after_s = (retry_ns + NS_PER_S - 1) / NS_PER_S;
	char seconds[24], details[80];

	if (retry_after_s == 0)
		retry_after_s = 1;
	snprintf(seconds, sizeof(seconds), "%" PRIu64, retry_after_s);
	snprintf(details, sizeof(details), "{\"limit\":%" PRIu32 ",\"retry_after\":%" PRIu64 "}",
		per_minute, retry_after_s);
	respond_header(r, "retry-after", seconds);
	respond_error(r, 429, "Rate limit exceeded", details);
}
