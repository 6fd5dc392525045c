/* SPDX-License-Identifier: MIT */
/* the token bucket, on a clock of its own */
#include "lib/bucket.h"

#include <check.h>
#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)
#define YEAR_NS   (UINT64_C(365) * 24 * 60 * MINUTE_NS)

static struct bucket b;
static uint64_t retry_ns;

static void begin(uint32_t per_minute, uint32_t burst, uint64_t now_ns)
{
	bucket_init(&b, (struct bucket_rate){ per_minute, burst }, now_ns);
	retry_ns = 0;
}

/* How many single tokens are to be had at that moment. */
static unsigned drain(uint64_t now_ns)
{
	unsigned taken = 0;

	while (bucket_take(&b, now_ns, 1, &retry_ns) == BUCKET_TAKEN)
		taken++;
	return taken;
}

START_TEST(burst_is_exact)
{
	begin(60, 10, 5);
	ck_assert_uint_eq(bucket_tokens(&b, 5), 10);
	ck_assert_uint_eq(drain(5), 10);
	ck_assert_uint_eq(bucket_tokens(&b, 5), 0);
}
END_TEST

START_TEST(token_is_there_after_the_time_it_said_and_not_a_nanosecond_sooner)
{
	static const uint32_t rates[] = { 1, 7, 60, 6000, 999983, UINT32_MAX };

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		uint64_t now_ns = 1000;
		begin(rates[i], 3, now_ns);
		drain(now_ns);
		for (int n = 0; n < 100; n++) {
			uint64_t wait_ns = retry_ns;
			ck_assert_uint_gt(wait_ns, 0);
			ck_assert_int_eq(
				bucket_take(&b, now_ns + wait_ns - 1, 1, &retry_ns), BUCKET_EMPTY);
			ck_assert_uint_eq(retry_ns, 1);
			now_ns += wait_ns;
			ck_assert_int_eq(bucket_take(&b, now_ns, 1, &retry_ns), BUCKET_TAKEN);
			ck_assert_int_eq(bucket_take(&b, now_ns, 1, &retry_ns), BUCKET_EMPTY);
		}
	}
}
END_TEST

START_TEST(steady_rate_is_exact_to_one_token)
{
	uint64_t taken = 0;

	begin(7, 2, 0); /* of one token the fraction would have no room */
	drain(0);
	/* Steps that no whole token fits, for a day. */
	for (uint64_t now_ns = 0; now_ns <= 24 * 60 * MINUTE_NS; now_ns += 777 * 1000003)
		taken += drain(now_ns);
	ck_assert_uint_le(taken, 7 * 24 * 60);
	ck_assert_uint_ge(taken, 7 * 24 * 60 - 1);
}
END_TEST

START_TEST(nothing_drifts_in_a_hundred_years)
{
	uint64_t wait_ns = 0, now_ns = 0, taken = 0;

	/* Near the end of a century, and with the rate that divides a minute worst. */
	begin(7, 2, 0);
	now_ns = 100 * YEAR_NS;
	ck_assert_uint_eq(drain(now_ns), 2);
	uint64_t began_ns = now_ns;
	for (taken = 0; taken < 700; taken++) {
		wait_ns = retry_ns;
		now_ns += wait_ns;
		ck_assert_int_eq(bucket_take(&b, now_ns, 1, &retry_ns), BUCKET_TAKEN);
		ck_assert_int_eq(bucket_take(&b, now_ns, 1, &retry_ns), BUCKET_EMPTY);
	}
	ck_assert_uint_eq(now_ns - began_ns, 100 * MINUTE_NS);
}
END_TEST

START_TEST(years_of_rest_fill_it_and_no_more)
{
	begin(UINT32_MAX, UINT32_MAX, 0);
	ck_assert_int_eq(bucket_take(&b, 0, UINT32_MAX, &retry_ns), BUCKET_TAKEN);
	ck_assert_uint_eq(bucket_tokens(&b, 500 * YEAR_NS), UINT32_MAX);
	begin(1, UINT32_MAX, 0);
	bucket_take(&b, 0, UINT32_MAX, &retry_ns);
	ck_assert_uint_eq(bucket_tokens(&b, 100 * MINUTE_NS), 100);
	ck_assert_uint_eq(bucket_until(&b, 0, UINT32_MAX), UINT64_MAX); /* 8,000 years */
	begin(60, 10, 0);
	drain(0);
	ck_assert_uint_eq(drain(100 * YEAR_NS), 10);
}
END_TEST

START_TEST(clock_that_stands_still_earns_nothing)
{
	begin(6000, 5, SECOND_NS);
	drain(SECOND_NS);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(drain(SECOND_NS), 0);
}
END_TEST

START_TEST(clock_that_goes_back_and_forth_earns_what_it_would_have_going_straight)
{
	begin(60, 100, 10 * SECOND_NS);
	drain(10 * SECOND_NS);
	ck_assert_uint_eq(drain(12 * SECOND_NS), 2);
	ck_assert_uint_eq(drain(3 * SECOND_NS), 0);
	ck_assert_uint_eq(retry_ns, 10 * SECOND_NS);
	ck_assert_uint_eq(drain(12 * SECOND_NS), 0);
	ck_assert_uint_eq(drain(15 * SECOND_NS), 3);
}
END_TEST

START_TEST(several_are_taken_all_or_none)
{
	begin(60, 10, 0);
	ck_assert_int_eq(bucket_take(&b, 0, 8, &retry_ns), BUCKET_TAKEN);
	ck_assert_int_eq(bucket_take(&b, 0, 5, &retry_ns), BUCKET_EMPTY);
	ck_assert_uint_eq(retry_ns, 3 * SECOND_NS);
	ck_assert_uint_eq(bucket_tokens(&b, 0), 2);
	ck_assert_int_eq(bucket_take(&b, 0, 11, &retry_ns), BUCKET_NEVER);
	ck_assert_uint_eq(bucket_tokens(&b, 0), 2);
	ck_assert_uint_eq(bucket_until(&b, 0, 10), 8 * SECOND_NS);
}
END_TEST

START_TEST(new_rate_keeps_what_fits)
{
	begin(60, 100, 0);
	bucket_take(&b, 0, 50, &retry_ns);
	bucket_set_rate(&b, (struct bucket_rate){ 120, 10 }, 0);
	ck_assert_uint_eq(drain(0), 10);
	ck_assert_uint_eq(drain(SECOND_NS), 2);
	bucket_set_rate(&b, (struct bucket_rate){ 60, 100 }, SECOND_NS);
	ck_assert_uint_eq(drain(2 * SECOND_NS), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bucket");
	TCase *tc = tcase_create("bucket");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, burst_is_exact);
	tcase_add_test(tc, token_is_there_after_the_time_it_said_and_not_a_nanosecond_sooner);
	tcase_add_test(tc, steady_rate_is_exact_to_one_token);
	tcase_add_test(tc, nothing_drifts_in_a_hundred_years);
	tcase_add_test(tc, years_of_rest_fill_it_and_no_more);
	tcase_add_test(tc, clock_that_stands_still_earns_nothing);
	tcase_add_test(tc, clock_that_goes_back_and_forth_earns_what_it_would_have_going_straight);
	tcase_add_test(tc, several_are_taken_all_or_none);
	tcase_add_test(tc, new_rate_keeps_what_fits);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
