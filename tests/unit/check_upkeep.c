/* SPDX-License-Identifier: MIT */
/* The server's upkeep thread, with periods of milliseconds, on an SQLite database. */
#include "cmd/mailserver/server/upkeep.h"
#include "lib/log.h"
#include "tests/unit/storage_fixture.h"

#include <check.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHORT_MS = 20, NEVER_MS = 3600000, DEADLINE_US = 20000000, LOOK_US = 2000 };

static struct upkeep *upkeep;
static atomic_uint turns; /* that got as far as purging */
static atomic_uint_fast64_t messages;

static void on_purged(void *data, const struct storage_purged *purged)
{
	atomic_fetch_add(&messages, purged->messages);
	atomic_fetch_add(&turns, 1);
}

static void begin(void)
{
	log_setup(LOG_ERROR, LOG_TEXT);
	world_begin(&test_sqlite);
}

static void end(void)
{
	ck_assert(upkeep_stop(&upkeep));
	world_end();
}

static void start(uint32_t period_ms, uint32_t retry_ms, uint32_t days)
{
	struct upkeep_settings set = {
		.storage = world.settings,
		.migrate = true,
		.period_ms = period_ms,
		.retry_ms = retry_ms,
		.purged = on_purged,
	};
	struct config config = { .retention = { .days = days } };

	upkeep = upkeep_start(&set, &config);
	ck_assert_ptr_nonnull(upkeep);
	upkeep_wake(upkeep);
}

static void reload(uint32_t days)
{
	struct config config = { .retention = { .days = days } };

	upkeep_reload(upkeep, &config);
	upkeep_wake(upkeep);
}

static void wait_for_turns(unsigned count)
{
	int64_t deadline = monotonic_us() + DEADLINE_US;

	while (atomic_load(&turns) < count) {
		ck_assert_msg(monotonic_us() < deadline, "only %u turns", atomic_load(&turns));
		usleep(LOOK_US);
	}
}

/* From 1970. */
static void put_old(void)
{
	struct sample *s = sample_new();

	ck_assert_result(put(s), STORAGE_OK);
	free(s);
}

static int64_t rows(void)
{
	return test_sqlite.number(&world.database, "select count(*) from messages");
}

static void wait_until_empty(void)
{
	int64_t deadline = monotonic_us() + DEADLINE_US;

	while (rows() > 0) {
		ck_assert_msg(monotonic_us() < deadline, "still there");
		usleep(LOOK_US);
	}
}

START_TEST(turns_come_again_by_themselves)
{
	put_old();
	start(SHORT_MS, NEVER_MS, 1);
	wait_until_empty();
	wait_for_turns(3);
	put_old();
	wait_until_empty();
}
END_TEST

START_TEST(what_was_deleted_is_told)
{
	put_old();
	put_old();
	start(NEVER_MS, NEVER_MS, 1);
	wait_for_turns(1);
	ck_assert_uint_eq(atomic_load(&messages), 2);
	upkeep_wake(upkeep);
	wait_for_turns(2);
	ck_assert_uint_eq(atomic_load(&messages), 2);
}
END_TEST

START_TEST(reload_changes_how_long_mail_is_kept)
{
	put_old();
	start(NEVER_MS, NEVER_MS, 0);
	wait_for_turns(1);
	ck_assert_int_eq(rows(), 1);
	reload(0);
	wait_for_turns(2);
	ck_assert_int_eq(rows(), 1);
	reload(1);
	wait_for_turns(3);
	ck_assert_int_eq(rows(), 0);
}
END_TEST

START_TEST(second_turn_brings_the_schema_up_to_date)
{
	start(NEVER_MS, NEVER_MS, 1);
	wait_for_turns(1);
	test_sqlite.exec(&world.database, "delete from schema_migrations where number = 3;"
					  "alter table messages drop column text_is_derived;"
					  "alter table messages drop column reply_text;"
					  "alter table messages drop column security;"
					  "alter table messages drop column auto_submitted;"
					  "alter table messages drop column list_id;"
					  "alter table messages drop column is_bounce;"
					  "alter table messages drop column report;"
					  "alter table messages drop column mailbox_tag;"
					  "alter table messages drop column parser_version;"
					  "alter table message_parts drop column inside;");
	upkeep_wake(upkeep);
	wait_for_turns(2);
	ck_assert_int_eq(test_sqlite.number(&world.database,
				 "select count(*) from schema_migrations where number = 3"),
		1);
}
END_TEST

START_TEST(failed_turn_is_tried_again_soon)
{
	put_old();
	test_sqlite.exec(&world.database, "update schema_migrations set number = number + 4711");
	start(NEVER_MS, SHORT_MS, 1);
	wait_for_turns(1);
	ck_assert_int_eq(rows(), 1);
	test_sqlite.exec(&world.database, "update schema_migrations set number = number - 4711");
	wait_until_empty();
}
END_TEST

static unsigned open_databases(void)
{
	char name[64], target[512];
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		ssize_t len = readlink(name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		count += strcmp(target, world.database.url + strlen("sqlite://")) == 0;
	}
	return count;
}

/* Somebody else has the database locked, for longer than anybody waits. */
START_TEST(turn_under_way_ends_when_it_is_to_stop)
{
	sqlite3 *other;

	put_old();
	ck_assert_int_eq(sqlite3_open(world.database.url + strlen("sqlite://"), &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
	unsigned before = open_databases();
	start(NEVER_MS, NEVER_MS, 1);
	while (open_databases() == before)
		usleep(LOOK_US);
	ck_assert(upkeep_stop(&upkeep));
	ck_assert_int_eq(sqlite3_exec(other, "rollback", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	ck_assert_int_eq(rows(), 1);
}
END_TEST

START_TEST(none_may_be_stopped_and_woken)
{
	upkeep_wake(upkeep);
	upkeep_leave(upkeep);
	ck_assert(upkeep_stop(&upkeep));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("upkeep");
	TCase *tc = tcase_create("upkeep");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_checked_fixture(tc, world_open, NULL);
	tcase_add_test(tc, turns_come_again_by_themselves);
	tcase_add_test(tc, what_was_deleted_is_told);
	tcase_add_test(tc, reload_changes_how_long_mail_is_kept);
	tcase_add_test(tc, second_turn_brings_the_schema_up_to_date);
	tcase_add_test(tc, failed_turn_is_tried_again_soon);
	tcase_add_test(tc, turn_under_way_ends_when_it_is_to_stop);
	tcase_add_test(tc, none_may_be_stopped_and_woken);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
