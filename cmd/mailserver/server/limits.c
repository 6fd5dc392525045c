/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/limits.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/log.h"

enum {
	MAX_TOKENS = 16384,   /* buckets, not tokens that may be configured */
	MAX_GUESSERS = 65536, /* addresses: 9 MB when all of them guess */
	FAILURES_PER_MINUTE = 10,
	FAILURE_BURST = 10,
};

static struct quota *quota_of(const struct request *r)
{
	return worker_of(r)->quota;
}

int limits_open(struct server_limits *l, const struct config *config)
{
	*l = (struct server_limits){
		.arena = arena_new(),
		.timeout_ms = config->redis.timeout_ms,
		.tokens = limiter_new(MAX_TOKENS),
		.rates = {
			.quota_of = quota_of,
			.global = limiter_new(1),
			.failures = limiter_new(MAX_GUESSERS),
			.failure_rate = { FAILURES_PER_MINUTE, FAILURE_BURST },
		},
	};
	if (config->redis.url[0] == '\0')
		return 0;
	if (!redis_url_parse(l->arena, config->redis.url, &l->redis)) {
		log_say(LOG_ERROR,
			"redis.url is neither redis://[[user]:password@]host[:port][/db] "
			"nor unix:/path");
		return -1;
	}
	l->shared = &l->redis;
	return 0;
}

void limits_close(struct server_limits *l)
{
	limiter_free(&l->tokens);
	limiter_free(&l->rates.failures);
	limiter_free(&l->rates.global);
	arena_free(&l->arena);
}

static void on_redis_changed(void *data, bool up, const char *reason)
{
	const struct worker *w = data;

	if (up)
		log_say(LOG_INFO, "redis: worker %u is connected, limits are shared", w->index);
	else
		log_say(LOG_WARNING,
			"redis: worker %u has no connection, limits are this process' own: %s",
			w->index, reason);
}

struct quota *limits_open_quota(struct server_limits *l, struct worker *w)
{
	struct quota_settings set = {
		.local = l->tokens,
		.loop = w->loop,
		.redis = l->shared,
		.timeout_ms = l->timeout_ms,
		.changed = on_redis_changed,
		.data = w,
	};

	return quota_open(&set);
}
