/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/server_metrics.h"
#include "cmd/mailserver/server/routes.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/metrics/process.h"
#include "lib/version.h"

#include <stdlib.h>

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))
#define LABEL(name, values)                                                                        \
	{                                                                                          \
		name, values, COUNT_OF(values)                                                     \
	}
#define BOUNDS(list) .bounds = (list), .bound_count = COUNT_OF(list)

enum { STORAGE_RESULTS = STORAGE_FULL + 1, KIB = 1024, SECOND = 1000000 };

static const uint64_t durations[] = { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
	2500000, 5000000, 10000000 };
static const uint64_t shutdown_durations[] = { SECOND / 10, SECOND, 5 * SECOND, 10 * SECOND,
	15 * SECOND, 20 * SECOND, 25 * SECOND, 30 * SECOND, 60 * SECOND };
static const uint64_t email_sizes[] = { KIB, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB,
	64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 1024 * KIB, 2048 * KIB, 4096 * KIB, 8192 * KIB,
	16384 * KIB };
static const uint64_t batch_sizes[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256 };

static const char *const verbs[] = {
	[STORAGE_VERB_PUT] = "put",
	[STORAGE_VERB_GET] = "get",
	[STORAGE_VERB_RAW] = "raw",
	[STORAGE_VERB_PART] = "part",
	[STORAGE_VERB_RANGE] = "range",
	[STORAGE_VERB_PING] = "ping",
};
static const char *const stages[] = {
	[STAGE_PARSE] = "parse",
	[STAGE_STORE] = "store",
	[STAGE_TOTAL] = "total",
};
static const char *const shutdowns[] = {
	[SHUTDOWN_GRACEFUL] = "graceful",
	[SHUTDOWN_FORCED] = "forced",
};
static const char *const parse_statuses[] = {
	[MIME_OK] = "ok",
	[MIME_DEGRADED] = "degraded",
	[MIME_FAILED] = "failed",
};
static const char *const caches[] = { "recent_messages" };
static const char *const cache_results[] = { "hit", "miss" };
static const char *const versions[] = { mailserver_version };
static const char *const commits[] = { mailserver_commit };

struct server_metrics {
	struct metrics *registry;
	struct http_metrics http;
	struct process_metrics process;
	const char *backend;
	const char *results[STORAGE_RESULTS];
	const struct metric *active_requests, *active_connections;
	const struct metric *email_size, *stage_duration, *parsed;
	const struct metric *operations, *operation_duration;
	const struct metric *batch, *queue_depth, *connections, *circuit;
	const struct metric *purged_messages, *purged_keys;
	const struct metric *shutdowns, *shutdown_duration;
	const struct metric *cache_requests;
	const struct metric *build_info;
	struct metrics_shard *of_main, *of_scrape, *of_drivers;
};

static const struct metric *declare(struct server_metrics *m, struct metric_info info)
{
	return metrics_declare(m->registry, &info);
}

static void declare_emails(struct server_metrics *m)
{
	m->email_size = declare(m, (struct metric_info){
					   .name = "email_size_bytes",
					   .help = "Sizes of the messages that were stored.",
					   .type = METRIC_HISTOGRAM,
					   BOUNDS(email_sizes),
				   });
	m->stage_duration = declare(m, (struct metric_info){
					       .name = "email_processing_duration_seconds",
					       .help = "How long a message took, waiting included: "
						       "parse, store, or all of it.",
					       .type = METRIC_HISTOGRAM,
					       .unit = METRIC_SECONDS,
					       .labels = { LABEL("stage", stages) },
					       BOUNDS(durations),
				       });
	m->parsed = declare(m, (struct metric_info){
				       .name = "email_parse_status_total",
				       .help = "Messages that were parsed, by how well that went.",
				       .type = METRIC_COUNTER,
				       .labels = { LABEL("status", parse_statuses) },
			       });
}

static void declare_storage(struct server_metrics *m)
{
	const struct metric_label backend = { "backend", &m->backend, 1 };
	const struct metric_label operation = LABEL("operation", verbs);
	const struct metric_label status = { "status", m->results, STORAGE_RESULTS };

	for (unsigned i = 0; i < STORAGE_RESULTS; i++)
		m->results[i] = storage_result_name(i);
	m->operations = declare(m, (struct metric_info){
					   .name = "storage_operations_total",
					   .help = "Operations on the database, by how they ended.",
					   .type = METRIC_COUNTER,
					   .labels = { backend, operation, status },
				   });
	m->operation_duration = declare(
		m, (struct metric_info){
			   .name = "storage_operation_duration_seconds",
			   .help = "How long operations on the database took, waiting included.",
			   .type = METRIC_HISTOGRAM,
			   .unit = METRIC_SECONDS,
			   .sparse = true,
			   .labels = { backend, operation, status },
			   BOUNDS(durations),
		   });
	m->batch = declare(m, (struct metric_info){
				      .name = "storage_batch_messages",
				      .help = "Messages in one commit.",
				      .type = METRIC_HISTOGRAM,
				      BOUNDS(batch_sizes),
			      });
	m->queue_depth = declare(
		m, (struct metric_info){
			   .name = "storage_queue_depth",
			   .help = "Operations that the database has not answered yet.",
			   .type = METRIC_GAUGE,
		   });
	m->connections = declare(
		m, (struct metric_info){
			   .name = "storage_connections",
			   .help = "Connections to the database server that are up.",
			   .type = METRIC_GAUGE,
		   });
	m->circuit = declare(m, (struct metric_info){
					.name = "storage_circuit_state",
					.help = "1 while the database is away and everything is "
						"refused at once, else 0.",
					.type = METRIC_GAUGE_MAX,
				});
}

static void declare_upkeep(struct server_metrics *m)
{
	m->purged_messages = declare(
		m, (struct metric_info){
			   .name = "storage_purged_messages_total",
			   .help = "Messages that were deleted because they were past their time.",
			   .type = METRIC_COUNTER,
		   });
	m->purged_keys = declare(m, (struct metric_info){
					    .name = "storage_purged_keys_total",
					    .help = "Keys that retries were known by, deleted "
						    "because they were past their time.",
					    .type = METRIC_COUNTER,
				    });
}

static void declare_server(struct server_metrics *m)
{
	m->active_requests = declare(m, (struct metric_info){
						.name = "http_active_requests",
						.help = "Requests that are being handled.",
						.type = METRIC_GAUGE,
					});
	m->active_connections = declare(m, (struct metric_info){
						   .name = "http_active_connections",
						   .help = "Connections that are open.",
						   .type = METRIC_GAUGE,
					   });
	m->shutdowns = declare(
		m, (struct metric_info){
			   .name = "shutdowns_initiated_total",
			   .help = "Shutdowns, by whether what was in flight was waited for.",
			   .type = METRIC_COUNTER,
			   .labels = { LABEL("type", shutdowns) },
		   });
	m->shutdown_duration = declare(
		m, (struct metric_info){
			   .name = "shutdown_duration_seconds",
			   .help = "From the signal until all in flight was finished.",
			   .type = METRIC_HISTOGRAM,
			   .unit = METRIC_SECONDS,
			   BOUNDS(shutdown_durations),
		   });
	m->cache_requests = declare(
		m, (struct metric_info){
			   .name = "cache_requests_total",
			   .help = "Questions that a cache was asked.",
			   .type = METRIC_COUNTER,
			   .labels = { LABEL("cache", caches), LABEL("result", cache_results) },
		   });
	m->build_info = declare(
		m, (struct metric_info){
			   .name = "mailserver_build_info",
			   .help = "Which program this is; always 1.",
			   .type = METRIC_GAUGE_MAX,
			   .labels = { LABEL("version", versions), LABEL("commit", commits) },
		   });
}

struct server_metrics *server_metrics_new(const char *namespace, const char *storage_backend)
{
	struct server_metrics *m = h2o_mem_alloc(sizeof(*m));

	*m = (struct server_metrics){
		.registry = metrics_new(namespace),
		.backend = storage_backend,
	};
	http_metrics_init(&m->http, m->registry, routes);
	declare_emails(m);
	declare_storage(m);
	declare_upkeep(m);
	declare_server(m);
	process_metrics_declare(&m->process, m->registry);
	m->of_main = metrics_shard_new(m->registry, METRICS_OWNED);
	m->of_scrape = metrics_shard_new(m->registry, METRICS_OWNED);
	m->of_drivers = metrics_shard_new(m->registry, METRICS_SHARED);
	metric_set(m->of_main, m->build_info, 0, 1);
	return m;
}

void server_metrics_free(struct server_metrics **metrics)
{
	if (*metrics == NULL)
		return;
	metrics_free(&(*metrics)->registry);
	http_metrics_deinit(&(*metrics)->http);
	free(*metrics);
	*metrics = NULL;
}

const struct http_metrics *server_metrics_http(const struct server_metrics *metrics)
{
	return metrics != NULL ? &metrics->http : NULL;
}

struct metrics_shard *server_metrics_shard(struct server_metrics *metrics)
{
	return metrics != NULL ? metrics_shard_new(metrics->registry, METRICS_OWNED) : NULL;
}

/* The wall's clock may be set back meanwhile. */
static uint64_t elapsed(int64_t us)
{
	return us > 0 ? (uint64_t)us : 0;
}

void count_storage(
	struct worker *w, enum storage_verb verb, enum storage_result result, int64_t began_us)
{
	const struct server_metrics *m = w->server->metrics;

	if (m == NULL)
		return;
	unsigned series = metric_series(m->operations, 0, verb, result);
	metric_add(w->shard, m->operations, series, 1);
	metric_observe(w->shard, m->operation_duration, series, elapsed(now_us() - began_us));
}

void count_stage(struct worker *w, enum email_stage stage, int64_t took_us)
{
	const struct server_metrics *m = w->server->metrics;

	if (m != NULL)
		metric_observe(w->shard, m->stage_duration, stage, elapsed(took_us));
}

void count_parsed(struct worker *w, enum mime_status status)
{
	const struct server_metrics *m = w->server->metrics;

	if (m != NULL)
		metric_add(w->shard, m->parsed, status, 1);
}

void count_email_size(struct worker *w, size_t bytes)
{
	const struct server_metrics *m = w->server->metrics;

	if (m != NULL)
		metric_observe(w->shard, m->email_size, 0, bytes);
}

void count_store(struct worker *w)
{
	const struct server_metrics *m = w->server->metrics;
	struct storage_stats stats = { .queue_depth = 0 };

	if (m == NULL)
		return;
	if (w->storage != NULL)
		storage_stats(w->storage, &stats);
	metric_set(w->shard, m->queue_depth, 0, stats.queue_depth);
	metric_set(w->shard, m->connections, 0, stats.connections);
	metric_set(w->shard, m->circuit, 0, stats.circuit_is_open);
}

void count_limiter(struct worker *w)
{
	const struct server_metrics *m = w->server->metrics;

	if (m != NULL)
		metric_set(w->shard, m->http.rate_limit_backend_errors, 0,
			quota_backend_errors(w->quota));
}

void count_batch(void *data, unsigned messages)
{
	const struct server_metrics *m = data;

	metric_observe(m->of_drivers, m->batch, 0, messages);
}

void count_purged(void *data, const struct storage_purged *purged)
{
	const struct server_metrics *m = data;

	metric_add(m->of_drivers, m->purged_messages, 0, purged->messages);
	metric_add(m->of_drivers, m->purged_keys, 0, purged->keys);
}

void count_shutdown(struct server_metrics *m, enum shutdown_type type)
{
	if (m != NULL)
		metric_add(m->of_main, m->shutdowns, type, 1);
}

void count_shutdown_time(struct server_metrics *m, int64_t took_us)
{
	if (m != NULL)
		metric_observe(m->of_main, m->shutdown_duration, 0, elapsed(took_us));
}

void server_metrics_render(struct server_metrics *m, const struct server *server,
	enum metrics_format format, struct buf *out)
{
	process_metrics_collect(&m->process, m->of_scrape);
	metric_set(m->of_scrape, m->active_requests, 0, server_counts(server).active_requests);
	metric_set(m->of_scrape, m->active_connections, 0,
		atomic_load_explicit(&server->connections, memory_order_relaxed));
	metrics_render(m->registry, format, out);
}
