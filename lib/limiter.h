/* SPDX-License-Identifier: MIT */
/* limiter.h - token buckets by name, shared by the threads of one process
 *
 * The number of buckets is bounded. When one more is needed, a full one goes, which says no more
 * than a new one would; when there is none among the oldest, the oldest: whoever it was for begins
 * with a full bucket the next time.
 *
 * Threads    Any. Names are spread over locks that are held for a few dozen nanoseconds. */
#ifndef LIB_LIMITER_H
#define LIB_LIMITER_H

#include "lib/bucket.h"
#include "lib/slice.h"

struct limiter;

/* What a caller is told of a bucket. */
struct bucket_state {
	uint32_t per_minute;
	uint32_t tokens;   /* whole ones left */
	uint64_t full_ns;  /* until it is full */
	uint64_t retry_ns; /* until a token is there; 0: now */
};

struct limiter *limiter_new(size_t max_buckets);
void limiter_free(struct limiter **l); /* accepts a pointer to NULL */

/* Takes `n` tokens from the bucket of that name, all or none; one that is not known is full. `now_ns`
 * is limiter_now_ns(), or a test's own clock. `*state_r` is as it is afterwards. */
enum bucket_verdict limiter_take(struct limiter *l, struct slice name, struct bucket_rate rate,
	uint64_t now_ns, uint32_t n, struct bucket_state *state_r);
/* Looks, and makes none. */
struct bucket_state limiter_look(
	struct limiter *l, struct slice name, struct bucket_rate rate, uint64_t now_ns);

/* The state of a bucket that nobody shares. */
struct bucket_state bucket_state_of(const struct bucket *b, uint64_t now_ns);

/* CLOCK_MONOTONIC. */
uint64_t limiter_now_ns(void);

#endif
