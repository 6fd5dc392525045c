/* SPDX-License-Identifier: MIT */
/* telling workers that turn from one that hangs */
#include "cmd/mailserver/server/watchdog.h"
#include "cmd/mailserver/server/worker.h"

#include <check.h>
#include <stdlib.h>

enum { WORKERS = 2 };

static struct worker workers[WORKERS];
static const struct server server = { .workers = workers, .worker_count = WORKERS };
static struct watchdog watchdog;

static void teardown(void)
{
	watchdog_free(&watchdog);
}

static void turn(unsigned i)
{
	atomic_fetch_add(&workers[i].sweeps, 1);
}

START_TEST(workers_that_turn_are_well)
{
	ck_assert(watchdog_all_turn(&watchdog, &server));
	for (int i = 0; i < 3; i++) {
		turn(0);
		turn(1);
		ck_assert(watchdog_all_turn(&watchdog, &server));
	}
}
END_TEST

START_TEST(one_that_hangs_is_noticed_until_it_turns_again)
{
	ck_assert(watchdog_all_turn(&watchdog, &server));
	turn(0);
	ck_assert(!watchdog_all_turn(&watchdog, &server));
	turn(0);
	ck_assert(!watchdog_all_turn(&watchdog, &server));
	turn(0);
	turn(1);
	ck_assert(watchdog_all_turn(&watchdog, &server));
	ck_assert(!watchdog_all_turn(&watchdog, &server));
}
END_TEST

START_TEST(one_that_has_left_does_not_count)
{
	atomic_store(&workers[1].sweeps, WORKER_LEFT);
	ck_assert(watchdog_all_turn(&watchdog, &server));
	turn(0);
	ck_assert(watchdog_all_turn(&watchdog, &server));
}
END_TEST

START_TEST(nobody_is_looked_at_when_nobody_asks)
{
	ck_assert_int_eq(watchdog_look(&watchdog, &server), INT64_MAX);
	ck_assert_ptr_null(watchdog.seen);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watchdog");
	TCase *tc = tcase_create("watchdog");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, workers_that_turn_are_well);
	tcase_add_test(tc, one_that_hangs_is_noticed_until_it_turns_again);
	tcase_add_test(tc, one_that_has_left_does_not_count);
	tcase_add_test(tc, nobody_is_looked_at_when_nobody_asks);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
