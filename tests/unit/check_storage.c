/* SPDX-License-Identifier: MIT */
/* What storage.h promises, run over every driver. */
#include "tests/unit/storage_looks.h"
#include "tests/unit/storage_suites.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one message ---- */

START_TEST(put_then_get_gives_every_field_back)
{
	struct sample *s = sample_new();

	put_ok(s);
	assert_kept(s);
	free(s);
}
END_TEST

START_TEST(message_with_nothing_in_it_is_kept)
{
	struct sample *s = sample_new();

	s->envelope = (struct envelope){ .sender = "" };
	s->mime = (struct mime_message){ .status = MIME_OK };
	s->message.raw = (struct slice){ NULL, 0 };
	s->message.headers_json = "[]";
	s->message.addresses_json = "{}";
	put_ok(s);
	assert_kept(s);
	free(s);
}
END_TEST

START_TEST(thousand_recipients_are_kept)
{
	enum { COUNT = 1000 };
	static char text[COUNT][32];
	static const char *list[COUNT];
	struct sample *s = sample_new();

	for (int i = 0; i < COUNT; i++) {
		snprintf(text[i], sizeof(text[i]), "user+%d@example.com", i);
		list[i] = text[i];
	}
	s->envelope.recipients = list;
	s->envelope.recipient_count = COUNT;
	put_ok(s);
	assert_kept(s);
	free(s);
}
END_TEST

START_TEST(raw_is_the_same_for_every_byte)
{
	char bytes[3 * 256];
	struct sample *s = sample_new();

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	s->message.raw = (struct slice){ bytes, sizeof(bytes) };
	put_ok(s);
	assert_kept(s);
	free(s);
}
END_TEST

START_TEST(dates_are_kept_to_the_microsecond_or_left_out)
{
	static const struct {
		int64_t us;
		bool kept;
	} cases[] = {
		{ 0, true },
		{ -1, true },
		{ INT64_C(-2208988800000001), true },  /* before 1900 */
		{ INT64_C(253402300799999999), true }, /* the end of the year 9999 */
		{ INT64_C(253402300800000000), false },
		{ INT64_MAX, false },
		{ INT64_MIN, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample *s = sample_new();
		s->mime.date_us = cases[i].us;
		put_ok(s);
		s->mime.has_date = cases[i].kept;
		assert_kept(s);
		free(s);
	}
}
END_TEST

START_TEST(other_tenants_and_unknown_ids_are_not_found)
{
	struct sample *s = sample_new(), *never_put = sample_new();

	put_ok(s);
	ck_assert_result(get("other", s->message.id, NULL, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(raw("other", s->message.id, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(get("default", never_put->message.id, NULL, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(raw("default", never_put->message.id, NULL), STORAGE_NOT_FOUND);
	free(never_put);
	free(s);
}
END_TEST

START_TEST(reopened_store_has_it_all)
{
	struct sample *s = sample_new(), *retry = sample_retry_of(s);

	put_ok(s);
	world_reopen();
	assert_kept(s);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	free(retry);
	free(s);
}
END_TEST

START_TEST(ping_says_that_it_can_write)
{
	wait_until_ping_is(STORAGE_OK);
	ck_assert_result(ping(), STORAGE_OK);
}
END_TEST

/* ---- many messages ---- */

START_TEST(thousand_puts_at_once_are_all_kept)
{
	enum { COUNT = 1000 };
	struct sample *list = samples_new(COUNT);

	put_all(list, COUNT);
	ck_assert_uint_eq(count_results(list, COUNT, STORAGE_OK), COUNT);
	for (size_t i = 0; i < COUNT; i += 37)
		assert_kept(&list[i]);
	free(list);
}
END_TEST

START_TEST(messages_larger_than_a_batch_are_kept)
{
	enum { COUNT = 5, BYTES = 100000 };
	struct sample *list = samples_new(COUNT);
	char *bytes = calloc(1, BYTES);

	world.settings.batch_bytes = BYTES / 2;
	world_reopen();
	for (size_t i = 0; i < COUNT; i++) {
		list[i].message.raw = (struct slice){ bytes, BYTES };
		put_begin(world.store, &list[i]);
	}
	wait_for_all(list, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_kept(&list[i]);
	free(bytes);
	free(list);
}
END_TEST

static void put_next(struct storage_put *op, enum storage_result result)
{
	struct sample *s = op->data;

	s->answered = true;
	s->result = result;
	if (!s[1].returned) {
		s[1].returned = true;
		storage_put(world.store, &s[1].put);
	}
}

START_TEST(callback_may_put_again)
{
	enum { COUNT = 50 };
	struct sample *list = samples_new(COUNT + 1);

	for (size_t i = 0; i <= COUNT; i++) {
		list[i].put.done = put_next;
		list[i].put.data = &list[i];
	}
	list[COUNT].returned = true; /* the end of the chain, never put */
	storage_put(world.store, &list[0].put);
	wait_for_all(list, COUNT);
	ck_assert_uint_eq(count_results(list, COUNT, STORAGE_OK), COUNT);
	assert_kept(&list[COUNT - 1]);
	free(list);
}
END_TEST

/* Puts all at once: some must be refused, none be lost, and the store be well afterwards. */
static void overfill(size_t count)
{
	struct sample *list = samples_new(count), *later = sample_new();

	wait_until_ping_is(STORAGE_OK);
	put_all(list, count);
	size_t kept = count_results(list, count, STORAGE_OK);
	ck_assert_uint_gt(kept, 0);
	ck_assert_uint_gt(count_results(list, count, STORAGE_UNAVAILABLE), 0);
	ck_assert_uint_eq(kept + count_results(list, count, STORAGE_UNAVAILABLE), count);
	for (size_t i = 0; i < count; i++)
		ck_assert_result(get("default", list[i].message.id, NULL, NULL),
			list[i].result == STORAGE_OK ? STORAGE_OK : STORAGE_NOT_FOUND);
	put_ok(later);
	free(later);
	free(list);
}

START_TEST(more_messages_than_the_queue_holds_are_unavailable)
{
	world.settings.queue_messages = 4;
	world.settings.batch_messages = 2;
	world_reopen();
	overfill(200);
}
END_TEST

START_TEST(more_bytes_than_the_queue_holds_are_unavailable)
{
	world.settings.queue_bytes = 100;
	world.settings.batch_messages = 2;
	world_reopen();
	overfill(200);
}
END_TEST

/* ---- messages that the database refuses ---- */

/* Twenty messages around one that `spoil` made bad. */
static struct sample *put_poisoned_batch(void (*spoil)(struct sample *s))
{
	enum { COUNT = 21, BAD = 10 };
	struct sample *list = samples_new(COUNT), *bad = sample_new();

	spoil(&list[BAD]);
	put_all(list, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		ck_assert_result(list[i].result, STORAGE_OK);
		if (i == BAD)
			continue;
		ck_assert(!list[i].put.bare);
		assert_kept(&list[i]);
	}
	*bad = list[BAD];
	bad->message.envelope = &bad->envelope;
	bad->message.mime = &bad->mime;
	bad->message.raw = slice_str(bad->raw);
	ck_assert_result(raw("default", bad->message.id, bad), STORAGE_OK);
	free(list);
	return bad;
}

static void spoil_headers(struct sample *s)
{
	s->message.headers_json = "[{\"name\":";
}

START_TEST(refused_headers_leave_the_message_bare_and_harm_no_other)
{
	struct sample *bad = put_poisoned_batch(spoil_headers), *retry = sample_retry_of(bad);

	ck_assert(bad->put.bare);
	ck_assert_result(get("default", bad->message.id, looks_bare, bad), STORAGE_OK);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	free(retry);
	free(bad);
}
END_TEST

static void spoil_subject(struct sample *s)
{
	s->mime.subject = "no \xff\xfe UTF-8 \xc3";
}

START_TEST(bad_utf8_harms_no_other)
{
	struct sample *bad = put_poisoned_batch(spoil_subject);

	ck_assert_result(get("default", bad->message.id, NULL, NULL), STORAGE_OK);
	free(bad);
}
END_TEST

static void spoil_parts(struct sample *s)
{
	static struct mime_part twins[2];

	for (size_t i = 0; i < 2; i++)
		twins[i] = (struct mime_part){
			.n = 1, .path = "1", .content_type = "text/plain", .encoding = "7bit"
		};
	s->mime.parts = twins;
	s->mime.part_count = 2;
}

START_TEST(refused_parts_leave_the_message_bare_and_harm_no_other)
{
	struct sample *bad = put_poisoned_batch(spoil_parts);

	ck_assert(bad->put.bare);
	ck_assert_result(get("default", bad->message.id, looks_bare, bad), STORAGE_OK);
	free(bad);
}
END_TEST

/* ---- the schema ---- */

static enum storage_migrated migrate(unsigned *applied_r, char **error_r)
{
	*error_r = NULL;
	return storage_migrate(&world.settings, applied_r, error_r);
}

START_TEST(migrating_again_does_nothing)
{
	struct sample *s = sample_new();
	unsigned applied = 99;
	char *error;

	put_ok(s);
	ck_assert_msg(migrate(&applied, &error) == STORAGE_MIGRATED, "%s", error);
	ck_assert_uint_eq(applied, 0);
	assert_kept(s);
	free(s);
}
END_TEST

struct migrator {
	pthread_t thread;
	enum storage_migrated outcome;
	unsigned applied;
	char *error;
};

static void *migrator_main(void *arg)
{
	struct migrator *m = arg;

	m->outcome = migrate(&m->applied, &m->error);
	return NULL;
}

START_TEST(migrating_from_many_threads_applies_each_once)
{
	enum { THREADS = 4 };
	struct migrator migrators[THREADS] = { 0 };
	unsigned applied = 0, again;
	char *error, sql[128];

	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(
			pthread_create(&migrators[i].thread, NULL, migrator_main, &migrators[i]),
			0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(migrators[i].thread, NULL);
		applied += migrators[i].applied;
	}
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_msg(migrators[i].outcome == STORAGE_MIGRATED, "%s", migrators[i].error);
	ck_assert_uint_ge(applied, 1);
	/* Fails on a number that is there already: so many were recorded, and no more. */
	snprintf(sql, sizeof(sql),
		"insert into schema_migrations (number, name, applied_at)"
		" values (%u, 'x', '2026-01-01')",
		applied + 1);
	world.backend->exec(&world.database, sql);
	snprintf(sql, sizeof(sql), "delete from schema_migrations where number = %u", applied + 1);
	world.backend->exec(&world.database, sql);
	ck_assert_msg(migrate(&again, &error) == STORAGE_MIGRATED, "%s", error);
	ck_assert_uint_eq(again, 0);
}
END_TEST

START_TEST(newer_schema_is_refused_with_advice)
{
	unsigned applied = 99;
	char *error;

	world.backend->exec(&world.database,
		"insert into schema_migrations (number, name, applied_at)"
		" values (4711, 'future', '2026-01-01')");
	ck_assert_int_eq(migrate(&applied, &error), STORAGE_MIGRATE_FAILED);
	ck_assert_ptr_nonnull(strstr(error, "4711"));
	ck_assert_ptr_nonnull(strstr(error, "newer mailserver"));
	ck_assert_uint_eq(applied, 99);
	free(error);
}
END_TEST

/* ---- going away ---- */

START_TEST(store_may_be_closed_at_once)
{
	world_reopen();
	world_reopen();
}
END_TEST

START_TEST(unknown_url_is_refused)
{
	struct storage_settings set = { .url = "mysql://localhost/mail" };
	struct storage *st = NULL;
	char *error = NULL;

	ck_assert_int_eq(storage_open(&set, world.loop, &st, &error), -1);
	ck_assert_ptr_null(st);
	ck_assert_ptr_nonnull(strstr(error, "sqlite:///"));
	free(error);
}
END_TEST

static void run_command(const char *variable)
{
	ck_assert_msg(system(getenv(variable)) == 0, "$%s failed", variable);
}

START_TEST(stopped_server_is_unavailable_and_used_again_once_back)
{
	struct sample *before = sample_new(), *during = sample_new(), *after = sample_new();
	struct sample *large = sample_new();
	char *bytes = samples_enlarge(large, 1, LARGE_BYTES);

	put_ok(before);
	run_command("TEST_POSTGRES_STOP");
	wait_until_ping_is(STORAGE_UNAVAILABLE);
	ck_assert_result(put(during), STORAGE_UNAVAILABLE);
	ck_assert_result(put(large), STORAGE_UNAVAILABLE);
	ck_assert_result(get("default", before->message.id, NULL, NULL), STORAGE_UNAVAILABLE);
	ck_assert_result(raw("default", before->message.id, NULL), STORAGE_UNAVAILABLE);
	run_command("TEST_POSTGRES_START");
	wait_until_ping_is(STORAGE_OK);
	put_ok(after);
	put_ok(during);
	put_ok(large);
	assert_kept(large);
	assert_kept(before);
	assert_kept(during);
	assert_kept(after);
	free(large);
	free(bytes);
	free(after);
	free(during);
	free(before);
}
END_TEST

struct commits {
	atomic_uint count, messages;
};

static void note_commit(void *data, unsigned messages)
{
	struct commits *commits = data;

	atomic_fetch_add(&commits->count, 1);
	atomic_fetch_add(&commits->messages, messages);
}

/* A link to a server is up at the latest when a put was answered. */
START_TEST(stats_tell_what_waits_and_commits_what_they_hold)
{
	enum { COUNT = 10 };
	static struct commits commits;
	struct storage_stats stats;

	world.settings.committed = note_commit;
	world.settings.committed_data = &commits;
	world_reopen();
	struct sample *first = sample_new();
	put_ok(first);
	storage_stats(world.store, &stats);
	ck_assert_uint_eq(stats.queue_depth, 0);
	ck_assert(!stats.circuit_is_open);
	if (world.backend == &test_postgres)
		ck_assert_uint_ge(stats.connections, 1);
	else
		ck_assert_uint_eq(stats.connections, 0);
	ck_assert_uint_eq(commits.count, 1);

	struct sample *samples = samples_new(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		put_begin(world.store, &samples[i]);
	storage_stats(world.store, &stats);
	ck_assert_uint_eq(stats.queue_depth, COUNT);
	wait_for_all(samples, COUNT);
	storage_stats(world.store, &stats);
	ck_assert_uint_eq(stats.queue_depth, 0);
	ck_assert_uint_eq(commits.messages, COUNT + 1);
	ck_assert_uint_le(commits.count, COUNT + 1);
	ck_assert_int_eq(ping(), STORAGE_OK);
	ck_assert_uint_eq(commits.messages, COUNT + 1);
	free(samples);
	free(first);
}
END_TEST

START_TEST(urls_name_their_backend)
{
	ck_assert_str_eq(storage_backend_for(world.settings.url), world.backend->name);
	ck_assert_ptr_null(storage_backend_for("mysql://localhost"));
}
END_TEST

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *without_schema = storage_bare_tcase(suite, backend, 60);
	TCase *tc = storage_tcase(suite, backend, 60);

	tcase_add_test(without_schema, migrating_from_many_threads_applies_each_once);
	tcase_add_test(tc, put_then_get_gives_every_field_back);
	tcase_add_test(tc, message_with_nothing_in_it_is_kept);
	tcase_add_test(tc, thousand_recipients_are_kept);
	tcase_add_test(tc, raw_is_the_same_for_every_byte);
	tcase_add_test(tc, dates_are_kept_to_the_microsecond_or_left_out);
	tcase_add_test(tc, other_tenants_and_unknown_ids_are_not_found);
	tcase_add_test(tc, reopened_store_has_it_all);
	tcase_add_test(tc, ping_says_that_it_can_write);
	tcase_add_test(tc, thousand_puts_at_once_are_all_kept);
	tcase_add_test(tc, messages_larger_than_a_batch_are_kept);
	tcase_add_test(tc, callback_may_put_again);
	tcase_add_test(tc, more_messages_than_the_queue_holds_are_unavailable);
	tcase_add_test(tc, more_bytes_than_the_queue_holds_are_unavailable);
	tcase_add_test(tc, refused_headers_leave_the_message_bare_and_harm_no_other);
	tcase_add_test(tc, refused_parts_leave_the_message_bare_and_harm_no_other);
	tcase_add_test(tc, bad_utf8_harms_no_other);
	tcase_add_test(tc, migrating_again_does_nothing);
	tcase_add_test(tc, newer_schema_is_refused_with_advice);
	tcase_add_test(tc, store_may_be_closed_at_once);
	tcase_add_test(tc, unknown_url_is_refused);
	tcase_add_test(tc, stats_tell_what_waits_and_commits_what_they_hold);
	tcase_add_test(tc, urls_name_their_backend);
	/* Only where somebody says how the server is stopped and started. */
	if (backend == &test_postgres && getenv("TEST_POSTGRES_STOP") != NULL &&
		getenv("TEST_POSTGRES_START") != NULL)
		tcase_add_test(tc, stopped_server_is_unavailable_and_used_again_once_back);
}

int main(void)
{
	return storage_suites_run(fill);
}
