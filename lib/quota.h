/* SPDX-License-Identifier: MIT */
/* quota.h - may this caller do one thing more?
 *
 * Without Redis the answer comes from the process' own buckets (lib/limiter.h), at once. With it
 * the bucket is common to all instances: each worker leases a few tokens at a time from it, more when
 * they go fast (up to a 20th of the burst, and to what comes in 50 ms), so that most questions ask
 * nobody. A lease that was not used up within a second is given up. So never more than the limit
 * gets through; and what is lost to unused leases is, for each worker of each instance, at most one
 * lease a second.
 *
 * The process' own bucket is charged as well. It takes over, in the state that this instance left it
 * in, as soon as Redis is gone, answers an error, or has not answered within `timeout_ms`.
 *
 * Threads    One quota per worker, all of it on its loop's thread.
 * Memory     A bounded number of leases; the one longest unused is forgotten for a new one. */
#ifndef LIB_QUOTA_H
#define LIB_QUOTA_H

#include "lib/limiter.h"
#include "lib/loop.h"

struct quota;
struct redis_url;

struct quota_settings {
	struct limiter *local; /* borrowed */
	struct loop *loop;
	const struct redis_url *redis; /* borrowed; NULL: limits are this process' own */
	unsigned timeout_ms;           /* what a question may wait for Redis */
	void (*changed)(void *data, bool up, const char *reason); /* Redis; for the log */
	void *data;
};

enum quota_verdict { QUOTA_OK, QUOTA_SPENT, QUOTA_WAITING };

/* To be embedded in the asker's own. With WAITING it belongs to the quota until `done`. */
struct quota_ask {
	struct slice name; /* borrowed as long */
	struct bucket_rate rate;
	void (*done)(struct quota_ask *ask, enum quota_verdict verdict);
	struct bucket_state state; /* set with OK and SPENT */
	h2o_linklist_t in_lease, by_age;
	uint64_t until_ms;
};

struct quota *quota_open(const struct quota_settings *set);
/* Nothing may be waiting. Accepts a pointer to NULL. */
void quota_close(struct quota **q);

/* With WAITING `done` is called later, and never before this returns. */
enum quota_verdict quota_take(struct quota *q, struct quota_ask *ask);
/* How often Redis was lost, not to be had, answered an error, or too late. */
uint64_t quota_backend_errors(const struct quota *q);

enum quota_backend { QUOTA_LOCAL, QUOTA_SHARED, QUOTA_SHARED_DOWN };
/* `*latency_us_r` is of Redis' last answer; set with SHARED. */
enum quota_backend quota_backend(const struct quota *q, int64_t *latency_us_r);

#endif
