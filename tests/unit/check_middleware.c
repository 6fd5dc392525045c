/* SPDX-License-Identifier: MIT */
/* the chain's decisions, without HTTP: routes, request ids, tokens */
#include "middleware/auth.h"
#include "middleware/request_id.h"
#include "middleware/router.h"

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

int main(void)
{
	Suite *suite = suite_create("middleware");
	TCase *tc = tcase_create("middleware");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, patterns_match_whole_paths_and_give_their_arguments);
	tcase_add_test(tc, request_ids_of_others_are_taken_only_when_sane);
	tcase_add_test(tc, tokens_are_known_by_digest_and_hold_scopes);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
