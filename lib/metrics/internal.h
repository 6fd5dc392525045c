/* SPDX-License-Identifier: MIT */
/* internal.h - how metrics lie in memory; only lib/metrics/ includes it */
#ifndef LIB_METRICS_INTERNAL_H
#define LIB_METRICS_INTERNAL_H

#include "lib/metrics/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

struct metric {
	struct metric_info info;
	unsigned label_count;
	size_t first;    /* cell */
	unsigned series; /* so many, each of `width` cells */
	unsigned width;  /* 1; a histogram's: a cell per bound, one for +Inf, one for the sum */
};

struct metrics_shard {
	struct metrics_shard *next;
	bool shared;
	atomic_uint_fast64_t cells[];
};

struct metrics {
	const char *namespace;
	struct metric **list;
	size_t count, cells;
	pthread_mutex_t lock; /* of the shards' list */
	struct metrics_shard *shards;
};

/* Of all shards. The registry's lock is held. */
uint64_t metrics_total(const struct metrics *metrics, const struct metric *metric, size_t cell);

#endif
