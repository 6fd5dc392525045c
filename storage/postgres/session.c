/* SPDX-License-Identifier: MIT */
#include "storage/postgres/session.h"
#include "storage/postgres/conninfo.h"
#include "storage/postgres/trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LOCK_TIMEOUT "2s"

enum { BEGIN_BYTES = 256 };

bool pg_session_fail(struct pg_session *s, bool may_pass, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&s->error, fmt, args) == -1)
		abort();
	va_end(args);
	s->may_pass = may_pass;
	return false;
}

/* --- statements --- */

static const char *advice_for(const struct pg_session *s, const char *sqlstate)
{
	const struct {
		const char *sqlstate, *advice;
	} known[] = {
		{ "42501", s->missing_privilege },
		{ "55P03", ": another instance is at work, or a table is in use" },
		{ PG_READ_ONLY, ": storage.url must name the primary" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(sqlstate, known[i].sqlstate) == 0)
			return known[i].advice;
	return "";
}

/* A lost link, a lock that others hold and a server short of something: all that may pass. */
static bool may_pass(const PGconn *pg, const char *sqlstate)
{
	static const char *const passing[] = { "08", "40", "53", "55P03", "57", "58",
		PG_READ_ONLY };

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
			return true;
	return PQstatus(pg) != CONNECTION_OK;
}

/* What went wrong while `doing`, and what would help. Takes the result over. */
static void fail_result(struct pg_session *s, const char *doing, PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *user = PQuser(s->pg);
	char *message = strdup(primary != NULL ? primary : PQerrorMessage(s->pg));

	if (sqlstate == NULL)
		sqlstate = "";
	snprintf(s->sqlstate, sizeof(s->sqlstate), "%s", sqlstate);
	pg_session_fail(s, may_pass(s->pg, sqlstate), "%s as user \"%s\": %s%s", doing,
		user != NULL ? user : "", pg_one_line(message), advice_for(s, sqlstate));
	free(message);
	PQclear(res);
}

static PGresult *check(struct pg_session *s, const char *doing, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return res;
	fail_result(s, doing, res);
	return NULL;
}

PGresult *pg_session_query(struct pg_session *s, const char *doing, const char *sql, int count,
	const char *const *values)
{
	return check(s, doing, PQexecParams(s->pg, sql, count, NULL, values, NULL, NULL, 0));
}

PGresult *pg_session_query_params(struct pg_session *s, const char *doing, const char *sql,
	const Oid *types, const struct pg_params *params, int result_format)
{
	return check(s, doing,
		PQexecParams(s->pg, sql, params->count, types, params->values, params->lengths,
			params->formats, result_format));
}

bool pg_session_run(struct pg_session *s, const char *doing, const char *sql)
{
	PGresult *res = check(s, doing, PQexec(s->pg, sql));

	PQclear(res);
	return res != NULL;
}

/* --- transactions --- */

bool pg_session_begin(struct pg_session *s, uint32_t statement_timeout_ms)
{
	char sql[BEGIN_BYTES];

	snprintf(sql, sizeof(sql),
		"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '" LOCK_TIMEOUT "';"
		"SET LOCAL statement_timeout = %u",
		statement_timeout_ms);
	return pg_session_run(s, "beginning", sql);
}

bool pg_session_commit(struct pg_session *s)
{
	return pg_session_run(s, "committing", "COMMIT");
}

PGresult *pg_session_query_alone(struct pg_session *s, uint32_t statement_timeout_ms,
	const char *doing, const char *sql, int count, const char *const *values)
{
	PGresult *res = pg_session_begin(s, statement_timeout_ms)
				? pg_session_query(s, doing, sql, count, values)
				: NULL;

	if (res != NULL && !pg_session_commit(s)) {
		PQclear(res);
		res = NULL;
	}
	return res;
}

/* --- the connection --- */

/* The server answers and does not let this user in, or not to this database; or libpq does not take
 * a setting. */
static bool is_refused(const char *message)
{
	return strncmp(message, "invalid ", 8) == 0 || strstr(message, ": 28000:") != NULL ||
	       strstr(message, ": 28P01:") != NULL || strstr(message, ": 3D000:") != NULL;
}

static bool fail_connect(struct pg_session *s)
{
	char *message = strdup(s->pg != NULL ? PQerrorMessage(s->pg) : "out of memory");

	/* Where in the server's source, the last line of each report, helps nobody here. */
	for (char *where; (where = strstr(message, "LOCATION:")) != NULL;) {
		char *end = where + strcspn(where, "\n");
		memmove(where, end, strlen(end) + 1);
	}
	pg_one_line(message);
	pg_session_fail(s, !is_refused(message), "no connection to the database: %s",
		message[0] != '\0' ? message : "no answer within connect_timeout");
	free(message);
	return false;
}

static bool connect_to_any(struct pg_session *s, struct pg_conninfo *info)
{
	unsigned hosts = pg_conninfo_host_count(info);

	for (unsigned first = 0; first == 0 || first < hosts; first++) {
		PQfinish(s->pg);
		s->pg = pg_conninfo_connect(info, first);
		if (PQstatus(s->pg) == CONNECTION_OK)
			return true;
	}
	return fail_connect(s);
}

bool pg_session_open(struct pg_session *s, const struct storage_settings *set)
{
	struct pg_conninfo *info = pg_conninfo_parse(set, &s->error);

	if (info == NULL)
		return false; /* and so it stays */
	bool ok = connect_to_any(s, info);
	pg_conninfo_free(&info);
	return ok;
}

void pg_session_close(struct pg_session *s)
{
	PQfinish(s->pg);
	s->pg = NULL;
}
