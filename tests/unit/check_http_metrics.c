/* SPDX-License-Identifier: MIT */
/* what a request is counted as, without HTTP */
#include "middleware/metrics.h"

#include <check.h>

static void nothing(struct request *r) {}

static const struct route routes[] = {
	{ "POST", "/mail", SCOPE_INGEST, nothing },
	{ "GET", "/mails/{id}", SCOPE_READ, nothing },
	{ "DELETE", "/mails/{id}", SCOPE_ADMIN, nothing },
	{ "GET", "/health", SCOPE_NONE, nothing },
	{ .pattern = NULL },
};

static struct metrics *metrics;
static struct http_metrics http;

static void begin(void)
{
	metrics = metrics_new("");
	http_metrics_init(&http, metrics, routes);
}

static void end(void)
{
	metrics_free(&metrics);
	http_metrics_deinit(&http);
}

static const char *endpoint_name(const char *method, const char *path, const struct route **route_r)
{
	*route_r = NULL;
	return http.endpoint_names[metrics_endpoint(
		&http, slice_str(method), slice_str(path), route_r)];
}

START_TEST(endpoints_are_patterns_and_never_paths)
{
	const struct route *route;

	ck_assert_str_eq(endpoint_name("GET", "/mails/7", &route), "/mails/{id}");
	ck_assert_ptr_eq(route, &routes[1]);
	ck_assert_str_eq(endpoint_name("HEAD", "/mails/7", &route), "/mails/{id}");
	ck_assert_ptr_eq(route, &routes[1]);
	ck_assert_str_eq(endpoint_name("DELETE", "/mails/7", &route), "/mails/{id}");
	ck_assert_ptr_eq(route, &routes[2]);
	ck_assert_str_eq(endpoint_name("PATCH", "/mails/7", &route), "/mails/{id}");
	ck_assert_ptr_null(route);
	ck_assert_str_eq(endpoint_name("GET", "/mails/7/8", &route), "none");
	ck_assert_ptr_null(route);
	route = &routes[3];
	ck_assert_uint_eq(metrics_endpoint(&http, slice_str("GET"), slice_str("/x"), &route),
		http.endpoints[3]);
	ck_assert_uint_eq(http.endpoints[1], http.endpoints[2]);
}
END_TEST

START_TEST(unknown_methods_and_statuses_are_other)
{
	ck_assert_uint_eq(metrics_method(slice_str("GET")), 0);
	ck_assert_uint_eq(metrics_method(slice_str("DELETE")), 4);
	ck_assert_uint_eq(metrics_method(slice_str("get")), 5);
	ck_assert_uint_eq(metrics_method(slice_str("BREW")), 5);
	ck_assert_uint_eq(metrics_method(slice_str("")), 5);
	ck_assert_uint_eq(metrics_status(200), 0);
	ck_assert_uint_ne(metrics_status(507), metrics_status(418));
	ck_assert_uint_eq(metrics_status(0), metrics_status(418));
}
END_TEST

START_TEST(mail_is_counted_by_what_its_sender_was_told)
{
	static const struct {
		int status;
		bool duplicate;
		enum mail_outcome outcome;
	} cases[] = {
		{ 200, false, MAIL_SUCCESS },
		{ 204, false, MAIL_SUCCESS },
		{ 200, true, MAIL_DUPLICATE },
		{ 204, true, MAIL_DUPLICATE },
		{ 400, false, MAIL_REJECTED },
		{ 413, false, MAIL_REJECTED },
		{ 415, false, MAIL_REJECTED },
		{ 401, false, MAIL_NONE },
		{ 403, false, MAIL_NONE },
		{ 429, false, MAIL_NONE },
		{ 500, false, MAIL_ERROR },
		{ 503, false, MAIL_ERROR },
		{ 507, false, MAIL_ERROR },
		{ 0, false, MAIL_NONE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(mail_outcome(&routes[0], cases[i].status, cases[i].duplicate),
			cases[i].outcome);
	ck_assert_int_eq(mail_outcome(&routes[1], 200, false), MAIL_NONE);
	ck_assert_int_eq(mail_outcome(&routes[3], 503, false), MAIL_NONE);
	ck_assert_int_eq(mail_outcome(NULL, 404, false), MAIL_NONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_metrics");
	TCase *tc = tcase_create("http_metrics");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, endpoints_are_patterns_and_never_paths);
	tcase_add_test(tc, unknown_methods_and_statuses_are_other);
	tcase_add_test(tc, mail_is_counted_by_what_its_sender_was_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
