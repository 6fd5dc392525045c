/* SPDX-License-Identifier: MIT */
/* cmd/mailserver/deliver: what an answer means to an MTA, and what it is asked with */
#include "cmd/mailserver/deliver/options.h"

#include <check.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

static struct http_answer answer;
static bool may_continue;

static void setup(void)
{
	answer_init(&answer);
	may_continue = false;
}

static void teardown(void)
{
	answer_deinit(&answer);
}

static enum answer_state look(const char *bytes, bool at_end)
{
	return answer_read(slice_str(bytes), at_end, &answer, &may_continue);
}

START_TEST(answer_is_whole_when_its_length_has_come)
{
	static const char text[] = "HTTP/1.1 503 Later\r\nContent-Length: 4\r\n"
				   "X-Mail-Status: 4.3.2\r\nretry-after: 7\r\n\r\nbody";

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		ck_assert_int_eq(
			answer_read((struct slice){ text, len }, false, &answer, &may_continue),
			ANSWER_MORE);
	ck_assert_int_eq(look(text, false), ANSWER_WHOLE);
	ck_assert_int_eq(answer.status, 503);
	ck_assert_str_eq(answer.enhanced, "4.3.2");
	ck_assert_int_eq(answer.retry_after_s, 7);
	ck_assert_str_eq(answer.body.base, "body");
	ck_assert(!may_continue);
}
END_TEST

START_TEST(answer_cut_short_is_not_whole_at_the_end)
{
	ck_assert_int_eq(
		look("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", true), ANSWER_MORE);
	ck_assert_int_eq(look("HTTP/1.1 200 OK\r\nContent-Le", true), ANSWER_MORE);
	ck_assert_int_eq(look("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo", true),
		ANSWER_MORE);
	ck_assert_int_eq(
		look("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", true),
		ANSWER_MORE);
	/* Without any length the end of the stream is the end of the body. */
	ck_assert_int_eq(look("HTTP/1.1 200 OK\r\n\r\nbody", false), ANSWER_MORE);
	ck_assert_int_eq(look("HTTP/1.1 200 OK\r\n\r\nbody", true), ANSWER_WHOLE);
}
END_TEST

START_TEST(chunks_are_joined)
{
	ck_assert_int_eq(look("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			      "4;x=y\r\nbody\r\n0A\r\n0123456789\r\n0\r\n\r\n",
				 false),
		ANSWER_WHOLE);
	ck_assert_str_eq(answer.body.base, "body0123456789");
}
END_TEST

START_TEST(interim_responses_are_passed_over)
{
	ck_assert_int_eq(look("HTTP/1.1 100 Continue\r\n\r\n", false), ANSWER_MORE);
	ck_assert(may_continue);
	ck_assert_int_eq(look("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
			      "HTTP/1.1 204\r\nX-Mail-Status: 2.0.0\r\n\r\n",
				 false),
		ANSWER_WHOLE);
	ck_assert_int_eq(answer.status, 204);
}
END_TEST

START_TEST(what_is_not_http_is_said_to_be_bad)
{
	static const char *const texts[] = { "220 mail.example.org ESMTP\r\n", "SSH-2.0-x\r\n", "x",
		"HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n",
		"HTTP/1.1 2000 x\r\n\r\n", "HTTP/2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(look(texts[i], true) == ANSWER_BAD, "%s", texts[i]);
}
END_TEST

START_TEST(only_sound_enhanced_statuses_are_taken)
{
	static const char *const good[] = { "2.0.0", "4.3.2", "5.123.999" };
	static const char *const bad[] = { "", "4", "4.3", "4.3.", "3.0.0", "4.3.2.1", "4.1234.0",
		"4.3.x", "4..1", "4.3.2 " };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(is_enhanced_status(slice_str(good[i])), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!is_enhanced_status(slice_str(bad[i])), "%s", bad[i]);
}
END_TEST

/* ---- outcomes ---- */

static const struct {
	int status;
	const char *enhanced, *body;
	const char *line; /* begins so */
	int sysexit, qmail;
} rows[] = {
	{ 200, "", "{\"id\":\"x-1\",\"duplicate\":false}", "2.0.0 id=x-1", 0, 0 },
	{ 200, "", "{\"id\":\"x-1\",\"duplicate\":true}", "2.0.0 id=x-1 duplicate", 0, 0 },
	{ 200, "", "{\"message_id\":\"gomail\"}", "2.0.0 id=gomail", 0, 0 },
	{ 204, "", "", "2.0.0 id=-", 0, 0 },
	{ 200, "", "<html>hello</html>", "4.3.0 200 ", 75, 111 },
	{ 202, "", "{}", "4.3.0 202 ", 75, 111 },
	{ 200, "", "", "4.3.0 200 ", 75, 111 },
	{ 301, "", "", "4.3.5 301", 75, 111 },
	{ 304, "", "", "4.3.5 304", 75, 111 },
	{ 400, "", "{\"retryable\":false,\"enhanced_status\":\"5.6.0\",\"message\":\"no\"}",
		"5.6.0 400 no", 65, 100 },
	{ 400, "", "{\"retryable\":false,\"enhanced_status\":\"5.1.1\"}", "5.1.1 400", 67, 100 },
	{ 400, "", "{\"retryable\":false,\"enhanced_status\":\"5.7.1\"}", "5.7.1 400", 77, 100 },
	{ 400, "", "{\"retryable\":false,\"enhanced_status\":\"4.7.1\"}", "4.5.0 400", 75, 111 },
	{ 400, "", "{\"retryable\":false}", "4.5.0 400", 75, 111 },
	{ 400, "5.6.0", "{\"retryable\":true,\"enhanced_status\":\"5.6.0\"}", "4.5.0 400", 75,
		111 },
	{ 400, "5.6.0", "Bad Request", "4.5.0 400", 75, 111 },
	{ 401, "", "{\"retryable\":false,\"enhanced_status\":\"5.7.0\"}", "4.7.0 401", 75, 111 },
	{ 403, "", "", "4.7.0 403", 75, 111 },
	{ 404, "", "{\"retryable\":false,\"enhanced_status\":\"5.1.1\"}", "4.3.5 404", 75, 111 },
	{ 405, "", "", "4.3.5 405", 75, 111 },
	{ 408, "", "", "4.3.2 408", 75, 111 },
	{ 410, "", "", "4.5.0 410", 75, 111 },
	{ 413, "", "", "5.3.4 413", 65, 100 },
	{ 413, "5.3.4", "{\"message\":\"too large\",\"request_id\":\"req_1\"}",
		"5.3.4 413 too large (req_1)", 65, 100 },
	{ 415, "", "", "4.3.5 415", 75, 111 },
	{ 422, "", "{\"retryable\":false,\"enhanced_status\":\"5.6.0\"}", "5.6.0 422", 65, 100 },
	{ 425, "", "", "4.3.2 425", 75, 111 },
	{ 429, "", "{\"retryable\":false,\"enhanced_status\":\"5.7.1\"}", "4.7.1 429", 75, 111 },
	{ 429, "4.7.9", "", "4.7.9 429", 75, 111 },
	{ 500, "", "{\"retryable\":false,\"enhanced_status\":\"5.3.0\"}", "4.3.2 500", 75, 111 },
	{ 500, "4.3.0", "", "4.3.0 500", 75, 111 },
	{ 502, "5.0.0", "", "4.3.2 502", 75, 111 },
	{ 507, "", "", "4.3.1 507", 75, 111 },
	{ 599, "", "", "4.3.2 599", 75, 111 },
};

START_TEST(outcome_is_as_the_contract_has_it)
{
	struct outcome outcome;

	answer.status = rows[_i].status;
	strcpy(answer.enhanced, rows[_i].enhanced);
	buf_puts(&answer.body, rows[_i].body);
	outcome_of_answer(&answer, &outcome);
	ck_assert_msg(strncmp(outcome.line, rows[_i].line, strlen(rows[_i].line)) == 0,
		"%d: \"%s\" instead of \"%s\"", rows[_i].status, outcome.line, rows[_i].line);
	ck_assert_int_eq(outcome_exit_code(&outcome, MTA_POSTFIX), rows[_i].sysexit);
	ck_assert_int_eq(outcome_exit_code(&outcome, MTA_EXIM), rows[_i].sysexit);
	ck_assert_int_eq(outcome_exit_code(&outcome, MTA_QMAIL), rows[_i].qmail);
}
END_TEST

START_TEST(line_of_an_outcome_is_one_printable_line)
{
	struct outcome outcome;

	answer.status = 503;
	buf_puts(&answer.body, "{\"message\":\"a\\r\\n2.0.0 b\\u00e4\"}");
	outcome_of_answer(&answer, &outcome);
	ck_assert_str_eq(outcome.line, "4.3.2 503 a??2.0.0 b??");
}
END_TEST

/* ---- urls ---- */

START_TEST(urls_say_where_and_how)
{
	struct http_target target;
	const char *error;

	ck_assert(http_target_parse("http://mail.example.org:3000", &target, &error));
	ck_assert_int_eq(target.kind, HTTP_TCP);
	ck_assert_str_eq(target.host, "mail.example.org");
	ck_assert_str_eq(target.port, "3000");
	ck_assert_str_eq(target.path, "/mail/inbound");
	ck_assert_str_eq(target.authority, "mail.example.org:3000");
	http_target_free(&target);
	ck_assert(http_target_parse("http://[::1]:8080/email?x=1", &target, &error));
	ck_assert_str_eq(target.host, "::1");
	ck_assert_str_eq(target.port, "8080");
	ck_assert_str_eq(target.path, "/email?x=1");
	http_target_free(&target);
	ck_assert(http_target_parse("https://mail.example.org/", &target, &error));
	ck_assert_int_eq(target.kind, HTTP_TLS);
	ck_assert_str_eq(target.url, "https://mail.example.org/mail/inbound");
	http_target_free(&target);
	ck_assert(http_target_parse("unix:/run/mailserver/http.sock", &target, &error));
	ck_assert_int_eq(target.kind, HTTP_UNIX);
	ck_assert_str_eq(target.socket, "/run/mailserver/http.sock");
	http_target_free(&target);
}
END_TEST

START_TEST(urls_that_cannot_be_meant_are_refused)
{
	static const char *const urls[] = { "", "localhost:3000", "ftp://x/", "http://",
		"http:///email", "http://:3000", "http://x:99999999", "http://x:port",
		"http://[::1", "http://user:pass@x/", "http://x/\r\nX-Evil: 1", "http://x/a b",
		"unix:relative.sock", "unix:",
		"unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct http_target target;

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const char *error = NULL;
		ck_assert_msg(!http_target_parse(urls[i], &target, &error), "%s", urls[i]);
		ck_assert_ptr_nonnull(error);
	}
}
END_TEST

/* ---- options ---- */

static struct deliver_options options;
static char error[256];

static bool parse(int argc, const char *const *argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	optind = 0; /* getopt(3): begin anew */
	free(options.recipients);
	bool is_right = deliver_options_read(argc, copy, &options, error, sizeof(error));
	free(copy);
	return is_right;
}

#define PARSE(...)                                                                                 \
	parse(sizeof((const char *[]){ "deliver", __VA_ARGS__ }) / sizeof(char *),                 \
		(const char *[]){ "deliver", __VA_ARGS__ })

static const char *headers_of(struct buf *headers)
{
	buf_init(headers, 512 * 1024);
	ck_assert_msg(deliver_headers(&options, headers, error, sizeof(error)), "%s", error);
	return headers->base;
}

START_TEST(flags_become_header_fields)
{
	struct buf headers;

	ck_assert(PARSE("--sender", "", "--client-helo", "--help", "--client-address", "192.0.2.1",
		"--client-hostname", "", "--queue-id", "4711", "--recipient", "a@x",
		"--orig-recipient", "o@x", "--", "\"b c\"@x", "--flush@x"));
	ck_assert_str_eq(headers_of(&headers), "X-Original-Orig-Recipient: o@x\r\n"
					       "X-Original-Client-Address: 192.0.2.1\r\n"
					       "X-Original-Helo: --help\r\n"
					       "X-Original-Queue-Id: 4711\r\n"
					       "X-Original-Sender: <>\r\n"
					       "X-Original-Recipient: a@x\r\n"
					       "X-Original-Recipient: \"b c\"@x\r\n"
					       "X-Original-Recipient: --flush@x\r\n");
	buf_deinit(&headers);
}
END_TEST

START_TEST(flags_go_before_the_environment)
{
	setenv("MAIL_DELIVER_URL", "http://env", 1);
	setenv("MAIL_DELIVER_SENDER", "env@x", 1);
	setenv("SENDER", "mta@x", 1);
	setenv("CLIENT_HELO", "mta-helo", 1);
	setenv("MAIL_DELIVER_RECIPIENT", "env-rcpt@x", 1);
	setenv("MAIL_DELIVER_TIMEOUT", "7", 1);
	ck_assert(PARSE("--url", "http://flag"));
	ck_assert_str_eq(options.url, "http://flag");
	ck_assert_str_eq(options.sender, "env@x");
	ck_assert_str_eq(options.client_helo, "mta-helo");
	ck_assert_str_eq(options.recipients[0], "env-rcpt@x");
	ck_assert_int_eq(options.timeout_s, 7);
	ck_assert(PARSE("--timeout", "8", "r@x"));
	ck_assert_str_eq(options.url, "http://env");
	ck_assert_uint_eq(options.recipient_count, 1);
	ck_assert_str_eq(options.recipients[0], "r@x");
	ck_assert_int_eq(options.timeout_s, 8);
}
END_TEST

START_TEST(qmail_and_exim_say_it_in_their_environment)
{
	setenv("SENDER", "#@[]", 1);
	setenv("RECIPIENT", "r@x", 1);
	setenv("MESSAGE_ID", "1r6Abc-0000xx-1A", 1);
	ck_assert(PARSE("--mta", "qmail"));
	ck_assert_str_eq(options.sender, "");
	ck_assert_str_eq(options.recipients[0], "r@x");
	ck_assert_ptr_null(options.queue_id);
	ck_assert(PARSE("--mta", "exim"));
	ck_assert_str_eq(options.queue_id, "1r6Abc-0000xx-1A");
}
END_TEST

START_TEST(wrong_usage_is_said_and_keeps_the_exit_codes)
{
	ck_assert(!PARSE("--nix", "--sender", "s@x", "--mta", "qmail", "r@x"));
	ck_assert_ptr_nonnull(strstr(error, "--nix"));
	ck_assert_int_eq(options.mta, MTA_QMAIL);
	ck_assert(!PARSE("--mta", "sendmail", "--sender", "s@x", "r@x"));
	ck_assert(!PARSE("--timeout", "0", "--sender", "s@x", "r@x"));
	ck_assert(!PARSE("--timeout", "1h", "--sender", "s@x", "r@x"));
	ck_assert(!PARSE("--sender", "s@x"));
	ck_assert_ptr_nonnull(strstr(error, "--recipient"));
	ck_assert(!PARSE("r@x"));
	ck_assert_ptr_nonnull(strstr(error, "--sender"));
	ck_assert(!PARSE("--flush"));
	/* A message must not get lost because an address looks like a flag. */
	ck_assert(!PARSE("--flush", "--spool", "/tmp", "--sender", "s@x", "r@x"));
	ck_assert(!PARSE("r@x", "--sender"));
}
END_TEST

START_TEST(values_that_would_break_a_header_are_refused)
{
	struct buf headers;

	buf_init(&headers, 1024);
	ck_assert(PARSE("--sender", "s@x\r\nX-Evil: 1", "r@x"));
	ck_assert(!deliver_headers(&options, &headers, error, sizeof(error)));
	ck_assert(PARSE("--sender", "s@x", "r@x\n"));
	ck_assert(!deliver_headers(&options, &headers, error, sizeof(error)));
	ck_assert(PARSE("--sender", "s@x", "--client-helo", "a\rb", "r@x"));
	ck_assert(!deliver_headers(&options, &headers, error, sizeof(error)));
	ck_assert(PARSE("--sender", "s@x", ""));
	ck_assert(!deliver_headers(&options, &headers, error, sizeof(error)));
	buf_deinit(&headers);
}
END_TEST

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL)
		n++, text += strlen(what);
	return n;
}

START_TEST(many_recipients_share_a_few_fields)
{
	enum { MANY = 5000 };
	static char text[MANY][32];
	const char *argv[MANY + 5] = { "deliver", "--sender", "s@x", "--" };
	struct buf headers;

	for (int i = 0; i < MANY; i++) {
		snprintf(text[i], sizeof(text[i]), i == 7 ? "\"a, b\"@x" : "r%d@example.org", i);
		argv[4 + i] = text[i];
	}
	ck_assert(parse(4 + MANY, argv));
	ck_assert_uint_eq(options.recipient_count, MANY);
	headers_of(&headers);
	ck_assert_uint_lt(count(headers.base, "\r\n"), 60);
	ck_assert_uint_eq(count(headers.base, "@example.org"), MANY - 1);
	ck_assert_uint_eq(count(headers.base, "X-Original-Recipient: \"a, b\"@x\r\n"), 1);
	buf_deinit(&headers);

	for (int i = 0; i < MANY; i++)
		snprintf(text[i], sizeof(text[i]), "\"%d\"@x", i);
	ck_assert(parse(4 + MANY, argv));
	buf_init(&headers, 512 * 1024);
	ck_assert(!deliver_headers(&options, &headers, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "too many"));
	buf_deinit(&headers);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deliver");
	TCase *answers = tcase_create("answers"), *asked = tcase_create("options");

	tcase_add_checked_fixture(answers, setup, teardown);
	tcase_add_test(answers, answer_is_whole_when_its_length_has_come);
	tcase_add_test(answers, answer_cut_short_is_not_whole_at_the_end);
	tcase_add_test(answers, chunks_are_joined);
	tcase_add_test(answers, interim_responses_are_passed_over);
	tcase_add_test(answers, what_is_not_http_is_said_to_be_bad);
	tcase_add_test(answers, only_sound_enhanced_statuses_are_taken);
	tcase_add_loop_test(answers, outcome_is_as_the_contract_has_it, 0,
		(int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(answers, line_of_an_outcome_is_one_printable_line);
	suite_add_tcase(suite, answers);
	tcase_add_test(asked, urls_say_where_and_how);
	tcase_add_test(asked, urls_that_cannot_be_meant_are_refused);
	tcase_add_test(asked, flags_become_header_fields);
	tcase_add_test(asked, flags_go_before_the_environment);
	tcase_add_test(asked, qmail_and_exim_say_it_in_their_environment);
	tcase_add_test(asked, wrong_usage_is_said_and_keeps_the_exit_codes);
	tcase_add_test(asked, values_that_would_break_a_header_are_refused);
	tcase_add_test(asked, many_recipients_share_a_few_fields);
	suite_add_tcase(suite, asked);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
