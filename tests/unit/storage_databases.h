/* SPDX-License-Identifier: MIT */
/* storage_databases.h - a fresh database for each test, of either kind */
#ifndef TESTS_UNIT_STORAGE_DATABASES_H
#define TESTS_UNIT_STORAGE_DATABASES_H

#include <stdint.h>

/* An empty database of a test's own, without a schema. */
struct test_database {
	char url[1024];
	char place[256]; /* SQLite: the directory it lies in; Postgres: the database's name */
};

struct test_backend {
	const char *name; /* as storage_backend() says it */
	void (*create)(struct test_database *db);
	void (*destroy)(struct test_database *db);
	/* SQL commands on it, past any store. */
	void (*exec)(const struct test_database *db, const char *sql);
	/* The first column of a query's only row. */
	int64_t (*number)(const struct test_database *db, const char *sql);
};

extern const struct test_backend test_sqlite;
/* Makes its databases on the server of $TEST_POSTGRES_URL, whose user may create them. */
extern const struct test_backend test_postgres;

#endif
