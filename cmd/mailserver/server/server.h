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
#include "lib/config/config.h"
#include "lib/parse_pool.h"
#include "middleware/auth.h"
#include "storage/storage.h"

struct metrics_server;
struct server_metrics;
struct worker;

struct server {
	const struct config *config;
	struct storage_settings storage;
	struct auth auth;
	struct auth_token token; /* the one of bearer_token */
	struct listen_set listen;
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
};

/* Runs until drained. The process' exit code: 0 when all in flight was finished, 1 when the start
 * failed or shutdown_timeout cut something off. */
int server_run(const struct config *config);

/* What the configuration says about the database; borrows the configuration's strings. */
struct storage_settings server_storage_settings(const struct config *config);

/* Sum over the workers, for GoMail's /metrics. Any thread. */
struct server_counts {
	uint64_t emails, bytes, active_requests;
	int64_t last_received_us; /* 0: none yet */
};
struct server_counts server_counts(const struct server *server);

#endif
