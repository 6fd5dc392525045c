/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage_suites.h"

#include <stdlib.h>

static void begin_sqlite(void)
{
	world_begin(&test_sqlite);
}

static void begin_postgres(void)
{
	world_begin(&test_postgres);
}

TCase *storage_bare_tcase(Suite *suite, const struct test_backend *backend, double timeout_s)
{
	TCase *tc = tcase_create(backend->name);

	tcase_set_tags(tc, backend->name);
	tcase_set_timeout(tc, timeout_s);
	tcase_add_checked_fixture(
		tc, backend == &test_sqlite ? begin_sqlite : begin_postgres, world_end);
	suite_add_tcase(suite, tc);
	return tc;
}

TCase *storage_tcase(Suite *suite, const struct test_backend *backend, double timeout_s)
{
	TCase *tc = storage_bare_tcase(suite, backend, timeout_s);

	tcase_add_checked_fixture(tc, world_open, NULL);
	return tc;
}

int storage_suites_run(void (*fill)(Suite *suite, const struct test_backend *backend))
{
	static const struct test_backend *const backends[] = { &test_sqlite, &test_postgres };
	size_t count = getenv("TEST_POSTGRES_URL") != NULL ? 2 : 1;
	SRunner *sr = srunner_create(NULL);

	for (size_t i = 0; i < count; i++) {
		Suite *suite = suite_create(backends[i]->name);
		fill(suite, backends[i]);
		srunner_add_suite(sr, suite);
	}
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
