/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/server.h"
#include "cmd/mailserver/server/connection.h"
#include "cmd/mailserver/server/metrics_server.h"
#include "cmd/mailserver/server/notify.h"
#include "cmd/mailserver/server/policy.h"
#include "cmd/mailserver/server/reload.h"
#include "cmd/mailserver/server/routes.h"
#include "cmd/mailserver/server/server_metrics.h"
#include "cmd/mailserver/server/upkeep.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/log.h"
#include "lib/version.h"
#include "middleware/chain.h"
#include "middleware/drain.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PROGRESS_S = 5,
	MIGRATE_RETRY_S = 2,
	MAX_LOST_PARSE_THREADS = 8,
};

static void on_storage_log(void *data, enum storage_log_level level, const char *message)
{
	static const enum log_level levels[] = {
		[STORAGE_LOG_ERROR] = LOG_ERROR,
		[STORAGE_LOG_WARNING] = LOG_WARNING,
		[STORAGE_LOG_INFO] = LOG_INFO,
	};

	log_say(levels[level], "storage: %s", message);
}

struct storage_settings server_storage_settings(const struct config *config)
{
	return (struct storage_settings){
		.url = config->storage.url,
		.connect_timeout_ms = config->storage.connect_timeout * 1000,
		.statement_timeout_ms = config->storage.statement_timeout * 1000,
		.connections = config->storage.connections,
		.prepared_statements = config->storage.prepared_statements,
		.partition_days = config->storage.partition_days,
		.batch_messages = config->storage.batch_messages,
		.batch_bytes = config->storage.batch_bytes,
		.queue_messages = config->storage.queue_messages,
		.queue_bytes = config->storage.queue_bytes,
		.log = on_storage_log,
	};
}

struct storage_retention server_retention(const struct config *config, struct arena *arena)
{
	const struct config_retention *r = &config->retention;
	struct storage_tenant_retention *tenants = arena_alloc(
		arena, r->tenants_count * sizeof(*tenants));

	for (unsigned i = 0; i < r->tenants_count; i++) {
		tenants[i].tenant = arena_strdup(arena, r->tenants[i].tenant);
		tenants[i].days = r->tenants[i].days;
	}
	return (struct storage_retention){
		.days = r->days,
		.tenants = tenants,
		.tenant_count = r->tenants_count,
		.key_days = r->dedup_days,
	};
}

struct server_counts server_counts(const struct server *server)
{
	struct server_counts sum = { .emails = 0 };

	for (unsigned i = 0; i < server->worker_count; i++) {
		const struct worker *w = &server->workers[i];
		int64_t last = atomic_load_explicit(&w->last_received_us, memory_order_relaxed);

		sum.emails += atomic_load_explicit(&w->emails, memory_order_relaxed);
		sum.bytes += atomic_load_explicit(&w->bytes, memory_order_relaxed);
		sum.active_requests += atomic_load_explicit(
			&w->active_requests, memory_order_relaxed);
		if (last > sum.last_received_us)
			sum.last_received_us = last;
	}
	return sum;
}

static unsigned cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

/* Large bodies are read into unlinked files there (h2o makes and removes them). */
static int use_spool(const struct config *config)
{
	h2o_buffer_mmap_settings_t *set = &h2o_socket_buffer_mmap_settings;
	int len;

	if (mkdir(config->data_dir, 0750) == -1 && errno != EEXIST)
		goto failed;
	if (mkdir(config->spool_dir, 0700) == -1 && errno != EEXIST)
		goto failed;
	if (access(config->spool_dir, W_OK | X_OK) == -1)
		goto failed;
	len = snprintf(
		set->fn_template, sizeof(set->fn_template), "%s/body.XXXXXX", config->spool_dir);
	if (len < 0 || (size_t)len >= sizeof(set->fn_template)) {
		errno = ENAMETOOLONG;
		goto failed;
	}
	set->threshold = config->limits.spool_threshold_bytes;
	return 0;
failed:
	log_say(LOG_ERROR,
		"cannot use the spool directory %s: %s; create it, or set data_dir or spool_dir to "
		"a directory the server may write to",
		config->spool_dir, strerror(errno));
	return -1;
}

/* Connections, and as many again for lingering ones, spool files and the database. */
static void raise_descriptor_limit(const struct config *config)
{
	struct rlimit limit;
	rlim_t needed = 3 * (rlim_t)config->max_connections + 256;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < needed)
		log_say(LOG_WARNING,
			"max_connections %u may need %llu descriptors, the limit is %llu: raise "
			"LimitNOFILE",
			config->max_connections, (unsigned long long)needed,
			(unsigned long long)limit.rlim_cur);
}

static struct metrics_shard *shard_of(h2o_context_t *context)
{
	return H2O_STRUCT_FROM_MEMBER(struct worker, http, context)->shard;
}

static void setup_metrics(struct server *s)
{
	const struct config *config = s->config;

	if (!config->metrics_enabled)
		return;
	s->metrics = server_metrics_new(
		config->metrics_namespace, storage_backend_for(config->storage.url));
	s->storage.committed = count_batch;
	s->storage.committed_data = s->metrics;
}

static void setup_http(struct server *s)
{
	const struct config *config = s->config;
	uint32_t wait_s = config->read_timeout > config->idle_timeout ? config->read_timeout
								      : config->idle_timeout;
	struct chain_settings chain = {
		.routes = routes,
		.live = worker_live,
		.drain_phase = &s->drain_phase,
		.limits = &s->limits.rates,
		.access_log = true,
		.metrics = server_metrics_http(s->metrics),
		.shard_of = shard_of,
	};

	h2o_config_init(&s->http);
	s->http.server_name = h2o_iovec_init(H2O_STRLIT("mailserver"));
	s->http.http1.upgrade_to_http2 = 0;
	/* A backstop: connection.c keeps the two times apart. */
	s->http.http1.req_timeout = ((uint64_t)wait_s + 5) * 1000;
	/* One more, because h2o refuses a chunked body of exactly its limit: inbound.c counts. */
	s->http.max_request_entity_size = config->limits.max_message_bytes + 1;

	h2o_hostconf_t *host = h2o_config_register_host(
		&s->http, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	connections_attach(&host->fallback_path);
	chain_attach(&host->fallback_path, &chain);
}

struct parse_pool_settings server_parse_settings(const struct config *config)
{
	const struct config_limits *l = &config->limits;

	return (struct parse_pool_settings){
		.threads = l->parse_threads > 0 ? l->parse_threads : cores(),
		.max_lost_threads = MAX_LOST_PARSE_THREADS,
		.deadline_cpu_ms = l->parse_cpu_ms,
		.deadline_wall_ms = 5 * l->parse_cpu_ms,
		.limits = {
			.header_bytes = l->header_bytes,
			.header_fields = l->header_fields,
			.parts = l->parts,
			.depth = l->depth,
			.addresses = l->addresses,
			.text_bytes = l->text_bytes,
			.filename_bytes = l->filename_bytes,
		},
	};
}

static struct parse_pool *start_parse_pool(const struct config *config)
{
	struct parse_pool_settings set = server_parse_settings(config);

	mime_init();
	return parse_pool_new(&set);
}

void server_setup_log(const struct config *config)
{
	enum log_level level = LOG_INFO;
	enum log_format format = LOG_AUTO;

	log_level_parse(config->log.level, &level);
	log_format_parse(config->log.format, &format);
	log_setup(level, format);
}

static unsigned wanted_workers(const struct config *config)
{
	return config->workers > 0 ? config->workers : cores();
}

static int open_listeners(struct server *s)
{
	const struct config *config = s->config;
	struct listen_settings listen = {
		.addresses = config->listen,
		.count = config->listen_count,
		.port = config->port,
		.purpose = "mail",
		.socket_mode = config->socket_mode,
		.socket_group = config->socket_group,
		.from_systemd = strcmp(config->mode, "socket") == 0,
	};
	char *error = NULL;

	if (listen_open(&listen, wanted_workers(config), &s->listen, &error) == 0) {
		s->storage.listeners = s->listeners = listen_names(&s->listen);
		return 0;
	}
	log_say(LOG_ERROR, "%s", error);
	free(error);
	return -1;
}

/* s->worker_count says how many run. */
static int open_workers(struct server *s)
{
	const struct config *config = s->config;
	unsigned wanted = wanted_workers(config);
	SSL_CTX *tls = NULL;
	char *error = NULL;

	if (policy_tls(config, &tls, &error) != 0)
		goto failed;
	s->workers = calloc(wanted, sizeof(*s->workers));
	if (s->workers == NULL)
		abort();
	for (; s->worker_count < wanted; s->worker_count++)
		if (worker_open(&s->workers[s->worker_count], s, s->worker_count,
			    policy_new(config, tls), &error) != 0)
			goto failed;
	if (metrics_server_open(s, &s->metrics_server, &error) != 0)
		goto failed;
	SSL_CTX_free(tls);
	return 0;
failed:
	SSL_CTX_free(tls);
	log_say(LOG_ERROR, "%s", error);
	free(error);
	return -1;
}

/* True when the schema is up to date or nobody asked for that; false to try again later. */
static bool migrate(const struct server *s, bool *give_up_r)
{
	unsigned applied = 0;
	char *error = NULL;

	if (!s->config->storage.migrate)
		return true;
	switch (storage_migrate(&s->storage, &applied, &error)) {
	case STORAGE_MIGRATED:
		if (applied > 0)
			log_say(LOG_INFO, "the database's schema was brought up to date: %u %s run",
				applied, applied == 1 ? "migration" : "migrations");
		return true;
	case STORAGE_MIGRATE_LATER:
		log_say(LOG_WARNING,
			"%s; until it is there, mail is answered 503 and waits in the "
			"MTA's queue; trying again",
			error);
		break;
	case STORAGE_MIGRATE_FAILED:
		log_say(LOG_ERROR, "%s", error);
		*give_up_r = true;
	}
	free(error);
	return false;
}

static bool is_end(int signal)
{
	return signal == SIGTERM || signal == SIGINT;
}

/* The next signal, or 0 at `until_us` of the monotonic clock. The watchdog is fed meanwhile. */
static int wait_for_signal(struct server *s, const sigset_t *signals, int64_t until_us)
{
	for (;;) {
		int64_t fed_until_us = watchdog_look(&s->watchdog, s), now = monotonic_us();
		int64_t wake_us = fed_until_us < until_us ? fed_until_us : until_us;
		if (now >= until_us)
			return 0;
		int64_t wait_us = wake_us > now ? wake_us - now : 0;
		struct timespec wait = { wait_us / 1000000, wait_us % 1000000 * 1000 };
		int signal = sigtimedwait(signals, NULL, wake_us == INT64_MAX ? NULL : &wait);
		if (signal > 0)
			return signal;
	}
}

/* Load balancers look at /health/ready every few seconds: until they have seen it, all is served. */
static void leave(struct server *s, const sigset_t *signals)
{
	int64_t until_us = monotonic_us() + (int64_t)s->config->drain_delay * 1000000;

	atomic_store(&s->drain_phase, DRAIN_LEAVING);
	upkeep_leave(s->upkeep);
	if (s->config->drain_delay > 0)
		log_say(LOG_INFO, "not ready any more; draining begins in %u s",
			s->config->drain_delay);
	for (int signal = SIGHUP; signal != 0 && !is_end(signal);)
		signal = wait_for_signal(s, signals, until_us);
}

/* True when everything in flight was finished in time. */
static bool drain(struct server *s, const sigset_t *signals)
{
	int64_t began_us = monotonic_us(), next_report_us = began_us + PROGRESS_S * 1000000;
	int64_t deadline_us = began_us + (int64_t)s->config->shutdown_timeout * 1000000;

	atomic_store(&s->drain_phase, DRAIN_DRAINING);
	count_shutdown(s->metrics, SHUTDOWN_GRACEFUL);
	for (unsigned i = 0; i < s->worker_count; i++)
		worker_drain(&s->workers[i]);
	while (atomic_load(&s->running_workers) > 0) {
		int64_t now = monotonic_us();
		if (now >= deadline_us)
			return false;
		if (now >= next_report_us) {
			log_say(LOG_INFO, "still draining: %llu requests in flight, %u connections",
				(unsigned long long)server_counts(s).active_requests,
				atomic_load(&s->connections));
			next_report_us += PROGRESS_S * 1000000;
		}
		int64_t until = next_report_us < deadline_us ? next_report_us : deadline_us;
		if (is_end(wait_for_signal(s, signals, until))) {
			log_say(LOG_WARNING, "a second signal: not waiting any longer");
			return false;
		}
	}
	count_shutdown_time(s->metrics, monotonic_us() - began_us);
	return true;
}

static void start_upkeep(struct server *s)
{
	struct upkeep_settings set = {
		.storage = s->storage,
		.migrate = s->config->storage.migrate,
		.purged = s->metrics != NULL ? count_purged : NULL,
		.purged_data = s->metrics,
	};

	s->upkeep = upkeep_start(&set, s->config);
	if (s->upkeep == NULL)
		log_say(LOG_ERROR, "no thread could be started for the database's upkeep");
}

/* Until the first signal, or until the database turns out to be unusable. */
static void serve(struct server *s, const sigset_t *signals, bool migrated, bool *give_up_r)
{
	for (unsigned i = 0; i < s->worker_count; i++)
		worker_accept(&s->workers[i]);
	log_say(LOG_INFO, "mailserver %s is up: %u workers, storage %s", mailserver_version,
		s->worker_count, storage_backend(s->workers[0].storage));

	notify_ready();
	start_upkeep(s);
	if (migrated)
		upkeep_wake(s->upkeep);

	for (int signal = 0; !is_end(signal) && !*give_up_r;) {
		int64_t retry_us = monotonic_us() + MIGRATE_RETRY_S * 1000000;
		signal = wait_for_signal(s, signals, migrated ? INT64_MAX : retry_us);
		if (signal == SIGHUP) {
			server_reload(s);
			upkeep_wake(s->upkeep);
		} else if (signal == 0) {
			migrated = migrate(s, give_up_r);
			if (migrated)
				upkeep_wake(s->upkeep);
		}
	}
	notify_stopping();
	leave(s, signals);
	log_say(LOG_INFO, "draining: no new connections, finishing what is in flight");
}

/* Answers how many given-up parses still run. */
static unsigned close_workers(struct server *s, const sigset_t *signals)
{
	if (!drain(s, signals)) {
		count_shutdown(s->metrics, SHUTDOWN_FORCED);
		log_say(LOG_ERROR, "cut off: %llu requests in flight, %u connections",
			(unsigned long long)server_counts(s).active_requests,
			atomic_load(&s->connections));
		/* Threads hold what must not be freed under them; the kernel tidies up. */
		_exit(1);
	}
	metrics_server_close(&s->metrics_server); /* it reads the workers' counts */
	unsigned lost = parse_pool_stats(s->pool).lost;
	parse_pool_free(&s->pool); /* its threads sent mail to the workers */
	for (unsigned i = 0; i < s->worker_count; i++)
		worker_close(&s->workers[i]);
	free(s->workers);
	return lost;
}

static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGUSR1); /* a worker has left its loop */
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk, not an end */
}

int server_run(const struct config_request *request, const struct config_result *loaded)
{
	const struct config *config = config_result_config(loaded);
	struct server s = {
		.request = request,
		.loaded = loaded,
		.config = config,
		.started_us = now_us(),
	};
	bool migrated, give_up = false;
	sigset_t signals;
	int exit_code = 1;

	s.main_thread = pthread_self();
	block_signals(&signals); /* before any thread is made */
	raise_descriptor_limit(config);
	if (use_spool(config) != 0)
		return 1;
	if (limits_open(&s.limits, config) != 0) {
		limits_close(&s.limits);
		return 1;
	}
	s.in_flight.max_messages = config->limits.in_flight_messages;
	s.in_flight.max_bytes = config->limits.in_flight_bytes;
	s.watchdog = watchdog_new();
	sem_init(&s.reloaded, 0, 0);
	s.storage = server_storage_settings(config);
	setup_metrics(&s);
	setup_http(&s);
	if (open_listeners(&s) != 0)
		give_up = true;
	migrated = !give_up && migrate(&s, &give_up);
	if (!give_up) {
		s.pool = start_parse_pool(config);
		if (open_workers(&s) == 0) {
			serve(&s, &signals, migrated, &give_up);
			exit_code = give_up ? 1 : 0;
		}
		unsigned lost = close_workers(&s, &signals);
		watchdog_free(&s.watchdog);
		if (exit_code == 0)
			log_say(LOG_INFO, "drained");
		bool is_quiet = upkeep_stop(&s.upkeep);
		if (lost > 0 || !is_quiet) /* no library may be torn down under who still works */
			_exit(exit_code);
	}
	listen_close(&s.listen);
	free(s.listeners);
	server_metrics_free(&s.metrics);
	h2o_config_dispose(&s.http);
	limits_close(&s.limits);
	return exit_code;
}
