/* SPDX-License-Identifier: MIT */
/* server.h - the daemon: what its threads share, and its life from start to drained
 *
 * main thread     starts the workers, then waits for signals
 * worker threads  one h2o loop, one storage handle, their own listeners and counters each
 * metrics thread  serves them to Prometheus (metrics_server.h)
 * pool threads    parse (lib/parse_pool.h) */
#ifndef CMD_MAILSERVER_SERVER_SERVER_H
#define CMD_MAILSERVER_SERVER_SERVER_H

#include "cmd/mailserver/server/in_flight.h"
#include "cmd/mailserver/server/limits.h"
#include "cmd/mailserver/server/listen.h"
#include "cmd/mailserver/server/watchdog.h"
#include "lib/arena.h"
#include "lib/config/config.h"
#include "lib/parse_pool.h"
#include "storage/storage.h"

#include <h2o.h>
#include <semaphore.h>
#include <stdatomic.h>

struct metrics_server;
struct server_metrics;
struct worker;

struct server {
	const struct config_request *request; /* what a reload asks for again */
	const struct config_result *loaded;   /* at the start */
	const struct config *config;          /* of it; what a reload replaces is in policy.h */
	struct storage_settings storage;
	struct listen_set listen;
	char *listeners; /* its names, by which the database knows this server */
	struct server_limits limits;
	struct in_flight in_flight;
	struct parse_pool *pool;
	struct server_metrics *metrics;        /* NULL: nothing is counted */
	struct metrics_server *metrics_server; /* NULL: nor served */
	h2o_globalconf_t http;
	struct worker *workers;
	unsigned worker_count;
	int64_t started_us;
	atomic_int drain_phase;      /* enum drain_phase */
	atomic_uint connections;     /* open ones, of all workers */
	atomic_uint running_workers; /* a worker that leaves its loop wakes the main thread */
	pthread_t main_thread;
	struct watchdog watchdog;
	struct upkeep *upkeep;
	sem_t reloaded; /* posted by each worker when it has taken what a reload gave it */
};

/* Runs until drained. The process' exit code: 0 when all in flight was finished, 1 when the start
 * failed or shutdown_timeout cut something off. */
int server_run(const struct config_request *request, const struct config_result *loaded);

/* From here on, log lines are as the configuration has them. */
void server_setup_log(const struct config *config);

/* What the configuration says about the database; borrows the configuration's strings. */
struct storage_settings server_storage_settings(const struct config *config);

/* And about parsing. */
struct parse_pool_settings server_parse_settings(const struct config *config);

/* What it says about how long mail is kept; a copy that lives as long as the arena. */
struct storage_retention server_retention(const struct config *config, struct arena *arena);

/* Sum over the workers, for GoMail's /metrics. Any thread. */
struct server_counts {
	uint64_t emails, bytes, active_requests;
	int64_t last_received_us; /* 0: none yet */
};
struct server_counts server_counts(const struct server *server);

#endif
