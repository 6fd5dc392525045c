/* SPDX-License-Identifier: MIT */
/* What storage.h promises of large messages, whose bytes a driver may send another way; run over every
 * driver. */
#include "tests/unit/storage_looks.h"
#include "tests/unit/storage_suites.h"

#include <stdlib.h>

START_TEST(raw_of_25_megabytes_is_the_same)
{
	struct sample *s = sample_new();
	char *bytes = samples_enlarge(s, 1, 25 << 20);

	put_ok(s);
	assert_kept(s);
	free(bytes);
	free(s);
}
END_TEST

/* Right up to where a driver may draw the line. */
START_TEST(messages_of_about_a_megabyte_are_kept_to_the_byte)
{
	enum { COUNT = 5, MEGABYTE = 1 << 20 };
	struct sample *list = samples_new(COUNT);
	char *bytes = samples_enlarge(list, COUNT, LARGE_BYTES);

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
	char *bytes = samples_enlarge(&one, 1, LARGE_BYTES);

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

START_TEST(large_messages_over_the_queues_bytes_are_unavailable)
{
	enum { COUNT = 12 };
	struct sample *list = samples_new(COUNT);
	char *bytes = samples_enlarge(list, COUNT, LARGE_BYTES);

	world.settings.queue_bytes = 2 * LARGE_BYTES;
	world_reopen();
	wait_until_ping_is(STORAGE_OK);
	put_all(list, COUNT);
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

START_TEST(refused_headers_leave_a_large_message_bare)
{
	struct sample *bad = sample_new(), *after = sample_new();
	char *bytes = samples_enlarge(bad, 1, LARGE_BYTES);

	bad->message.headers_json = "[{\"name\":";
	put_ok(bad);
	ck_assert_result(get("default", bad->message.id, looks_bare, bad), STORAGE_OK);
	ck_assert_result(raw("default", bad->message.id, bad), STORAGE_OK);
	put_ok(after);
	free(after);
	free(bad);
	free(bytes);
}
END_TEST

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *tc = storage_tcase(suite, backend, 60);

	tcase_add_test(tc, raw_of_25_megabytes_is_the_same);
	tcase_add_test(tc, messages_of_about_a_megabyte_are_kept_to_the_byte);
	tcase_add_test(tc, large_and_small_messages_put_at_once_are_all_kept);
	tcase_add_test(tc, large_messages_over_the_queues_bytes_are_unavailable);
	tcase_add_test(tc, refused_headers_leave_a_large_message_bare);
}

int main(void)
{
	return storage_suites_run(fill);
}
