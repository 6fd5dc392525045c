/* SPDX-License-Identifier: MIT */
/* the PROXY protocol's line */
#include "lib/cidr.h"
#include "lib/proxy_line.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>

static enum proxy_line_verdict parse(const char *text, struct proxy_line *line_r)
{
	return proxy_line_parse(slice_str(text), line_r);
}

START_TEST(a_line_tells_who_connected)
{
	struct proxy_line line;
	char text[IP_TEXT];
	struct ip ip;

	ck_assert_int_eq(
		parse("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n", &line),
		PROXY_LINE_WHOLE);
	ck_assert_uint_eq(line.len, 45);
	ck_assert_uint_eq(line.source_len, sizeof(struct sockaddr_in));
	ck_assert(ip_of_sockaddr((struct sockaddr *)&line.source, &ip));
	ip_format(&ip, text);
	ck_assert_str_eq(text, "192.0.2.1");
	ck_assert_uint_eq(ntohs(((struct sockaddr_in *)&line.source)->sin_port), 56324);
	ck_assert_int_eq(parse("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", &line), PROXY_LINE_WHOLE);
	ck_assert(ip_of_sockaddr((struct sockaddr *)&line.source, &ip));
	ip_format(&ip, text);
	ck_assert_str_eq(text, "2001:db8::1");
}
END_TEST

START_TEST(unknown_tells_nobody)
{
	struct proxy_line line = { .source_len = 1 };

	ck_assert_int_eq(parse("PROXY UNKNOWN\r\n", &line), PROXY_LINE_WHOLE);
	ck_assert_uint_eq(line.len, 15);
	ck_assert_uint_eq(line.source_len, 0);
	ck_assert_int_eq(parse("PROXY UNKNOWN ffff:: ::1 1 2\r\n", &line), PROXY_LINE_WHOLE);
	ck_assert_uint_eq(line.source_len, 0);
}
END_TEST

START_TEST(every_beginning_of_a_line_waits_for_more)
{
	static const char whole[] = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
	struct proxy_line line;

	for (size_t len = 0; len < sizeof(whole) - 1; len++)
		ck_assert_int_eq(
			proxy_line_parse((struct slice){ whole, len }, &line), PROXY_LINE_PART);
}
END_TEST

START_TEST(what_is_no_line_is_told_at_once)
{
	static const char *const cases[] = { "GET ", "P ", "PROXY\r\n", "PROXY \r\n",
		"PROXY TCP4\r\n", "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
		"PROXY TCP4 ::1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 ::1 1 1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
		"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
		"PROXY UNKNOWNS\r\n", "\r\n" };
	struct proxy_line line;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(parse(cases[i], &line) == PROXY_LINE_BROKEN, "%s", cases[i]);
}
END_TEST

START_TEST(a_line_has_at_most_107_bytes)
{
	char text[200] = "PROXY UNKNOWN ";
	struct proxy_line line;

	memset(text + 14, 'x', sizeof(text) - 14);
	ck_assert_int_eq(proxy_line_parse((struct slice){ text, 106 }, &line), PROXY_LINE_PART);
	ck_assert_int_eq(proxy_line_parse((struct slice){ text, 107 }, &line), PROXY_LINE_BROKEN);
	memcpy(text + 105, "\r\n", 2);
	ck_assert_int_eq(proxy_line_parse((struct slice){ text, 200 }, &line), PROXY_LINE_WHOLE);
	memcpy(text + 105, "x\r\n", 3);
	ck_assert_int_eq(proxy_line_parse((struct slice){ text, 200 }, &line), PROXY_LINE_BROKEN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proxy_line");
	TCase *tc = tcase_create("proxy_line");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, a_line_tells_who_connected);
	tcase_add_test(tc, unknown_tells_nobody);
	tcase_add_test(tc, every_beginning_of_a_line_waits_for_more);
	tcase_add_test(tc, what_is_no_line_is_told_at_once);
	tcase_add_test(tc, a_line_has_at_most_107_bytes);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
