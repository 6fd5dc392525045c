/* SPDX-License-Identifier: MIT */
/* The driver: queues, who goes next, and what is answered. Links carry it; see link.h.
 *
 * Natural batching: what is put while all links are busy waits, and the link that gets free first
 * takes it, in one commit. Nothing waits for a timer, for a batch to fill, or for a busy link when
 * another is idle. A large message has a commit of its own, and there is one under way at most: the
 * others must not find all links taken by such.
 *
 * What was put is answered within statement_timeout: it may wait for half of it, and a link that
 * takes it has what is left. */
#include "storage/postgres/link.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/purge.h"
#include "storage/postgres/receipts.h"
#include "storage/postgres/reparse.h"
#include "storage/postgres/trouble.h"
#include "storage/storage_driver.h"

#include <assert.h>
#include <stdlib.h>

/* Whose turn it is goes round. */
enum { PUTS, LARGE_PUTS, READS, QUEUES };

enum {
	LARGE_BYTES = 1 << 20,
	MAX_TRIES = 3,             /* of a message whose transaction another one disturbs */
	COMPLAINT_PAUSE_MS = 1000, /* a server in trouble fails many batches, for one reason */
};

struct pg_store {
	struct storage base;
	struct storage_settings set;
	struct loop *loop;
	struct pg_conninfo *conninfo;
	struct pg_params params;
	struct pg_link_user user;
	struct pg_link **links;
	struct pg_work **chosen; /* room for one batch */
	struct pg_queue queues[QUEUES];
	struct pg_queue refused; /* to be answered, but not before their call has returned */
	unsigned turn;           /* the queue that had it last */
	bool has_large;          /* a link carries a large message */
	bool circuit_is_open;    /* no link for so long that nothing waits for one */
	bool is_starting;        /* no link was ever up, and the circuit not yet open */
	uint64_t arrivals;
	uint64_t complained_ms;
	uint64_t sweep_ms;          /* for when the sweep is planned */
	struct loop_timer dispatch; /* at the end of this round of the loop */
	struct loop_timer sweep;    /* when the first one has waited too long */
	struct loop_timer grace;    /* no link is up: how long to hope */
};

static bool a_link_is_up(const struct pg_store *s)
{
	for (unsigned i = 0; i < s->set.connections; i++)
		if (pg_link_is_up(s->links[i]))
			return true;
	return false;
}

/* --- queues --- */

static bool nothing_waits(const struct pg_store *s)
{
	for (unsigned i = 0; i < QUEUES; i++)
		if (s->queues[i].head != NULL)
			return false;
	return true;
}

/* What has waited so long that too little time is left for doing it. */
static bool is_late(const struct pg_store *s, const struct pg_work *work)
{
	return work->deadline_ms <= loop_now_ms(s->loop) + s->set.statement_timeout_ms / 2;
}

static uint64_t first_late_ms(const struct pg_store *s)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < QUEUES; i++)
		if (s->queues[i].head != NULL && s->queues[i].head->deadline_ms < first)
			first = s->queues[i].head->deadline_ms;
	return first == UINT64_MAX ? first : first - s->set.statement_timeout_ms / 2;
}

static void plan_sweep(struct pg_store *s)
{
	uint64_t now = loop_now_ms(s->loop);
	uint64_t due = s->refused.head != NULL ? now + 1 : first_late_ms(s);

	if (due == UINT64_MAX || (loop_timer_is_running(&s->sweep) && s->sweep_ms <= due))
		return;
	s->sweep_ms = due;
	loop_timer_start(&s->sweep, due > now ? due - now : 1);
}

static void fail_all(struct pg_queue *queue)
{
	while (queue->head != NULL) {
		struct pg_work *work = pg_queue_pop(queue);
		work->kind->fail(work, STORAGE_UNAVAILABLE);
	}
}

static void fail_late(struct pg_store *s, struct pg_queue *queue)
{
	while (queue->head != NULL && is_late(s, queue->head)) {
		struct pg_work *work = pg_queue_pop(queue);
		work->kind->fail(work, STORAGE_UNAVAILABLE);
	}
}

static void on_sweep(void *data)
{
	struct pg_store *s = data;
	struct pg_queue refused = s->refused;

	s->refused = (struct pg_queue){ .head = NULL };
	fail_all(&refused);
	for (unsigned i = 0; i < QUEUES; i++)
		fail_late(s, &s->queues[i]);
	plan_sweep(s);
}

static bool has_room(const struct pg_store *s, size_t count, size_t bytes, size_t more_bytes)
{
	return count < s->set.queue_messages &&
	       (count == 0 || bytes + more_bytes <= s->set.queue_bytes);
}

static void enqueue(struct pg_store *s, struct pg_queue *queue, struct pg_work *work)
{
	work->arrival = s->arrivals++;
	work->deadline_ms = loop_now_ms(s->loop) + s->set.statement_timeout_ms;
	pg_queue_push(s->circuit_is_open ? &s->refused : queue, work);
	if (!loop_timer_is_running(&s->dispatch))
		loop_timer_start(&s->dispatch, 0);
	plan_sweep(s);
}

static struct pg_queue *queue_for_put(struct pg_store *s, const struct pg_work *work)
{
	const struct pg_queue *small = &s->queues[PUTS], *large = &s->queues[LARGE_PUTS];

	if (!has_room(s, small->count + large->count, small->bytes + large->bytes, work->bytes))
		return &s->refused;
	return &s->queues[work->is_large ? LARGE_PUTS : PUTS];
}

static struct pg_queue *queue_for_read(struct pg_store *s)
{
	struct pg_queue *reads = &s->queues[READS];

	return has_room(s, reads->count, 0, 0) ? reads : &s->refused;
}

/* --- from the queues to the links --- */

/* Two transactions that hold the same keys must lock them in the same order. Of equal ones the
 * first to come is the one that is kept. */
static int by_key(const void *left, const void *right)
{
	const struct pg_work *a = *(struct pg_work *const *)left;
	const struct pg_work *b = *(struct pg_work *const *)right;
	int order = pg_put_order(a, b);

	return order != 0 ? order : a->arrival < b->arrival ? -1 : 1;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* As much as one batch may hold, even when a second link is idle: fewer commits are worth more. */
static unsigned choose_puts(struct pg_store *s)
{
	struct pg_queue *puts = &s->queues[PUTS];
	unsigned count = 0, room = s->set.batch_messages;
	size_t bytes = 0;

	do {
		struct pg_work *work = pg_queue_pop(puts);
		room = least(room, work->company);
		bytes += work->bytes;
		s->chosen[count++] = work;
	} while (puts->head != NULL && count < least(room, puts->head->company) &&
		 bytes + puts->head->bytes <= s->set.batch_bytes);
	qsort(s->chosen, count, sizeof(s->chosen[0]), by_key);
	return count;
}

/* How many are chosen; 0 when nothing may go. */
static unsigned choose(struct pg_store *s)
{
	for (unsigned i = 1; i <= QUEUES; i++) {
		unsigned turn = (s->turn + i) % QUEUES;
		if (s->queues[turn].head == NULL || (turn == LARGE_PUTS && s->has_large))
			continue;
		s->turn = turn;
		if (turn == PUTS)
			return choose_puts(s);
		s->chosen[0] = pg_queue_pop(&s->queues[turn]);
		return 1;
	}
	return 0;
}

static struct pg_link *idle_link(const struct pg_store *s)
{
	for (unsigned i = 0; i < s->set.connections; i++)
		if (pg_link_is_idle(s->links[i]))
			return s->links[i];
	return NULL;
}

static void on_dispatch(void *data)
{
	struct pg_store *s = data;
	struct pg_link *link;
	unsigned count;

	for (unsigned i = 0; i < QUEUES; i++)
		fail_late(s, &s->queues[i]);
	while ((link = idle_link(s)) != NULL && (count = choose(s)) > 0) {
		s->has_large |= s->chosen[0]->is_large;
		pg_link_send(link, s->chosen, count);
	}
	plan_sweep(s);
}

static void on_grace(void *data)
{
	struct pg_store *s = data;

	s->circuit_is_open = true;
	s->is_starting = false;
	pg_log(&s->set, STORAGE_LOG_ERROR,
		"no link to the server for %u ms: everything is answered \"unavailable\" until "
		"there is one",
		s->set.connect_timeout_ms);
	for (unsigned i = 0; i < QUEUES; i++)
		fail_all(&s->queues[i]);
}

static void on_link_changed(struct pg_link_user *user)
{
	struct pg_store *s = H2O_STRUCT_FROM_MEMBER(struct pg_store, user, user);

	if (a_link_is_up(s)) {
		s->circuit_is_open = s->is_starting = false;
		loop_timer_stop(&s->grace);
		if (!loop_timer_is_running(&s->dispatch))
			loop_timer_start(&s->dispatch, 0);
	} else if (!s->circuit_is_open && !loop_timer_is_running(&s->grace)) {
		loop_timer_start(&s->grace, s->set.connect_timeout_ms);
	}
}

/* --- from the links to the answers --- */

static void complain(struct pg_store *s, const struct pg_batch *batch)
{
	uint64_t now = loop_now_ms(s->loop);

	if (batch->sqlstate[0] == '\0' || now < s->complained_ms + COMPLAINT_PAUSE_MS)
		return;
	s->complained_ms = now;
	pg_log(&s->set, STORAGE_LOG_ERROR, "%s of %u failed: %s (SQLSTATE %s)", batch->kind->name,
		batch->count, batch->error, batch->sqlstate);
}

static void put_again(struct pg_store *s, struct pg_work *work)
{
	pg_queue_push_front(&s->queues[work->is_large ? LARGE_PUTS : PUTS], work);
}

/* One of them is to blame: each half goes in a commit of its own, until the culprit stands alone. */
static void put_again_halved(struct pg_store *s, const struct pg_batch *batch)
{
	for (unsigned i = batch->count; i-- > 0;) {
		batch->works[i]->company = (batch->count + 1) / 2;
		put_again(s, batch->works[i]);
	}
}

static void put_again_bare(struct pg_store *s, const struct pg_batch *batch)
{
	struct pg_work *work = batch->works[0];
	char id[UUID_TEXT + 1];

	uuid_format(&work->put->message->id, id);
	pg_log(&s->set, STORAGE_LOG_WARNING,
		"message %s: the database does not take what was derived from it, only its bytes "
		"are kept: %s (SQLSTATE %s)",
		id, batch->error, batch->sqlstate);
	work->bare = true;
	put_again(s, work);
}

static void fail_batch(const struct pg_batch *batch, enum storage_result result)
{
	for (unsigned i = 0; i < batch->count; i++)
		batch->kind->fail(batch->works[i], result);
}

static void on_rolled_back(struct pg_store *s, const struct pg_batch *batch)
{
	enum pg_trouble trouble = pg_trouble_of(batch->sqlstate);
	struct pg_work *first = batch->works[0];
	bool for_its_sake = trouble == PG_TROUBLE_MESSAGE || trouble == PG_TROUBLE_CONFLICT;

	if (batch->kind->is_put && for_its_sake && batch->count > 1) {
		put_again_halved(s, batch);
	} else if (batch->kind->is_put && trouble == PG_TROUBLE_MESSAGE && !first->bare) {
		put_again_bare(s, batch);
	} else if (batch->kind->is_put && trouble == PG_TROUBLE_CONFLICT &&
		   ++first->tries < MAX_TRIES) {
		put_again(s, first);
	} else {
		complain(s, batch);
		fail_batch(batch, trouble == PG_TROUBLE_FULL ? STORAGE_FULL : STORAGE_UNAVAILABLE);
	}
}

/* A put without a row lost a race for its key: the next time it will see the winner. */
static void on_committed(struct pg_store *s, const struct pg_batch *batch)
{
	if (batch->kind->is_put && s->set.committed != NULL)
		s->set.committed(s->set.committed_data, batch->count);
	unsigned left = batch->kind->succeed(batch->works, batch->count, batch->result);
	while (left-- > 0) {
		struct pg_work *work = batch->works[left];
		if (++work->tries < MAX_TRIES)
			put_again(s, work);
		else
			work->kind->fail(work, STORAGE_UNAVAILABLE);
	}
}

static void on_settled(struct pg_link_user *user, const struct pg_batch *batch, enum pg_fate fate)
{
	struct pg_store *s = H2O_STRUCT_FROM_MEMBER(struct pg_store, user, user);

	if (batch->works[0]->is_large)
		s->has_large = false;
	switch (fate) {
	case PG_COMMITTED:
		on_committed(s, batch);
		break;
	case PG_ROLLED_BACK:
		on_rolled_back(s, batch);
		break;
	case PG_UNCERTAIN:
		fail_batch(batch, STORAGE_UNCERTAIN);
		break;
	}
	plan_sweep(s);
}

/* --- the interface --- */

static const char *fault_of(const struct storage_settings *set)
{
	if (set->connections == 0 || set->batch_messages == 0)
		return "storage.connections and storage.batch_messages must be at least 1";
	if (set->connect_timeout_ms == 0 || set->statement_timeout_ms == 0)
		return "storage.connect_timeout and storage.statement_timeout must not be 0";
	return NULL;
}

static int postgres_open(const struct storage_settings *set, struct loop *loop,
	struct storage **st_r, char **error_r)
{
	const char *fault = fault_of(set);
	struct pg_conninfo *conninfo;

	if (fault != NULL) {
		*error_r = strdup(fault);
		return -1;
	}
	conninfo = pg_conninfo_parse(set, error_r);
	if (conninfo == NULL)
		return -1;
	struct pg_store *s = h2o_mem_alloc(sizeof(*s));
	*s = (struct pg_store){
		.base.driver = &storage_postgres,
		.set = *set,
		.loop = loop,
		.conninfo = conninfo,
		.is_starting = true,
		.user = { &s->set, loop, conninfo, &s->params, on_link_changed, on_settled },
		.links = h2o_mem_alloc(set->connections * sizeof(s->links[0])),
		.chosen = h2o_mem_alloc(set->batch_messages * sizeof(s->chosen[0])),
	};
	s->set.url = NULL; /* the caller's; all of it is in conninfo */
	pg_params_init(&s->params);
	loop_timer_init(&s->dispatch, loop, on_dispatch, s);
	loop_timer_init(&s->sweep, loop, on_sweep, s);
	loop_timer_init(&s->grace, loop, on_grace, s);
	loop_timer_start(&s->grace, set->connect_timeout_ms);
	for (unsigned i = 0; i < set->connections; i++)
		s->links[i] = pg_link_open(&s->user, i + 1);
	*st_r = &s->base;
	return 0;
}

static void postgres_close(struct storage *st)
{
	struct pg_store *s = (struct pg_store *)st;

	assert(nothing_waits(s) && s->refused.head == NULL);
	for (unsigned i = 0; i < s->set.connections; i++)
		pg_link_close(&s->links[i]);
	loop_timer_deinit(&s->dispatch);
	loop_timer_deinit(&s->sweep);
	loop_timer_deinit(&s->grace);
	pg_conninfo_free(&s->conninfo);
	pg_params_deinit(&s->params);
	free(s->links);
	free(s->chosen);
	free(s);
}

static void postgres_put(struct storage *st, struct storage_put *op)
{
	struct pg_store *s = (struct pg_store *)st;
	struct pg_work *work = pg_work_new(&pg_put);

	work->put = op;
	work->bytes = op->message->raw.len;
	work->is_large = work->bytes >= LARGE_BYTES;
	enqueue(s, queue_for_put(s, work), work);
}

static void postgres_get(struct storage *st, struct storage_get *op)
{
	struct pg_store *s = (struct pg_store *)st;
	struct pg_work *work = pg_work_new(&pg_get);

	work->get = op;
	enqueue(s, queue_for_read(s), work);
}

static void postgres_raw(struct storage *st, struct storage_raw *op)
{
	struct pg_store *s = (struct pg_store *)st;
	struct pg_work *work = pg_work_new(&pg_raw);

	work->raw = op;
	enqueue(s, queue_for_read(s), work);
}

static void postgres_part(struct storage *st, struct storage_part *op)
{
	struct pg_store *s = (struct pg_store *)st;
	struct pg_work *work = pg_work_new(&pg_part);

	work->part = op;
	enqueue(s, queue_for_read(s), work);
}

static void postgres_range(struct storage *st, struct storage_range *op)
{
	struct pg_store *s = (struct pg_store *)st;
	struct pg_work *work = pg_work_new(&pg_range);

	work->range = op;
	enqueue(s, queue_for_read(s), work);
}

/* Without a link the answer is known, unless the first one is still being made. */
static void postgres_ping(struct storage *st, struct storage_ping *op)
{
	struct pg_store *s = (struct pg_store *)st;
	struct pg_work *work = pg_work_new(&pg_ping);

	work->ping = op;
	enqueue(s, a_link_is_up(s) || s->is_starting ? queue_for_read(s) : &s->refused, work);
}

static void postgres_stats(const struct storage *st, struct storage_stats *stats_r)
{
	const struct pg_store *s = (const struct pg_store *)st;

	*stats_r = (struct storage_stats){
		.queue_depth = s->refused.count,
		.circuit_is_open = s->circuit_is_open,
	};
	for (unsigned i = 0; i < QUEUES; i++)
		stats_r->queue_depth += s->queues[i].count;
	for (unsigned i = 0; i < s->set.connections; i++) {
		stats_r->connections += pg_link_is_up(s->links[i]);
		stats_r->queue_depth += pg_link_load(s->links[i]);
	}
}

const struct storage_driver storage_postgres = {
	.name = "postgres",
	.accepts = pg_conninfo_is,
	.migrate = pg_migrate,
	.purge = pg_purge,
	.list_receipts = pg_list_receipts,
	.fates = pg_fates,
	.reparse = pg_reparse,
	.open = postgres_open,
	.close = postgres_close,
	.put = postgres_put,
	.get = postgres_get,
	.raw = postgres_raw,
	.part = postgres_part,
	.range = postgres_range,
	.ping = postgres_ping,
	.stats = postgres_stats,
};
