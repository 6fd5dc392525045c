/* SPDX-License-Identifier: MIT */
/* null_driver.c - a storage that keeps nothing, for the bench alone
 *
 * Linked in the place of the Postgres driver, and configured as that one is, it leaves a server that
 * takes in, parses and answers as always: its rate is all that the database could let it have.
 * Every put is OK, every read NOT_FOUND, answered in the loop's next round. */
#include "storage/storage_driver.h"

#include <assert.h>
#include <stdlib.h>

enum verb { VERB_PUT, VERB_GET, VERB_RAW, VERB_PART, VERB_RANGE, VERB_PING };

struct answer {
	enum verb verb;
	void *op;
};

/* What waits for the next round. */
struct answers {
	struct answer *list;
	size_t count, space;
};

struct null_store {
	struct storage base;
	struct storage_settings set;
	struct loop_timer next_round;
	struct answers waiting, due;
};

static struct null_store *store_of(struct storage *st)
{
	return (struct null_store *)st;
}

static bool null_accepts(const char *url)
{
	return strncmp(url, "postgresql:", strlen("postgresql:")) == 0;
}

static enum storage_migrated null_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r)
{
	*applied_r = 0;
	return STORAGE_MIGRATED;
}

static enum storage_result null_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t at_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r)
{
	return STORAGE_OK;
}

static enum storage_result null_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r)
{
	return STORAGE_OK;
}

static enum storage_result null_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r)
{
	memset(fates_r, 0, count * sizeof(*fates_r));
	return STORAGE_OK;
}

static enum storage_result null_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r)
{
	return STORAGE_OK;
}

/* Whether it was a put. */
static bool give(const struct answer *answer)
{
	switch (answer->verb) {
	case VERB_PUT: {
		struct storage_put *op = answer->op;
		op->id = op->message->id;
		op->done(op, STORAGE_OK);
		return true;
	}
	case VERB_GET: {
		struct storage_get *op = answer->op;
		op->done(op, STORAGE_NOT_FOUND, NULL);
		break;
	}
	case VERB_RAW: {
		struct storage_raw *op = answer->op;
		op->done(op, STORAGE_NOT_FOUND, (struct slice){ NULL, 0 });
		break;
	}
	case VERB_PART: {
		struct storage_part *op = answer->op;
		op->done(op, STORAGE_NOT_FOUND, NULL);
		break;
	}
	case VERB_RANGE: {
		struct storage_range *op = answer->op;
		op->done(op, STORAGE_NOT_FOUND, (struct slice){ NULL, 0 });
		break;
	}
	case VERB_PING: {
		struct storage_ping *op = answer->op;
		op->done(op, STORAGE_OK);
		break;
	}
	}
	return false;
}

static void on_next_round(void *data)
{
	struct null_store *st = data;
	struct answers due = st->waiting;
	unsigned puts = 0;

	st->waiting = st->due; /* what answers bring about waits for the round after */
	st->due = due;
	for (size_t i = 0; i < due.count; i++)
		puts += give(&due.list[i]);
	st->due.count = 0;
	if (puts > 0 && st->set.committed != NULL)
		st->set.committed(st->set.committed_data, puts);
}

static void take(struct storage *base, enum verb verb, void *op)
{
	struct null_store *st = store_of(base);
	struct answers *waiting = &st->waiting;

	if (waiting->count == waiting->space) {
		waiting->space = waiting->space == 0 ? 64 : 2 * waiting->space;
		waiting->list = h2o_mem_realloc(
			waiting->list, waiting->space * sizeof(waiting->list[0]));
	}
	waiting->list[waiting->count++] = (struct answer){ verb, op };
	if (!loop_timer_is_running(&st->next_round))
		loop_timer_start(&st->next_round, 0);
}

static int null_open(const struct storage_settings *set, struct loop *loop, struct storage **st_r,
	char **error_r)
{
	struct null_store *st = h2o_mem_alloc(sizeof(*st));

	*st = (struct null_store){ .base.driver = &storage_postgres, .set = *set };
	loop_timer_init(&st->next_round, loop, on_next_round, st);
	*st_r = &st->base;
	return 0;
}

static void null_close(struct storage *base)
{
	struct null_store *st = store_of(base);

	assert(st->waiting.count == 0);
	loop_timer_deinit(&st->next_round);
	free(st->waiting.list);
	free(st->due.list);
	free(st);
}

static void null_put(struct storage *st, struct storage_put *op)
{
	take(st, VERB_PUT, op);
}

static void null_get(struct storage *st, struct storage_get *op)
{
	take(st, VERB_GET, op);
}

static void null_raw(struct storage *st, struct storage_raw *op)
{
	take(st, VERB_RAW, op);
}

static void null_part(struct storage *st, struct storage_part *op)
{
	take(st, VERB_PART, op);
}

static void null_range(struct storage *st, struct storage_range *op)
{
	take(st, VERB_RANGE, op);
}

static void null_ping(struct storage *st, struct storage_ping *op)
{
	take(st, VERB_PING, op);
}

static void null_stats(const struct storage *base, struct storage_stats *stats_r)
{
	const struct null_store *st = (const struct null_store *)base;

	*stats_r = (struct storage_stats){ .queue_depth = st->waiting.count, .connections = 1 };
}

const struct storage_driver storage_postgres = {
	.name = "null",
	.accepts = null_accepts,
	.migrate = null_migrate,
	.purge = null_purge,
	.list_receipts = null_list_receipts,
	.fates = null_fates,
	.reparse = null_reparse,
	.open = null_open,
	.close = null_close,
	.put = null_put,
	.get = null_get,
	.raw = null_raw,
	.part = null_part,
	.range = null_range,
	.ping = null_ping,
	.stats = null_stats,
};
