/* SPDX-License-Identifier: MIT */
/* parse_pool: every job is answered once, on its loop, whatever the parser does */
#include "lib/parse_pool.h"
#include "lib/parse_pool_internal.h"

#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 20000, JOBS = 200 };

#ifdef __SANITIZE_THREAD__
enum { SANITIZER_THREADS = 1 }; /* started with a program's first thread */
#else
enum { SANITIZER_THREADS = 0 };
#endif

/* A parser that takes as long as the test wants: messages that begin with "stay" do not return while
 * `held`, burning CPU or sleeping. It keeps GMime and OpenSSL out: what the sanitizers say is then
 * about the pool. */
static atomic_bool held, burning;
static atomic_int inside, parsed;

static struct mime_message *slow_parse(
	const char *raw, size_t len, const struct mime_limits *limits)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	atomic_fetch_add(&inside, 1);
	while (len >= 4 && memcmp(raw, "stay", 4) == 0 && atomic_load(&held)) {
		if (!atomic_load(&burning))
			nanosleep(&nap, NULL);
	}
	struct mime_message *m = mime_unparsed("read");
	m->subject = arena_strndup(m->arena, raw, len); /* what it got to see */
	atomic_fetch_add(&parsed, 1);
	atomic_fetch_sub(&inside, 1);
	return m;
}

static size_t thread_count(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/task");

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static struct loop *loop;
static struct loop_mailbox box;
static size_t threads_at_start;
static struct parse_pool *pool;
static pthread_t loop_thread;

struct test_job {
	struct parse_job job;
	atomic_int prepared, finished;
	bool refuse;
	const struct mime_message *mime_at_finish;
	int answered;
};

static int answers, order[JOBS];

static bool on_prepare(struct parse_job *job)
{
	struct test_job *t = H2O_STRUCT_FROM_MEMBER(struct test_job, job, job);

	ck_assert(!pthread_equal(pthread_self(), loop_thread));
	atomic_fetch_add(&t->prepared, 1);
	return !t->refuse;
}

static void on_finish(struct parse_job *job)
{
	struct test_job *t = H2O_STRUCT_FROM_MEMBER(struct test_job, job, job);

	ck_assert(!pthread_equal(pthread_self(), loop_thread));
	t->mime_at_finish = job->mime;
	atomic_fetch_add(&t->finished, 1);
}

static void on_done(struct parse_job *job)
{
	struct test_job *t = H2O_STRUCT_FROM_MEMBER(struct test_job, job, job);

	ck_assert(pthread_equal(pthread_self(), loop_thread));
	t->answered++;
	if (answers < JOBS)
		order[answers] = (int)job->raw.len;
	answers++;
}

static void job_init(struct test_job *t, const char *raw)
{
	*t = (struct test_job){ .job = { .reply_to = &box,
					.prepare = on_prepare,
					.raw = slice_str(raw),
					.finish = on_finish,
					.done = on_done } };
}

static void submit(struct test_job *t, const char *raw)
{
	job_init(t, raw);
	parse_pool_submit(pool, &t->job);
}

static void run_until_answers(int wanted)
{
	uint64_t end = loop_now_ms(loop) + WAIT_MS;

	while (answers < wanted) {
		loop_run(loop, 50);
		ck_assert_msg(loop_now_ms(loop) < end, "%d of %d answers", answers, wanted);
	}
}

/* Waits for what other threads do, with a deadline. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		const struct timespec nap_ = { .tv_nsec = 1000000 };                               \
		int left_ = WAIT_MS;                                                               \
		while (!(condition) && left_-- > 0)                                                \
			nanosleep(&nap_, NULL);                                                    \
		ck_assert_msg(left_ > 0, "never: " #condition);                                    \
	} while (0)

static void start(unsigned threads, unsigned max_lost, uint32_t cpu_ms, uint32_t wall_ms)
{
	struct parse_pool_settings set = { .threads = threads,
		.max_lost_threads = max_lost,
		.deadline_cpu_ms = cpu_ms,
		.deadline_wall_ms = wall_ms,
		.limits = mime_limits_default };

	pool = parse_pool_new_with(&set, slow_parse);
}

static void assert_outcome(struct test_job *t, const char *defect)
{
	ck_assert_int_eq(t->answered, 1);
	ck_assert_int_eq(atomic_load(&t->prepared), 1);
	ck_assert_int_eq(atomic_load(&t->finished), 1);
	ck_assert_ptr_eq(t->mime_at_finish, t->job.mime);
	if (defect != NULL) {
		ck_assert_int_eq(t->job.mime->status, MIME_FAILED);
		ck_assert_uint_eq(t->job.mime->defects.count, 1);
		ck_assert_str_eq(t->job.mime->defects.list[0], defect);
	} else {
		ck_assert_str_eq(t->job.mime->subject, t->job.raw.base);
	}
	mime_message_free(&t->job.mime);
}

static void setup(void)
{
	mime_init();
	threads_at_start = thread_count();
	loop_thread = pthread_self();
	loop = loop_new();
	parse_mailbox_init(&box, loop);
	atomic_store(&held, true);
	atomic_store(&burning, true);
}

static void teardown(void)
{
	atomic_store(&held, false);
	parse_pool_free(&pool);
	WAIT_FOR(thread_count() <= threads_at_start + SANITIZER_THREADS); /* lost ones too */
	loop_mailbox_deinit(&box);
	loop_free(&loop);
}

START_TEST(jobs_are_parsed_and_answered_once_on_their_loop)
{
	struct test_job *jobs = calloc(JOBS, sizeof(*jobs));

	start(3, 1, 5000, 5000);
	for (int i = 0; i < JOBS; i++)
		submit(&jobs[i], i % 2 == 0 ? "A: b\r\n\r\neven" : "A: b\r\n\r\n");
	run_until_answers(JOBS);
	for (int i = 0; i < JOBS; i++)
		assert_outcome(&jobs[i], NULL);
	ck_assert_int_eq(atomic_load(&parsed), JOBS);
	struct parse_pool_stats stats = parse_pool_stats(pool);
	ck_assert_uint_eq(stats.waiting + stats.running + stats.lost + stats.deadlines, 0);
	free(jobs);
}
END_TEST

START_TEST(one_thread_answers_in_the_order_of_submission)
{
	static const char raw[] = "0123456789abcdefghij";
	struct test_job jobs[20];

	start(1, 0, 5000, 5000);
	for (size_t i = 0; i < 20; i++) {
		job_init(&jobs[i], raw);
		jobs[i].job.raw.len = i;
		parse_pool_submit(pool, &jobs[i].job);
	}
	run_until_answers(20);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(order[i], i);
		mime_message_free(&jobs[i].job.mime);
	}
}
END_TEST

START_TEST(the_real_parser_is_the_default)
{
	struct parse_pool_settings set = { .threads = 1,
		.deadline_cpu_ms = 5000,
		.deadline_wall_ms = 5000,
		.limits = mime_limits_default };
	struct test_job job;

	pool = parse_pool_new(&set);
	submit(&job, "Subject: real\r\n\r\nx");
	run_until_answers(1);
	ck_assert_str_eq(job.job.mime->subject, "real");
	mime_message_free(&job.job.mime);
}
END_TEST

START_TEST(a_job_that_prepare_refuses_is_answered_without_a_parse)
{
	struct test_job job;

	start(1, 0, 5000, 5000);
	job_init(&job, "A: b\r\n\r\n");
	job.refuse = true;
	parse_pool_submit(pool, &job.job);
	run_until_answers(1);
	ck_assert_int_eq(job.answered, 1);
	ck_assert_ptr_null(job.job.mime);
	ck_assert_int_eq(atomic_load(&job.finished), 0);
	ck_assert_int_eq(atomic_load(&parsed), 0);
}
END_TEST

static bool set_raw_in_prepare(struct parse_job *job)
{
	job->raw = SLICE_LIT("Subject: unpacked\r\n\r\n");
	return on_prepare(job);
}

START_TEST(prepare_may_set_the_bytes)
{
	struct test_job job;

	start(1, 0, 5000, 5000);
	job_init(&job, NULL);
	job.job.prepare = set_raw_in_prepare;
	parse_pool_submit(pool, &job.job);
	run_until_answers(1);
	assert_outcome(&job, NULL);
}
END_TEST

START_TEST(a_waiting_job_can_be_cancelled_and_is_not_answered)
{
	struct test_job blocking, first, second, last;

	start(1, 0, 60000, 60000);
	submit(&blocking, "stay");
	WAIT_FOR(atomic_load(&inside) == 1);
	submit(&first, "first");
	submit(&second, "second");
	submit(&last, "last");
	ck_assert_uint_eq(parse_pool_stats(pool).waiting, 3);
	ck_assert(parse_pool_cancel(pool, &second.job));
	ck_assert(!parse_pool_cancel(pool, &second.job));
	ck_assert(parse_pool_cancel(pool, &last.job));
	ck_assert(!parse_pool_cancel(pool, &blocking.job)); /* under way: will be answered */
	submit(&last, "last");                              /* the queue's end was mended */
	atomic_store(&held, false);
	run_until_answers(3);
	assert_outcome(&blocking, NULL);
	assert_outcome(&first, NULL);
	assert_outcome(&last, NULL);
	ck_assert_int_eq(second.answered, 0);
}
END_TEST

static void check_deadline(uint32_t cpu_ms, uint32_t wall_ms)
{
	struct test_job late, next;
	char *raw = strdup("stay for ever");

	start(1, 1, cpu_ms, wall_ms);
	submit(&late, raw);
	run_until_answers(1);
	assert_outcome(&late, "deadline");
	memset(raw, 'x', strlen(raw));
	free(raw); /* the lost thread has a copy */
	ck_assert_int_eq(atomic_load(&inside), 1);
	ck_assert_uint_eq(parse_pool_stats(pool).lost, 1);
	ck_assert_uint_eq(parse_pool_stats(pool).deadlines, 1);

	submit(&next, "by the replacement");
	run_until_answers(2);
	assert_outcome(&next, NULL);
	atomic_store(&held, false);
	WAIT_FOR(parse_pool_stats(pool).lost == 0);
	ck_assert_int_eq(late.answered, 1);
}

START_TEST(a_parse_past_its_cpu_deadline_is_given_up_and_its_thread_replaced)
{
	check_deadline(60, 3600 * 1000);
}
END_TEST

START_TEST(a_parse_past_its_wall_deadline_is_given_up_and_its_thread_replaced)
{
	atomic_store(&burning, false);
	check_deadline(3600 * 1000, 60);
}
END_TEST

START_TEST(a_parse_that_sleeps_uses_no_cpu_deadline)
{
	struct test_job job;

	atomic_store(&burning, false);
	start(1, 1, 100, 3600 * 1000);
	submit(&job, "stay");
	for (int i = 0; i < 10; i++)
		loop_run(loop, 50); /* five deadlines go by */
	ck_assert_int_eq(answers, 0);
	atomic_store(&held, false);
	run_until_answers(1);
	assert_outcome(&job, NULL);
}
END_TEST

START_TEST(with_all_threads_lost_jobs_are_answered_overload_until_one_returns)
{
	struct test_job late, overload[3], after;

	start(1, 0, 50, 3600 * 1000);
	submit(&late, "stay");
	run_until_answers(1);
	assert_outcome(&late, "deadline");
	for (int i = 0; i < 3; i++)
		submit(&overload[i], "quick");
	run_until_answers(4);
	for (int i = 0; i < 3; i++)
		assert_outcome(&overload[i], "overload");
	job_init(&overload[0], "quick");
	overload[0].refuse = true; /* prepare has its say here too */
	parse_pool_submit(pool, &overload[0].job);
	run_until_answers(5);
	ck_assert_ptr_null(overload[0].job.mime);

	atomic_store(&held, false);
	WAIT_FOR(parse_pool_stats(pool).lost == 0);
	submit(&after, "parsed again");
	run_until_answers(6);
	assert_outcome(&after, NULL);
}
END_TEST

START_TEST(jobs_that_wait_when_the_last_thread_is_lost_are_answered_too)
{
	struct test_job late, waiting[5];

	start(1, 0, 50, 3600 * 1000);
	submit(&late, "stay");
	for (int i = 0; i < 5; i++)
		submit(&waiting[i], "behind it");
	run_until_answers(6);
	assert_outcome(&late, "deadline");
	for (int i = 0; i < 5; i++)
		assert_outcome(&waiting[i], "overload");
}
END_TEST

START_TEST(losses_are_replaced_only_up_to_the_limit)
{
	struct test_job late[3], more;

	start(1, 2, 50, 3600 * 1000);
	for (int i = 0; i < 3; i++) {
		submit(&late[i], "stay");
		run_until_answers(i + 1);
		assert_outcome(&late[i], "deadline");
		ck_assert_uint_eq(parse_pool_stats(pool).lost, i + 1);
	}
	submit(&more, "stay");
	run_until_answers(4);
	assert_outcome(&more, "overload");
	ck_assert_uint_eq(parse_pool_stats(pool).deadlines, 3);
}
END_TEST

START_TEST(the_pool_can_be_freed_while_a_lost_thread_still_runs)
{
	struct test_job late;

	start(2, 1, 50, 3600 * 1000);
	submit(&late, "stay");
	run_until_answers(1);
	assert_outcome(&late, "deadline");
	parse_pool_free(&pool);
	ck_assert_ptr_null(pool);
	ck_assert_int_eq(atomic_load(&inside), 1);
	atomic_store(&held, false);
	WAIT_FOR(atomic_load(&inside) == 0);
	ck_assert_int_eq(late.answered, 1);
}
END_TEST

START_TEST(a_large_message_is_parsed_from_a_copy_too)
{
	size_t len = 4 * 1024 * 1024;
	char *raw = malloc(len + 1);
	struct test_job job, small;

	memset(raw, 'a', len);
	memcpy(raw, "A: b\r\n\r\n", 8);
	raw[len] = '\0';
	start(1, 0, 60000, 60000);
	submit(&job, raw);
	submit(&small, "A: b\r\n\r\nsmall");
	run_until_answers(2);
	assert_outcome(&job, NULL);
	assert_outcome(&small, NULL);
	free(raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse_pool");
	TCase *tc = tcase_create("parse_pool");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, jobs_are_parsed_and_answered_once_on_their_loop);
	tcase_add_test(tc, one_thread_answers_in_the_order_of_submission);
	tcase_add_test(tc, the_real_parser_is_the_default);
	tcase_add_test(tc, a_job_that_prepare_refuses_is_answered_without_a_parse);
	tcase_add_test(tc, prepare_may_set_the_bytes);
	tcase_add_test(tc, a_waiting_job_can_be_cancelled_and_is_not_answered);
	tcase_add_test(tc, a_parse_past_its_cpu_deadline_is_given_up_and_its_thread_replaced);
	tcase_add_test(tc, a_parse_past_its_wall_deadline_is_given_up_and_its_thread_replaced);
	tcase_add_test(tc, a_parse_that_sleeps_uses_no_cpu_deadline);
	tcase_add_test(tc, with_all_threads_lost_jobs_are_answered_overload_until_one_returns);
	tcase_add_test(tc, jobs_that_wait_when_the_last_thread_is_lost_are_answered_too);
	tcase_add_test(tc, losses_are_replaced_only_up_to_the_limit);
	tcase_add_test(tc, the_pool_can_be_freed_while_a_lost_thread_still_runs);
	tcase_add_test(tc, a_large_message_is_parsed_from_a_copy_too);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
