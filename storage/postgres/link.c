/* SPDX-License-Identifier: MIT */
#include "storage/postgres/link_internal.h"
#include "lib/backoff.h"
#include "storage/postgres/trouble.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

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

void pg_link_set_state(struct pg_link *link, enum state state, const char *reason)
{
	bool was_up = pg_link_is_up(link);

	link->state = state;
	switch (state) {
	case DOWN:
		if (!was_up)
			link->failures++;
		loop_timer_start(&link->timer, backoff_ms(link->failures));
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
		loop_timer_start(&link->timer, link->time_ms);
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
		pg_link_lost(link, "this process has no descriptor left for it");
		return false;
	}
	loop_fd_want(link->watch, events);
	return true;
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
		if (watch(link, LOOP_READ))
			pg_link_check(link);
		break;
	default:
		pg_link_lost(link, PQerrorMessage(link->pg));
	}
}

static void start_connect(struct pg_link *link)
{
	link->pg = pg_conninfo_start(link->user->conninfo, link->lookup, link->failures);
	if (PQstatus(link->pg) == CONNECTION_BAD) { /* also when there is none */
		pg_link_lost(link, PQerrorMessage(link->pg));
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
		pg_link_lost(link, unknown);
		return;
	}
	start_connect(link);
	lookup_end(&link->lookup);
}

static void connect_anew(struct pg_link *link)
{
	struct pg_conninfo *info = link->user->conninfo;

	pg_link_set_state(link, CONNECTING, NULL);
	if (!pg_conninfo_has_names(info)) {
		start_connect(link);
		return;
	}
	link->lookup = pg_conninfo_look_up(info, link->user->loop, on_looked_up, link);
	if (link->lookup == NULL)
		pg_link_lost(link, "no thread to look up host names");
}

static void disconnect(struct pg_link *link)
{
	lookup_end(&link->lookup);
	loop_fd_close(&link->watch);
	PQfinish(link->pg);
	link->pg = NULL;
}

void pg_link_lost(struct pg_link *link, const char *reason)
{
	bool busy = link->state == BUSY;
	char *copy = strdup(reason != NULL ? reason : "");

	/* libpq says goodbye, and would send what is still unsent first: a sync that was counted as
	 * unsent must not get out any more. */
	if (link->pg != NULL && PQsocket(link->pg) != -1 && !link->sync_sent)
		shutdown(PQsocket(link->pg), SHUT_RDWR);
	disconnect(link);
	pg_link_set_state(link, DOWN, pg_one_line(copy));
	free(copy);
	if (busy)
		pg_link_abandon_batch(link);
}

static void on_ready(void *data, unsigned ready)
{
	struct pg_link *link = data;

	if (link->state == CONNECTING) {
		poll_connect(link);
		return;
	}
	pg_link_go_on(link, ready);
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
		pg_link_lost(link, "no connection within connect_timeout");
		break;
	case BUSY:
		pg_link_lost(link, "no answer within statement_timeout");
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
		pg_statement_init(&link->works[i], pg_kinds[i]->sql, pg_kinds[i]->types,
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
