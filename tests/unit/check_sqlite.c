/* SPDX-License-Identifier: MIT */
/* What is the SQLite driver's own: its file, its threads, and the ways in which a disk fails. */
#include "tests/unit/storage_fixture.h"

#include <check.h>
#include <dirent.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a disk that fails when it is told to: SQLite's own file system with one lie in it ---- */

static atomic_bool syncs_fail;
static _Atomic(sqlite3_file *) opened_log; /* the last one */
static _Atomic(sqlite3_file *) stale_log;  /* its syncs fail until it is opened anew */
static sqlite3_io_methods lying_methods;
static int (*true_sync)(sqlite3_file *file, int flags);
static int (*true_open)(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags);

static int lying_sync(sqlite3_file *file, int flags)
{
	if (atomic_load(&syncs_fail) || atomic_load(&stale_log) == file)
		return SQLITE_IOERR_FSYNC;
	return true_sync(file, flags);
}

static int lying_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags)
{
	int rc = true_open(vfs, name, file, flags, out_flags);

	if (rc == SQLITE_OK && file->pMethods != NULL && (flags & SQLITE_OPEN_WAL) != 0) {
		true_sync = file->pMethods->xSync;
		lying_methods = *file->pMethods;
		lying_methods.xSync = lying_sync;
		file->pMethods = &lying_methods;
		atomic_store(&opened_log, file);
		atomic_store(&stale_log, NULL);
	}
	return rc;
}

static void use_lying_disk(void)
{
	static sqlite3_vfs lying;

	lying = *sqlite3_vfs_find(NULL);
	true_open = lying.xOpen;
	lying.zName = "lying";
	lying.xOpen = lying_open;
	ck_assert_int_eq(sqlite3_vfs_register(&lying, 1), SQLITE_OK);
}

/* ---- looking past the store ---- */

static const char *path_of(const char *suffix)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/mail.db%s", world.database.place, suffix);
	return path;
}

static int64_t number(const char *sql)
{
	return test_sqlite.number(&world.database, sql);
}

/* Transactions in the write-ahead log: frames whose header tells the database's size after a commit
 * (https://www.sqlite.org/fileformat2.html, section 4.1). */
static size_t commits_in_log(void)
{
	enum { HEADER = 32, FRAME_HEADER = 24, PAGE = 4096 };
	unsigned char frame[FRAME_HEADER + PAGE];
	FILE *log = fopen(path_of("-wal"), "rb");
	size_t commits = 0;

	ck_assert_ptr_nonnull(log);
	fseek(log, HEADER, SEEK_SET);
	while (fread(frame, sizeof(frame), 1, log) == 1)
		commits += (frame[4] | frame[5] | frame[6] | frame[7]) != 0;
	fclose(log);
	return commits;
}

static size_t threads_of_process(void)
{
	DIR *dir = opendir("/proc/self/task");
	size_t n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void begin(void)
{
	world_begin(&test_sqlite);
}

static void put_gives(enum storage_result result)
{
	struct sample *s = sample_new();

	ck_assert_result(put(s), result);
	free(s);
}

/* ---- the url and the file ---- */

static void assert_url_refused(const char *url, const char *why)
{
	struct storage_settings set = { .url = url };
	struct storage *st = NULL;
	unsigned applied;
	char *error = NULL;

	ck_assert_int_eq(storage_open(&set, world.loop, &st, &error), -1);
	ck_assert_ptr_null(st);
	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
	free(error);
	error = NULL;
	ck_assert_int_eq(storage_migrate(&set, &applied, &error), STORAGE_MIGRATE_FAILED);
	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
	free(error);
}

START_TEST(url_without_file_or_with_parameters_is_refused)
{
	assert_url_refused("sqlite://", "names no file");
	assert_url_refused("sqlite:/tmp/mail.db", "names no file");
	assert_url_refused("sqlite:///tmp/mail.db?mode=memory", "no parameters");
}
END_TEST

START_TEST(name_with_a_meaning_to_sqlite_is_a_file_all_the_same)
{
	struct sample *s = sample_new();

	ck_assert_int_eq(chdir(world.database.place), 0);
	storage_close(&world.store);
	loop_free(&world.loop);
	world.settings.url = "sqlite://:memory:";
	world_open();
	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_int_eq(access(":memory:", F_OK), 0);
	world_reopen();
	ck_assert_result(raw("default", s->message.id, s), STORAGE_OK);
	storage_close(&world.store);
	ck_assert_int_eq(unlink(":memory:"), 0);
	free(s);
}
END_TEST

static void assert_migrate_says(const char *url, const char *what)
{
	struct storage_settings set = { .url = url };
	unsigned applied;
	char *error = NULL;

	ck_assert_int_eq(storage_migrate(&set, &applied, &error), STORAGE_MIGRATE_FAILED);
	ck_assert_msg(strstr(error, what) != NULL, "%s", error);
	free(error);
}

START_TEST(migrate_says_what_is_in_the_way)
{
	char url[512];

	assert_migrate_says("sqlite:///no/such/place/mail.db",
		"directory of the database /no/such/place/mail.db does not exist");
	assert_migrate_says("sqlite:///dev/null/mail.db", "Not a directory");
	snprintf(url, sizeof(url), "sqlite://%s", world.database.place);
	assert_migrate_says(url, "cannot be opened");
}
END_TEST

START_TEST(files_are_not_for_others_to_read)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	struct stat st;

	umask(0);
	world_open();
	put_gives(STORAGE_OK);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		ck_assert_int_eq(stat(path_of(suffixes[i]), &st), 0);
		ck_assert_int_eq(st.st_mode & 07777, 0640);
	}
}
END_TEST

/* So that no store has to turn it into one, while another does the same. */
START_TEST(migrated_file_is_one_with_a_write_ahead_log)
{
	enum { READ_VERSION = 19, WAL = 2 };
	unsigned applied;
	char *error;

	ck_assert_int_eq(storage_migrate(&world.settings, &applied, &error), STORAGE_MIGRATED);
	FILE *file = fopen(path_of(""), "rb");
	fseek(file, READ_VERSION, SEEK_SET);
	ck_assert_int_eq(fgetc(file), WAL);
	fclose(file);
}
END_TEST

START_TEST(file_is_unavailable_until_it_has_a_schema)
{
	unsigned applied;
	char *error;

	world.loop = loop_new();
	world.store = store_open_on(world.loop);
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(world_last_log(), "unable to open") != NULL, "%s", world_last_log());
	sqlite3 *empty;
	ck_assert_int_eq(sqlite3_open(path_of(""), &empty), SQLITE_OK);
	sqlite3_exec(empty, "create table x (y)", NULL, NULL, NULL);
	sqlite3_close(empty);
	wait_until_ping_is(STORAGE_UNAVAILABLE);
	ck_assert_int_eq(storage_migrate(&world.settings, &applied, &error), STORAGE_MIGRATED);
	wait_until_ping_is(STORAGE_OK);
	put_gives(STORAGE_OK);
}
END_TEST

START_TEST(older_and_newer_schemas_are_not_written_to)
{
	world.backend->exec(&world.database, "update schema_migrations set number = number + 4711");
	world_reopen();
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_msg(
		strstr(world_last_log(), "use a newer mailserver") != NULL, "%s", world_last_log());
	world.backend->exec(&world.database, "delete from schema_migrations");
	world_reopen();
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_msg(
		strstr(world_last_log(), "mailserver migrate") != NULL, "%s", world_last_log());
}
END_TEST

START_TEST(columns_read_as_documented)
{
	struct sample *s = sample_new();

	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_int_eq(
		number("select count(*) from messages where tenant = 'default'"
		       " and received_at = '2026-01-02T03:04:05.678901Z'"
		       " and date = '2006-01-02T22:04:05.000000Z'"
		       " and envelope_recipients ->> 0 = 'b@example.com'"
		       " and json_array_length(refs) = 2"
		       " and from_address = 'alice@example.org' and parse_status = 'degraded'"
		       " and defects = '[\"bad_charset\",\"limit_parts\"]'"
		       " and hex(sha256) like 'FF00275C%'"),
		1);
	ck_assert_int_eq(number("select size = length(raw) from messages join message_raw"
				" using (id)"),
		1);
	ck_assert_int_eq(number("select raw_length from message_parts where is_attachment"),
		s->mime.parts[1].raw_length);
	ck_assert_int_eq(number("select count(*) from message_keys join messages using (id, tenant)"
				" where created_at = received_at"),
		1);
	free(s);
}
END_TEST

START_TEST(year_without_four_digits_is_null)
{
	struct sample *s = sample_new();

	s->mime.date_us = INT64_C(253402300800000000);
	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_int_eq(number("select count(*) from messages where date is null"), 1);
	free(s);
}
END_TEST

/* ---- the threads ---- */

START_TEST(stores_on_one_file_share_their_threads)
{
	struct storage *more[3];
	size_t before = threads_of_process();

	for (size_t i = 0; i < 3; i++)
		more[i] = store_open_on(world.loop);
	ck_assert_uint_eq(threads_of_process(), before);
	for (size_t i = 0; i < 3; i++)
		storage_close(&more[i]);
	ck_assert_uint_eq(threads_of_process(), before);
	put_gives(STORAGE_OK);
	storage_close(&world.store);
	ck_assert_uint_lt(threads_of_process(), before);
}
END_TEST

/* How many commits it took to put so many at once. */
static size_t commits_for(size_t count)
{
	struct sample *list = samples_new(count);

	put_gives(STORAGE_OK);
	size_t before = commits_in_log();
	put_all(list, count);
	free(list);
	return commits_in_log() - before;
}

START_TEST(what_waits_together_is_committed_together)
{
	enum { COUNT = 256, BATCH = 64 };

	size_t commits = commits_for(COUNT);
	ck_assert_uint_ge(commits, COUNT / BATCH);
	ck_assert_uint_le(commits, COUNT / 8);
}
END_TEST

START_TEST(batches_are_bounded_by_bytes)
{
	enum { COUNT = 64 };
	struct sample *one = sample_new();

	world.settings.batch_bytes = 2 * one->message.raw.len;
	world_reopen();
	ck_assert_uint_ge(commits_for(COUNT), COUNT / 2);
	free(one);
}
END_TEST

START_TEST(last_close_leaves_one_file)
{
	put_gives(STORAGE_OK);
	storage_close(&world.store);
	ck_assert_int_eq(access(path_of("-wal"), F_OK), -1);
	ck_assert_int_eq(number("select count(*) from messages"), 1);
}
END_TEST

/* ---- when the disk, the file or somebody else is in the way ---- */

START_TEST(locked_database_is_unavailable_until_unlocked)
{
	sqlite3 *other;

	put_gives(STORAGE_OK);
	ck_assert_int_eq(sqlite3_open(path_of(""), &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_result(ping(), STORAGE_UNAVAILABLE);
	ck_assert_int_eq(sqlite3_exec(other, "rollback", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	put_gives(STORAGE_OK);
	ck_assert_int_eq(number("select count(*) from messages"), 2);
}
END_TEST

START_TEST(locked_database_may_be_migrated_later)
{
	sqlite3 *other;
	unsigned applied;
	char *error = NULL;

	ck_assert_int_eq(sqlite3_open(path_of(""), &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other, "begin exclusive", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(storage_migrate(&world.settings, &applied, &error), STORAGE_MIGRATE_LATER);
	ck_assert_msg(strstr(error, "holds a lock") != NULL, "%s", error);
	free(error);
	sqlite3_close(other);
	world_open();
	put_gives(STORAGE_OK);
}
END_TEST

static void limit_files_to(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(full_disk_is_full_until_there_is_room)
{
	struct sample *s = sample_new();

	put_gives(STORAGE_OK);
	limit_files_to(4096);
	ck_assert_result(put(s), STORAGE_FULL);
	ck_assert_result(ping(), STORAGE_FULL);
	limit_files_to(RLIM_INFINITY);
	wait_until_ping_is(STORAGE_OK);
	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_result(raw("default", s->message.id, s), STORAGE_OK);
	ck_assert_int_eq(number("select count(*) from messages"), 2);
	free(s);
}
END_TEST

START_TEST(failed_sync_is_uncertain_and_the_retry_kept_once)
{
	struct sample *s = sample_new();

	put_gives(STORAGE_OK);
	atomic_store(&syncs_fail, true);
	ck_assert_result(put(s), STORAGE_UNCERTAIN);
	ck_assert_result(ping(), STORAGE_UNAVAILABLE);
	atomic_store(&syncs_fail, false);
	enum storage_result again = put(s);
	ck_assert(again == STORAGE_OK || again == STORAGE_DUPLICATE);
	ck_assert_result(raw("default", s->message.id, s), STORAGE_OK);
	ck_assert_int_eq(number("select count(*) from messages"), 2);
	free(s);
}
END_TEST

/* As after a network or a device was lost and came back. */
START_TEST(stale_handle_is_opened_anew)
{
	put_gives(STORAGE_OK);
	atomic_store(&stale_log, atomic_load(&opened_log));
	put_gives(STORAGE_UNCERTAIN);
	wait_until_ping_is(STORAGE_OK);
	put_gives(STORAGE_OK);
}
END_TEST

START_TEST(read_only_file_is_unavailable_until_writable)
{
	world_become_nobody();
	world_open();
	put_gives(STORAGE_OK);
	storage_close(&world.store);
	ck_assert_int_eq(chmod(path_of(""), 0440), 0);
	world.store = store_open_on(world.loop);
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_result(ping(), STORAGE_UNAVAILABLE);
	ck_assert_int_eq(chmod(path_of(""), 0640), 0);
	wait_until_ping_is(STORAGE_OK);
	put_gives(STORAGE_OK);
}
END_TEST

START_TEST(read_only_directory_is_unavailable_until_writable)
{
	world_become_nobody();
	world_open();
	storage_close(&world.store);
	ck_assert_int_eq(chmod(world.database.place, 0550), 0);
	world.store = store_open_on(world.loop);
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_int_eq(chmod(world.database.place, 0750), 0);
	wait_until_ping_is(STORAGE_OK);
	put_gives(STORAGE_OK);
}
END_TEST

static void move_database(const char *from, const char *to)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char source[512], target[512];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(
			source, sizeof(source), "%s/%s%s", world.database.place, from, suffixes[i]);
		snprintf(target, sizeof(target), "%s/%s%s", world.database.place, to, suffixes[i]);
		rename(source, target);
	}
}

static void remove_moved(void)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -f %s/old*", world.database.place);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(replaced_file_is_noticed)
{
	struct sample *s = sample_new();
	unsigned applied;
	char *error;

	put_gives(STORAGE_OK);
	move_database("mail.db", "old.db");
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_int_eq(storage_migrate(&world.settings, &applied, &error), STORAGE_MIGRATED);
	wait_until_ping_is(STORAGE_OK);
	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_int_eq(number("select count(*) from messages"), 1);
	ck_assert_result(raw("default", s->message.id, s), STORAGE_OK);
	remove_moved();
	free(s);
}
END_TEST

START_TEST(damaged_file_is_unavailable_and_logged)
{
	storage_close(&world.store);
	FILE *file = fopen(path_of(""), "w");
	fputs("This is no database, whatever its name says.", file);
	fclose(file);
	world.store = store_open_on(world.loop);
	put_gives(STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(world_last_log(), "not a database") != NULL, "%s", world_last_log());
	ck_assert_result(ping(), STORAGE_UNAVAILABLE);
	struct sample *s = sample_new();
	ck_assert_result(get("default", s->message.id, NULL, NULL), STORAGE_UNAVAILABLE);
	ck_assert_result(raw("default", s->message.id, NULL), STORAGE_UNAVAILABLE);
	free(s);
}
END_TEST

static TCase *tcase_with(Suite *suite, const char *name, void (*setup)(void))
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, begin, world_end);
	if (setup != NULL)
		tcase_add_checked_fixture(tc, setup, NULL);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("sqlite");
	TCase *bare = tcase_with(suite, "without a schema", NULL);
	TCase *open = tcase_with(suite, "open", world_open);
	TCase *lying = tcase_with(suite, "on a lying disk", use_lying_disk);

	tcase_add_test(bare, migrate_says_what_is_in_the_way);
	tcase_add_test(bare, files_are_not_for_others_to_read);
	tcase_add_test(bare, migrated_file_is_one_with_a_write_ahead_log);
	tcase_add_test(bare, file_is_unavailable_until_it_has_a_schema);
	tcase_add_test(bare, locked_database_may_be_migrated_later);
	tcase_add_test(bare, read_only_file_is_unavailable_until_writable);
	tcase_add_test(bare, read_only_directory_is_unavailable_until_writable);
	tcase_add_test(open, url_without_file_or_with_parameters_is_refused);
	tcase_add_test(open, name_with_a_meaning_to_sqlite_is_a_file_all_the_same);
	tcase_add_test(open, older_and_newer_schemas_are_not_written_to);
	tcase_add_test(open, columns_read_as_documented);
	tcase_add_test(open, year_without_four_digits_is_null);
	tcase_add_test(open, stores_on_one_file_share_their_threads);
	tcase_add_test(open, what_waits_together_is_committed_together);
	tcase_add_test(open, batches_are_bounded_by_bytes);
	tcase_add_test(open, last_close_leaves_one_file);
	tcase_add_test(open, locked_database_is_unavailable_until_unlocked);
	tcase_add_test(open, full_disk_is_full_until_there_is_room);
	tcase_add_test(open, replaced_file_is_noticed);
	tcase_add_test(open, damaged_file_is_unavailable_and_logged);
	tcase_add_checked_fixture(lying, world_open, NULL);
	tcase_add_test(lying, stale_handle_is_opened_anew);
	tcase_add_test(lying, failed_sync_is_uncertain_and_the_retry_kept_once);

	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
