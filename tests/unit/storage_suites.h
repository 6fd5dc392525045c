/* SPDX-License-Identifier: MIT */
/* storage_suites.h - the same cases over every driver: SQLite always, Postgres when
 * $TEST_POSTGRES_URL names a server whose user may create databases */
#ifndef TESTS_UNIT_STORAGE_SUITES_H
#define TESTS_UNIT_STORAGE_SUITES_H

#include "tests/unit/storage_fixture.h"

#include <check.h>

/* Each test of it finds an empty database of its own in `world`, without a schema. */
TCase *storage_bare_tcase(Suite *suite, const struct test_backend *backend, double timeout_s);
/* A migrated one, and a store open on it. */
TCase *storage_tcase(Suite *suite, const struct test_backend *backend, double timeout_s);

/* What main() of such a check returns. `fill` gives a driver's suite its cases. */
int storage_suites_run(void (*fill)(Suite *suite, const struct test_backend *backend));

#endif
