/* SPDX-License-Identifier: MIT */
/* request.h - what the links of the chain know of one request, and leave for those after them
 *
 * Lives in the h2o request's pool; one thread. */
#ifndef MIDDLEWARE_REQUEST_H
#define MIDDLEWARE_REQUEST_H

#include "lib/slice.h"

#include <h2o.h>
#include <stdatomic.h>

enum scope {
	SCOPE_NONE = 0,
	SCOPE_INGEST = 1,
	SCOPE_READ = 2,
	SCOPE_ADMIN = 4,
	SCOPE_ALL = 7,
	SCOPE_BY_BASIC = 8, /* a route's, beside its scope: the token may come by Basic as well */
};

/* Who a token belongs to. */
struct principal {
	const char *name;
	const char *tenant;
	unsigned scopes;
	uint32_t per_minute, burst; /* its rate limit */
};

/* Why a request was taken for nobody's. */
enum auth_failure {
	AUTH_FAILURE_NONE,
	AUTH_FAILURE_MISSING,
	AUTH_FAILURE_INVALID,
	AUTH_FAILURE_SCOPE,
	AUTH_FAILURE_LIMITED, /* too many wrong tokens from there */
};

enum rate_outcome { RATE_NOT_ASKED, RATE_ALLOWED, RATE_DENIED };

struct request;

/* One line of the route table. A pattern's `{id}` stands for one path segment. */
struct route {
	const char *method; /* GET answers HEAD too */
	const char *pattern;
	enum scope scope;
	void (*handle)(struct request *r); /* answers now or later, once */
};

enum { ROUTE_MAX_ARGS = 2 };

struct request {
	h2o_req_t *h2o;
	struct slice id;                   /* X-Request-ID */
	const struct route *route;         /* NULL: no such path */
	struct slice args[ROUTE_MAX_ARGS]; /* what the pattern's {…} matched */
	const char *client;                /* address of who asks (client.h), for logs and limits */
	const struct principal *who;       /* NULL before auth, and on routes that ask for none */
	enum auth_failure auth_failure;
	enum rate_outcome rate;
	bool answered; /* by us; what h2o answers by itself is rewritten */
	int64_t started_us;
	bool is_first; /* on its connection */
	struct {       /* for the log line; 0 or NULL where it does not apply */
		const char *error;
		struct slice trace_id, parent_id; /* of the caller's traceparent */
		const char *message_id;
		const char *parse_status;
		int64_t parse_us, store_us;
		bool duplicate;
	} log;
};

/* Made on first use. */
struct request *request_of(h2o_req_t *req);

/* The last value of a header, or a slice whose base is NULL. `name` in lower case. */
struct slice request_header(const h2o_req_t *req, const char *name);

#endif
