/* SPDX-License-Identifier: MIT */
/* work.h - an operation on its way: from the call, through a queue and a link, to its answer */
#ifndef STORAGE_POSTGRES_WORK_H
#define STORAGE_POSTGRES_WORK_H

#include "storage/postgres/params.h"
#include "storage/storage.h"

#include <libpq-fe.h>

struct pg_work;

/* What the operations of one kind have in common. */
struct pg_work_kind {
	const char *name;
	bool is_put; /* may share a commit with others of its kind, and is tried again */
	const char *sql;
	const Oid *types; /* of its parameters */
	int param_count;
	int result_format; /* libpq's: 0 text, 1 binary */
	void (*fill)(struct pg_params *params, const struct pg_work *work);
	/* Answers from `result`, which is committed. False, and no answer, when the result says that
	 * it has to be done once more. */
	bool (*succeed)(struct pg_work *work);
	void (*fail)(struct pg_work *work, enum storage_result result);
};

extern const struct pg_work_kind pg_put, pg_get, pg_raw, pg_ping;

struct pg_work {
	struct pg_work *next;
	const struct pg_work_kind *kind;
	union {
		struct storage_put *put;
		struct storage_get *get;
		struct storage_raw *raw;
		struct storage_ping *ping;
	};
	uint64_t arrival;     /* counts them: what came first stays first */
	uint64_t deadline_ms; /* on the loop's clock: to wait no longer than that */
	size_t bytes;
	PGresult *result;
	unsigned tries;
	bool alone; /* in a commit of its own, since a batch that held it failed */
	bool bare;  /* without what was derived from it, since the server did not take that */
};

struct pg_work *pg_work_new(const struct pg_work_kind *kind);
/* Its operation must have been answered. */
void pg_work_free(struct pg_work **work);

struct pg_queue {
	struct pg_work *head, *tail;
	size_t count, bytes;
};

void pg_queue_push(struct pg_queue *queue, struct pg_work *work);
void pg_queue_push_front(struct pg_queue *queue, struct pg_work *work);
struct pg_work *pg_queue_pop(struct pg_queue *queue); /* NULL when it is empty */

#endif
