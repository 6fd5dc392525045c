/* SPDX-License-Identifier: MIT */
#include "storage/postgres/link.h"
#include "lib/digest.h"
#include "storage/postgres/trouble.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	FIRST_PAUSE_MS = 50, /* doubled with every failure */
	LONGEST_PAUSE_MS = 5000,
	OLDEST_FORCED_PLAN = 120000, /* the version that knows plan_cache_mode */
	MAX_BEGIN_BYTES = 256,
	MAX_REASON_BYTES = 512,
	STATEMENT_DIGITS = 16,
};

enum state {
	DOWN,       /* waits for its timer to try again */
	CONNECTING, /* looks up names, then libpq is at it */
	CHECKING,   /* has asked whether the server keeps what it commits */
	IDLE,
	BUSY, /* carries a batch */
};

/* What a batch's transaction consists of, and answers. */
enum { RESULT_OF_BEGIN, RESULT_OF_WORKS };

/* A statement, and whether this session has it prepared. Its name is made of its text: behind a
 * pooler, sessions are shared by clients that may be of other versions of this program. */
struct statement {
	const char *sql;
	const Oid *types;
	int param_count;
	char name[sizeof("mailserver_") + STATEMENT_DIGITS];
	bool is_prepared;
};

struct pg_link {
	struct pg_link_user *user;
	unsigned number;
	enum state state;
	struct lookup *lookup; /* of the hosts' names, before there is a connection */
	PGconn *pg;
	struct loop_fd *watch;
	struct loop_timer timer;     /* DOWN: until the next attempt; else: until it is given up */
	unsigned failures;           /* attempts since it was up */
	char told[MAX_REASON_BYTES]; /* why it is down, as it was logged last */
	char begin_sql[MAX_BEGIN_BYTES];
	struct statement begin, works[PG_KINDS];
	bool is_pooled; /* one session does not see what another one prepared */
	bool is_read_only;

	/* Of the pipeline that is on its way. */
	struct pg_batch batch;
	struct statement *preparing; /* NULL: it carries the batch itself */
	unsigned results;
	bool sync_sent; /* and with it everything before it */
	bool failed;    /* one of its results is an error, of the server or of libpq */
};

static const char check_sql[] =
	"SELECT current_setting('fsync'), current_setting('full_page_writes'),"
	" current_setting('synchronous_commit'),"
	" pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";

static void lost(struct pg_link *link, const char *reason);
static void on_ready(void *data, unsigned ready);

bool pg_link_is_up(const struct pg_link *link)
{
	return link->state == IDLE || link->state == BUSY;
}

bool pg_link_is_idle(const struct pg_link *link)
{
	return link->state == IDLE;
}

unsigned pg_link_load(const struct pg_link *link)
{
	return link->state == BUSY ? link->batch.count : 0;
}

/* From half the pause to all of it, so that many clients do not come back in step. */
static uint64_t pause_ms(unsigned failures)
{
	uint64_t pause = FIRST_PAUSE_MS;
	uint16_t random;

	while (failures-- > 0 && pause < LONGEST_PAUSE_MS)
		pause *= 2;
	if (pause > LONGEST_PAUSE_MS)
		pause = LONGEST_PAUSE_MS;
	random_bytes(&random, sizeof(random));
	return pause / 2 + pause / 2 * random / UINT16_MAX;
}

static void tell(struct pg_link *link, bool was_up, const char *reason)
{
	const struct storage_settings *set = link->user->set;

	if (link->state == IDLE && !was_up) {
		pg_log(set, STORAGE_LOG_INFO, "link %u to %s port %s is up, server version %d",
			link->number, PQhost(link->pg), PQport(link->pg),
			PQserverVersion(link->pg));
		link->told[0] = '\0';
	} else if (link->state == DOWN && (was_up || strcmp(link->told, reason) != 0)) {
		pg_log(set, STORAGE_LOG_WARNING, "link %u is down: %s", link->number, reason);
		snprintf(link->told, sizeof(link->told), "%s", reason);
	}
}

/* The one place where a link's state changes. `reason` is for DOWN. */
static void set_state(struct pg_link *link, enum state state, const char *reason)
{
	bool was_up = pg_link_is_up(link);

	link->state = state;
	switch (state) {
	case DOWN:
		if (!was_up)
			link->failures++;
		loop_timer_start(&link->timer, pause_ms(link->failures));
		break;
	case CONNECTING:
		loop_timer_start(&link->timer, link->user->set->connect_timeout_ms);
		break;
	case CHECKING: /* still on the time for connecting */
		break;
	case IDLE:
		loop_timer_stop(&link->timer);
		link->failures = 0;
		break;
	case BUSY:
		loop_timer_start(&link->timer, link->user->set->statement_timeout_ms);
		break;
	}
	tell(link, was_up, reason);
	if (state == IDLE || pg_link_is_up(link) != was_up)
		link->user->changed(link->user);
}

/* libpq may put another socket, even of the same number, in place of the one it had. False when the
 * link was lost over it. */
static bool watch(struct pg_link *link, unsigned events)
{
	loop_fd_close(&link->watch);
	link->watch = loop_fd_open(link->user->loop, PQsocket(link->pg), on_ready, link);
	if (link->watch == NULL) {
		lost(link, "this process has no descriptor left for it");
		return false;
	}
	loop_fd_want(link->watch, events);
	return true;
}

/* --- one pipeline, out --- */

static void flush(struct pg_link *link)
{
	if (link->sync_sent)
		return;
	int left = PQflush(link->pg);
	if (left < 0)
		lost(link, PQerrorMessage(link->pg));
	else if (left > 0)
		loop_fd_want(link->watch, LOOP_READ | LOOP_WRITE);
	else
		link->sync_sent = true;
}

static void begin_pipeline(struct pg_link *link)
{
	link->results = 0;
	link->sync_sent = false;
	link->failed = false;
	link->batch.sqlstate[0] = '\0';
}

static void end_pipeline(struct pg_link *link, bool queued)
{
	if (!queued || PQpipelineSync(link->pg) != 1)
		lost(link, PQerrorMessage(link->pg));
	else
		flush(link);
}

static void statement_init(struct statement *st, const char *sql, const Oid *types, int param_count)
{
	uint8_t digest[SHA256_BYTES];
	char digits[STATEMENT_DIGITS + 1];

	*st = (struct statement){ .sql = sql, .types = types, .param_count = param_count };
	sha256(sql, strlen(sql), digest);
	hex_encode(digest, STATEMENT_DIGITS / 2, digits);
	snprintf(st->name, sizeof(st->name), "mailserver_%s", digits);
}

static bool queue_statement(struct pg_link *link, const struct statement *st,
	const struct pg_params *params, int result_format)
{
	if (link->is_pooled)
		return PQsendQueryParams(link->pg, st->sql, params->count, st->types,
			       params->values, params->lengths, params->formats,
			       result_format) == 1;
	return PQsendQueryPrepared(link->pg, st->name, params->count, params->values,
		       params->lengths, params->formats, result_format) == 1;
}

static bool queue_begin(struct pg_link *link)
{
	static const struct pg_params none;

	return queue_statement(link, &link->begin, &none, 0);
}

/* A table that is locked keeps a statement from being prepared, too: so that has its timeout. */
static bool queue_prepare(struct pg_link *link, const struct statement *st)
{
	return (st == &link->begin || queue_begin(link)) &&
	       PQsendPrepare(link->pg, st->name, st->sql, st->param_count, st->types) == 1;
}

static bool queue_works(struct pg_link *link)
{
	const struct pg_batch *batch = &link->batch;
	const struct pg_work_kind *kind = batch->kind;
	struct pg_params *params = link->user->params;
	bool ok;

	pg_params_clear(params);
	kind->fill(params, batch->works, batch->count);
	ok = queue_begin(link) &&
	     queue_statement(link, &link->works[kind->number], params, kind->result_format);
	pg_params_clear(params);
	return ok;
}

static struct statement *missing_statement(struct pg_link *link)
{
	struct statement *works = &link->works[link->batch.kind->number];

	if (link->is_pooled || (link->begin.is_prepared && works->is_prepared))
		return NULL;
	return link->begin.is_prepared ? works : &link->begin;
}

/* The batch, or first what has to be prepared for it: in a pipeline of its own, because a pooler may
 * give the connection to somebody else at each sync, even while it still sends what follows. */
static void send_next(struct pg_link *link)
{
	link->preparing = missing_statement(link);
	begin_pipeline(link);
	end_pipeline(link,
		link->preparing != NULL ? queue_prepare(link, link->preparing) : queue_works(link));
}

void pg_link_send(struct pg_link *link, struct pg_work *const *works, unsigned count)
{
	assert(link->state == IDLE && count > 0);
	memcpy(link->batch.works, works, count * sizeof(works[0]));
	link->batch.count = count;
	link->batch.kind = works[0]->kind;
	set_state(link, BUSY, NULL);
	send_next(link);
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

/* Every transaction carries its settings along, for behind a pooler there is no session to set. The
 * server gives up before this side does: then it is known that nothing was written, and no backend
 * stays behind waiting for a lock. */
static void note_settings(struct pg_link *link, PGresult *row)
{
	uint32_t timeout_ms = link->user->set->statement_timeout_ms;
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
		"SELECT set_config('statement_timeout', '%u', true)%s%s",
		timeout_ms - timeout_ms / 4,
		PQserverVersion(link->pg) >= OLDEST_FORCED_PLAN
			? ", set_config('plan_cache_mode', 'force_generic_plan', true)"
			: "",
		lazy ? ", set_config('synchronous_commit', 'on', true)" : "");
	statement_init(&link->begin, link->begin_sql, NULL, 0);
	for (unsigned i = 0; i < PG_KINDS; i++)
		link->works[i].is_prepared = false;
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
	} else if (link->preparing == NULL && position == RESULT_OF_WORKS) {
		link->batch.result = res;
		return;
	}
	PQclear(res);
}

/* The session has not what it should have, or has what it should not: it is shared. */
static bool is_shared_session(const struct pg_link *link)
{
	return strcmp(link->batch.sqlstate, PG_NOT_PREPARED) == 0 ||
	       strcmp(link->batch.sqlstate, PG_ALREADY_PREPARED) == 0;
}

static bool goes_on(struct pg_link *link)
{
	if (!link->is_pooled && link->failed && is_shared_session(link)) {
		pg_log(link->user->set, STORAGE_LOG_INFO,
			"link %u: a pooler is between: statements are not prepared any more",
			link->number);
		link->is_pooled = true;
		return true;
	}
	if (link->preparing == NULL || link->failed)
		return false;
	link->preparing->is_prepared = true;
	return true;
}

/* Of a batch whose end the server did not tell. */
static enum pg_fate fate_unsaid(const struct pg_link *link)
{
	return link->sync_sent && link->preparing == NULL ? PG_UNCERTAIN : PG_ROLLED_BACK;
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
		lost(link, batch->sqlstate[0] != '\0' ? batch->error : PQerrorMessage(link->pg));
		return;
	}
	if (checking && link->is_read_only) {
		lost(link, "the server is read-only: it is a standby, or was told to be");
		return;
	}
	if (!checking && goes_on(link)) {
		send_next(link);
		return;
	}
	set_state(link, IDLE, NULL);
	if (!checking)
		end_batch(link, !link->failed                ? PG_COMMITTED
				: batch->sqlstate[0] != '\0' ? PG_ROLLED_BACK
							     : fate_unsaid(link));
	/* The primary is elsewhere, or will be: the next connect looks for it. */
	if (strcmp(batch->sqlstate, PG_READ_ONLY) == 0)
		lost(link, batch->error);
}

static void read_results(struct pg_link *link)
{
	bool ended = false; /* a NULL was the last: the end of one command, not of the pipeline */

	while ((link->state == CHECKING || link->state == BUSY) && !PQisBusy(link->pg)) {
		PGresult *res = PQgetResult(link->pg);
		if (res == NULL && ended) {
			lost(link, PQstatus(link->pg) == CONNECTION_BAD
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

/* --- from down to up --- */

static void on_notice(void *data, const PGresult *res)
{
	const struct pg_link *link = data;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	pg_log(link->user->set, STORAGE_LOG_INFO, "link %u: server says %s: %s", link->number,
		severity != NULL ? severity : "NOTICE", message != NULL ? message : "");
}

static void check(struct pg_link *link)
{
	if (!watch(link, LOOP_READ))
		return;
	begin_pipeline(link);
	set_state(link, CHECKING, NULL);
	end_pipeline(link,
		PQsetnonblocking(link->pg, 1) == 0 && PQenterPipelineMode(link->pg) == 1 &&
			PQsendQueryParams(link->pg, check_sql, 0, NULL, NULL, NULL, NULL, 0) == 1);
}

static void poll_connect(struct pg_link *link)
{
	switch (PQconnectPoll(link->pg)) {
	case PGRES_POLLING_READING:
		watch(link, LOOP_READ);
		break;
	case PGRES_POLLING_WRITING:
		watch(link, LOOP_WRITE);
		break;
	case PGRES_POLLING_OK:
		check(link);
		break;
	default:
		lost(link, PQerrorMessage(link->pg));
	}
}

static void start_connect(struct pg_link *link)
{
	link->pg = pg_conninfo_start(link->user->conninfo, link->lookup, link->failures);
	if (PQstatus(link->pg) == CONNECTION_BAD) { /* also when there is none */
		lost(link, PQerrorMessage(link->pg));
		return;
	}
	PQsetNoticeReceiver(link->pg, on_notice, link);
	watch(link, LOOP_WRITE);
}

static void on_looked_up(void *data)
{
	struct pg_link *link = data;
	const char *unknown = pg_conninfo_unknown(link->user->conninfo, link->lookup);

	if (unknown != NULL) {
		lost(link, unknown);
		return;
	}
	start_connect(link);
	lookup_end(&link->lookup);
}

static void connect_anew(struct pg_link *link)
{
	struct pg_conninfo *info = link->user->conninfo;

	set_state(link, CONNECTING, NULL);
	if (!pg_conninfo_has_names(info)) {
		start_connect(link);
		return;
	}
	link->lookup = pg_conninfo_look_up(info, link->user->loop, on_looked_up, link);
	if (link->lookup == NULL)
		lost(link, "no thread to look up host names");
}

static void disconnect(struct pg_link *link)
{
	lookup_end(&link->lookup);
	loop_fd_close(&link->watch);
	PQfinish(link->pg);
	link->pg = NULL;
}

/* From any state but DOWN; `reason` may be libpq's or the batch's. */
static void lost(struct pg_link *link, const char *reason)
{
	bool busy = link->state == BUSY;
	char *copy = strdup(reason != NULL ? reason : "");

	/* libpq says goodbye, and would send what is still unsent first: a sync that was counted as
	 * unsent must not get out any more. */
	if (link->pg != NULL && PQsocket(link->pg) != -1 && !link->sync_sent)
		shutdown(PQsocket(link->pg), SHUT_RDWR);
	disconnect(link);
	set_state(link, DOWN, pg_one_line(copy));
	free(copy);
	if (busy)
		end_batch(link, fate_unsaid(link));
}

static void on_ready(void *data, unsigned ready)
{
	struct pg_link *link = data;

	if (link->state == CONNECTING) {
		poll_connect(link);
		return;
	}
	if ((ready & LOOP_READ) != 0) {
		PQconsumeInput(
			link->pg); /* a failure shows in PQstatus; what came before it counts */
		read_results(link);
	}
	if (link->state != DOWN && PQstatus(link->pg) == CONNECTION_BAD)
		lost(link, PQerrorMessage(link->pg));
	else if (link->state == CHECKING || link->state == BUSY)
		flush(link);
}

static void on_timer(void *data)
{
	struct pg_link *link = data;

	switch (link->state) {
	case DOWN:
		connect_anew(link);
		break;
	case CONNECTING:
	case CHECKING:
		lost(link, "no connection within connect_timeout");
		break;
	case BUSY:
		lost(link, "no answer within statement_timeout");
		break;
	case IDLE:
		break;
	}
}

struct pg_link *pg_link_open(struct pg_link_user *user, unsigned number)
{
	struct pg_link *link = h2o_mem_alloc(sizeof(*link));

	*link = (struct pg_link){ .user = user, .number = number, .state = DOWN };
	link->batch.works = h2o_mem_alloc(user->set->batch_messages * sizeof(link->batch.works[0]));
	for (unsigned i = 0; i < PG_KINDS; i++)
		statement_init(&link->works[i], pg_kinds[i]->sql, pg_kinds[i]->types,
			pg_kinds[i]->param_count);
	loop_timer_init(&link->timer, user->loop, on_timer, link);
	loop_timer_start(&link->timer, 1);
	return link;
}

void pg_link_close(struct pg_link **link)
{
	if (*link == NULL)
		return;
	assert((*link)->state != BUSY);
	disconnect(*link);
	loop_timer_deinit(&(*link)->timer);
	free((*link)->batch.works);
	free((*link)->batch.error);
	free(*link);
	*link = NULL;
}
