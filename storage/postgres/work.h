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
	unsigned number; /* its place in pg_kinds */
	const char *name;
	bool is_put; /* may share a commit with others of its kind, and is tried again */
	const char *sql;
	const Oid *types; /* of its parameters */
	int param_count;
	int result_format; /* libpq's: 0 text, 1 binary */
	void (*fill)(struct pg_params *params, struct pg_work *const *works, unsigned count);
	/* Answers from the result, which is committed. How many were not answered, because the result
	 * says that they have to be done once more: these now stand first. */
	unsigned (*succeed)(struct pg_work **works, unsigned count, const PGresult *result);
	void (*fail)(struct pg_work *work, enum storage_result result);
};

extern const struct pg_work_kind pg_put, pg_get, pg_raw, pg_part, pg_range, pg_ping;

enum { PG_KIND_PUT, PG_KIND_GET, PG_KIND_RAW, PG_KIND_PART, PG_KIND_RANGE, PG_KIND_PING, PG_KINDS };
extern const struct pg_work_kind *const pg_kinds[PG_KINDS];

struct pg_work {
	struct pg_work *next;
	const struct pg_work_kind *kind;
	union {
		struct storage_put *put;
		struct storage_get *get;
		struct storage_raw *raw;
		struct storage_part *part;
		struct storage_range *range;
		struct storage_ping *ping;
	};
	uint64_t arrival;     /* counts them: what came first stays first */
	uint64_t deadline_ms; /* on the loop's clock: to be answered by then */
	size_t bytes;
	unsigned tries;
	unsigned company; /* how many may be in a commit with it; smaller after one that failed */
	bool bare;        /* without what was derived from it, since the server did not take that */
	bool is_kept;     /* a put's: its operation knows the id */
	bool is_large;    /* a put's: its bytes go out in pieces, in a transaction of its own */
};

/* Do the bytes of this large message have to follow, after such a result of its statement? Not where
 * it is kept already. */
bool pg_put_is_fresh(const struct pg_work *work, const PGresult *result);

/* Orders puts by tenant and key; 0 for two of the same message. */
int pg_put_order(const struct pg_work *a, const struct pg_work *b);

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
