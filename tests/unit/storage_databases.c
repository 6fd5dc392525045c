/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage_databases.h"

#include <check.h>
#include <errno.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void sqlite_create(struct test_database *db)
{
	strcpy(db->place, "/tmp/check_storage.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(db->place));
	snprintf(db->url, sizeof(db->url), "sqlite://%s/mail.db", db->place);
}

static void sqlite_destroy(struct test_database *db)
{
	static const char *const names[] = { "/mail.db", "/mail.db-wal", "/mail.db-shm",
		"/mail.db.lock" };
	char path[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", db->place, names[i]);
		unlink(path);
	}
	rmdir(db->place);
}

static void sqlite_exec(const struct test_database *db, const char *sql)
{
	sqlite3 *handle;

	ck_assert_int_eq(sqlite3_open(db->url + strlen("sqlite://"), &handle), SQLITE_OK);
	sqlite3_busy_timeout(handle, 10000);
	ck_assert_msg(sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql,
		sqlite3_errmsg(handle));
	sqlite3_close(handle);
}

static int64_t sqlite_number(const struct test_database *db, const char *sql)
{
	sqlite3 *handle;
	sqlite3_stmt *stmt;

	ck_assert_int_eq(sqlite3_open(db->url + strlen("sqlite://"), &handle), SQLITE_OK);
	sqlite3_busy_timeout(handle, 10000);
	ck_assert_msg(sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL) == SQLITE_OK, "%s: %s", sql,
		sqlite3_errmsg(handle));
	ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(handle);
	return n;
}

const struct test_backend test_sqlite = {
	.name = "sqlite",
	.create = sqlite_create,
	.destroy = sqlite_destroy,
	.exec = sqlite_exec,
	.number = sqlite_number,
};

/* The first column of the first row, where there is one. */
static int64_t postgres_run(const char *url, const char *sql)
{
	PGconn *pg = PQconnectdb(url);
	PGresult *res = PQexec(pg, sql);
	int64_t n = 0;

	ck_assert_msg(
		PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK,
		"%s: %s", sql, PQerrorMessage(pg));
	if (PQntuples(res) > 0)
		n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	PQfinish(pg);
	return n;
}

/* The administrator's connection string with another database in it, as a keyword string. */
static void url_for_database(const char *admin, const char *name, char *out, size_t size)
{
	char *error = NULL;
	PQconninfoOption *options = PQconninfoParse(admin, &error);
	size_t len = (size_t)snprintf(out, size, "dbname='%s'", name);

	ck_assert_msg(options != NULL, "TEST_POSTGRES_URL: %s", error);
	for (PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (o->val != NULL && strcmp(o->keyword, "dbname") != 0)
			len += (size_t)snprintf(
				out + len, size - len, " %s='%s'", o->keyword, o->val);
	ck_assert_uint_lt(len, size);
	PQconninfoFree(options);
}

/* Whatever a test left that ended in the middle. */
static void postgres_empty(const struct test_database *db)
{
	const char *admin = getenv("TEST_POSTGRES_URL");
	char sql[768];

	snprintf(sql, sizeof(sql), "alter database %s allow_connections true", db->place);
	postgres_run(admin, sql);
	snprintf(sql, sizeof(sql), "alter database %s reset all", db->place);
	postgres_run(admin, sql);
	snprintf(sql, sizeof(sql),
		"select pg_terminate_backend(pid, 20000) from pg_stat_activity where datname = "
		"'%s'",
		db->place);
	postgres_run(admin, sql);
	postgres_run(db->url, "set client_min_messages = warning; drop schema public cascade;"
			      " create schema public");
}

/* To make a database, and to drop it, is to write hundreds of files: a program's tests have the same
 * one, one after the other, each as its child. It stays on the server. */
static void postgres_create(struct test_database *db)
{
	const char *admin = getenv("TEST_POSTGRES_URL");
	char sql[512];

	snprintf(db->place, sizeof(db->place), "%s_%d", program_invocation_short_name,
		(int)getppid());
	url_for_database(admin, db->place, db->url, sizeof(db->url));
	snprintf(sql, sizeof(sql), "select 1 from pg_database where datname = '%s'", db->place);
	if (postgres_run(admin, sql) == 1) {
		postgres_empty(db);
		return;
	}
	snprintf(sql, sizeof(sql), "create database %s", db->place);
	postgres_run(admin, sql);
}

static void postgres_destroy(struct test_database *db) {}

static void postgres_exec(const struct test_database *db, const char *sql)
{
	postgres_run(db->url, sql);
}

static int64_t postgres_number(const struct test_database *db, const char *sql)
{
	return postgres_run(db->url, sql);
}

const struct test_backend test_postgres = {
	.name = "postgres",
	.create = postgres_create,
	.destroy = postgres_destroy,
	.exec = postgres_exec,
	.number = postgres_number,
};
