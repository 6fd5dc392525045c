/* SPDX-License-Identifier: MIT */
/* respond.h - every answer of the main port: JSON, and one shape of error
 *
 * An error's type, enhanced status code (RFC 3463) and whether the mail may be tried again follow
 * from the HTTP status alone; the table is in respond.c. */
#ifndef MIDDLEWARE_RESPOND_H
#define MIDDLEWARE_RESPOND_H

#include "lib/buf.h"
#include "middleware/request.h"

/* The body is copied. */
void respond_json(struct request *r, int status, const struct buf *body);

/* 204, without a body. */
void respond_empty(struct request *r);

/* Borrows nothing: bytes are copied. `content_type` must live as long as the program. */
void respond_bytes(struct request *r, const char *content_type, struct slice bytes);

/* Only the status and the length (SIZE_MAX: none is said) of an answer whose body the caller sends
 * through h2o. */
void respond_head(struct request *r, int status, const char *reason, size_t content_length);

/* `message` is one sentence for people; `details` JSON text or NULL. 503 and 429 carry Retry-After:
 * `retry_after_s`, at least 1. For 401, 405 and the rest see the functions below. */
void respond_error(struct request *r, int status, const char *message, const char *details);
/* 400 for a request that is broken as HTTP, not as mail: some proxy's or client's mistake, so unlike
 * other 400s it says that the mail may be tried again. */
void respond_malformed(struct request *r, const char *message);
/* 429: `per_minute` is the limit that was met; `retry_ns` is rounded up to seconds. */
void respond_limited(struct request *r, uint32_t per_minute, uint64_t retry_ns);
void respond_unavailable(struct request *r, const char *message, unsigned retry_after_s);

/* Writes the JSON of an error and gives back its X-Mail-Status, for an answer that h2o sends by
 * itself: a 400 is then a malformed request. */
const char *respond_error_body_of_h2o(
	struct buf *body, const struct request *r, int status, const char *message);

/* Adds a header to the answer that is to come; `value` is copied. `name` in lower case. */
void respond_header(struct request *r, const char *name, const char *value);

#endif
