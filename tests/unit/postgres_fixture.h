/* SPDX-License-Identifier: MIT */
/* postgres_fixture.h - what the suites of the Postgres driver's own share: a session of the test's
 * beside the store's, and a relay that may stand before the server */
#ifndef TESTS_UNIT_POSTGRES_FIXTURE_H
#define TESTS_UNIT_POSTGRES_FIXTURE_H

#include "tests/unit/relay.h"
#include "tests/unit/storage_fixture.h"

#include <check.h>

/* What main() of such a check returns; it only runs when $TEST_POSTGRES_URL names a server whose user
 * may create databases. `fill` adds the tests. In the relayed case the store has one connection, and
 * it goes through `relay`. */
int postgres_suite_run(const char *name, void (*fill)(TCase *direct, TCase *relayed));

extern struct relay *relay;

/* In the test's own session. */
void run_sql(const char *sql);
long number(const char *sql);
/* Lets the store work on meanwhile. */
void wait_for_number(const char *sql, long wanted);
long kept(void); /* messages */
/* Where it is connected to. */
const char *postgres_host(void);
const char *postgres_port(void);

#define OTHER_SESSIONS                                                                             \
	"FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
/* And waits until they are gone. */
#define END_OTHER_SESSIONS "SELECT pg_terminate_backend(pid, 20000) " OTHER_SESSIONS
#define BLOCKED_SESSIONS   "SELECT count(*) " OTHER_SESSIONS " AND wait_event_type = 'Lock'"

/* For sessions that begin after it. A database cannot be closed from within. */
void alter_database(const char *what);
void alter_database_and_end_sessions(const char *what);

/* The store, with these words added to the database's url. */
void reopen_with(const char *more);
/* From now on all links have their statement prepared, and send nothing but messages. */
void warm_up(void);
/* The relay is mute, and one message is there already. */
void lose_answer_and_retry(struct sample *s, struct sample *retry);

#endif
