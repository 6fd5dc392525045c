/* SPDX-License-Identifier: MIT */
/* mime: headers, addresses and bodies, point by point */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <string.h>

/* Headers */

static const struct {
	const char *raw, *subject, *defects;
} subjects[] = {
	{ "plain words", "plain words", "" },
	{ "  trimmed \t", "trimmed", "" },
	{ "", "", "" },
	{ "folded\r\n and\r\n\tagain", "folded and\tagain", "" },
	{ "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus?= Berlin", "Gr\u00fc\u00dfe aus Berlin", "" },
	{ "=?iso-8859-1?q?caf=E9?=", "caf\u00e9", "" },
	{ "=?UTF-8?B?R3LDvMOfZQ==?=", "Gr\u00fc\u00dfe", "" },
	/* padding in all but the last word */
	{ "=?UTF-8?B?SGVsbG8=?= =?UTF-8?B?IHdvcmxk?=", "Hello world", "" },
	{ "=?UTF-8?B?SGVsbG8=?=\r\n =?UTF-8?B?IHdvcmw=?=\r\n =?UTF-8?B?ZCE=?=", "Hello world!",
		"" },
	/* a character cut in two, even between B and Q */
	{ "=?UTF-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=", "Gr\u00fc\u00dfe", "" },
	{ "=?UTF-8?B?R3LD?= =?utf-8?Q?=BC=C3=9Fe?=", "Gr\u00fc\u00dfe", "" },
	{ "=?iso-2022-jp?B?GyRCJDMbKEI=?=", "\u3053", "" },
	{ "=?gb2312?B?xOO6ww==?= =?big5?B?p0E=?=", "\u4f60\u597d\u4f60", "" },
	{ "=?windows-1252?Q?=80?=", "\u20ac", "" },
	{ "=?utf-8*de?Q?a?=", "a", "" }, /* RFC 2231, 5 */
	{ "a=?utf-8?q?b?=c", "abc", "" },
	{ "=?utf-8?q?a b?=", "a b", "" },
	{ "=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c", "" },
	{ "=?utf-8?q?"
	  "?=",
		"", "" },
	{ "=?utf-8?x?a?= =? =?utf-8?q?open", "=?utf-8?x?a?= =? =?utf-8?q?open", "" },
	{ "1 =? 2 ?= 3", "1 =? 2 ?= 3", "" },
	{ "=?utf-8?q?a=ZZ?=", "a=ZZ", "bad_encoded_word" },
	{ "=?utf-8?q?a=C3?=", "a\ufffd", "bad_charset" },
	{ "=?x-no-such?q?=e9?=", "\u00e9", "unknown_charset" },
	{ "=?utf-8//translit?q?a?=", "=?utf-8//translit?q?a?=", "" },
	/* nothing that decodes may break a header's line */
	{ "=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x", "header_control" },
	{ "=?utf-8?b?YQBi?=", "a b", "header_control" },
	{ "bell\a", "bell", "header_control" },
	{ "raw \xc3\xbc", "raw \u00fc", "" },
	{ "raw \xfc", "raw \u00fc", "header_charset" },
};

START_TEST(subjects_are_decoded_unfolded_and_clean)
{
	char raw[512];

	snprintf(raw, sizeof(raw), "Subject:%s\r\nX: y\r\n\r\n", subjects[_i].raw);
	parse(raw);
	assert_same(m->subject, subjects[_i].subject, subjects[_i].raw);
	assert_same(m->headers[0].value, subjects[_i].subject, subjects[_i].raw);
	assert_defects(subjects[_i].defects);
}
END_TEST

START_TEST(headers_keep_their_order_their_repeats_and_their_spelling)
{
	parse("Received: one\r\nrEceived : two\r\nX-Odd:\r\nno colon here\r\nSubject: "
	      "s\r\n\r\nb\r\n");
	ck_assert_uint_eq(m->header_count, 4);
	ck_assert_str_eq(m->headers[0].name, "Received");
	ck_assert_str_eq(m->headers[0].value, "one");
	ck_assert_str_eq(m->headers[1].name, "rEceived");
	ck_assert_str_eq(m->headers[1].value, "two");
	ck_assert_str_eq(m->headers[2].value, "");
	ck_assert_str_eq(m->headers[3].name, "Subject");
	ck_assert_str_eq(m->text, "b\n");
	assert_defects("bad_header");
}
END_TEST

START_TEST(ids_come_with_their_brackets_and_references_in_order)
{
	parse("Message-ID:\r\n <a@b>\r\nIn-Reply-To: Your mail of <x@y> (Monday)\r\n"
	      "References: <1@a>\r\n\t<2@a><3@a>,\r\n <4@a>\r\n\r\n");
	ck_assert_str_eq(m->message_id, "<a@b>");
	ck_assert_str_eq(m->in_reply_to, "<x@y>");
	ck_assert_uint_eq(m->references.count, 4);
	ck_assert_str_eq(m->references.list[0], "<1@a>");
	ck_assert_str_eq(m->references.list[3], "<4@a>");
	assert_defects("");
	parse("Message-ID: bare@b\r\nIn-Reply-To: no id here\r\nReferences:\r\n\r\n");
	ck_assert_str_eq(m->message_id, "bare@b");
	ck_assert_ptr_null(m->in_reply_to);
	ck_assert_uint_eq(m->references.count, 0);
	parse("X: y\r\n\r\n");
	ck_assert_ptr_null(m->message_id);
	ck_assert_ptr_null(m->subject);
	assert_defects("");
}
END_TEST

START_TEST(of_repeated_fields_the_first_counts)
{
	parse("Subject: one\r\nSubject: two\r\nTo: a@b\r\nTo: c@d\r\n\r\n");
	ck_assert_str_eq(m->subject, "one");
	ck_assert_uint_eq(m->to.count, 2);
	ck_assert_str_eq(m->to.list[1].address, "c@d");
	assert_defects("repeated_header");
}
END_TEST

static const struct {
	const char *raw;
	int64_t s;
	bool good;
} dates[] = {
	{ "Fri, 07 Nov 2025 10:20:00 +0000", 1762510800, true },
	{ "7 Nov 2025 10:20 +0000", 1762510800, true },
	{ "Fri, 07 Nov 2025 12:20:00 +0200 (CEST)", 1762510800, true },
	{ "Fri,\r\n 07 Nov 2025 05:20:00 EST", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00", 1762510800, true },
	{ "Thu, 01 Jan 1970 00:00:00 GMT", 0, true },
	{ "Fri, 31 Dec 294277 00:00:00 +0000", 0, false },
	{ "Fri, 31 Dec 0000 00:00:00 +0000", 0, false },
	{ "yesterday", 0, false },
	{ "", 0, false },
};

START_TEST(dates_are_utc_or_not_there)
{
	char raw[256];

	snprintf(raw, sizeof(raw), "Date: %s\r\n\r\n", dates[_i].raw);
	parse(raw);
	ck_assert_msg(m->has_date == dates[_i].good, "%s", dates[_i].raw);
	ck_assert_int_eq(m->date_us, dates[_i].s * 1000000);
	assert_defects(dates[_i].good ? "" : "bad_date");
}
END_TEST

/* Addresses, as "name|address" and semicolons between them. */
static const struct {
	const char *raw, *wanted, *defects;
} address_lists[] = {
	{ "a@b", "|a@b", "" },
	{ "<a@b>", "|a@b", "" },
	{ "Alice <a@b>, Bob B. <b@c>", "Alice|a@b;Bob B.|b@c", "" },
	{ "\"Doe, John\" <j@d>", "Doe, John|j@d", "" },
	{ "\"a \\\"b\\\" \\\\c\" <j@d>", "a \"b\" \\c|j@d", "" },
	{ "a@b (Alice)", "Alice|a@b", "" },
	{ "a@b (Al (the) ice)", "Al (the) ice|a@b", "" },
	{ "(c) Alice (d) <a@b> (e)", "Alice|a@b", "" },
	{ "a @ b . c", "|a@b.c", "" },
	{ "\"john doe\"@example.org", "|\"john doe\"@example.org", "" },
	{ "<\"a>b\"@c>", "|\"a>b\"@c", "" },
	{ "<@relay,@other:a@b>", "|a@b", "" },
	{ "Friends: a@b, Bob <b@c>;, d@e", "|a@b;Bob|b@c;|d@e", "" },
	{ "undisclosed-recipients:;", "", "" },
	{ "outer: inner: a@b;, c@d;", "|a@b;|c@d", "" },
	{ "a@[IPv6:2001:db8::1], b@[192.0.2.1]", "|a@[IPv6:2001:db8::1];|b@[192.0.2.1]", "" },
	{ "root", "|root", "" },
	{ ",, a@b,\r\n ,c@d,", "|a@b;|c@d", "" },
	{ "a@b; c@d", "|a@b;|c@d", "" },
	{ "=?UTF-8?Q?J=C3=BCrgen?= <j@d>", "J\u00fcrgen|j@d", "" },
	{ "=?UTF-8?B?SGVsbG8=?= =?UTF-8?B?IHdvcmxk?= <j@d>", "Hello world|j@d", "" },
	{ "\"=?UTF-8?Q?Doe=2C_John?=\" <j@d>", "Doe, John|j@d", "" },
	{ "=?UTF-8?Q?Doe,_John?= <j@d>", "Doe, John|j@d", "" },
	{ "=?utf-8?q?a=0D=0Ab?= <j@d>", "a  b|j@d", "header_control" },
	{ "J\xfcrgen <j@d>", "J\u00fcrgen|j@d", "header_charset" },
	{ "m\xc3\xbcller@\xc3\xbc.example", "|m\u00fcller@\u00fc.example", "" },
	{ "a@b <a@b>", "a@b|a@b", "" },
	{ "MAILER-DAEMON <>", "MAILER-DAEMON|", "" },
	{ "<>", "", "" },
	{ "John Doe j@d", "John Doe|j@d", "bad_address" },
	{ "Alice <a@b> Bob <b@c>", "Alice|a@b;Bob|b@c", "bad_address" },
	{ "Alice <a@b, c@d", "Alice|a@b;|c@d", "bad_address" },
	{ "Alice <<a@b>>", "Alice|a@b", "bad_address" },
	{ "\"open <a@b>, c@d", "open|a@b;|c@d", "bad_address" },
	{ "(open <a@b>, c@d", "open|a@b;|c@d", "bad_address" },
	{ "no such thing", "|no such thing", "bad_address" },
};

START_TEST(address_lists_are_read_leniently)
{
	char raw[512], got[512] = "", *to = got;

	snprintf(raw, sizeof(raw), "From: %s\r\n\r\n", address_lists[_i].raw);
	parse(raw);
	for (size_t i = 0; i < m->from.count; i++) {
		const struct mime_address *a = &m->from.list[i];
		to += sprintf(to, "%s%s|%s", i > 0 ? ";" : "", a->name != NULL ? a->name : "",
			a->address);
		ck_assert(a->name == NULL || *a->name != '\0');
	}
	assert_same(got, address_lists[_i].wanted, address_lists[_i].raw);
	assert_defects(address_lists[_i].defects);
}
END_TEST

START_TEST(each_address_field_has_its_list)
{
	parse("From: f@x\r\nSender: s@x\r\nTo: t@x\r\nCc: c@x\r\nBcc: b@x\r\nReply-To: "
	      "r@x\r\n\r\n");
	ck_assert_str_eq(mime_addresses_json(m),
		"{\"from\":[{\"name\":null,\"address\":\"f@x\"}],"
		"\"sender\":[{\"name\":null,\"address\":\"s@x\"}],"
		"\"to\":[{\"name\":null,\"address\":\"t@x\"}],"
		"\"cc\":[{\"name\":null,\"address\":\"c@x\"}],"
		"\"bcc\":[{\"name\":null,\"address\":\"b@x\"}],"
		"\"reply_to\":[{\"name\":null,\"address\":\"r@x\"}]}");
	parse("A: 1\r\nB: \"2\"\r\n\r\n");
	ck_assert_str_eq(mime_headers_json(m),
		"[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"\\\"2\\\"\"}]");
}
END_TEST

/* Bodies */

static const struct {
	const char *type, *encoding, *body, *text, *defects;
} bodies[] = {
	{ "text/plain", "7bit", "a\r\nb\nc\rd", "a\nb\nc\rd", "" },
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
	{ "text/plain", "quoted-printable", "a=3Db=\r\nc=\nd", "a=bcd", "" },
	{ "text/plain", "quoted-printable", "a=ZZ=4", "a=ZZ=4", "" },
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
	{ "text/plain", "uuencode", "begin 644 a\r\n%2&5L;&\\\nend\r\n", "Hello", "" },
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
	LOOP(tc, subjects_are_decoded_unfolded_and_clean, subjects);
	tcase_add_test(tc, headers_keep_their_order_their_repeats_and_their_spelling);
	tcase_add_test(tc, ids_come_with_their_brackets_and_references_in_order);
	tcase_add_test(tc, of_repeated_fields_the_first_counts);
	LOOP(tc, dates_are_utc_or_not_there, dates);
	LOOP(tc, address_lists_are_read_leniently, address_lists);
	tcase_add_test(tc, each_address_field_has_its_list);
	LOOP(tc, a_single_body_is_decoded_and_converted, bodies);
	tcase_add_test(tc, a_nul_does_not_end_a_text);
	tcase_add_test(tc, html_goes_to_html);
	tcase_add_test(tc, text_is_cut_at_a_characters_edge);
	tcase_add_test(tc, addresses_over_the_limit_are_left_out);
	tcase_add_test(tc, an_unparsed_message_has_its_reason);
	tcase_add_test(tc, a_status_is_found_by_its_name);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
