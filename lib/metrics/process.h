/* SPDX-License-Identifier: MIT */
/* process.h - what the system knows of this process, as the client libraries name it (process_*)
 *
 * Threads    Declared once at the start; collected on one thread, before it renders. */
#ifndef LIB_METRICS_PROCESS_H
#define LIB_METRICS_PROCESS_H

#include "lib/metrics/metrics.h"

enum process_metric {
	PROCESS_CPU,
	PROCESS_RESIDENT,
	PROCESS_VIRTUAL,
	PROCESS_VIRTUAL_MAX,
	PROCESS_OPEN_FDS,
	PROCESS_MAX_FDS,
	PROCESS_START_TIME,
	PROCESS_THREADS,
	PROCESS_METRICS,
};

struct process_metrics {
	const struct metric *list[PROCESS_METRICS];
};

void process_metrics_declare(struct process_metrics *process, struct metrics *metrics);
/* What cannot be read keeps its last value. */
void process_metrics_collect(const struct process_metrics *process, struct metrics_shard *shard);

#endif
