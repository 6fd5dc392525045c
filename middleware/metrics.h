/* SPDX-License-Identifier: MIT */
/* metrics.h - what is counted of every request, when its answer is out or its connection gone
 *
 * A request counts once, whether a handler, a link of the chain or h2o itself answered it. Labels
 * come from fixed sets: what is none of them is "none" (a path) or "other" (a method, a status).
 * What does not parse as HTTP is no request, nor is one whose client left before it was complete.
 *
 * Threads    Made at the start; counted on the shard of the request's own thread. */
#ifndef MIDDLEWARE_METRICS_H
#define MIDDLEWARE_METRICS_H

#include "lib/metrics/metrics.h"
#include "middleware/request.h"

enum { METRICS_NO_ENDPOINT = 0 }; /* the first endpoint, "none" */

struct http_metrics {
	const struct route *routes;
	unsigned *endpoints; /* of each route: two methods of one pattern share theirs */
	const char **endpoint_names;
	const struct metric *requests, *duration;          /* {method, endpoint, status} */
	const struct metric *request_size, *response_size; /* {endpoint} */
	const struct metric *emails;                       /* {status}: enum mail_outcome */
	const struct metric *auth_failures;                /* {reason}: enum auth_failure, less 1 */
	const struct metric *rate_limit_hits;              /* {action}: allowed, denied */
	const struct metric *rate_limit_backend_errors;    /* {backend}: redis */
};

/* `routes` ends with a route whose pattern is NULL, and is borrowed. */
void http_metrics_init(
	struct http_metrics *http, struct metrics *metrics, const struct route *routes);
void http_metrics_deinit(struct http_metrics *http);

/* What a request meant for the mail it carried. */
enum mail_outcome {
	MAIL_SUCCESS,
	MAIL_DUPLICATE,
	MAIL_REJECTED, /* refused for good: the answer is 400, 413 or 415 */
	MAIL_ERROR,    /* 5xx: it comes again */
	MAIL_NONE,     /* nothing was said about a mail */
};

/* `route` may be NULL. */
enum mail_outcome mail_outcome(const struct route *route, int status, bool duplicate);

/* The indexes of the labels' values. */
unsigned metrics_method(struct slice method);
unsigned metrics_status(int status);
/* `route` is the request's, or NULL: then one is looked for that has the path, and best the method,
 * and left in `*route_r`, which stays NULL when there is none. */
unsigned metrics_endpoint(const struct http_metrics *http, struct slice method, struct slice path,
	const struct route **route_r);

#endif
