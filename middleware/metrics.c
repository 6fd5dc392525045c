/* SPDX-License-Identifier: MIT */
#include "middleware/metrics.h"
#include "lib/ids.h"
#include "middleware/chain.h"
#include "middleware/router.h"

#include <stdlib.h>

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "other" };

/* Every status that the server answers with, and how it is shown. */
static const int status_codes[] = { 200, 204, 206, 304, 400, 401, 403, 404, 405, 413, 415, 416, 417,
	429, 500, 503, 507 };
static const char *const status_texts[] = { "200", "204", "206", "304", "400", "401", "403", "404",
	"405", "413", "415", "416", "417", "429", "500", "503", "507", "other" };
_Static_assert(COUNT_OF(status_texts) == COUNT_OF(status_codes) + 1, "a status without its text");

static const char *const outcomes[] = { "success", "duplicate", "rejected", "error" };
static const char *const auth_reasons[] = { "missing", "invalid", "scope", "limited" };
static const char *const rate_actions[] = { "allowed", "denied" }; /* as in enum rate_outcome */
static const char *const rate_backends[] = { "redis" };

/* The client libraries' default buckets, in microseconds. */
static const uint64_t durations[] = { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
	2500000, 5000000, 10000000 };
static const uint64_t sizes[] = { 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

#define LABEL(name, values)                                                                        \
	{                                                                                          \
		name, values, COUNT_OF(values)                                                     \
	}

/* Of each route its pattern's place among the patterns, which come in the routes' order. */
static unsigned name_endpoints(struct http_metrics *http)
{
	const struct route *routes = http->routes;
	unsigned count = 0, names = METRICS_NO_ENDPOINT;

	while (routes[count].pattern != NULL)
		count++;
	http->endpoints = h2o_mem_alloc((count + 1) * sizeof(http->endpoints[0]));
	http->endpoint_names = h2o_mem_alloc((count + 1) * sizeof(http->endpoint_names[0]));
	http->endpoint_names[names++] = "none";
	for (unsigned i = 0; i < count; i++) {
		unsigned name = METRICS_NO_ENDPOINT + 1;
		while (name < names && strcmp(http->endpoint_names[name], routes[i].pattern) != 0)
			name++;
		if (name == names)
			http->endpoint_names[names++] = routes[i].pattern;
		http->endpoints[i] = name;
	}
	return names;
}

static void declare_http(struct http_metrics *http, struct metrics *metrics, unsigned endpoints)
{
	const struct metric_label method = LABEL("method", methods);
	const struct metric_label endpoint = { "endpoint", http->endpoint_names, endpoints };
	const struct metric_label status = LABEL("status", status_texts);

	http->requests = metrics_declare(
		metrics, &(struct metric_info){
				 .name = "http_requests_total",
				 .help = "HTTP requests, by what was answered.",
				 .type = METRIC_COUNTER,
				 .sparse = true,
				 .labels = { method, endpoint, status },
			 });
	http->duration = metrics_declare(
		metrics, &(struct metric_info){
				 .name = "http_request_duration_seconds",
				 .help = "From a request's first byte to its answer's last one.",
				 .type = METRIC_HISTOGRAM,
				 .unit = METRIC_SECONDS,
				 .sparse = true,
				 .labels = { method, endpoint, status },
				 .bounds = durations,
				 .bound_count = COUNT_OF(durations),
			 });
	struct metric_info size = {
		.name = "http_request_size_bytes",
		.help = "Sizes of the requests' bodies.",
		.type = METRIC_HISTOGRAM,
		.sparse = true,
		.labels = { endpoint },
		.bounds = sizes,
		.bound_count = COUNT_OF(sizes),
	};
	http->request_size = metrics_declare(metrics, &size);
	size.name = "http_response_size_bytes";
	size.help = "Sizes of the answers' bodies, as far as they were sent.";
	http->response_size = metrics_declare(metrics, &size);
}

static const struct metric *declare_counter(
	struct metrics *metrics, const char *name, const char *help, struct metric_label label)
{
	return metrics_declare(metrics,
		&(struct metric_info){
			.name = name, .help = help, .type = METRIC_COUNTER, .labels = { label } });
}

void http_metrics_init(
	struct http_metrics *http, struct metrics *metrics, const struct route *routes)
{
	*http = (struct http_metrics){ .routes = routes };
	declare_http(http, metrics, name_endpoints(http));
	http->emails = declare_counter(metrics, "emails_processed_total",
		"Messages that were sent in, by what became of them.",
		(struct metric_label)LABEL("status", outcomes));
	http->auth_failures = declare_counter(metrics, "auth_failures_total",
		"Requests that showed no token, or not the right one.",
		(struct metric_label)LABEL("reason", auth_reasons));
	http->rate_limit_hits = declare_counter(metrics, "rate_limit_hits_total",
		"Decisions of the rate limiter.",
		(struct metric_label)LABEL("action", rate_actions));
	http->rate_limit_backend_errors = declare_counter(metrics,
		"rate_limit_backend_errors_total",
		"Decisions that were made without the common limiter, because it did not answer.",
		(struct metric_label)LABEL("backend", rate_backends));
}

void http_metrics_deinit(struct http_metrics *http)
{
	free(http->endpoints);
	free(http->endpoint_names);
	*http = (struct http_metrics){ .routes = NULL };
}

enum mail_outcome mail_outcome(const struct route *route, int status, bool duplicate)
{
	if (route == NULL || (route->scope & SCOPE_INGEST) == 0)
		return MAIL_NONE;
	if (status == 200 || status == 204)
		return duplicate ? MAIL_DUPLICATE : MAIL_SUCCESS;
	if (status == 400 || status == 413 || status == 415)
		return MAIL_REJECTED;
	return status >= 500 ? MAIL_ERROR : MAIL_NONE;
}

unsigned metrics_method(struct slice method)
{
	unsigned i = 0;

	while (i < COUNT_OF(methods) - 1 && !slice_eq(method, slice_str(methods[i])))
		i++;
	return i;
}

unsigned metrics_status(int status)
{
	unsigned i = 0;

	while (i < COUNT_OF(status_codes) && status_codes[i] != status)
		i++;
	return i;
}

unsigned metrics_endpoint(const struct http_metrics *http, struct slice method, struct slice path,
	const struct route **route_r)
{
	unsigned endpoint = METRICS_NO_ENDPOINT;

	if (*route_r != NULL)
		return http->endpoints[*route_r - http->routes];
	for (const struct route *route = http->routes; route->pattern != NULL; route++) {
		struct slice ignored[ROUTE_MAX_ARGS];
		if (!route_matches(route->pattern, path, ignored))
			continue;
		endpoint = http->endpoints[route - http->routes];
		if (route_has_method(route, method)) {
			*route_r = route;
			break;
		}
	}
	return endpoint;
}

struct mw_metrics {
	h2o_logger_t super;
	const struct http_metrics *http;
	chain_shard_fn *shard_of;
};

/* h2o's clock is the wall's, and may be set back. */
static uint64_t duration_us(const h2o_req_t *req)
{
	const struct timeval *begin = &req->timestamps.request_begin_at;
	int64_t us = now_us() - ((int64_t)begin->tv_sec * 1000000 + begin->tv_usec);

	return us > 0 ? (uint64_t)us : 0;
}

static void count_request(h2o_logger_t *super, h2o_req_t *req)
{
	const struct mw_metrics *self = (struct mw_metrics *)super;
	const struct http_metrics *http = self->http;
	struct metrics_shard *shard = self->shard_of(req->conn->ctx);
	const struct request *r = request_of(req);
	const struct route *route = r->route;
	struct slice method = { req->input.method.base, req->input.method.len };
	struct slice path = { req->path_normalized.base, req->path_normalized.len };
	unsigned endpoint = metrics_endpoint(http, method, path, &route);
	unsigned series = metric_series(
		http->requests, metrics_method(method), endpoint, metrics_status(req->res.status));
	enum mail_outcome outcome = mail_outcome(route, req->res.status, r->log.duplicate);

	metric_add(shard, http->requests, series, 1);
	metric_observe(shard, http->duration, series, duration_us(req));
	metric_observe(shard, http->request_size, endpoint, req->entity.len);
	metric_observe(shard, http->response_size, endpoint, req->bytes_sent);
	if (outcome != MAIL_NONE)
		metric_add(shard, http->emails, outcome, 1);
	if (r->rate != RATE_NOT_ASKED)
		metric_add(shard, http->rate_limit_hits, r->rate - 1, 1);
	if (r->auth_failure != AUTH_FAILURE_NONE)
		metric_add(shard, http->auth_failures, r->auth_failure - 1, 1);
}

void mw_metrics_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	if (set->metrics == NULL)
		return;
	struct mw_metrics *self = (void *)h2o_create_logger(path, sizeof(*self));

	self->super.log_access = count_request;
	self->http = set->metrics;
	self->shard_of = set->shard_of;
}
