/* SPDX-License-Identifier: MIT */
/* loop: timers, descriptors and mail between threads; log lines */
#include "lib/log.h"
#include "lib/loop.h"

#include <check.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000 };

static struct loop *loop;

static void setup(void)
{
	loop = loop_new();
}

static void teardown(void)
{
	loop_free(&loop);
}

static void run_until(const int *counter, int wanted)
{
	uint64_t end = loop_now_ms(loop) + DEADLINE_MS;

	while (*counter < wanted) {
		loop_run(loop, 100);
		ck_assert_msg(loop_now_ms(loop) < end, "%d of %d", *counter, wanted);
	}
}

static void count_up(void *data)
{
	++*(int *)data;
}

START_TEST(timers_go_off_once_in_order_and_can_be_stopped)
{
	struct loop_timer first, second, stopped;
	int fired[3] = { 0 };

	loop_timer_init(&first, loop, count_up, &fired[0]);
	loop_timer_init(&second, loop, count_up, &fired[1]);
	loop_timer_init(&stopped, loop, count_up, &fired[2]);
	loop_timer_start(&second, 30);
	loop_timer_start(&first, 1);
	loop_timer_start(&stopped, 2);
	ck_assert(loop_timer_is_running(&stopped));
	loop_timer_stop(&stopped);
	run_until(&fired[1], 1);
	ck_assert_int_eq(fired[0], 1);
	ck_assert_int_eq(fired[2], 0);
	ck_assert(!loop_timer_is_running(&first));
	loop_timer_start(&first, 0); /* may be used again */
	run_until(&fired[0], 2);
	loop_timer_deinit(&first);
	loop_timer_deinit(&second);
	loop_timer_deinit(&stopped);
}
END_TEST

struct watched {
	struct loop_fd *fd;
	int reads, writes;
};

static void on_ready(void *data, unsigned ready)
{
	struct watched *w = data;

	if ((ready & LOOP_WRITE) != 0)
		w->writes++;
	if ((ready & LOOP_READ) != 0) {
		w->reads++;
		loop_fd_close(&w->fd); /* allowed from its own callback */
	}
}

START_TEST(descriptors_are_reported_when_ready_and_stay_their_owners)
{
	struct watched w = { NULL };
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	w.fd = loop_fd_open(loop, ends[0], on_ready, &w);
	loop_fd_want(w.fd, LOOP_READ | LOOP_WRITE);
	run_until(&w.writes, 1);
	ck_assert_int_eq(w.reads, 0);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	run_until(&w.reads, 1);
	ck_assert_ptr_null(w.fd);
	char c;
	ck_assert_int_eq(read(ends[0], &c, 1), 1); /* not closed, not read by the loop */
	close(ends[0]);
	close(ends[1]);
}
END_TEST

enum { SENDERS = 4, LETTERS = 1000 };

struct letter {
	struct loop_mail mail;
	int sender, number;
};

static struct loop_mailbox box;
static struct letter letters[SENDERS][LETTERS];
static int received, last_number[SENDERS];

static void on_mail(struct loop_mailbox *b, struct loop_mail *mail)
{
	struct letter *l = H2O_STRUCT_FROM_MEMBER(struct letter, mail, mail);

	ck_assert_ptr_eq(b, &box);
	ck_assert_int_eq(l->number, last_number[l->sender] + 1);
	last_number[l->sender] = l->number;
	received++;
}

static void *send_letters(void *arg)
{
	int sender = (int)(intptr_t)arg;

	for (int i = 0; i < LETTERS; i++) {
		letters[sender][i].sender = sender;
		letters[sender][i].number = i + 1;
		loop_post(&box, &letters[sender][i].mail);
	}
	return NULL;
}

START_TEST(mail_from_many_threads_arrives_once_and_in_order)
{
	pthread_t threads[SENDERS];

	loop_mailbox_init(&box, loop, on_mail);
	for (int i = 0; i < SENDERS; i++)
		pthread_create(&threads[i], NULL, send_letters, (void *)(intptr_t)i);
	run_until(&received, SENDERS * LETTERS);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	loop_mailbox_deinit(&box);
}
END_TEST

/* What one log line looks like on standard error. */
static char *logged(enum log_format format, void (*write_line)(void))
{
	static char text[2 * LOG_MAX_LINE];
	int ends[2], saved = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_setup(LOG_INFO, format);
	write_line();
	dup2(saved, STDERR_FILENO);
	close(ends[1]);
	close(saved);
	ssize_t n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void write_sample(void)
{
	struct log_line l;

	ck_assert(log_begin(&l, LOG_WARNING, "sample"));
	log_str(&l, "plain", "a");
	log_str(&l, "odd", "b \"c\"\n\xff");
	log_str(&l, "left_out", NULL);
	log_int(&l, "n", -5);
	log_bool(&l, "yes", true);
	log_ms(&l, "ms", 1234567);
	log_end(&l);
}

static void write_huge(void)
{
	static char huge[2 * LOG_MAX_LINE];
	struct log_line l;

	memset(huge, ',', sizeof(huge) - 1);
	ck_assert(log_begin(&l, LOG_INFO, "huge"));
	log_str(&l, "kept", "x");
	log_str(&l, "huge", huge);
	log_str(&l, "after", "y");
	log_end(&l);
}

static void write_debug(void)
{
	struct log_line l;

	ck_assert(!log_begin(&l, LOG_DEBUG, "not wanted"));
}

START_TEST(log_lines_are_json_whatever_they_hold)
{
	json_t *v = json_loads(logged(LOG_JSON, write_sample), 0, NULL);

	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(json_string_value(json_object_get(v, "event")), "sample");
	ck_assert_str_eq(json_string_value(json_object_get(v, "level")), "warning");
	ck_assert_str_eq(json_string_value(json_object_get(v, "odd")), "b \"c\"\n\xef\xbf\xbd");
	ck_assert_ptr_null(json_object_get(v, "left_out"));
	ck_assert_int_eq(json_integer_value(json_object_get(v, "n")), -5);
	ck_assert(json_real_value(json_object_get(v, "ms")) > 1234.5);
	json_decref(v);
	v = json_loads(logged(LOG_JSON, write_huge), 0, NULL);
	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(json_string_value(json_object_get(v, "kept")), "x");
	ck_assert(json_is_true(json_object_get(v, "cut")));
	json_decref(v);
	ck_assert_str_eq(logged(LOG_JSON, write_debug), "");
}
END_TEST

START_TEST(log_text_is_one_line_for_people)
{
	char *text = logged(LOG_TEXT, write_sample);

	ck_assert_ptr_nonnull(strstr(text, " warning sample plain=a odd=\"b \\\"c\\\"\\n"));
	ck_assert_ptr_nonnull(strstr(text, " n=-5 yes=true ms=1234.567\n"));
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop"), *log = tcase_create("log");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, timers_go_off_once_in_order_and_can_be_stopped);
	tcase_add_test(tc, descriptors_are_reported_when_ready_and_stay_their_owners);
	tcase_add_test(tc, mail_from_many_threads_arrives_once_and_in_order);
	suite_add_tcase(suite, tc);
	tcase_add_test(log, log_lines_are_json_whatever_they_hold);
	tcase_add_test(log, log_text_is_one_line_for_people);
	suite_add_tcase(suite, log);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
