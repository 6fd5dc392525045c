/* SPDX-License-Identifier: MIT */
#include "storage/postgres/link_internal.h"
#include "storage/postgres/trouble.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	OLDEST_FORCED_PLAN = 120000, /* the version that knows plan_cache_mode */
	MAX_NUMBER_BYTES = 16,
};

static const char check_sql[] =
	"SELECT current_setting('fsync'), current_setting('full_page_writes'),"
	" current_setting('synchronous_commit'),"
	" pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";

static void stream_on(struct pg_link *link);

/* --- one pipeline, out --- */

static void flush(struct pg_link *link)
{
	if (link->sync_sent)
		return;
	int left = PQflush(link->pg);
	if (left < 0)
		pg_link_lost(link, PQerrorMessage(link->pg));
	else if (left > 0)
		loop_fd_want(link->watch, LOOP_READ | LOOP_WRITE);
	else
		link->sync_sent = true;
}

static void begin_pipeline(struct pg_link *link)
{
	link->results = 0;
	link->sync_sent = false;
	if (link->stage == UNDOING) /* for a reason that is still to be told */
		return;
	link->failed = false;
	link->batch.sqlstate[0] = '\0';
}

static void end_pipeline(struct pg_link *link, bool queued)
{
	if (!queued || PQpipelineSync(link->pg) != 1)
		pg_link_lost(link, PQerrorMessage(link->pg));
	else
		flush(link);
}

static bool queue_statement(struct pg_link *link, const struct pg_statement *st,
	const struct pg_params *params, int result_format)
{
	return pg_statement_queue(link->pg, st, !link->is_pooled, params, result_format);
}

/* Every transaction carries its settings along, for behind a pooler there is no session to set. The
 * server gives up before this side does: then it is known that nothing was written, and no backend
 * stays behind waiting for a lock. */
static bool queue_begin(struct pg_link *link)
{
	struct pg_params timeout = { .count = 0 };
	char text[MAX_NUMBER_BYTES];

	snprintf(text, sizeof(text), "%u", (unsigned)(link->time_ms - link->time_ms / 4));
	pg_params_text(&timeout, text);
	return queue_statement(link, &link->begin, &timeout, 0);
}

/* A table that is locked keeps a statement from being prepared, too: so that has its timeout. */
static bool queue_prepare(struct pg_link *link, const struct pg_statement *st)
{
	return (st == &link->begin || queue_begin(link)) &&
	       pg_statement_queue_prepare(link->pg, st);
}

static bool queue_works(struct pg_link *link)
{
	const struct pg_batch *batch = &link->batch;
	const struct pg_work_kind *kind = batch->kind;
	struct pg_params *params = link->user->params;
	bool ok;

	pg_params_clear(params);
	kind->fill(params, batch->works, batch->count);
	ok = (link->stage == WHOLE || pg_command_queue(link->pg, "BEGIN")) && queue_begin(link) &&
	     queue_statement(link, &link->works[kind->number], params, kind->result_format);
	pg_params_clear(params);
	return ok;
}

static struct pg_statement *missing_statement(struct pg_link *link)
{
	struct pg_statement *works = &link->works[link->batch.kind->number];

	if (link->is_pooled || (link->begin.is_prepared && works->is_prepared))
		return NULL;
	return link->begin.is_prepared ? works : &link->begin;
}

static bool queue_stage(struct pg_link *link)
{
	if (link->stage == COMMITTING)
		return pg_command_queue(link->pg, "COMMIT");
	if (link->stage == UNDOING)
		return pg_command_queue(link->pg, "ROLLBACK");
	return link->preparing != NULL ? queue_prepare(link, link->preparing) : queue_works(link);
}

/* The batch, or first what has to be prepared for it: in a pipeline of its own, because a pooler may
 * give the connection to somebody else at each sync, even while it still sends what follows. */
static void send_next(struct pg_link *link)
{
	link->preparing = missing_statement(link);
	begin_pipeline(link);
	end_pipeline(link, queue_stage(link));
}

static void send_stage(struct pg_link *link, enum stage stage)
{
	link->stage = stage;
	send_next(link);
}

/* Until the first of the works has to be answered. */
static uint64_t time_left_ms(const struct pg_link *link)
{
	uint64_t now = loop_now_ms(link->user->loop), first = UINT64_MAX;

	for (unsigned i = 0; i < link->batch.count; i++)
		if (link->batch.works[i]->deadline_ms < first)
			first = link->batch.works[i]->deadline_ms;
	return first > now ? first - now : 1;
}

void pg_link_send(struct pg_link *link, struct pg_work *const *works, unsigned count)
{
	assert(link->state == IDLE && count > 0);
	memcpy(link->batch.works, works, count * sizeof(works[0]));
	link->batch.count = count;
	link->batch.kind = works[0]->kind;
	link->time_ms = time_left_ms(link);
	pg_link_set_state(link, BUSY, NULL);
	send_stage(link, works[0]->is_large ? OPENING : WHOLE);
}

/* --- and its results, in --- */

static void note_error(struct pg_link *link, const PGresult *res)
{
	struct pg_batch *batch = &link->batch;
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	link->failed = true;
	if (sqlstate == NULL || batch->sqlstate[0] != '\0')
		return;
	snprintf(batch->sqlstate, sizeof(batch->sqlstate), "%s", sqlstate);
	free(batch->error);
	batch->error = strdup(message != NULL ? message : "");
}

static void warn_of_loss(struct pg_link *link, const char *setting, const char *what)
{
	pg_log(link->user->set, STORAGE_LOG_ERROR,
		"%s is off on the server: mail that was accepted %s; turn it on", setting, what);
}

static void note_settings(struct pg_link *link, PGresult *row)
{
	static const Oid timeout_type = PG_TEXT;
	bool tell_it = link->number == 1; /* for all of them */
	bool lazy = strcmp(PQgetvalue(row, 0, 2), "off") == 0;

	if (tell_it && strcmp(PQgetvalue(row, 0, 0), "off") == 0)
		warn_of_loss(link, "fsync", "will be lost when the machine crashes");
	if (tell_it && strcmp(PQgetvalue(row, 0, 1), "off") == 0)
		warn_of_loss(link, "full_page_writes", "can be lost when the machine crashes");
	if (tell_it && lazy)
		pg_log(link->user->set, STORAGE_LOG_WARNING,
			"synchronous_commit is off on the server: it is turned on for every "
			"transaction of ours");
	link->is_pooled = !link->user->set->prepared_statements;
	snprintf(link->begin_sql, sizeof(link->begin_sql),
		"SELECT set_config('statement_timeout', $1, true)%s%s",
		PQserverVersion(link->pg) >= OLDEST_FORCED_PLAN
			? ", set_config('plan_cache_mode', 'force_generic_plan', true)"
			: "",
		lazy ? ", set_config('synchronous_commit', 'on', true)" : "");
	pg_statement_init(&link->begin, link->begin_sql, &timeout_type, 1);
	for (unsigned i = 0; i < PG_KINDS; i++)
		link->works[i].is_prepared = false;
}

/* Of a pipeline's results, the one of the works' own statement. */
static bool is_of_works(const struct pg_link *link, unsigned position)
{
	return link->preparing == NULL && ((link->stage == WHOLE && position == 1) ||
						  (link->stage == OPENING && position == 2));
}

static void note(struct pg_link *link, PGresult *res)
{
	unsigned position = link->results++;
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		note_error(link, res);
	} else if (link->state == CHECKING) {
		link->is_read_only = PQgetvalue(res, 0, 3)[0] == 't';
		note_settings(link, res);
	} else if (is_of_works(link, position)) {
		link->batch.result = res;
		return;
	} else if (link->stage == COMMITTING && strcmp(PQcmdStatus(res), "COMMIT") != 0) {
		link->failed = true;
	}
	PQclear(res);
}

/* The session has not what it should have, or has what it should not: it is shared. */
static bool is_shared_session(const struct pg_link *link)
{
	return strcmp(link->batch.sqlstate, PG_NOT_PREPARED) == 0 ||
	       strcmp(link->batch.sqlstate, PG_ALREADY_PREPARED) == 0;
}

static void begin_stream(struct pg_link *link)
{
	const struct storage_message *m = link->batch.works[0]->put->message;

	link->stage = STREAMING;
	if (pg_stream_begin(&link->stream, link->pg, &m->id, m->raw))
		stream_on(link);
	else
		pg_link_lost(link, PQerrorMessage(link->pg));
}

/* After a stage that went well. False when it was the last one. */
static bool next_stage(struct pg_link *link)
{
	if (link->stage != OPENING)
		return false;
	if (pg_put_is_fresh(link->batch.works[0], link->batch.result))
		begin_stream(link);
	else
		send_stage(link, COMMITTING);
	return true;
}

static bool does_without_prepared(struct pg_link *link)
{
	if (link->is_pooled || !is_shared_session(link))
		return false;
	pg_log(link->user->set, STORAGE_LOG_INFO,
		"link %u: a pooler is between: statements are not prepared any more", link->number);
	link->is_pooled = true;
	send_stage(link, link->stage == UNDOING ? OPENING : link->stage);
	return true;
}

/* A transaction that was opened has to be ended before anything else. */
static bool next_after_failure(struct pg_link *link)
{
	if (link->stage != OPENING || link->preparing != NULL)
		return does_without_prepared(link);
	send_stage(link, UNDOING);
	return true;
}

/* False when nothing of the batch is left to do. */
static bool goes_on(struct pg_link *link)
{
	if (link->failed)
		return next_after_failure(link);
	if (link->preparing == NULL)
		return next_stage(link);
	link->preparing->is_prepared = true;
	send_next(link);
	return true;
}

/* Of a batch whose end the server did not tell. */
static enum pg_fate fate_unsaid(const struct pg_link *link)
{
	bool decides = link->preparing == NULL &&
		       (link->stage == WHOLE || link->stage == COMMITTING);

	return decides && link->sync_sent ? PG_UNCERTAIN : PG_ROLLED_BACK;
}

static void end_batch(struct pg_link *link, enum pg_fate fate)
{
	link->user->settled(link->user, &link->batch, fate);
	PQclear(link->batch.result); /* it may be a large one */
	link->batch.result = NULL;
}

static void settle(struct pg_link *link)
{
	struct pg_batch *batch = &link->batch;
	bool checking = link->state == CHECKING;

	if (checking && link->failed) {
		pg_link_lost(
			link, batch->sqlstate[0] != '\0' ? batch->error : PQerrorMessage(link->pg));
		return;
	}
	if (checking && link->is_read_only) {
		pg_link_lost(link, "the server is read-only: it is a standby, or was told to be");
		return;
	}
	if (!checking && goes_on(link))
		return;
	pg_link_set_state(link, IDLE, NULL);
	if (!checking)
		end_batch(link, !link->failed                ? PG_COMMITTED
				: batch->sqlstate[0] != '\0' ? PG_ROLLED_BACK
							     : fate_unsaid(link));
	/* The primary is elsewhere, or will be: the next connect looks for it. */
	if (strcmp(batch->sqlstate, PG_READ_ONLY) == 0)
		pg_link_lost(link, batch->error);
}

static bool is_in_pipeline(const struct pg_link *link)
{
	return link->state == CHECKING || (link->state == BUSY && link->stage != STREAMING);
}

static void read_results(struct pg_link *link)
{
	bool ended = false; /* a NULL was the last: the end of one command, not of the pipeline */

	while (is_in_pipeline(link) && !PQisBusy(link->pg)) {
		PGresult *res = PQgetResult(link->pg);
		if (res == NULL && ended) {
			pg_link_lost(link, PQstatus(link->pg) == CONNECTION_BAD
						   ? PQerrorMessage(link->pg)
						   : "the server ended a pipeline before its time");
			return;
		}
		ended = res == NULL;
		if (ended)
			continue;
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			settle(link);
		} else {
			note(link, res);
		}
	}
}

/* --- a large message's bytes, between two pipelines --- */

static void end_stream(struct pg_link *link)
{
	if (PQenterPipelineMode(link->pg) == 1)
		send_stage(link, link->failed ? UNDOING : COMMITTING);
	else
		pg_link_lost(link, PQerrorMessage(link->pg));
}

static void stream_on(struct pg_link *link)
{
	PGresult *error = NULL;
	enum pg_stream_step step = pg_stream_step(&link->stream, link->pg, &error);

	if (error != NULL)
		note_error(link, error);
	PQclear(error);
	if (step == PG_STREAM_LOST || PQstatus(link->pg) == CONNECTION_BAD)
		pg_link_lost(link, PQerrorMessage(link->pg));
	else if (step == PG_STREAM_DONE)
		end_stream(link);
	else if (step == PG_STREAM_TO_WRITE)
		loop_fd_want(link->watch, LOOP_READ | LOOP_WRITE);
}

/* --- what link.c asks for --- */

void pg_link_check(struct pg_link *link)
{
	link->stage = WHOLE;
	begin_pipeline(link);
	pg_link_set_state(link, CHECKING, NULL);
	end_pipeline(link, PQsetnonblocking(link->pg, 1) == 0 &&
				   PQenterPipelineMode(link->pg) == 1 &&
				   pg_command_queue(link->pg, check_sql));
}

void pg_link_go_on(struct pg_link *link, unsigned ready)
{
	if ((ready & LOOP_READ) != 0)
		PQconsumeInput(
			link->pg); /* a failure shows in PQstatus; what came before it counts */
	if (link->state == BUSY && link->stage == STREAMING)
		stream_on(link);
	else if ((ready & LOOP_READ) != 0)
		read_results(link);
	if (link->state != DOWN && PQstatus(link->pg) == CONNECTION_BAD)
		pg_link_lost(link, PQerrorMessage(link->pg));
	else if (is_in_pipeline(link))
		flush(link);
}

void pg_link_abandon_batch(struct pg_link *link)
{
	end_batch(link, fate_unsaid(link));
}
