/* SPDX-License-Identifier: MIT */
/* What storage_part() and storage_range() promise, run over every driver: SQLite always, Postgres when
 * $TEST_POSTGRES_URL names a server whose user may create databases. */
#include "tests/unit/storage_suites.h"

#include <stdlib.h>

static struct sample *kept(void)
{
	struct sample *s = sample_new();

	ck_assert_result(put(s), STORAGE_OK);
	return s;
}

START_TEST(every_part_is_given_as_it_was_put)
{
	struct sample *s = kept();

	ck_assert_uint_ge(s->mime.part_count, 2);
	for (unsigned i = 0; i < s->mime.part_count; i++)
		ck_assert_result(part("default", s->put.id, i + 1, &s->mime.parts[i]), STORAGE_OK);
	free(s);
}
END_TEST

START_TEST(parts_of_others_and_unknown_ones_are_not_found)
{
	struct sample *s = kept();
	struct uuid unknown = s->put.id;

	unknown.bytes[15] ^= 1;
	ck_assert_result(part("other", s->put.id, 1, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(part("default", unknown, 1, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(part("default", s->put.id, 0, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(part("default", s->put.id, 3, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(part("default", s->put.id, INT32_MAX, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(part("default", s->put.id, 1, &s->mime.parts[0]), STORAGE_OK);
	free(s);
}
END_TEST

START_TEST(any_range_of_a_message_is_its_bytes)
{
	enum { BYTES = (5 << 20) + 17, STEP = 300007 };
	static const uint32_t lengths[] = { 0, 1, 4096, STORAGE_MAX_RANGE };
	struct sample *s = sample_new();
	char *bytes = malloc(BYTES);

	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (char)(i ^ i >> 8 ^ i >> 16);
	s->message.raw = (struct slice){ bytes, BYTES };
	ck_assert_result(put(s), STORAGE_OK);
	for (uint64_t at = 0; at < BYTES + STEP; at += STEP)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
			ck_assert_result(
				range("default", s->put.id, at, lengths[i], s), STORAGE_OK);
	for (uint64_t at = BYTES - 2; at < BYTES + 2; at++)
		ck_assert_result(range("default", s->put.id, at, 4, s), STORAGE_OK);
	free(bytes);
	free(s);
}
END_TEST

START_TEST(small_and_empty_messages_have_ranges_too)
{
	struct sample *small = kept(), *empty = sample_new();

	ck_assert_result(range("default", small->put.id, 3, 10, small), STORAGE_OK);
	ck_assert_result(range("default", small->put.id, 0, 1000, small), STORAGE_OK);
	empty->message.raw = (struct slice){ NULL, 0 };
	ck_assert_result(put(empty), STORAGE_OK);
	ck_assert_result(range("default", empty->put.id, 0, 10, empty), STORAGE_OK);
	free(small);
	free(empty);
}
END_TEST

/* Farther than any message goes, and than what a database counts with. */
START_TEST(range_far_behind_the_end_is_empty)
{
	static const uint64_t far[] = { INT32_MAX - UINT64_C(1), INT32_MAX, UINT32_MAX,
		UINT32_MAX + UINT64_C(1), INT64_MAX, UINT64_MAX };
	struct sample *s = kept();

	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		ck_assert_result(range("default", s->put.id, far[i], 1, s), STORAGE_OK);
		ck_assert_result(
			range("default", s->put.id, far[i], STORAGE_MAX_RANGE, s), STORAGE_OK);
	}
	free(s);
}
END_TEST

START_TEST(ranges_of_others_and_of_unknown_messages_are_not_found)
{
	struct sample *s = kept();
	struct uuid unknown = s->put.id;

	unknown.bytes[15] ^= 1;
	ck_assert_result(range("other", s->put.id, 0, 10, NULL), STORAGE_NOT_FOUND);
	ck_assert_result(range("default", unknown, 0, 10, NULL), STORAGE_NOT_FOUND);
	free(s);
}
END_TEST

/* ---- many at once ---- */

struct asked {
	struct storage_range op;
	const struct sample *of;
	bool answered;
};

static void on_many(struct storage_range *op, enum storage_result result, struct slice bytes)
{
	struct asked *asked = op->data;
	struct slice raw = asked->of->message.raw;

	ck_assert(!asked->answered);
	asked->answered = true;
	ck_assert_result(result, STORAGE_OK);
	slice_skip(&raw, (size_t)op->offset);
	raw.len = op->length;
	ck_assert(slice_eq(bytes, raw));
}

START_TEST(ranges_asked_for_at_once_do_not_mix)
{
	enum { COUNT = 200 };
	struct asked *list = calloc(COUNT, sizeof(*list));
	struct sample *samples[2] = { kept(), kept() };

	for (unsigned i = 0; i < COUNT; i++) {
		list[i].of = samples[i % 2];
		list[i].op = (struct storage_range){
			.tenant = "default",
			.id = list[i].of->put.id,
			.offset = i % 20,
			.length = 1 + i % 7,
			.done = on_many,
			.data = &list[i],
		};
		storage_range(world.store, &list[i].op);
	}
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert(run_until(world.loop, &list[i].answered));
	free(list);
	free(samples[0]);
	free(samples[1]);
}
END_TEST

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *tc = storage_tcase(suite, backend, 60);

	tcase_add_test(tc, every_part_is_given_as_it_was_put);
	tcase_add_test(tc, parts_of_others_and_unknown_ones_are_not_found);
	tcase_add_test(tc, any_range_of_a_message_is_its_bytes);
	tcase_add_test(tc, small_and_empty_messages_have_ranges_too);
	tcase_add_test(tc, range_far_behind_the_end_is_empty);
	tcase_add_test(tc, ranges_of_others_and_of_unknown_messages_are_not_found);
	tcase_add_test(tc, ranges_asked_for_at_once_do_not_mix);
}

int main(void)
{
	return storage_suites_run(fill);
}
