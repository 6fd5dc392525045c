/* SPDX-License-Identifier: MIT */
/* The driver's face to the loops: stores, their bounds, and the way of an operation to the threads
 * of its database file and back. */
#include "storage/sqlite/core.h"
#include "storage/sqlite/migrate.h"
#include "storage/sqlite/purge.h"
#include "storage/sqlite/receipts.h"
#include "storage/sqlite/reparse.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static bool sqlite_accepts(const char *url)
{
	return strncmp(url, "sqlite:", strlen("sqlite:")) == 0;
}

static struct sqlite_store *store_of(struct storage *st)
{
	return (struct sqlite_store *)st;
}

static void answer(struct sqlite_job *job)
{
	struct sqlite_store *st = job->store;

	switch (job->verb) {
	case SQLITE_VERB_PUT:
		st->puts--;
		st->put_bytes -= job->op.put->message->raw.len;
		job->op.put->done(job->op.put, job->result);
		break;
	case SQLITE_VERB_PING:
		st->pings--;
		job->op.ping->done(job->op.ping, job->result);
		break;
	case SQLITE_VERB_GET:
		st->reads--;
		job->op.get->done(job->op.get, job->result, job->record);
		break;
	case SQLITE_VERB_RAW:
		st->reads--;
		job->op.raw->done(job->op.raw, job->result, job->raw);
		break;
	case SQLITE_VERB_PART:
		st->reads--;
		job->op.part->done(job->op.part, job->result, job->part);
		break;
	case SQLITE_VERB_RANGE:
		st->reads--;
		job->op.range->done(job->op.range, job->result, job->raw);
		break;
	}
}

static void on_answer(struct loop_mailbox *box, struct loop_mail *mail)
{
	struct sqlite_job *job = H2O_STRUCT_FROM_MEMBER(struct sqlite_job, mail, mail);

	answer(job);
	arena_free(&job->arena);
	free(job);
}

static int sqlite_open(const struct storage_settings *set, struct loop *loop, struct storage **st_r,
	char **error_r)
{
	char *path = sqlite_path(set->url, error_r);

	if (path == NULL)
		return -1;
	struct sqlite_store *st = h2o_mem_alloc(sizeof(*st));
	*st = (struct sqlite_store){ .base.driver = &storage_sqlite, .settings = *set };
	loop_mailbox_init(&st->answers, loop, on_answer);
	st->core = sqlite_core_attach(st, path, error_r);
	free(path);
	if (st->core == NULL) {
		loop_mailbox_deinit(&st->answers);
		free(st);
		return -1;
	}
	*st_r = &st->base;
	return 0;
}

static void sqlite_close(struct storage *base)
{
	struct sqlite_store *st = store_of(base);

	assert(st->puts == 0 && st->reads == 0 && st->pings == 0);
	sqlite_core_detach(st);
	loop_mailbox_deinit(&st->answers);
	free(st);
}

static struct sqlite_job *job_new(struct sqlite_store *st, enum sqlite_verb verb)
{
	struct sqlite_job *job = h2o_mem_alloc(sizeof(*job));

	*job = (struct sqlite_job){ .store = st, .verb = verb, .result = STORAGE_UNAVAILABLE };
	return job;
}

/* Over its bounds an operation goes straight back, as unavailable, by the way all answers go. */
static void submit(struct sqlite_job *job, bool within_bounds)
{
	if (within_bounds)
		sqlite_core_submit(job->store->core, job);
	else
		loop_post(&job->store->answers, &job->mail);
}

static void sqlite_put(struct storage *base, struct storage_put *op)
{
	struct sqlite_store *st = store_of(base);
	struct sqlite_job *job = job_new(st, SQLITE_VERB_PUT);

	job->op.put = op;
	st->puts++;
	st->put_bytes += op->message->raw.len;
	submit(job, st->puts <= st->settings.queue_messages &&
			    (st->put_bytes <= st->settings.queue_bytes || st->puts == 1));
}

static void sqlite_ping(struct storage *base, struct storage_ping *op)
{
	struct sqlite_store *st = store_of(base);
	struct sqlite_job *job = job_new(st, SQLITE_VERB_PING);

	job->op.ping = op;
	st->pings++;
	submit(job, st->pings <= st->settings.queue_messages);
}

static void submit_read(struct sqlite_job *job)
{
	struct sqlite_store *st = job->store;

	st->reads++;
	submit(job, st->reads <= st->settings.queue_messages);
}

static void sqlite_get(struct storage *base, struct storage_get *op)
{
	struct sqlite_job *job = job_new(store_of(base), SQLITE_VERB_GET);

	job->op.get = op;
	submit_read(job);
}

static void sqlite_raw(struct storage *base, struct storage_raw *op)
{
	struct sqlite_job *job = job_new(store_of(base), SQLITE_VERB_RAW);

	job->op.raw = op;
	submit_read(job);
}

static void sqlite_part(struct storage *base, struct storage_part *op)
{
	struct sqlite_job *job = job_new(store_of(base), SQLITE_VERB_PART);

	job->op.part = op;
	submit_read(job);
}

static void sqlite_range(struct storage *base, struct storage_range *op)
{
	struct sqlite_job *job = job_new(store_of(base), SQLITE_VERB_RANGE);

	job->op.range = op;
	submit_read(job);
}

static void sqlite_stats(const struct storage *base, struct storage_stats *stats_r)
{
	const struct sqlite_store *st = (const struct sqlite_store *)base;

	*stats_r = (struct storage_stats){ .queue_depth = st->puts + st->reads + st->pings };
}

const struct storage_driver storage_sqlite = {
	.name = "sqlite",
	.accepts = sqlite_accepts,
	.migrate = sqlite_migrate,
	.purge = sqlite_purge,
	.list_receipts = sqlite_list_receipts,
	.fates = sqlite_fates,
	.reparse = sqlite_reparse,
	.open = sqlite_open,
	.close = sqlite_close,
	.put = sqlite_put,
	.get = sqlite_get,
	.raw = sqlite_raw,
	.part = sqlite_part,
	.range = sqlite_range,
	.ping = sqlite_ping,
	.stats = sqlite_stats,
};
