/* SPDX-License-Identifier: MIT */
/* Whose a SQLite file is: who may share it, who is told off, and what becomes of what crashes leave. */
#include "storage/sqlite/lock.h"
#include "tests/unit/storage_fixture.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", world.database.place, name);
	return path;
}

static char database[512];

static void begin(void)
{
	world_begin(&test_sqlite);
	strcpy(database, path_of("mail.db"));
}

static struct sqlite_lock *take(const char *path, const char *listeners)
{
	struct sqlite_lock *lock = NULL;
	char *error = NULL;

	ck_assert_msg(sqlite_lock_take(path, listeners, &lock, &error) == 0, "%s", error);
	return lock;
}

/* The words why, to be freed. */
static char *refusal(const char *path, const char *listeners)
{
	struct sqlite_lock *lock = NULL;
	char *error = NULL;

	ck_assert_int_eq(sqlite_lock_take(path, listeners, &lock, &error), -1);
	ck_assert_ptr_null(lock);
	return error;
}

static void assert_refused(const char *path, const char *listeners, const char *why)
{
	char *error = refusal(path, listeners);

	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
	ck_assert_msg(strstr(error, path) != NULL, "%s", error);
	free(error);
}

static void assert_text(const char *should)
{
	char is[512];
	FILE *file = fopen(path_of("mail.db.lock"), "r");

	ck_assert_ptr_nonnull(file);
	is[fread(is, 1, sizeof(is) - 1, file)] = '\0';
	fclose(file);
	ck_assert_str_eq(is, should);
}

static void write_text(const char *text)
{
	FILE *file = fopen(path_of("mail.db.lock"), "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

/* How many descriptors of this process are on the lock; all must be closed by exec(2). */
static size_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	char target[512];
	size_t n = 0;

	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		if (strcmp(target, path_of("mail.db.lock")) != 0)
			continue;
		ck_assert_int_eq(fcntl(atoi(entry->d_name), F_GETFD), FD_CLOEXEC);
		n++;
	}
	closedir(dir);
	return n;
}

START_TEST(same_addresses_share_it_and_others_are_told_which)
{
	struct sqlite_lock *old = take(database, "127.0.0.1:3000");
	struct sqlite_lock *new = take(database, "127.0.0.1:3000");

	assert_refused(database, "127.0.0.1:4000",
		"listens on 127.0.0.1:3000 (this one: "
		"127.0.0.1:4000)");
	sqlite_lock_release(&old);
	ck_assert_ptr_null(old);
	assert_refused(database, "127.0.0.1:300", "listens on 127.0.0.1:3000 ");
	assert_refused(database, "127.0.0.1:30000", "listens on 127.0.0.1:3000 ");
	assert_text("127.0.0.1:3000");
	ck_assert_uint_eq(descriptors(), 1);
	sqlite_lock_release(&new);
	ck_assert_uint_eq(descriptors(), 0);
}
END_TEST

START_TEST(text_that_nobody_holds_counts_for_nothing)
{
	static const char *const left[] = { "", "127.0.0.1:3000, [::1]:3000", "127.0",
		"\x01\xff\n garbage" };

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		write_text(left[i]);
		struct sqlite_lock *lock = take(database, "127.0.0.1:4000");
		assert_text("127.0.0.1:4000");
		sqlite_lock_release(&lock);
		assert_text("127.0.0.1:4000");
	}
}
END_TEST

START_TEST(text_of_another_is_shown_without_its_control_characters)
{
	write_text("\x1b[2J\xff x\n");
	int fd = open(path_of("mail.db.lock"), O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	assert_refused(database, "127.0.0.1:4000", "listens on ?[2J? x (this");
	close(fd);
}
END_TEST

START_TEST(who_accepts_no_mail_takes_nothing)
{
	struct sqlite_lock *holder = take(database, "127.0.0.1:3000"), *none = holder;
	char *error = NULL;

	ck_assert_int_eq(sqlite_lock_take(database, NULL, &none, &error), 0);
	ck_assert_ptr_null(none);
	sqlite_lock_release(&none);
	ck_assert_uint_eq(descriptors(), 1);
	sqlite_lock_release(&holder);
}
END_TEST

START_TEST(links_and_relative_paths_lead_to_the_same_lock)
{
	char link[512];

	write_text("");
	strcpy(link, path_of("link.db"));
	ck_assert_int_eq(symlink(database, link), 0);
	/* The database need not be there yet, but then its link leads nowhere. */
	ck_assert_int_eq(mknod(database, S_IFREG | 0640, 0), 0);
	struct sqlite_lock *lock = take(database, "127.0.0.1:3000");
	assert_refused(link, "127.0.0.1:4000", "in use by another server");
	ck_assert_int_eq(chdir(world.database.place), 0);
	assert_refused("./mail.db", "127.0.0.1:4000", "in use by another server");
	sqlite_lock_release(&lock);
	lock = take(link, "127.0.0.1:4000");
	assert_refused("./mail.db", "127.0.0.1:3000", "in use by another server");
	sqlite_lock_release(&lock);
	unlink(link);
}
END_TEST

START_TEST(missing_directory_is_said)
{
	assert_refused("/nowhere/at/all/mail.db", "127.0.0.1:3000", "does not exist");
}
END_TEST

START_TEST(lock_that_is_no_file_is_said)
{
	ck_assert_int_eq(mkdir(path_of("mail.db.lock"), 0700), 0);
	assert_refused(
		database, "127.0.0.1:3000", "mail.db.lock cannot be written: Is a directory");
	rmdir(path_of("mail.db.lock"));
}
END_TEST

START_TEST(full_disk_is_said_and_does_not_matter_to_the_same_addresses)
{
	struct rlimit nothing = { 0, RLIM_INFINITY };
	struct sqlite_lock *lock = take(database, "127.0.0.1:3000");

	sqlite_lock_release(&lock);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &nothing);
	lock = take(database, "127.0.0.1:3000");
	sqlite_lock_release(&lock);
	assert_refused(
		database, "127.0.0.1:4000", "mail.db.lock cannot be written: File too large");
	ck_assert_uint_eq(descriptors(), 0);
}
END_TEST

START_TEST(file_is_not_for_others_to_read)
{
	struct stat st;

	umask(0);
	struct sqlite_lock *lock = take(database, "127.0.0.1:3000");
	ck_assert_int_eq(stat(path_of("mail.db.lock"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	sqlite_lock_release(&lock);
}
END_TEST

/* ---- others who are starting ---- */

/* flock(2): "Converting a lock is not guaranteed to be atomic: the existing lock is first removed,
 * and then a new lock is established." What happens in between, once; or NULL. */
static void (*in_between)(void);

int flock(int fd, int operation)
{
	void (*now)(void) = in_between;

	if (now != NULL && (operation & LOCK_SH) != 0) {
		in_between = NULL;
		syscall(SYS_flock, fd, LOCK_UN);
		now();
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static int intruder = -1;

static void intrude(void)
{
	intruder = open(path_of("mail.db.lock"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(intruder, LOCK_EX | LOCK_NB), 0);
	write_text("127.0.0.1:4000");
	ck_assert_int_eq(flock(intruder, LOCK_SH), 0);
}

START_TEST(who_comes_in_between_has_it)
{
	in_between = intrude;
	assert_refused(database, "127.0.0.1:3000", "listens on 127.0.0.1:4000 ");
	close(intruder);
	in_between = intrude;
	struct sqlite_lock *lock = take(database, "127.0.0.1:4000");
	sqlite_lock_release(&lock);
	close(intruder);
}
END_TEST

/* Its text was another's, who ends in the moment between a look at the lock and one at the text. */
static void leave(void)
{
	close(intruder);
}

START_TEST(who_ends_in_between_is_in_nobodys_way)
{
	write_text("127.0.0.1:4000");
	intruder = open(path_of("mail.db.lock"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(intruder, LOCK_SH), 0);
	in_between = leave;
	struct sqlite_lock *lock = take(database, "127.0.0.1:3000");
	assert_text("127.0.0.1:3000");
	sqlite_lock_release(&lock);
}
END_TEST

static void *take_main(void *arg)
{
	return take(database, arg);
}

START_TEST(holder_who_has_not_written_yet_is_waited_for)
{
	pthread_t taker;
	void *lock;

	write_text("127.0.0.1:4000"); /* of one who has gone */
	int fd = open(path_of("mail.db.lock"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(pthread_create(&taker, NULL, take_main, "127.0.0.1:3000"), 0);
	while (descriptors() < 2)
		sched_yield();
	ck_assert_int_eq(pwrite(fd, "127.0.0.1:3000", 14, 0), 14);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	ck_assert_int_eq(pthread_join(taker, &lock), 0);
	close(fd);
	sqlite_lock_release((struct sqlite_lock **)&lock);
}
END_TEST

START_TEST(holder_who_never_writes_is_not_waited_for_for_ever)
{
	struct sqlite_lock *lock = take(database, "127.0.0.1:3000");

	sqlite_lock_release(&lock);
	int fd = open(path_of("mail.db.lock"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	assert_refused(database, "127.0.0.1:3000", "another server is starting on it");
	close(fd);
}
END_TEST

enum { TAKERS = 8, ROUNDS = 100 };

struct taker {
	pthread_t thread;
	const char *listeners;
	struct sqlite_lock *lock; /* NULL: refused */
};
static pthread_barrier_t start;

static void *race_main(void *arg)
{
	struct taker *t = arg;
	char *error = NULL;

	pthread_barrier_wait(&start);
	if (sqlite_lock_take(database, t->listeners, &t->lock, &error) != 0)
		free(error);
	return NULL;
}

/* How many have it, all of whom have the same addresses. */
static unsigned race(struct taker takers[TAKERS])
{
	const char *holder = NULL;
	unsigned holders = 0;

	for (unsigned i = 0; i < TAKERS; i++)
		pthread_create(&takers[i].thread, NULL, race_main, &takers[i]);
	for (unsigned i = 0; i < TAKERS; i++)
		pthread_join(takers[i].thread, NULL);
	for (unsigned i = 0; i < TAKERS; i++) {
		if (takers[i].lock == NULL)
			continue;
		if (holders++ > 0)
			ck_assert_str_eq(takers[i].listeners, holder);
		holder = takers[i].listeners;
	}
	for (unsigned i = 0; i < TAKERS; i++)
		sqlite_lock_release(&takers[i].lock);
	return holders;
}

START_TEST(of_those_who_come_at_once_one_kind_gets_it)
{
	pthread_barrier_init(&start, NULL, TAKERS);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct taker takers[TAKERS] = { { .lock = NULL } };
		for (unsigned i = 0; i < TAKERS; i++)
			takers[i].listeners = i % 2 == 0 ? "127.0.0.1:3000" : "127.0.0.1:4000";
		ck_assert_uint_gt(race(takers), 0);
	}
	pthread_barrier_destroy(&start);
}
END_TEST

/* ---- the driver ---- */

START_TEST(store_holds_it_as_long_as_any_is_open)
{
	world.settings.listeners = "127.0.0.1:3000";
	world_open();
	struct storage *second = store_open_on(world.loop);
	ck_assert_uint_eq(descriptors(), 1);
	storage_close(&world.store);
	assert_refused(database, "127.0.0.1:4000", "in use by another server");
	storage_close(&second);
	struct sqlite_lock *lock = take(database, "127.0.0.1:4000");
	sqlite_lock_release(&lock);
}
END_TEST

START_TEST(file_of_another_is_neither_opened_nor_migrated)
{
	struct sqlite_lock *other = take(database, "127.0.0.1:4000");
	struct storage *st = NULL;
	unsigned applied = 99;
	char *error = NULL;

	world.settings.listeners = "127.0.0.1:3000";
	ck_assert_int_eq(
		storage_migrate(&world.settings, &applied, &error), STORAGE_MIGRATE_FAILED);
	ck_assert_msg(strstr(error, "listens on 127.0.0.1:4000") != NULL, "%s", error);
	free(error);
	ck_assert_int_eq(access(database, F_OK), -1);
	world.loop = loop_new();
	ck_assert_int_eq(storage_open(&world.settings, world.loop, &st, &error), -1);
	ck_assert_msg(strstr(error, "listens on 127.0.0.1:4000") != NULL, "%s", error);
	free(error);
	ck_assert_ptr_null(st);
	sqlite_lock_release(&other);
}
END_TEST

START_TEST(without_addresses_a_file_in_use_is_migrated_all_the_same)
{
	struct sqlite_lock *other = take(database, "127.0.0.1:4000");

	world_open();
	ck_assert_uint_eq(descriptors(), 1);
	sqlite_lock_release(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite_lock");
	TCase *file = tcase_create("file"), *starting = tcase_create("starting"),
	      *driver = tcase_create("driver"), *all[] = { file, starting, driver };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		suite_add_tcase(suite, all[i]);
		tcase_set_timeout(all[i], 60);
		tcase_add_checked_fixture(all[i], begin, world_end);
	}
	tcase_add_test(file, same_addresses_share_it_and_others_are_told_which);
	tcase_add_test(file, text_that_nobody_holds_counts_for_nothing);
	tcase_add_test(file, text_of_another_is_shown_without_its_control_characters);
	tcase_add_test(file, who_accepts_no_mail_takes_nothing);
	tcase_add_test(file, links_and_relative_paths_lead_to_the_same_lock);
	tcase_add_test(file, missing_directory_is_said);
	tcase_add_test(file, lock_that_is_no_file_is_said);
	tcase_add_test(file, full_disk_is_said_and_does_not_matter_to_the_same_addresses);
	tcase_add_test(file, file_is_not_for_others_to_read);
	tcase_add_test(starting, holder_who_has_not_written_yet_is_waited_for);
	tcase_add_test(starting, holder_who_never_writes_is_not_waited_for_for_ever);
	tcase_add_test(starting, who_comes_in_between_has_it);
	tcase_add_test(starting, who_ends_in_between_is_in_nobodys_way);
	tcase_add_test(starting, of_those_who_come_at_once_one_kind_gets_it);
	tcase_add_test(driver, store_holds_it_as_long_as_any_is_open);
	tcase_add_test(driver, file_of_another_is_neither_opened_nor_migrated);
	tcase_add_test(driver, without_addresses_a_file_in_use_is_migrated_all_the_same);

	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
