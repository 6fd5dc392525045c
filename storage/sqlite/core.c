/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/core.h"
#include "storage/sqlite/blobs.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { READERS = 2 };

struct queue {
	pthread_cond_t filled;
	struct sqlite_job *first, **end;
};

struct sqlite_core {
	struct sqlite_core *next; /* in the table */
	char *path;
	struct sqlite_lock *file;           /* NULL: for a program that accepts no mail */
	size_t batch_messages, batch_bytes; /* as the first store wanted it */

	/* Held by readers at work, and by the writer when it wants them to pause. */
	pthread_rwlock_t reading;
	atomic_bool log_is_long;

	pthread_mutex_t lock; /* the queues and `stopping` */
	struct queue writes, reads;
	bool stopping;
	pthread_t writer, readers[READERS];

	/* Held while a store of the list is written or logged to. A store that took itself out is left
	 * alone from then on, even by a thread that just answered it. */
	pthread_mutex_t speaking;
	struct sqlite_store *stores;
};

/* Every core of the process. The lock is held through starting and stopping one, so that there are
 * never two for the same file. */
static struct {
	pthread_mutex_t lock;
	struct sqlite_core *first;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Readers that came later do not go first: there might always be one. */
static void reading_init(pthread_rwlock_t *reading)
{
	pthread_rwlockattr_t kind;

	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(reading, &kind);
	pthread_rwlockattr_destroy(&kind);
}

static void queue_init(struct queue *q)
{
	pthread_cond_init(&q->filled, NULL);
	q->first = NULL;
	q->end = &q->first;
}

/* The first job, taken off; NULL when there is none. */
static struct sqlite_job *queue_take(struct queue *q)
{
	struct sqlite_job *job = q->first;

	if (job == NULL)
		return NULL;
	q->first = job->next;
	if (q->first == NULL)
		q->end = &q->first;
	job->next = NULL;
	return job;
}

void sqlite_core_submit(struct sqlite_core *core, struct sqlite_job *job)
{
	bool writes = job->verb == SQLITE_VERB_PUT || job->verb == SQLITE_VERB_PING;
	struct queue *q = writes ? &core->writes : &core->reads;

	job->next = NULL;
	pthread_mutex_lock(&core->lock);
	*q->end = job;
	q->end = &job->next;
	pthread_cond_signal(&q->filled);
	pthread_mutex_unlock(&core->lock);
}

/* False when the core is stopping and nothing is left to do. */
static bool wait_for_jobs(struct sqlite_core *core, struct queue *q)
{
	while (q->first == NULL && !core->stopping)
		pthread_cond_wait(&q->filled, &core->lock);
	return q->first != NULL;
}

static size_t bytes_of(const struct sqlite_job *job)
{
	return job->verb == SQLITE_VERB_PUT ? job->op.put->message->raw.len : 0;
}

/* What waits, up to the bounds of a batch, but always one. */
static struct sqlite_job *take_batch(struct sqlite_core *core)
{
	struct sqlite_job *batch = NULL, **end = &batch;
	size_t n = 0, bytes = 0;

	pthread_mutex_lock(&core->lock);
	if (wait_for_jobs(core, &core->writes)) {
		do {
			bytes += bytes_of(core->writes.first);
			*end = queue_take(&core->writes);
			end = &(*end)->next;
			n++;
		} while (core->writes.first != NULL && n < core->batch_messages &&
			 bytes + bytes_of(core->writes.first) <= core->batch_bytes);
	}
	pthread_mutex_unlock(&core->lock);
	return batch;
}

/* The same, but for as long as something is kept that must be let go of at some moment. */
static bool wait_for_reads(struct sqlite_core *core, struct sqlite_blobs *blobs)
{
	int64_t due_us;

	while (core->reads.first == NULL && !core->stopping &&
		(due_us = sqlite_blobs_due_us(blobs)) != 0) {
		struct timespec due = { due_us / 1000000, due_us % 1000000 * 1000 };
		if (pthread_cond_clockwait(
			    &core->reads.filled, &core->lock, CLOCK_MONOTONIC, &due) == ETIMEDOUT)
			sqlite_blobs_let_go(blobs);
	}
	return wait_for_jobs(core, &core->reads);
}

static struct sqlite_job *take_read(struct sqlite_core *core, struct sqlite_blobs *blobs)
{
	struct sqlite_job *job;

	pthread_mutex_lock(&core->lock);
	wait_for_reads(core, blobs);
	job = queue_take(&core->reads);
	pthread_mutex_unlock(&core->lock);
	return job;
}

static void send_home(struct sqlite_core *core, struct sqlite_job *jobs)
{
	pthread_mutex_lock(&core->speaking);
	for (struct sqlite_job *job = jobs, *next; job != NULL; job = next) {
		next = job->next;
		loop_post(&job->store->answers, &job->mail);
	}
	pthread_mutex_unlock(&core->speaking);
}

static void *writer_main(void *arg)
{
	struct sqlite_core *core = arg;
	struct sqlite_connection *c = sqlite_connection_new(
		core, core->path, sqlite_write_statements);
	struct sqlite_job *batch;

	while ((batch = take_batch(core)) != NULL) {
		sqlite_write_batch(core, c, batch);
		send_home(core, batch);
	}
	sqlite_connection_free(&c);
	return NULL;
}

static void *reader_main(void *arg)
{
	struct sqlite_core *core = arg;
	struct sqlite_connection *c = sqlite_connection_new(
		core, core->path, sqlite_read_statements);
	struct sqlite_blobs *blobs = sqlite_blobs_new(core, core->path);
	struct sqlite_job *job;

	while ((job = take_read(core, blobs)) != NULL) {
		pthread_rwlock_rdlock(&core->reading);
		sqlite_read(c, blobs, job);
		pthread_rwlock_unlock(&core->reading);
		send_home(core, job);
	}
	sqlite_blobs_free(&blobs);
	sqlite_connection_free(&c);
	return NULL;
}

void sqlite_core_log(struct sqlite_core *core, enum storage_log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	pthread_mutex_lock(&core->speaking);
	if (core->stores != NULL && core->stores->settings.log != NULL)
		core->stores->settings.log(core->stores->settings.log_data, level, line);
	pthread_mutex_unlock(&core->speaking);
}

void sqlite_core_committed(struct sqlite_core *core, unsigned messages)
{
	pthread_mutex_lock(&core->speaking);
	const struct storage_settings *set = core->stores != NULL ? &core->stores->settings : NULL;
	if (set != NULL && set->committed != NULL)
		set->committed(set->committed_data, messages);
	pthread_mutex_unlock(&core->speaking);
}

void sqlite_core_note_log(struct sqlite_core *core, bool is_long)
{
	atomic_store(&core->log_is_long, is_long);
}

bool sqlite_core_log_is_long(const struct sqlite_core *core)
{
	return atomic_load(&core->log_is_long);
}

void sqlite_core_pause_reading(struct sqlite_core *core)
{
	pthread_rwlock_wrlock(&core->reading);
}

void sqlite_core_resume_reading(struct sqlite_core *core)
{
	pthread_rwlock_unlock(&core->reading);
}

static void stop_threads(struct sqlite_core *core, bool writer, unsigned readers)
{
	pthread_mutex_lock(&core->lock);
	core->stopping = true;
	pthread_cond_broadcast(&core->writes.filled);
	pthread_cond_broadcast(&core->reads.filled);
	pthread_mutex_unlock(&core->lock);
	for (unsigned i = 0; i < readers; i++)
		pthread_join(core->readers[i], NULL);
	if (writer)
		pthread_join(core->writer, NULL);
}

/* All or none. They take no signals: those are for the main thread. */
static bool start_threads(struct sqlite_core *core)
{
	sigset_t all, before;
	unsigned readers = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool writer = pthread_create(&core->writer, NULL, writer_main, core) == 0;
	while (writer && readers < READERS &&
		pthread_create(&core->readers[readers], NULL, reader_main, core) == 0)
		readers++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (readers == READERS)
		return true;
	stop_threads(core, writer, readers);
	return false;
}

static void core_free(struct sqlite_core *core)
{
	pthread_cond_destroy(&core->writes.filled);
	pthread_cond_destroy(&core->reads.filled);
	pthread_mutex_destroy(&core->lock);
	pthread_mutex_destroy(&core->speaking);
	pthread_rwlock_destroy(&core->reading);
	sqlite_lock_release(&core->file);
	free(core->path);
	free(core);
}

static struct sqlite_core *core_new(
	const struct storage_settings *set, const char *path, char **error_r)
{
	struct sqlite_lock *file = NULL;

	if (sqlite_lock_take(path, set->listeners, &file, error_r) != 0)
		return NULL;
	struct sqlite_core *core = h2o_mem_alloc(sizeof(*core));
	*core = (struct sqlite_core){
		.path = h2o_strdup(NULL, path, SIZE_MAX).base,
		.file = file,
		.batch_messages = set->batch_messages,
		.batch_bytes = set->batch_bytes,
	};
	pthread_mutex_init(&core->lock, NULL);
	pthread_mutex_init(&core->speaking, NULL);
	reading_init(&core->reading);
	queue_init(&core->writes);
	queue_init(&core->reads);
	if (start_threads(core))
		return core;
	core_free(core);
	*error_r = strdup("no thread could be started for the database");
	return NULL;
}

/* The table's lock is held. */
static struct sqlite_core *core_find_or_start(
	const struct storage_settings *set, const char *path, char **error_r)
{
	struct sqlite_core *core = table.first;

	while (core != NULL && strcmp(core->path, path) != 0)
		core = core->next;
	if (core == NULL && (core = core_new(set, path, error_r)) != NULL) {
		core->next = table.first;
		table.first = core;
	}
	return core;
}

struct sqlite_core *sqlite_core_attach(struct sqlite_store *store, const char *path, char **error_r)
{
	pthread_mutex_lock(&table.lock);
	struct sqlite_core *core = core_find_or_start(&store->settings, path, error_r);
	if (core != NULL) {
		pthread_mutex_lock(&core->speaking);
		store->next = core->stores;
		core->stores = store;
		pthread_mutex_unlock(&core->speaking);
	}
	pthread_mutex_unlock(&table.lock);
	return core;
}

/* True when it was the last one. */
static bool leave(struct sqlite_core *core, struct sqlite_store *store)
{
	struct sqlite_store **at = &core->stores;

	pthread_mutex_lock(&core->speaking);
	while (*at != store)
		at = &(*at)->next;
	*at = store->next;
	bool last = core->stores == NULL;
	pthread_mutex_unlock(&core->speaking);
	return last;
}

void sqlite_core_detach(struct sqlite_store *store)
{
	struct sqlite_core *core = store->core, **at = &table.first;

	pthread_mutex_lock(&table.lock);
	if (leave(core, store)) {
		while (*at != core)
			at = &(*at)->next;
		*at = core->next;
		stop_threads(core, true, READERS);
		core_free(core);
	}
	pthread_mutex_unlock(&table.lock);
}
