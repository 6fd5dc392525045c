/* SPDX-License-Identifier: MIT */
/* the chain's decisions, without HTTP: routes, request ids, tokens */
#include "middleware/auth.h"
#include "middleware/request_id.h"
#include "middleware/framing.h"
#include "middleware/router.h"
#include "middleware/trace.h"

#include <check.h>
#include <stdlib.h>

START_TEST(patterns_match_whole_paths_and_give_their_arguments)
{
	struct slice args[ROUTE_MAX_ARGS];

	ck_assert(route_matches("/health", slice_str("/health"), args));
	ck_assert(!route_matches("/health", slice_str("/health/"), args));
	ck_assert(!route_matches("/health", slice_str("/healthy"), args));
	ck_assert(!route_matches("/health/live", slice_str("/health"), args));
	ck_assert(route_matches("/api/emails/{id}/raw", slice_str("/api/emails/x-1/raw"), args));
	ck_assert(slice_eq(args[0], slice_str("x-1")));
	ck_assert(!route_matches("/api/emails/{id}", slice_str("/api/emails/"), args));
	ck_assert(!route_matches("/api/emails/{id}", slice_str("/api/emails/a/b"), args));
	ck_assert(route_matches("/e/{id}/p/{n}", slice_str("/e/1/p/22"), args));
	ck_assert(slice_eq(args[1], slice_str("22")));
}
END_TEST

START_TEST(request_ids_of_others_are_taken_only_when_sane)
{
	char longest[130];

	memset(longest, 'a', sizeof(longest));
	ck_assert(request_id_is_sane(slice_str("req_0123.A:z-9")));
	ck_assert(request_id_is_sane((struct slice){ longest, 128 }));
	ck_assert(!request_id_is_sane((struct slice){ longest, 129 }));
	ck_assert(!request_id_is_sane(slice_str("")));
	ck_assert(!request_id_is_sane(slice_str("a b")));
	ck_assert(!request_id_is_sane(slice_str("a\r\nX: y")));
	ck_assert(!request_id_is_sane(slice_str("\xc3\xbc")));
	ck_assert(!request_id_is_sane((struct slice){ "a\0b", 3 }));
}
END_TEST

START_TEST(tokens_are_known_by_digest_and_hold_scopes)
{
	struct auth_token tokens[2] = {
		{ .principal = { .name = "all", .tenant = "default", .scopes = SCOPE_ALL } },
		{ .principal = { .name = "mta", .tenant = "acme", .scopes = SCOPE_INGEST } },
	};
	struct auth auth = { tokens, 2 };
	const struct principal *who = NULL;

	sha256("first-token-0001", 16, tokens[0].sha256);
	sha256("second-token-002", 16, tokens[1].sha256);
	ck_assert_int_eq(auth_check(&auth, slice_str(""), SCOPE_INGEST, &who), AUTH_MISSING);
	ck_assert_int_eq(
		auth_check(&auth, (struct slice){ NULL, 0 }, SCOPE_INGEST, &who), AUTH_MISSING);
	ck_assert_int_eq(auth_check(&auth, slice_str("Bearer"), SCOPE_INGEST, &who), AUTH_INVALID);
	ck_assert_int_eq(auth_check(&auth, slice_str("Bearer "), SCOPE_INGEST, &who), AUTH_INVALID);
	ck_assert_int_eq(auth_check(&auth, slice_str("Bearer first-token-000"), SCOPE_INGEST, &who),
		AUTH_INVALID);
	ck_assert_ptr_null(who);
	ck_assert_int_eq(
		auth_check(&auth, slice_str("Bearer first-token-0001"), SCOPE_READ, &who), AUTH_OK);
	ck_assert_str_eq(who->tenant, "default");
	ck_assert_int_eq(
		auth_check(&auth, slice_str("first-token-0001"), SCOPE_READ, &who), AUTH_OK);
	ck_assert_int_eq(
		auth_check(&auth, slice_str("bearer  second-token-002"), SCOPE_INGEST, &who),
		AUTH_OK);
	ck_assert_str_eq(who->tenant, "acme");
	ck_assert_int_eq(
		auth_check(&auth, slice_str("second-token-002"), SCOPE_READ, &who), AUTH_SCOPE);
}
END_TEST

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

START_TEST(traceparents_are_taken_only_when_well_formed)
{
	static const char *const good[] = { "00-" TRACE "-" PARENT "-01",
		" 00-" TRACE "-" PARENT "-00 ", "cc-" TRACE "-" PARENT "-01-more" };
	static const char *const bad[] = { "", "00-" TRACE "-" PARENT, "ff-" TRACE "-" PARENT "-01",
		"00-" TRACE "-" PARENT "-01-more", "00-" TRACE "-" PARENT "-01x",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" TRACE "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", "00_" TRACE "_" PARENT "_01",
		"0-" TRACE "-" PARENT "-01" };
	struct slice trace, parent;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(
			traceparent_parse(slice_str(good[i]), &trace, &parent), "%s", good[i]);
		ck_assert(slice_eq(trace, SLICE_LIT(TRACE)));
		ck_assert(slice_eq(parent, SLICE_LIT(PARENT)));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!traceparent_parse(slice_str(bad[i]), &trace, &parent), "%s", bad[i]);
	ck_assert(!traceparent_parse((struct slice){ NULL, 0 }, &trace, &parent));
}
END_TEST

START_TEST(heads_that_two_programs_could_read_differently_are_faulty)
{
	static const struct {
		const char *fields, *fault;
	} cases[] = {
		{ "Host: x\r\nContent-Length: 5\r\n", NULL },
		{ "Transfer-Encoding: chunked\r\n", NULL },
		{ "X-Content-Length: 5\r\nContent-Lengthy: 6\r\nContent-Length: 5\r\n", NULL },
		{ "Content-Length: 5\r\ncontent-length: 6\r\n", "Content-Length" },
		{ "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length" },
		{ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "beside" },
		{ "Transfer-Encoding: chunked\r\nTRANSFER-ENCODING: chunked\r\n", "Transfer" },
		{ "X: a\r\n b\r\n", "folded" },
		{ "X: a\r\n\tContent-Length: 5\r\n", "folded" },
		{ "X: a\nContent-Length: 5\r\n", "bare LF" },
		{ "X: a\rContent-Length: 5\r\n", "bare CR" },
	};
	char head[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(head, sizeof(head), "POST / HTTP/1.1\r\n%s\r\n", cases[i].fields);
		const char *fault = framing_fault(slice_str(head));
		if (cases[i].fault == NULL)
			ck_assert_msg(fault == NULL, "%s: %s", head, fault);
		else
			ck_assert_msg(
				fault != NULL && strstr(fault, cases[i].fault) != NULL, "%s", head);
	}
	/* What follows the head is none of its business. */
	ck_assert_ptr_null(framing_fault(slice_str("GET / HTTP/1.1\r\n\r\na\n b\n")));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("middleware");
	TCase *tc = tcase_create("middleware");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, patterns_match_whole_paths_and_give_their_arguments);
	tcase_add_test(tc, request_ids_of_others_are_taken_only_when_sane);
	tcase_add_test(tc, tokens_are_known_by_digest_and_hold_scopes);
	tcase_add_test(tc, traceparents_are_taken_only_when_well_formed);
	tcase_add_test(tc, heads_that_two_programs_could_read_differently_are_faulty);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
