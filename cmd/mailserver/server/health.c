/* SPDX-License-Identifier: MIT */
/* health.c - the state of the service, for load balancers and for people; GoMail's counters */
#include "cmd/mailserver/server/routes.h"
#include "cmd/mailserver/server/server_metrics.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/version.h"
#include "middleware/drain.h"
#include "middleware/respond.h"

enum { MAX_ANSWER_BYTES = 4096, PING_FRESH_US = 500000, FULL_US = 3000000 };

typedef void health_answer_fn(struct request *r, const struct worker_ping *ping);

struct health_op {
	struct request *r;
	struct storage_ping ping;
	health_answer_fn *answer;
	int64_t began_us;
};

/* A ping may go well where a message does not fit any more. After a while it is worth another try,
 * for who is not ready is sent none. */
static bool was_full(const struct worker *w)
{
	return w->full_at_us != 0 && now_us() - w->full_at_us < FULL_US;
}

static void on_ping(struct storage_ping *ping, enum storage_result result)
{
	struct health_op *op = H2O_STRUCT_FROM_MEMBER(struct health_op, ping, ping);
	struct worker_ping *last = &worker_of(op->r)->last_ping;

	last->at_us = now_us();
	last->took_us = last->at_us - op->began_us;
	last->is_up = result == STORAGE_OK && !was_full(worker_of(op->r));
	count_storage(worker_of(op->r), STORAGE_VERB_PING, result, op->began_us);
	op->answer(op->r, last);
}

/* Asking costs the database a write, and anybody may ask: a fresh answer serves again. */
static void health_check(struct request *r, health_answer_fn *answer)
{
	struct worker *w = worker_of(r);

	if (now_us() - w->last_ping.at_us < PING_FRESH_US) {
		answer(r, &w->last_ping);
		return;
	}
	struct health_op *op = h2o_mem_alloc_pool(&r->h2o->pool, sizeof(*op));
	*op = (struct health_op){
		.r = r,
		.ping.done = on_ping,
		.answer = answer,
		.began_us = now_us(),
	};
	storage_ping(w->storage, &op->ping);
}

static bool is_shutting_down(const struct server *s)
{
	return atomic_load_explicit(&s->drain_phase, memory_order_relaxed) != DRAIN_SERVING;
}

static void add_uptime(struct buf *b, const char *key, const struct server *s)
{
	buf_json_key(b, key);
	buf_printf(b, "%.3f", (double)(now_us() - s->started_us) / 1e6);
}

static void add_redis(struct buf *b, enum quota_backend redis, int64_t latency_us)
{
	buf_json_key(b, "redis");
	buf_json_begin(b, '{');
	buf_json_key(b, "status");
	buf_json_string(b, redis == QUOTA_SHARED ? "up" : "down");
	buf_json_key(b, "latency_ms");
	if (redis == QUOTA_SHARED)
		buf_printf(b, "%.3f", (double)latency_us / 1e3);
	else
		buf_json_raw(b, NULL);
	buf_json_end(b, '}');
}

/* Without the database nothing works; without Redis everything does, with limits of its own. */
static const char *health_word(bool storage_is_up, enum quota_backend redis)
{
	if (!storage_is_up)
		return "unhealthy";
	return redis == QUOTA_SHARED_DOWN ? "degraded" : "healthy";
}

static void answer_health(struct request *r, const struct worker_ping *ping)
{
	const struct worker *w = worker_of(r);
	int64_t redis_us = 0;
	enum quota_backend redis = quota_backend(w->quota, &redis_us);
	struct buf body;

	buf_init(&body, MAX_ANSWER_BYTES);
	buf_json_begin(&body, '{');
	buf_json_key(&body, "status");
	buf_json_string(&body, health_word(ping->is_up, redis));
	add_uptime(&body, "uptime", w->server);
	buf_json_key(&body, "version");
	buf_json_string(&body, mailserver_version);
	buf_json_key(&body, "timestamp");
	buf_json_time(&body, now_us(), 0);
	buf_json_key(&body, "services");
	buf_json_begin(&body, '{');
	buf_json_key(&body, "storage");
	buf_json_begin(&body, '{');
	buf_json_key(&body, "status");
	buf_json_string(&body, ping->is_up ? "up" : "down");
	buf_json_key(&body, "backend");
	buf_json_string(&body, storage_backend(w->storage));
	buf_json_key(&body, "latency_ms");
	buf_printf(&body, "%.3f", (double)ping->took_us / 1e3);
	buf_json_end(&body, '}');
	if (redis != QUOTA_LOCAL)
		add_redis(&body, redis, redis_us);
	buf_json_end(&body, '}');
	buf_json_end(&body, '}');
	respond_json(r, ping->is_up ? 200 : 503, &body);
	buf_deinit(&body);
}

void health_get(struct request *r)
{
	health_check(r, answer_health);
}

static void respond_state(struct request *r, int status, const char *state)
{
	struct buf body;

	buf_init(&body, MAX_ANSWER_BYTES);
	buf_json_begin(&body, '{');
	buf_json_key(&body, "status");
	buf_json_string(&body, state);
	buf_json_end(&body, '}');
	respond_json(r, status, &body);
	buf_deinit(&body);
}

void health_live_get(struct request *r)
{
	respond_state(r, 200, "alive");
}

static void answer_ready(struct request *r, const struct worker_ping *ping)
{
	if (ping->is_up)
		respond_state(r, 200, "ready");
	else
		respond_state(r, 503, "storage down");
}

void health_ready_get(struct request *r)
{
	if (is_shutting_down(worker_of(r)->server))
		respond_state(r, 503, "draining");
	else
		health_check(r, answer_ready);
}

void counters_get(struct request *r)
{
	const struct server *s = worker_of(r)->server;
	struct server_counts counts = server_counts(s);
	struct buf body;

	buf_init(&body, MAX_ANSWER_BYTES);
	buf_json_begin(&body, '{');
	buf_json_key(&body, "active_requests");
	buf_json_int(&body, (int64_t)counts.active_requests);
	buf_json_key(&body, "last_received");
	if (counts.last_received_us > 0)
		buf_json_time(&body, counts.last_received_us, 0);
	else
		buf_json_raw(&body, NULL);
	buf_json_key(&body, "shutting_down");
	buf_json_bool(&body, is_shutting_down(s));
	buf_json_key(&body, "start_time");
	buf_json_time(&body, s->started_us, 0);
	buf_json_key(&body, "total_bytes");
	buf_json_int(&body, (int64_t)counts.bytes);
	buf_json_key(&body, "total_emails");
	buf_json_int(&body, (int64_t)counts.emails);
	add_uptime(&body, "uptime_seconds", s);
	buf_json_end(&body, '}');
	respond_json(r, 200, &body);
	buf_deinit(&body);
}
