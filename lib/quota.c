/* SPDX-License-Identifier: MIT */
#include "lib/quota.h"
#include "lib/keyed.h"
#include "lib/redis/shared_bucket.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	MAX_LEASES = 1024,
	LEASE_PART = 20, /* of the burst, at most */
	LEASE_MS = 50,   /* of the rate, at most; used up sooner, the next one is larger */
	MINUTE_MS = 60000,
};

/* What Redis said holds so long. */
#define KNOWN_NS UINT64_C(1000000000)

/* A worker's share of one bucket. */
struct lease {
	struct shared_ask ask;
	struct quota *quota;
	bool asking;        /* `ask` is on its way, or its answer is being handed out */
	uint32_t left;      /* tokens that are ours */
	uint32_t size;      /* how many to ask for */
	struct bucket seen; /* the shared bucket, as of `told_ns` */
	uint64_t told_ns;   /* 0: nothing yet */
	uint64_t asked_ns;
	h2o_linklist_t waiting; /* struct quota_ask, the oldest first */
};

struct quota {
	struct quota_settings set;
	struct redis_link *link; /* NULL without Redis */
	struct keyed *leases;
	h2o_linklist_t waiting; /* of all leases, the oldest first */
	struct loop_timer deadline;
	uint64_t backend_errors;
};

static enum quota_verdict take_locally(struct quota *q, struct quota_ask *ask)
{
	enum bucket_verdict verdict = limiter_take(
		q->set.local, ask->name, ask->rate, limiter_now_ns(), 1, &ask->state);

	return verdict == BUCKET_TAKEN ? QUOTA_OK : QUOTA_SPENT;
}

/* --- leases --- */

static enum keyed_worth lease_worth(const void *entry, void *data)
{
	const struct lease *lease = entry;

	if (lease->asking)
		return KEYED_HELD;
	return lease->left == 0 ? KEYED_SPARE : KEYED_USED;
}

static struct lease *lease_of(struct quota *q, const struct quota_ask *ask)
{
	struct lease *lease = keyed_find(q->leases, ask->name);

	if (lease == NULL) {
		lease = keyed_add(q->leases, ask->name, NULL);
		if (lease == NULL)
			return NULL;
		lease->quota = q;
		lease->size = 1;
		h2o_linklist_init_anchor(&lease->waiting);
	}
	return lease;
}

static bool same_rate(struct bucket_rate a, struct bucket_rate b)
{
	return a.per_minute == b.per_minute && a.burst == b.burst;
}

/* What is too old, or was said of another rate, is not known any more. */
static void lease_refresh(struct lease *lease, struct bucket_rate rate, uint64_t now_ns)
{
	if (now_ns - lease->told_ns < KNOWN_NS && same_rate(lease->seen.rate, rate))
		return;
	lease->left = 0;
	lease->told_ns = 0;
}

static struct bucket_state lease_state(const struct lease *lease, uint64_t now_ns)
{
	struct bucket all = lease->seen;
	uint32_t room = all.rate.burst - all.tokens;

	all.tokens += lease->left < room ? lease->left : room;
	return bucket_state_of(&all, now_ns);
}

static uint32_t lease_max(struct bucket_rate rate)
{
	uint32_t by_burst = rate.burst / LEASE_PART;
	uint32_t by_rate = rate.per_minute / (MINUTE_MS / LEASE_MS);
	uint32_t max = by_burst < by_rate ? by_burst : by_rate;

	return max > 0 ? max : 1;
}

static void lease_resize(struct lease *lease, struct bucket_rate rate, uint64_t now_ns)
{
	bool went_fast = now_ns - lease->asked_ns < (uint64_t)LEASE_MS * 1000000;
	uint32_t size = went_fast ? lease->size * 2 : lease->size / 2, max = lease_max(rate);

	lease->size = size < 1 ? 1 : size > max ? max : size;
	lease->asked_ns = now_ns;
}

/* Takes one that is ours. The process' own bucket is charged too, for the day it takes over. */
static enum quota_verdict take_leased(struct lease *lease, struct quota_ask *ask)
{
	uint64_t now_ns = limiter_now_ns();

	lease->left--;
	limiter_take(lease->quota->set.local, ask->name, ask->rate, now_ns, 1, &ask->state);
	ask->state = lease_state(lease, now_ns);
	return QUOTA_OK;
}

static enum quota_verdict refuse(struct lease *lease, struct quota_ask *ask)
{
	ask->state = lease_state(lease, limiter_now_ns());
	return QUOTA_SPENT;
}

/* --- those who wait --- */

static struct quota_ask *first_waiting(struct lease *lease)
{
	if (h2o_linklist_is_empty(&lease->waiting))
		return NULL;
	return H2O_STRUCT_FROM_MEMBER(struct quota_ask, in_lease, lease->waiting.next);
}

static uint32_t count_waiting(const struct lease *lease)
{
	uint32_t n = 0;

	for (h2o_linklist_t *node = lease->waiting.next; node != &lease->waiting; node = node->next)
		n++;
	return n;
}

static void start_deadline(struct quota *q)
{
	if (h2o_linklist_is_empty(&q->waiting)) {
		loop_timer_stop(&q->deadline);
		return;
	}
	const struct quota_ask *oldest = H2O_STRUCT_FROM_MEMBER(
		struct quota_ask, by_age, q->waiting.next);
	uint64_t now_ms = loop_now_ms(q->set.loop);
	loop_timer_start(&q->deadline, oldest->until_ms > now_ms ? oldest->until_ms - now_ms : 0);
}

static void wait_begin(struct lease *lease, struct quota_ask *ask)
{
	struct quota *q = lease->quota;

	ask->in_lease = ask->by_age = (h2o_linklist_t){ NULL, NULL };
	ask->until_ms = loop_now_ms(q->set.loop) + q->set.timeout_ms;
	h2o_linklist_insert(&lease->waiting, &ask->in_lease);
	h2o_linklist_insert(&q->waiting, &ask->by_age);
	if (q->waiting.next == &ask->by_age)
		start_deadline(q);
}

static void wait_end(struct lease *lease, struct quota_ask *ask)
{
	bool was_oldest = lease->quota->waiting.next == &ask->by_age;

	h2o_linklist_unlink(&ask->in_lease);
	h2o_linklist_unlink(&ask->by_age);
	if (was_oldest)
		start_deadline(lease->quota);
}

/* --- questions to Redis, and its answers --- */

static void on_shared(struct shared_ask *shared, enum shared_result result,
	const struct shared_answer *answer, const char *reason);

/* On behalf of those who wait. */
static bool lease_ask(struct lease *lease)
{
	const struct quota_ask *first = first_waiting(lease);
	uint32_t waiting = count_waiting(lease);

	lease_resize(lease, first->rate, limiter_now_ns());
	lease->ask.name = first->name;
	lease->ask.rate = first->rate;
	lease->ask.wanted = waiting > lease->size ? waiting : lease->size;
	lease->ask.done = on_shared;
	lease->asking = shared_bucket_ask(lease->quota->link, &lease->ask);
	return lease->asking;
}

static void answer_locally(struct lease *lease)
{
	struct quota_ask *ask;

	while ((ask = first_waiting(lease)) != NULL) {
		wait_end(lease, ask);
		ask->done(ask, take_locally(lease->quota, ask));
	}
	lease->asking = false;
}

static void note(struct lease *lease, const struct shared_answer *answer, uint64_t now_ns)
{
	lease->left += answer->given;
	lease->told_ns = now_ns;
	lease->seen = (struct bucket){
		.rate = lease->ask.rate,
		.tokens = answer->tokens,
		.fraction = answer->fraction,
		.at_ns = now_ns,
	};
}

/* Whoever asks while this hands out finds `asking` true, and queues up behind the others. */
static void on_shared(struct shared_ask *shared, enum shared_result result,
	const struct shared_answer *answer, const char *reason)
{
	struct lease *lease = H2O_STRUCT_FROM_MEMBER(struct lease, ask, shared);
	struct quota_ask *ask;

	if (result != SHARED_OK) {
		if (result == SHARED_FAILED) /* the next one need not wait for the same */
			redis_link_drop(lease->quota->link, reason);
		answer_locally(lease);
		return;
	}
	note(lease, answer, limiter_now_ns());
	while (lease->left > 0 && (ask = first_waiting(lease)) != NULL) {
		wait_end(lease, ask);
		ask->done(ask, take_leased(lease, ask));
	}
	/* All that was wanted, and yet not enough: more of them came meanwhile. */
	if (answer->given == shared->wanted && first_waiting(lease) != NULL) {
		if (!lease_ask(lease))
			answer_locally(lease);
		return;
	}
	while ((ask = first_waiting(lease)) != NULL) {
		wait_end(lease, ask);
		ask->done(ask, refuse(lease, ask));
	}
	lease->asking = false;
}

static void on_deadline(void *data)
{
	struct quota *q = data;

	redis_link_drop(q->link, "no answer within redis.timeout_ms");
}

static enum quota_verdict take_shared(struct quota *q, struct quota_ask *ask)
{
	struct lease *lease = lease_of(q, ask);
	uint64_t now_ns = limiter_now_ns();

	if (lease == NULL)
		return take_locally(q, ask);
	if (!lease->asking) {
		lease_refresh(lease, ask->rate, now_ns);
		if (lease->left > 0)
			return take_leased(lease, ask);
		if (lease->told_ns != 0 && bucket_tokens(&lease->seen, now_ns) == 0)
			return refuse(lease, ask);
	}
	wait_begin(lease, ask);
	if (!lease->asking && !lease_ask(lease)) {
		wait_end(lease, ask);
		return take_locally(q, ask);
	}
	return QUOTA_WAITING;
}

enum quota_verdict quota_take(struct quota *q, struct quota_ask *ask)
{
	if (q->link != NULL && redis_link_is_up(q->link))
		return take_shared(q, ask);
	return take_locally(q, ask);
}

/* --- life --- */

static void on_changed(void *data, bool up, const char *reason)
{
	struct quota *q = data;

	q->set.changed(q->set.data, up, reason);
}

static void on_failed(void *data)
{
	struct quota *q = data;

	q->backend_errors++;
}

struct quota *quota_open(const struct quota_settings *set)
{
	struct quota *q = h2o_mem_alloc(sizeof(*q));

	*q = (struct quota){ .set = *set };
	h2o_linklist_init_anchor(&q->waiting);
	loop_timer_init(&q->deadline, set->loop, on_deadline, q);
	if (set->redis != NULL) {
		struct redis_link_settings link = {
			.url = set->redis,
			.loop = set->loop,
			.timeout_ms = set->timeout_ms,
			.changed = on_changed,
			.failed = on_failed,
			.data = q,
		};
		q->leases = keyed_new(MAX_LEASES, sizeof(struct lease), lease_worth);
		q->link = redis_link_open(&link);
	}
	return q;
}

void quota_close(struct quota **q)
{
	if (*q == NULL)
		return;
	assert(h2o_linklist_is_empty(&(*q)->waiting));
	redis_link_close(&(*q)->link);
	loop_timer_deinit(&(*q)->deadline);
	keyed_free(&(*q)->leases);
	free(*q);
	*q = NULL;
}

uint64_t quota_backend_errors(const struct quota *q)
{
	return q->backend_errors;
}

enum quota_backend quota_backend(const struct quota *q, int64_t *latency_us_r)
{
	if (q->link == NULL)
		return QUOTA_LOCAL;
	if (!redis_link_is_up(q->link))
		return QUOTA_SHARED_DOWN;
	*latency_us_r = redis_link_latency_us(q->link);
	return QUOTA_SHARED;
}
