/* SPDX-License-Identifier: MIT */
#include "lib/metrics/internal.h"

#include <assert.h>
#include <stdlib.h>

enum { CACHE_LINE = 64 };

static void *must_have(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct metrics *metrics_new(const char *namespace)
{
	struct metrics *metrics = must_have(calloc(1, sizeof(*metrics)));

	metrics->namespace = namespace;
	pthread_mutex_init(&metrics->lock, NULL);
	return metrics;
}

void metrics_free(struct metrics **metrics)
{
	struct metrics *m = *metrics;

	if (m == NULL)
		return;
	for (struct metrics_shard *shard = m->shards, *next; shard != NULL; shard = next) {
		next = shard->next;
		free(shard);
	}
	for (size_t i = 0; i < m->count; i++)
		free(m->list[i]);
	free(m->list);
	pthread_mutex_destroy(&m->lock);
	free(m);
	*metrics = NULL;
}

static bool ends_in_total(const char *name)
{
	size_t len = strlen(name), suffix = strlen("_total");

	return len > suffix && strcmp(name + len - suffix, "_total") == 0;
}

const struct metric *metrics_declare(struct metrics *metrics, const struct metric_info *info)
{
	struct metric *metric = must_have(malloc(sizeof(*metric)));

	assert(metrics->shards == NULL);
	assert(ends_in_total(info->name) == (info->type == METRIC_COUNTER));
	*metric = (struct metric){ .info = *info, .first = metrics->cells, .series = 1 };
	while (metric->label_count < METRIC_MAX_LABELS &&
		info->labels[metric->label_count].name != NULL)
		metric->series *= info->labels[metric->label_count++].count;
	metric->width = info->type == METRIC_HISTOGRAM ? info->bound_count + 2 : 1;
	metrics->cells += (size_t)metric->series * metric->width;
	metrics->list = must_have(
		realloc(metrics->list, (metrics->count + 1) * sizeof(metrics->list[0])));
	metrics->list[metrics->count++] = metric;
	return metric;
}

struct metrics_shard *metrics_shard_new(struct metrics *metrics, enum metrics_sharing sharing)
{
	size_t bytes = sizeof(struct metrics_shard) + metrics->cells * sizeof(atomic_uint_fast64_t);

	bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	struct metrics_shard *shard = must_have(aligned_alloc(CACHE_LINE, bytes));
	shard->shared = sharing == METRICS_SHARED;
	for (size_t i = 0; i < metrics->cells; i++)
		atomic_init(&shard->cells[i], 0);
	pthread_mutex_lock(&metrics->lock);
	shard->next = metrics->shards;
	metrics->shards = shard;
	pthread_mutex_unlock(&metrics->lock);
	return shard;
}

unsigned metric_series(const struct metric *metric, unsigned a, unsigned b, unsigned c)
{
	unsigned at[METRIC_MAX_LABELS] = { a, b, c }, series = 0;

	for (unsigned i = 0; i < metric->label_count; i++) {
		assert(at[i] < metric->info.labels[i].count);
		series = series * metric->info.labels[i].count + at[i];
	}
	return series;
}

static size_t cell_of(const struct metric *metric, unsigned series)
{
	assert(series < metric->series);
	return metric->first + (size_t)series * metric->width;
}

/* The owner alone writes: it need not hold the line against others while it adds. */
static void cell_add(struct metrics_shard *shard, size_t cell, uint64_t n)
{
	atomic_uint_fast64_t *at = &shard->cells[cell];

	if (shard->shared)
		atomic_fetch_add_explicit(at, n, memory_order_relaxed);
	else
		atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n,
			memory_order_relaxed);
}

void metric_add(
	struct metrics_shard *shard, const struct metric *metric, unsigned series, uint64_t n)
{
	if (shard != NULL)
		cell_add(shard, cell_of(metric, series), n);
}

void metric_set(
	struct metrics_shard *shard, const struct metric *metric, unsigned series, uint64_t value)
{
	if (shard != NULL)
		atomic_store_explicit(
			&shard->cells[cell_of(metric, series)], value, memory_order_relaxed);
}

void metric_observe(
	struct metrics_shard *shard, const struct metric *metric, unsigned series, uint64_t value)
{
	const struct metric_info *info = &metric->info;
	unsigned bucket = 0;

	if (shard == NULL)
		return;
	while (bucket < info->bound_count && value > info->bounds[bucket])
		bucket++;
	cell_add(shard, cell_of(metric, series) + bucket, 1);
	cell_add(shard, cell_of(metric, series) + info->bound_count + 1, value);
}

uint64_t metrics_total(const struct metrics *metrics, const struct metric *metric, size_t cell)
{
	uint64_t total = 0;

	for (struct metrics_shard *shard = metrics->shards; shard != NULL; shard = shard->next) {
		uint64_t value = atomic_load_explicit(&shard->cells[cell], memory_order_relaxed);
		if (metric->info.type != METRIC_GAUGE_MAX)
			total += value;
		else if (value > total)
			total = value;
	}
	return total;
}
