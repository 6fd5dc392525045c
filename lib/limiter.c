/* SPDX-License-Identifier: MIT */
#include "lib/limiter.h"
#include "lib/keyed.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <time.h>

enum { SHARDS = 16, CACHE_LINE = 64 };

struct shard {
	alignas(CACHE_LINE) pthread_mutex_t lock;
	struct keyed *buckets; /* struct bucket */
};

struct limiter {
	struct shard shards[SHARDS];
};

uint64_t limiter_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static enum keyed_worth worth(const void *entry, void *data)
{
	const struct bucket *b = entry;
	uint64_t now_ns = *(uint64_t *)data;

	return bucket_tokens(b, now_ns) == b->rate.burst ? KEYED_SPARE : KEYED_USED;
}

struct limiter *limiter_new(size_t max_buckets)
{
	struct limiter *l = aligned_alloc(CACHE_LINE, sizeof(*l));

	if (l == NULL)
		abort();
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&l->shards[i].lock, NULL);
		l->shards[i].buckets = keyed_new(
			(max_buckets + SHARDS - 1) / SHARDS, sizeof(struct bucket), worth);
	}
	return l;
}

void limiter_free(struct limiter **l)
{
	if (*l == NULL)
		return;
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&(*l)->shards[i].lock);
		keyed_free(&(*l)->shards[i].buckets);
	}
	free(*l);
	*l = NULL;
}

/* FNV-1a. Where a name goes need not be a secret: the tables within are seeded. */
static struct shard *shard_of(struct limiter *l, struct slice name)
{
	uint32_t h = 2166136261;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (uint8_t)name.base[i]) * 16777619;
	return &l->shards[(h >> 16) % SHARDS];
}

struct bucket_state bucket_state_of(const struct bucket *b, uint64_t now_ns)
{
	return (struct bucket_state){
		.per_minute = b->rate.per_minute,
		.tokens = bucket_tokens(b, now_ns),
		.full_ns = bucket_until(b, now_ns, b->rate.burst),
		.retry_ns = bucket_until(b, now_ns, 1),
	};
}

static void keep_rate(struct bucket *b, struct bucket_rate rate, uint64_t now_ns)
{
	if (b->rate.per_minute != rate.per_minute || b->rate.burst != rate.burst)
		bucket_set_rate(b, rate, now_ns);
}

enum bucket_verdict limiter_take(struct limiter *l, struct slice name, struct bucket_rate rate,
	uint64_t now_ns, uint32_t n, struct bucket_state *state_r)
{
	struct shard *shard = shard_of(l, name);
	enum bucket_verdict verdict;
	uint64_t retry_ns = 0;

	pthread_mutex_lock(&shard->lock);
	struct bucket *b = keyed_find(shard->buckets, name);
	if (b == NULL) {
		b = keyed_add(shard->buckets, name, &now_ns); /* none is ever held */
		bucket_init(b, rate, now_ns);
	}
	keep_rate(b, rate, now_ns);
	verdict = bucket_take(b, now_ns, n, &retry_ns);
	*state_r = bucket_state_of(b, now_ns);
	pthread_mutex_unlock(&shard->lock);
	return verdict;
}

struct bucket_state limiter_look(
	struct limiter *l, struct slice name, struct bucket_rate rate, uint64_t now_ns)
{
	struct shard *shard = shard_of(l, name);
	struct bucket then;

	bucket_init(&then, rate, now_ns);
	pthread_mutex_lock(&shard->lock);
	const struct bucket *b = keyed_find(shard->buckets, name);
	if (b != NULL)
		then = *b;
	pthread_mutex_unlock(&shard->lock);
	keep_rate(&then, rate, now_ns);
	return bucket_state_of(&then, now_ns);
}
