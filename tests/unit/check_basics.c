/* SPDX-License-Identifier: MIT */
/* slice, arena, buf (JSON), utf8, digest, ids, backoff: what everything else is made of */
#include "lib/arena.h"
#include "lib/backoff.h"
#include "lib/buf.h"
#include "lib/digest.h"
#include "lib/ids.h"
#include "lib/slice.h"
#include "lib/utf8.h"

#include <check.h>
#include <jansson.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

START_TEST(slices_begin_and_end_with_what_they_hold)
{
	struct slice s = SLICE_LIT("Ab\0cD"), none = { NULL, 0 };

	ck_assert(slice_begins(s, SLICE_LIT("Ab\0c")) && slice_begins(s, s));
	ck_assert(!slice_begins(s, SLICE_LIT("ab")) && !slice_begins(s, SLICE_LIT("Ab\0cDe")));
	ck_assert(slice_ibegins(s, SLICE_LIT("aB")) && !slice_ibegins(s, SLICE_LIT("b")));
	ck_assert(slice_ends(s, SLICE_LIT("\0cD")) && slice_ends(s, s));
	ck_assert(!slice_ends(s, SLICE_LIT("cd")) && !slice_ends(s, SLICE_LIT("eAb\0cD")));
	ck_assert(slice_begins(s, none) && slice_ibegins(s, none) && slice_ends(s, none));
	ck_assert(slice_begins(none, none) && !slice_begins(none, s) && !slice_ends(none, s));
}
END_TEST

START_TEST(arena_memory_is_aligned_separate_and_kept)
{
	struct arena *arena = arena_new();
	static const size_t sizes[] = { 1, 7, 16, 4000, 70000, 3, 1 << 20, 40 };
	char *p[8];

	for (int i = 0; i < 8; i++) {
		p[i] = arena_alloc(arena, sizes[i]);
		ck_assert_uint_eq((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], 'a' + i, sizes[i]);
	}
	for (int i = 0; i < 8; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			ck_assert_int_eq(p[i][k], 'a' + i);
	ck_assert_uint_ge(arena_footprint(arena), (1 << 20) + 70000);
	ck_assert_str_eq(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
	ck_assert_str_eq(arena_strndup(arena, "abcdef", 3), "abc");
	ck_assert_ptr_null(arena_strdup(arena, NULL));
	arena_free(&arena);
	ck_assert_ptr_null(arena);
	arena_free(&arena);
}
END_TEST

START_TEST(arena_of_many_small_pieces_stays_small)
{
	struct arena *arena = arena_new();

	for (int i = 0; i < 100000; i++)
		arena_alloc(arena, 16);
	ck_assert_uint_lt(arena_footprint(arena), 2 * 1600000);
	arena_free(&arena);
}
END_TEST

START_TEST(buf_keeps_its_limit_and_says_when_it_was_in_the_way)
{
	struct buf b;

	buf_init(&b, 5);
	buf_puts(&b, "abc");
	buf_puts(&b, "def");
	ck_assert(b.truncated);
	ck_assert_str_eq(b.base, "abc");
	buf_putc(&b, 'x'); /* what fits is left out too: no gaps */
	ck_assert_str_eq(b.base, "abc");
	buf_clear(&b);
	ck_assert(!b.truncated);
	buf_puts(&b, "12345");
	ck_assert_str_eq(b.base, "12345");
	buf_deinit(&b);
}
END_TEST

START_TEST(json_strings_are_read_back_as_they_were)
{
	struct buf b;
	char all[256];
	json_t *v;

	for (int i = 0; i < 128; i++)
		all[i] = (char)i;
	memcpy(all + 128, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7", 9);
	buf_init(&b, 4096);
	buf_json_begin(&b, '{');
	buf_json_key(&b, "a\"b");
	buf_json_slice(&b, (struct slice){ all, 137 });
	buf_json_key(&b, "n");
	buf_json_int(&b, INT64_MIN);
	buf_json_key(&b, "list");
	buf_json_begin(&b, '[');
	buf_json_bool(&b, true);
	buf_json_string(&b, NULL);
	buf_json_begin(&b, '{');
	buf_json_end(&b, '}');
	buf_json_end(&b, ']');
	buf_json_end(&b, '}');
	v = json_loads(b.base, JSON_ALLOW_NUL, NULL);
	ck_assert_ptr_nonnull(v);
	ck_assert_uint_eq(json_string_length(json_object_get(v, "a\"b")), 137);
	ck_assert_mem_eq(json_string_value(json_object_get(v, "a\"b")), all, 137);
	ck_assert_int_eq(json_integer_value(json_object_get(v, "n")), INT64_MIN);
	ck_assert_uint_eq(json_array_size(json_object_get(v, "list")), 3);
	json_decref(v);
	buf_deinit(&b);
}
END_TEST

START_TEST(json_strings_hold_no_broken_utf8)
{
	static const char *const broken[] = { "\xff", "\xc3", "a\xe2\x82z", "\xed\xa0\x80",
		"\xc0\xaf", "\xf5\x80\x80\x80" };

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct buf b;
		buf_init(&b, 4096);
		buf_json_begin(&b, '[');
		buf_json_string(&b, broken[i]);
		buf_json_end(&b, ']');
		json_t *v = json_loads(b.base, 0, NULL);
		ck_assert_msg(v != NULL, "%zu: %s", i, b.base);
		ck_assert_ptr_nonnull(
			strstr(json_string_value(json_array_get(v, 0)), UTF8_REPLACEMENT));
		json_decref(v);
		buf_deinit(&b);
	}
}
END_TEST

START_TEST(json_times_are_rfc3339)
{
	static const struct {
		int64_t us;
		int digits;
		const char *text;
	} cases[] = {
		{ 0, 0, "\"1970-01-01T00:00:00Z\"" },
		{ 1767323045123456, 6, "\"2026-01-02T03:04:05.123456Z\"" },
		{ 1767323045123456, 3, "\"2026-01-02T03:04:05.123Z\"" },
		{ -1, 6, "\"1969-12-31T23:59:59.999999Z\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;
		buf_init(&b, 64);
		buf_json_time(&b, cases[i].us, cases[i].digits);
		ck_assert_str_eq(b.base, cases[i].text);
		buf_deinit(&b);
	}
}
END_TEST

START_TEST(utf8_bad_bytes_become_one_replacement_a_sequence)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} cases[] = {
		{ "plain", 5, "plain" },
		{ "Gr\xc3\xbc\xc3\x9f"
		  "e",
			7,
			"Gr\xc3\xbc\xc3\x9f"
			"e" },
		{ "a\0b", 3, "a" UTF8_REPLACEMENT "b" },
		{ "\xe2\x82", 2, UTF8_REPLACEMENT },
		{ "\xe2\x82x", 3, UTF8_REPLACEMENT "x" },
		{ "\xff\xfe", 2, UTF8_REPLACEMENT UTF8_REPLACEMENT },
		{ "\xed\xa0\x80", 3, UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT },
		{ "\xf0\x9f\x93\xa7", 4, "\xf0\x9f\x93\xa7" },
		{ "", 0, "" },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool changed = false;
		char *out = utf8_clean(arena, cases[i].in, cases[i].len, 1000, &changed);
		ck_assert_str_eq(out, cases[i].out);
		ck_assert_int_eq(changed, strlen(cases[i].in) != cases[i].len ||
						  strcmp(cases[i].in, cases[i].out) != 0);
		ck_assert_int_eq(utf8_is_clean(cases[i].in, cases[i].len), !changed);
	}
	arena_free(&arena);
}
END_TEST

START_TEST(utf8_is_cut_at_the_edge_of_a_character)
{
	struct arena *arena = arena_new();
	bool changed = false;

	ck_assert_str_eq(utf8_clean(arena, "ab\xc3\xbc", 4, 3, &changed), "ab");
	ck_assert(changed);
	ck_assert_str_eq(utf8_clean(arena, "ab\xc3\xbc", 4, 4, NULL), "ab\xc3\xbc");
	ck_assert_str_eq(utf8_clean(arena, "\xff\xff", 2, 4, NULL), UTF8_REPLACEMENT);
	arena_free(&arena);
}
END_TEST

START_TEST(digests_match_the_standards_examples)
{
	uint8_t digest[SHA256_BYTES], again[SHA256_BYTES], back[SHA256_BYTES];
	struct sha256 *ctx = sha256_begin();
	char hex[SHA256_HEX + 1];

	sha256("abc", 3, digest);
	hex_encode(digest, sizeof(digest), hex);
	ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_add(ctx, "a", 1);
	sha256_add(ctx, "bc", 2);
	sha256_end(&ctx, again);
	ck_assert(digest_equal(digest, again));
	again[31] ^= 1;
	ck_assert(!digest_equal(digest, again));
	ck_assert(hex_decode(hex, back, sizeof(back)));
	ck_assert(digest_equal(digest, back));
	hex[0] = 'g';
	ck_assert(!hex_decode(hex, back, sizeof(back)));
	ck_assert(!hex_decode("ab", back, sizeof(back)));
}
END_TEST

START_TEST(uuids_order_by_time_and_survive_a_clock_set_back)
{
	char last[UUID_TEXT + 1] = "", text[UUID_TEXT + 1];
	int64_t at = 1767323045123456;
	struct uuid id, back;

	for (int i = 0; i < 10000; i++) {
		id = uuid7(i == 5000 ? at - 60000000 : at);
		uuid_format(&id, text);
		ck_assert_int_gt(strcmp(text, last), 0);
		strcpy(last, text);
	}
	ck_assert_int_eq(text[14], '7');
	ck_assert_ptr_nonnull(strchr("89ab", text[19]));
	ck_assert(uuid_parse(text, UUID_TEXT, &back));
	ck_assert_mem_eq(&id, &back, sizeof(id));
}
END_TEST

START_TEST(least_uuid_of_a_millisecond_parts_it_from_the_one_before)
{
	struct uuid least = uuid7_least(INT64_C(1767323045678999)), made = uuid7(now_us());
	char text[UUID_TEXT + 1];

	uuid_format(&least, text);
	ck_assert_str_eq(text, "019b7ca9-8f2e-7000-8000-000000000000");
	/* Of the same millisecond, and of the one before. */
	for (size_t i = 0; i < 6; i++)
		made.bytes[i] = least.bytes[i];
	ck_assert_int_gt(memcmp(&made, &least, sizeof(least)), 0);
	made.bytes[5]--;
	ck_assert_int_lt(memcmp(&made, &least, sizeof(least)), 0);
	least = uuid7_least(-1);
	uuid_format(&least, text);
	ck_assert_str_eq(text, "00000000-0000-7000-8000-000000000000");
}
END_TEST

START_TEST(uuids_of_another_form_are_refused)
{
	static const char *const bad[] = { "", "0198f1c2", "0198f1c2-0000-7000-8000-00000000000",
		"0198f1c2-0000-7000-8000-0000000000000", "0198f1c2x0000-7000-8000-000000000000",
		"0198f1c2-0000-7000-8000-00000000000g", "0198f1c20000700080000000000000000000" };
	struct uuid id;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!uuid_parse(bad[i], strlen(bad[i]), &id), "%s", bad[i]);
}
END_TEST

START_TEST(pauses_double_up_to_a_bound_and_differ)
{
	static const struct {
		unsigned doublings;
		uint64_t most_ms;
	} cases[] = { { 0, 50 }, { 1, 100 }, { 6, 3200 }, { 7, 5000 }, { UINT_MAX, 5000 } };
	uint64_t least = UINT64_MAX, most = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int n = 0; n < 100; n++) {
			uint64_t pause = backoff_ms(cases[i].doublings);
			ck_assert_uint_ge(pause, cases[i].most_ms / 2);
			ck_assert_uint_le(pause, cases[i].most_ms);
		}
	for (int n = 0; n < 100; n++) {
		uint64_t pause = backoff_ms(UINT_MAX);
		least = pause < least ? pause : least;
		most = pause > most ? pause : most;
	}
	ck_assert_uint_lt(least, most);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("basics");
	TCase *tc = tcase_create("basics");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, slices_begin_and_end_with_what_they_hold);
	tcase_add_test(tc, arena_memory_is_aligned_separate_and_kept);
	tcase_add_test(tc, arena_of_many_small_pieces_stays_small);
	tcase_add_test(tc, buf_keeps_its_limit_and_says_when_it_was_in_the_way);
	tcase_add_test(tc, json_strings_are_read_back_as_they_were);
	tcase_add_test(tc, json_strings_hold_no_broken_utf8);
	tcase_add_test(tc, json_times_are_rfc3339);
	tcase_add_test(tc, utf8_bad_bytes_become_one_replacement_a_sequence);
	tcase_add_test(tc, utf8_is_cut_at_the_edge_of_a_character);
	tcase_add_test(tc, digests_match_the_standards_examples);
	tcase_add_test(tc, uuids_order_by_time_and_survive_a_clock_set_back);
	tcase_add_test(tc, least_uuid_of_a_millisecond_parts_it_from_the_one_before);
	tcase_add_test(tc, uuids_of_another_form_are_refused);
	tcase_add_test(tc, pauses_double_up_to_a_bound_and_differ);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
