/* SPDX-License-Identifier: MIT */
/* What is the Postgres driver's own of large messages, whose bytes follow their statement. */
#include "lib/digest.h"
#include "tests/unit/postgres_fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 5 << 20 };

static struct sample *large_new(void)
{
	static char bytes[BYTES];
	struct sample *s = sample_new();

	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (char)(i ^ i >> 8);
	s->message.raw = (struct slice){ bytes, BYTES };
	return s;
}

static void assert_raw_kept(const struct sample *s)
{
	ck_assert_result(raw("default", s->message.id, s), STORAGE_OK);
}

#define COPIES "SELECT count(*) " OTHER_SESSIONS " AND query LIKE 'COPY%'"

/* What others wait for, when a trigger makes them. */
#define LOCK   "SELECT pg_advisory_lock(1)"
#define UNLOCK "SELECT pg_advisory_unlock(1)"
static void hold_up_the_commit_of(const struct sample *s)
{
	char sql[1024], id[UUID_TEXT + 1];

	uuid_format(&s->message.id, id);
	snprintf(sql, sizeof(sql),
		"CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
		" PERFORM pg_advisory_xact_lock(1); RETURN new; END $$;"
		"CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON messages DEFERRABLE INITIALLY"
		" DEFERRED FOR EACH ROW WHEN (new.id = '%s') EXECUTE FUNCTION wait()",
		id);
	run_sql(sql);
	run_sql(LOCK);
}

START_TEST(large_commit_whose_answer_is_lost_is_uncertain_and_its_retry_a_duplicate)
{
	struct sample *s = large_new(), *retry = sample_retry_of(s);

	wait_until_ping_is(STORAGE_OK);
	warm_up();
	hold_up_the_commit_of(s);
	put_begin(world.store, s);
	wait_for_number(BLOCKED_SESSIONS, 1);
	relay_mute(relay, true);
	run_sql(UNLOCK);
	lose_answer_and_retry(s, retry);
	assert_raw_kept(s);
	free(s);
	free(retry);
}
END_TEST

/* Before the COMMIT it is certain that nothing is kept. */
START_TEST(session_that_ends_while_the_bytes_are_sent_has_kept_nothing)
{
	struct sample *s = large_new(), *retry = sample_retry_of(s);

	wait_until_ping_is(STORAGE_OK);
	warm_up();
	run_sql("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
		" PERFORM pg_advisory_xact_lock(1); RETURN new; END $$;"
		"CREATE TRIGGER wait BEFORE INSERT ON message_raw FOR EACH ROW EXECUTE FUNCTION "
		"wait()");
	run_sql(LOCK);
	put_begin(world.store, s);
	wait_for_number(BLOCKED_SESSIONS, 1);
	ck_assert_int_eq(number(COPIES), 1);
	run_sql(END_OTHER_SESSIONS);
	ck_assert(run_until(world.loop, &s->answered));
	ck_assert_result(s->result, STORAGE_UNAVAILABLE);
	run_sql(UNLOCK);
	wait_until_ping_is(STORAGE_OK);
	ck_assert_int_eq(number("SELECT count(*) FROM message_keys"), 1);
	put_ok(retry);
	assert_raw_kept(retry);
	free(s);
	free(retry);
}
END_TEST

/* And the link is as good as before. */
START_TEST(large_message_whose_bytes_find_the_disk_full_is_full)
{
	struct sample *s = large_new(), *after = large_new();

	world.settings.connections = 1;
	reopen_with("");
	wait_until_ping_is(STORAGE_OK);
	long pid = number("SELECT pid " OTHER_SESSIONS);
	run_sql("CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
		" RAISE EXCEPTION 'as the test wants' USING ERRCODE = '53100'; END $$;"
		"CREATE TRIGGER fill BEFORE INSERT ON message_raw FOR EACH ROW EXECUTE FUNCTION "
		"fill()");
	ck_assert_result(put(s), STORAGE_FULL);
	ck_assert_int_eq(number("SELECT count(*) FROM message_keys"), 0);
	run_sql("DROP TRIGGER fill ON message_raw");
	put_ok(after);
	assert_raw_kept(after);
	ck_assert_int_eq(number("SELECT pid " OTHER_SESSIONS), pid);
	free(s);
	free(after);
}
END_TEST

START_TEST(large_message_needs_no_prepared_statements)
{
	struct sample *s = large_new(), *retry = sample_retry_of(s);

	world.settings.prepared_statements = false;
	reopen_with("");
	wait_until_ping_is(STORAGE_OK);
	put_ok(s);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	assert_raw_kept(s);
	free(s);
	free(retry);
}
END_TEST

/* In the test's own transaction. */
static void take_key_of(const struct sample *s)
{
	char sql[256], digits[2 * sizeof(s->message.key) + 1];

	hex_encode(s->message.key, sizeof(s->message.key), digits);
	snprintf(sql, sizeof(sql),
		"INSERT INTO message_keys (id, tenant, digest) VALUES (gen_random_uuid(),"
		" 'default', decode('%s', 'hex'))",
		digits);
	run_sql(sql);
}

/* While large ones wait for something, a link is left for the others. */
START_TEST(small_message_passes_large_ones)
{
	enum { COUNT = 3 };
	struct sample *large[COUNT], *small = sample_new();

	wait_until_ping_is(STORAGE_OK);
	warm_up();
	run_sql("BEGIN");
	for (size_t i = 0; i < COUNT; i++) {
		large[i] = large_new();
		take_key_of(large[i]);
		put_begin(world.store, large[i]);
	}
	wait_for_number(BLOCKED_SESSIONS, 1);
	put_ok(small);
	ck_assert(!large[0]->answered && !large[1]->answered && !large[2]->answered);
	run_sql("ROLLBACK");
	for (size_t i = 0; i < COUNT; i++) {
		ck_assert(run_until(world.loop, &large[i]->answered));
		ck_assert_result(large[i]->result, STORAGE_OK);
		assert_raw_kept(large[i]);
		free(large[i]);
	}
	free(small);
}
END_TEST

static void fill(TCase *direct, TCase *relayed)
{
	tcase_add_test(direct, large_message_whose_bytes_find_the_disk_full_is_full);
	tcase_add_test(direct, large_message_needs_no_prepared_statements);
	tcase_add_test(direct, small_message_passes_large_ones);
	tcase_add_test(
		relayed, large_commit_whose_answer_is_lost_is_uncertain_and_its_retry_a_duplicate);
	tcase_add_test(relayed, session_that_ends_while_the_bytes_are_sent_has_kept_nothing);
}

int main(void)
{
	return postgres_suite_run("postgres, large messages", fill);
}
