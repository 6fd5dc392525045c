/* SPDX-License-Identifier: MIT */
/* What storage_purge() promises, run over every driver: SQLite always, Postgres when
 * $TEST_POSTGRES_URL names a server whose user may create databases. */
#include "tests/unit/storage_suites.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW INT64_C(1767323045678901)
#define MS  INT64_C(1000)
#define DAY (INT64_C(86400000) * MS)

enum { MANY = 2300, LARGE = 70000000 };

/* ---- messages of an age ---- */

static struct sample *put_old(const char *tenant, int64_t age_us)
{
	struct sample *s = sample_new();

	sample_set_moment(s, NOW - age_us);
	s->message.tenant = tenant;
	ck_assert_result(put(s), STORAGE_OK);
	return s;
}

/* `count` of them, each a millisecond older than the one before. */
static struct sample *put_many_old(size_t count, int64_t age_us)
{
	struct sample *list = samples_new(count);

	for (size_t i = 0; i < count; i++) {
		sample_set_moment(&list[i], NOW - age_us - (int64_t)i * MS);
		put_begin(world.store, &list[i]);
	}
	wait_for_all(list, count);
	ck_assert_uint_eq(count_results(list, count, STORAGE_OK), count);
	return list;
}

static bool is_there(const struct sample *s)
{
	enum storage_result result = get(s->message.tenant, s->message.id, NULL, NULL);

	ck_assert_result(result, raw(s->message.tenant, s->message.id, NULL));
	ck_assert(result == STORAGE_OK || result == STORAGE_NOT_FOUND);
	return result == STORAGE_OK;
}

static int64_t rows_of(const char *table)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "select count(*) from %s", table);
	return world.backend->number(&world.database, sql);
}

static void assert_rows(int64_t messages, int64_t keys)
{
	ck_assert_int_eq(rows_of("messages"), messages);
	ck_assert_int_eq(rows_of("message_raw"), messages);
	ck_assert_int_eq(rows_of("message_parts"), 2 * messages); /* a sample has two */
	ck_assert_int_eq(rows_of("message_keys"), keys);
}

/* ---- purging ---- */

static struct storage_purged purge(const struct storage_retention *keep)
{
	struct storage_purged purged;
	char *error = NULL;
	enum storage_result result = storage_purge(
		&world.settings, keep, NOW, NULL, &purged, &error);

	ck_assert_msg(result == STORAGE_OK, "%s", error);
	return purged;
}

static void assert_purges(const struct storage_retention *keep, uint64_t messages, uint64_t keys)
{
	struct storage_purged purged = purge(keep);

	ck_assert_uint_eq(purged.messages, messages);
	ck_assert_uint_eq(purged.keys, keys);
}

static void assert_fails(const struct storage_settings *set, const struct storage_retention *keep,
	struct storage_purged *purged_r, const char *why)
{
	char *error = NULL;

	ck_assert_result(
		storage_purge(set, keep, NOW, NULL, purged_r, &error), STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
	free(error);
}

struct purger {
	pthread_t thread;
	struct storage_retention keep;
	atomic_bool stop;
	struct storage_purged purged;
	enum storage_result result;
	char *error;
};

static void *purger_main(void *arg)
{
	struct purger *p = arg;

	p->result = storage_purge(&world.settings, &p->keep, NOW, &p->stop, &p->purged, &p->error);
	return NULL;
}

static void purger_start(struct purger *p)
{
	ck_assert_int_eq(pthread_create(&p->thread, NULL, purger_main, p), 0);
}

static void purger_join(struct purger *p)
{
	pthread_join(p->thread, NULL);
	ck_assert_msg(p->result == STORAGE_OK, "%s", p->error);
}

/* ---- what goes and what stays ---- */

START_TEST(older_goes_younger_stays_to_the_millisecond)
{
	struct storage_retention keep = { .days = 30 };
	struct sample *young = put_old("default", 0), *just_kept = put_old("default", 30 * DAY),
		      *just_gone = put_old("default", 30 * DAY + MS),
		      *old = put_old("default", 4000 * DAY);

	assert_purges(&keep, 2, 0);
	ck_assert(is_there(young) && is_there(just_kept));
	ck_assert(!is_there(just_gone) && !is_there(old));
	assert_rows(2, 4);
	assert_purges(&keep, 0, 0);
	free(young);
	free(just_kept);
	free(just_gone);
	free(old);
}
END_TEST

START_TEST(nothing_goes_that_is_kept_for_ever)
{
	struct storage_tenant_retention tenants[] = { { "default", 0 } };
	struct storage_retention keep = { .tenants = tenants, .tenant_count = 1 };
	struct sample *old = put_old("default", 20000 * DAY);

	assert_purges(&keep, 0, 0);
	ck_assert(is_there(old));
	keep.tenant_count = 0;
	assert_purges(&keep, 0, 0);
	ck_assert(is_there(old));
	free(old);
}
END_TEST

START_TEST(tenants_are_kept_by_days_of_their_own)
{
	struct storage_tenant_retention tenants[] = {
		{ "longer", 90 },
		{ "shorter", 7 },
		{ "archive", 0 },
		{ "absent", 1 },
	};
	static const struct {
		const char *tenant;
		int days;
		bool kept;
	} cases[] = {
		{ "other", 29, true },
		{ "other", 31, false },
		{ "longer", 89, true },
		{ "longer", 91, false },
		{ "shorter", 6, true },
		{ "shorter", 8, false },
		{ "archive", 5000, true },
		{ "Shorter", 29, true },
	};
	enum { CASES = sizeof(cases) / sizeof(cases[0]) };
	struct storage_retention keep = { .days = 30, .tenants = tenants, .tenant_count = 4 };
	struct sample *puts[CASES];

	for (size_t i = 0; i < CASES; i++)
		puts[i] = put_old(cases[i].tenant, cases[i].days * DAY);
	assert_purges(&keep, 3, 0);
	for (size_t i = 0; i < CASES; i++) {
		ck_assert_msg(is_there(puts[i]) == cases[i].kept, "%s %d", cases[i].tenant,
			cases[i].days);
		free(puts[i]);
	}
}
END_TEST

START_TEST(one_tenant_alone_may_have_a_limit)
{
	struct storage_tenant_retention tenants[] = { { "brief", 1 } };
	struct storage_retention keep = { .tenants = tenants, .tenant_count = 1 };
	struct sample *brief = put_old("brief", 2 * DAY), *other = put_old("default", 2 * DAY);

	assert_purges(&keep, 1, 0);
	ck_assert(!is_there(brief) && is_there(other));
	free(brief);
	free(other);
}
END_TEST

START_TEST(ages_beyond_all_time_keep_everything)
{
	struct storage_retention keep = { .days = UINT32_MAX, .key_days = UINT32_MAX };
	struct sample *old = put_old("default", NOW);

	assert_purges(&keep, 0, 0);
	ck_assert(is_there(old));
	free(old);
}
END_TEST

START_TEST(more_than_a_batch_goes)
{
	struct storage_retention keep = { .days = 30, .key_days = 40 };
	struct sample *old = put_many_old(MANY, 31 * DAY), *young = put_old("default", DAY);

	assert_purges(&keep, MANY, 0);
	assert_rows(1, MANY + 1);
	ck_assert(is_there(young));
	keep.key_days = 30;
	assert_purges(&keep, 0, MANY);
	assert_rows(1, 1);
	free(old);
	free(young);
}
END_TEST

static void make_large(void)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "update messages set size = %d", LARGE);
	world.backend->exec(&world.database, sql);
}

START_TEST(messages_larger_than_a_batch_go)
{
	struct storage_retention keep = { .days = 30 };
	struct sample *old = put_many_old(5, 31 * DAY);

	make_large();
	assert_purges(&keep, 5, 0);
	assert_rows(0, 5);
	free(old);
}
END_TEST

START_TEST(counting_deletes_nothing)
{
	struct storage_tenant_retention tenants[] = { { "brief", 1 } };
	struct storage_retention keep = {
		.days = 30,
		.tenants = tenants,
		.tenant_count = 1,
		.key_days = 20,
		.only_count = true,
	};
	struct sample *old = put_many_old(3, 31 * DAY), *brief = put_old("brief", 2 * DAY),
		      *young = put_old("default", 25 * DAY);

	for (int i = 0; i < 2; i++)
		assert_purges(&keep, 4, 4);
	assert_rows(5, 5);
	keep.only_count = false;
	assert_purges(&keep, 4, 4);
	assert_rows(1, 1);
	free(old);
	free(brief);
	free(young);
}
END_TEST

/* ---- keys ---- */

START_TEST(retry_of_what_is_gone_is_a_duplicate_while_its_key_lives)
{
	struct storage_retention keep = { .days = 1, .key_days = 10 };
	struct sample *s = put_old("default", 2 * DAY), *retry = sample_retry_of(s);

	assert_purges(&keep, 1, 0);
	ck_assert(!is_there(s));
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_mem_eq(&retry->put.id, &s->message.id, sizeof(retry->put.id));
	ck_assert(!is_there(s));
	free(retry);
	free(s);
}
END_TEST

START_TEST(retry_is_stored_anew_once_the_key_is_gone)
{
	struct storage_retention keep = { .days = 1, .key_days = 10 };
	struct sample *s = put_old("default", 11 * DAY), *retry = sample_retry_of(s);

	assert_purges(&keep, 1, 1);
	assert_rows(0, 0);
	sample_set_moment(retry, NOW);
	ck_assert_result(put(retry), STORAGE_OK);
	ck_assert(is_there(retry) && !is_there(s));
	assert_purges(&keep, 0, 0);
	ck_assert(is_there(retry));
	free(retry);
	free(s);
}
END_TEST

START_TEST(message_that_is_kept_may_lose_its_key)
{
	struct storage_retention keep = { .key_days = 10 };
	struct sample *old = put_old("default", 10 * DAY + MS), *young = put_old("other", 10 * DAY);

	assert_purges(&keep, 0, 1);
	ck_assert(is_there(old) && is_there(young));
	assert_rows(2, 1);
	free(old);
	free(young);
}
END_TEST

/* ---- ending early, and failing ---- */

START_TEST(stopped_before_it_began_it_deletes_nothing)
{
	struct purger p = { .keep = { .days = 1, .key_days = 1 }, .stop = true };
	struct sample *s = put_old("default", 2 * DAY);

	purger_start(&p);
	purger_join(&p);
	ck_assert_uint_eq(p.purged.messages + p.purged.keys, 0);
	ck_assert(is_there(s));
	free(s);
}
END_TEST

START_TEST(stopped_midway_the_rest_is_there_and_what_went_is_counted)
{
	struct purger p = { .keep = { .days = 1 } };
	struct sample *old = put_many_old(MANY, 2 * DAY);

	make_large(); /* each is a batch of its own */
	purger_start(&p);
	while (rows_of("messages") == MANY)
		usleep(1000);
	atomic_store(&p.stop, true);
	purger_join(&p);
	ck_assert_uint_gt(p.purged.messages, 0);
	ck_assert_uint_lt(p.purged.messages, MANY);
	assert_rows(MANY - (int64_t)p.purged.messages, MANY);
	free(old);
}
END_TEST

static void forbid_deleting(const char *tenant)
{
	char sql[512];

	if (world.backend == &test_sqlite)
		snprintf(sql, sizeof(sql),
			"create trigger no before delete on messages when old.tenant = '%s'"
			" begin select raise(abort, 'forbidden'); end",
			tenant);
	else
		snprintf(sql, sizeof(sql),
			"create function no() returns trigger language plpgsql as $$ begin"
			" if old.tenant = '%s' then raise 'forbidden'; end if; return old; end $$;"
			"create trigger no before delete on messages for each row execute function "
			"no()",
			tenant);
	world.backend->exec(&world.database, sql);
}

START_TEST(failed_midway_no_message_is_in_pieces_and_what_went_is_counted)
{
	struct storage_retention keep = { .days = 1 };
	struct storage_purged purged;
	struct sample *first = put_old("a", 2 * DAY), *second = put_old("b", 2 * DAY);

	forbid_deleting("b");
	assert_fails(&world.settings, &keep, &purged, "forbidden");
	ck_assert_uint_eq(purged.messages, 1);
	ck_assert(!is_there(first) && is_there(second));
	assert_rows(1, 2);
	free(first);
	free(second);
}
END_TEST

START_TEST(what_cannot_work_is_said)
{
	struct storage_settings nowhere = world.settings;
	struct storage_retention keep = { .days = 1, .key_days = 1 };
	struct storage_purged purged;
	bool sqlite = world.backend == &test_sqlite;

	nowhere.url = "mysql://localhost";
	assert_fails(&nowhere, &keep, &purged, "storage.url is none");
	nowhere.url = sqlite ? "sqlite:///no/such/mail.db" : "host=/no/such user=nobody";
	assert_fails(&nowhere, &keep, &purged, "/no/such");
	ck_assert_uint_eq(purged.messages + purged.keys, 0);
	world.backend->exec(&world.database, "update schema_migrations set number = number + 4711");
	assert_fails(&world.settings, &keep, &purged, "newer mailserver");
	world.backend->exec(&world.database, "delete from schema_migrations");
	assert_fails(&world.settings, &keep, &purged, "run `mailserver migrate`");
}
END_TEST

/* ---- at once with others ---- */

START_TEST(many_may_purge_at_once)
{
	enum { PURGERS = 4 };
	struct purger purgers[PURGERS];
	struct sample *old = put_many_old(MANY, 2 * DAY);
	uint64_t messages = 0, keys = 0;

	for (size_t i = 0; i < PURGERS; i++) {
		purgers[i] = (struct purger){ .keep = { .days = 1, .key_days = 1 } };
		purger_start(&purgers[i]);
	}
	for (size_t i = 0; i < PURGERS; i++) {
		purger_join(&purgers[i]);
		messages += purgers[i].purged.messages;
		keys += purgers[i].purged.keys;
	}
	ck_assert_uint_eq(messages, MANY);
	ck_assert_uint_eq(keys, MANY);
	assert_rows(0, 0);
	free(old);
}
END_TEST

/* Retries among them, whose keys go at the very moment: each is stored once or found, never lost. */
START_TEST(mail_is_taken_while_it_purges)
{
	enum { PUTS = 600 };
	struct purger p = { .keep = { .days = 1, .key_days = 1 } };
	struct sample *old = put_many_old(MANY, 2 * DAY), *young = samples_new(PUTS);
	size_t stored = 0, begun = 0;

	purger_start(&p);
	for (; begun < PUTS; begun++) {
		struct sample *s = &young[begun];
		sample_set_moment(s, NOW);
		if (begun % 2 == 0)
			memcpy(s->message.key, old[begun].message.key, sizeof(s->message.key));
		put_begin(world.store, s);
		loop_run(world.loop, 1);
	}
	for (size_t i = 0; i < PUTS; i++) {
		ck_assert(run_until(world.loop, &young[i].answered));
		if (i % 2 == 0 && young[i].result == STORAGE_DUPLICATE)
			continue;
		ck_assert_result(young[i].result, STORAGE_OK);
		ck_assert(is_there(&young[i]));
		stored++;
	}
	purger_join(&p);
	ck_assert_uint_eq(p.purged.messages, MANY);
	ck_assert_int_eq(rows_of("messages"), (int64_t)stored);
	free(old);
	free(young);
}
END_TEST

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *tc = storage_tcase(suite, backend, 120);

	tcase_add_test(tc, older_goes_younger_stays_to_the_millisecond);
	tcase_add_test(tc, nothing_goes_that_is_kept_for_ever);
	tcase_add_test(tc, tenants_are_kept_by_days_of_their_own);
	tcase_add_test(tc, one_tenant_alone_may_have_a_limit);
	tcase_add_test(tc, ages_beyond_all_time_keep_everything);
	tcase_add_test(tc, more_than_a_batch_goes);
	tcase_add_test(tc, messages_larger_than_a_batch_go);
	tcase_add_test(tc, counting_deletes_nothing);
	tcase_add_test(tc, retry_of_what_is_gone_is_a_duplicate_while_its_key_lives);
	tcase_add_test(tc, retry_is_stored_anew_once_the_key_is_gone);
	tcase_add_test(tc, message_that_is_kept_may_lose_its_key);
	tcase_add_test(tc, stopped_before_it_began_it_deletes_nothing);
	tcase_add_test(tc, stopped_midway_the_rest_is_there_and_what_went_is_counted);
	tcase_add_test(tc, failed_midway_no_message_is_in_pieces_and_what_went_is_counted);
	tcase_add_test(tc, what_cannot_work_is_said);
	tcase_add_test(tc, many_may_purge_at_once);
	tcase_add_test(tc, mail_is_taken_while_it_purges);
}

int main(void)
{
	return storage_suites_run(fill);
}
