/* SPDX-License-Identifier: MIT */
/* the limits' decisions, without HTTP and without Redis */
#include "cmd/mailserver/server/in_flight.h"
#include "lib/redis/url.h"
#include "middleware/rate_limit.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

static struct arena *arena;
static struct redis_url url;

static void setup(void)
{
	arena = arena_new();
}

static void teardown(void)
{
	arena_free(&arena);
}

START_TEST(redis_url_says_where_and_how)
{
	ck_assert(redis_url_parse(arena, "redis://db.example.com", &url));
	ck_assert_str_eq(url.host, "db.example.com");
	ck_assert_uint_eq(url.port, 6379);
	ck_assert_uint_eq(url.db, 0);
	ck_assert_ptr_null(url.user);
	ck_assert_ptr_null(url.password);
	ck_assert_ptr_null(url.path);
	ck_assert(redis_url_parse(arena, "redis://m%40il:s%3A%2Fcret@[::1]:7000/12", &url));
	ck_assert_str_eq(url.user, "m@il");
	ck_assert_str_eq(url.password, "s:/cret");
	ck_assert_str_eq(url.host, "::1");
	ck_assert_uint_eq(url.port, 7000);
	ck_assert_uint_eq(url.db, 12);
	ck_assert(redis_url_parse(arena, "redis://:p@ss@10.0.0.1/", &url));
	ck_assert_ptr_null(url.user);
	ck_assert_str_eq(url.password, "p@ss");
	ck_assert_str_eq(url.host, "10.0.0.1");
	ck_assert(redis_url_parse(arena, "unix:/run/redis/redis.sock", &url));
	ck_assert_str_eq(url.path, "/run/redis/redis.sock");
}
END_TEST

START_TEST(what_is_no_redis_url_is_refused)
{
	static const char *const wrong[] = { "", "redis://", "http://host", "redis:host",
		"unix:run", "redis://host:", "redis://host:0", "redis://host:65536",
		"redis://host:port", "redis://host/x", "redis://host/-1",
		"redis://host/99999999999", "redis://user@host", "redis://:a%2@host",
		"redis://:a%@host", "redis://:a%zz@host", "redis://:a%00@host", "redis://:a@",
		"redis://[::1", "redis://[::1]x", "redis://[]:6379", "redis://:6379" };

	url.db = 77;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!redis_url_parse(arena, wrong[i], &url), "%s", wrong[i]);
	ck_assert_uint_eq(url.db, 77);
}
END_TEST

START_TEST(wrong_tokens_are_counted_by_address_or_network)
{
	static const struct {
		const char *one, *other;
		bool together;
	} cases[] = {
		{ "192.0.2.1", "::ffff:192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "2001:db8::1", "2001:db8::ffff:1", true },
		{ "2001:db8::1", "2001:db8:0:1::1", false },
	};
	char a[AUTH_LIMIT_MAX_NAME], b[AUTH_LIMIT_MAX_NAME];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(slice_eq(auth_limit_name(cases[i].one, a),
				      auth_limit_name(cases[i].other, b)) == cases[i].together,
			"%s, %s", cases[i].one, cases[i].other);
	ck_assert_uint_eq(auth_limit_name("unix", a).len, 0);
	ck_assert_uint_eq(auth_limit_name("unknown", a).len, 0);
}
END_TEST

START_TEST(what_is_in_flight_is_capped_and_given_back)
{
	struct in_flight f = { .max_messages = 2, .max_bytes = 100 };

	ck_assert(in_flight_begin(&f, 60));
	ck_assert(!in_flight_begin(&f, 41));
	ck_assert(in_flight_begin(&f, 40));
	ck_assert(!in_flight_begin(&f, 0));
	in_flight_end(&f, 60);
	ck_assert(!in_flight_begin(&f, 61));
	in_flight_end(&f, 40);
	ck_assert(in_flight_begin(&f, 5000)); /* alone, any message fits */
	ck_assert(!in_flight_begin(&f, 1));
	in_flight_end(&f, 5000);
	ck_assert_uint_eq(f.messages, 0);
	ck_assert_uint_eq(f.bytes, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rate_limit");
	TCase *tc = tcase_create("rate_limit");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, redis_url_says_where_and_how);
	tcase_add_test(tc, what_is_no_redis_url_is_refused);
	tcase_add_test(tc, wrong_tokens_are_counted_by_address_or_network);
	tcase_add_test(tc, what_is_in_flight_is_capped_and_given_back);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
