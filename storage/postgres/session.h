/* SPDX-License-Identifier: MIT */
/* session.h - one connection whose caller waits for every answer: for the schema and the upkeep
 *
 * The first thing that goes wrong is put into words, and ends whatever it was needed for. Nothing
 * outlives a transaction and no statement has a name, so this works through a pooler too. */
#ifndef STORAGE_POSTGRES_SESSION_H
#define STORAGE_POSTGRES_SESSION_H

#include "storage/postgres/params.h"
#include "storage/storage.h"

#include <libpq-fe.h>

struct pg_session {
	PGconn *pg;
	const char *missing_privilege; /* what helps a user who lacks one: ": let …" */
	bool may_pass;                 /* of the error: trying again may help */
	char *error;                   /* NULL: none. The caller's to take over */
	char sqlstate[6];              /* of it, when the server said one; else "" */
};

/* Each of these answers false, or NULL, when it failed; then the error is set. */

/* Connects to whichever of the hosts takes it, within connect_timeout_ms for each. */
bool pg_session_open(struct pg_session *s, const struct storage_settings *set);
void pg_session_close(struct pg_session *s);

/* One statement; `doing` says what for. PQclear() the result. */
PGresult *pg_session_query(struct pg_session *s, const char *doing, const char *sql, int count,
	const char *const *values);
/* The same with parameters of given types, in libpq's shape; the result as text (0) or binary (1). */
PGresult *pg_session_query_params(struct pg_session *s, const char *doing, const char *sql,
	const Oid *types, const struct pg_params *params, int result_format);
/* One or more, without results that matter. */
bool pg_session_run(struct pg_session *s, const char *doing, const char *sql);

/* A transaction. What is set ends with it: behind a pooler the session is everybody's. A statement may
 * take so long (0: as long as it takes), and wait for a lock for two seconds. */
bool pg_session_begin(struct pg_session *s, uint32_t statement_timeout_ms);
bool pg_session_commit(struct pg_session *s);
/* One statement in a transaction of its own. */
PGresult *pg_session_query_alone(struct pg_session *s, uint32_t statement_timeout_ms,
	const char *doing, const char *sql, int count, const char *const *values);

bool pg_session_fail(struct pg_session *s, bool may_pass, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
