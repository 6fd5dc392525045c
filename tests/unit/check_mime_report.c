/* SPDX-License-Identifier: MIT */
/* mime: what reports say, and what a header tells about the writer */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT(type, content, more)                                                                \
	"From: x@y\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"                          \
	"--b\r\n\r\nIn words.\r\n--b\r\nContent-Type: " type "\r\n\r\n" content "\r\n" more        \
	"--b--\r\n"
#define RETURNED(content) "--b\r\nContent-Type: message/rfc822\r\n\r\n" content "\r\n"

#define JSON(type, feedback, id, mta, recipients)                                                  \
	"{\"type\":\"" type "\",\"feedback_type\":" feedback ",\"original_message_id\":" id        \
	",\"reporting_mta\":" mta ",\"recipients\":[" recipients "]}"
#define RECIPIENT(final, original, action, status, diagnostic)                                     \
	"{\"recipient\":" final ",\"original_recipient\":" original ",\"action\":" action          \
	",\"status\":" status ",\"diagnostic\":" diagnostic "}"

static const struct {
	const char *name, *raw, *json;
	bool bounce;
} reports[] = {
	{ "two recipients",
		REPORT("message/delivery-status",
			"Reporting-MTA: dns; mx.example.org\r\nArrival-Date: x\r\n\r\n"
			"Original-Recipient: rfc822;Info@example.com\r\n"
			"Final-Recipient: RFC822; <a@example.com>\r\nAction: Failed (bounced)\r\n"
			"Status: 5.1.1 (no such user)\r\n"
			"Diagnostic-Code: smtp; 550 5.1.1\r\n no such; user\r\n\r\n \r\n"
			"Final-Recipient: rfc822; b@example.com\r\nAction: delayed\r\n",
			RETURNED("Message-ID: <m@x>\r\n\r\nx")),
		JSON("delivery-status", "null", "\"<m@x>\"", "\"mx.example.org\"",
			RECIPIENT("\"a@example.com\"", "\"Info@example.com\"", "\"failed\"",
				"\"5.1.1\"", "\"550 5.1.1 no such; user\"") "," RECIPIENT("\"b@"
											  "example."
											  "com\"",
				"null", "\"delayed\"", "null", "null")),
		true },
	{ "only the header comes back, and the report is encoded",
		REPORT("message/global-delivery-status\r\nContent-Transfer-Encoding: base64",
			"RmluYWwtUmVjaXBpZW50OiByZmM4MjI7YUBiDQpBY3Rpb246IGZhaWxlZA0K",
			"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: s\r\nMessage-Id: "
			"<m@x>\r\n"),
		JSON("delivery-status", "null", "\"<m@x>\"", "null",
			RECIPIENT("\"a@b\"", "null", "\"failed\"", "null", "null")),
		true },
	{ "a part for each recipient",
		REPORT("message/delivery-status", "Final-Recipient: rfc822;a@b\r\nAction: relayed",
			"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
			"Final-Recipient: rfc822;c@d\r\nAction: delivered\r\n"),
		JSON("delivery-status", "null", "null", "null",
			RECIPIENT("\"a@b\"", "null", "\"relayed\"", "null", "null") "," RECIPIENT(
				"\"c@d\"", "null", "\"delivered\"", "null", "null")),
		false },
	{ "nothing in it", REPORT("message/delivery-status", "", ""),
		JSON("delivery-status", "null", "null", "null", ""), false },
	{ "recipients without a blank line between them",
		REPORT("message/delivery-status",
			"Reporting-MTA: dns; mx.y\r\nAction: failed\r\nFinal-Recipient: "
			"rfc822;a@b\r\n"
			"Status: 5.1.1\r\nAction: delayed\r\nFinal-Recipient: rfc822;c@d\r\n"
			"Status: 4.4.1\r\n",
			""),
		JSON("delivery-status", "null", "null", "\"mx.y\"",
			RECIPIENT("\"a@b\"", "null", "\"failed\"", "\"5.1.1\"",
				"null") "," RECIPIENT("\"c@d\"", "null", "\"delayed\"", "\"4.4.1\"",
				"null")),
		true },
	{ "a field that stands twice is no second recipient",
		REPORT("message/delivery-status",
			"Final-Recipient: rfc822;a@b\r\nStatus: 5.0.0\r\nStatus: 5.1.1\r\n", ""),
		JSON("delivery-status", "null", "null", "null",
			RECIPIENT("\"a@b\"", "null", "null", "\"5.1.1\"", "null")),
		true },
	{ "a status that only the other server names",
		REPORT("message/delivery-status",
			"Original-Recipient: <a@b>\r\nDiagnostic-Code: smtp; 550 5.1.1 no\r\n", ""),
		JSON("delivery-status", "null", "null", "null",
			RECIPIENT("\"a@b\"", "\"a@b\"", "null", "\"5.1.1\"", "\"550 5.1.1 no\"")),
		true },
	{ "parts of a report that are labelled as something else",
		REPORT("text/plain",
			"Reporting-MTA: dns; mx.y\r\n\r\nFinal-Recipient: rfc822;a@b\r\n"
			"Action: failed\r\n",
			"--b\r\nContent-Type: message/partial\r\n\r\nDate: x\r\nMessage-ID: "
			"<m@x>\r\n"),
		JSON("delivery-status", "null", "\"<m@x>\"", "\"mx.y\"",
			RECIPIENT("\"a@b\"", "null", "\"failed\"", "null", "null")),
		true },
	{ "a complaint labelled as text",
		REPORT("text/plain",
			"Feedback-Type: abuse\r\nVersion: 1\r\nOriginal-Rcpt-To: <a@b>\r\n", ""),
		JSON("feedback-report", "\"abuse\"", "null", "null",
			RECIPIENT("\"a@b\"", "null", "null", "null", "null")),
		false },
	{ "a receipt labelled as text",
		REPORT("text/plain",
			"Final-Recipient: rfc822;a@b\r\nDisposition: "
			"manual-action/MDN-sent-manually; displayed\r\n",
			""),
		JSON("disposition-notification", "null", "null", "null",
			RECIPIENT("\"a@b\"", "null", "\"displayed\"", "null", "null")),
		false },
	{ "the first part is for people, whatever it looks like",
		"From: x@y\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
		"--b\r\n\r\nFinal-Recipient: a@b\r\nAction: failed\r\n--b--\r\n",
		NULL, false },
	{ "what is attached to a report is no report", REPORT("text/plain", "Action: failed", ""),
		NULL, false },
	{ "blank lines in front of what came back",
		REPORT("message/delivery-status", "Final-Recipient: a@b\r\nAction: failed\r\n",
			RETURNED("\r\n\r\nFrom: c@d\r\nMessage-ID: <m@x>\r\n\r\nx")),
		JSON("delivery-status", "null", "\"<m@x>\"", "null",
			RECIPIENT("\"a@b\"", "null", "\"failed\"", "null", "null")),
		true },
	{ "half a pair of brackets",
		REPORT("message/delivery-status",
			"Original-Recipient: rfc822;<c@d\r\nFinal-Recipient: rfc822; "
			"a@b>\r\nAction: relayed\r\n",
			""),
		JSON("delivery-status", "null", "null", "null",
			RECIPIENT("\"a@b\"", "\"c@d\"", "\"relayed\"", "null", "null")),
		false },
	{ "only delayed",
		REPORT("message/delivery-status",
			"Final-Recipient: a@b\r\nAction: delayed\r\n"
			"Status: 4.4.1\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n",
			""),
		JSON("delivery-status", "null", "null", "null",
			RECIPIENT("\"a@b\"", "null", "\"delayed\"", "\"4.4.1\"", "\"550 5.1.1\"")),
		false },
	{ "an action nobody knows, with the status of a failure",
		REPORT("message/delivery-status",
			"Final-Recipient: a@b\r\nAction: expired\r\nStatus: 5.4.7\r\n", ""),
		JSON("delivery-status", "null", "null", "null",
			RECIPIENT("\"a@b\"", "null", "\"expired\"", "\"5.4.7\"", "null")),
		true },
	{ "a report in an attached message is about other mail",
		"Content-Type: message/rfc822\r\n\r\n" REPORT(
			"message/delivery-status", "Final-Recipient: a@b\r\nAction: failed", ""),
		NULL, false },
	{ "a read receipt",
		REPORT("message/disposition-notification",
			"Reporting-UA: x; y\r\nFinal-Recipient: rfc822;a@b\r\n"
			"Original-Message-ID: <m@x>\r\n"
			"Disposition: manual-action/MDN-sent-manually; Displayed/error\r\n",
			""),
		JSON("disposition-notification", "null", "\"<m@x>\"", "null",
			RECIPIENT("\"a@b\"", "null", "\"displayed\"", "null", "null")),
		false },
	{ "a complaint",
		REPORT("message/feedback-report",
			"Feedback-Type: abuse\r\nVersion: 1\r\nReporting-MTA: dns; mx.y\r\n"
			"Original-Rcpt-To: <a@b>\r\nOriginal-Rcpt-To: c@d\r\n",
			RETURNED("Message-ID: <m@x>\r\n\r\nx")),
		JSON("feedback-report", "\"abuse\"", "\"<m@x>\"", "\"mx.y\"",
			RECIPIENT("\"a@b\"", "null", "null", "null", "null") "," RECIPIENT(
				"\"c@d\"", "null", "null", "null", "null")),
		false },
	{ "DMARC by its file's name",
		"Content-Type: application/gzip; "
		"name=\"receiver.example!example.org!1013662812!1013749130!id.xml.gz\"\r\n\r\nx",
		JSON("dmarc", "null", "null", "null", ""), false },
	{ "DMARC by its subject",
		"Subject: Report Domain: example.org\r\n Submitter: r.example Report-ID: "
		"<1>\r\n\r\nx",
		JSON("dmarc", "null", "null", "null", ""), false },
	{ "a TLS report is no DMARC report",
		"Subject: Report Domain: example.org Submitter: r.example Report-ID: <1>\r\n"
		"Content-Type: application/tlsrpt+gzip\r\n\r\nx",
		NULL, false },
	{ "a name with fewer parts", "Content-Type: application/zip; name=\"a!b!1.zip\"\r\n\r\nx",
		NULL, false },
};

START_TEST(a_report_says_what_became_of_whom)
{
	parse(reports[_i].raw);
	assert_same(mime_report_json(m), reports[_i].json, reports[_i].name);
	ck_assert_msg(m->is_bounce == reports[_i].bounce, "%s", reports[_i].name);
	assert_defects("");
}
END_TEST

START_TEST(a_report_ends_where_the_returned_header_begins)
{
	parse(REPORT("message/delivery-status", "Final-Recipient: a@b\r\nAction: failed\r\n",
		"--c\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@d\r\nStatus: RO\r\n"
		"Message-ID: <m@x>\r\n\r\nStatus: 5.1.1\r\n"));
	ck_assert_uint_eq(m->report.recipient_count, 1);
	ck_assert_str_eq(m->report.original_message_id, "<m@x>");
	assert_defects("bad_header"); /* the foreign boundary */
}
END_TEST

START_TEST(recipients_of_a_report_are_bounded)
{
	limits.addresses = 2;
	parse(REPORT("message/delivery-status",
		"Final-Recipient: a@b\r\n\r\nFinal-Recipient: c@d\r\n\r\nFinal-Recipient: e@f\r\n",
		""));
	ck_assert_uint_eq(m->report.recipient_count, 2);
	assert_defects("limit_addresses");
	parse(REPORT("message/feedback-report",
		"Original-Rcpt-To: a@b\r\nOriginal-Rcpt-To: c@d\r\nOriginal-Rcpt-To: e@f\r\n", ""));
	ck_assert_uint_eq(m->report.recipient_count, 2);
	assert_defects("limit_addresses");
}
END_TEST

START_TEST(a_returned_message_that_is_damaged_does_not_count_against_the_report)
{
	parse(REPORT("message/delivery-status", "Final-Recipient: a@b",
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nno field\r\nMessage-ID: "
		"<m@\xfc>\r\n"));
	ck_assert_str_eq(m->report.original_message_id, "<m@\u00fc>");
	assert_defects("");
}
END_TEST

/* Who wrote it */

static const struct {
	const char *fields, *auto_submitted, *list_id;
	bool bounce;
} marks[] = {
	{ "Subject: x", NULL, NULL, false },
	{ "Auto-Submitted: auto-replied (vacation)", "auto-replied", NULL, false },
	{ "Auto-Submitted: Auto-Generated; x=y", "auto-generated", NULL, false },
	{ "Auto-Submitted: no", NULL, NULL, false },
	{ "Auto-Submitted: no\r\nPrecedence: bulk", NULL, NULL, false },
	{ "Precedence: auto_reply", "auto-replied", NULL, false },
	{ "Precedence: Bulk", "auto-generated", NULL, false },
	{ "Precedence: list", NULL, NULL, false },
	{ "Precedence: bulk\r\nList-Id: <a.b>", NULL, "a.b", false },
	{ "Precedence: bulk\r\nX-Loop: a.b", NULL, NULL, false },
	{ "X-Autoreply: yes", "auto-replied", NULL, false },
	{ "X-Auto-Response-Suppress: All", "auto-generated", NULL, false },
	{ "X-Auto-Response-Suppress: None", NULL, NULL, false },
	{ "X-Auto-Response-Suppress: All\r\nSubject: Automatic reply: x", "auto-replied", NULL,
		false },
	{ "Subject: =?utf-8?q?R=C3=A9ponse_automatique_:_x?=", "auto-replied", NULL, false },
	{ "Subject: Out of office today", NULL, NULL, false },
	{ "Auto-Submitted: no\r\nSubject: Automatic reply: x", NULL, NULL, false },
	{ "List-Id: The list <X> of <Announce.Example.ORG>", NULL, "announce.example.org", false },
	{ "List-Id: bare.example.org", NULL, "bare.example.org", false },
	{ "List-Id: only words", NULL, NULL, false },
	{ "List-Id: <>", NULL, NULL, false },
	{ "List-Id: open <a.b", NULL, "a.b", false },
	{ "From: MAILER-DAEMON@x\r\nSubject: failure notice", NULL, NULL, true },
	{ "From: Mailer <MAILER-DAEMON>", NULL, NULL, true },
	{ "From: MAILER-DAEMON@x\r\nSubject: Warning: could not send yet", NULL, NULL, false },
	{ "From: mailer-daemons@x", NULL, NULL, false },
	{ "From: postmaster@x\r\nSubject: Undeliverable: hello", NULL, NULL, true },
	{ "From: postmaster@x\r\nSubject: our new rules", NULL, NULL, false },
	{ "From: a@x\r\nReturn-Path: <>\r\nSubject: Returned mail", NULL, NULL, true },
	{ "From: a@x\r\nSubject: Returned mail", NULL, NULL, false },
	{ "From: a@x\r\nX-Failed-Recipients: b@y", NULL, NULL, true },
};

START_TEST(a_header_tells_who_wrote)
{
	char raw[512];

	snprintf(raw, sizeof(raw), "%s\r\n\r\nx", marks[_i].fields);
	parse(raw);
	assert_same(m->auto_submitted, marks[_i].auto_submitted, marks[_i].fields);
	assert_same(m->list_id, marks[_i].list_id, marks[_i].fields);
	ck_assert_msg(m->is_bounce == marks[_i].bounce, "%s", marks[_i].fields);
	assert_defects("");
}
END_TEST

START_TEST(over_a_limit_the_marks_are_still_there)
{
	limits.parts = 1;
	parse("Auto-Submitted: auto-replied\r\nList-Id: <a.b>\r\n"
	      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b\r\n\r\n");
	ck_assert_int_eq(m->status, MIME_FAILED);
	ck_assert_str_eq(m->auto_submitted, "auto-replied");
	ck_assert_str_eq(m->list_id, "a.b");
	ck_assert_ptr_null(mime_report_json(m));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_report");
	TCase *tc = tcase_create("mime_report");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, a_report_says_what_became_of_whom, reports);
	tcase_add_test(tc, a_report_ends_where_the_returned_header_begins);
	tcase_add_test(tc, recipients_of_a_report_are_bounded);
	tcase_add_test(tc, a_returned_message_that_is_damaged_does_not_count_against_the_report);
	LOOP(tc, a_header_tells_who_wrote, marks);
	tcase_add_test(tc, over_a_limit_the_marks_are_still_there);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
