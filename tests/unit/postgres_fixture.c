/* SPDX-License-Identifier: MIT */
#include "tests/unit/postgres_fixture.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

struct relay *relay;
static PGconn *session;

static void run_sql_on(PGconn *pg, const char *sql)
{
	PGresult *res = PQexec(pg, sql);

	ck_assert_msg(
		PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK,
		"%s: %s", sql, PQerrorMessage(pg));
	PQclear(res);
}

void run_sql(const char *sql)
{
	run_sql_on(session, sql);
}

long number(const char *sql)
{
	PGresult *res = PQexec(session, sql);

	ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1, "%s: %s", sql,
		PQerrorMessage(session));
	long value = strtol(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return value;
}

void wait_for_number(const char *sql, long wanted)
{
	enum { ROUNDS = 3000 };

	for (int i = 0; i < ROUNDS && number(sql) != wanted; i++)
		loop_run(world.loop, 10);
	ck_assert_int_eq(number(sql), wanted);
}

long kept(void)
{
	return number("SELECT count(*) FROM messages");
}

void alter_database(const char *what)
{
	PGconn *outside = PQconnectdb(getenv("TEST_POSTGRES_URL"));
	char sql[512];

	snprintf(sql, sizeof(sql), "ALTER DATABASE %s %s", world.database.place, what);
	run_sql_on(outside, sql);
	PQfinish(outside);
}

void alter_database_and_end_sessions(const char *what)
{
	alter_database(what);
	run_sql(END_OTHER_SESSIONS);
}

void warm_up(void)
{
	unsigned links = world.settings.connections;
	struct sample *list = samples_new(links);

	for (unsigned i = 0; i < links; i++)
		put_ok(&list[i]);
	free(list);
}

void lose_answer_and_retry(struct sample *s, struct sample *retry)
{
	wait_for_number("SELECT count(*) FROM messages", 2);
	ck_assert(!s->answered);
	relay_cut(relay);
	ck_assert(run_until(world.loop, &s->answered));
	ck_assert_result(s->result, STORAGE_UNCERTAIN);
	relay_mute(relay, false);
	wait_until_ping_is(STORAGE_OK);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_mem_eq(&retry->put.id, &s->message.id, sizeof(retry->put.id));
}

const char *postgres_host(void)
{
	return PQhost(session);
}

const char *postgres_port(void)
{
	return PQport(session);
}

void reopen_with(const char *more)
{
	static char url[2048]; /* when it is not the database's own */

	snprintf(url, sizeof(url), "%s %s", world.database.url, more);
	world.settings.url = url;
	world_reopen();
}

static void setup(void)
{
	world_begin(&test_postgres);
	world.settings.connect_timeout_ms = 1000;
	world.settings.statement_timeout_ms = 2000;
	session = PQconnectdb(world.database.url);
	world_open();
}

static void teardown(void)
{
	PQfinish(session);
	world_end();
}

/* To where the test's session is connected, in TCP or by a socket in the file system. */
static void begin_relay(void)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (PQhost(session)[0] == '/') {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s/.s.PGSQL.%s", PQhost(session),
			PQport(session));
		relay = relay_begin((struct sockaddr *)&local, sizeof(local));
	} else {
		getpeername(PQsocket(session), (struct sockaddr *)&peer, &len);
		relay = relay_begin((struct sockaddr *)&peer, len);
	}
}

static void setup_relay(void)
{
	char place[64];

	setup();
	begin_relay();
	snprintf(place, sizeof(place), "host=127.0.0.1 port=%u", relay_port(relay));
	world.settings.connections = 1;
	reopen_with(place);
}

static void teardown_relay(void)
{
	relay_end(&relay);
	teardown();
}

static TCase *server_tcase(Suite *suite, const char *name, void (*begin)(void), void (*end)(void))
{
	TCase *tc = tcase_create(name);

	tcase_set_tags(tc, "server");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, begin, end);
	suite_add_tcase(suite, tc);
	return tc;
}

int postgres_suite_run(const char *name, void (*fill)(TCase *direct, TCase *relayed))
{
	if (getenv("TEST_POSTGRES_URL") == NULL) {
		printf("%s: skipped, TEST_POSTGRES_URL names no server\n", name);
		return EXIT_SUCCESS;
	}
	Suite *suite = suite_create(name);
	SRunner *sr = srunner_create(suite);
	fill(server_tcase(suite, "direct", setup, teardown),
		server_tcase(suite, "relayed", setup_relay, teardown_relay));
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
