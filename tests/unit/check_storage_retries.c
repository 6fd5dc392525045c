/* SPDX-License-Identifier: MIT */
/* What storage.h promises of the same message again, run over every driver. */
#include "tests/unit/storage_looks.h"
#include "tests/unit/storage_suites.h"

#include <pthread.h>
#include <stdlib.h>

/* h2o keeps a few buffers for every thread that ran a loop, and a thread that ends leaves them. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:h2o_mem_alloc_recycle";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

START_TEST(retry_is_duplicate_with_first_id)
{
	struct sample *first = sample_new(), *retry = sample_retry_of(first);

	put_ok(first);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_mem_eq(&retry->put.id, &first->message.id, sizeof(retry->put.id));
	ck_assert_result(get("default", retry->message.id, NULL, NULL), STORAGE_NOT_FOUND);
	assert_kept(first);
	free(retry);
	free(first);
}
END_TEST

START_TEST(retry_of_large_message_is_duplicate_with_first_id)
{
	struct sample *first = sample_new(), *other = sample_new();
	char *bytes = samples_enlarge(first, 1, LARGE_BYTES);
	struct sample *retry = sample_retry_of(first);

	put_ok(first);
	ck_assert_result(put(retry), STORAGE_DUPLICATE);
	ck_assert_mem_eq(&retry->put.id, &first->message.id, sizeof(retry->put.id));
	ck_assert_result(raw("default", retry->message.id, NULL), STORAGE_NOT_FOUND);
	put_ok(other);
	world_reopen();
	assert_kept(first);
	assert_kept(other);
	free(retry);
	free(other);
	free(first);
	free(bytes);
}
END_TEST

START_TEST(same_key_of_another_tenant_is_no_duplicate)
{
	struct sample *first = sample_new(), *theirs = sample_retry_of(first);

	theirs->message.tenant = "other";
	put_ok(first);
	put_ok(theirs);
	assert_kept(first);
	assert_kept(theirs);
	free(theirs);
	free(first);
}
END_TEST

START_TEST(same_key_twice_at_once_is_kept_once)
{
	struct sample *a = sample_new(), *b = sample_retry_of(a);

	put_begin(world.store, a);
	put_begin(world.store, b);
	wait_for_all(a, 1);
	wait_for_all(b, 1);
	struct sample *kept = a->result == STORAGE_OK ? a : b;
	struct sample *other = kept == a ? b : a;
	ck_assert_result(kept->result, STORAGE_OK);
	ck_assert_result(other->result, STORAGE_DUPLICATE);
	ck_assert_mem_eq(&a->put.id, &b->put.id, sizeof(a->put.id));
	ck_assert_mem_eq(&a->put.id, &kept->message.id, sizeof(a->put.id));
	assert_kept(kept);
	free(b);
	free(a);
}
END_TEST

enum { WORKERS = 4, PUTS_EACH = 8 };

struct worker {
	pthread_t thread;
	struct sample *puts[PUTS_EACH];
	bool all_answered;
};

/* As a worker of the server does: a loop and a store of its own. */
static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct loop *loop = loop_new();
	struct storage *store = store_open_on(loop);

	for (size_t i = 0; i < PUTS_EACH; i++)
		put_begin(store, w->puts[i]);
	w->all_answered = true;
	for (size_t i = 0; i < PUTS_EACH; i++)
		w->all_answered &= run_until(loop, &w->puts[i]->answered);
	storage_close(&store);
	loop_free(&loop);
	return NULL;
}

static void run_workers(struct worker *workers)
{
	for (size_t i = 0; i < WORKERS; i++)
		ck_assert_int_eq(
			pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
}

/* All of them put `first`, each time under another id. */
static void put_from_many_workers(const struct sample *first)
{
	struct worker workers[WORKERS] = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < WORKERS * PUTS_EACH; i++)
		workers[i % WORKERS].puts[i / WORKERS] = sample_retry_of(first);
	run_workers(workers);
	struct uuid id = workers[0].puts[0]->put.id;
	for (size_t i = 0; i < WORKERS * PUTS_EACH; i++) {
		struct sample *s = workers[i % WORKERS].puts[i / WORKERS];
		ck_assert(s->answered);
		ck_assert_mem_eq(&s->put.id, &id, sizeof(id));
		kept += s->result == STORAGE_OK;
		if (s->result != STORAGE_OK)
			ck_assert_result(s->result, STORAGE_DUPLICATE);
		else
			assert_kept(s);
		free(s);
	}
	ck_assert_uint_eq(kept, 1);
}

START_TEST(same_key_from_many_workers_is_kept_once)
{
	struct sample *first = sample_new();

	put_from_many_workers(first);
	free(first);
}
END_TEST

START_TEST(same_large_message_from_many_workers_is_kept_once)
{
	struct sample *first = sample_new();
	char *bytes = samples_enlarge(first, 1, LARGE_BYTES);

	put_from_many_workers(first);
	free(first);
	free(bytes);
}
END_TEST

/* Batches of two connections that hold the same keys in opposite order must not block each other. */
START_TEST(same_keys_in_opposite_order_are_each_kept_once)
{
	struct worker workers[WORKERS] = { 0 };
	struct sample *firsts = samples_new(PUTS_EACH);
	size_t kept = 0;

	for (size_t w = 0; w < WORKERS; w++)
		for (size_t i = 0; i < PUTS_EACH; i++)
			workers[w].puts[i] = sample_retry_of(
				&firsts[w % 2 == 0 ? i : PUTS_EACH - 1 - i]);
	run_workers(workers);
	for (size_t w = 0; w < WORKERS; w++) {
		ck_assert(workers[w].all_answered);
		for (size_t i = 0; i < PUTS_EACH; i++) {
			struct sample *s = workers[w].puts[i];
			kept += s->result == STORAGE_OK;
			if (s->result != STORAGE_OK)
				ck_assert_result(s->result, STORAGE_DUPLICATE);
			free(s);
		}
	}
	ck_assert_uint_eq(kept, PUTS_EACH);
	free(firsts);
}
END_TEST

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *tc = storage_tcase(suite, backend, 60);

	tcase_add_test(tc, retry_is_duplicate_with_first_id);
	tcase_add_test(tc, retry_of_large_message_is_duplicate_with_first_id);
	tcase_add_test(tc, same_key_of_another_tenant_is_no_duplicate);
	tcase_add_test(tc, same_key_twice_at_once_is_kept_once);
	tcase_add_test(tc, same_key_from_many_workers_is_kept_once);
	tcase_add_test(tc, same_large_message_from_many_workers_is_kept_once);
	tcase_add_test(tc, same_keys_in_opposite_order_are_each_kept_once);
}

int main(void)
{
	return storage_suites_run(fill);
}
