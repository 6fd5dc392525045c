/* SPDX-License-Identifier: MIT */
/* What is the Postgres driver's own: links that break, servers that hang, errors of every
 * class. */
#include "tests/unit/postgres_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- links that come and go ---- */

START_TEST(absent_database_is_unavailable_at_once_and_found_when_it_comes)
{
	struct sample *list = samples_new(3);

	alter_database_and_end_sessions("ALLOW_CONNECTIONS false");
	world_reopen();
	ck_assert_result(put(&list[0]), STORAGE_UNAVAILABLE);
	uint64_t before_ms = loop_now_ms(world.loop);
	ck_assert_result(put(&list[1]), STORAGE_UNAVAILABLE);
	ck_assert_uint_lt(loop_now_ms(world.loop) - before_ms, world.settings.connect_timeout_ms);
	ck_assert_result(ping(), STORAGE_UNAVAILABLE);
	alter_database_and_end_sessions("ALLOW_CONNECTIONS true");
	wait_until_ping_is(STORAGE_OK);
	put_ok(&list[2]);
	ck_assert_int_eq(kept(), 1);
	free(list);
}
END_TEST

START_TEST(short_absence_is_waited_out)
{
	struct sample *s = sample_new();

	world.settings.connect_timeout_ms = world.settings.statement_timeout_ms = 20000;
	alter_database_and_end_sessions("ALLOW_CONNECTIONS false");
	world_reopen();
	put_begin(world.store, s);
	for (int i = 0; i < 20; i++)
		loop_run(world.loop, 10);
	ck_assert(!s->answered);
	alter_database_and_end_sessions("ALLOW_CONNECTIONS true");
	ck_assert(run_until(world.loop, &s->answered));
	ck_assert_result(s->result, STORAGE_OK);
	free(s);
}
END_TEST

START_TEST(host_that_never_answers_is_passed_over)
{
	struct sample *s = sample_new();
	char hosts[512];
	unsigned silent_port;
	int silent = listen_somewhere(&silent_port);

	snprintf(hosts, sizeof(hosts), "host='127.0.0.1,%s' port='%u,%s'", postgres_host(),
		silent_port, postgres_port());
	world.settings.connect_timeout_ms = 300;
	reopen_with(hosts);
	wait_until_ping_is(STORAGE_OK);
	put_ok(s);
	close(silent);
	free(s);
}
END_TEST

/* In the first rounds names are looked up, then a server is waited for that says nothing. */
START_TEST(store_may_be_closed_while_it_connects)
{
	char place[64];
	unsigned silent_port;
	int silent = listen_somewhere(&silent_port);

	snprintf(place, sizeof(place), "host=localhost port=%u", silent_port);
	reopen_with(place);
	for (int i = 0; i < _i; i++)
		loop_run(world.loop, 10);
	storage_close(&world.store);
	close(silent);
}
END_TEST

START_TEST(named_host_is_looked_up)
{
	struct sample *s = sample_new();
	char place[64];

	snprintf(place, sizeof(place), "host=localhost port=%u", relay_port(relay));
	reopen_with(place);
	put_ok(s);
	free(s);
}
END_TEST

START_TEST(ended_session_is_replaced_and_the_retry_kept_once)
{
	struct sample *first = sample_new();

	world.settings.connections = 1;
	reopen_with("");
	wait_until_ping_is(STORAGE_OK);
	put_ok(first);
	struct sample *s = sample_new(), *retry = sample_retry_of(s);

	run_sql("BEGIN; LOCK TABLE messages");
	put_begin(world.store, s);
	wait_for_number(BLOCKED_SESSIONS, 1);
	run_sql(END_OTHER_SESSIONS);
	ck_assert(run_until(world.loop, &s->answered));
	ck_assert_result(s->result, STORAGE_UNCERTAIN);
	run_sql("COMMIT");
	wait_until_ping_is(STORAGE_OK);
	put_ok(retry);
	ck_assert_int_eq(kept(), 2);
	free(first);
	free(s);
	free(retry);
}
END_TEST

START_TEST(commit_whose_answer_is_lost_is_uncertain_and_its_retry_a_duplicate)
{
	struct sample *s = sample_new(), *retry = sample_retry_of(s);

	wait_until_ping_is(STORAGE_OK);
	warm_up();
	relay_mute(relay, true);
	put_begin(world.store, s);
	lose_answer_and_retry(s, retry);
	ck_assert_int_eq(kept(), 2);
	free(s);
	free(retry);
}
END_TEST

START_TEST(server_that_hangs_is_given_up_in_time)
{
	struct sample *s = sample_new(), *after = sample_new();

	wait_until_ping_is(STORAGE_OK);
	warm_up();
	relay_mute(relay, true);
	uint64_t before_ms = loop_now_ms(world.loop);
	ck_assert_result(put(s), STORAGE_UNCERTAIN);
	ck_assert_uint_ge(loop_now_ms(world.loop) - before_ms, world.settings.statement_timeout_ms);
	relay_mute(relay, false);
	wait_until_ping_is(STORAGE_OK);
	put_ok(after);
	free(s);
	free(after);
}
END_TEST

/* While the relay lets nothing pass. */
static void put_and_cut(struct sample *s)
{
	put_begin(world.store, s);
	for (int i = 0; i < 10; i++)
		loop_run(world.loop, 10);
	ck_assert(!s->answered);
	relay_cut(relay);
	ck_assert(run_until(world.loop, &s->answered));
	ck_assert_result(s->result, STORAGE_UNAVAILABLE);
}

START_TEST(message_cut_off_while_it_is_sent_is_unavailable)
{
	enum { LARGE = 25 << 20 };
	struct sample *s = sample_new();
	char *large = calloc(1, LARGE);

	s->message.raw = (struct slice){ large, LARGE };
	wait_until_ping_is(STORAGE_OK);
	warm_up();
	relay_stall(relay, true);
	put_and_cut(s);
	ck_assert_int_eq(kept(), 1);
	free(large);
	free(s);
}
END_TEST

/* ---- how long it may take ---- */

/* The first one has the link until the server gives it up; the second has what is left of its own
 * time then, and is given up in time as well. */
START_TEST(waiting_counts_as_part_of_the_time)
{
	struct sample *first = sample_new(), *second = sample_new(), *third = sample_new();

	world.settings.statement_timeout_ms = 4000;
	world.settings.connections = 1;
	reopen_with("");
	wait_until_ping_is(STORAGE_OK);
	warm_up();
	run_sql("BEGIN; LOCK TABLE messages");
	put_begin(world.store, first);
	wait_for_number(BLOCKED_SESSIONS, 1);
	put_begin(world.store, third);
	uint64_t third_ms = loop_now_ms(world.loop);
	while (loop_now_ms(world.loop) < third_ms + 1500)
		loop_run(world.loop, 10);
	uint64_t second_ms = loop_now_ms(world.loop);
	put_begin(world.store, second);
	ck_assert(run_until(world.loop, &third->answered));
	ck_assert_uint_lt(loop_now_ms(world.loop) - third_ms, 3000);
	ck_assert(run_until(world.loop, &second->answered));
	ck_assert_uint_lt(loop_now_ms(world.loop) - second_ms, 4000);
	ck_assert_result(first->result, STORAGE_UNAVAILABLE);
	ck_assert_result(second->result, STORAGE_UNAVAILABLE);
	ck_assert_result(third->result, STORAGE_UNAVAILABLE);
	run_sql("COMMIT");
	free(first);
	free(second);
	free(third);
}
END_TEST

/* While its statement is prepared, nothing of the message has left: it is certain not to be kept. */
START_TEST(link_lost_while_it_prepares_has_kept_nothing)
{
	struct sample *s = sample_new();

	wait_until_ping_is(STORAGE_OK);
	relay_mute(relay, true);
	put_and_cut(s);
	ck_assert_int_eq(kept(), 0);
	free(s);
}
END_TEST

START_TEST(statements_need_not_be_prepared)
{
	struct sample *list = samples_new(2), *retry = sample_retry_of(&list[0]);

	world.settings.prepared_statements = false;
	reopen_with("");
	wait_until_ping_is(STORAGE_OK);
	put_ok(&list[0]);
	put_ok(&list[1]);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_int_eq(kept(), 2);
	free(list);
	free(retry);
}
END_TEST

/* ---- what the server says ---- */

START_TEST(lock_that_is_held_too_long_is_unavailable_and_leaves_nobody_waiting)
{
	struct sample *s = sample_new(), *retry = sample_retry_of(s);

	wait_until_ping_is(STORAGE_OK);
	run_sql("BEGIN; LOCK TABLE messages");
	ck_assert_result(put(s), STORAGE_UNAVAILABLE);
	ck_assert_int_eq(number(BLOCKED_SESSIONS), 0);
	run_sql("COMMIT");
	ck_assert_int_eq(kept(), 0);
	put_ok(retry);
	free(s);
	free(retry);
}
END_TEST

START_TEST(two_hundred_puts_at_once_need_few_commits)
{
	enum { COUNT = 200 };
	struct sample *list = samples_new(COUNT);

	wait_until_ping_is(STORAGE_OK);
	put_all(list, COUNT);
	ck_assert_int_eq(kept(), COUNT);
	ck_assert_int_le(number("SELECT count(DISTINCT xmin::text) FROM messages"), 5);
	free(list);
}
END_TEST

/* Else two instances that hold the same keys could wait for each other. */
START_TEST(batch_locks_its_keys_in_order)
{
	enum { COUNT = 50 };
	struct sample *list = samples_new(COUNT);

	for (size_t i = 0; i < COUNT; i++)
		list[i].message.key[0] = (uint8_t)(i * 37);
	wait_until_ping_is(STORAGE_OK);
	put_all(list, COUNT);
	ck_assert_int_eq(number("SELECT count(DISTINCT xmin::text) FROM message_keys"), 1);
	ck_assert_int_eq(number("SELECT (array_agg(digest ORDER BY ctid) ="
				" array_agg(digest ORDER BY digest))::int FROM message_keys"),
		1);
	free(list);
}
END_TEST

static void count_ping(struct storage_ping *op, enum storage_result result)
{
	++*(unsigned *)op->data;
}

START_TEST(puts_and_reads_take_turns)
{
	enum { COUNT = 20 };
	struct sample *list = samples_new(COUNT), *one = sample_new();
	struct storage_ping pings[COUNT];
	unsigned answered = 0;

	world.settings.connections = world.settings.batch_messages = 1;
	reopen_with("");
	for (size_t i = 0; i < COUNT; i++)
		put_begin(world.store, &list[i]);
	ck_assert_result(ping(), STORAGE_OK);
	ck_assert_msg(!list[COUNT - 1].answered, "a read had to wait for all puts");
	ck_assert(run_until(world.loop, &list[COUNT - 1].answered));
	for (size_t i = 0; i < COUNT; i++) {
		pings[i] = (struct storage_ping){ .done = count_ping, .data = &answered };
		storage_ping(world.store, &pings[i]);
	}
	put_ok(one);
	ck_assert_msg(answered < COUNT, "a put had to wait for all reads");
	while (answered < COUNT)
		loop_run(world.loop, 10);
	free(list);
	free(one);
}
END_TEST

/* Makes the server raise, for a message whose HELO is such a word, that SQLSTATE. */
static void raise_sqlstates(const char *when)
{
	char sql[1024];

	snprintf(sql, sizeof(sql),
		"CREATE SEQUENCE raised;"
		"CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
		" IF new.client_helo ~ '^[0-9A-Z]{5}$' AND NOT (new.client_helo = '40001' AND"
		"  nextval('raised') > 2) THEN"
		"  RAISE EXCEPTION 'as the test wants' USING ERRCODE = new.client_helo;"
		" END IF; RETURN new; END $$;"
		"CREATE CONSTRAINT TRIGGER raise AFTER INSERT ON messages %s"
		" FOR EACH ROW EXECUTE FUNCTION raise()",
		when);
	run_sql(sql);
}

static const struct {
	const char *sqlstate;
	enum storage_result result;
} raised[] = {
	{ "22021", STORAGE_UNAVAILABLE }, /* what the envelope says is kept, and raises it again */
	{ "40001", STORAGE_OK },          /* the third time */
	{ "40P01", STORAGE_UNAVAILABLE }, /* each time */
	{ "42P01", STORAGE_UNAVAILABLE },
	{ "53100", STORAGE_FULL },
	{ "53200", STORAGE_UNAVAILABLE },
	{ "57014", STORAGE_UNAVAILABLE },
	{ "58030", STORAGE_UNAVAILABLE },
	{ "XX000", STORAGE_UNAVAILABLE },
};

START_TEST(sqlstate_decides_the_result)
{
	struct sample *s = sample_new(), *after = sample_new();

	raise_sqlstates("");
	s->envelope.client_helo = raised[_i].sqlstate;
	ck_assert_result(put(s), raised[_i].result);
	put_ok(after);
	ck_assert_int_eq(kept(), 1 + (raised[_i].result == STORAGE_OK));
	free(s);
	free(after);
}
END_TEST

START_TEST(message_that_fails_at_the_commit_harms_no_other)
{
	enum { COUNT = 20, BAD = 7 };
	struct sample *list = samples_new(COUNT);

	raise_sqlstates("DEFERRABLE INITIALLY DEFERRED");
	list[BAD].envelope.client_helo = "23514";
	wait_until_ping_is(STORAGE_OK);
	put_all(list, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_result(list[i].result, i == BAD ? STORAGE_UNAVAILABLE : STORAGE_OK);
	ck_assert_int_eq(kept(), COUNT - 1);
	free(list);
}
END_TEST

START_TEST(message_the_database_does_not_take_is_kept_bare)
{
	struct sample *s = sample_new();

	run_sql("ALTER TABLE messages ADD CHECK (subject <> 'poison')");
	s->mime.subject = "poison";
	put_ok(s);
	ck_assert_int_eq(number("SELECT count(*) FROM messages JOIN message_raw USING (id)"
				" WHERE subject IS NULL AND parse_status = 'failed'"
				" AND 'storage' = ANY (defects) AND length(raw) = size"),
		1);
	ck_assert_int_eq(number("SELECT count(*) FROM message_parts"), 0);
	free(s);
}
END_TEST

START_TEST(read_only_server_is_unavailable_until_it_is_not)
{
	struct sample *list = samples_new(2);

	wait_until_ping_is(STORAGE_OK);
	alter_database_and_end_sessions("SET default_transaction_read_only = on");
	wait_until_ping_is(STORAGE_UNAVAILABLE);
	ck_assert_result(put(&list[0]), STORAGE_UNAVAILABLE);
	alter_database_and_end_sessions("RESET default_transaction_read_only");
	wait_until_ping_is(STORAGE_OK);
	put_ok(&list[1]);
	ck_assert_int_eq(kept(), 1);
	free(list);
}
END_TEST

/* As after a failover, when what was the primary takes no writes any more. */
START_TEST(read_only_server_is_none_and_the_link_looks_for_the_primary)
{
	struct sample *list = samples_new(2);

	alter_database_and_end_sessions("SET default_transaction_read_only = on");
	world.settings.connections = 1;
	reopen_with("target_session_attrs=any");
	ck_assert_result(put(&list[0]), STORAGE_UNAVAILABLE);
	alter_database("RESET default_transaction_read_only");
	wait_until_ping_is(STORAGE_OK);
	put_ok(&list[1]);
	free(list);
}
END_TEST

START_TEST(lazy_commits_of_the_database_are_not_ours)
{
	struct sample *s = sample_new();

	alter_database_and_end_sessions("SET synchronous_commit = off");
	run_sql("CREATE TABLE seen (setting text);"
		"CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
		" INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN new;"
		" END $$;"
		"CREATE TRIGGER see BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION see()");
	wait_until_ping_is(STORAGE_OK);
	put_ok(s);
	ck_assert_int_eq(number("SELECT count(*) FROM seen WHERE setting = 'on'"), 1);
	free(s);
}
END_TEST

static void fill(TCase *direct, TCase *relayed)
{
	tcase_add_test(direct, absent_database_is_unavailable_at_once_and_found_when_it_comes);
	tcase_add_test(direct, short_absence_is_waited_out);
	tcase_add_test(direct, host_that_never_answers_is_passed_over);
	tcase_add_loop_test(direct, store_may_be_closed_while_it_connects, 0, 6);
	tcase_add_test(direct, ended_session_is_replaced_and_the_retry_kept_once);
	tcase_add_test(direct, lock_that_is_held_too_long_is_unavailable_and_leaves_nobody_waiting);
	tcase_add_test(direct, two_hundred_puts_at_once_need_few_commits);
	tcase_add_test(direct, batch_locks_its_keys_in_order);
	tcase_add_test(direct, puts_and_reads_take_turns);
	tcase_add_loop_test(
		direct, sqlstate_decides_the_result, 0, sizeof(raised) / sizeof(raised[0]));
	tcase_add_test(direct, message_that_fails_at_the_commit_harms_no_other);
	tcase_add_test(direct, message_the_database_does_not_take_is_kept_bare);
	tcase_add_test(direct, statements_need_not_be_prepared);
	tcase_add_test(direct, waiting_counts_as_part_of_the_time);
	tcase_add_test(direct, read_only_server_is_unavailable_until_it_is_not);
	tcase_add_test(direct, read_only_server_is_none_and_the_link_looks_for_the_primary);
	tcase_add_test(direct, lazy_commits_of_the_database_are_not_ours);
	tcase_add_test(relayed, commit_whose_answer_is_lost_is_uncertain_and_its_retry_a_duplicate);
	tcase_add_test(relayed, named_host_is_looked_up);
	tcase_add_test(relayed, server_that_hangs_is_given_up_in_time);
	tcase_add_test(relayed, message_cut_off_while_it_is_sent_is_unavailable);
	tcase_add_test(relayed, link_lost_while_it_prepares_has_kept_nothing);
}

int main(void)
{
	return postgres_suite_run("postgres, links and errors", fill);
}
