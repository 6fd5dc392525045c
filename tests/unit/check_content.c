/* SPDX-License-Identifier: MIT */
/* What a client may ask of a part, and what the answer's headers say: pure functions. */
#include "middleware/content.h"
#include "middleware/range.h"

#include <check.h>
#include <stdlib.h>

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

/* ---- Range ---- */

static const struct {
	const char *value;
	uint64_t size;
	enum range range;
	uint64_t first, length; /* of RANGE_ONE */
} ranges[] = {
	{ "bytes=0-0", 10, RANGE_ONE, 0, 1 },
	{ "bytes=0-9", 10, RANGE_ONE, 0, 10 },
	{ "bytes=3-7", 10, RANGE_ONE, 3, 5 },
	{ "bytes=3-", 10, RANGE_ONE, 3, 7 },
	{ "bytes=9-", 10, RANGE_ONE, 9, 1 },
	{ "bytes=3-10", 10, RANGE_ONE, 3, 7 },
	{ "bytes=3-99999999999999999999999999", 10, RANGE_ONE, 3, 7 },
	{ "bytes=-3", 10, RANGE_ONE, 7, 3 },
	{ "bytes=-10", 10, RANGE_ONE, 0, 10 },
	{ "bytes=-11", 10, RANGE_ONE, 0, 10 },
	{ "bytes=-99999999999999999999999999", 10, RANGE_ONE, 0, 10 },
	{ "BYTES=1-2", 10, RANGE_ONE, 1, 2 },
	{ " bytes=1-2\t", 10, RANGE_ONE, 1, 2 },
	{ "bytes=0001-02", 10, RANGE_ONE, 1, 2 },
	{ "bytes=4294967296-4294967297", 8589934592, RANGE_ONE, 4294967296, 2 },
	{ "bytes=18446744073709551614-", UINT64_MAX, RANGE_ONE, UINT64_MAX - 1, 1 },

	{ "bytes=10-", 10, RANGE_NOT_SATISFIABLE, 0, 0 },
	{ "bytes=10-11", 10, RANGE_NOT_SATISFIABLE, 0, 0 },
	{ "bytes=18446744073709551616-", 10, RANGE_NOT_SATISFIABLE, 0, 0 },
	{ "bytes=18446744073709551615-18446744073709551615", 10, RANGE_NOT_SATISFIABLE, 0, 0 },
	{ "bytes=-0", 10, RANGE_NOT_SATISFIABLE, 0, 0 },
	{ "bytes=0-", 0, RANGE_NOT_SATISFIABLE, 0, 0 },
	{ "bytes=-0", 0, RANGE_NOT_SATISFIABLE, 0, 0 },

	{ "bytes=-1", 0, RANGE_WHOLE, 0, 0 },
	{ NULL, 10, RANGE_WHOLE, 0, 0 },
	{ "", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=-", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=1", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=7-3", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=0-1,", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=-1,-2", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=--1", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=+1-2", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=0x1-0x2", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=1 -2", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes = 1-2", 10, RANGE_WHOLE, 0, 0 },
	{ "items=1-2", 10, RANGE_WHOLE, 0, 0 },
	{ "bytes=1-2-3", 10, RANGE_WHOLE, 0, 0 },
};

START_TEST(a_range_is_one_range_or_none)
{
	uint64_t first = 77, length = 77;

	ck_assert_int_eq(range_parse(slice_str(ranges[_i].value), ranges[_i].size, &first, &length),
		ranges[_i].range);
	if (ranges[_i].range == RANGE_ONE) {
		ck_assert_uint_eq(first, ranges[_i].first);
		ck_assert_uint_eq(length, ranges[_i].length);
	} else {
		ck_assert_uint_eq(first, 77);
		ck_assert_uint_eq(length, 77);
	}
}
END_TEST

/* Whatever follows a slice in memory is not part of it. */
START_TEST(a_range_ends_where_its_value_does)
{
	uint64_t first, length;

	ck_assert_int_eq(
		range_parse((struct slice){ "bytes=1-23", 9 }, 100, &first, &length), RANGE_ONE);
	ck_assert_uint_eq(length, 2);
	ck_assert_int_eq(
		range_parse((struct slice){ "bytes=1-23", 8 }, 100, &first, &length), RANGE_ONE);
	ck_assert_uint_eq(length, 99);
	ck_assert_int_eq(
		range_parse((struct slice){ "bytes=1-23", 7 }, 100, &first, &length), RANGE_WHOLE);
}
END_TEST

/* ---- entity tags ---- */

static const struct {
	const char *list;
	bool holds_it; /* "a,b" with its quotes */
} lists[] = {
	{ "\"a,b\"", true },
	{ "W/\"a,b\"", true },
	{ "*", true },
	{ " * ", true },
	{ "\"x\", \"a,b\"", true },
	{ "\"x\",,\t\"y\" ,W/\"a,b\"", true },
	{ "\"x\"\"a,b\"", true },
	{ NULL, false },
	{ "", false },
	{ "\"\"", false },
	{ "a,b", false },
	{ "\"a\",\"b\"", false },
	{ "\"A,B\"", false },
	{ "\"a,b", false },
	{ "\"", false },
	{ "W/", false },
	{ "w/\"a,b\"", false },
	{ "*, \"x\"", false },
	{ "\"x\" junk \"a,b\"", false },
};

START_TEST(a_tag_is_found_in_a_list)
{
	ck_assert_int_eq(
		etag_in_list(slice_str(lists[_i].list), slice_str("\"a,b\"")), lists[_i].holds_it);
}
END_TEST

START_TEST(if_range_wants_the_very_tag)
{
	struct slice tag = slice_str("\"a\"");

	ck_assert(range_is_allowed((struct slice){ NULL, 0 }, tag));
	ck_assert(range_is_allowed(slice_str("\"a\""), tag));
	ck_assert(range_is_allowed(slice_str(" \"a\" "), tag));
	ck_assert(!range_is_allowed(slice_str("W/\"a\""), tag));
	ck_assert(!range_is_allowed(slice_str("\"b\""), tag));
	ck_assert(!range_is_allowed(slice_str("*"), tag));
	ck_assert(!range_is_allowed(slice_str(""), tag));
	ck_assert(!range_is_allowed(slice_str("Wed, 25 Nov 2026 10:31:47 GMT"), tag));
}
END_TEST

/* ---- Content-Type ---- */

static const struct {
	const char *type, *charset, *value;
} types[] = {
	{ "text/plain", "utf-8", "text/plain; charset=utf-8" },
	{ "text/html", "iso-8859-1", "text/html; charset=iso-8859-1" },
	{ "text/plain", NULL, "text/plain" },
	{ "text/plain", "", "text/plain" },
	{ "text/plain", "utf-8; x=y", "text/plain" },
	{ "text/plain", "utf-8\r\nset-cookie: a", "text/plain" },
	{ "text/plain", "\xc3\xa9", "text/plain" },
	{ "application/pdf", "utf-8", "application/pdf" },
	{ "image/svg+xml", NULL, "image/svg+xml" },
	{ "message/rfc822", NULL, "message/rfc822" },
	{ "application/vnd.ms-excel.sheet", NULL, "application/vnd.ms-excel.sheet" },
	{ "", NULL, "application/octet-stream" },
	{ "text", NULL, "application/octet-stream" },
	{ "text/", NULL, "application/octet-stream" },
	{ "/plain", NULL, "application/octet-stream" },
	{ "text/plain/x", NULL, "application/octet-stream" },
	{ "text/pl ain", "utf-8", "application/octet-stream" },
	{ "text/html\r\nset-cookie: a=b", NULL, "application/octet-stream" },
	{ "text/\xc3\xa9", NULL, "application/octet-stream" },
};

START_TEST(a_type_is_well_formed_or_octets)
{
	struct buf value;

	buf_init(&value, 1024);
	content_type_value(&value, types[_i].type, types[_i].charset);
	ck_assert_str_eq(value.base, types[_i].value);
	buf_deinit(&value);
}
END_TEST

/* ---- Content-Disposition ---- */

static const struct {
	const char *filename, *value;
} names[] = {
	{ NULL, "attachment" },
	{ "", "attachment" },
	{ "report.pdf", "attachment; filename=\"report.pdf\"" },
	{ "a b;c=d, (e).txt", "attachment; filename=\"a b;c=d, (e).txt\"" },
	{ "Gr\xc3\xbc\xc3\x9f"
	  "e.pdf",
		"attachment; filename=\"Gr__e.pdf\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.pdf" },
	{ "\xf0\x9f\x93\xac.txt",
		"attachment; filename=\"_.txt\"; filename*=UTF-8''%F0%9F%93%AC.txt" },
	{ "say \"hi\".txt",
		"attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt" },
	{ "100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt" },
	{ "it's*(1).txt\xc2\xa0", "attachment; filename=\"it's*(1).txt_\"; "
				  "filename*=UTF-8''it%27s%2A%281%29.txt%C2%A0" },
	{ "../../etc/passwd", "attachment; filename=\".._.._etc_passwd\"" },
	{ "c:\\x\\y\xc3\xa9", "attachment; filename=\"c:_x_y_\"; filename*=UTF-8''c%3A_x_y%C3%A9" },
	{ "a\r\nSet-Cookie: b", "attachment; filename=\"a__Set-Cookie: b\"" },
	{ "a\x01\x7f\xc3\xa9", "attachment; filename=\"a___\"; filename*=UTF-8''a__%C3%A9" },
};

START_TEST(a_name_is_told_to_old_and_new_clients)
{
	struct buf value;

	buf_init(&value, 1024);
	content_disposition_value(&value, names[_i].filename);
	ck_assert_str_eq(value.base, names[_i].value);
	buf_deinit(&value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("content");
	TCase *tc = tcase_create("content");
	SRunner *sr = srunner_create(suite);

	tcase_add_loop_test(tc, a_range_is_one_range_or_none, 0, COUNT_OF(ranges));
	tcase_add_test(tc, a_range_ends_where_its_value_does);
	tcase_add_loop_test(tc, a_tag_is_found_in_a_list, 0, COUNT_OF(lists));
	tcase_add_test(tc, if_range_wants_the_very_tag);
	tcase_add_loop_test(tc, a_type_is_well_formed_or_octets, 0, COUNT_OF(types));
	tcase_add_loop_test(tc, a_name_is_told_to_old_and_new_clients, 0, COUNT_OF(names));
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
