/* SPDX-License-Identifier: MIT */
/* Messages that SQLite reads piece by piece: what is kept between two pieces shows to nobody. */
#include "tests/unit/storage_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 300 * 1000, PIECE = 64 * 1024 };

static void begin(void)
{
	world_begin(&test_sqlite);
}

/* Bytes that no other sample has in the same place. */
static struct sample *kept(void)
{
	static unsigned count;
	struct sample *s = sample_new();
	unsigned *words = malloc(BYTES);

	for (size_t i = 0; i < BYTES / sizeof(*words); i++)
		words[i] = (unsigned)i * 64 + count;
	count++;
	s->message.raw = (struct slice){ (char *)words, BYTES };
	ck_assert_result(put(s), STORAGE_OK);
	return s;
}

static void sample_free(struct sample *s)
{
	free((void *)s->message.raw.base);
	free(s);
}

static enum storage_result piece(const struct sample *s, uint64_t at)
{
	return range("default", s->put.id, at, PIECE, s);
}

static void drop(const struct sample *s)
{
	char id[UUID_TEXT + 1], sql[256];

	uuid_format(&s->put.id, id);
	snprintf(sql, sizeof(sql),
		"delete from messages where id = '%s'; delete from message_raw where id = '%s'", id,
		id);
	test_sqlite.exec(&world.database, sql);
}

START_TEST(many_messages_are_read_in_turns)
{
	enum { COUNT = 50 }; /* more than are kept */
	struct sample *all[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		all[i] = kept();
	for (uint64_t at = 0; at < BYTES; at += PIECE)
		for (unsigned i = 0; i < COUNT; i++)
			ck_assert_result(piece(all[i], at), STORAGE_OK);
	for (unsigned i = 0; i < COUNT; i++)
		sample_free(all[i]);
}
END_TEST

START_TEST(what_is_put_while_another_is_read_is_there)
{
	struct sample *first = kept();

	for (unsigned i = 0; i < 20; i++) {
		ck_assert_result(piece(first, 0), STORAGE_OK);
		struct sample *second = kept();
		ck_assert_result(piece(second, 0), STORAGE_OK);
		sample_free(second);
	}
	ck_assert_result(piece(first, PIECE), STORAGE_OK);
	sample_free(first);
}
END_TEST

START_TEST(what_is_deleted_between_two_pieces_is_gone)
{
	struct sample *first = kept(), *second = kept();

	ck_assert_result(piece(first, 0), STORAGE_OK);
	ck_assert_result(piece(second, 0), STORAGE_OK);
	drop(first);
	ck_assert_result(piece(first, PIECE), STORAGE_NOT_FOUND);
	ck_assert_result(piece(second, PIECE), STORAGE_OK);
	sample_free(first);
	sample_free(second);
}
END_TEST

/* SQLite gives the number of a deleted row to the next one. */
START_TEST(message_in_the_row_of_a_deleted_one_is_itself)
{
	struct sample *first = kept();

	for (unsigned i = 0; i < 20; i++) {
		struct sample *second = kept();
		ck_assert_result(piece(first, 0), STORAGE_OK);
		ck_assert_result(piece(second, 0), STORAGE_OK);
		drop(second);
		struct sample *third = kept();
		ck_assert_result(piece(third, 0), STORAGE_OK);
		drop(third);
		sample_free(second);
		sample_free(third);
	}
	sample_free(first);
}
END_TEST

START_TEST(reading_that_stopped_in_the_middle_does_not_hold_the_log)
{
	struct sample *first = kept();

	for (unsigned i = 0; i < 4; i++) /* by each reader */
		ck_assert_result(piece(first, 0), STORAGE_OK);
	struct sample *second = kept();
	/* Waits ten seconds, and gives 1, for a transaction that does not end. */
	ck_assert_int_eq(test_sqlite.number(&world.database, "pragma wal_checkpoint(truncate)"), 0);
	ck_assert_result(piece(first, PIECE), STORAGE_OK);
	sample_free(first);
	sample_free(second);
}
END_TEST

START_TEST(store_closes_while_messages_are_being_read)
{
	struct sample *first = kept();

	ck_assert_result(piece(first, 0), STORAGE_OK);
	world_reopen();
	ck_assert_result(piece(first, PIECE), STORAGE_OK);
	sample_free(first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite_blobs");
	TCase *tc = tcase_create("piece by piece");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, begin, world_end);
	tcase_add_checked_fixture(tc, world_open, NULL);
	tcase_add_test(tc, many_messages_are_read_in_turns);
	tcase_add_test(tc, what_is_put_while_another_is_read_is_there);
	tcase_add_test(tc, what_is_deleted_between_two_pieces_is_gone);
	tcase_add_test(tc, message_in_the_row_of_a_deleted_one_is_itself);
	tcase_add_test(tc, reading_that_stopped_in_the_middle_does_not_hold_the_log);
	tcase_add_test(tc, store_closes_while_messages_are_being_read);
	suite_add_tcase(suite, tc);

	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
