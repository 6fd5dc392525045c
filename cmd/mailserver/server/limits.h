/* SPDX-License-Identifier: MIT */
/* limits.h - the server's rate limits, as its configuration wants them */
#ifndef CMD_MAILSERVER_SERVER_LIMITS_H
#define CMD_MAILSERVER_SERVER_LIMITS_H

#include "lib/config/config.h"
#include "lib/redis/url.h"
#include "middleware/rate_limit.h"

struct worker;

struct server_limits {
	struct rate_limits rates; /* what the chain asks */
	struct limiter *tokens;   /* by name, of this process */
	struct arena *arena;      /* the URL's strings */
	struct redis_url redis;
	const struct redis_url *shared; /* &redis, or NULL without */
	unsigned timeout_ms;
};

/* -1, with the reason logged, when redis.url is none. */
int limits_open(struct server_limits *l, const struct config *config);
/* After the last worker. Also half made. */
void limits_close(struct server_limits *l);

/* On the worker's thread: its own quota. */
struct quota *limits_open_quota(struct server_limits *l, struct worker *w);

#endif
