/* SPDX-License-Identifier: MIT */
/* What storage.h promises, run over every driver: SQLite always, Postgres when $TEST_POSTGRES_URL
 * names a server whose user may create databases. */
#include "tests/unit/storage_looks.h"
#include "tests/unit/storage_suites.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* h2o keeps a few buffers for every thread that ran a loop, and a thread that ends leaves them. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:h2o_mem_alloc_recycle";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static void put_ok(struct sample *s)
{
	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_mem_eq(&s->put.id, &s->message.id, sizeof(s->put.id));
}

static void wait_for_all(struct sample *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(run_until(world.loop, &list[i].answered), "%zu of %zu", i, count);
}

static size_t count_results(const struct sample *list, size_t count, enum storage_result result)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += list[i].result == result;
	return n;
}

static void assert_kept(const struct sample *s)
{
	ck_assert_result(get(s->message.tenant, s->message.id, looks_like, s), STORAGE_OK);
	ck_assert_result(raw(s->message.tenant, s->message.id, s), STORAGE_OK);
}

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

START_TEST(raw_of_25_megabytes_is_the_same)
{
	enum { BYTES = 25 << 20 };
	struct sample *s = sample_new();
	char *bytes = malloc(BYTES);

	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (char)(i ^ i >> 8 ^ i >> 16);
	s->message.raw = (struct slice){ bytes, BYTES };
	put_ok(s);
	assert_kept(s);
	free(bytes);
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

/* ---- the same message again ---- */

START_TEST(retry_is_duplicate_with_first_id)
{
	struct sample *first = sample_new(), *retry = sample_retry_of(first);

	put_ok(first);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_mem_eq(&retry->put.id, &first->message.id, sizeof(retry->put.id));
	ck_assert_result(get("default", retry->message.id, NULL, NULL), STORAGE_NOT_FOUND);
	assert_kept(first);
	free(retry);
	free(first);
}
END_TEST

START_TEST(same_key_of_another_tenant_is_no_duplicate)
{
	struct sample *first = sample_new(), *theirs = sample_retry_of(first);

	theirs->message.tenant = "other";
	put_ok(first);
	put_ok(theirs);
	assert_kept(first);
	assert_kept(theirs);
	free(theirs);
	free(first);
}
END_TEST

START_TEST(same_key_twice_at_once_is_kept_once)
{
	struct sample *a = sample_new(), *b = sample_retry_of(a);

	put_begin(world.store, a);
	put_begin(world.store, b);
	wait_for_all(a, 1);
	wait_for_all(b, 1);
	struct sample *kept = a->result == STORAGE_OK ? a : b;
	struct sample *other = kept == a ? b : a;
	ck_assert_result(kept->result, STORAGE_OK);
	ck_assert_result(other->result, STORAGE_DUPLICATE);
	ck_assert_mem_eq(&a->put.id, &b->put.id, sizeof(a->put.id));
	ck_assert_mem_eq(&a->put.id, &kept->message.id, sizeof(a->put.id));
	assert_kept(kept);
	free(b);
	free(a);
}
END_TEST

enum { WORKERS = 4, PUTS_EACH = 8 };

struct worker {
	pthread_t thread;
	struct sample *puts[PUTS_EACH];
	bool all_answered;
};

/* As a worker of the server does: a loop and a store of its own. */
static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct loop *loop = loop_new();
	struct storage *store = store_open_on(loop);

	for (size_t i = 0; i < PUTS_EACH; i++)
		put_begin(store, w->puts[i]);
	w->all_answered = true;
	for (size_t i = 0; i < PUTS_EACH; i++)
		w->all_answered &= run_until(loop, &w->puts[i]->answered);
	storage_close(&store);
	loop_free(&loop);
	return NULL;
}

static void run_workers(struct worker *workers)
{
	for (size_t i = 0; i < WORKERS; i++)
		ck_assert_int_eq(
			pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
}

/* All of them put `first`, each time under another id. */
static void put_from_many_workers(const struct sample *first)
{
	struct worker workers[WORKERS] = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < WORKERS * PUTS_EACH; i++)
		workers[i % WORKERS].puts[i / WORKERS] = sample_retry_of(first);
	run_workers(workers);
	struct uuid id = workers[0].puts[0]->put.id;
	for (size_t i = 0; i < WORKERS * PUTS_EACH; i++) {
		struct sample *s = workers[i % WORKERS].puts[i / WORKERS];
		ck_assert(s->answered);
		ck_assert_mem_eq(&s->put.id, &id, sizeof(id));
		kept += s->result == STORAGE_OK;
		if (s->result != STORAGE_OK)
			ck_assert_result(s->result, STORAGE_DUPLICATE);
		else
			assert_kept(s);
		free(s);
	}
	ck_assert_uint_eq(kept, 1);
}

START_TEST(same_key_from_many_workers_is_kept_once)
{
	struct sample *first = sample_new();

	put_from_many_workers(first);
	free(first);
}
END_TEST

/* Batches of two connections that hold the same keys in opposite order must not block each other. */
START_TEST(same_keys_in_opposite_order_are_each_kept_once)
{
	struct worker workers[WORKERS] = { 0 };
	struct sample *firsts = samples_new(PUTS_EACH);
	size_t kept = 0;

	for (size_t w = 0; w < WORKERS; w++)
		for (size_t i = 0; i < PUTS_EACH; i++)
			workers[w].puts[i] = sample_retry_of(
				&firsts[w % 2 == 0 ? i : PUTS_EACH - 1 - i]);
	run_workers(workers);
	for (size_t w = 0; w < WORKERS; w++) {
		ck_assert(workers[w].all_answered);
		for (size_t i = 0; i < PUTS_EACH; i++) {
			struct sample *s = workers[w].puts[i];
			kept += s->result == STORAGE_OK;
			if (s->result != STORAGE_OK)
				ck_assert_result(s->result, STORAGE_DUPLICATE);
			free(s);
		}
	}
	ck_assert_uint_eq(kept, PUTS_EACH);
	free(firsts);
}
END_TEST

/* ---- many messages ---- */

START_TEST(thousand_puts_at_once_are_all_kept)
{
	enum { COUNT = 1000 };
	struct sample *list = samples_new(COUNT);

	for (size_t i = 0; i < COUNT; i++)
		put_begin(world.store, &list[i]);
	wait_for_all(list, COUNT);
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

/* ---- large messages, whose bytes a driver may send another way ---- */

enum { LARGE_BYTES = 3000001 }; /* and no multiple of anything */

/* The bytes of some messages, which keep their own keys; free() them. */
static char *make_large(struct sample *list, size_t count)
{
	char *bytes = malloc(LARGE_BYTES);

	for (size_t i = 0; i < LARGE_BYTES; i++)
		bytes[i] = (char)(i ^ i >> 8 ^ i >> 16);
	for (size_t i = 0; i < count; i++)
		list[i].message.raw = (struct slice){ bytes, LARGE_BYTES };
	return bytes;
}

START_TEST(retry_of_large_message_is_duplicate_with_first_id)
{
	struct sample *first = sample_new(), *other = sample_new();
	char *bytes = make_large(first, 1);
	struct sample *retry = sample_retry_of(first);

	put_ok(first);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_mem_eq(&retry->put.id, &first->message.id, sizeof(retry->put.id));
	ck_assert_result(raw("default", retry->message.id, NULL), STORAGE_NOT_FOUND);
	put_ok(other);
	world_reopen();
	assert_kept(first);
	assert_kept(other);
	free(retry);
	free(other);
	free(first);
	free(bytes);
}
END_TEST

/* Right up to where a driver may draw the line. */
START_TEST(messages_of_about_a_megabyte_are_kept_to_the_byte)
{
	enum { COUNT = 5, MEGABYTE = 1 << 20 };
	struct sample *list = samples_new(COUNT);
	char *bytes = make_large(list, COUNT);

	for (size_t i = 0; i < COUNT; i++) {
		list[i].message.raw.len = MEGABYTE - COUNT / 2 + i;
		put_begin(world.store, &list[i]);
	}
	wait_for_all(list, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_kept(&list[i]);
	free(list);
	free(bytes);
}
END_TEST

START_TEST(large_and_small_messages_put_at_once_are_all_kept)
{
	enum { COUNT = 60, EACH = 10 };
	struct sample *list = samples_new(COUNT), one = { .put.message = NULL };
	struct storage_stats stats;
	char *bytes = make_large(&one, 1);

	for (size_t i = 0; i < COUNT; i += EACH)
		list[i].message.raw = one.message.raw;
	for (size_t i = 0; i < COUNT; i++)
		put_begin(world.store, &list[i]);
	storage_stats(world.store, &stats);
	ck_assert_uint_eq(stats.queue_depth, COUNT);
	wait_for_all(list, COUNT);
	storage_stats(world.store, &stats);
	ck_assert_uint_eq(stats.queue_depth, 0);
	ck_assert_uint_eq(count_results(list, COUNT, STORAGE_OK), COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_kept(&list[i]);
	free(list);
	free(bytes);
}
END_TEST

START_TEST(same_large_message_from_many_workers_is_kept_once)
{
	struct sample *first = sample_new();
	char *bytes = make_large(first, 1);

	put_from_many_workers(first);
	free(first);
	free(bytes);
}
END_TEST

START_TEST(large_messages_over_the_queues_bytes_are_unavailable)
{
	enum { COUNT = 12 };
	struct sample *list = samples_new(COUNT);
	char *bytes = make_large(list, COUNT);

	world.settings.queue_bytes = 2 * LARGE_BYTES;
	world_reopen();
	wait_until_ping_is(STORAGE_OK);
	for (size_t i = 0; i < COUNT; i++)
		put_begin(world.store, &list[i]);
	wait_for_all(list, COUNT);
	size_t kept = count_results(list, COUNT, STORAGE_OK);
	ck_assert_uint_ge(kept, 2);
	ck_assert_uint_le(kept, 4);
	ck_assert_uint_eq(count_results(list, COUNT, STORAGE_UNAVAILABLE), COUNT - kept);
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_result(raw("default", list[i].message.id, &list[i]),
			list[i].result == STORAGE_OK ? STORAGE_OK : STORAGE_NOT_FOUND);
	free(list);
	free(bytes);
}
END_TEST

/* Puts all at once: some must be refused, none be lost, and the store be well afterwards. */
static void overfill(size_t count)
{
	struct sample *list = samples_new(count), *later = sample_new();

	wait_until_ping_is(STORAGE_OK);
	for (size_t i = 0; i < count; i++)
		put_begin(world.store, &list[i]);
	wait_for_all(list, count);
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
	for (size_t i = 0; i < COUNT; i++)
		put_begin(world.store, &list[i]);
	wait_for_all(list, COUNT);
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

START_TEST(refused_headers_leave_a_large_message_bare)
{
	struct sample *bad = sample_new(), *after = sample_new();
	char *bytes = make_large(bad, 1);

	spoil_headers(bad);
	put_ok(bad);
	ck_assert_result(get("default", bad->message.id, looks_bare, bad), STORAGE_OK);
	ck_assert_result(raw("default", bad->message.id, bad), STORAGE_OK);
	put_ok(after);
	free(after);
	free(bad);
	free(bytes);
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
	struct migrator migrators[WORKERS] = { 0 };
	unsigned applied = 0, again;
	char *error, sql[128];

	for (size_t i = 0; i < WORKERS; i++)
		ck_assert_int_eq(
			pthread_create(&migrators[i].thread, NULL, migrator_main, &migrators[i]),
			0);
	for (size_t i = 0; i < WORKERS; i++) {
		pthread_join(migrators[i].thread, NULL);
		applied += migrators[i].applied;
	}
	for (size_t i = 0; i < WORKERS; i++)
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
	char *bytes = make_large(large, 1);

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
	tcase_add_test(tc, raw_of_25_megabytes_is_the_same);
	tcase_add_test(tc, dates_are_kept_to_the_microsecond_or_left_out);
	tcase_add_test(tc, other_tenants_and_unknown_ids_are_not_found);
	tcase_add_test(tc, reopened_store_has_it_all);
	tcase_add_test(tc, ping_says_that_it_can_write);
	tcase_add_test(tc, retry_is_duplicate_with_first_id);
	tcase_add_test(tc, same_key_of_another_tenant_is_no_duplicate);
	tcase_add_test(tc, same_key_twice_at_once_is_kept_once);
	tcase_add_test(tc, same_key_from_many_workers_is_kept_once);
	tcase_add_test(tc, same_keys_in_opposite_order_are_each_kept_once);
	tcase_add_test(tc, thousand_puts_at_once_are_all_kept);
	tcase_add_test(tc, messages_larger_than_a_batch_are_kept);
	tcase_add_test(tc, retry_of_large_message_is_duplicate_with_first_id);
	tcase_add_test(tc, messages_of_about_a_megabyte_are_kept_to_the_byte);
	tcase_add_test(tc, large_and_small_messages_put_at_once_are_all_kept);
	tcase_add_test(tc, same_large_message_from_many_workers_is_kept_once);
	tcase_add_test(tc, large_messages_over_the_queues_bytes_are_unavailable);
	tcase_add_test(tc, callback_may_put_again);
	tcase_add_test(tc, more_messages_than_the_queue_holds_are_unavailable);
	tcase_add_test(tc, more_bytes_than_the_queue_holds_are_unavailable);
	tcase_add_test(tc, refused_headers_leave_the_message_bare_and_harm_no_other);
	tcase_add_test(tc, refused_headers_leave_a_large_message_bare);
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
