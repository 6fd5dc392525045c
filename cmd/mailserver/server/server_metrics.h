/* SPDX-License-Identifier: MIT */
/* server_metrics.h - every metric of the server that is not of HTTP alone, and who counts it
 *
 * With metrics_enabled off there are none: a worker's shard is NULL, and nothing is counted.
 *
 * Threads    Made and freed on the main thread. Each function says where it is called. */
#ifndef CMD_MAILSERVER_SERVER_SERVER_METRICS_H
#define CMD_MAILSERVER_SERVER_SERVER_METRICS_H

#include "lib/metrics/metrics.h"
#include "lib/mime/mime.h"
#include "middleware/metrics.h"
#include "storage/storage.h"

struct server;
struct server_metrics;
struct worker;

struct server_metrics *server_metrics_new(const char *namespace, const char *storage_backend);
/* No worker may be left that counts. Accepts a pointer to NULL. */
void server_metrics_free(struct server_metrics **metrics);

/* For the chain, and for one more thread that counts; NULL when `metrics` is. */
const struct http_metrics *server_metrics_http(const struct server_metrics *metrics);
struct metrics_shard *server_metrics_shard(struct server_metrics *metrics);

/* On the worker's own thread. */
enum storage_verb {
	STORAGE_VERB_PUT,
	STORAGE_VERB_GET,
	STORAGE_VERB_RAW,
	STORAGE_VERB_PART,
	STORAGE_VERB_RANGE,
	STORAGE_VERB_PING,
};
void count_storage(
	struct worker *w, enum storage_verb verb, enum storage_result result, int64_t began_us);
enum email_stage { STAGE_PARSE, STAGE_STORE, STAGE_TOTAL };
void count_stage(struct worker *w, enum email_stage stage, int64_t took_us);
void count_parsed(struct worker *w, enum mime_status status);
void count_email_size(struct worker *w, size_t bytes);
/* How its store is now; a store that is closed is quiet. */
void count_store(struct worker *w);
/* How often it did without Redis, so far. */
void count_limiter(struct worker *w);

/* `committed` of the storage settings: any thread; `data` is a struct server_metrics. */
void count_batch(void *data, unsigned messages);

/* `purged` of the upkeep's settings: any thread; `data` is a struct server_metrics. */
void count_purged(void *data, const struct storage_purged *purged);

/* On the main thread; `metrics` may be NULL. */
enum shutdown_type { SHUTDOWN_GRACEFUL, SHUTDOWN_FORCED };
void count_shutdown(struct server_metrics *metrics, enum shutdown_type type);
void count_shutdown_time(struct server_metrics *metrics, int64_t took_us);

/* The exposition. Only the thread that serves it. */
void server_metrics_render(struct server_metrics *metrics, const struct server *server,
	enum metrics_format format, struct buf *out);

#endif
