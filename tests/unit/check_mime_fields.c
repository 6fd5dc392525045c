/* SPDX-License-Identifier: MIT */
/* mime: fields in every encoding and form that people send, and header sections in every state */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <string.h>

/* Subjects and names */

static const struct {
	const char *raw, *text, *defects;
} words[] = {
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
	/* charsets */
	{ "=?koi8-r?B?8NLJ18XU?=", "\u041f\u0440\u0438\u0432\u0435\u0442", "" },
	{ "=?windows-1251?Q?=CF=F0=E8=E2=E5=F2?=", "\u041f\u0440\u0438\u0432\u0435\u0442", "" },
	{ "=?windows-1250?Q?=8A=9E?=", "\u0160\u017e", "" },
	{ "=?windows-1253?Q?=E1?=", "\u03b1", "" },
	{ "=?windows-1254?Q?=FE?=", "\u015f", "" },
	{ "=?windows-1255?Q?=F9=EC=E5=ED?=", "\u05e9\u05dc\u05d5\u05dd", "" },
	{ "=?windows-1256?Q?=D3=E1=C7=E3?=", "\u0633\u0644\u0627\u0645", "" },
	{ "=?iso-8859-1?Q?=93quoted=94?=", "\u201cquoted\u201d", "" },
	{ "=?iso-8859-15?Q?=A4?=", "\u20ac", "" },
	{ "=?Shift_JIS?B?k/qWe4zq?=", "\u65e5\u672c\u8a9e", "" },
	{ "=?euc-jp?B?xvzL3Ljs?=", "\u65e5\u672c\u8a9e", "" },
	{ "=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", "\u65e5\u672c\u8a9e", "" },
	/* the escape that one word ends in holds for the next */
	{ "=?ISO-2022-JP?B?GyRCRnxLXA==?= =?ISO-2022-JP?B?OGwbKEI=?=", "\u65e5\u672c\u8a9e", "" },
	/* what vendors added to the standards: numbers in circles, half-width kana */
	{ "=?ISO-2022-JP?B?GyRCLSF8YhsoQg==?=", "\u2460\u9ad9", "" },
	{ "=?ISO-2022-JP?B?YRsoSTEyGyhCYg==?=",
		"a\uff71\uff72"
		"b",
		"" },
	{ "=?euc-jp?Q?=AD=EA=8E=B1a?=", "\u3231\uff71a", "" },
	{ "=?euc-jp?Q?=AD=EA=FF?=", "\u3231\ufffd", "bad_charset" },
	{ "=?ISO-2022-JP?B?GyRCLSEhGyhC?=", "\ufffd\u3000", "bad_charset" },
	{ "=?gb18030?B?xOO6ww==?=", "\u4f60\u597d", "" },
	{ "=?gb2312?B?xOO6ww==?=", "\u4f60\u597d", "" },
	{ "=?gbk?Q?=C4=E3?= =?GBK?Q?=BA=C3?=", "\u4f60\u597d", "" },
	{ "=?big5?B?p0Gmbg==?=", "\u4f60\u597d", "" },
	/* cut within a character of two bytes */
	{ "=?big5?Q?=A7?= =?big5?Q?A?=", "\u4f60", "" },
	{ "=?euc-kr?B?vsiz5w==?=", "\uc548\ub155", "" },
	{ "=?ks_c_5601-1987?B?vsiz5w==?=", "\uc548\ub155", "" },
	{ "=?utf-7?Q?+APw-ber?=",
		"\u00fc"
		"ber",
		"" },
	{ "=?unicode-1-1-utf-7?Q?+AOQ-?=", "\u00e4", "" },
	{ "=?UTF8?Q?=C3=BC?=", "\u00fc", "" },
	{ "=?utf-8?B?w7w?=", "\u00fc", "" }, /* no padding */
	/* names that are not registered, but written */
	{ "=?windows1251?Q?=CF?=", "\u041f", "" },
	{ "=?win-1251?Q?=CF?=", "\u041f", "" },
	{ "=?x-cp1251?Q?=CF?=", "\u041f", "" },
	{ "=?windows-cp1251?Q?=CF?=", "\u041f", "" },
	{ "=?CP-1252?Q?=92?=", "\u2019", "" },
	{ "=?ISO8859_2?Q?=B9?=", "\u0161", "" },
	{ "=?iso-88592?Q?=B9?=", "\u0161", "" },
	{ "=?x-big5?B?p0Gmbg==?=", "\u4f60\u597d", "" },
	{ "=?big5?B?p0Gj4Q==?=", "\u4f60\u20ac", "" },
	{ "=?big5?Q?=FB=40=FF?=", "\U000289bc\ufffd", "bad_charset" },
	{ "=?x-gb18030?B?xOO6ww==?=", "\u4f60\u597d", "" },
	{ "=?windows-949?B?vsiz5w==?=", "\uc548\ub155", "" },
	{ "=?x-euc-jp?B?xvzL3Ljs?=", "\u65e5\u672c\u8a9e", "" },
	{ "=?'utf-8'?Q?=C3=BC?=", "\u00fc", "" },
	/* the label is wrong, or nobody knows it */
	{ "=?us-ascii?Q?=C3=BC?=", "\u00fc", "guessed_charset" },
	{ "=?utf-8?Q?=FC?=", "\ufffd", "bad_charset" },
	{ "=?unknown-8bit?Q?=FC?=", "\u00fc", "unknown_charset" },
	{ "=?x-nobody?Q?=C3=BC?=", "\u00fc", "unknown_charset" },
	/* raw 8-bit, alone and beside a word */
	{ "\xc3\xbc =?utf-8?Q?=C3=BC?=", "\u00fc \u00fc", "" },
	{ "\xfc =?utf-8?Q?=C3=BC?=", "\u00fc \u00fc", "header_charset" },
	{ "\xe6\x97\xa5\xe6\x9c\xac", "\u65e5\u672c", "" }, /* SMTPUTF8 */
	/* words where none may be, and what only looks like one */
	{ "a=?utf-8?Q?=C3=BC?=b", "a\u00fcb", "" },
	{ "=?utf-8?Q?a?==?utf-8?Q?b?=", "ab", "" },
	/* cut anywhere in the base64, and nowhere though the padding is missing */
	{ "=?utf-8?B?R3LDv?= =?utf-8?B?G4=?=", "Gr\u00fcn", "" },
	{ "=?utf-8?B?R3LD?= =?utf-8?B?vG4=?=", "Gr\u00fcn", "" },
	{ "=?utf-8?B?R3LDvG?= =?utf-8?B?4=?=", "Gr\u00fcn", "" },
	{ "=?utf-8?B?SGk?= =?utf-8?B?SGk?=", "HiHi", "" },
	/* a question mark that is not encoded, before something that is */
	{ "=?utf-8?Q?who?=20me?=", "who? me", "" },
	{ "=?utf-8?Q?who?=C3=BC?=", "who?\u00fc", "" },
	{ "=?utf-8?Q?who?=20 x", "who20 x", "" },
	{ "=?utf-8?Q?a?=20=?utf-8?Q?b?=", "a20b", "" },
	/* escapes that stand there as they are */
	{ "\033$B%\"%\\\033(B", "\u30a2\u30dc", "header_charset" },
	{ "=?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "ab", "" },
	{ "=?utf-8?Q?a?=\r\n\tb", "a\tb", "" },
	{ "=?utf-8?Q?", "=?utf-8?Q?", "" },
	{ "=?utf-8?Z?a?=", "=?utf-8?Z?a?=", "" },
	{ "=??Q?a?=", "=??Q?a?=", "" },
};

START_TEST(subjects_and_names_are_decoded_alike)
{
	char raw[1024];

	for (int blank = 0; blank < 2; blank++) { /* without it, not as the last field */
		snprintf(raw, sizeof(raw), "Subject:%s%s\r\n%s\r\n", blank ? " " : "",
			words[_i].raw, blank ? "" : "X: y\r\n");
		parse(raw);
		assert_same(m->subject, words[_i].text, words[_i].raw);
		assert_same(m->headers[0].value, words[_i].text, words[_i].raw);
		assert_defects(words[_i].defects);
	}
	if (*words[_i].text == '\0' || strpbrk(words[_i].text, "=\t") != NULL)
		return; /* is no name */
	snprintf(raw, sizeof(raw), "To: %s <a@b>\r\n\r\n", words[_i].raw);
	parse(raw);
	ck_assert_uint_eq(m->to.count, 1);
	assert_same(m->to.list[0].name, words[_i].text, words[_i].raw);
	ck_assert_str_eq(m->to.list[0].address, "a@b");
}
END_TEST

START_TEST(raw_bytes_in_headers_are_read_as_the_body_is_labelled)
{
	/* The type stands behind them, as it does in real mail. */
	parse("Subject: \xa7\x41\xa6\x6e\r\nFrom: \xa7\x41 <a@b>\r\n"
	      "Content-Type: text/plain; charset=\"Big5\"\r\n\r\n");
	ck_assert_str_eq(m->subject, "\u4f60\u597d");
	ck_assert_str_eq(m->from.list[0].name, "\u4f60");
	assert_defects("header_charset");
	parse("Subject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nContent-Type: text/plain; "
	      "charset=koi8-r\r\n\r\n");
	ck_assert_str_eq(m->subject, "\u041f\u0440\u0438\u0432\u0435\u0442");
	/* Bytes that mean nothing there, and labels that tell nothing. */
	parse("Subject: \xfc\xff\r\nContent-Type: text/plain; charset=Big5\r\n\r\n");
	ck_assert_str_eq(m->subject, "\u00fc\u00ff");
	parse("Subject: \xfc\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
	ck_assert_str_eq(m->subject, "\u00fc");
}
END_TEST

START_TEST(only_so_many_guesses_are_made_at_headers)
{
	char raw[100 * 32 + 100], *to = raw;

	for (int i = 0; i < 100; i++)
		to += sprintf(to, "X-%d: \xa7\x41\r\n", i);
	strcpy(to, "Content-Type: text/plain; charset=Big5\r\n\r\n");
	parse(raw);
	ck_assert_str_eq(m->headers[0].value, "\u4f60");
	ck_assert_str_eq(m->headers[99].value, "\u00a7A");
}
END_TEST

/* Dates */

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
	/* a wrong weekday, none, an unknown one */
	{ "Mon, 07 Nov 2025 10:20:00 +0000", 1762510800, true },
	{ "Vendredi, 07 Nov 2025 10:20:00 +0000", 1762510800, true },
	{ "Fri 07 Nov 2025 10:20:00 +0000", 1762510800, true },
	/* years of two and three digits */
	{ "Fri, 07 Nov 25 10:20:00 +0000", 1762510800, true },
	{ "Sat, 07 Nov 98 10:20:00 +0000", 910434000, true },
	{ "Fri, 07 Nov 125 10:20:00 +0000", 1762510800, true },
	/* zones: by name, military (which say nothing), unknown, none, odd */
	{ "Fri, 07 Nov 2025 05:20:00 EST", 1762510800, true },
	{ "Fri, 07 Nov 2025 02:20:00 PST", 1762510800, true },
	{ "Fri, 07 Nov 2025 03:20:00 PDT", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 UT", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 Z", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 A", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 XYZ", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 -0000", 1762510800, true },
	{ "Fri, 07 Nov 2025 15:50:00 +0530", 1762510800, true },
	{ "Fri, 07 Nov 2025 15:50:00 +05:30", 1762510800, true },
	{ "Fri, 07 Nov 2025 12:20:00 GMT+0200", 1762510800, true },
	{ "Fri, 07 Nov 2025 12:20:00+0200", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 +9999", 1762510800, true },
	{ "Fri, 07 Nov 2025 05:20:00 -0500 (EST)", 1762510800, true },
	{ "Fri, 07 Nov 2025 12:20:00 0200", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 2000", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 H0500", 1762510800, true },
	{ "Fri, 07 Nov 2025 10:20:00 -12345678901234567890", 1762510800, true },
	/* other orders */
	{ "Fri Nov  7 10:20:00 2025", 1762510800, true },
	{ "Fri Nov  7 05:20:00 EST 2025", 1762510800, true },
	{ "2025-11-07T10:20:00Z", 1762510800, true },
	{ "2025-11-07 11:20:00.123 +01:00", 1762510800, true },
	{ "07-Nov-2025 10:20:00", 1762510800, true },
	{ "7.11.2025 10:20", 1762510800, true },
	{ "November 7, 2025 10:20 AM", 1762510800, true },
	{ "Nov 7, 2025 10:20:00 pm +0000", 1762554000, true },
	{ "Fri, 07 Nov 2025", 1762473600, true },
	{ "Fri, 07 Nov 2025 10.20.00 +0000", 1762510800, true },
	{ "Fri, 07 Nov 2025 11.20 +0100", 1762510800, true },
	{ "=?utf-8?Q?Fri,_07_Nov_2025_10:20:00_+0000?=", 1762510800, true },
	/* comments and blanks wherever they may stand */
	{ "Fri (day), 07\r\n Nov\r\n 2025 10 (h) : 20 : 00 +0000", 1762510800, true },
	/* at the edges */
	{ "Thu, 29 Feb 2024 00:00:00 +0000", 1709164800, true },
	{ "Sat, 31 Dec 2016 23:59:60 +0000", 1483228800, true },
	{ "Thu, 06 Nov 2025 24:00:00 +0000", 1762473600, true },
	{ "Mon, 01 Jan 1900 00:00:00 +0000", -2208988800, true },
	{ "Fri, 31 Dec 9999 23:59:59 +0000", 253402300799, true },
	/* no such day, hour or year */
	{ "Fri, 31 Dec 294277 00:00:00 +0000", 0, false },
	{ "Fri, 31 Dec 0000 00:00:00 +0000", 0, false },
	{ "Mon, 01 Jan 1900 00:00:00 +0100", 0, false },
	{ "Fri, 31 Dec 9999 23:59:59 -0100", 0, false },
	{ "Wed, 29 Feb 2023 00:00:00 +0000", 0, false },
	{ "Fri, 00 Nov 2025 10:20:00 +0000", 0, false },
	{ "Fri, 32 Nov 2025 10:20:00 +0000", 0, false },
	{ "Fri, 07 Nov 2025 24:20:00 +0000", 0, false },
	{ "Fri, 07 Nov 2025 10:60:00 +0000", 0, false },
	{ "Fri, 07 Nov 99999 10:20:00 +0000", 0, false },
	{ "Fri, 07 Nov 10:20:00 +0000", 0, false },
	{ "2025-13-07", 0, false },
	{ "999999999999999999999999 Nov 2025", 0, false },
	{ "yesterday", 0, false },
	{ "(", 0, false },
	{ "", 0, false },
};

START_TEST(dates_are_read_in_every_form_or_not_there)
{
	char raw[256];

	snprintf(raw, sizeof(raw), "Date: %s\r\n\r\n", dates[_i].raw);
	parse(raw);
	ck_assert_msg(m->has_date == dates[_i].good, "%s", dates[_i].raw);
	ck_assert_msg(m->date_us == dates[_i].s * 1000000, "%s: %lld", dates[_i].raw,
		(long long)(m->date_us / 1000000));
	assert_defects(dates[_i].good ? "" : "bad_date");
}
END_TEST

/* Ids */

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

static const struct {
	const char *raw, *wanted; /* References, joined by blanks */
} references[] = {
	{ "<1@a> <2@a>", "<1@a> <2@a>" },
	{ "<1@a>\r\n\t<2@a>\r\n <3@a>", "<1@a> <2@a> <3@a>" },
	{ "<1@a><2@a>,<3@a>;<4@a>", "<1@a> <2@a> <3@a> <4@a>" },
	{ "<a.long.id\r\n .that.was.folded@a> <2@a>", "<a.long.id.that.was.folded@a> <2@a>" },
	{ "<1234   @   local(blah)  .machine .example>", "<1234@local.machine.example>" },
	{ "<\"a b\" @c>", "<\"a b\"@c>" },
	{ "<id(1)@a>", "<id(1)@a>" },
	{ "(a comment) <1@a> words <2@a>", "<1@a> <2@a>" },
	{ "<1@a> <2@a", "<1@a>" },
	{ "<> <1@a><>", "<1@a>" },
	{ "<1@a <2@a> <<3@a>>", "<2@a> <3@a>" },
	{ "1@a 2@a,\r\n 3@a; word", "1@a 2@a 3@a" },
	{ "message of a@b <1@a>", "<1@a>" },
	{ "<m\xc3\xbc@a>", "<m\u00fc@a>" },
};

START_TEST(references_are_split_and_folded_ids_made_whole)
{
	char raw[512], got[512] = "", *to = got;

	snprintf(raw, sizeof(raw), "References: %s\r\n\r\n", references[_i].raw);
	parse(raw);
	for (size_t i = 0; i < m->references.count; i++)
		to += sprintf(to, "%s%s", i > 0 ? " " : "", m->references.list[i]);
	assert_same(got, references[_i].wanted, references[_i].raw);
	assert_defects("");
}
END_TEST

/* Addresses, as "name|address" and semicolons between them */

static const struct {
	const char *raw, *wanted, *defects;
} addresses[] = {
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
	/* a name behind its address, or beside one without brackets */
	{ "<a@b> Bob", "Bob|a@b", "bad_address" },
	{ "<a@b> =?utf-8?Q?B=C3=B6b?=", "B\u00f6b|a@b", "bad_address" },
	{ "<a@b> name=x.zip", "|a@b", "bad_address" },
	{ "Alice <a@b> Bob, <c@d> \"Doe, J.\" <e@f>", "Alice|a@b;|c@d;Doe, J.|e@f", "bad_address" },
	{ "\"Jane Doe\" j@d", "Jane Doe|j@d", "bad_address" },
	{ "j@d Jane Doe", "Jane Doe|j@d", "bad_address" },
	{ "j@d (Jane", "Jane|j@d", "bad_address" },
	{ "=?utf-8?Q?Jane_D=C3=B6_=3Cj=40d=3E?=", "Jane D\u00f6|j@d", "bad_address" },
	/* a comma that wanted quotes */
	{ "Doe, Jane <a@b>", "Doe, Jane|a@b", "bad_address" },
	{ "c@d, Doe, Jane, Dr. <a@b>, e@f", "|c@d;Doe, Jane, Dr.|a@b;|e@f", "bad_address" },
	{ "=?utf-8?Q?D=C3=B6?=, Jane <a@b>", "D\u00f6, Jane|a@b", "bad_address" },
	{ "root, Jane <a@b>", "|root;Jane|a@b", "" },
	{ "Group: Doe, Jane <a@b>;", "|Doe;Jane|a@b", "" },
	{ "Doe, \"Jane\" <a@b>", "|Doe;Jane|a@b", "" },
	{ "Doe, Jane <x>", "|Doe;Jane|x", "" },
	/* obsolete syntax (RFC 5322, appendix A) */
	{ "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete@silly.test",
		"" },
	{ "Chris Jones <c@(Chris's host.)public.example>", "Chris Jones|c@public.example", "" },
	{ "A Group(Some people)\r\n :Chris <c@d>, joe@example.org, John <j@one.test> (x); (end)",
		"Chris|c@d;|joe@example.org;John|j@one.test", "" },
	{ "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "", "" },
	{ "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
		"Mary Smith|mary@example.net;|jdoe@test.example", "" },
	{ "Joe Q. Public <john.q.public@example.com>", "Joe Q. Public|john.q.public@example.com",
		"" },
	{ "<a(@b>", "|a(@b", "" },
};

static void assert_addresses(const struct mime_addresses *list, const char *wanted, const char *raw)
{
	char got[512] = "", *to = got;

	for (size_t i = 0; i < list->count; i++) {
		const struct mime_address *a = &list->list[i];
		to += sprintf(to, "%s%s|%s", i > 0 ? ";" : "", a->name != NULL ? a->name : "",
			a->address);
		ck_assert(a->name == NULL || *a->name != '\0');
	}
	assert_same(got, wanted, raw);
}

START_TEST(addresses_are_read_leniently)
{
	char raw[1024];

	snprintf(raw, sizeof(raw), "From: %s\r\nTo: %s\r\n\r\n", addresses[_i].raw,
		addresses[_i].raw);
	parse(raw);
	assert_addresses(&m->from, addresses[_i].wanted, addresses[_i].raw);
	assert_addresses(&m->to, addresses[_i].wanted, addresses[_i].raw);
	assert_defects(addresses[_i].defects);
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

/* Header sections */

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
	const char *name, *raw, *subject, *text, *defects;
} sections[] = {
	{ "a bad line among fields", "A: b\r\nno field\r\nSubject: s\r\n\r\nx", "s", "x",
		"bad_header" },
	{ "a bad line with its continuation", "A: b\r\n__\r\n  more\r\nSubject: s\r\n\r\nx", "s",
		"x", "bad_header" },
	{ "a bad line before the blank one", "Subject: s\r\nno field\r\n\r\nx", "s", "x",
		"bad_header" },
	{ "a forgotten blank line", "Subject: s\r\nThis is\r\nthe text\r\n", "s",
		"This is\nthe text\n", "missing_blank_line" },
	{ "a forgotten blank line before all there is", "Subject: s\r\ntext\r\n\r\n", "s",
		"text\n\n", "missing_blank_line" },
	{ "a forgotten blank line, LF", "Subject: s\ntext\nmore", "s", "text\nmore",
		"missing_blank_line" },
	{ "a byte order mark", "\xef\xbb\xbfSubject: s\r\nA: b\r\n\r\nx", "s", "x", "bad_header" },
	{ "a bad first line", "garbage\r\nSubject: s\r\n\r\nx", "s", "x", "bad_header" },
	{ "a blank before the first field", " A: b\r\nSubject: s\r\n\r\nx", "s", "x",
		"bad_header" },
	{ "text that looks like a bad first line", "dear all\r\nnote: this\r\n", NULL,
		"dear all\nnote: this\n", "no_header" },
	{ "CR alone", "Subject: s\r\rone\rtwo", "s", "one\ntwo", "bare_cr" },
	{ "a CR alone within lines ends none", "Subject: s\rTo: x\r\n\r\na\rb", "s To: x", "a\rb",
		"header_control" },
	{ "LF and CRLF mixed", "A: b\nSubject: s\r\n\nx\r\ny\n", "s", "x\ny\n", "mixed_line_ends" },
	{ "a header section without an end", "Subject: s\r\nA: b\r\n", "s", "", "unended_header" },
	{ "an HTML page and no header", "<html><body>x</body></html>\r\n", NULL, "x\n",
		"no_header" },
	{ "two types, one a multipart",
		"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Type: "
		"text/plain\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"s", "x", "repeated_header" },
	{ "a part without a header",
		"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		"--b\r\ntext here\r\n\r\nmore\r\n--b--\r\n",
		"s", "text here\n\nmore", "missing_blank_line" },
	{ "a part whose blank line was forgotten",
		"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		"--b\r\nContent-Type: text/plain\r\nbar\r\n\r\n--b--\r\n",
		"s", "bar\n", "missing_blank_line" },
	{ "a preamble without its blank line",
		"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\nThis is MIME.\r\n"
		"--b\r\n\r\nx\r\n--b--\r\n",
		"s", "x", "missing_blank_line" },
	{ "an empty last line of a part",
		"Subject: s\r\nContent-Type: multipart/mixed; "
		"boundary=b\r\n\r\n--b\r\n\r\nx\r\n\r\n--b--\r\n",
		"s", "x\n", "" },
	{ "line feeds in what has no lines",
		"Subject: s\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\r\n", "s", "a\nb\n",
		"" },
	{ "mixed line ends before a boundary",
		"Subject: s\r\nContent-Type: multipart/mixed; "
		"boundary=b\r\n\r\n--b\r\n\r\nxyz\n--b--\r\n",
		"s", "xyz", "mixed_line_ends" },
};

START_TEST(damaged_header_sections_give_what_can_be_read)
{
	parse(sections[_i].raw);
	assert_same(m->subject, sections[_i].subject, sections[_i].name);
	assert_same(m->text, sections[_i].text, sections[_i].name);
	assert_same(defects(), sections[_i].defects, sections[_i].name);
}
END_TEST

START_TEST(of_a_bare_cr_message_the_parts_are_of_the_bytes_as_they_came)
{
	uint8_t digest[SHA256_BYTES];

	parse("Content-Type: multipart/mixed; boundary=b\r\r--b\r\rone\rtwo\r--b--\r");
	ck_assert_uint_eq(m->part_count, 1);
	sha256("one\rtwo", 7, digest);
	ck_assert(digest_equal(m->parts[0].sha256, digest));
	ck_assert_str_eq(m->text, "one\ntwo");
}
END_TEST

START_TEST(content_without_its_blank_line_is_there_from_its_first_byte)
{
	static const char raw[] = "Subject: s\r\nThis is\r\nthe text";

	parse(raw);
	ck_assert_uint_eq(m->parts[0].raw_offset, strlen("Subject: s\r\n"));
	ck_assert_uint_eq(m->parts[0].size, strlen("This is\r\nthe text"));
}
END_TEST

START_TEST(fields_that_repeat_or_are_missing)
{
	parse("Message-ID: <1@a>\r\nMessage-ID: <2@a>\r\nDate: 7 Nov 2025 10:20 +0000\r\n"
	      "Date: bad\r\nFrom: a@b\r\nFrom: c@d\r\nSubject: s\r\nSUBJECT: t\r\n\r\n");
	ck_assert_str_eq(m->message_id, "<1@a>");
	ck_assert_int_eq(m->date_us / 1000000, 1762510800);
	ck_assert_uint_eq(m->from.count, 2);
	ck_assert_str_eq(m->subject, "s");
	assert_defects("repeated_header");
	parse("Message-ID: <>\r\n\r\n");
	ck_assert_ptr_null(m->message_id);
	parse("X: y\r\n\r\n");
	ck_assert_ptr_null(m->message_id);
	ck_assert_ptr_null(m->subject);
	ck_assert(!m->has_date);
	ck_assert_uint_eq(m->from.count + m->to.count, 0);
	assert_defects("");
}
END_TEST

START_TEST(a_type_of_any_bytes_is_ascii)
{
	parse("Content-Type: Text/Pl\xc3\xbc\xffin\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].content_type, "text/pl______in");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_fields");
	TCase *tc = tcase_create("mime_fields");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, subjects_and_names_are_decoded_alike, words);
	LOOP(tc, dates_are_read_in_every_form_or_not_there, dates);
	tcase_add_test(tc, ids_come_with_their_brackets_and_references_in_order);
	LOOP(tc, references_are_split_and_folded_ids_made_whole, references);
	LOOP(tc, addresses_are_read_leniently, addresses);
	tcase_add_test(tc, each_address_field_has_its_list);
	tcase_add_test(tc, headers_keep_their_order_their_repeats_and_their_spelling);
	tcase_add_test(tc, of_repeated_fields_the_first_counts);
	LOOP(tc, damaged_header_sections_give_what_can_be_read, sections);
	tcase_add_test(tc, raw_bytes_in_headers_are_read_as_the_body_is_labelled);
	tcase_add_test(tc, only_so_many_guesses_are_made_at_headers);
	tcase_add_test(tc, of_a_bare_cr_message_the_parts_are_of_the_bytes_as_they_came);
	tcase_add_test(tc, content_without_its_blank_line_is_there_from_its_first_byte);
	tcase_add_test(tc, fields_that_repeat_or_are_missing);
	tcase_add_test(tc, a_type_of_any_bytes_is_ascii);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
