/* SPDX-License-Identifier: MIT */
/* metrics.h - counters, gauges and histograms, and Prometheus' text of them
 *
 * A metric is declared once, at the start, with every value its labels may ever have: no request can
 * make a new series. Each thread that counts has a shard of its own, so that counting takes no
 * lock, allocates nothing and shares no cache line; a scrape sums the shards.
 *
 * Threads    metrics_declare before the first shard, on one thread. A shard is counted on by the
 *            thread that owns it, a shared one by any. metrics_shard_new and metrics_render: any.
 * Ownership  A registry owns its metrics and shards. Names, helps, labels and bounds are borrowed
 *            for as long as it lives. */
#ifndef LIB_METRICS_METRICS_H
#define LIB_METRICS_METRICS_H

#include "lib/buf.h"

struct metrics;
struct metrics_shard;
struct metric;

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE,     /* the shards' sum */
	METRIC_GAUGE_MAX, /* the largest of the shards' values */
	METRIC_HISTOGRAM,
};

enum metric_unit {
	METRIC_PLAIN,   /* bytes, messages: shown as counted */
	METRIC_SECONDS, /* counted, and bounded, in microseconds; shown in seconds */
};

enum { METRIC_MAX_LABELS = 3 };

struct metric_label {
	const char *name;
	const char *const *values;
	unsigned count; /* of values */
};

struct metric_info {
	const char *name; /* without the namespace; a counter's ends in _total */
	const char *help; /* one sentence */
	enum metric_type type;
	enum metric_unit unit;
	bool sparse; /* series that never counted are not shown: for large families */
	struct metric_label labels[METRIC_MAX_LABELS]; /* the first without a name ends them */
	const uint64_t *bounds;                        /* of a histogram: ascending, inclusive */
	unsigned bound_count;
};

/* `namespace` (borrowed; "" for none) and an underscore are put before every name. */
struct metrics *metrics_new(const char *namespace);
/* Nobody may count any more. Accepts a pointer to NULL. */
void metrics_free(struct metrics **metrics);

const struct metric *metrics_declare(struct metrics *metrics, const struct metric_info *info);

enum metrics_sharing {
	METRICS_OWNED,  /* one thread counts */
	METRICS_SHARED, /* any thread counts: dearer, for what is rare */
};
struct metrics_shard *metrics_shard_new(struct metrics *metrics, enum metrics_sharing sharing);

/* The series whose labels have their `a`th, `b`th and `c`th values; 0 for labels there are not. */
unsigned metric_series(const struct metric *metric, unsigned a, unsigned b, unsigned c);

/* On a shard that is NULL nothing is counted. */
void metric_add(
	struct metrics_shard *shard, const struct metric *metric, unsigned series, uint64_t n);
/* A gauge; or a counter of what somebody else counts, from one shard only. */
void metric_set(
	struct metrics_shard *shard, const struct metric *metric, unsigned series, uint64_t value);
/* Into a histogram. */
void metric_observe(
	struct metrics_shard *shard, const struct metric *metric, unsigned series, uint64_t value);

enum metrics_format {
	METRICS_TEXT,        /* Prometheus text format 0.0.4 */
	METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
};

/* The exposition's Content-Type. */
const char *metrics_content_type(enum metrics_format format);
/* The format that an Accept header (RFC 9110, 12.5.1) asks for; text unless OpenMetrics 1.0 is
 * named, and not less welcome. */
enum metrics_format metrics_format_for(struct slice accept);

/* All metrics, in the order of their declaration. `out` is truncated when its limit is too small. */
void metrics_render(struct metrics *metrics, enum metrics_format format, struct buf *out);

#endif
