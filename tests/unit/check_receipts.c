/* SPDX-License-Identifier: MIT */
/* What storage_list_receipts() and storage_fates() promise, run over every driver: SQLite always,
 * Postgres when $TEST_POSTGRES_URL names a server whose user may create databases. */
#include "tests/unit/storage_suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1767323045678000)
#define MS  INT64_C(1000)

enum { MANY = 2500 }; /* more than two pages */

/* ---- messages of a moment ---- */

static struct sample *put_at(int64_t taken_in_us, const char *tenant, const char *queue_id)
{
	struct sample *s = sample_new();

	sample_set_moment(s, taken_in_us);
	s->message.tenant = tenant;
	s->envelope.queue_id = queue_id;
	ck_assert_result(put(s), STORAGE_OK);
	return s;
}

/* One a millisecond, from NOW on; every third without a queue id. */
static struct sample *put_many(size_t count)
{
	struct sample *list = samples_new(count);

	for (size_t i = 0; i < count; i++) {
		sample_set_moment(&list[i], NOW + (int64_t)i * MS);
		if (i % 3 == 2)
			list[i].envelope.queue_id = NULL;
		put_begin(world.store, &list[i]);
	}
	wait_for_all(list, count);
	ck_assert_uint_eq(count_results(list, count, STORAGE_OK), count);
	return list;
}

/* ---- listing ---- */

struct listed {
	struct uuid ids[MANY];
	size_t count, enough; /* 0: never */
	char last[3][1024];   /* queue id, recipients, original recipient */
};

static bool on_receipt(void *data, const struct storage_receipt *receipt)
{
	struct listed *listed = data;

	ck_assert_uint_lt(listed->count, MANY);
	ck_assert_ptr_nonnull(receipt->queue_id);
	listed->ids[listed->count++] = receipt->id;
	snprintf(listed->last[0], 1024, "%s", receipt->queue_id);
	snprintf(listed->last[1], 1024, "%s", receipt->recipients_json);
	snprintf(listed->last[2], 1024, "%s",
		receipt->orig_recipient != NULL ? receipt->orig_recipient : "none");
	return listed->count != listed->enough;
}

static void list(struct listed *listed, int64_t from_us, int64_t before_us, const char *tenant)
{
	struct storage_receipts want = {
		.from_us = from_us,
		.before_us = before_us,
		.tenant = tenant,
		.each = on_receipt,
		.each_data = listed,
	};
	char *error = NULL;

	listed->count = 0;
	ck_assert_msg(
		storage_list_receipts(&world.settings, &want, &error) == STORAGE_OK, "%s", error);
}

static void assert_listed(const struct listed *listed, size_t place, const struct sample *s)
{
	ck_assert_mem_eq(&listed->ids[place], &s->message.id, sizeof(s->message.id));
}

START_TEST(receipt_has_what_the_mta_knows_it_by)
{
	static const char *const to[] = { "b@example.com", "\"a \\\" b\"@example.com",
		"gr\xc3\xbc@x" };
	struct sample *s = sample_new();
	struct listed listed = { .enough = 0 };

	sample_set_moment(s, NOW);
	s->envelope.queue_id = "4FxYz12abczK";
	s->envelope.recipients = (const char **)to;
	s->envelope.recipient_count = 3;
	s->envelope.orig_recipient = NULL;
	ck_assert_result(put(s), STORAGE_OK);
	list(&listed, NOW, NOW + MS, NULL);
	ck_assert_uint_eq(listed.count, 1);
	assert_listed(&listed, 0, s);
	ck_assert_str_eq(listed.last[0], "4FxYz12abczK");
	ck_assert_str_eq(listed.last[1],
		"[\"b@example.com\",\"\\\"a \\\\\\\" b\\\"@example.com\",\"gr\xc3\xbc@x\"]");
	ck_assert_str_eq(listed.last[2], "none");
	ck_assert_int_eq(uuid7_time_us(&listed.ids[0]), NOW);
	free(s);
}
END_TEST

START_TEST(period_has_its_first_moment_and_not_its_last)
{
	static const int64_t moments[] = { NOW - MS, NOW, NOW + MS, NOW + 5 * MS, NOW + 6 * MS };
	struct sample *puts[5];
	struct listed listed = { .enough = 0 };

	for (size_t i = 0; i < 5; i++)
		puts[i] = put_at(moments[i], "default", "4XyZ");
	list(&listed, NOW, NOW + 6 * MS, NULL);
	ck_assert_uint_eq(listed.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_listed(&listed, i, puts[i + 1]);
	list(&listed, NOW, NOW, NULL);
	ck_assert_uint_eq(listed.count, 0);
	list(&listed, INT64_C(-1000000), NOW, NULL);
	ck_assert_uint_eq(listed.count, 1);
	for (size_t i = 0; i < 5; i++)
		free(puts[i]);
}
END_TEST

START_TEST(all_pages_are_read_in_order_and_what_has_no_queue_id_is_left_out)
{
	struct sample *puts = put_many(MANY);
	struct listed listed = { .enough = 0 };
	size_t place = 0;

	list(&listed, NOW, NOW + MANY * MS, NULL);
	for (size_t i = 0; i < MANY; i++)
		if (i % 3 != 2)
			assert_listed(&listed, place++, &puts[i]);
	ck_assert_uint_eq(listed.count, place);
	free(puts);
}
END_TEST

START_TEST(listing_ends_when_it_is_told_to)
{
	struct sample *puts = put_many(1200);
	static const size_t enough[] = { 1, 3, 700 };
	struct listed listed;

	for (size_t i = 0; i < 3; i++) {
		listed.enough = enough[i];
		list(&listed, NOW, NOW + MANY * MS, NULL);
		ck_assert_uint_eq(listed.count, enough[i]);
	}
	free(puts);
}
END_TEST

START_TEST(tenant_bounds_what_is_listed)
{
	struct sample *ours = put_at(NOW, "ours", "4XyZ"), *theirs = put_at(NOW, "theirs", "4XyZ");
	struct listed listed = { .enough = 0 };

	list(&listed, NOW, NOW + MS, "ours");
	ck_assert_uint_eq(listed.count, 1);
	assert_listed(&listed, 0, ours);
	list(&listed, NOW, NOW + MS, "nobody");
	ck_assert_uint_eq(listed.count, 0);
	list(&listed, NOW, NOW + MS, NULL);
	ck_assert_uint_eq(listed.count, 2);
	free(ours);
	free(theirs);
}
END_TEST

/* ---- fates ---- */

static void delete_message(const struct sample *s, const char *table)
{
	char id[UUID_TEXT + 1], sql[128];

	uuid_format(&s->message.id, id);
	snprintf(sql, sizeof(sql), "delete from %s where id = '%s'", table, id);
	world.backend->exec(&world.database, sql);
}

static void ask_fates(const struct uuid *ids, size_t count, enum storage_fate *fates_r)
{
	char *error = NULL;

	ck_assert_msg(storage_fates(&world.settings, ids, count, fates_r, &error) == STORAGE_OK,
		"%s", error);
}

START_TEST(fates_are_told_in_the_order_of_the_ids)
{
	struct sample *kept = put_at(NOW, "a", "4XyZ"), *deleted = put_at(NOW, "b", NULL),
		      *forgotten = put_at(NOW, "a", "4XyZ");
	struct uuid ids[] = { forgotten->message.id, kept->message.id, uuid7(NOW),
		deleted->message.id, kept->message.id };
	static const enum storage_fate fates[] = { STORAGE_UNKNOWN, STORAGE_KEPT, STORAGE_UNKNOWN,
		STORAGE_DELETED, STORAGE_KEPT };
	enum storage_fate told[5];

	delete_message(deleted, "messages");
	delete_message(forgotten, "messages");
	delete_message(forgotten, "message_keys");
	ask_fates(ids, 5, told);
	for (size_t i = 0; i < 5; i++)
		ck_assert_msg(told[i] == fates[i], "%zu: %d", i, (int)told[i]);
	ask_fates(NULL, 0, NULL);
	free(kept);
	free(deleted);
	free(forgotten);
}
END_TEST

START_TEST(any_number_of_ids_may_be_asked_for)
{
	struct sample *puts = put_many(MANY);
	struct uuid *ids = calloc(MANY, sizeof(*ids));
	enum storage_fate *fates = calloc(MANY, sizeof(*fates));

	for (size_t i = 0; i < MANY; i++) {
		ids[i] = puts[i].message.id;
		ids[i].bytes[15] ^= i % 7 == 0; /* another's, or nobody's */
	}
	ask_fates(ids, MANY, fates);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_int_eq((int)fates[i], i % 7 == 0 ? STORAGE_UNKNOWN : STORAGE_KEPT);
	free(puts);
	free(ids);
	free(fates);
}
END_TEST

/* ---- failing ---- */

static void assert_fails(const struct storage_settings *set, const char *why)
{
	struct storage_receipts want = { .before_us = NOW, .each = on_receipt };
	struct uuid id = uuid7(NOW);
	enum storage_fate fate;
	char *error = NULL;

	ck_assert_result(storage_list_receipts(set, &want, &error), STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
	free(error);
	ck_assert_result(storage_fates(set, &id, 1, &fate, &error), STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
	free(error);
}

START_TEST(what_cannot_work_is_said)
{
	struct storage_settings nowhere = world.settings;
	bool sqlite = world.backend == &test_sqlite;

	nowhere.url = "mysql://localhost";
	assert_fails(&nowhere, "storage.url is none");
	nowhere.url = sqlite ? "sqlite:///no/such/mail.db" : "host=/no/such user=nobody";
	assert_fails(&nowhere, "/no/such");
	world.backend->exec(&world.database, "update schema_migrations set number = number + 4711");
	assert_fails(&world.settings, "newer mailserver");
	world.backend->exec(&world.database, "delete from schema_migrations");
	assert_fails(&world.settings, "run `mailserver migrate`");
}
END_TEST

START_TEST(file_that_may_not_be_written_to_is_not_touched)
{
	char file[512], log[512];

	snprintf(file, sizeof(file), "%s/mail.db", world.database.place);
	snprintf(log, sizeof(log), "%s/mail.db-wal", world.database.place);
	storage_close(&world.store);
	ck_assert_int_eq(chmod(file, 0440), 0);
	assert_fails(&world.settings, "may not write to it");
	ck_assert_int_ne(access(log, F_OK), 0);
}
END_TEST

static void open_as_nobody(void)
{
	world_become_nobody();
	world_open();
}

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *tc = storage_tcase(suite, backend, 120);

	tcase_add_test(tc, receipt_has_what_the_mta_knows_it_by);
	tcase_add_test(tc, period_has_its_first_moment_and_not_its_last);
	tcase_add_test(tc, all_pages_are_read_in_order_and_what_has_no_queue_id_is_left_out);
	tcase_add_test(tc, listing_ends_when_it_is_told_to);
	tcase_add_test(tc, tenant_bounds_what_is_listed);
	tcase_add_test(tc, fates_are_told_in_the_order_of_the_ids);
	tcase_add_test(tc, any_number_of_ids_may_be_asked_for);
	tcase_add_test(tc, what_cannot_work_is_said);
	if (backend == &test_sqlite) {
		TCase *nobody = storage_bare_tcase(suite, backend, 120);
		tcase_add_checked_fixture(nobody, open_as_nobody, NULL);
		tcase_add_test(nobody, file_that_may_not_be_written_to_is_not_touched);
	}
}

int main(void)
{
	return storage_suites_run(fill);
}
