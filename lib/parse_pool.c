/* SPDX-License-Identifier: MIT */
#include "lib/parse_pool.h"
#include "lib/parse_pool_internal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
	WATCH_INTERVAL_MS = 20, /* how late a deadline may be noticed */
	KEEP_BUFFER_BYTES = 256 *
			    1024, /* a larger copy of a message is let go of after its parse */
};

struct worker {
	struct worker *next; /* in the pool's list, unless lost */
	struct parse_pool *pool;
	pthread_t thread; /* joined by parse_pool_free(), or detached when lost */
	clockid_t cpu_clock;
	char *copy; /* of the message: a job that is given up takes its bytes along */
	size_t copy_size;

	/* Under the pool's lock. */
	struct parse_job *parsing; /* NULL when not within the parser, or given up */
	int64_t cpu_began_ms, wall_began_ms;
	bool lost;
};

/* Lost threads may outlive parse_pool_free(): each holds a reference, as the owner does. */
struct parse_pool {
	struct parse_pool_settings set;
	parse_fn *parse;

	pthread_mutex_t lock; /* over all that follows */
	pthread_cond_t work, watch;
	pthread_t watcher;
	struct parse_job *first, **last;
	struct worker *workers;
	unsigned waiting, running, live, lost, references;
	uint64_t deadlines;
	bool stopping;
	bool watcher_sleeps; /* until told of a parse; else it looks again by itself */
};

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Gives up the lock and one reference, and with the last one the pool. */
static void unlock_and_release(struct parse_pool *pool)
{
	bool last = --pool->references == 0;

	pthread_mutex_unlock(&pool->lock);
	if (!last)
		return;
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->watch);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void wake_watcher(struct parse_pool *pool)
{
	if (!pool->watcher_sleeps)
		return;
	pool->watcher_sleeps = false;
	pthread_cond_signal(&pool->watch);
}

/* Under the lock. NULL when nothing waits. */
static struct parse_job *take_job(struct parse_pool *pool)
{
	struct parse_job *job = pool->first;

	if (job == NULL)
		return NULL;
	pool->first = job->next;
	if (pool->first == NULL)
		pool->last = &pool->first;
	job->next = NULL;
	pool->waiting--;
	pool->running++;
	return job;
}

/* The job is its owner's again from here on. */
static void answer(struct parse_pool *pool, struct parse_job *job)
{
	pthread_mutex_lock(&pool->lock);
	pool->running--;
	pthread_mutex_unlock(&pool->lock);
	loop_post(job->reply_to, &job->mail);
}

static void complete(struct parse_pool *pool, struct parse_job *job, struct mime_message *mime)
{
	job->mime = mime;
	if (job->finish != NULL)
		job->finish(job);
	answer(pool, job);
}

/* False when the job is answered already. */
static bool prepare(struct parse_pool *pool, struct parse_job *job)
{
	job->mime = NULL;
	if (job->prepare == NULL || job->prepare(job))
		return true;
	answer(pool, job);
	return false;
}

static void copy_message(struct worker *w, struct slice raw)
{
	if (w->copy_size < raw.len || w->copy == NULL) {
		free(w->copy);
		w->copy_size = raw.len > 0 ? raw.len : 1;
		w->copy = h2o_mem_alloc(w->copy_size);
	}
	if (raw.len > 0)
		memcpy(w->copy, raw.base, raw.len);
}

static void release_large_copy(struct worker *w)
{
	if (w->copy_size > KEEP_BUFFER_BYTES) {
		free(w->copy);
		w->copy = NULL;
		w->copy_size = 0;
	}
}

static void *worker_main(void *arg);

/* Under the lock. A system that has no thread to give just now leaves the pool a smaller one. */
static void start_worker(struct parse_pool *pool)
{
	struct worker *w = h2o_mem_alloc(sizeof(*w));

	*w = (struct worker){ .pool = pool };
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
		free(w);
		return;
	}
	w->next = pool->workers;
	pool->workers = w;
	pool->live++;
}

/* Under the lock: takes a thread off the list and leaves it to itself, with a reference. */
static void lose_worker(struct parse_pool *pool, struct worker *w)
{
	struct worker **link = &pool->workers;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	w->lost = true;
	pthread_detach(w->thread);
	pool->live--;
	pool->lost++;
	pool->references++;
}

static void free_worker(struct worker *w)
{
	free(w->copy);
	free(w);
}

/* A lost thread is back, and ends; if its place is still empty, a fresh one takes it. */
static void end_lost(struct worker *w)
{
	struct parse_pool *pool = w->pool;

	free_worker(w);
	pthread_mutex_lock(&pool->lock);
	pool->lost--;
	if (!pool->stopping && pool->live < pool->set.threads)
		start_worker(pool);
	unlock_and_release(pool);
}

/* False when the job was given up meanwhile: the thread is lost, and not the pool's any more. */
static bool run_job(struct worker *w, struct parse_job *job)
{
	struct parse_pool *pool = w->pool;
	struct mime_message *mime;
	bool given_up;

	if (!prepare(pool, job))
		return true;
	struct slice raw = job->raw;
	copy_message(w, raw);

	pthread_mutex_lock(&pool->lock);
	w->cpu_began_ms = clock_ms(w->cpu_clock);
	w->wall_began_ms = clock_ms(CLOCK_MONOTONIC);
	w->parsing = job;
	wake_watcher(pool);
	pthread_mutex_unlock(&pool->lock);

	mime = pool->parse(w->copy, raw.len, &pool->set.limits);

	pthread_mutex_lock(&pool->lock);
	given_up = w->lost;
	w->parsing = NULL;
	pthread_mutex_unlock(&pool->lock);

	if (given_up) {
		mime_message_free(&mime);
		return false;
	}
	release_large_copy(w);
	complete(pool, job, mime);
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct parse_pool *pool = w->pool;
	struct parse_job *job;

	pthread_getcpuclockid(pthread_self(), &w->cpu_clock);
	for (;;) {
		pthread_mutex_lock(&pool->lock);
		while ((job = take_job(pool)) == NULL && !pool->stopping)
			pthread_cond_wait(&pool->work, &pool->lock);
		pthread_mutex_unlock(&pool->lock);
		if (job == NULL)
			return NULL; /* parse_pool_free() joins this thread and frees its worker */
		if (!run_job(w, job)) {
			end_lost(w);
			return NULL;
		}
	}
}

static bool is_late(const struct worker *w)
{
	const struct parse_pool_settings *set = &w->pool->set;

	return w->parsing != NULL &&
	       (clock_ms(w->cpu_clock) - w->cpu_began_ms > set->deadline_cpu_ms ||
		       clock_ms(CLOCK_MONOTONIC) - w->wall_began_ms > set->deadline_wall_ms);
}

/* Under the lock: the first job that is past its deadline, taken away from its thread, which is then
 * lost and, within limits, replaced. NULL when all are in time. */
static struct parse_job *give_up_one(struct parse_pool *pool)
{
	struct worker *w = pool->workers;

	while (w != NULL && !is_late(w))
		w = w->next;
	if (w == NULL)
		return NULL;
	struct parse_job *job = w->parsing;
	w->parsing = NULL;
	lose_worker(pool, w);
	pool->deadlines++;
	if (pool->lost <= pool->set.max_lost_threads)
		start_worker(pool);
	return job;
}

static bool any_parsing(const struct parse_pool *pool)
{
	const struct worker *w = pool->workers;

	while (w != NULL && w->parsing == NULL)
		w = w->next;
	return w != NULL;
}

/* Under the lock. Sleeps until there is a parse to watch and then for an interval, during which it
 * need not be told of others. */
static void watch_wait(struct parse_pool *pool)
{
	struct timespec until;

	if (!any_parsing(pool)) {
		pool->watcher_sleeps = true;
		while (pool->watcher_sleeps && !pool->stopping)
			pthread_cond_wait(&pool->watch, &pool->lock);
	}
	if (pool->stopping || pool->live == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WATCH_INTERVAL_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&pool->watch, &pool->lock, &until);
}

/* Keeps the deadlines, and answers in place of the workers when all of them are lost. */
static void *watcher_main(void *arg)
{
	struct parse_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		struct parse_job *late = give_up_one(pool), *job = NULL;
		if (late == NULL && pool->live == 0)
			job = take_job(pool);
		if (late == NULL && job == NULL) {
			watch_wait(pool);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		if (late != NULL)
			complete(pool, late, mime_unparsed("deadline"));
		else if (prepare(pool, job))
			complete(pool, job, mime_unparsed("overload"));
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct parse_pool *parse_pool_new_with(const struct parse_pool_settings *set, parse_fn *parse)
{
	struct parse_pool *pool = h2o_mem_alloc(sizeof(*pool));
	pthread_condattr_t monotonic;

	assert(set->threads >= 1);
	*pool = (struct parse_pool){ .set = *set, .parse = parse, .references = 1 };
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->watch, &monotonic);
	pthread_condattr_destroy(&monotonic);

	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < set->threads; i++)
		start_worker(pool);
	if (pool->live == 0 || pthread_create(&pool->watcher, NULL, watcher_main, pool) != 0)
		h2o_fatal("no thread left to parse messages with");
	pthread_mutex_unlock(&pool->lock);
	return pool;
}

struct parse_pool *parse_pool_new(const struct parse_pool_settings *set)
{
	return parse_pool_new_with(set, mime_parse);
}

void parse_pool_free(struct parse_pool **pool)
{
	struct parse_pool *p = *pool;

	if (p == NULL)
		return;
	*pool = NULL;
	pthread_mutex_lock(&p->lock);
	assert(p->waiting == 0 && p->running == 0);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_cond_signal(&p->watch);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->watcher, NULL);
	for (struct worker *w = p->workers, *next; w != NULL; w = next) {
		next = w->next; /* nobody else changes the list of a pool that stops */
		pthread_join(w->thread, NULL);
		free_worker(w);
	}
	pthread_mutex_lock(&p->lock);
	unlock_and_release(p);
}

static void on_answer(struct loop_mailbox *box, struct loop_mail *mail)
{
	struct parse_job *job = H2O_STRUCT_FROM_MEMBER(struct parse_job, mail, mail);

	job->done(job);
}

void parse_mailbox_init(struct loop_mailbox *box, struct loop *loop)
{
	loop_mailbox_init(box, loop, on_answer);
}

void parse_pool_submit(struct parse_pool *pool, struct parse_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->last = job;
	pool->last = &job->next;
	pool->waiting++;
	if (pool->live > 0)
		pthread_cond_signal(&pool->work);
	else
		wake_watcher(pool);
	pthread_mutex_unlock(&pool->lock);
}

bool parse_pool_cancel(struct parse_pool *pool, struct parse_job *job)
{
	bool found = false;

	pthread_mutex_lock(&pool->lock);
	struct parse_job **link = &pool->first;
	while (*link != NULL && *link != job)
		link = &(*link)->next;
	if (*link == job) {
		*link = job->next;
		if (*link == NULL)
			pool->last = link;
		pool->waiting--;
		found = true;
	}
	pthread_mutex_unlock(&pool->lock);
	return found;
}

struct parse_pool_stats parse_pool_stats(struct parse_pool *pool)
{
	struct parse_pool_stats stats;

	pthread_mutex_lock(&pool->lock);
	stats = (struct parse_pool_stats){
		.waiting = pool->waiting,
		.running = pool->running,
		.lost = pool->lost,
		.deadlines = pool->deadlines,
	};
	pthread_mutex_unlock(&pool->lock);
	return stats;
}
