/* SPDX-License-Identifier: MIT */
/* mime: mail that says in words alone that other mail was not delivered */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIXED(fields, words, type, returned)                                                       \
	fields "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" words            \
	       "\r\n--b\r\nContent-Type: " type "\r\n\r\n" returned "\r\n--b--\r\n"
#define RETURNED "From: w@x\r\nTo: a@b\r\nMessage-ID: <m@x>\r\n\r\nhello"

/* Whether it is one */

static const struct {
	const char *raw;
	bool bounce, with_null_sender;
} mails[] = {
	/* by its writer */
	{ "From: MAILER-DAEMON <>\r\nSubject: Mail problem\r\n\r\nx", true, true },
	{ "From: Mailer-Daemon+17@x\r\n\r\nx", true, true },
	{ "From: x@y\r\nAuto-Submitted: auto-generated (failure)\r\n\r\nx", true, true },
	{ "From: x@y\r\nContent-Type: multipart/report; boundary=b; report-type=delivery-status\r\n"
	  "\r\n--b\r\n\r\nsorry\r\n--b--\r\n",
		false, false },
	{ "From: x@y\r\nSubject: Returned mail\r\nContent-Type: multipart/report; boundary=b;\r\n"
	  " report-type=\"delivery-status\"\r\n\r\n--b\r\n\r\nsorry\r\n--b--\r\n",
		true, true },
	{ "From: Mail Delivery System <x@y>\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
	  "--b\r\n\r\nsorry\r\n--b--\r\n",
		true, true },
	{ "From: MAILER-DAEMON@x\r\nSubject: Delivery delayed\r\n\r\nx", false, false },
	{ "From: MAILER-DAEMON@x\r\nSubject: mail\r\n\r\nYou do not need to resend it.", false,
		false },
	{ "From: MAILER-DAEMON@x\r\nSubject: Successful mail delivery\r\n\r\nx", false, false },
	{ "From: MAILER-DAEMON@x\r\nSubject: Undeliverable: the delay\r\n\r\nx", true, true },
	{ "From: MAILER-DAEMON@x\r\nSubject: Verz=?iso-8859-1?q?=F6gerung?=\r\n\r\nx", false,
		false },
	/* by its subject */
	{ "From: postmaster@x\r\nSubject: Unzustellbar: Treffen\r\n\r\nx", true, true },
	{ "From: post_master@x\r\nSubject: =?utf-8?b?6YWN5L+h5LiN6IO9?=\r\n\r\nx", true, true },
	{ "From: x@y\r\nSubject: Non remis : r\xc3\xa9union\r\n\r\nx", false, true },
	{ "From: x@y\r\nReturn-Path: <MAILER-DAEMON>\r\nSubject: Onbestelbaar: x\r\n\r\nx", true,
		true },
	{ "From: x@y\r\nSubject: Automatic reply: x\r\n\r\nx", false, false },
	/* by what it says, and what came back */
	{ "From: postmaster@x\r\nSubject: x\r\n\r\nError:\r\n550 no such user\r\n", true, true },
	{ "From: x@y\r\nSubject: x\r\n\r\nError:\r\n550 no such user\r\n", false, false },
	{ "From: postmaster@x\r\nSubject: x\r\n\r\nIn room 550 or 551 5 x, 1550 5.1.1, 550\r\n",
		false, false },
	{ "From: x@y\r\nSubject: x\r\n\r\nThe server said 553-5.1.1 no.\r\n\r\nFrom: a@b\r\n"
	  "Message-ID: <m@x>\r\n",
		false, true },
	{ "From: x@y\r\nSubject: x\r\n\r\nNo such user (#5.1.1)\r\n\r\nFrom: a@b\r\n"
	  "Message-ID: <m@x>\r\n",
		false, true },
	{ "From: x@y\r\nSubject: x\r\n\r\nI am on holiday.\r\n\r\nFrom: a@b\r\n"
	  "Message-ID: <m@x>\r\n",
		false, false },
	{ MIXED("From: no-reply@x", "It could not be delivered.", "message/rfc822", RETURNED), true,
		true },
	{ MIXED("From: no-reply@x\r\nList-Id: <l.x>", "It could not be delivered.",
		  "message/rfc822", RETURNED),
		false, true },
	{ MIXED("From: no-reply@x", "Thank you for this.", "message/rfc822", RETURNED), false,
		false },
	{ MIXED("From: alice@x", "It could not be delivered, why?", "message/rfc822", RETURNED),
		false, true },
};

START_TEST(a_bounce_is_known_by_writer_words_and_what_came_back)
{
	parse(mails[_i].raw);
	ck_assert_msg(m->is_bounce == mails[_i].bounce, "%s", mails[_i].raw);
	ck_assert_msg(
		mime_is_bounce(m, true) == mails[_i].with_null_sender, "null: %s", mails[_i].raw);
}
END_TEST

/* What it says */

#define JSON(id, mta, recipients)                                                                  \
	"{\"type\":\"delivery-status\",\"feedback_type\":null,\"original_message_id\":" id         \
	",\"reporting_mta\":" mta ",\"recipients\":[" recipients "]}"
#define RECIPIENT(recipient, action, status, diagnostic)                                           \
	"{\"recipient\":\"" recipient "\",\"original_recipient\":null,\"action\":\"" action        \
	"\",\"status\":" status ",\"diagnostic\":" diagnostic "}"
#define MAILER "From: MAILER-DAEMON@x\r\nSubject: failure notice\r\n"

static const struct {
	const char *name, *raw, *json;
} words[] = {
	{ "qmail",
		MAILER
		"\r\nHi. This is the qmail-send program at x.\r\nI give up.\r\n\r\n"
		"<a@b>:\r\n192.0.2.1 does not like recipient.\r\n"
		"Remote host said: 550 5.1.1 no. (#5.5.0)\r\n\r\n<c@d>:\r\nno host (#5.1.2)\r\n"
		"\r\n--- Below this line is a copy of the message.\r\n\r\n"
		"Return-Path: <w@x>\r\nMessage-ID: <m@x>\r\n\r\n<e@f>:\r\nno\r\n",
		JSON("\"<m@x>\"", "null",
			RECIPIENT("a@b", "failed", "\"5.1.1\"",
				"\"192.0.2.1 does not like recipient. Remote host said: 550 5.1.1 "
				"no. (#5.5.0)\"") "," RECIPIENT("c@d", "failed", "\"5.1.2\"",
				"\"no host (#5.1.2)\"")) },
	{ "X-Failed-Recipients",
		MAILER "X-Failed-Recipients: a@b,\r\n c@d\r\n\r\nIt failed:\r\n\r\n  a@b\r\n\r\n"
		       "------ This is a copy of your message.\r\n\r\nReceived: x\r\nMessage-ID: "
		       "<m@x>\r\n",
		JSON("\"<m@x>\"", "null",
			RECIPIENT("a@b", "failed", "null", "null") "," RECIPIENT(
				"c@d", "failed", "null", "null")) },
	{ "paragraphs say more than X-Failed-Recipients",
		MAILER "X-Failed-Recipients: c@d\r\n\r\n<a@b>: no\r\n",
		JSON("null", "null", RECIPIENT("a@b", "failed", "null", "\"no\"")) },
	{ "nothing behind the break is a reason",
		MAILER "\r\n<a@b>: no\r\n\r\n--- Your message was:\r\n\r\n<c@d>: hello\r\n",
		JSON("null", "null", RECIPIENT("a@b", "failed", "null", "\"no\"")) },
	{ "what came back as a part counts for more than what the text quotes",
		MIXED("From: MAILER-DAEMON@x", "It failed.\r\n\r\nFrom: w@x\r\nMessage-ID: <o@x>",
			"message/rfc822", RETURNED),
		JSON("\"<m@x>\"", "null", "") },
	{ "a report without its parts",
		MAILER
		"\r\nIt failed.\r\n\r\nFrom: w@x\r\nMessage-ID: <other@x>\r\n\r\nReporting-MTA: "
		"dns; mx.y\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: "
		"delayed\r\n\r\nReceived: x\r\nMessage-ID: <m@x>\r\n\r\nFinal-Recipient: "
		"rfc822; c@d\r\nAction: failed\r\n",
		JSON("\"<m@x>\"", "\"mx.y\"", RECIPIENT("a@b", "delayed", "null", "null")) },
	{ "an addressee whom the notice names",
		MIXED("From: MAILER-DAEMON@x", "To: c@d\r\nA@b is not known here: 550: 5.1.1",
			"message/rfc822",
			"To: a@b, A <c@d>\r\nCc: e@f\r\nMessage-ID: <m@x>\r\n\r\nx"),
		JSON("\"<m@x>\"", "null", RECIPIENT("a@b", "failed", "\"5.1.1\"", "null")) },
	{ "one whom it does not",
		MIXED("From: MAILER-DAEMON@x", "Not known: xa@b, a@b.example.org",
			"text/rfc822-headers", RETURNED),
		JSON("\"<m@x>\"", "null", "") },
	{ "a header that came back as text",
		MIXED("From: MAILER-DAEMON@x", "Unknown: a@b.", "text/plain; name=header.txt",
			RETURNED),
		JSON("\"<m@x>\"", "null", RECIPIENT("a@b", "failed", "null", "null")) },
	{ "a header without Message-ID",
		MAILER "\r\na@b: no.\r\n\r\nReceived: x\r\nTo: a@b\r\n\r\nc@d\r\n",
		JSON("null", "null", RECIPIENT("a@b", "failed", "null", "null")) },
	{ "nothing came back", MAILER "In-Reply-To: <m@x>\r\n\r\nIt failed.",
		JSON("\"<m@x>\"", "null", "") },
	{ "it says nothing", MAILER "\r\nIt failed.", NULL },
	{ "no recipients from somebody else",
		"From: w@x\r\n\r\n<a@b>:\r\nhello\r\n\r\nFinal-Recipient: "
		"a@b\r\nAction: failed\r\n",
		NULL },
	{ "nor from a mailer that goes on trying",
		"From: MAILER-DAEMON@x\r\nSubject: Warning: delayed\r\n\r\n<a@b>:\r\nslow\r\n\r\n"
		"From: w@x\r\nMessage-ID: <m@x>\r\n",
		NULL },
};

START_TEST(words_of_a_mailer_are_read)
{
	parse(words[_i].raw);
	assert_same(mime_report_json(m), words[_i].json, words[_i].name);
	assert_defects("");
}
END_TEST

START_TEST(recipients_in_words_are_bounded)
{
	limits.addresses = 2;
	parse(MAILER "\r\n<a@b>:\r\nno\r\n\r\n<c@d>:\r\nno\r\n\r\n<e@f>:\r\nno\r\n");
	ck_assert_uint_eq(m->report.recipient_count, 2);
	assert_defects("limit_addresses");
}
END_TEST

/* The time limit of the case is the bound. */
START_TEST(a_notice_of_any_size_is_read_in_linear_time)
{
	enum { LINES = 20000 };
	size_t len;
	char *raw = NULL;
	FILE *out = open_memstream(&raw, &len);

	fputs(MAILER "\r\n", out);
	for (int i = 0; i < LINES; i++)
		fputs("5\r\n\r\na@b 5.5.5 a\r\n", out);
	fputs("\r\nTo: ", out);
	for (int i = 0; i < LINES; i++)
		fputs("a@b,\r\n ", out);
	fputs("c@d\r\nFrom: w@x\r\nMessage-ID: <m@x>\r\n", out);
	fclose(out);
	parse_bytes(raw, len);
	free(raw);
	ck_assert(m->is_bounce);
	ck_assert_str_eq(m->report.original_message_id, "<m@x>");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_bounce");
	TCase *tc = tcase_create("mime_bounce");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, a_bounce_is_known_by_writer_words_and_what_came_back, mails);
	LOOP(tc, words_of_a_mailer_are_read, words);
	tcase_add_test(tc, recipients_in_words_are_bounded);
	tcase_add_test(tc, a_notice_of_any_size_is_read_in_linear_time);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
