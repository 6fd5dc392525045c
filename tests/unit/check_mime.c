/* SPDX-License-Identifier: MIT */
/* mime: bodies, limits and failure, point by point */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* Bodies */

static const struct {
	const char *type, *encoding, *body, *text, *defects;
} bodies[] = {
	{ "text/plain", "7bit", "a\r\nb\nc\rd", "a\nb\nc\rd", "mixed_line_ends" },
	{ "text/plain; charset=utf-8", "8bit", "\xc3\xbc\xe2\x82\xac", "\u00fc\u20ac", "" },
	{ "text/plain; charset=\"utf-8\"", "8bit", "\xef\xbb\xbfx", "x", "" },
	{ "text/plain; charset=UTF-8", "8bit", "a\xfc", "a\ufffd", "bad_charset" },
	{ "text/plain; charset=iso-8859-1", "8bit", "\xfc\x80", "\u00fc\u20ac", "" },
	{ "text/plain; charset=iso-8859-15", "8bit", "\xa4", "\u20ac", "" },
	{ "text/plain; charset=koi8-r", "8bit", "\xf0\xd2", "\u041f\u0440", "" },
	{ "text/plain; charset=Shift_JIS", "base64", "g4WDZw==", "\u30e5\u30c8", "" },
	{ "text/plain; charset=shift_jis", "8bit",
		"a\xff"
		"b",
		"a\ufffd"
		"b",
		"bad_charset" },
	{ "text/plain; charset=utf-16le", "base64", "/ABhAA==",
		"\u00fc"
		"a",
		"" },
	{ "text/plain; charset=utf-7", "7bit", "+APw-", "\u00fc", "" },
	{ "text/plain", "8bit", "\xc3\xbc", "\u00fc", "guessed_charset" },
	{ "text/plain; charset=us-ascii", "8bit", "\xfc", "\u00fc", "guessed_charset" },
	{ "text/plain; charset=x-klingon", "8bit", "\xfc", "\u00fc", "unknown_charset" },
	{ "text/plain; charset=x-klingon", "8bit", "\xc3\xbc", "\u00fc", "unknown_charset" },
	{ "text/plain; charset=utf-8//IGNORE", "8bit", "\xc3\xbc", "\u00fc", "unknown_charset" },
	{ "text/plain", "quoted-printable", "a=3Db=\r\nc=\nd", "a=bcd", "mixed_line_ends" },
	/* what is no code stays as it stands, and hides no code behind it */
	{ "text/plain", "quoted-printable", "a=ZZ=4", "a=ZZ=4", "bad_quoted_printable" },
	{ "text/plain", "quoted-printable", "==41=4=42=\t x", "=A=4B=\t x",
		"bad_quoted_printable" },
	{ "text/plain", "quoted-printable", "a= \t \r\nb=\r\n=c3=bc=", "ab\u00fc",
		"guessed_charset" },
	{ "text/plain", "quoted-printable", "a=         x", "a=         x",
		"bad_quoted_printable" },
	{ "text/plain", "base64", "Not so: this is a text, as it stands.\r\n",
		"Not so: this is a text, as it stands.\n", "bad_base64" },
	{ "text/plain", "base64", "SGVs\r\n<<<<<<<<>>>>>>>>\r\n", "Hel", "bad_base64" },
	{ "text/plain", "BASE64", "SGVs\r\nbG8=\r\n", "Hello", "" },
	{ "text/plain", "base64", "SGVsbG8", "Hello", "" },
	/* what stands behind a "=" is not lost */
	{ "text/plain", "base64", "SGVsbG8=\r\nIHdvcmxk\r\n", "Hello world", "base64_padding" },
	{ "text/plain", "base64", "SG==VsbG8=", "HV\u00c6\u00c6",
		"bad_base64 base64_padding guessed_charset" },
	{ "text/plain", "base64", "SGVs!bG8=", "Hello", "bad_base64" },
	{ "text/plain", "base64", "SGVsb", "Hel", "bad_base64" },
	{ "text/plain", "x-uuencode", "x\r\nbegin 644 a\r\n%2&5L;&\\ \r\n`\r\nend\r\nz", "Hello",
		"" },
	{ "text/plain", "x-uuencode", "no begin", "", "bad_uuencode" },
	{ "text/plain", "uuencode", "begin 644 a\r\n%2&5L;&\\\nend\r\n", "Hello",
		"mixed_line_ends" },
	{ "text/plain", "x-uue", "begin 644 a\r\n#0V%T\r\n", "Cat", "bad_uuencode" },
	{ "text/plain", "x-uue", "begin 644 a\r\n&0V%T\r\n`\r\nend\r\n", "Cat", "bad_uuencode" },
	{ "text/plain", "x-yenc", "z\r\n=ybegin line=9 size=3 name=a\r\nm\x8b\r\n=}\r\n=yend x",
		"Ca\x13", "" },
	{ "text/plain", "x-yenc", "=ybegin line=9 size=3 name=a\r\nm\x8b\x9e\r\n", "Cat",
		"bad_yenc" },
	{ "text/plain", "rot13", "a", "a", "unknown_encoding" },
	{ "text/plain", "7bit ; x", "a", "a", "" },
	{ "text", "7bit", "a", "a", "bad_content_type" },
	{ "text/plain; name=\"note.txt\"", "7bit", "a", "a", "" },
	{ "text/enriched", "7bit", "a", "a\n", "" },
	{ "text/markdown", "7bit", "a", "a", "" },
};

START_TEST(a_single_body_is_decoded_and_converted)
{
	char raw[1024];

	snprintf(raw, sizeof(raw), "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s",
		bodies[_i].type, bodies[_i].encoding, bodies[_i].body);
	parse(raw);
	assert_same(m->text, bodies[_i].text, bodies[_i].body);
	ck_assert_ptr_null(m->html);
	assert_defects(bodies[_i].defects);
}
END_TEST

START_TEST(a_nul_does_not_end_a_text)
{
	PARSE_LITERAL("X: y\r\n\r\nbefore\0behind");
	ck_assert_str_eq(m->text, "before\ufffd"
				  "behind");
	assert_defects("nul_byte");
}
END_TEST

START_TEST(html_goes_to_html)
{
	parse("Content-Type: TEXT/HTML\r\n\r\n<p>\r\n");
	ck_assert_str_eq(m->text, "");
	ck_assert(m->text_is_derived);
	ck_assert_str_eq(m->html, "<p>\n");
	ck_assert_str_eq(m->parts[0].content_type, "text/html");
	ck_assert(!m->parts[0].is_attachment);
}
END_TEST

START_TEST(text_is_cut_at_a_characters_edge)
{
	limits.text_bytes = 5;
	parse("Content-Type: text/plain; charset=utf-8\r\n\r\nabc\xe2\x82\xac\r\n");
	ck_assert_str_eq(m->text, "abc");
	assert_defects("limit_text");
	parse("X: y\r\n\r\nabc\r\nd"); /* six bytes, five characters */
	ck_assert_str_eq(m->text, "abc\nd");
	assert_defects("");
}
END_TEST

/* Limits and failure */

START_TEST(addresses_over_the_limit_are_left_out)
{
	limits.addresses = 2;
	parse("To: a@b, c@d\r\nCc: a@b, c@d, e@f\r\n\r\n");
	ck_assert_uint_eq(m->to.count, 2);
	ck_assert_uint_eq(m->cc.count, 2);
	ck_assert_str_eq(m->cc.list[1].address, "c@d");
	assert_defects("limit_addresses");
}
END_TEST

static const char *const in_an_id[] = { "( ", "\r\n ", "\r\n a=", "; \r\n ", "(a ", "((", ") ",
	"(a) ", "\" ", "\\( ", "< ", "a, " };

/* In quadratic time it would not come back. */
START_TEST(a_megabyte_in_an_id_is_read_to_its_end)
{
	enum { BYTES = 400000 };
	static const char *const fields[] = { "Message-ID: <a", "\r\nIn-Reply-To: <a",
		"\r\nReferences: <a" };
	size_t count = BYTES / strlen(in_an_id[_i]) / 2;
	char *raw = malloc(3 * BYTES + 1000), *to = raw;

	for (size_t field = 0; field < 3; field++) {
		to = stpcpy(to, fields[field]);
		for (size_t i = 0; i < count; i++)
			to = stpcpy(to, in_an_id[_i]);
		to = stpcpy(to, "@b>");
	}
	stpcpy(to, "\r\nSubject: s\r\n\r\nx");
	parse(raw);
	ck_assert_ptr_nonnull(m->message_id);
	ck_assert_str_eq(m->subject, "s");
	ck_assert_str_eq(m->text, "x");
	free(raw);
}
END_TEST

START_TEST(an_unparsed_message_has_its_reason)
{
	m = mime_unparsed("deadline");
	ck_assert_int_eq(m->status, MIME_FAILED);
	ck_assert_str_eq(mime_status_name(m->status), "failed");
	ck_assert_str_eq(defects(), "deadline");
	ck_assert_str_eq(mime_headers_json(m), "[]");
	ck_assert_ptr_null(m->text);
	mime_message_free(&m);
	ck_assert_ptr_null(m);
	mime_message_free(&m); /* NULL is fine */
	ck_assert_str_eq(mime_status_name(MIME_OK), "ok");
	ck_assert_str_eq(mime_status_name(MIME_DEGRADED), "degraded");
}
END_TEST

START_TEST(a_status_is_found_by_its_name)
{
	static const char *const none[] = { "", "o", "okay", "OK", "failed " };
	enum mime_status found = MIME_FAILED;

	for (enum mime_status s = MIME_OK; s <= MIME_FAILED; s++) {
		ck_assert(mime_status_parse(slice_str(mime_status_name(s)), &found));
		ck_assert_int_eq(found, s);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ck_assert_msg(!mime_status_parse(slice_str(none[i]), &found), "%s", none[i]);
	ck_assert_int_eq(found, MIME_FAILED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime");
	TCase *tc = tcase_create("mime");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, a_single_body_is_decoded_and_converted, bodies);
	tcase_add_test(tc, a_nul_does_not_end_a_text);
	tcase_add_test(tc, html_goes_to_html);
	tcase_add_test(tc, text_is_cut_at_a_characters_edge);
	tcase_add_test(tc, addresses_over_the_limit_are_left_out);
	LOOP(tc, a_megabyte_in_an_id_is_read_to_its_end, in_an_id);
	tcase_add_test(tc, an_unparsed_message_has_its_reason);
	tcase_add_test(tc, a_status_is_found_by_its_name);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
