/* SPDX-License-Identifier: MIT */
#include "storage/postgres/work.h"

#include <limits.h>
#include <stdlib.h>

const struct pg_work_kind *const pg_kinds[PG_KINDS] = {
	[PG_KIND_PUT] = &pg_put,
	[PG_KIND_GET] = &pg_get,
	[PG_KIND_RAW] = &pg_raw,
	[PG_KIND_PART] = &pg_part,
	[PG_KIND_RANGE] = &pg_range,
	[PG_KIND_PING] = &pg_ping,
};

struct pg_work *pg_work_new(const struct pg_work_kind *kind)
{
	struct pg_work *work = h2o_mem_alloc(sizeof(*work));

	*work = (struct pg_work){ .kind = kind, .company = UINT_MAX };
	return work;
}

void pg_work_free(struct pg_work **work)
{
	free(*work);
	*work = NULL;
}

void pg_queue_push(struct pg_queue *queue, struct pg_work *work)
{
	work->next = NULL;
	if (queue->tail != NULL)
		queue->tail->next = work;
	else
		queue->head = work;
	queue->tail = work;
	queue->count++;
	queue->bytes += work->bytes;
}

void pg_queue_push_front(struct pg_queue *queue, struct pg_work *work)
{
	work->next = queue->head;
	queue->head = work;
	if (queue->tail == NULL)
		queue->tail = work;
	queue->count++;
	queue->bytes += work->bytes;
}

struct pg_work *pg_queue_pop(struct pg_queue *queue)
{
	struct pg_work *work = queue->head;

	if (work == NULL)
		return NULL;
	queue->head = work->next;
	if (queue->head == NULL)
		queue->tail = NULL;
	queue->count--;
	queue->bytes -= work->bytes;
	return work;
}
