/* SPDX-License-Identifier: MIT */
/* buckets by name: bounded, and shared by threads */
#include "lib/keyed.h"
#include "lib/limiter.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)

enum { BUCKETS = 64, THREADS = 4, ASKS = 100000, SHARED_BURST = 250000 };

static struct limiter *limiter;
static const struct bucket_rate rate = { 60, 10 };

static void setup(void)
{
	limiter = limiter_new(BUCKETS);
}

static void teardown(void)
{
	limiter_free(&limiter);
}

static struct slice numbered(char *text, size_t size, unsigned i)
{
	return (struct slice){ text, (size_t)snprintf(text, size, "name %u", i) };
}

START_TEST(each_name_has_its_own_bucket)
{
	struct bucket_state state;

	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(
			limiter_take(limiter, slice_str("a"), rate, 0, 1, &state), BUCKET_TAKEN);
	ck_assert_uint_eq(state.tokens, 0);
	ck_assert_uint_eq(state.full_ns, 10 * SECOND_NS);
	ck_assert_int_eq(limiter_take(limiter, slice_str("a"), rate, 0, 1, &state), BUCKET_EMPTY);
	ck_assert_uint_eq(state.retry_ns, SECOND_NS);
	ck_assert_uint_eq(state.per_minute, 60);
	ck_assert_int_eq(limiter_take(limiter, slice_str("b"), rate, 0, 1, &state), BUCKET_TAKEN);
	ck_assert_uint_eq(state.tokens, 9);
}
END_TEST

START_TEST(names_of_any_length_are_told_apart)
{
	char a[300], b[300];
	struct bucket_state state;

	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	b[299] = 'y';
	limiter_take(limiter, (struct slice){ a, sizeof(a) }, rate, 0, 10, &state);
	limiter_take(limiter, (struct slice){ b, sizeof(b) }, rate, 0, 1, &state);
	ck_assert_uint_eq(state.tokens, 9);
	limiter_take(limiter, (struct slice){ a, 64 }, rate, 0, 1, &state);
	ck_assert_uint_eq(state.tokens, 9);
	state = limiter_look(limiter, (struct slice){ a, sizeof(a) }, rate, 0);
	ck_assert_uint_eq(state.tokens, 0);
}
END_TEST

START_TEST(looking_takes_nothing)
{
	struct bucket_state state;

	for (int i = 0; i < 20; i++)
		ck_assert_uint_eq(limiter_look(limiter, slice_str("a"), rate, 0).tokens, 10);
	limiter_take(limiter, slice_str("a"), rate, 0, 10, &state);
	state = limiter_look(limiter, slice_str("a"), rate, SECOND_NS / 2);
	ck_assert_uint_eq(state.tokens, 0);
	ck_assert_uint_eq(state.retry_ns, SECOND_NS / 2);
	ck_assert_uint_eq(limiter_look(limiter, slice_str("a"), rate, SECOND_NS).tokens, 1);
}
END_TEST

START_TEST(new_rate_holds_at_once)
{
	struct bucket_state state;

	limiter_take(limiter, slice_str("a"), rate, 0, 1, &state);
	limiter_take(limiter, slice_str("a"), (struct bucket_rate){ 120, 3 }, 0, 1, &state);
	ck_assert_uint_eq(state.tokens, 2);
	ck_assert_uint_eq(state.per_minute, 120);
}
END_TEST

/* However many names there are, whoever is at his limit stays there: others' full buckets go. */
START_TEST(flood_of_names_does_not_free_who_is_limited)
{
	struct bucket_state state;
	char text[32];

	limiter_take(limiter, slice_str("limited"), rate, 0, 10, &state);
	for (unsigned i = 0; i < 100 * BUCKETS; i++)
		limiter_take(limiter, numbered(text, sizeof(text), i), rate, 0, 0, &state);
	state = limiter_look(limiter, slice_str("limited"), rate, 0);
	ck_assert_uint_eq(state.tokens, 0);
}
END_TEST

START_TEST(oldest_goes_when_none_is_full)
{
	struct bucket_state state;
	char text[32];

	limiter_take(limiter, slice_str("oldest"), rate, 0, 10, &state);
	for (unsigned i = 0; i < 100 * BUCKETS; i++)
		limiter_take(limiter, numbered(text, sizeof(text), i), rate, 0, 10, &state);
	ck_assert_uint_eq(limiter_look(limiter, slice_str("oldest"), rate, 0).tokens, 10);
	/* And the newest is there. */
	ck_assert_uint_eq(
		limiter_look(limiter, numbered(text, sizeof(text), 100 * BUCKETS - 1), rate, 0)
			.tokens,
		0);
}
END_TEST

struct asker {
	pthread_t thread;
	pthread_barrier_t *together;
	unsigned taken;
};

static void *ask(void *arg)
{
	struct asker *asker = arg;
	struct bucket_state state;
	char text[32];

	pthread_barrier_wait(asker->together);
	for (unsigned i = 0; i < ASKS; i++)
		if (limiter_take(limiter, slice_str("shared"),
			    (struct bucket_rate){ 1, SHARED_BURST }, 0, 1, &state) == BUCKET_TAKEN)
			asker->taken++;
	pthread_barrier_wait(asker->together);
	/* And names that come and go, so that tables change under each other. */
	for (unsigned i = 0; i < ASKS / 10; i++)
		limiter_take(limiter, numbered(text, sizeof(text), i % 500), rate, i, 1, &state);
	return NULL;
}

START_TEST(threads_share_a_bucket_exactly)
{
	struct asker askers[THREADS];
	pthread_barrier_t together;
	unsigned taken = 0;

	pthread_barrier_init(&together, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		askers[i] = (struct asker){ .together = &together };
		pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(askers[i].thread, NULL);
		taken += askers[i].taken;
	}
	pthread_barrier_destroy(&together);
	ck_assert_uint_eq(taken, SHARED_BURST);
}
END_TEST

static enum keyed_worth held(const void *entry, void *data)
{
	return *(const int *)entry == 1 ? KEYED_HELD : KEYED_USED;
}

START_TEST(held_entries_stay)
{
	struct keyed *k = keyed_new(3, sizeof(int), held);
	int *first = keyed_add(k, slice_str("a"), NULL);

	*first = 1;
	keyed_add(k, slice_str("b"), NULL);
	keyed_add(k, slice_str("c"), NULL);
	ck_assert_ptr_nonnull(keyed_add(k, slice_str("d"), NULL));
	ck_assert_ptr_eq(keyed_find(k, slice_str("a")), first);
	ck_assert_ptr_null(keyed_find(k, slice_str("b")));
	*(int *)keyed_find(k, slice_str("c")) = 1;
	*(int *)keyed_find(k, slice_str("d")) = 1;
	ck_assert_ptr_null(keyed_add(k, slice_str("e"), NULL));
	keyed_free(&k);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limiter");
	TCase *tc = tcase_create("limiter");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_name_has_its_own_bucket);
	tcase_add_test(tc, names_of_any_length_are_told_apart);
	tcase_add_test(tc, looking_takes_nothing);
	tcase_add_test(tc, new_rate_holds_at_once);
	tcase_add_test(tc, flood_of_names_does_not_free_who_is_limited);
	tcase_add_test(tc, oldest_goes_when_none_is_full);
	tcase_add_test(tc, threads_share_a_bucket_exactly);
	tcase_add_test(tc, held_entries_stay);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
