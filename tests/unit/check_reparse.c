/* SPDX-License-Identifier: MIT */
/* What storage.h promises of what is derived: kept, and derived anew, run over every driver. */
#include "tests/unit/storage_looks.h"
#include "tests/unit/storage_suites.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR_US INT64_C(3600000000)
#define NOW_US  INT64_C(1767323045000000)

static bool is_sqlite(void)
{
	return world.backend == &test_sqlite;
}

/* Puts `count` messages, an hour between each and the next. */
static struct sample *put_samples(size_t count)
{
	struct sample *list = samples_new(count);

	for (size_t i = 0; i < count; i++) {
		sample_set_moment(&list[i], NOW_US + (int64_t)i * HOUR_US);
		ck_assert_result(put(&list[i]), STORAGE_OK);
	}
	return list;
}

static void damage(void)
{
	world.backend->exec(&world.database,
		"update messages set subject = 'old', text = null, message_id = null, from_name = "
		"'x',"
		" date = null, parse_status = 'failed', is_bounce = not is_bounce, mailbox_tag = "
		"null,"
		" report = null, reply_text = 'old', parser_version = 0");
	world.backend->exec(&world.database, "delete from message_parts where n = 2");
	world.backend->exec(&world.database, "update message_parts set filename = 'old'");
	world.backend->exec(&world.database,
		"insert into message_parts (id, n, path, content_type, encoding, size, sha256,"
		" is_attachment, raw_offset, raw_length) select id, 7, '7', 'a/b', '7bit', 1, "
		"sha256,"
		" is_attachment, 0, 0 from message_parts where n = 1");
}

/* A run: for each message that is asked about, the sample is the answer. */
struct anew {
	struct sample *samples;
	size_t count;
	const struct sample *left_alone; /* nothing new is given for it */
	const char *between;             /* SQL, once, while a batch is derived */
	size_t asked, told, looked, most_in_batch;
	size_t outcomes[STORAGE_ANEW_GONE + 1];
	bool end; /* after the first batch */
	struct uuid last;
};

static const struct sample *sample_of(const struct anew *a, const struct uuid *id)
{
	for (size_t i = 0; i < a->count; i++)
		if (memcmp(&a->samples[i].message.id, id, sizeof(*id)) == 0)
			return &a->samples[i];
	ck_abort_msg("a message that was never put");
}

static bool derive(void *data, struct storage_kept *batch, size_t count)
{
	struct anew *a = data;

	if (a->end && a->told > 0)
		return false;
	if (count > a->most_in_batch)
		a->most_in_batch = count;
	for (size_t i = 0; i < count; i++) {
		const struct sample *s = sample_of(a, &batch[i].id);
		const struct envelope *env = &batch[i].envelope;
		ck_assert_msg(slice_eq(batch[i].raw, s->message.raw), "other bytes");
		ck_assert_str_eq(env->sender, s->envelope.sender);
		ck_assert_uint_eq(env->recipient_count, s->envelope.recipient_count);
		for (size_t n = 0; n < env->recipient_count; n++)
			ck_assert_str_eq(env->recipients[n], s->envelope.recipients[n]);
		ck_assert_int_gt(memcmp(&batch[i].id, &a->last, sizeof(a->last)), 0);
		a->last = batch[i].id;
		batch[i].anew = s != a->left_alone ? &s->message : NULL;
		a->asked++;
	}
	if (a->between != NULL)
		world.backend->exec(&world.database, a->between);
	a->between = NULL;
	return true;
}

static void settled(void *data, const struct storage_kept *batch, size_t count)
{
	struct anew *a = data;

	for (size_t i = 0; i < count; i++)
		a->outcomes[batch[i].outcome]++;
	a->told += count;
}

static void looked(void *data, size_t rows)
{
	struct anew *a = data;

	a->looked += rows;
}

static void run(struct anew *a, struct storage_reparse want)
{
	char *error = NULL;

	want.data = a;
	want.derive = derive;
	want.settled = settled;
	want.looked = looked;
	if (want.before_us == 0)
		want.before_us = NOW_US + 10000 * HOUR_US;
	ck_assert_msg(storage_reparse(&world.settings, &want, &error) == STORAGE_OK, "%s", error);
}

static int64_t number(const char *sql)
{
	return world.backend->number(&world.database, sql);
}

/* ---- what is kept ---- */

START_TEST(reply_that_is_all_of_the_text_is_kept_once)
{
	static const struct {
		const char *text, *reply;
		bool once;
	} cases[] = {
		{ "all\n", "all", true },
		{ "\r\n all of\nit \n\n", "all of\nit", true },
		{ "", "", true },
		{ "\n", "", true },
		{ "all\n> not\n", "all", false },
		{ "> not\n", "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample *s = sample_new();
		s->mime.text = cases[i].text;
		s->mime.reply_text = cases[i].reply;
		ck_assert_result(put(s), STORAGE_OK);
		assert_kept(s);
		ck_assert_int_eq(number("select count(*) from messages where reply_text is null"),
			cases[i].once);
		world.backend->exec(&world.database, "delete from messages");
		free(s);
	}
}
END_TEST

START_TEST(message_that_has_none_of_it_is_kept)
{
	struct sample *s = sample_new();

	s->mime.text = s->mime.reply_text = s->mime.security = NULL;
	s->mime.auto_submitted = s->mime.list_id = NULL;
	s->mime.text_is_derived = s->message.is_bounce = false;
	s->message.report_json = s->message.mailbox_tag = NULL;
	ck_assert_result(put(s), STORAGE_OK);
	assert_kept(s);
	free(s);
}
END_TEST

static void looks_old(const struct storage_record *r, const struct sample *s)
{
	ck_assert_uint_eq(r->parser_version, 0);
	ck_assert_ptr_null(r->reply_text.base);
	ck_assert(!r->is_bounce && !r->text_is_derived);
	ck_assert_str_eq(r->text, s->mime.text);
}

START_TEST(row_of_before_says_so)
{
	struct sample *s = sample_new();

	ck_assert_result(put(s), STORAGE_OK);
	world.backend->exec(&world.database,
		is_sqlite() ? "update messages set reply_text = null, parser_version = 0,"
			      " is_bounce = 0, text_is_derived = 0"
			    : "update messages set reply_text = default, parser_version = default,"
			      " is_bounce = default, text_is_derived = default");
	ck_assert_result(get("default", s->message.id, looks_old, s), STORAGE_OK);
	free(s);
}
END_TEST

/* ---- anew ---- */

START_TEST(damaged_rows_become_what_was_put)
{
	enum { COUNT = 100 };
	struct anew a = { .samples = put_samples(COUNT), .count = COUNT };

	damage();
	run(&a, (struct storage_reparse){ .statuses = 0 });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_CHANGED], COUNT);
	ck_assert_uint_eq(a.told, COUNT);
	ck_assert_uint_eq(a.looked, COUNT);
	ck_assert_uint_lt(a.most_in_batch, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_kept(&a.samples[i]);
	ck_assert_int_eq(number("select count(*) from message_parts"), 2 * COUNT);
	free(a.samples);
}
END_TEST

START_TEST(what_says_the_same_is_only_given_the_version)
{
	struct anew a = { .samples = put_samples(3), .count = 3 };

	world.backend->exec(&world.database, "update messages set parser_version = 0");
	run(&a, (struct storage_reparse){ .older_parser = true });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_SAME], 3);
	assert_kept(&a.samples[1]);
	a = (struct anew){ .samples = a.samples, .count = 3 };
	run(&a, (struct storage_reparse){ .older_parser = true });
	ck_assert_uint_eq(a.asked, 0);
	ck_assert_uint_eq(a.looked, 3);
	free(a.samples);
}
END_TEST

START_TEST(each_column_that_differs_is_seen)
{
	static const char *const columns[] = { "message_id", "in_reply_to", "subject",
		"from_address", "from_name", "text", "html", "parse_status", "reply_text",
		"security", "auto_submitted", "list_id", "mailbox_tag" };
	static const char *const others[] = { "update messages set date = null",
		"update messages set report = null",
		"update messages set is_bounce = not is_bounce",
		"update messages set text_is_derived = not text_is_derived",
		"update messages set headers = addresses",
		"update messages set addresses = headers", "update messages set refs = defects",
		"update messages set defects = refs",
		"update message_parts set inside = 'x' where n = 2",
		"update message_parts set size = 0 where n = 1", "delete from message_parts" };
	struct anew a = { .samples = put_samples(1), .count = 1 };
	size_t tries = 0;
	char sql[256];

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++, tries++) {
		snprintf(sql, sizeof(sql), "update messages set %s = 'other'", columns[i]);
		world.backend->exec(&world.database, sql);
		a.last = (struct uuid){ .bytes = { 0 } };
		run(&a, (struct storage_reparse){ .statuses = 0 });
		ck_assert_msg(a.outcomes[STORAGE_ANEW_CHANGED] == tries + 1, "%s", sql);
		assert_kept(&a.samples[0]);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++, tries++) {
		world.backend->exec(&world.database, others[i]);
		a.last = (struct uuid){ .bytes = { 0 } };
		run(&a, (struct storage_reparse){ .statuses = 0 });
		ck_assert_msg(a.outcomes[STORAGE_ANEW_CHANGED] == tries + 1, "%s", others[i]);
		assert_kept(&a.samples[0]);
	}
	free(a.samples);
}
END_TEST

START_TEST(filters_are_obeyed)
{
	struct anew a = { .samples = put_samples(10), .count = 10 };

	run(&a, (struct storage_reparse){
			.from_us = NOW_US + 2 * HOUR_US, .before_us = NOW_US + 5 * HOUR_US });
	ck_assert_uint_eq(a.asked, 3);
	a = (struct anew){ .samples = a.samples, .count = 10 };
	run(&a, (struct storage_reparse){ .statuses = 1u << MIME_OK | 1u << MIME_FAILED });
	ck_assert_uint_eq(a.asked, 0);
	ck_assert_uint_eq(a.looked, 10);
	run(&a, (struct storage_reparse){ .statuses = 1u << MIME_DEGRADED });
	ck_assert_uint_eq(a.asked, 10);
	free(a.samples);
}
END_TEST

START_TEST(look_changes_nothing)
{
	struct anew a = { .samples = put_samples(2), .count = 2 };

	damage();
	run(&a, (struct storage_reparse){ .only_look = true });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_CHANGED], 2);
	ck_assert_int_eq(number("select count(*) from messages where subject = 'old'"
				" and parser_version = 0"),
		2);
	ck_assert_int_eq(number("select count(*) from message_parts where n = 7"), 2);
	free(a.samples);
}
END_TEST

START_TEST(more_than_a_page_and_the_message_left_alone)
{
	enum { COUNT = 1100 };
	struct anew a = { .samples = put_samples(COUNT), .count = COUNT };

	damage();
	a.left_alone = &a.samples[1050];
	run(&a, (struct storage_reparse){ .statuses = 1u << MIME_FAILED });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_CHANGED], COUNT - 1);
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_LEFT], 1);
	assert_kept(&a.samples[1049]);
	assert_kept(&a.samples[COUNT - 1]);
	ck_assert_int_eq(number("select count(*) from messages where subject = 'old'"), 1);
	free(a.samples);
}
END_TEST

START_TEST(message_deleted_meanwhile_stays_deleted)
{
	struct anew a = { .samples = put_samples(3), .count = 3 };
	struct uuid gone = a.samples[1].message.id;
	char id[UUID_TEXT + 1], sql[256];

	damage();
	uuid_format(&gone, id);
	snprintf(sql, sizeof(sql), "delete from messages where id = '%s'", id);
	a.between = sql;
	world.backend->exec(&world.database, "delete from message_parts");
	run(&a, (struct storage_reparse){ .statuses = 0 });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_CHANGED], 2);
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_GONE], 1);
	ck_assert_int_eq(number("select count(*) from messages"), 2);
	ck_assert_int_eq(number("select count(*) from message_parts"), 4);
	free(a.samples);
}
END_TEST

/* The operator's own constraint, on one message of several. */
START_TEST(refused_message_is_kept_bare_and_harms_no_other)
{
	struct anew a = { .samples = put_samples(5), .count = 5 };
	struct sample *poison = &a.samples[2];

	damage();
	poison->mime.subject = "poison";
	world.backend->exec(&world.database,
		is_sqlite() ? "create trigger refuse before update on messages"
			      " when new.subject = 'poison'"
			      " begin select raise(abort, 'poison'); end"
			    : "alter table messages add check (subject <> 'poison')");
	run(&a, (struct storage_reparse){ .statuses = 0 });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_CHANGED], 4);
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_BARE], 1);
	for (size_t i = 0; i < 5; i++)
		if (&a.samples[i] != poison)
			assert_kept(&a.samples[i]);
	ck_assert_result(get("default", poison->message.id, looks_bare, poison), STORAGE_OK);
	ck_assert_result(raw("default", poison->message.id, poison), STORAGE_OK);
	free(a.samples);
}
END_TEST

START_TEST(refused_even_bare_it_stays_as_it_is)
{
	struct anew a = { .samples = put_samples(3), .count = 3 };

	damage();
	world.backend->exec(&world.database,
		is_sqlite() ? "create trigger refuse before update on messages"
			      " begin select raise(abort, 'poison'); end"
			    : "alter table messages add check (parser_version = 0) not valid");
	run(&a, (struct storage_reparse){ .statuses = 0 });
	ck_assert_uint_eq(a.outcomes[STORAGE_ANEW_REFUSED], 3);
	ck_assert_int_eq(number("select count(*) from messages where subject = 'old'"), 3);
	ck_assert_int_eq(number("select count(*) from message_parts where n = 7"), 3);
	free(a.samples);
}
END_TEST

START_TEST(it_ends_when_it_is_told_to)
{
	enum { COUNT = 200 };
	struct anew a = { .samples = put_samples(COUNT), .count = COUNT, .end = true };
	atomic_bool stop = true;

	damage();
	run(&a, (struct storage_reparse){ .stop = &stop });
	ck_assert_uint_eq(a.asked, 0);
	run(&a, (struct storage_reparse){ .statuses = 0 });
	ck_assert_uint_gt(a.told, 0);
	ck_assert_uint_lt(a.told, COUNT);
	ck_assert_int_eq(number("select count(*) from messages where subject = 'old'"),
		(int64_t)(COUNT - a.told));
	free(a.samples);
}
END_TEST

START_TEST(what_cannot_work_is_said)
{
	struct storage_settings nowhere = world.settings;
	struct storage_reparse want = { .before_us = NOW_US, .looked = looked };
	char *error = NULL;

	nowhere.url = is_sqlite() ? "sqlite:///no/such/mail.db" : "host=/no/such user=nobody";
	ck_assert_result(storage_reparse(&nowhere, &want, &error), STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(error, "/no/such") != NULL, "%s", error);
	free(error);
	world.backend->exec(&world.database, "delete from schema_migrations");
	ck_assert_result(storage_reparse(&world.settings, &want, &error), STORAGE_UNAVAILABLE);
	ck_assert_msg(strstr(error, "run `mailserver migrate`") != NULL, "%s", error);
	free(error);
}
END_TEST

static void fill(Suite *suite, const struct test_backend *backend)
{
	TCase *tc = storage_tcase(suite, backend, 120);

	tcase_add_test(tc, reply_that_is_all_of_the_text_is_kept_once);
	tcase_add_test(tc, message_that_has_none_of_it_is_kept);
	tcase_add_test(tc, row_of_before_says_so);
	tcase_add_test(tc, damaged_rows_become_what_was_put);
	tcase_add_test(tc, what_says_the_same_is_only_given_the_version);
	tcase_add_test(tc, each_column_that_differs_is_seen);
	tcase_add_test(tc, filters_are_obeyed);
	tcase_add_test(tc, look_changes_nothing);
	tcase_add_test(tc, more_than_a_page_and_the_message_left_alone);
	tcase_add_test(tc, message_deleted_meanwhile_stays_deleted);
	tcase_add_test(tc, refused_message_is_kept_bare_and_harms_no_other);
	tcase_add_test(tc, refused_even_bare_it_stays_as_it_is);
	tcase_add_test(tc, it_ends_when_it_is_told_to);
	tcase_add_test(tc, what_cannot_work_is_said);
}

int main(void)
{
	return storage_suites_run(fill);
}
